"""The two doors: ``check`` returns the problems, ``load`` raises them."""

from __future__ import annotations

from capsule_builder.manifest.checks import read_manifest
from capsule_builder.manifest.document import read_document
from capsule_builder.manifest.encoding import decode
from capsule_builder.manifest.model import Manifest
from capsule_builder.manifest.problems import ManifestError, ManifestProblem, Report, TooManyProblemsError
from capsule_builder.manifest.structure import check_structure


def check(data: bytes, file: str) -> tuple[Manifest | None, tuple[ManifestProblem, ...]]:
    """The manifest in ``data`` and every problem it has, in the order of the file; never raises.

    The manifest is None if and only if one of the problems is an error. ``file`` is the name that messages give it.
    """
    report = Report(file)
    manifest = None
    try:
        text = decode(data, report)
        root = None if text is None else read_document(text, report)
        if root is not None:
            check_structure(root, "", report)
            manifest = read_manifest(root, report)
    except TooManyProblemsError:
        pass
    problems = report.problems()
    return (None if any(problem.severity == "error" for problem in problems) else manifest), problems


def load(data: bytes, file: str) -> tuple[Manifest, tuple[ManifestProblem, ...]]:
    """The manifest in ``data``, and its warnings.

    Raises:
        ManifestError: with every problem, when one of them is an error.
    """
    manifest, problems = check(data, file)
    if manifest is None:
        raise ManifestError(problems)
    return manifest, problems
