"""Where entries come from: a directory, or the list of files that a Bazel action gets."""
