"""Thoughts, kept and asked about over HTTP: the application of the capsule example.

Nothing in this package knows where it lies or writes beside itself: it finds its files from ``__file__`` and keeps
its state under ``TORI_STATE_ROOT``. That is all that an application needs to run as a capsule.
"""

NAME = "tori-metacognitive"
VERSION = "2.1.0"
