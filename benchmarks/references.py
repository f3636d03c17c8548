"""Programs that do the least there is to do, with libdeflate on two threads: what ours are measured against.

``references.py deflate IN OUT`` reads blocks of 1 MiB, deflates them at level 6 and writes them. ``references.py
inflate ARCHIVE MEMBERS`` inflates every gzip member and takes its SHA-256; MEMBERS is a JSON list of their offsets,
sizes and inflated sizes, in bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import deflate

_BLOCK = 1 << 20
_HEADER, _TRAILER = 10, 8


def deflate_file(source: str, target: str) -> None:
    """Deflates a file in blocks."""
    waiting: deque[Future[bytearray]] = deque()
    with open(source, "rb", buffering=0) as file, open(target, "wb") as out, ThreadPoolExecutor(2) as pool:
        while block := file.read(_BLOCK):
            waiting.append(pool.submit(deflate.deflate_compress, block, 6))
            if len(waiting) > 6:
                out.write(waiting.popleft().result())
        while waiting:
            out.write(waiting.popleft().result())


def inflate_members(archive: str, members: str) -> None:
    """Inflates and hashes all members."""
    with open(members, encoding="utf-8") as file:
        left = iter(json.load(file))  # both threads take from it
    fd = os.open(archive, os.O_RDONLY)

    def work() -> None:
        for offset, size, plain_size in left:
            data = os.pread(fd, size - _HEADER - _TRAILER, offset + _HEADER)
            plain = deflate.deflate_decompress(data, plain_size)
            if len(plain) != plain_size:
                raise ValueError(f"not {plain_size} bytes: the member at {offset}")
            hashlib.sha256(plain).digest()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work), pool.submit(work)]:
            done.result()


if __name__ == "__main__":
    {"deflate": deflate_file, "inflate": inflate_members}[sys.argv[1]](sys.argv[2], sys.argv[3])
