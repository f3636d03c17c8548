"""Signatures and keys, and what is verified before a capsule is used."""
