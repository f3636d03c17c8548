"""A Python environment inside a capsule: from wheels or from a finished one, always of the same form."""
