"""The options of a plain build, read without argparse, which is half of what there is to import for such a build."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

from capsule_builder.archive.effort import DEFAULT_LEVEL, default_jobs
from capsule_builder.building.request import DEFAULT_PLATFORM

_TEXTS = {"--cache-dir": "cache_dir", "--from-dir": "from_dir", "--manifest": "manifest", "--output": "output"}
_FLAGS = {"--json": "json", "--no-cache": "no_cache", "--quiet": "quiet"}
_OTHERS = {
    "bytecode": "none",
    "compression_level": DEFAULT_LEVEL,
    "no_verify_requirements": False,
    "platform": DEFAULT_PLATFORM,
    "provenance": False,
    "sbom": False,
    "stamp": False,
    "strip_components": 0,
    **dict.fromkeys(["bytecode_python", "from_zip", "interpreter", "requirements", "sign", "venv", "wheels"]),
}


def plain_arguments(argv: Sequence[str]) -> SimpleNamespace | None:
    """What ``capsbuild`` was given, as its parser has it; None when only that can tell, or has something to say."""
    texts: dict[str, str | None] = dict.fromkeys(_TEXTS.values())
    flags = dict.fromkeys(_FLAGS.values(), False)
    words = iter(argv)
    for word in words:
        if word in _FLAGS:
            flags[_FLAGS[word]] = True
            continue
        value = next(words, "")
        if word not in _TEXTS or not value or value.startswith("-"):
            return None
        texts[_TEXTS[word]] = value
    if not texts["from_dir"] or (texts["cache_dir"] and flags["no_cache"]):
        return None
    return SimpleNamespace(jobs=default_jobs(), **texts, **flags, **_OTHERS)
