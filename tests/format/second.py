"""The format written a second time, from docs/format.md alone: slow, plain, and sharing no code with the builder."""

from __future__ import annotations

import hashlib
import struct
import zlib

LARGE, PACK, COPY = 1_048_576, 131_072, 2_048


def executable(data: bytes, named: bool) -> bool:
    """Section 2.3, for the ELF files of the vectors: those that need no program headers."""
    return named or data[:2] == b"#!" or (data[:4] == b"\x7fELF" and struct.unpack_from("<H", data, 16) == (2,))


def line(path: str, kind: str, detail: str) -> str:
    """Section 3; ``kind`` is file, executable, symlink or dir, ``detail`` a SHA-256 or a target."""
    return {
        "file": f"{detail}  {path}\n",
        "executable": f"{detail} *{path}\n",
        "symlink": f"# symlink\t{path}\t{detail}\n",
        "dir": f"# dir\t{path}\n",
    }[kind]


def listing(entries: list[tuple[str, str, bytes]]) -> bytes:
    """Section 3 and 6: ``entries`` are (path, kind, content or target)."""
    lines: dict[bytes, str] = {}
    for path, kind, data in entries:
        detail = hashlib.sha256(data).hexdigest() if kind in ("file", "executable") else data.decode()
        if kind == "dir" and any(other.startswith(f"{path}/") for other, _, _ in entries):
            continue
        lines[path.encode()] = line(path, kind, detail)
    return ("# capsule-contents v1\n" + "".join(lines[path] for path in sorted(lines))).encode()


def header(path: str, kind: str, size: int, target: str) -> bytes:
    """Section 4.1."""
    name = path.encode() + (b"/" if kind == "dir" else b"")
    prefix, link, records = b"", target.encode(), []
    if len(link) > 100:
        records.append((b"linkpath", link))
    if len(name) > 100:
        places = [i for i, byte in enumerate(name[:-1]) if byte == 0x2F and 0 < i <= 155]
        if places and len(name) - places[-1] - 1 <= 100:
            prefix, name = name[: places[-1]], name[places[-1] + 1 :]
        else:
            records.append((b"path", name))
    if size > 8_589_934_591:
        records.append((b"size", str(size).encode()))
        size = 0
    pax = b""
    for key, value in records:
        for length in range(len(key) + len(value), len(key) + len(value) + 30):
            record = b"%d %s=%s\n" % (length, key, value)
            if len(record) == length:
                pax += record
    first = b""
    if pax:
        first = block(b"././@PaxHeader", b"x", 0o644, len(pax), b"", b"") + pax + bytes(-len(pax) % 512)
    mode = {"file": 0o644, "executable": 0o755, "symlink": 0o777, "dir": 0o755}[kind]
    kinds = {"file": b"0", "executable": b"0", "symlink": b"2", "dir": b"5"}
    return first + block(cut(name), kinds[kind], mode, size, cut(link), prefix)


def cut(raw: bytes) -> bytes:
    return raw[:100].decode("utf-8", "ignore").encode()


def block(name: bytes, kind: bytes, mode: int, size: int, link: bytes, prefix: bytes) -> bytes:
    fields = [
        name.ljust(100, b"\0"),
        b"%07o\0" % mode,
        b"0000000\0",
        b"0000000\0",
        b"%011o\0" % size,
        b"07033241600\0",
        b"        ",
        kind,
        link.ljust(100, b"\0"),
        b"ustar\0" + b"00",
        bytes(32),
        bytes(32),
        b"0000000\0",
        b"0000000\0",
        prefix.ljust(155, b"\0"),
        bytes(12),
    ]
    fields[6] = b"%06o\0 " % sum(b"".join(fields))
    made = b"".join(fields)
    assert len(made) == 512
    return made


def tar_entry(path: str, kind: str, data: bytes) -> bytes:
    """One entry, padded."""
    if kind == "symlink":
        return header(path, kind, 0, data.decode())
    return header(path, kind, len(data), "") + data + bytes(-len(data) % 512)


def stored_blocks(size: int) -> int:
    """The length of content of ``size`` bytes as a deflate stream of stored blocks (section 8)."""
    return size + 5 * -(-size // 65_535)


def borders(entries: list[tuple[str, str, bytes]], deflated: set[str]) -> list[bytes]:
    """Section 4.2: what each member of a fragment inflates to; ``deflated`` are the paths that come as streams."""
    members, current = [], b""
    for path, kind, data in sorted(entries, key=lambda entry: entry[0].encode()):
        tar = tar_entry(path, kind, data)
        if path in deflated and stored_blocks(len(data)) >= COPY:
            head = header(path, kind, len(data), "")
            padding = bytes(-len(data) % 512)
            members += [part for part in (current, head, data, padding) if part]
            current = b""
            continue
        if current and len(current) + len(tar) > LARGE:
            members.append(current)
            current = b""
        if len(tar) > LARGE:
            members += [tar[start : start + LARGE] for start in range(0, len(tar), LARGE)]
            continue
        current += tar
        if len(current) >= PACK and zlib.crc32(path.encode()) % 16 == 0:
            members.append(current)
            current = b""
    return members + ([current] if current else [])


def inflate(archive: bytes) -> list[tuple[bytes, int]]:
    """The members of an archive: what each inflates to, and its own length."""
    members = []
    while archive:
        assert archive[:10] == bytes.fromhex("1f8b08000000000000ff")
        stream = zlib.decompressobj(-15)
        plain = stream.decompress(archive[10:]) + stream.flush()
        end = len(archive) - len(stream.unused_data) + 8
        crc, size = struct.unpack("<II", archive[end - 8 : end])
        assert (crc, size) == (zlib.crc32(plain), len(plain))
        members.append((plain, end))
        archive = archive[end:]
    return members
