"""Hosts in a folder: a tree with a trusted key, capsules that are made by hand, and the command as users run it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capsule_builder.trust import minisign
from capsule_builder.trust.minisign import Claim, SecretKey
from tests.capsbuild.command import ROOT, Ran
from tests.reader.forge import Forge, One, small

COMMAND = [sys.executable, "-m", "capsule_deploy.cli.capsdeploy"]
ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}

Snapshot = dict[str, tuple[int, int, bytes]]


@dataclass
class Host:
    """A host's tree; ``secret`` is the key that it trusts."""

    root: Path
    secret: SecretKey

    @classmethod
    def make(cls, root: Path, secret: SecretKey, *, policy: str | None = None) -> Host:
        trust = root / "etc/tori/trust"
        trust.mkdir(parents=True, mode=0o755)
        (trust / "release.pub").write_bytes(secret.public_key.format())
        (root / "etc/other").write_bytes(b"not ours\n")
        host = cls(root, secret)
        host.policy(policy if policy is not None else "reserve: {bytes: 0, inodes: 0}\nminimum_age: 0s\n")
        return host

    @property
    def tori(self) -> Path:
        return self.root / "opt/tori"

    def policy(self, text: str) -> None:
        (self.root / "etc/tori/policy.yml").write_text(text)

    def deploy(
        self, command: str, *arguments: str | Path, status: int | None = 0, wrapper: Sequence[str] = (), **options: Any
    ) -> Ran:
        """Runs ``capsdeploy``, which must end with ``status`` (any, when it is None), and never with a traceback."""
        line = [*wrapper, *COMMAND, command, "--root", str(self.root), *map(str, arguments)]
        ran = subprocess.run(line, env=ENVIRONMENT, capture_output=True, check=False, timeout=120, **options)
        result = Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())
        assert "Traceback" not in result.err, result.err
        assert status is None or result.status == status, result
        return result

    def json(self, command: str, *arguments: str | Path, status: int = 0, **options: Any) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.deploy(command, *arguments, "--json", status=status, **options).out)
        return document

    def install(self, archive: Path) -> str:
        """Installs a capsule; gives its whole ID."""
        return str(self.json("install", archive)["id"])

    def releases(self) -> list[str]:
        return sorted(path.name for path in (self.tori / "releases").iterdir())

    def activate(self, capsule_id: str, app: str = "forged", link: str = "active") -> None:
        """Says that a release is active, as ``capsdeploy activate`` does."""
        place = self.tori / "apps" / app
        place.mkdir(parents=True, exist_ok=True)
        (place / link).unlink(missing_ok=True)
        (place / link).symlink_to(f"../../releases/{capsule_id}")


def capsule(place: Path, secret: SecretKey | None, *more: One, version: str = "1.2.3", name: str = "forged") -> Path:
    """A small capsule in ``place``, signed with ``secret`` if there is one."""
    manifest = f"name: {name}\nversion: {version}\nentrypoint: start.sh\n".encode()
    entries = [*(one for one in small() if one.path != "capsule.yml"), One("capsule.yml", "file", manifest), *more]
    entries.sort(key=lambda one: one.path.encode())

    def metadata(document: dict[str, Any]) -> None:
        document.update(name=name, version=version)

    data = Forge([("app", entries)], metadata=metadata).build()
    capsule_id = id_of(data)
    place.mkdir(exist_ok=True)
    archive = place / f"capsule-{name}-{capsule_id[:12]}.tar.gz"
    archive.write_bytes(data)
    if secret:
        sign(archive, secret, str(Claim(name, version, capsule_id)))
    return archive


def sign(archive: Path, secret: SecretKey, comment: str) -> None:
    signature = minisign.sign(minisign.prehash(io.BytesIO(archive.read_bytes())), secret, comment)
    Path(f"{archive}.minisig").write_bytes(signature.format())


def id_of(archive: bytes) -> str:
    """The ID of an archive, by tar and SHA-256 alone."""
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        listing = tar.extractfile(".capsule_contents")
        assert listing
        return hashlib.sha256(listing.read()).hexdigest()


def snapshot(folder: Path, *, without: Sequence[str] = ()) -> Snapshot:
    """Everything below ``folder``, but for what lies in ``without``: kind and mode, inode, content or target."""
    found: Snapshot = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name in without or any(name.startswith(f"{other}/") for other in without):
            continue
        status = path.lstat()
        content = b""
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = os.fsencode(os.readlink(path))
        found[name] = (status.st_mode, status.st_ino, content)
    return found


def check_invariants(host: Host) -> None:
    """What must hold at every moment, whatever was killed: looked at with none of the code that is tested."""
    releases = host.tori / "releases"
    present = {path.name for path in releases.iterdir()} if releases.is_dir() else set()
    for name in present:
        check_release(releases / name)  # I1
        assert (host.tori / "receipts" / name / "receipt.json").is_file()
    apps = host.tori / "apps"
    for app in apps.iterdir() if apps.is_dir() else ():
        for link in ("active", "previous"):
            if (app / link).is_symlink():
                assert os.path.basename(os.readlink(app / link)) in present  # I2


def check_release(release: Path) -> None:
    """The release is exactly what its listing says, and its name is the SHA-256 of that."""
    listing = (release / ".capsule_contents").read_bytes()
    assert hashlib.sha256(listing).hexdigest() == release.name
    wanted: dict[str, tuple[str, str]] = {}
    for line in listing.decode().splitlines()[1:]:
        if line.startswith("# symlink\t"):
            _, path, target = line.split("\t")
            wanted[path] = ("symlink", target)
        elif line.startswith("# dir\t"):
            wanted[line.split("\t")[1]] = ("dir", "")
        else:
            wanted[line[66:]] = ("555" if line[65] == "*" else "444", line[:64])
    found: dict[str, tuple[str, str]] = {}
    for path in release.rglob("*"):
        name, status = str(path.relative_to(release)), path.lstat()
        if stat.S_ISLNK(status.st_mode):
            found[name] = ("symlink", os.readlink(path))
        elif stat.S_ISDIR(status.st_mode):
            assert stat.S_IMODE(status.st_mode) == 0o555, name
            if not any(path.iterdir()):
                found[name] = ("dir", "")
        else:
            assert status.st_uid == os.geteuid(), name
            found[name] = (f"{stat.S_IMODE(status.st_mode):o}", hashlib.sha256(path.read_bytes()).hexdigest())
    for name in (".capsule_contents", ".capsule_metadata.json"):
        assert found.pop(name)[0] == "444"
    assert found == wanted
    assert stat.S_IMODE(release.lstat().st_mode) == 0o555


def check_tidy(host: Host) -> None:
    """Nothing is left of commands that did not come to their end."""
    assert list((host.tori / "staging").iterdir()) == []  # I5
    present = {path.name for path in (host.tori / "releases").iterdir()}
    assert {path.name for path in (host.tori / "receipts").iterdir()} == present
    assert list((host.tori / "receipts").glob("*/.*.partial")) == []
    for path in (host.tori / "objects").glob("*/*"):
        assert path.lstat().st_nlink > 1, path
    known = {"apps", "lock", "objects", "receipts", "releases", "staging"}
    assert {path.name for path in host.tori.iterdir()} <= known
