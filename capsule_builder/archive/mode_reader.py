"""Whether a file's content makes it executable, told while the content goes by (``docs/format.md``, section 2.3)."""

from __future__ import annotations

from typing import BinaryIO

from capsule_builder.elf import ET_DYN, read_header
from capsule_builder.modes import is_program

_HEAD = 64  # what of a file tells whether it is a script or an ELF file
_NEAR = 1 << 16  # where nearly every ELF file has its tables


class _BeyondError(Exception):
    """The answer depends on bytes that have not come yet."""

    def __init__(self, size: int, offset: int) -> None:
        super().__init__()
        self.size = size
        self.offset = offset


class ModeReader:
    """Told of the pieces of one file, says at the end whether it is a script or a program.

    It keeps the beginning and the one part that matters; all of a file only when its tables lie in a strange order,
    and then on disk.
    """

    def __init__(self) -> None:
        self._first = bytearray()
        self._size = 0
        self._answer: bool | None = None
        self._wanted: tuple[int, int] | None = None  # the part from here to there, which was asked for and not there
        self._part = bytearray()
        self._whole: BinaryIO | None = None

    def feed(self, piece: bytes | bytearray, *, last: bool = False) -> None:
        """Takes the next piece of the file; the first may be the ``last`` one too."""
        if last and not self._size:
            self._answer = is_program(bytes(piece[:_HEAD]), lambda size, at: bytes(piece[at : at + size]))
            return
        start, self._size = self._size, self._size + len(piece)
        if self._answer is not None:
            return
        if self._whole:
            self._whole.write(piece)
        elif self._wanted:
            self._part += piece[max(0, self._wanted[0] - start) : max(0, self._wanted[1] - start)]
        else:
            self._first += piece
            if len(self._first) >= _HEAD:
                self._begin()

    def executable(self) -> bool:
        """Whether it is a script or a program, now that all of it has come."""
        if self._answer is None:
            self._answer = is_program(bytes(self._first[:_HEAD]), self._read_at)
        self.close()
        return self._answer

    def close(self) -> None:
        """Gives back what was kept."""
        if self._whole:
            self._whole.close()
            self._whole = None

    def _begin(self) -> None:
        """Decides, or finds out what is needed for that."""
        header = read_header(bytes(self._first[:_HEAD]))
        if header and header.type == ET_DYN and len(self._first) < _NEAR:
            return  # wait for some more
        try:
            self._answer = is_program(bytes(self._first[:_HEAD]), self._read_so_far)
        except _BeyondError as beyond:
            if header and beyond.offset == header.table:  # what that table leads to may have gone by when it comes
                import tempfile  # it takes long, and few need it

                self._whole = tempfile.TemporaryFile()  # noqa: SIM115
                self._whole.write(self._first)
            else:
                self._wanted = beyond.offset, beyond.offset + beyond.size
                self._part += self._first[self._wanted[0] : self._wanted[1]]

    def _read_so_far(self, size: int, offset: int) -> bytes:
        if offset + size > len(self._first):
            raise _BeyondError(size, offset)
        return bytes(self._first[offset : offset + size])

    def _read_at(self, size: int, offset: int) -> bytes:
        if self._whole:
            if offset >= self._size:
                return b""  # the system refuses to go to where no file of its can reach
            self._whole.seek(offset)
            return self._whole.read(size)
        if self._wanted == (offset, offset + size):
            return bytes(self._part)
        return bytes(self._first[offset : offset + size])
