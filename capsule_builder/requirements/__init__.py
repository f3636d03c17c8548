"""Requirements: whether a set of distributions, installed or wheels, is all that requirements files ask for.

The question is put for the target's Python and platform, never for the builder's, and over the whole closure. The
data goes one way: *dialect* turns bytes into lines, *references* a line into a requirement, *parser* follows files into
``Requirements``; *target* says what markers and tags hold, *mismatch* why a wheel does not fit; *walk* follows
dependencies, *closure* judges them and *origins* where they came from; *select* picks wheels out of a folder.
``packaging`` does all version logic.
"""

from __future__ import annotations

from capsule_builder.requirements.closure import verify
from capsule_builder.requirements.distributions import Distribution
from capsule_builder.requirements.lines import Line, Note, Option, Requirements
from capsule_builder.requirements.parser import read_requirements
from capsule_builder.requirements.report import Failure, Report
from capsule_builder.requirements.select import Selection, select
from capsule_builder.requirements.target import Target

__all__ = [
    "Distribution",
    "Failure",
    "Line",
    "Note",
    "Option",
    "Report",
    "Requirements",
    "Selection",
    "Target",
    "read_requirements",
    "select",
    "verify",
]
