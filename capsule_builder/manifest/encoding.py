"""From bytes to text: UTF-8 without a byte order mark, without the characters that YAML forbids, of bounded size."""

from __future__ import annotations

import re

from capsule_builder.manifest.problems import START, Position, Report

MAX_BYTES = 1 << 20
"""A manifest may be one mebibyte long; real ones are a few hundred bytes."""

_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_UTF_16_WITHOUT_MARK = re.compile(rb"\A(?:[\x09-\x7e]\x00){2}|\A(?:\x00[\x09-\x7e]){2}")
# YAML 1.1, section 4.1: everything but these is a printable character. Surrogates cannot come out of UTF-8.
_FORBIDDEN = "[^\t\n\r\x20-\x7e\x85\xa0-\ufffd\U00010000-\U0010ffff]"  # which takes long to compile
_FORBIDDEN_ASCII = "[^\t\n\r\x20-\x7e]"
_SAVE_AS_UTF_8 = "save the file as UTF-8 without a byte order mark"


def decode(data: bytes, report: Report) -> str | None:
    """The text of a manifest, or None when there is nothing that could be read on (the reasons are in the report)."""
    if len(data) > MAX_BYTES:
        message = f"the file is larger than {MAX_BYTES:,} bytes (1 MiB)"
        report.error(START, "file-too-large", "", message, "move the bulk into a file of the capsule")
        return None
    wide = _wide_encoding(data)
    if wide:
        report.error(START, "not-utf-8", "", f"the file is {wide}, not UTF-8", _SAVE_AS_UTF_8)
        return None
    if data.startswith(b"\xef\xbb\xbf"):
        report.error(START, "byte-order-mark", "", "the file begins with a UTF-8 byte order mark", _SAVE_AS_UTF_8)
    text = _text(data, report)
    if text is not None:
        text = text.removeprefix("\ufeff")
    if text is None or _report_forbidden(text, report):
        return None
    return text


def _wide_encoding(data: bytes) -> str | None:
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return name
    return "UTF-16" if _UTF_16_WITHOUT_MARK.match(data) else None


def _text(data: bytes, report: Report) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    offset = 0
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            position = Position(number, len(line[: error.start].decode("utf-8")) + 1)
            message = f"byte 0x{line[error.start]:02x} at offset {offset + error.start:,} is not UTF-8"
            report.error(position, "not-utf-8", "", message, "save the file as UTF-8")
        offset += len(line)
    return None


def _report_forbidden(text: str, report: Report) -> bool:
    found = False
    forbidden = re.compile(_FORBIDDEN_ASCII if text.isascii() else _FORBIDDEN)
    for number, line in enumerate(re.split("\r\n|\r|\n", text), start=1):
        match = forbidden.search(line)
        if match:
            found = True
            code = ord(match.group())
            name = "a NUL" if code == 0 else f"the control character U+{code:04X}"
            position = Position(number, match.start() + 1)
            report.error(position, "control-character", "", f"{name} is not allowed in YAML", "delete it")
    return found
