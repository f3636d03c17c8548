"""Whatever pretends to be a capsule, through ``capsdeploy install``: refused, and nothing of it is left on the host.

Once as an archive without a signature, where the policy takes these; once signed, as if a trusted builder had gone mad.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from capsule_builder.trust.minisign import Claim, SecretKey
from tests.deploy.hosts import ENVIRONMENT, Host, capsule, check_invariants, check_tidy, id_of, sign, snapshot
from tests.reader.corpus import CORPUS

IN_ONE_PROCESS = """
import contextlib, io, json, os, sys
from capsule_deploy.cli import install
results = {}
for name in sorted(name for name in os.listdir(".") if not name.endswith(".minisig")):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = install.main(["--root", sys.argv[1], "--json", name])
    codes = [error["code"] for error in json.loads(out.getvalue()).get("errors", [])]
    results[name] = [status, codes, err.getvalue(), os.listdir(sys.argv[1] + "/opt/tori/staging")]
json.dump(results, sys.stdout)
"""


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.timeout(900)
def test_the_corpus_is_refused_and_leaves_nothing(host: Host, secret: SecretKey, tmp_path: Path, signed: bool) -> None:
    host.policy(f"unsigned: {'false' if signed else 'true'}\nmax_size: 64G\nreserve: {{bytes: 0, inodes: 0}}\n")
    sound = capsule(tmp_path / "sound", secret)
    if not signed:  # a store that has the files of the small capsule which the corpus is made of
        host.install(sound)
    archives = tmp_path / "archives"
    archives.mkdir()
    expected: dict[str, str] = {}
    for number, (code, archive) in enumerate(CORPUS.values()):
        path = archives / f"{number:03}"
        path.write_bytes(archive())
        expected[path.name] = code
        if signed:
            sign(path, secret, str(Claim("forged", "1.2.3", _id(path))))
    host.deploy("install", tmp_path / "nothing", status=None)  # what makes the directories
    before = snapshot(host.root)
    ran = subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS, str(host.root)],
        cwd=archives, env=ENVIRONMENT, capture_output=True, check=True, timeout=800,
    )  # fmt: skip
    results = json.loads(ran.stdout)
    assert len(results) == len(CORPUS)
    wrong = {}
    for (name, code), title in zip(expected.items(), CORPUS, strict=True):
        status, codes, err, left = results[name]
        assert "Traceback" not in err, title
        assert left == [], title
        refused_for_its_signature = signed and status == 3 and codes[0] == "signature-other"
        if (status, codes[:1]) != (4, [code]) and not refused_for_its_signature:
            wrong[title] = (status, codes, code, err[:200])
    assert wrong == {}
    assert snapshot(host.root) == before
    check_invariants(host)
    check_tidy(host)


@pytest.mark.timeout(900)
def test_what_is_signed_and_partly_there_already_is_refused_or_is_sound(
    host: Host, secret: SecretKey, tmp_path: Path
) -> None:
    """Of what somebody signed, only the missing files are read: what else is in the archive has no effect."""
    host.install(capsule(tmp_path / "sound", secret))
    archives = tmp_path / "archives"
    archives.mkdir()
    for number, (_, archive) in enumerate(CORPUS.values()):
        path = archives / f"{number:03}"
        path.write_bytes(archive())
        sign(path, secret, str(Claim("forged", "1.2.3", _id(path))))
    ran = subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS, str(host.root)],
        cwd=archives, env=ENVIRONMENT, capture_output=True, check=True, timeout=800,
    )  # fmt: skip
    for name, (status, codes, err, left) in json.loads(ran.stdout).items():
        assert (left, "Traceback" in err) == ([], False), name
        assert status in (0, 3, 4, 5), (name, status, codes)
    check_invariants(host)
    check_tidy(host)
    host.deploy("verify", "--all", "--full")


def _id(path: Path) -> str:
    """The ID that a builder would sign: that of the listing, where there is one."""
    try:
        return id_of(path.read_bytes())
    except Exception:
        return "0" * 64
