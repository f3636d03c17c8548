"""What runs in the Python that is compiled for: sources come in, marshalled code goes out. Imports next to nothing.

It first writes what it is, on five lines. A request is the lengths of the name and of the source, then both; an answer
is a length, then the source's hash (8 bytes, PEP 552) and the code. The length is 0 when the source does not compile.
Lengths are of eight bytes, little-endian.
"""

import _frozen_importlib_external as importing
import _imp
import marshal
import sys


def main() -> None:
    """Answers until the input ends."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    magic: bytes = importing.MAGIC_NUMBER
    release = sys.version.split()[0]
    lines = [sys.implementation.name, release, sys.implementation.cache_tag, sys.abiflags, magic.hex()]
    answers.write("".join(f"{line}\n" for line in lines).encode())
    answers.flush()
    key = int.from_bytes(magic, "little")
    while head := requests.read(16):
        name = requests.read(int.from_bytes(head[:8], "little")).decode("utf-8", "surrogateescape")
        source = requests.read(int.from_bytes(head[8:], "little"))
        try:
            code = compile(source, name, "exec", dont_inherit=True, optimize=0)
            answer = _imp.source_hash(key, source) + marshal.dumps(code)
        except Exception:  # a template, the syntax of another Python, too deep: pip leaves such a file as it is, too
            answer = b""
        answers.write(len(answer).to_bytes(8, "little") + answer)
        answers.flush()


main()
