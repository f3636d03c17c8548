"""Some entries of a capsule, read without the rest: the same as when everything is read."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

from capsule_builder.archive.chosen_reader import chosen_entries
from capsule_builder.archive.reader import CapsuleReader
from capsule_builder.errors import CapsuleError
from tests.format import vectors
from tests.reader.forge import Forge, One, member, small

ARCHIVES = sorted(vectors.DIRECTORY.glob("*/capsule.tar.gz"))


def whole(data: bytes) -> dict[str, tuple[str, str, bytes]]:
    reader = CapsuleReader(io.BytesIO(data), label="it")
    found = {}
    for entry in reader.entries():
        content = b"".join(entry.chunks())
        if entry.first:
            found[entry.path] = (entry.kind, entry.target, content)
    reader.finish()
    return found


def some(data: bytes, wanted: set[int]) -> dict[str, tuple[str, str, bytes]]:
    reader = CapsuleReader(io.BytesIO(data), label="it")
    found = {}
    for entry in chosen_entries(reader, io.BytesIO(data), reader.position, wanted):
        assert entry.path not in found
        found[entry.path] = (entry.kind, entry.target, b"".join(entry.chunks()))
    return found


def paths(data: bytes) -> list[str]:
    return [entry.path for entry in CapsuleReader(io.BytesIO(data), label="it").listing]


def cut() -> bytes:
    """A capsule whose only layer is cut into many members, some of them in the middle of a file."""
    entries = sorted(
        [*small(), *(One(f"file{number:03}", "file", bytes([number]) * (number * 97)) for number in range(60))],
        key=lambda one: one.path,
    )

    def fragment(plains: list[bytes]) -> list[bytes]:
        return [plain[at : at + 2560] for plain in plains for at in range(0, len(plain), 2560)]

    return Forge([("app", entries)], fragment=fragment).build()


@pytest.mark.parametrize("archive", [*ARCHIVES, None], ids=lambda path: path.parent.name if path else "cut")
def test_any_choice_gives_what_reading_everything_gives(archive: Path | None) -> None:
    data = archive.read_bytes() if archive else cut()
    everything, names = whole(data), paths(data)
    chance = random.Random(1)
    choices = [set(), set(range(len(names))), *({number} for number in range(min(len(names), 80)))]
    choices += [set(chance.sample(range(len(names)), chance.randint(0, len(names)))) for _ in range(20)]
    for wanted in choices:
        expected = {names[number]: everything[names[number]] for number in wanted}
        assert some(data, wanted) == expected


def test_what_is_chosen_is_checked() -> None:
    def spoiled(plain: bytes) -> bytes:
        return member(plain.replace(b"started", b"stopped"))

    data = Forge(member=spoiled).build()
    names = paths(data)
    with pytest.raises(CapsuleError, match="not what the listing says"):
        some(data, {names.index("start.sh")})
    assert list(some(data, {names.index("data/table.txt")})) == ["data/table.txt"]
