"""Archives that are small, or sound as far as they go, and would take all memory or all day if a reader let them."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from tests.format import second
from tests.reader.corpus import split_head, zeros
from tests.reader.forge import LARGE, MANIFEST, TAIL, Forge, One, member, small, with_entries

BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {}


def bomb(name: str, code: str, archive: Callable[[], bytes]) -> None:
    BOMBS[name] = code, archive


def claims(listing: bytes) -> bytes:
    """An archive with a listing, and no more than a head."""
    sound = split_head(Forge().build())
    tar = second.tar_entry(".capsule_contents", "file", listing)
    heads = [sound[0], *(quick_member(tar[at : at + LARGE]) for at in range(0, len(tar), LARGE)), sound[2]]
    return b"".join(heads) + TAIL


def quick_member(plain: bytes) -> bytes:
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    body = deflate.compress(plain) + deflate.flush()
    return member(b"")[:10] + body + zlib.crc32(plain).to_bytes(4, "little") + len(plain).to_bytes(4, "little")


def lines(made: Iterable[str]) -> bytes:
    return b"# capsule-contents v1\n" + "".join(made).encode()


DIGEST = re.compile(rb"(# layer\tapp\t)[0-9a-f]{64}")
FILE = "0" * 64 + "  "
STEPS = "/".join(["d", ".."] * 600)


def links() -> bytes:
    """Forty links that each take twelve hundred steps, and thousands that lead into the first."""
    chain = [
        One(f"l{n:02}", "symlink", f"{STEPS}/{f'l{n + 1:02}' if n < 38 else 'start.sh'}".encode()) for n in range(39)
    ]
    many = [One(f"m{n:04}", "symlink", b"l00") for n in range(1000)]
    return with_entries(*chain, *many, One("d/x", "file", b""))


def patterns(text: str, count: int) -> bytes:
    quoted = "".join(f"  - '{text}{number}'\n" for number in range(count))
    manifest = MANIFEST + b"executables:\n" + quoted.encode()
    return with_entries(One("capsule.yml", "file", manifest), without="capsule.yml")


def deep_patterns() -> bytes:
    """A pattern that looks far back, and thousands of files two thousand directories down."""
    manifest = MANIFEST + b"executables:\n  - '" + b"*a" * 99 + b"b'\n"
    deep = [One(f"{'a/' * 2000}{n}", "file") for n in range(1000)]
    return with_entries(One("capsule.yml", "file", manifest), *deep, without="capsule.yml")


def zero_file(size: int, there: int | None = None) -> bytes:
    """A capsule with a file of zeros, in a member of its own; sound unless only some of them are ``there``."""
    there = size if there is None else there
    digest = hashlib.sha256()
    for _ in range(there // LARGE):
        digest.update(bytes(LARGE))
    entries = [*small(), One("zeros", "file")]
    head = second.header("zeros", "file", size, "")
    digest_line = f"{digest.hexdigest()}  zeros\n"
    empty = f"{hashlib.sha256().hexdigest()}  zeros\n"

    # What is forged has an empty file; all that names it is mended.
    def fragment(plains: list[bytes]) -> list[bytes]:
        return [plains[0][:-512] + head, b"zeros"]

    def true_listing(text: bytes) -> bytes:
        return text.replace(empty.encode(), digest_line.encode())

    made = zeros(there)

    def index(text: bytes) -> bytes:
        text = text.replace(b"\t5\n", b"\t%d\n" % size).replace(b"\t0\tzeros", b"\t%d\tzeros" % size)
        return DIGEST.sub(rb"\g<1>" + layer_digest.encode(), text, count=1)

    layer_digest = hashlib.sha256(true_listing(second.listing([(o.path, o.kind, o.data) for o in entries]))).hexdigest()

    def metadata(document: dict[str, Any]) -> None:
        document["total_size"] += size
        document["layers"][0]["total_size"] += size
        document["layers"][0]["digest"] = layer_digest

    return Forge(
        [("app", entries)],
        listing=true_listing,
        index=index,
        metadata=metadata,
        fragment=fragment,
        member=lambda plain: made if plain == b"zeros" else member(plain),
    ).build()


bomb("three million directories", "limit-entries", lambda: claims(lines(f"# dir\t{n:07}\n" for n in range(3_000_000))))
bomb(
    "directories within directories",
    "limit-entries",
    lambda: claims(lines(f"# dir\t{n:04}{'/a' * 2000}\n" for n in range(5000))),
)
bomb("names that begin alike", "index-unlisted", lambda: claims(lines(alike())))
bomb("links that take long", "limit-links", links)
bomb("patterns that take long", "limit-patterns", lambda: patterns("*a" * 500, 900))
bomb("patterns of deep paths", "limit-patterns", deep_patterns)
bomb("patterns as long as may be", "sound", lambda: patterns("*a" * 500, 32))
bomb("a gibibyte of zeros", "sound", lambda: zero_file(1 << 30))
bomb(
    "a listing as long as may be", "index-unlisted", lambda: claims(lines(f"{FILE}{n:042}\n" for n in range(1_000_000)))
)


def alike() -> Iterable[str]:
    """Every beginning of a long path is a name too, but for those that end a part; then many names below."""
    parts = [chr(97 + n) * 254 for n in range(15)]
    path = ""
    for part in parts:
        for end in range(1, len(part)):
            yield f"# dir\t{path}{part[:end]}\n"
        path += f"{part}/"
    for number in range(11_000):
        yield f"# dir\t{path}{number:05}\n"
