"""Who sent a request? API keys and JWTs; the only importer of PyJWT."""
