"""A capsule out of what lies in a directory: what the command line runs."""
