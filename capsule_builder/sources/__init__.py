"""Where entries come from: a directory, a ZIP, or the list of files that a Bazel action gets."""
