"""Has an owner asked for too much? The only importer of the library limits."""
