"""The archive's place: refused when nothing can be put there, and filled whole or not at all."""

from __future__ import annotations

import contextlib
import os
from types import TracebackType
from typing import BinaryIO

from capsule_builder.errors import refusal
from capsule_builder.paths import shown
from capsule_builder.signals import undisturbed
from capsule_builder.sources.tree import Tree


class NewFile:
    """Writes ``path`` beside its place and renames it there on :meth:`commit`.

    Leaving the context without a commit removes what was written; an older file of that name stays as it was. The
    file has the mode that the umask leaves, unless it is ``private``: then it is 0600 from its first byte on.
    """

    def __init__(self, path: str, *, private: bool = False) -> None:
        self.path = path
        self._private = private
        directory, name = os.path.split(path)
        self._partial = os.path.join(directory, f".{name[:50]}.{os.urandom(8).hex()}.partial")
        self.file: BinaryIO = os.fdopen(_made(self._partial), "w+b")
        self._done = False

    def commit(self, *, replace: bool = True) -> None:
        """Puts the finished file in its place.

        Raises:
            FileExistsError: there is one of that name, and it is not to be replaced.
        """
        self.file.close()
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(self._partial, 0o600 if self._private else 0o666 & ~mask)
        if replace:
            os.replace(self._partial, self.path)
            self._done = True
        else:
            os.link(self._partial, self.path)  # a rename would replace whatever came meanwhile

    def __enter__(self) -> NewFile:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if not self._done:
            with undisturbed():
                with contextlib.suppress(OSError):  # what could not be flushed is not wanted any more
                    self.file.close()
                with contextlib.suppress(FileNotFoundError):  # stopped just after it was put in its place
                    os.unlink(self._partial)


def _made(path: str) -> int:
    """A descriptor of a file that was not there before, for its owner alone."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def commit_together(*files: NewFile, replace: bool = True) -> None:
    """Puts files in their places, one after another: the last never appears without the others.

    Raises:
        OSError: one of them cannot be put there; none is left behind.
    """
    with contextlib.ExitStack() as undo:
        for file in files:
            file.commit(replace=replace)
            undo.callback(os.unlink, file.path)
        undo.pop_all()


def check_output(output: str, tree: Tree | None) -> None:
    """Refuses a place where no file can be put, or where it would become part of ``tree``, a directory.

    Raises:
        CapsuleError: the place is refused.
    """
    place = os.path.dirname(output) or "."
    if os.path.basename(output) == "-":
        raise refusal("output-special", "Output cannot be standard output: -", "Name a file.")
    if os.path.islink(output):  # replacing the link, or what it leads to, could both be meant
        raise refusal("output-special", f"Output is a symbolic link: {shown(output)}", "Name the file it leads to.")
    if os.path.isdir(output):
        raise refusal("output-directory", f"Output is a directory: {shown(output)}", "Name a file in it.")
    if os.path.exists(output) and not os.path.isfile(output):
        raise refusal("output-special", f"Output is not a regular file: {shown(output)}", "Name another.")
    if not os.path.isdir(place):
        raise refusal(
            "output-missing", f"Output directory not found: {shown(place)}", "Make it first, or name another."
        )
    if not tree:
        return
    relative = os.path.relpath(os.path.realpath(place), os.path.realpath(tree.root))
    if relative != os.pardir and not relative.startswith(os.pardir + os.sep):
        path = os.path.normpath(os.path.join(relative, os.path.basename(output)))
        if not tree.ignored(path):
            raise refusal(
                "output-inside",
                f"Output lies inside the source directory: {shown(output)}",
                "It would become part of the next capsule. Give --output another place, or exclude it in"
                " .capsuleignore (for instance: /capsule-*.tar.gz).",
            )
