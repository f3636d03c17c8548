"""The server's side of a WebSocket, after RFC 6455, for text messages of a limited size. No extensions."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import BufferedIOBase

NORMAL, GOING_AWAY, PROTOCOL_ERROR, NOT_TEXT, NOT_UTF8, TOO_BIG = 1000, 1001, 1002, 1003, 1007, 1009
"""Why a connection ends (section 7.4.1)."""

_CONTINUATION, _TEXT, _CLOSE, _PING, _PONG = 0, 1, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class ClosedError(Exception):
    """The conversation is over; ``code`` says why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def accept_key(key: str) -> str | None:
    """The ``Sec-WebSocket-Accept`` for a client's ``Sec-WebSocket-Key``, or None when that is none (section 4.2.2)."""
    try:
        if len(base64.b64decode(key, validate=True)) != 16:
            return None
    except (binascii.Error, ValueError):
        return None
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


class WebSocket:
    """A conversation that has been opened; ``reader`` and ``writer`` are the connection's two halves."""

    def __init__(self, reader: BufferedIOBase, writer: BufferedIOBase, max_message: int) -> None:
        self._reader = reader
        self._writer = writer
        self._max_message = max_message

    def send(self, text: str) -> None:
        """Sends a text message."""
        self._write(_TEXT, text.encode())

    def close(self, code: int) -> None:
        """Says goodbye; nothing may be sent after it."""
        self._write(_CLOSE, struct.pack("!H", code))

    def receive(self) -> str:
        """The next text that the client sends. Pings are answered on the way; ``ClosedError`` is the end."""
        text = bytearray()
        begun = False
        while True:
            final, opcode, payload = self._frame(self._max_message - len(text))
            if opcode == _CLOSE:
                raise ClosedError(NORMAL)
            if opcode == _PING:
                self._write(_PONG, payload)
            if opcode in (_PING, _PONG):
                continue
            if (opcode == _CONTINUATION) != begun:
                raise ClosedError(PROTOCOL_ERROR)
            if opcode not in (_CONTINUATION, _TEXT):
                raise ClosedError(NOT_TEXT if opcode == 2 else PROTOCOL_ERROR)
            begun = True
            text += payload
            if final:
                try:
                    return text.decode()
                except UnicodeDecodeError:
                    raise ClosedError(NOT_UTF8) from None

    def _frame(self, room: int) -> tuple[bool, int, bytes]:
        """One frame (section 5.2): whether it is the message's last, its opcode, and its payload without the mask."""
        first, second = self._read(2)
        final, opcode, length = bool(first & 0x80), first & 0x0F, second & 0x7F
        is_control = opcode >= _CLOSE
        if first & 0x70 or not second & 0x80 or (is_control and (length > 125 or not final)):
            raise ClosedError(PROTOCOL_ERROR)  # a reserved bit, no mask, or a control frame that is long or in pieces
        if length == 126:
            (length,) = struct.unpack("!H", self._read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._read(8))
        if length > room and not is_control:
            raise ClosedError(TOO_BIG)
        mask = self._read(4)
        masked = self._read(length)
        stream = (mask * (length // 4 + 1))[:length]
        plain = int.from_bytes(masked, "big") ^ int.from_bytes(stream, "big")
        return final, opcode, plain.to_bytes(length, "big")

    def _read(self, size: int) -> bytes:
        data = self._reader.read(size)
        if len(data) < size:
            raise ClosedError(GOING_AWAY)
        return data

    def _write(self, opcode: int, payload: bytes) -> None:
        length = len(payload)
        if length < 126:
            head = struct.pack("!BB", 0x80 | opcode, length)
        elif length < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 126, length)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 127, length)
        self._writer.write(head + payload)
