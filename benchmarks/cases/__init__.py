"""The questions, in the order in which they are asked: each module has ``run(bench)``, which gives a ``Result``."""

CASES = (
    "environment",
    "unchanged",
    "start",
    "sources",
    "block",
    "scaling",
    "verify",
    "install",
    "copying",
    "bazel",
    "layers",
    "analysis",
)
