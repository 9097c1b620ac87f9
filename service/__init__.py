"""AI Library: a self-hosted chat backend between chat interfaces and Groq's models."""

__version__ = "0.1.0"
