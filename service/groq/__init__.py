"""How is a chat asked of Groq? The only importer of the SDK."""
