"""Builds capsules: one application as one immutable, reproducible ``tar.gz``, named by its content.

The data goes one way: a *source* yields *entries*, entries become a *layer*, layers become a *capsule*.
``docs/format.md`` is the authority on every byte.
"""

__version__ = "0.1.0"
