from __future__ import annotations

import codecs

import pytest

from capsule_builder.errors import CapsuleError, refusal
from capsule_builder.requirements import Requirements, read_requirements
from tests.requirements.house import read

URL = "https://example.com/a-1.0-py3-none-any.whl"
SHA = "0123456789abcdef" * 4


def text(*lines: str, **others: str) -> Requirements:
    files = {name.replace("_", "/") + ".txt": value.encode() for name, value in others.items()}
    return read({"requirements.txt": "\n".join(lines).encode(), **files})


def refused(*lines: str, **others: str) -> list[tuple[str, str]]:
    with pytest.raises(CapsuleError) as caught:
        text(*lines, **others)
    assert all(problem.remedy or "not in the wheel" in problem.message for problem in caught.value.problems)
    return [(problem.code, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("a~=1", "requirement-invalid"),
        ("a>=2.*", "requirement-invalid"),
        ("a==1.0 b", "requirement-invalid"),
        ("a==1; python_version", "requirement-invalid"),
        ("==1.0", "requirement-invalid"),
        ("a[x==1", "requirement-invalid"),
        ("a==1.0 \\ ", "requirement-invalid"),
        ("a @ https://example.com/b-1-py3-none-any.whl", "requirement-invalid"),
        ("a==" + "1" * 5000, "requirement-invalid"),
        ("a; " + "(" * 900 + "os_name=='x'" + ")" * 900, "requirement-invalid"),
        ("a @ x:y; " + "(" * 900 + "os_name=='x'" + ")" * 900, "requirement-invalid"),
        (f"./a-{'1' * 5000}-py3-none-any.whl", "requirement-source"),
        ("-e .", "requirement-editable"),
        ("--editable=git+https://example.com/r#egg=a", "requirement-editable"),
        (".", "requirement-source"),
        ("./pkg", "requirement-source"),
        ("dist/a-1.0.tar.gz", "requirement-source"),
        ("git+https://example.com/r.git", "requirement-source"),
        ("https://example.com/a-1.0.zip", "requirement-source"),
        ("https://[example.com/a", "requirement-source"),
        ("a==1 --hash=md5:0123", "requirement-hash-format"),
        ("a==1 --hash=sha256:0123", "requirement-hash-format"),
        ("a==1 --hash=" + SHA, "requirement-hash-format"),
        (f"--hash=sha256:{SHA}", "requirements-option"),
        ("a==1 --pre", "requirements-option"),
        ("a==1 -r other.txt", "requirements-option"),
        ("-r b.txt -r c.txt", "requirements-option"),
        ("--no-such-option", "requirements-option"),
        ("--index-url", "requirements-option"),
        ("--pre yes", "requirements-option"),
        ("a==1 --hash='sha256", "requirements-option"),
        ("-r https://example.com/r.txt", "requirements-remote"),
        ("-c file:///srv/c.txt", "requirements-remote"),
        ("-r absent.txt", "requirements-missing"),
        ("a @ https://${TOKEN}@example.com/a.zip", "requirements-variable"),
        ("--index-url https://${USER_1}:x@example.com", "requirements-variable"),
    ],
)
def test_what_is_refused(line: str, code: str) -> None:
    problems = refused("ok==1", line, "ok==2")
    assert [found for found, _ in problems] == [code]
    assert problems[0][1].startswith("requirements.txt:2: ")


def test_everything_is_refused_at_once() -> None:
    problems = refused("-e .", "-r sub/more.txt", "a~=1", sub_more="# x\n\nb>=1.*\n-r nothing.txt")
    assert [(code, message.partition(": ")[0]) for code, message in problems] == [
        ("requirement-editable", "requirements.txt:1"),
        ("requirement-invalid", "sub/more.txt:3"),
        ("requirements-missing", "sub/more.txt:4"),
        ("requirement-invalid", "requirements.txt:3"),
    ]


def test_a_constraint_has_no_extras() -> None:
    assert refused("-c c.txt", c="a[x]==1") == [("constraint-extras", "c.txt:1: a constraint with extras: a[x]==1")]


def test_files_in_a_circle() -> None:
    problems = refused("-r sub/a.txt", sub_a="-r ../requirements.txt")
    assert problems == [
        (
            "requirements-cycle",
            "sub/a.txt:1: files name each other in a circle: requirements.txt -> sub/a.txt -> requirements.txt",
        )
    ]


def test_files_that_are_nested_too_deep() -> None:
    chain = {f"f{number}.txt": f"-r f{number + 1}.txt".encode() for number in range(5000)}
    with pytest.raises(CapsuleError) as caught:
        read(chain, "f0.txt")
    assert [problem.code for problem in caught.value.problems] == ["requirements-nesting"]


def test_the_reader_decides_what_may_be_read() -> None:
    asked = []

    def one(path: str) -> bytes:
        asked.append(path)
        if ".." in path:
            raise refusal("outside", f"{path}: leads out")
        if path == "dir":
            raise IsADirectoryError(21, "Is a directory")
        return b"-r ../../base.txt\n-r ./x/../dir\n-c /etc/c.txt" if path == "app/all.txt" else b"a==1"

    with pytest.raises(CapsuleError) as caught:
        read_requirements("app/all.txt", one)
    assert asked == ["app/all.txt", "../base.txt", "app/dir", "/etc/c.txt"]
    assert [problem.code for problem in caught.value.problems] == ["outside"]
    with pytest.raises(CapsuleError) as caught:
        read_requirements("dir", one)
    assert [str(problem) for problem in caught.value.problems] == ["cannot read dir: Is a directory"]


@pytest.mark.parametrize(
    "data",
    [
        b"a==1 # \xe9",
        b"# coding: no-such-thing\na==1",
        b"# coding: rot13\na==1",
        b"# coding: ascii\n# \xe9",
        codecs.BOM_UTF16_LE + b"a",
    ],
)
def test_what_is_not_text(data: bytes) -> None:
    with pytest.raises(CapsuleError) as caught:
        read({"requirements.txt": data})
    assert [problem.code for problem in caught.value.problems] == ["requirements-encoding"]


@pytest.mark.parametrize(
    "data",
    [
        "é==1".encode("utf-16"),
        codecs.BOM_UTF16_BE + "é==1".encode("utf-16-be"),
        codecs.BOM_UTF32_LE + "é==1".encode("utf-32-le"),
        codecs.BOM_UTF8 + "é==1".encode(),
        "# vim: set fileencoding=latin-1 :\né==1".encode("latin-1"),
        "\n# coding=cp1252\né==1".encode("cp1252"),
        "é==1".encode(),
    ],
)
def test_encodings(data: bytes) -> None:
    """The letter is no part of a name, so that the message shows how it was read."""
    with pytest.raises(CapsuleError, match="not a requirement: é==1"):
        read({"requirements.txt": data})


@pytest.mark.parametrize(
    ("line", "spelled"),
    [
        ("a", "a"),
        ("A.b_c [ x , Y ] == 1.0 ; python_version<'3'", 'A.b_c[Y,x]==1.0; python_version < "3"'),
        ("a (>=1,<2)", "a<2,>=1"),
        (f"a @ {URL}", f"a @ {URL}"),
        (f"a[x]@{URL};os_name=='nt'", f'a[x] @ {URL} ; os_name == "nt"'),
        (f"a @ {URL} ; os_name=='nt'", f'a @ {URL} ; os_name == "nt"'),
        (f"{URL}#egg=whatever", f"a @ {URL}#egg=whatever"),
        (f"{URL};os_name=='nt'", f'a @ {URL} ; os_name == "nt"'),
        ("./my wheels/a-1.0-py3-none-any.whl[x,y]", "a[x,y] @ ./my%20wheels/a-1.0-py3-none-any.whl"),
        ("a-1.0-py3-none-any.whl", "a @ a-1.0-py3-none-any.whl"),
        ("/srv/a-1.0+cpu-1-py3-none-any.whl", "a @ /srv/a-1.0+cpu-1-py3-none-any.whl"),
        ("git+https://example.com/r.git@v1#egg=Some_Name[x]", "Some_Name[x] @ git+https://example.com/r.git@v1#egg=Some_Name"),
        ("a==1  # why", "a==1"),
        ("a @ https://example.com/x#egg=a", "a @ https://example.com/x#egg=a"),
        ("a==1 ; os_name != '${lower}'", 'a==1; os_name != "${lower}"'),
    ],
)  # fmt: skip
def test_what_a_line_says(line: str, spelled: str) -> None:
    (found,) = text(line).lines
    assert str(found.requirement) == spelled
    assert found.text == line.partition("  #")[0]
    assert (found.file, found.line, found.is_constraint) == ("requirements.txt", 1, False)


def test_lines_know_where_they_stand() -> None:
    found = text(
        "# head",
        "a==1 \\",
        f"  --hash=sha256:{SHA.upper()} \\",
        f"  --hash sha512:{SHA * 2}  # via x",
        "-c sub/limits.txt",
        f"b @ {URL.replace('/a-', '/b-')}#sha256={SHA}&egg=b",
        "c \\",
        "# the comment ends it",
        "d",
        sub_limits="-r more.txt\ne<2",
        sub_more="f",
    )
    assert [(line.file, line.line, line.name, line.is_constraint) for line in found.lines] == [
        ("requirements.txt", 2, "a", False),
        ("sub/more.txt", 1, "f", False),  # as in pip: -r asks for its lines, wherever it stands
        ("sub/limits.txt", 2, "e", True),
        ("requirements.txt", 6, "b", False),
        ("requirements.txt", 7, "c", False),
        ("requirements.txt", 9, "d", False),
    ]
    assert found.lines[0].hashes == (f"sha256:{SHA}", f"sha512:{SHA * 2}")
    assert (found.lines[3].hashes, found.lines[3].locks) == ((), (f"sha256:{SHA}",))
    assert found.is_hashed
    assert [line.name for line in found.constraints] == ["e"]


def test_options_are_recorded() -> None:
    found = text("-i https://example.com/simple --pre", "--no-binary=:none:", "a==1 --config-settings=x=y", "-f wheels")
    assert [(option.line, option.name, option.value) for option in found.options] == [
        (1, "--index-url", "https://example.com/simple"),
        (1, "--pre", ""),
        (2, "--no-binary", ":none:"),
        (3, "--config-settings", "x=y"),
        (4, "--find-links", "wheels"),
    ]
    assert found.has("--pre")
    assert [note.code for note in found.notes] == ["option-build"]
    assert str(found.notes[0]).startswith("requirements.txt:3: --config-settings is not followed")


def test_a_file_that_is_named_twice_is_read_once_for_each_purpose() -> None:
    found = text("-r x.txt", "-c x.txt", "-r ./x.txt", "--constraint=x.txt", x="a==1")
    assert [(line.name, line.is_constraint) for line in found.lines] == [("a", False), ("a", True)]


def test_an_empty_file_asks_for_nothing() -> None:
    assert text("", "# nothing", "  ") == Requirements()


@pytest.mark.parametrize(
    ("line", "pinned"),
    [
        ("a==1", True),
        ("a===1", True),
        ("a>=1,==1.5", True),
        (f"a @ {URL}", True),
        ("a==1.*", False),
        ("a~=1.0", False),
        ("a", False),
    ],
)
def test_what_a_pin_is(line: str, pinned: bool) -> None:
    assert text(line).lines[0].is_pinned is pinned
