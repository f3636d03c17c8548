"""Where the links of a capsule lead that nobody knows yet (``docs/format.md``, section 2.2).

The same judgement as :func:`capsule_builder.links.links_problems`, in bounded memory and time whatever they say.
"""

from __future__ import annotations

from capsule_builder.archive.damage import beyond, damaged
from capsule_builder.archive.listing_reader import Listing
from capsule_builder.errors import CapsuleError
from capsule_builder.paths import shown

MAX_HOPS = 40
MAX_STEPS = 500_000
"""The most names that are looked up to follow all links."""


class Walker:
    """Follows links through a listing, and counts the steps."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._steps = 0

    def check_links(self) -> None:
        """Refuses a link that leads out of the capsule, to nothing, or in a circle."""
        for line in self._listing.links():
            _, path, target = line[:-1].split(b"\t")
            if not target.startswith(b"/"):  # the interpreter contract: nothing to follow
                where = f"{shown(path.decode())} -> {shown(target.decode())}"
                self._follow(path.split(b"/")[:-1], target, 1, where)

    def file(self, path: str) -> bool:
        """Whether ``path`` leads to a file, or to the interpreter contract."""
        try:
            end = self._follow([], path.encode(), 0, shown(path))
        except CapsuleError:
            return False
        number = self._listing.find(end)
        return end.startswith(b"/") or (number >= 0 and self._listing[number].kind in {"file", "executable"})

    def _follow(self, here: list[bytes], target: bytes, hops: int, where: str) -> bytes:
        """The end of the way from the directory ``here`` to ``target``; empty for the capsule's top."""
        todo = target.split(b"/")[::-1]
        while todo:
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise beyond("limit-links", "Its links", MAX_STEPS, "steps to follow")
            part = todo.pop()
            if part in {b"", b".", b".."}:
                if here and not self._is_directory(b"/".join(here)):
                    raise damaged("link-dangling", f"Link points to nothing in the capsule: {where}")
                if part == b"..":
                    if not here:
                        raise damaged("link-escape", f"Link leaves the capsule: {where}")
                    here.pop()
                continue
            here.append(part)
            path = b"/".join(here)
            number = self._listing.find(path)
            if number < 0:
                if not self._listing.has_below(path):
                    raise damaged("link-dangling", f"Link points to nothing in the capsule: {where}")
                continue
            line = self._listing.line(number)
            if not line.startswith(b"# symlink\t"):
                continue
            hops += 1
            if hops > MAX_HOPS:
                raise damaged("link-cycle", f"Link leads to itself, or through more than {MAX_HOPS} links: {where}")
            onward = line[:-1].split(b"\t")[2]
            if onward.startswith(b"/"):
                if todo:
                    raise damaged("link-escape", f"Link leaves the capsule: {where}")
                return onward
            here.pop()
            todo += onward.split(b"/")[::-1]
        return b"/".join(here)

    def _is_directory(self, path: bytes) -> bool:
        number = self._listing.find(path)
        return self._listing.line(number).startswith(b"# dir\t") if number >= 0 else self._listing.has_below(path)
