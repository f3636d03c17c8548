"""What the Bazel actions run."""
