"""Text as lines of a systemd unit: whatever it holds, it stays within its setting (``systemd.syntax(7)``)."""

from __future__ import annotations

import re

from capsule_builder.errors import refusal
from capsule_builder.paths import shown

_SPECIAL = re.compile('[\\\\"\x01-\x1f\x7f-\x9f\u2028\u2029]')
_PLAIN = re.compile(r"[A-Za-z0-9 ._:+/@=,()-]+")


def quoted(text: str) -> str:
    r"""One word of ``ExecStart=:`` or ``Environment=``, which systemd reads as ``text`` to the letter.

    Quotes, backslashes and control characters become C escapes, and ``%``, which begins a specifier, is doubled. ``$``
    stays, since neither setting replaces variables (the first because of its ``:``).

    Raises:
        CapsuleError: it holds a NUL or what is no character, which no argument and no variable can hold.
    """
    if "\0" in text or re.search("[\ud800-\udfff]", text):
        raise refusal("unit-text", f"Cannot stand in a unit: {shown(text)}", "Remove what is no character.")
    escaped = _SPECIAL.sub(lambda found: _escape(found[0]), text)
    return '"' + escaped.replace("%", "%%") + '"'


def plain(text: str) -> str:
    """Text that needs no quotes and no escapes, which is what descriptions and names of ours are.

    Raises:
        CapsuleError: it is something else.
    """
    if not _PLAIN.fullmatch(text) or text != text.strip():
        raise refusal("unit-text", f"Cannot stand in a unit: {shown(text)}", "This is no name that a capsule can have.")
    return text


def _escape(char: str) -> str:
    if char in '\\"':
        return f"\\{char}"
    # \u of systemd takes four digits, and \x would be one byte of UTF-8
    return f"\\x{ord(char):02x}" if ord(char) < 0x80 else f"\\u{ord(char):04x}"
