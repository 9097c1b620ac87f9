"""How is a conversation kept? In memory or in SQLite, behind one port."""
