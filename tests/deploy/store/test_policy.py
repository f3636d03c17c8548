"""A host's policy and its trusted keys: read strictly, all problems at once, believed only when root wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsule_builder.trust.minisign import SecretKey
from capsule_deploy.layout import Layout
from capsule_deploy.policy import Policy, PolicyError, Reserve, parse_policy, read_policy
from capsule_deploy.trust import TrustError, read_keys
from tests.deploy.hosts import Host


def codes(text: str) -> list[str]:
    with pytest.raises(PolicyError) as refused:
        parse_policy(text.encode(), "policy.yml")
    return [problem.code for problem in refused.value.problems]


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "   \n#\n\n"])
def test_what_is_not_said_is_strict(text: str) -> None:
    assert parse_policy(text.encode(), "policy.yml") == Policy()
    assert Policy() == Policy(
        unsigned=False,
        max_size=20 << 30,
        object_store=True,
        keep=5,
        minimum_age=3600,
        exposure=2.0,
        reserve=Reserve(bytes=1 << 30, inodes=10_000),
    )


def test_everything_that_can_be_said() -> None:
    text = """
unsigned: true
max_size: 500M
object_store: false
keep: 0
minimum_age: 7d
exposure: 1.5
reserve:
  bytes: 2G
  inodes: 0
"""
    assert parse_policy(text.encode(), "policy.yml") == Policy(
        unsigned=True,
        max_size=500 << 20,
        object_store=False,
        keep=0,
        minimum_age=7 * 86400,
        exposure=1.5,
        reserve=Reserve(bytes=2 << 30, inodes=0),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unsigned: yes\n", ["bad-value"]),
        ('unsigned: "true"\n', ["bad-value"]),
        ("unsigned: True\n", ["bad-value"]),
        ("keep: -1\n", ["bad-value"]),
        ("keep: 05\n", ["bad-value"]),
        ("keep: 1e3\n", ["bad-value"]),
        ("keep:\n", ["bad-value"]),
        ("keep: [1]\n", ["bad-value"]),
        ("minimum_age: 1\n", ["bad-value"]),
        ("max_size: 1g\n", ["bad-value"]),
        ("max_size: 0.5G\n", ["bad-value"]),
        ("exposure: 11\n", ["bad-value"]),
        ("exposure: nan\n", ["bad-value"]),
        ("Unsigned: true\n", ["unknown-key"]),
        ("reserve: 1G\n", ["not-a-mapping"]),
        ("reserve: {bytes: 1G, files: 1}\n", ["unknown-key"]),
        ("- unsigned\n", ["not-a-mapping"]),
        ("unsigned: true\nunsigned: false\n", ["duplicate-key"]),
        ("unsigned: &a true\n", ["yaml-anchor"]),
        ("unsigned: !!bool true\n", ["yaml-tag"]),
        ("a: &a [x]\nkeep: *a\n", ["yaml-anchor", "unknown-key", "yaml-alias"]),
        ("keep: 1\n---\nkeep: 2\n", ["several-documents"]),
        ("keep: {\n", ["bad-value", "yaml-syntax"]),
        ("keep: x\nunsigned: y\nother: 1\n", ["bad-value", "bad-value", "unknown-key"]),
    ],
)
def test_every_problem_is_told_at_once(text: str, expected: list[str]) -> None:
    assert sorted(codes(text)) == sorted(expected)


@given(st.binary(max_size=200))
def test_whatever_it_holds_is_a_policy_or_refused(data: bytes) -> None:
    try:
        assert isinstance(parse_policy(data, "policy.yml"), Policy)
    except PolicyError as refused:
        assert refused.problems


def test_messages_name_file_line_and_column(host: Host) -> None:
    host.policy("keep: 5\nunsigned: yes\n")
    with pytest.raises(PolicyError) as refused:
        read_policy(Layout(str(host.root)))
    place = f"{host.root}/etc/tori/policy.yml:2:11"
    assert str(refused.value) == f'{place}: error: unsigned: "yes" is no value for it; write true or false'


def test_without_a_file_the_policy_is_the_strict_one(tmp_path: Path) -> None:
    assert read_policy(Layout(str(tmp_path))) == Policy()


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o602])
def test_a_policy_that_others_may_write_is_not_believed(host: Host, mode: int) -> None:
    (host.root / "etc/tori/policy.yml").chmod(mode)
    with pytest.raises(PolicyError, match="can be written by others"):
        read_policy(Layout(str(host.root)))


@pytest.mark.parametrize("command", ["install", "gc"])
def test_a_policy_that_others_could_replace_is_not_believed(host: Host, tmp_path: Path, command: str) -> None:
    (host.root / "etc/tori").chmod(0o777)
    arguments = [tmp_path / "x"] if command == "install" else []
    assert host.json(command, *arguments, status=5)["errors"][0]["code"] == "host-unguarded"
    (host.root / "etc/tori/policy.yml").unlink()
    if command == "install":
        assert host.json(command, *arguments, status=5)["errors"][0]["code"] == "host-unguarded"


def test_keys_are_read_in_the_order_of_their_names(host: Host, secret: SecretKey) -> None:
    other = SecretKey.generate()
    (host.root / "etc/tori/trust/a.pub").write_bytes(other.public_key.format())
    (host.root / "etc/tori/trust/README").write_bytes(b"not a key")
    assert read_keys(Layout(str(host.root))) == [other.public_key, secret.public_key]
    assert read_keys(Layout(str(host.root / "elsewhere"))) == []


def test_keys_that_others_may_write_or_that_are_none_are_refused_all_at_once(host: Host) -> None:
    trust = host.root / "etc/tori/trust"
    (trust / "release.pub").chmod(0o666)
    (trust / "zz.pub").write_bytes(b"no key\n")
    (trust / "zzz.pub").mkdir()
    with pytest.raises(TrustError) as refused:
        read_keys(Layout(str(host.root)))
    found = [problem.code for problem in refused.value.problems]
    assert found == ["host-unguarded", "minisign-malformed", "file-special"]


def test_a_key_that_is_not_there_does_not_hide_what_else_is_wrong(host: Host, tmp_path: Path) -> None:
    trust = host.root / "etc/tori/trust"
    (trust / "a.pub").symlink_to("/nowhere")
    (trust / "b.pub").write_text("no key\n")
    errors = host.json("install", tmp_path / "x", status=3)["errors"]
    assert [error["code"] for error in errors] == ["key-unreadable", "minisign-malformed"]


def test_a_directory_of_keys_that_others_may_write_or_that_is_a_link_is_refused(host: Host, tmp_path: Path) -> None:
    trust = host.root / "etc/tori/trust"
    trust.chmod(0o777)
    with pytest.raises(TrustError, match="can be written by others"):
        read_keys(Layout(str(host.root)))
    trust.rename(tmp_path / "keys")
    (tmp_path / "keys").chmod(0o755)
    trust.symlink_to(tmp_path / "keys")
    with pytest.raises(TrustError, match="not a directory"):
        read_keys(Layout(str(host.root)))
