"""Marshalled code objects in one form, whatever process wrote them. Pure.

What ``marshal`` writes depends on more than the code: on which objects happen to be shared or interned, on the order in
which a frozenset iterates, on what the process did before. Here its stream is read into a tree and written again:

- Equal objects are shared, by type and bytes, from the first place where they stand; what is shorter than a reference
  is written out. Code objects, and tuples that hold them, are not shared.
- A string is interned when it holds nothing but ``[A-Za-z0-9_]``, which CPython interns in any code, or when some code
  of the same module has it for a name.
- The elements of a frozenset are sorted by their bytes.

The format is that of CPython's ``Python/marshal.c``, versions 4 and 5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SINCE_3_11 = "iiiii" + "oo" + "nn" + "oo" + "nn" + "i" + "oo"
LAYOUTS = {
    "3.10": "iiiiii" + "oo" + "nnnn" + "o" + "n" + "i" + "o",
    "3.11": _SINCE_3_11,
    "3.12": _SINCE_3_11,
    "3.13": _SINCE_3_11,
    "3.14": _SINCE_3_11,
}
"""The fields of a code object, by Python: ``i`` an integer, ``o`` an object, ``n`` a name or a tuple of names."""

MAX_DEPTH = 256
"""Objects within objects. A module of 100 functions in one another has 202; CPython itself reads 2,000."""

_FLAG_REF = 0x80
_REFERENCE_SIZE = 5  # bytes
_SIZES = {**dict.fromkeys(b"NFT.S", 0), ord("i"): 4, ord("g"): 8, ord("y"): 16}
_NAME_CHARACTERS = re.compile(rb"[A-Za-z0-9_]*")
_PLAIN = {ord("Z"): b"z", ord("A"): b"a", ord("t"): b"u"}
_INTERNED = {ord("z"): (b"Z", 2), ord("a"): (b"A", 5), ord("u"): (b"t", 5)}  # and where the text begins


class UnknownForm(ValueError):
    """Not what ``marshal`` writes for a module's code in the Python given."""


class TooDeep(ValueError):
    """Nested deeper than :data:`MAX_DEPTH`."""


def canonical(data: bytes, python: str) -> bytes:
    """``data``, a marshalled code object of ``python`` (``"3.11"``), in the one form; it loads to an equal object.

    Raises:
        UnknownForm: it is not such a thing.
        TooDeep: its objects are nested too deeply.
    """
    reader = _Reader(data, LAYOUTS[python])
    try:
        tree = reader.read(0)
    except IndexError:
        raise UnknownForm("the data ends too early") from None
    if reader.at != len(data) or not isinstance(tree, _Code):
        raise UnknownForm("the data is not one code object")
    writer = _Writer(reader.layout, reader.names)
    writer.put(tree)
    return writer.data()


@dataclass(frozen=True, slots=True)
class _Collection:
    """A tuple, frozenset or slice; ``flat`` is all of it without references, None when there is code in it."""

    head: bytes
    items: list[_Node]
    flat: bytes | None


@dataclass(frozen=True, slots=True)
class _Code:
    fields: list[_Node]
    """One for each letter of the layout; an integer is its four bytes."""


_Node = bytes | _Collection | _Code
"""Bytes are those of anything that holds no other object; of a string, as if it were not interned."""


class _Reader:
    def __init__(self, data: bytes, layout: str) -> None:
        self.data = data
        self.at = 0
        self.layout = layout
        self.references: list[_Node | None] = []
        self.names: set[bytes] = set()

    def read(self, depth: int) -> _Node:
        """The next object."""
        data, begin = self.data, self.at
        kind = data[begin] & ~_FLAG_REF
        self.at = begin + 1
        if kind == 0x72:  # r
            number = self._number()
            node = self.references[number] if 0 <= number < len(self.references) else None
            if node is None:
                raise UnknownForm("a reference to nothing that is whole")
            return node
        slot = None
        if data[begin] & _FLAG_REF:  # numbered in the order in which they begin
            slot = len(self.references)
            self.references.append(None)
        if kind in _SIZES:
            self.at += _SIZES[kind]
            node = bytes((kind,)) + data[begin + 1 : self.at]
        elif kind in b"zZ":
            self.at = begin + 2 + data[begin + 1]
            node = b"z" + data[begin + 1 : self.at]
        elif kind in b"saAut":
            size = self._number()
            self.at += size
            node = _PLAIN.get(kind, bytes((kind,))) + data[begin + 1 : self.at]
        elif kind == 0x6C:  # l: so many digits of two bytes, the sign is the number's
            digits = abs(self._number())
            self.at += 2 * digits
            node = b"l" + data[begin + 1 : self.at]
        elif depth == MAX_DEPTH:
            raise TooDeep(f"objects are nested {MAX_DEPTH} deep")
        elif kind == 0x63:  # c
            node = self._code(depth + 1)
        else:
            node = self._collection(kind, depth + 1)
        if slot is not None:
            self.references[slot] = node
        return node

    def _number(self) -> int:
        self.at += 4
        if self.at > len(self.data):
            raise UnknownForm("the data ends too early")
        return int.from_bytes(self.data[self.at - 4 : self.at], "little", signed=True)

    def _collection(self, kind: int, depth: int) -> _Collection:
        begin = self.at
        if kind == 0x29:  # )
            count = self.data[begin]
            self.at += 1
        elif kind in b"(>":
            count = self._number()
        elif kind == 0x3A:  # :
            count = 3
        else:
            raise UnknownForm(f"an object of the unknown type {chr(kind)!r}")
        head = bytes((kind,)) + self.data[begin : self.at]
        items = [self.read(depth) for _ in range(count)]
        flats = [flat for item in items if (flat := _flat(item)) is not None]
        if kind == 0x3E:  # >
            if len(flats) != len(items):
                raise UnknownForm("a frozenset holds code")
            items = [item for _, item in sorted(zip(flats, items, strict=True), key=lambda pair: pair[0])]
            flats.sort()
        return _Collection(head, items, head + b"".join(flats) if len(flats) == len(items) else None)

    def _code(self, depth: int) -> _Code:
        fields: list[_Node] = []
        for letter in self.layout:
            if letter == "i":
                self.at += 4
                fields.append(self.data[self.at - 4 : self.at])
                continue
            field = self.read(depth)
            fields.append(field)
            if letter == "n":
                names = field.items if isinstance(field, _Collection) else [field]
                self.names.update(name for name in names if isinstance(name, bytes))
        return _Code(fields)


def _flat(node: _Node) -> bytes | None:
    if isinstance(node, bytes):
        return node
    return node.flat if isinstance(node, _Collection) else None


class _Writer:
    def __init__(self, layout: str, names: set[bytes]) -> None:
        self.layout = layout
        self.names = names
        self.pieces: list[bytes | int] = []  # a number refers to the piece at that place
        self.places: dict[bytes, int] = {}

    def put(self, node: _Node) -> None:
        """Adds an object, or a reference to an equal one."""
        if isinstance(node, _Code):
            self.pieces.append(b"c")
            for letter, field in zip(self.layout, node.fields, strict=True):
                if letter == "i" and isinstance(field, bytes):
                    self.pieces.append(field)
                else:
                    self.put(field)
            return
        flat = _flat(node)
        if flat is not None and len(flat) >= _REFERENCE_SIZE:
            place = self.places.setdefault(flat, len(self.pieces))
            if place != len(self.pieces):
                self.pieces.append(place)
                return
        if isinstance(node, _Collection):
            self.pieces.append(node.head)
            for item in node.items:
                self.put(item)
        else:
            self.pieces.append(self._interned(node))

    def _interned(self, leaf: bytes) -> bytes:
        if leaf[0] in _INTERNED:
            letter, begin = _INTERNED[leaf[0]]
            if leaf in self.names or _NAME_CHARACTERS.fullmatch(leaf, begin):
                return letter + leaf[1:]
        return leaf

    def data(self) -> bytes:
        """All of it; what is referred to is numbered in the order in which it stands."""
        shared = {piece for piece in self.pieces if isinstance(piece, int)}
        numbers: dict[int, int] = {}
        out = bytearray()
        for place, piece in enumerate(self.pieces):
            if isinstance(piece, int):
                out += b"r" + numbers[piece].to_bytes(4, "little")
                continue
            if place in shared:
                numbers[place] = len(numbers)
                out.append(piece[0] | _FLAG_REF)
                out += piece[1:]
            else:
                out += piece
        return bytes(out)
