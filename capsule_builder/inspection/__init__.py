"""Looks inside capsules: what is in one, how two differ, and a page to see it (``docs/inspect.md``).

The data goes one way: *content* reads a capsule or a listing, *owners* tells whose each entry is, *figures* and
*difference* count and compare, *document* and *page* put it into JSON and HTML.
"""
