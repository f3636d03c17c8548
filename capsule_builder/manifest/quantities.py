"""Quantities that carry their unit: shares of a processor, sizes of memory, spans of time.

Shares and sizes are in systemd's notation (``systemd.resource-control(5)``) and go into the unit as they stand.
"""

from __future__ import annotations

import re

from capsule_builder.manifest.problems import quoted
from capsule_builder.manifest.rule import Complaint, Rule

# systemd takes two decimals, no leading zero, not 0 %, and gives up between 999999 % and 99999999 % (measured).
CPU_QUOTA_PATTERN = r"(?:[1-9][0-9]{0,5}(?:\.[0-9]{1,2})?|0\.(?:0[1-9]|[1-9][0-9]?))%"

# A bare number up to this one may well be meant as cores.
_FEW_CORES = 16

# systemd takes K, M, G, T, P and E (powers of 1024), a share of the host's memory up to 100 %, and infinity; it takes
# no "16g", "16GB", "16Gi", ".5G" (measured).
_SIZE = r"(?:[1-9][0-9]{0,18}|(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,9})?[KMGTPE])"
_SHARE = r"(?:100(?:\.0{1,2})?|[1-9][0-9]?(?:\.[0-9]{1,2})?|0\.(?:0[1-9]|[1-9][0-9]?))%"
MEMORY_PATTERN = f"(?:{_SIZE}|{_SHARE}|infinity)"
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50, "E": 1 << 60}
_LEAST_MEMORY = 1 << 20
_MEMORY_END = 1 << 64

DURATION_PATTERN = "[1-9][0-9]{0,5}(?:ms|s|m)"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}
LONGEST_DURATION = 3600.0


def size_in_bytes(text: str) -> float | None:
    """The bytes that a valid size of memory stands for; None for shares and ``infinity``."""
    match = re.fullmatch(r"([0-9.]+)([KMGTPE]?)", text)
    return float(match.group(1)) * _UNITS[match.group(2)] if match else None


def seconds(text: str) -> float:
    """The seconds that a valid span of time stands for."""
    number, unit = re.fullmatch("([0-9]+)([a-z]+)", text).groups()  # type: ignore[union-attr]
    return int(number) * _SECONDS[unit]


def _cpu_quota_complaint(text: str) -> Complaint | None:
    if re.fullmatch(CPU_QUOTA_PATTERN, text):
        return None
    return Complaint(
        "bad-cpu-quota", f"{quoted(text)} is not a percentage" if text else "is empty", _likely_cpu_quota(text)
    )


def _likely_cpu_quota(text: str) -> str:
    """What to write for 80 (per cent), for 0.8 (of a core), and for 2, which may mean either."""
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*(%?)", text.strip())
    if match is None:
        return 'write "80%" for four fifths of a core, "200%" for two cores'
    number = float(match.group(1))
    percent, cores = (f"{share:.2f}".rstrip("0").rstrip(".") + "%" for share in (number, number * 100))
    likely = cores if "." in match.group(1) and not match.group(2) and number <= _FEW_CORES else percent
    if not re.fullmatch(CPU_QUOTA_PATTERN, likely):
        return 'write "80%" for four fifths of a core, "200%" for two cores'
    if likely == percent and number <= _FEW_CORES and not match.group(2):
        return f"write {quoted(cores)} for cores, {quoted(percent)} for a share of one"
    return f"write {quoted(likely)}"


def _memory_complaint(text: str) -> Complaint | None:
    if not re.fullmatch(MEMORY_PATTERN, text):
        message = f"{quoted(text)} is not a size of memory" if text else "is empty"
        return Complaint("bad-memory-size", message, _likely_memory(text))
    size = size_in_bytes(text)
    if size is None:
        return None
    if size < _LEAST_MEMORY:
        message = f"{quoted(text)} is less than 1M" + (", being bytes" if text.isdigit() else "")
        remedy = (
            f'write "{text}M" or "{text}G"' if text.isdigit() else 'write what the application needs, such as "512M"'
        )
        return Complaint("bad-memory-size", message, remedy)
    if size >= _MEMORY_END:
        remedy = 'write a smaller one, or "infinity" for no limit'
        return Complaint("bad-memory-size", f"{quoted(text)} is more than systemd can count", remedy)
    return None


def _likely_memory(text: str) -> str:
    match = re.fullmatch(r"([0-9.]{1,12})\s*([kmgtpe])?i?b?", text.strip(), re.IGNORECASE)
    likely = match.group(1) + (match.group(2) or "").upper() if match else text.strip().lower()
    if re.fullmatch(MEMORY_PATTERN, likely):
        return f"write {quoted(likely)}"
    return 'write a size such as "512M" or "16G", a share such as "50%", or "infinity"'


def _duration_complaint(text: str) -> Complaint | None:
    if not re.fullmatch(DURATION_PATTERN, text):
        message = f"{quoted(text)} is not a span of time" if text else "is empty"
        number = re.fullmatch("([1-9][0-9]{0,5})(?: ?s(?:ec(?:onds?)?)?)?", text)
        remedy = f'write "{number.group(1)}s"' if number else 'write "500ms", "5s" or "2m"'
        return Complaint("bad-duration", message, remedy)
    if seconds(text) > LONGEST_DURATION:
        return Complaint("bad-duration", f"{quoted(text)} is more than an hour", 'write "60m" or less')
    return None


CPU_QUOTA = Rule("80%", _cpu_quota_complaint)
MEMORY = Rule("16G", _memory_complaint)
DURATION = Rule("5s", _duration_complaint)
