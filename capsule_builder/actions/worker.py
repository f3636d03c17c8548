"""A persistent worker of Bazel: one process for many actions, so that the builder starts once and not once a layer.

Requests come and answers go as protocol buffers, ``WorkRequest`` and ``WorkResponse``, each behind its length. They are
read here by hand, strictly: what is no request ends the worker, since nobody knows where the next one begins.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5  # wire types; there are no others since groups went
_FIXED = {_FIXED64: 8, _FIXED32: 4}
# Fields of a WorkRequest. It has two more, which are of no use here: inputs (2) and verbosity (5).
_ARGUMENTS, _REQUEST_ID, _CANCEL, _SANDBOX_DIR = 1, 3, 4, 6
_KINDS = {_ARGUMENTS: _LENGTH, _REQUEST_ID: _VARINT, _CANCEL: _VARINT, _SANDBOX_DIR: _LENGTH}
_LARGEST = 2**31 - 1  # bytes: no message is larger


class Malformed(Exception):
    """What came is no request."""


@dataclass(slots=True)
class Request:
    """One action to run. ``arguments`` are the lines of its parameter file, which Bazel has read."""

    arguments: list[bytes] = field(default_factory=list)
    id: int = 0
    cancel: bool = False
    sandbox_dir: bytes = b""


def serve(act: Callable[[Sequence[bytes]], int]) -> int:
    """Answers requests from standard input until it ends; gives the exit status of the worker.

    ``act`` runs the action with these arguments and gives its exit status. What it says on ``sys.stderr`` becomes the
    answer's output; what anything prints to standard output goes to Bazel's log of the worker.
    """
    requests, answers = _pipes()
    try:
        while request := read_request(requests):
            if request.cancel:
                continue  # one at a time: what it would cancel has been answered
            answer = memoryview(_answer(act, request))
            while answer:
                answer = answer[answers.write(answer) :]
            gc.collect()  # now that nobody waits for it; what is left are modules, which need no second look
            gc.freeze()
    except Malformed as error:
        sys.stderr.write(f"ERROR: Not a request of Bazel's: {error}\n")
        return 1
    except BrokenPipeError:
        pass  # Bazel went away, and wants no answer
    return 0


def read_request(stream: BinaryIO) -> Request | None:
    """The next request; None at the end of the stream.

    Raises:
        Malformed: there is something else, or half a request.
    """
    length = _length(stream)
    if length is None:
        return None
    message = stream.read(length)
    if len(message) < length:
        raise Malformed(f"it ends after {len(message)} of {length} bytes")
    request = Request()
    for number, value in _fields(message):
        if isinstance(value, bytes):
            if number == _ARGUMENTS:
                request.arguments.append(value)
            elif number == _SANDBOX_DIR:
                request.sandbox_dir = value
        elif number == _REQUEST_ID:
            request.id = value
        elif number == _CANCEL:
            request.cancel = bool(value)
    return request


def response(status: int, output: bytes, request_id: int) -> bytes:
    """An answer with its length before it; ``output`` is UTF-8."""
    message = b""
    if status:
        message += b"\x08" + _varint(status)
    if output:
        message += b"\x12" + _varint(len(output)) + output
    if request_id:
        message += b"\x18" + _varint(request_id)
    return _varint(len(message)) + message


def _answer(act: Callable[[Sequence[bytes]], int], request: Request) -> bytes:
    said = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)
    with contextlib.redirect_stderr(said):
        try:
            if request.sandbox_dir:  # only for workers that answer several requests at once
                sys.stderr.write("ERROR: This worker has no sandboxes of its own\n")
                status = 1
            else:
                status = act(request.arguments)
        except Exception:  # an error of ours: it fails this action as it would fail a process, and no other
            traceback.print_exc()
            status = 1
    output = said.buffer
    output.seek(0)
    return response(status, output.read(), request.id)


def _pipes() -> tuple[BinaryIO, io.FileIO]:
    """Requests and answers. From here on nobody else reads the one or writes into the other, nor does a child."""
    requests, answers = os.fdopen(os.dup(0), "rb"), io.FileIO(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _length(stream: BinaryIO) -> int | None:
    """The length before a message; None at the end of the stream."""
    prefix = b""
    while not prefix or prefix[-1] & 0x80:
        byte = stream.read(1)
        if not byte and not prefix:
            return None
        if not byte or len(prefix) == 5:  # more than any length has
            raise Malformed("its length is broken off" if not byte else "its length is none")
        prefix += byte
    length, _ = _read_varint(prefix, 0)
    if length > _LARGEST:
        raise Malformed(f"it is of {length} bytes")
    return length


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message, in their order."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        number, kind = key >> 3, key & 7
        if not number or _KINDS.get(number, kind) != kind:
            raise Malformed(f"field {number} is of kind {kind}")
        if kind == _VARINT:
            value, at = _read_varint(message, at)
            yield number, value
            continue
        if kind == _LENGTH:
            length, at = _read_varint(message, at)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise Malformed(f"field {number} is of kind {kind}")
        if at + length > len(message):
            raise Malformed(f"field {number} is longer than the message")
        yield number, message[at : at + length]
        at += length


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at == len(data):
            raise Malformed("a number is broken off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 1 << 64:
                break
            return value, at
    raise Malformed("a number is too large")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
