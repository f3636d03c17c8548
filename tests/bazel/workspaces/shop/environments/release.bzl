"""The release of Python that compiles; tests write another."""

RELEASE = "3.11.99"
