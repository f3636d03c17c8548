"""Installs a capsule: from a file that nobody trusts to a release that is there whole, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from capsule_builder.archive.damage import labelled
from capsule_builder.archive.limits import MAX_LISTING
from capsule_builder.archive.listing_reader import Listing
from capsule_builder.archive.metadata_reader import read_metadata
from capsule_builder.archive.tar import MTIME
from capsule_builder.contents import Listed
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.manifest import Manifest, load
from capsule_builder.paths import CONTENTS_NAME, MANIFEST_NAME, METADATA_NAME, shown
from capsule_builder.signals import undisturbed
from capsule_builder.trust.minisign import Claim, PublicKey, Signature, key_id_text, verify_prehashed
from capsule_builder.trust.verify import read_signature
from capsule_deploy import durable, staging, units
from capsule_deploy.at_once import for_all
from capsule_deploy.known import STATE_NAME, Known, encode_states, state_of
from capsule_deploy.layout import SHORT, Layout
from capsule_deploy.locks import locked
from capsule_deploy.objects import Objects, mode_of, object_key
from capsule_deploy.policy import Policy, PolicyError, read_policy
from capsule_deploy.private_copy import PrivateCopy, copy_privately
from capsule_deploy.releases import RECEIPT_NAME, Receipt, ReceiptError, Release, encode_receipt, find, ids
from capsule_deploy.staging import Workspace
from capsule_deploy.trees import check_tree, make_tree
from capsule_deploy.trust import TrustError, read_keys
from capsule_deploy.unpacking import LISTING, METADATA, SIZES, Child, Source
from capsule_deploy.verify import damage, require_sound, verify_release

SIGNATURE_NAME = "signature.minisig"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 4096
_SPARE_INODES = 32


class SpaceError(CapsuleError):
    """There is no room on the disk."""


class HostError(CapsuleError):
    """The host is not set up for it."""


Progress = Callable[[str, int, int], object]
"""Told what is going on, how many bytes of it are done, and of how many."""


@dataclass(frozen=True)
class Installed:
    """What became of it: the release; whether it is new; bytes of files that were written, and how many were there.

    ``confined`` names what confined the process that unpacked it.
    """

    release: Release
    fresh: bool
    written: int
    new_files: int
    shared_files: int
    confined: Sequence[str]


def install(
    layout: Layout,
    path: str,
    *,
    progress: Progress = lambda _what, _done, _of: None,
    before_commit: Callable[[], object] = lambda: None,
    wait: bool = False,
) -> Installed:
    """Installs the capsule in the file ``path``, whose signature is ``<path>.minisig``.

    ``before_commit`` is called when nothing is left to do but to put the release in its place. When the release is
    there already, only its units are written; if its receipts are lost, they are made anew.

    Raises:
        TrustError, UnsignedError, SignatureError: it is not signed by whom the host trusts.
        PolicyError: the host's policy is against it.
        SpaceError: it would leave less room than the policy reserves.
        BusyError: another command is at work, and it is not to be waited for.
        DamagedError: it is installed, and not what it was.
        CapsuleError: it is no capsule, or a damaged one.
        OSError: something cannot be read or written; nothing is installed.
    """
    policy = read_policy(layout)
    keys = read_keys(layout)
    if not keys and not policy.unsigned:
        remedy = "Put the public keys of whoever signs your capsules there (*.pub)."
        raise TrustError([Problem("trust-none", f"No trusted key in {shown(layout.trust)}", remedy)])
    make_directories(layout)
    with locked(layout.lock, "the releases of this host", wait=wait):
        staging.sweep(layout)
        units.sweep(layout)
        with contextlib.ExitStack() as stack:
            with undisturbed():
                workspace = stack.enter_context(Workspace(layout))
            made = _Install(layout, path, policy, keys, workspace, progress).run(stack, before_commit)
        units.write(layout, made.release)
    return made


def make_directories(layout: Layout) -> None:
    """Makes the directories of the store, where they are missing.

    Raises:
        HostError: they are on several file systems, or others than root may write them.
        OSError: they cannot be made.
    """
    os.makedirs(layout.tori, 0o755, exist_ok=True)
    devices = set()
    for path, mode in (
        (layout.tori, 0o755),
        (layout.releases, 0o755),
        (layout.receipts, 0o755),
        (layout.objects, 0o700),
        (layout.staging, 0o700),
    ):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, mode)
        found = os.lstat(path)
        devices.add(found.st_dev)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {0, os.geteuid()} or found.st_mode & 0o022:
            remedy = f"It must be a directory that root alone can write: chown root and chmod go-w {shown(path)}."
            raise HostError([Problem("host-unguarded", f"Others may write it, or it is a link: {shown(path)}", remedy)])
    if len(devices) > 1:
        what = f"Not on one file system: releases, receipts, objects and staging of {shown(layout.tori)}"
        raise HostError([Problem("host-file-systems", what, "Mount one file system at /opt/tori, and none below it.")])


class _Install:
    """One install, step by step."""

    def __init__(
        self,
        layout: Layout,
        path: str,
        policy: Policy,
        keys: Sequence[PublicKey],
        workspace: Workspace,
        progress: Progress,
    ) -> None:
        self._layout = layout
        self._path = path
        self._label = shown(path)
        self._policy = policy
        self._keys = keys
        self._workspace = workspace
        self._progress = progress
        self._receipt_is_lost = False  # of a release that is there

    def run(self, stack: contextlib.ExitStack, before_commit: Callable[[], object]) -> Installed:
        """Does it all."""
        _require_file(self._path)
        signature, key = read_signature(self._path, self._keys, not self._policy.unsigned)
        copy = self._copy(stack)
        claim = self._verified(signature, key, copy)
        unpacked = self._workspace.directory("unpacked")
        inner = stack.enter_context(_opened(unpacked))
        source = Source(copy.fd, copy.size, self._label, claim is not None, self._policy.max_size)
        with contextlib.ExitStack() as alive:
            with undisturbed():  # or whoever asks us to stop just now would leave a child behind
                child = alive.enter_context(Child(source, inner))
            child.listing()
            listing = self._listing(inner, claim)
            release = self._there_already(listing.id)
            if release and claim:
                return Installed(release, False, 0, 0, listing.files, child.held)
            entries = list(listing)
            with Objects(self._layout) as objects:
                wanted, shared = self._missing(entries, objects)
                child.sizes()  # while the files that are there were looked up, the child has read the index
                if release:  # nobody but the reader can say that it is a capsule, to its end
                    child.unpack([], whole=True, progress=lambda _: None)
                    return Installed(release, False, 0, 0, listing.files, child.held)
                sizes = self._sizes(inner, entries)
                self._require_room(wanted, entries, sizes)
                total = sum(sizes[number] for number in wanted)
                tell = self._teller("unpacking", total)
                child.unpack(wanted, whole=claim is None or not shared, progress=tell)
                held = child.held
        self._hash_again(inner, entries, wanted, sizes)
        manifest = self._manifest(inner, entries, wanted, listing)
        if claim and (claim.name, claim.version) != (manifest.name, manifest.version):
            what = f"{self._label}: signature is that of another capsule: {claim}"
            raise TrustError([Problem("signature-other", what, "Fetch the archive and its signature again.")])
        receipt = Receipt(
            id=listing.id,
            app=manifest.name,
            version=manifest.version,
            files=listing.files,
            total_size=sum(sizes),
            archive_sha256=copy.sha256,
            archive_size=copy.size,
            signed_by=key_id_text(key.key_id) if key else None,
            trusted_comment=signature.trusted_comment if signature else None,
            installed=round(time.time(), 6),
        )
        self._write_receipt(inner, receipt, signature)
        self._make_tree(inner, entries, wanted)
        before_commit()
        release = Release(receipt, self._layout.release(listing.id))
        if self._receipt_is_lost:
            self._put_receipt_back(release)
            return Installed(release, False, 0, 0, listing.files, held)
        self._commit(listing.id)
        written = sum(sizes[number] for number in wanted)
        return Installed(release, True, written, len(wanted), listing.files - len(wanted), held)

    def _copy(self, stack: contextlib.ExitStack) -> PrivateCopy:
        with _opened(self._workspace.path) as place:
            size = os.stat(self._path).st_size
            tell = self._teller("reading", size)
            copy = copy_privately(self._path, place, self._policy.max_size, tell)
        stack.callback(os.close, copy.fd)
        return copy

    def _verified(self, signature: Signature | None, key: PublicKey | None, copy: PrivateCopy) -> Claim | None:
        """What the signature says the archive is, which is then true; None when there is none and need not be."""
        if signature is None or key is None:
            return None
        try:
            verify_prehashed(signature, copy.blake2b, key)
            return Claim.parse(signature.trusted_comment)
        except CapsuleError as refused:
            raise TrustError(labelled(refused, self._label).problems) from None

    def _listing(self, inner: int, claim: Claim | None) -> Listing:
        try:
            listing = Listing(_read(inner, LISTING))
        except CapsuleError as refused:
            raise labelled(refused, self._label) from None
        if claim and claim.id != listing.id:
            what = f"{self._label}: signature is that of another capsule: {claim}"
            raise TrustError([Problem("signature-other", what, "Fetch the archive and its signature again.")])
        return listing

    def _there_already(self, capsule_id: str) -> Release | None:
        if capsule_id in (present := ids(self._layout)):
            try:
                release = find(self._layout, capsule_id)
            except ReceiptError:
                self._receipt_is_lost = True
                return None
            require_sound(self._layout, release)
            return release
        for other in present:
            if other[:SHORT] == capsule_id[:SHORT]:
                what = f"{self._label}: its ID begins as that of another release does: {other}"
                remedy = "Have it built with any change, such as another version."
                raise PolicyError([Problem("release-clash", what, remedy)])
        return None

    def _sizes(self, inner: int, entries: Sequence[Listed]) -> Sequence[int]:
        sizes = array("Q")
        sizes.frombytes(_read(inner, SIZES))
        if len(sizes) != len(entries):
            raise CapsuleError([Problem("unpack-sizes", f"{self._label}: there are not as many sizes as files")])
        total = sum(sizes)
        if total > self._policy.max_size:
            what = f"{self._label}: unpacks to {total:,} bytes, and the host's policy allows {self._policy.max_size:,}"
            raise PolicyError([Problem("policy-size", what, "Raise max_size in its policy.")])
        return sizes

    def _missing(self, entries: Sequence[Listed], objects: Objects) -> tuple[list[int], int]:
        """The numbers of the files that the host does not have; and how many it has."""
        files = [number for number, entry in enumerate(entries) if entry.kind in {"file", "executable"}]
        if not self._policy.object_store:
            return files, 0
        known = Known(self._layout)
        seen: set[str] = set()
        wanted: list[int] = []
        for number in files:
            entry = entries[number]
            key = object_key(entry)
            if key not in seen:
                seen.add(key)
                if not _has(objects, key, entry.detail, known):
                    wanted.append(number)
        return wanted, len(seen) - len(wanted)

    def _require_room(self, wanted: Sequence[int], entries: Sequence[Listed], sizes: Sequence[int]) -> None:
        disk = os.statvfs(self._workspace.path)
        directories = len({entry.path.rpartition("/")[0] for entry in entries})
        others = directories + sum(entry.kind in {"symlink", "dir"} for entry in entries)
        reserve = self._policy.reserve
        needed = sum(sizes[number] + _BLOCK for number in wanted) + others * _BLOCK + reserve.bytes
        free = disk.f_bavail * disk.f_frsize
        remedy = "Remove old releases (`capsdeploy gc`), or lower the reserve in the host's policy."
        if needed > free:
            what = f"{self._label}: {needed:,} bytes must be free, with the reserve of the host's policy; {free:,} are"
            raise SpaceError([Problem("space-bytes", what, remedy)])
        inodes = len(wanted) + others + _SPARE_INODES + reserve.inodes
        if disk.f_files and inodes > disk.f_favail:  # some file systems have no such number
            what = f"{self._label}: {inodes:,} inodes must be free, with the reserve; {disk.f_favail:,} are"
            raise SpaceError([Problem("space-inodes", what, remedy)])

    def _hash_again(self, inner: int, entries: Sequence[Listed], wanted: Sequence[int], sizes: Sequence[int]) -> None:
        """Reads what the child wrote, now that it is dead, and holds it against the listing."""
        tell = self._teller("checking", sum(sizes[number] for number in wanted))

        def check(number: int) -> None:
            _require_content(inner, number, entries[number])
            tell(sizes[number])

        for_all(wanted, check)

    def _manifest(self, inner: int, entries: Sequence[Listed], wanted: Sequence[int], listing: Listing) -> Manifest:
        number = listing.find(MANIFEST_NAME.encode())
        if number in set(wanted):
            data = _read(inner, str(number))
        else:
            with Objects(self._layout) as objects, os.fdopen(objects.open(object_key(entries[number])), "rb") as file:
                data = file.read()
        if hashlib.sha256(data).hexdigest() != entries[number].detail:
            raise CapsuleError([Problem("content-hash", f"{self._label}: not what the listing says: {MANIFEST_NAME}")])
        manifest, _ = load(data, f"{self._label}/{MANIFEST_NAME}")
        metadata = read_metadata(_read(inner, METADATA))
        if (metadata["name"], metadata["version"]) != (manifest.name, manifest.version):
            what = f"{self._label}: its metadata and its manifest name different capsules"
            raise CapsuleError([Problem("metadata-manifest", what)])
        return manifest

    def _write_receipt(self, inner: int, receipt: Receipt, signature: Signature | None) -> None:
        place = self._workspace.directory(staging.RECEIPT, 0o755)
        with _opened(place) as directory:
            for name, own in ((LISTING, CONTENTS_NAME), (METADATA, METADATA_NAME)):
                os.rename(name, own, src_dir_fd=inner, dst_dir_fd=directory)
                with _opened_file(directory, own) as fd:
                    os.fchmod(fd, 0o444)
                    os.utime(fd, (MTIME, MTIME))
            os.fchmod(directory, 0o755)
        durable.write_file(os.path.join(place, RECEIPT_NAME), encode_receipt(receipt))
        if signature:
            durable.write_file(os.path.join(place, SIGNATURE_NAME), signature.format())

    def _make_tree(self, inner: int, entries: Sequence[Listed], wanted: Sequence[int]) -> None:
        """Makes the tree of what was unpacked and what was there, looks at it, and makes it all last."""
        place = self._workspace.directory(staging.TREE)
        share = self._policy.object_store
        new = {object_key(entries[number]): str(number) for number in wanted} if share else {}
        times = (MTIME, MTIME)
        for number in wanted:
            with _opened_file(inner, str(number)) as fd:
                os.fchmod(fd, mode_of(entries[number]))
                os.utime(fd, times)
        with Objects(self._layout) as objects, _opened(place) as top:

            def put(number: int, directory: int, name: str) -> None:
                if not share:
                    os.rename(str(number), name, src_dir_fd=inner, dst_dir_fd=directory)
                    return
                key = object_key(entries[number])
                if (unpacked := new.pop(key, None)) is not None:
                    objects.put(inner, unpacked, key)
                objects.link(key, directory, name)

            make_tree(top, entries, put)
            with _opened(self._workspace.inner(staging.RECEIPT)) as receipt:
                for name in (CONTENTS_NAME, METADATA_NAME):
                    os.link(name, name, src_dir_fd=receipt, dst_dir_fd=top, follow_symlinks=False)
            os.fchmod(top, 0o555)
            found, problems = check_tree(top, entries)
            if problems:
                raise CapsuleError(problems)
        states = [state_of(found[number]) for number in sorted(found)]
        state = os.path.join(self._workspace.inner(staging.RECEIPT), STATE_NAME)
        durable.write_file(state, encode_states(states))
        durable.sync_file_system(place)

    def _commit(self, capsule_id: str) -> None:
        """Puts the receipts in their place, and then the release; neither, when one of them fails."""
        places = (
            (self._workspace.inner(staging.RECEIPT), self._layout.receipt(capsule_id)),
            (self._workspace.inner(staging.TREE), self._layout.release(capsule_id)),
        )
        with undisturbed():
            try:
                for source, target in places:
                    durable.rename_new(source, target)
            except OSError:
                for source, target in reversed(places):
                    with contextlib.suppress(OSError):
                        if not os.path.lexists(source):
                            os.rename(target, source)
                raise

    def _put_receipt_back(self, release: Release) -> None:
        """Has a release whose receipts are lost get new ones; then they tell whether it is what it was."""
        new, place = self._workspace.inner(staging.RECEIPT), self._layout.receipt(release.id)
        os.unlink(os.path.join(new, STATE_NAME))  # that of the tree that was made to no purpose
        with undisturbed():
            if os.path.lexists(place):
                os.rename(place, self._workspace.inner("lost"))
            durable.rename_new(new, place)
        staging.remove_tree(
            self._workspace.inner(staging.TREE)
        )  # before its files are looked at, which it has links to
        verdict = verify_release(self._layout, release, full=True)
        if verdict.problems:
            raise damage(verdict)

    def _teller(self, what: str, total: int) -> Callable[[int], None]:
        done = 0

        def tell(size: int) -> None:
            nonlocal done
            done += size
            self._progress(what, done, total)

        return tell


def _require_file(path: str) -> None:
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise CapsuleError([Problem("archive-missing", f"No such file: {shown(path)}", "Name a capsule.")]) from None
    if not stat.S_ISREG(found.st_mode):
        raise CapsuleError([Problem("archive-special", f"Not a regular file: {shown(path)}", "Name a capsule.")])


def _has(objects: Objects, key: str, digest: str, known: Known) -> bool:
    """Whether the store has the file, and what it has is sound."""
    found = objects.stat(key)
    if found is None:
        return False
    if known.holds(state_of(found), digest.encode()):
        return True
    with os.fdopen(objects.open(key), "rb") as file:
        return _digest(file.fileno()) == digest


def _require_content(inner: int, number: int, entry: Listed) -> None:
    with _opened_file(inner, str(number)) as fd:
        if _digest(fd) != entry.detail:
            raise CapsuleError([Problem("unpack-content", f"Not what the listing says: {shown(entry.path)}")])


def _digest(fd: int) -> str:
    digest = hashlib.sha256()
    while piece := os.read(fd, 1 << 20):
        digest.update(piece)
    return digest.hexdigest()


def _read(directory: int, name: str) -> bytes:
    """What of a file any capsule may have."""
    with _opened_file(directory, name) as fd, os.fdopen(os.dup(fd), "rb") as file:
        return file.read(MAX_LISTING + 1)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    fd = os.open(path, _DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _opened_file(directory: int, name: str) -> Iterator[int]:
    """A plain file, which has no other name; nothing else is waited for."""
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise CapsuleError([Problem("unpack-content", f"Not a plain file: {shown(name)}")])
        yield fd
    finally:
        os.close(fd)
