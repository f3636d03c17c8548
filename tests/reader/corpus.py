"""Archives that only look like capsules: each with the code of its refusal, and made when it is asked for."""

from __future__ import annotations

import bz2
import json
import lzma
import struct
import zlib
from collections.abc import Callable
from typing import Any

from tests.format import second
from tests.format.vectors import ELF_EXEC
from tests.reader.forge import GZIP, LARGE, MANIFEST, TAIL, Forge, One, edited, member, small, with_change, with_entries

Archive = Callable[[], bytes]
CORPUS: dict[str, tuple[str, Archive]] = {}


def hostile(name: str, code: str, archive: Archive) -> None:
    assert name not in CORPUS
    CORPUS[name] = code, archive


def sound() -> bytes:
    return Forge().build()


# Containers: gzip


def flipped(at: int, new: bytes) -> Archive:
    def make() -> bytes:
        archive = sound()
        place = at if at >= 0 else len(archive) + at
        return archive[:place] + new + archive[place + len(new) :]

    return make


def in_fragment(change: Callable[[bytes], bytes]) -> Archive:
    """The member of the only layer, changed; the index holds for what comes out."""
    return lambda: Forge(member=lambda plain: change(member(plain))).build()


hostile("nothing at all", "archive-truncated", lambda: b"")
hostile("only a gzip header", "archive-truncated", lambda: GZIP)
hostile("text", "gzip-magic", lambda: b"<html>404 Not Found</html>")
hostile("a ZIP", "archive-other", lambda: b"PK\3\4" + bytes(100))
hostile("xz", "archive-other", lambda: lzma.compress(sound()))
hostile("bzip2", "archive-other", lambda: bz2.compress(sound()))
hostile("zstd", "archive-other", lambda: b"\x28\xb5\x2f\xfd" + bytes(100))
hostile("an empty member first", "tar-truncated", lambda: member(b"") + sound())
hostile("a second compression around it", "tar-magic", lambda: member(sound()))
hostile("a tar without compression", "archive-other", lambda: second.tar_entry(".capsule_metadata.json", "file", b"{}"))
hostile("cut in the middle", "archive-truncated", lambda: sound()[:900])
hostile("without its tail", "archive-truncated", lambda: sound()[:-28])
hostile("cut in the tail", "archive-truncated", lambda: sound()[:-1])
hostile("another tail", "archive-tail", lambda: Forge(tail=member(bytes(2048)).ljust(28, b"\0")).build())
hostile("a byte after the tail", "archive-trailing", lambda: sound() + b"\0")
hostile("zeros after the tail", "archive-trailing", lambda: sound() + bytes(512))
hostile("a member after the tail", "archive-trailing", lambda: sound() + member(b"hidden"))
hostile("a capsule after the capsule", "archive-trailing", lambda: sound() * 2)
hostile("another method", "gzip-method", flipped(2, b"\7"))
hostile("a file name in the gzip header", "gzip-flags", flipped(3, b"\x08"))
hostile("a comment in the gzip header", "gzip-flags", flipped(3, b"\x10"))
hostile("extra fields in the gzip header", "gzip-flags", flipped(3, b"\x04"))
hostile("a checksum of the gzip header", "gzip-flags", flipped(3, b"\x02"))
hostile("a flag that says text", "gzip-flags", flipped(3, b"\x01"))
hostile("a reserved flag", "gzip-flags", flipped(3, b"\x80"))
hostile("a time in the gzip header", "gzip-time", flipped(4, b"\1"))
hostile("an extra flag", "gzip-system", flipped(8, b"\2"))
hostile("made on Unix", "gzip-system", flipped(9, b"\3"))
hostile("a wrong CRC", "gzip-crc", in_fragment(lambda made: made[:-8] + b"\0\0\0\0" + made[-4:]))
hostile("a wrong length", "gzip-length", in_fragment(lambda made: made[:-4] + b"\0\0\0\1"))
hostile("no deflate stream", "gzip-deflate", in_fragment(lambda made: made[:10] + b"\xff" * 20 + made[30:]))
hostile("bytes after the deflate stream", "gzip-end", in_fragment(lambda made: made[:-8] + b"hidden" + made[-8:]))
hostile("a byte after the end of a member", "gzip-end", in_fragment(lambda made: made + b"\0"))
hostile(
    "bytes after the end of a member, with an end of their own",
    "gzip-end",
    in_fragment(lambda made: made + b"hidden" + bytes(4) + made[-4:]),
)
hostile("a deflate stream that is cut", "gzip-end", in_fragment(lambda made: made[:40] + made[-8:]))
hostile(
    "two members where the index has one",
    "gzip-end",
    lambda: Forge(member=lambda p: member(p[:512]) + member(p[512:])).build(),
)


def inflates_to_more() -> bytes:
    return Forge(member=lambda plain: member(plain + bytes(512))).build()


def inflates_to_less() -> bytes:
    return Forge(member=lambda plain: member(plain[:-512])).build()


def stored_empty(size: int) -> bytes:
    """A raw deflate stream of ``size`` bytes that inflates to nothing."""
    return b"\0\0\0\xff\xff" * (size // 5 - 1) + b"\1\0\0\xff\xff"


def empty_members(count: int) -> bytes:
    return Forge(fragment=lambda plains: [*plains, *[b""] * count]).build()


hostile("more in a member than the index says", "gzip-size", inflates_to_more)
hostile("less in a member than the index says", "gzip-size", inflates_to_less)
hostile("an empty member", "index-member", lambda: empty_members(1))
hostile("many empty members", "index-member", lambda: empty_members(5_000))
hostile(
    "a bomb in the head",
    "gzip-size",
    lambda: member(second.tar_entry(".capsule_metadata.json", "file", b"")[:512] + bytes(64 * LARGE)),
)

# Tar


def header(path: str, start: int, new: bytes) -> Archive:
    return lambda: with_change(path, header=lambda made: edited(made, start, new))


FILE = "data/table.txt"
hostile(
    "a wrong checksum",
    "tar-checksum",
    lambda: with_change(FILE, header=lambda made: made[:148] + b"000000\0 " + made[156:]),
)
hostile(
    "a checksum of the GNU kind",
    "tar-checksum",
    lambda: with_change(FILE, header=lambda made: made[:154] + b" \0" + made[156:]),
)
hostile("a GNU header", "tar-magic", header(FILE, 257, b"ustar  \0"))
hostile("a header from before POSIX", "tar-magic", header(FILE, 257, bytes(8)))
hostile("a star header", "tar-magic", header(FILE, 257, b"tar\0\0\0\0\0"))
hostile("zero blocks in the middle", "tar-end", lambda: with_change(FILE, header=lambda made: bytes(512)))
hostile("a size in base 256", "tar-size", header(FILE, 124, b"\x80" + bytes(9) + b"\1\x90"))
hostile("a negative size", "tar-size", header(FILE, 124, b"\xff" * 12))
hostile("a size without a NUL", "tar-size", header(FILE, 124, b"000000000620"))
hostile("a size with spaces", "tar-size", header(FILE, 124, b"        620\0"))
hostile("a size that is not octal", "tar-size", header(FILE, 124, b"00000000920\0"))
hostile("a size of 8 GiB", "tar-size", header(FILE, 124, b"77777777777\0"))
hostile("another size", "tar-size", header(FILE, 124, b"00000000617\0"))
hostile("a size on a link", "tar-size", header("link", 124, b"00000001000\0"))
hostile("a size on a directory", "tar-size", header("var", 124, b"00000001000\0"))
hostile("an owner", "tar-owner", header(FILE, 108, b"0001750\0"))
hostile("a group", "tar-owner", header(FILE, 116, b"0000001\0"))
hostile("the name of an owner", "tar-owner", header(FILE, 265, b"root"))
hostile("the name of a group", "tar-owner", header(FILE, 297, b"wheel"))
hostile("another time", "tar-time", header(FILE, 136, b"07033241601\0"))
hostile("a device number", "tar-device-number", header(FILE, 329, b"0000001\0"))
hostile("something after the last field", "tar-reserved", header(FILE, 500, b"hidden"))
hostile("set-user-id", "tar-mode", header("start.sh", 100, b"0004755\0"))
hostile("set-group-id", "tar-mode", header("start.sh", 100, b"0002755\0"))
hostile("a sticky directory", "tar-mode", header("var", 100, b"0001777\0"))
hostile("writable by the group", "tar-mode", header(FILE, 100, b"0000664\0"))
hostile("writable by nobody", "tar-mode", header(FILE, 100, b"0000444\0"))
hostile("a kind in the mode", "tar-mode", header(FILE, 100, b"0100644\0"))
hostile("executable in the listing alone", "tar-mode", header("start.sh", 100, b"0000644\0"))
hostile("writable by the world", "tar-mode", header(FILE, 100, b"0000666\0"))
hostile("a directory that nobody can enter", "tar-mode", header("var", 100, b"0000644\0"))
hostile("executable in the tar alone", "tar-mode", header(FILE, 100, b"0000755\0"))
hostile("another name in the tar", "tar-name", header(FILE, 0, b"etc/passwd\0\0\0\0"))
hostile("an absolute name in the tar", "tar-name", header(FILE, 0, b"/ata/table.txt"))
hostile("a name in the prefix", "tar-name", header(FILE, 345, b".."))
hostile("bytes after a name's NUL", "tar-name", header(FILE, 50, b"hidden"))
hostile("another link target in the tar", "tar-target", header("link", 157, b"../../etc/pass"))
hostile("a link target on a file", "tar-target", header(FILE, 157, b"start.sh"))
hostile("a file's type by a slash alone", "tar-name", header(FILE, 14, b"/"))
hostile("the type of old files", "tar-type-old", header(FILE, 156, b"\0"))
hostile("a hard link", "tar-hardlink", header(FILE, 156, b"1"))
hostile("a character device", "tar-device", header(FILE, 156, b"3"))
hostile("a block device", "tar-device", header(FILE, 156, b"4"))
hostile("a fifo", "tar-fifo", header(FILE, 156, b"6"))
hostile("a contiguous file", "tar-contiguous", header(FILE, 156, b"7"))
hostile("a sparse file", "tar-sparse", header(FILE, 156, b"S"))
hostile("another volume", "tar-gnu-other", header(FILE, 156, b"M"))
hostile("a dumped directory", "tar-gnu-other", header(FILE, 156, b"D"))
hostile("a list of names", "tar-gnu-other", header(FILE, 156, b"N"))
hostile("a volume's name", "tar-gnu-other", header(FILE, 156, b"V"))
hostile("a vendor's type", "tar-type-unknown", header(FILE, 156, b"A"))
hostile("a link where the listing has a file", "tar-type", header(FILE, 156, b"2"))
hostile("a directory where the listing has a link", "tar-type", header("link", 156, b"5"))
hostile("a file where the listing has a directory", "tar-type", header("var", 156, b"0"))


def record(key: bytes, value: bytes) -> bytes:
    rest = b" %s=%s\n" % (key, value)
    size = len(rest) + 2 if len(rest) + 2 < 100 else len(rest) + 3
    return b"%d" % size + rest


def pax(records: bytes, kind: bytes = b"x") -> bytes:
    head = second.block(b"././@PaxHeader", kind, 0o644, len(records), b"", b"")
    return head + records + bytes(-len(records) % 512)


def before(extra: bytes) -> Archive:
    """A header in the place of a file's own: the index leaves no room for one more."""
    return lambda: with_change(FILE, header=lambda made: extra[:512])


hostile(
    "a pax header for which the index has no room",
    "index-offset",
    lambda: with_change(FILE, header=lambda made: pax(record(b"size", b"1")) + made),
)
hostile("a pax header without need", "tar-pax-needless", before(pax(record(b"path", FILE.encode()))))
hostile("another size in a pax header", "tar-pax-needless", before(pax(record(b"size", b"1"))))
hostile("another path in a pax header", "tar-pax-needless", before(pax(record(b"path", b"/etc/passwd"))))
hostile("a comment in a pax header", "tar-pax-needless", before(pax(record(b"comment", b"hidden"))))
hostile("extended attributes", "tar-pax-needless", before(pax(record(b"SCHILY.xattr.security.capability", b"1"))))
hostile("an access list", "tar-pax-needless", before(pax(record(b"SCHILY.acl.access", b"user::rwx"))))
hostile("a record of libarchive", "tar-pax-needless", before(pax(record(b"LIBARCHIVE.creationtime", b"1"))))
hostile("a sparse map in a pax header", "tar-pax-needless", before(pax(record(b"GNU.sparse.map", b"0,1"))))
hostile("another charset", "tar-pax-needless", before(pax(record(b"hdrcharset", b"BINARY"))))
hostile("an empty pax header", "tar-pax-needless", before(pax(b"")))
hostile("a pax header for all that follows", "tar-pax-global", before(pax(record(b"path", b"x"), b"g")))
hostile(
    "a long name of the GNU kind",
    "tar-gnu-long",
    before(second.block(b"././@LongLink", b"L", 0o644, 20, b"", b"") + bytes(512)),
)
hostile(
    "a long target of the GNU kind",
    "tar-gnu-long",
    before(second.block(b"././@LongLink", b"K", 0o644, 20, b"", b"") + bytes(512)),
)

LONG = "n" * 101


def long_name(change: Callable[[bytes], bytes]) -> Archive:
    """An entry that needs a pax header, with the records changed."""
    return lambda: with_entries(One(LONG, "file", b"x", header=change))


def in_record(old: bytes, new: bytes) -> Archive:
    return long_name(lambda made: made[:512] + made[512:1024].replace(old, new) + made[1024:])


hostile("no pax header where one is needed", "tar-pax-missing", long_name(lambda made: made[1024:] + bytes(1024)))
hostile("another name in the pax record", "tar-pax-record", in_record(b"n" * 101, b"/" * 101))
hostile("a wrong length in the pax record", "tar-pax-record", in_record(b"111 ", b"911 "))
hostile("zero as the length of the pax record", "tar-pax-record", in_record(b"111 ", b"000 "))
hostile("leading zeros in the pax record", "tar-pax-record", in_record(b"111 path=", b"0111path="))
hostile("no line end in the pax record", "tar-pax-record", in_record(b"\n", b" "))
hostile("a NUL in the pax record", "tar-pax-record", in_record(b"nnn\n", b"n\0n\n"))
hostile("bytes that are not UTF-8 in the pax record", "tar-pax-record", in_record(b"nnn\n", b"n\xffn\n"))
hostile("another key in the pax record", "tar-pax-record", in_record(b"path=", b"PATH="))
hostile("something after the pax records", "tar-pax-record", in_record(b"\n\0\0\0", b"\nabc"))
hostile(
    "a second pax record",
    "tar-size",
    long_name(lambda made: edited(made[:1024], 124, b"00000000336\0", block=-1024) + made[1024:]),
)
hostile(
    "a pax header of a gibibyte",
    "tar-size",
    long_name(lambda made: edited(made[:1024], 124, b"10000000000\0", block=-1024) + made[1024:]),
)
hostile("another name after the pax header", "tar-name", long_name(lambda made: edited(made, 0, b"m")))
hostile("something in the padding", "tar-padding", lambda: with_change(FILE, padding=lambda fill: b"hidden" + fill[6:]))
hostile(
    "a payload after the last entry",
    "index-offset",
    lambda: Forge(fragment=lambda plains: [plains[0] + bytes(512)]).build(),
)
hostile(
    "the payload of a tar after the last entry",
    "index-offset",
    lambda: Forge(fragment=lambda p: [*p, second.tar_entry("hidden", "file", b"")]).build(),
)

# Content


hostile("other content", "content-hash", lambda: with_change(FILE, content=lambda data: b"X" + data[1:]))
hostile("a script that is listed as a file", "mode-content", lambda: with_entries(One("run", "file", b"#!/bin/sh\n")))
hostile("a program that is listed as a file", "mode-content", lambda: with_entries(One("run", "file", ELF_EXEC)))
NAMED = MANIFEST + b"executables:\n  - tools/*\n"


def other_manifest(text: bytes, *more: One, **options: Any) -> bytes:
    return with_entries(One("capsule.yml", "file", text), *more, without="capsule.yml", **options)


hostile(
    "a file that the manifest names as executable",
    "mode-manifest",
    lambda: other_manifest(NAMED, One("tools/run", "file", b"x")),
)
hostile("no manifest", "manifest-missing", lambda: with_entries(without="capsule.yml"))
hostile(
    "a link as manifest",
    "manifest-special",
    lambda: with_entries(One("capsule.yml", "symlink", b"start.sh"), without="capsule.yml"),
)
hostile(
    "a directory as manifest",
    "manifest-special",
    lambda: with_entries(One("capsule.yml", "dir"), without="capsule.yml"),
)
hostile("a manifest that is none", "not-a-mapping", lambda: other_manifest(b"just text\n"))
hostile("a manifest with aliases", "yaml-anchor", lambda: other_manifest(MANIFEST + b"env: &a {}\nx: *a\n"))
hostile("a manifest of 2 MiB", "file-too-large", lambda: other_manifest(MANIFEST + b"#" * (2 << 20)))
hostile("a manifest that is not UTF-8", "not-utf-8", lambda: other_manifest(MANIFEST + b"# \xff\n"))
for what, code, line in [
    ("a key twice", "duplicate-key", "name: forged"),
    ("a tag", "yaml-tag", "env: !!python/object/apply:os.system [x]"),
    ("a merge key", "merge-key", "env: {<<: {A: b}}"),
    ("an unknown key", "unknown-key", "more: 1"),
    ("a second document", "several-documents", "---\nname: other"),
    ("no number", "not-text", "resources: {memory_max: .nan}"),
    ("a quota below zero", "bad-cpu-quota", "resources: {cpu_quota: -1%}"),
    ("a variable of the linker", "reserved-variable", "env: {LD_PRELOAD: x.so}"),
    ("a variable's name that is none", "bad-variable", "env: {a-b: x}"),
    ("a line of a unit file", "line-break", 'env: {A: "x\\nExecStart=/bin/evil"}'),
    ("a NUL", "control-character", 'env: {A: "x\\0"}'),
    ("a specifier of systemd", "percent-sign", 'env: {A: "%n"}'),
    ("a line that goes on", "trailing-backslash", "env: {A: 'x\\'}"),
    ("a service's name that leads out", "bad-name", "services:\n  - name: ../x\n    entrypoint: start.sh"),
]:
    hostile(f"{what} in the manifest", code, lambda line=line: other_manifest(MANIFEST + f"{line}\n".encode()))  # type: ignore[misc]
hostile(
    "brackets within brackets in the manifest",
    "not-a-mapping",
    lambda: other_manifest(MANIFEST + b"env: " + b"[" * 5000 + b"]" * 5000 + b"\n"),
)
hostile("an absolute entry point", "bad-path", lambda: other_manifest(MANIFEST.replace(b"start.sh", b"/usr/bin/env")))
hostile(
    "an entry point that leaves the capsule",
    "bad-path",
    lambda: other_manifest(MANIFEST.replace(b"start.sh", b"../start.sh")),
)
hostile(
    "an entry point that leads to a directory",
    "entrypoint-missing",
    lambda: with_entries(One("start.sh", "symlink", b"data"), without="start.sh"),
)
hostile(
    "another name in the manifest", "metadata-manifest", lambda: other_manifest(MANIFEST.replace(b"forged", b"other"))
)
hostile(
    "another version in the manifest", "metadata-manifest", lambda: other_manifest(MANIFEST.replace(b"1.2.3", b"1.2.4"))
)
hostile("an entry point that is not there", "entrypoint-missing", lambda: with_entries(without="start.sh"))
hostile(
    "a directory as entry point", "entrypoint-missing", lambda: with_entries(One("start.sh", "dir"), without="start.sh")
)
hostile(
    "a service that is not there",
    "entrypoint-missing",
    lambda: other_manifest(MANIFEST + b"services:\n  - name: web\n    entrypoint: web.py\n"),
)

# Names, as the listing has them


def named(path: str) -> Archive:
    return lambda: with_entries(One(path, "file", b"x"))


hostile("an absolute name", "path-relative", named("/etc/passwd"))
hostile("a name with ..", "path-relative", named("a/../../etc/passwd"))
hostile("a name that is ..", "path-relative", named(".."))
hostile("a name with .", "path-relative", named("./x"))
hostile("a name that ends in .", "path-relative", named("a/."))
hostile("a name that is .", "path-relative", named("."))
hostile("an empty part", "path-relative", named("a//b"))
hostile("a slash at the end", "path-relative", named("a/"))
hostile("a backslash", "name-character", named("a\\b"))
hostile("a NUL", "name-character", named("a\0b"))
hostile("an escape", "name-character", named("a\x1b[2Jb"))
hostile("a line end in a name", "listing-line", named("a\nb"))
hostile("a control character beyond ASCII", "name-character", named("a\x85b"))
hostile("an isolate of direction", "name-character", named("a\u2066b"))
hostile("a byte order mark in a name", "name-character", named("\ufeffa"))
hostile("a DEL", "name-character", named("a\x7fb"))
hostile("a tab", "name-character", named("a\tb"))
hostile("a carriage return", "name-character", named("a\rb"))
hostile("another direction of text", "name-character", named("a\u202eb"))
hostile("a space without width", "name-character", named("a\u200bb"))
hostile("a line separator", "name-character", named("a\u2028b"))
hostile("a long name", "name-length", named("n" * 256))
hostile("a long path", "path-length", named("/".join(["n" * 200] * 21)))
hostile("a name of the capsule's own", "name-reserved", named(".capsule_index"))
hostile("a second listing", "name-reserved", named(".capsule_contents/x"))
hostile("a name that is a hyphen", "name-reserved", named("-"))
hostile("a file below a file", "listing-nesting", named("start.sh/x"))
hostile("a file below a link", "listing-nesting", named("link/x"))
hostile(
    "a file in an empty directory",
    "listing-nesting",
    lambda: Forge(listing=lambda text: text + b"0" * 64 + b"  var/x\n").build(),
)

# Links


def linked(target: str, path: str = "up") -> Archive:
    return lambda: with_entries(One(path, "symlink", target.encode()))


hostile("an absolute link", "link-escape", linked("/etc/passwd"))
hostile("a link to an interpreter elsewhere", "link-escape", linked("/opt/tori/python/3.11/bin/python3.12"))
hostile("a link that leaves the capsule", "link-escape", linked("../x"))
hostile("a link that leaves the capsule and returns", "link-escape", linked("../up/start.sh"))
hostile(
    "a link that leaves through a link",
    "link-escape",
    lambda: with_entries(One("a/b", "symlink", b".."), One("a/c", "symlink", b"b/..")),
)
hostile(
    "a link beyond the interpreter",
    "link-escape",
    lambda: with_entries(One("p", "symlink", b"/opt/tori/python/3.11/bin/python3.11"), One("q", "symlink", b"p/x")),
)
hostile("a link to nothing", "link-dangling", linked("nothing"))
hostile("a link through nothing", "link-dangling", linked("nothing/../start.sh"))
hostile("a link through a file", "link-dangling", linked("start.sh/../start.sh"))
hostile("a link to a file as a directory", "link-dangling", linked("start.sh/"))
hostile("a link to itself", "link-cycle", linked("up"))
hostile(
    "two links in a circle", "link-cycle", lambda: with_entries(One("p", "symlink", b"q"), One("q", "symlink", b"p"))
)
hostile(
    "41 links in a row",
    "link-cycle",
    lambda: with_entries(
        *(One(f"l{n:02}", "symlink", f"l{n + 1:02}".encode() if n < 40 else b"start.sh") for n in range(41))
    ),
)
hostile("a link with a control character", "link-character", linked("a\x01b"))
hostile("a link with a NUL", "link-character", linked("a\0b"))
hostile("a link with a line end", "listing-line", linked("a\nb"))
hostile("a link with a backslash", "link-character", linked("a\\b"))
hostile("a long link", "link-length", linked("./" * 2100))
hostile("a link through a long name", "link-length", linked("n" * 256))
hostile("an empty link", "link-length", linked(""))

# The listing, the index and the metadata


def listing(change: Callable[[bytes], bytes]) -> Archive:
    return lambda: Forge(listing=change).build()


def swapped(text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)
    return b"".join([lines[0], lines[2], lines[1], *lines[3:]])


hostile("another header of the listing", "listing-header", listing(lambda text: text.replace(b"v1", b"v2", 1)))
hostile("an empty listing", "listing-header", listing(lambda text: b""))
hostile("a listing without entries", "index-unlisted", listing(lambda text: text[:22]))
hostile("a listing out of order", "listing-order", listing(swapped))
hostile(
    "a line twice",
    "listing-order",
    listing(lambda text: text.replace(text.splitlines(True)[1], text.splitlines(True)[1] * 2)),
)
hostile("a listing without a line end", "listing-line", listing(lambda text: text[:-1]))
hostile("CRLF in the listing", "listing-line", listing(lambda text: text.replace(b"# dir\tvar\n", b"# dir\tvar\t\n")))
hostile("a comment in the listing", "listing-line", listing(lambda text: text + b"# more\n"))
hostile("a digest in capitals", "listing-line", listing(lambda text: text.replace(text[22:86], text[22:86].upper())))
hostile("an MD5 in the listing", "listing-line", listing(lambda text: text + b"0" * 32 + b"  z\n"))
hostile("a path with an escape of sha256sum", "listing-line", listing(lambda text: text + b"\\" + b"0" * 64 + b"  z\n"))
hostile("a listing that is not UTF-8", "listing-encoding", listing(lambda text: text + b"0" * 64 + b"  z\xff\n"))
hostile("half a character in the listing", "listing-encoding", listing(lambda t: t + b"0" * 64 + b"  \xed\xa0\x80\n"))
hostile("a slash in two bytes", "listing-encoding", listing(lambda text: text + b"0" * 64 + b"  \xc0\xafx\n"))
hostile("a link over a directory", "listing-order", listing(lambda text: text + b"# symlink\tvar\tdata\n"))
hostile("an endless line", "listing-line", listing(lambda text: text + b"0" * 64 + b"  " + b"z" * 100_000 + b"\n"))
hostile("more in the listing", "listing-missing", listing(lambda text: text + b"0" * 64 + b"  z\n"))
hostile("less in the listing", "index-unlisted", lambda: with_change("var", listed=False))


def index(change: Callable[[bytes], bytes]) -> Archive:
    return lambda: Forge(index=change).build()


hostile("another header of the index", "index-header", index(lambda text: text.replace(b"v1", b"v2", 1)))
hostile("an empty index", "index-header", index(lambda text: b""))
hostile("an index without layers", "listing-missing", index(lambda text: text[:19]))
hostile("a member before any layer", "index-line", index(lambda text: text[:19] + b"# member\t30\t1\n" + text[19:]))
hostile("a number with a leading zero", "index-line", index(lambda text: text.replace(b"\n0\t", b"\n00\t")))
hostile("a digit beyond ASCII", "index-line", index(lambda text: text.replace(b"\n0\t", "\n\u0660\t".encode())))
hostile("a negative number", "index-line", index(lambda text: text.replace(b"\n0\t", b"\n-1\t")))
hostile(
    "a number of a thousand digits",
    "index-line",
    index(lambda text: text.replace(b"\n0\t", b"\n" + b"9" * 1000 + b"\t")),
)
hostile("an unknown line in the index", "index-line", index(lambda text: text + b"# more\n"))
hostile("an index without a line end", "index-line", index(lambda text: text[:-1]))
hostile("a remark for the assembly", "index-line", index(lambda text: text + b"# named\tx\n"))
hostile("an index that is not UTF-8", "index-line", index(lambda text: text + b"0\t0\t\xff\n"))
hostile("a layer's name with an escape", "index-line", index(lambda text: text.replace(b"\tapp\t", b"\ta\x1bp\t")))
hostile(
    "another digest of a layer",
    "index-digest",
    index(lambda text: text.replace(b"\tapp\t" + text[31:33], b"\tapp\tff", 1)),
)
hostile(
    "another length of a fragment", "index-fragment", index(lambda text: text.replace(b"\n# member", b"0\n# member", 1))
)
hostile("another offset", "index-offset", index(lambda text: text.replace(b"\n0\t", b"\n512\t")))
hostile("an entry that the index leaves out", "index-offset", lambda: with_change(FILE, indexed=False))
hostile("the last entry left out of the index", "index-offset", lambda: with_change("var", indexed=False))
hostile("another size in the index", "index-offset", lambda: with_change(FILE, size=4000))
hostile("a size of exabytes in the index", "index-offset", lambda: with_change(FILE, size=10**17))
hostile("a size of a link in the index", "index-size", lambda: with_change("link", size=5))
hostile("a size that the metadata do not know", "metadata-layers", lambda: with_change(FILE, size=401))


def one_more(document: dict[str, Any]) -> None:
    document["layers"][0]["total_size"] += 1
    document["total_size"] += 1


hostile("a size that only the padding hides", "tar-size", lambda: with_change(FILE, metadata=one_more, size=401))
hostile("an entry out of order", "index-order", lambda: Forge([("app", [*small()[1:], small()[0]])]).build())
hostile(
    "an entry twice in a layer",
    "index-order",
    lambda: Forge([("app", sorted([*small(), small()[0]], key=lambda one: one.path))]).build(),
)
hostile("an entry of no listing", "index-unlisted", lambda: with_entries(One("hidden", "file", b"x", listed=False)))
hostile("a directory of no listing", "index-unlisted", lambda: with_entries(One("hidden", "dir", listed=False)))
hostile(
    "a directory that is not empty in its own layer",
    "index-nesting",
    lambda: with_entries(One("data", "dir", listed=False)),
)
hostile("another layer first", "index-first", lambda: Forge([("lib", small())]).build())
hostile(
    "the manifest in the second layer",
    "index-first",
    lambda: Forge([("app", small()[1:]), ("lib", small()[:1])]).build(),
)


def two_layers(second_one: One) -> Archive:
    return lambda: Forge([("app", small()), ("lib", [second_one])]).build()


hostile(
    "other bytes in a second layer",
    "content-hash",
    two_layers(One(FILE, "file", b"one\ntwo\n" * 50, listed=False, content=lambda d: b"X" + d[1:])),
)
hostile("a directory over the link of another layer", "index-digest", two_layers(One("link", "dir", listed=False)))
hostile("a file through the link of another layer", "index-unlisted", two_layers(One("link/x", "file", listed=False)))
hostile("another digest in a second layer", "index-digest", two_layers(One(FILE, "file", b"X" * 400, listed=False)))
hostile(
    "another kind in a second layer",
    "index-digest",
    two_layers(One(FILE, "executable", b"one\ntwo\n" * 50, listed=False)),
)


def metadata(change: Callable[[dict[str, Any]], object]) -> Archive:
    return lambda: Forge(metadata=change).build()


def metadata_text(change: Callable[[bytes], bytes]) -> Archive:
    return lambda: Forge(metadata_text=change).build()


hostile("another ID", "metadata-id", metadata(lambda d: d.update(id="0" * 64, short_id="0" * 12)))
hostile("another short ID", "metadata-id", metadata(lambda d: d.update(short_id="0" * 12)))
hostile("another format", "metadata-format", metadata(lambda d: d.update(format=2)))
hostile("true as the format", "metadata-shape", metadata(lambda d: d.update(format=True)))
hostile("another number of files", "metadata-sums", metadata(lambda d: d.update(files=4)))
hostile("another total", "metadata-sums", metadata(lambda d: d.update(total_size=0)))
hostile("another compressed size", "metadata-sums", metadata(lambda d: d.update(compressed_size=0)))
hostile("other layers", "metadata-layers", metadata(lambda d: d["layers"].append(d["layers"][0])))
hostile("another size of a layer", "metadata-layers", metadata(lambda d: d["layers"][0].update(total_size=1)))
hostile("another key", "metadata-shape", metadata(lambda d: d.update(more=1)))
hostile("a key that is missing", "metadata-shape", metadata(lambda d: d.pop("build")))
hostile("keys in another order", "metadata-shape", metadata(lambda d: d.update(id=d.pop("id"))))
hostile("a key of another type", "metadata-shape", metadata(lambda d: d.update(version=1)))
hostile("a negative number in the metadata", "metadata-shape", metadata(lambda d: d.update(files=-1)))
hostile("an unknown state of the requirements", "metadata-shape", metadata(lambda d: d.update(requirements="perhaps")))
hostile("a time that is none", "metadata-shape", metadata(lambda d: d["build"].update(time="2000-02-30T00:00:00Z")))
hostile(
    "an escape in the builder's version", "metadata-shape", metadata(lambda d: d["builder"].update(version="\x1b[2J"))
)
hostile("a list as metadata", "metadata-shape", metadata_text(lambda text: b"[]\n"))
hostile("no JSON", "metadata-json", metadata_text(lambda text: b"name: x\n"))
hostile(
    "metadata that are not UTF-8", "metadata-json", metadata_text(lambda text: text.replace(b"forged", b"forg\xff"))
)
hostile(
    "a fraction in the metadata",
    "metadata-json",
    metadata_text(lambda text: text.replace(b'"format": 1', b'"format": 1.0')),
)
hostile(
    "NaN in the metadata", "metadata-json", metadata_text(lambda text: text.replace(b'"format": 1', b'"format": NaN'))
)
hostile(
    "half a character in the metadata", "metadata-json", metadata_text(lambda text: text.replace(b"forged", b"\\ud800"))
)
hostile(
    "a key twice",
    "metadata-canonical",
    metadata_text(lambda text: text.replace(b'"format": 1,', b'"format": 2, "format": 1,')),
)
hostile("another indent", "metadata-canonical", metadata_text(lambda text: json.dumps(json.loads(text)).encode()))
hostile("no line end in the metadata", "metadata-canonical", metadata_text(lambda text: text[:-1]))
hostile(
    "escapes in the metadata", "metadata-canonical", metadata_text(lambda text: text.replace(b"forge", b"\\u0066orge"))
)

# The head


def renamed(name: str, other: str) -> Archive:
    return lambda: Forge(
        head=lambda n, tar: edited(tar[:512], 0, other.encode().ljust(100, b"\0")) + tar[512:] if n == name else tar
    ).build()


hostile("another first file", "tar-name", renamed(".capsule_metadata.json", "capsule.yml"))
hostile("the listing twice", "tar-name", lambda: Forge(order=lambda heads: [*heads[:2], *heads[1:]]).build())
hostile("the index twice", "tar-name", lambda: Forge(order=lambda heads: [*heads, heads[2]]).build())
hostile(
    "a pax header for all that follows, first",
    "tar-pax-global",
    lambda: Forge(head=lambda n, tar: pax(record(b"path", b"x"), b"g") + tar if "metadata" in n else tar).build(),
)
hostile("another second file", "tar-name", lambda: Forge(order=lambda heads: [heads[0], heads[2], heads[1]]).build())
hostile(
    "the listing as a link",
    "tar-type",
    lambda: Forge(
        head=lambda n, tar: edited(tar[:512], 156, b"2") + tar[512:] if n == ".capsule_contents" else tar
    ).build(),
)
hostile("an ordinary tar.gz", "tar-name", lambda: member(second.tar_entry("README", "file", b"read me") + bytes(1024)))
hostile(
    "a head in smaller members",
    "head-members",
    lambda: Forge(head_members=lambda n, tar: [tar[:512], tar[512:]]).build(),
)
hostile(
    "a head in one member",
    "head-members",
    lambda: b"".join([member(b"".join(zlib.decompress(part, 31) for part in split_head(sound()))), TAIL]),
)
hostile("something after a head's file", "tar-padding", lambda: Forge(head=lambda n, tar: tar[:-1] + b"X").build())


def split_head(archive: bytes) -> list[bytes]:
    """The members of the head."""
    return [archive[start:end] for start, end in head_places(archive)]


def head_places(archive: bytes) -> list[tuple[int, int]]:
    places, at = [], 0
    for _ in range(3):
        stream = zlib.decompressobj(31)
        stream.decompress(archive[at:])
        end = len(archive) - len(stream.unused_data)
        places.append((at, end))
        at = end
    return places


# Bombs, and what takes long


def zeros(size: int) -> bytes:
    """A member of ``size`` zeros, made without holding them."""
    deflate, crc = zlib.compressobj(9, zlib.DEFLATED, -15), 0
    parts = [GZIP]
    for start in range(0, size, LARGE):
        plain = bytes(min(LARGE, size - start))
        parts.append(deflate.compress(plain))
        crc = zlib.crc32(plain, crc)
    return b"".join([*parts, deflate.flush(), struct.pack("<II", crc, size & 0xFFFFFFFF)])


def huge_head(name: str, size: int) -> bytes:
    """An archive whose first file claims ``size`` bytes, all zeros."""
    heads = split_head(sound())
    before_it = {".capsule_metadata.json": 0, ".capsule_contents": 1, ".capsule_index": 2}[name]
    head = second.header(name, "file", size, "")
    return b"".join(heads[:before_it]) + member(head + bytes(LARGE - 512)) + member(bytes(LARGE)) * (size // LARGE)


def deep_json(opening: bytes, size: int) -> Archive:
    return metadata_text(lambda text: opening * (size // len(opening)))


hostile("metadata of 5 MiB", "limit-metadata", lambda: huge_head(".capsule_metadata.json", 5 * LARGE))
hostile("a listing of a gibibyte", "limit-listing", lambda: huge_head(".capsule_contents", 1024 * LARGE))
hostile("an index of 7 GiB", "limit-index", lambda: huge_head(".capsule_index", 7168 * LARGE)[: 8 * LARGE])
hostile("deep JSON", "metadata-json", deep_json(b"[", 4_000_000))
hostile("wide JSON", "metadata-json", metadata_text(lambda text: b"[" + b"{}," * 1_300_000))
hostile(
    "a number of a million digits",
    "metadata-json",
    metadata_text(lambda text: text.replace(b'"format": 1', b'"format": ' + b"1" * 1_000_000)),
)
hostile(
    "a bomb that the index does not announce", "gzip-size", lambda: Forge(member=lambda plain: zeros(1 << 30)).build()
)
