"""What the command line remembers from one build to the next (``docs/cache.md``); no archive depends on it."""
