"""The parsers against the programs that they follow: systemd's own reader, Python's INI reader, dash and bash."""

from __future__ import annotations

import configparser
import contextlib
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capsule_deploy.migrate.cron import parse_crontab
from capsule_deploy.migrate.shell.syntax import Simple, parse
from capsule_deploy.migrate.shell.tokens import NotUnderstoodError
from capsule_deploy.migrate.supervisor.ini import parse_ini
from capsule_deploy.migrate.supervisor.values import expand, parse_pairs
from capsule_deploy.migrate.systemd.environment_file import parse_environment_file
from capsule_deploy.migrate.systemd.syntax import parse_unit
from capsule_deploy.migrate.systemd.words import (
    SEPARATOR,
    QuotingError,
    expand_specifiers,
    expand_variables,
    split_words,
)

GENERATOR = "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator"
"""systemd's program that reads environment files by the reader that services have."""

LAW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""For laws that start a program each time."""


# Units


def test_a_unit_is_read_as_systemd_reads_it() -> None:
    text = (
        "; comment\n[Unit]\nDescription = a  b\n\n[Service]\nExecStart=/bin/a \\\n# within\n  b \\\n\n; and\nc\n"
        "Environment=\n  # indented\nNo equals\n=x\n[Broken\nType=simple\\\\\nLast=\\"
    )
    found, wrong = parse_unit(text)
    assert [(one.section, one.key, one.value, one.line) for one in found] == [
        ("Unit", "Description", "a  b", 3),
        ("Service", "ExecStart", "/bin/a    b", 6),
        ("Service", "Environment", "", 12),
        ("Service", "Type", "simple\\\\", 17),
        ("Service", "Last", "", 18),
    ]
    assert found[1].text == "ExecStart=/bin/a \\\n  b \\\n"
    assert [(one.line, one.message.split()[0]) for one in wrong] == [
        (11, "there"),
        (14, "there"),
        (15, "there"),
        (16, "a"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ('"a b" \'c "d\'', ["a b", 'c "d']),
        ('x="y z"w', ["x=y zw"]),
        (r"a\x41\101\u00e9\U0001F600\n\s|", ["aAAé😀\n |"]),
        (r"\d\x00\q", [r"\d\x00\q"]),
        ('"" a', ["", "a"]),
        ("", []),
        (r"'\t'", ["\t"]),
        (r"\"a\'", ["\"a'"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_commands_are_parted_by_a_semicolon_that_stands_alone() -> None:
    assert split_words(r"a ; b \; c; d", separators=True) == ["a", SEPARATOR, "b", ";", "c;", "d"]
    with pytest.raises(QuotingError):
        split_words("'a")


def test_variables_and_specifiers() -> None:
    env = {"A": "1 '2 3'", "B": "x y"}
    assert expand_variables(["$A", "${B}", "p${B}q", "$$A", "$NONE", "${NONE}z", "a$B"], env) == (
        ["1", "2 3", "x y", "px yq", "$A", "z", "a$B"],
        ["NONE", "NONE"],
    )
    known = {"n": "a.service"}
    assert expand_specifiers("%n 100%% %H %", known.get) == ("a.service 100% %H %", ["%H"])


def environment_of_systemd(directory: Path, text: str) -> dict[str, str]:
    """What systemd reads; it prints in the notation that it reads."""
    (directory / "environment.d").mkdir(exist_ok=True)
    (directory / "environment.d/a.conf").write_bytes(text.encode())
    env = {"XDG_CONFIG_HOME": str(directory), "HOME": "/nonexistent"}
    done = subprocess.run([GENERATOR], env=env, capture_output=True, check=True)
    found = {}
    for line in done.stdout.decode().splitlines():
        name, _, value = line.partition("=")
        found[name] = split_words(value)[0] if value else ""
    found.pop("QT_ACCESSIBILITY", None)
    return found


# "$" is left out, for that program expands it; and it drops what is empty.
_ENVIRONMENT_LINE = st.text(alphabet="AB=_ab1 \t'\"\\#;\n\ré", max_size=40)


@LAW
@given(st.lists(_ENVIRONMENT_LINE, max_size=6).map("\n".join))
def test_environment_files_are_read_as_systemd_reads_them(tmp_path: Path, text: str) -> None:
    found, _ = parse_environment_file(text)
    expected = environment_of_systemd(tmp_path, text)
    assert {name: value for name, value, _ in found if value} == expected


def test_lines_of_environment_files_are_counted() -> None:
    text = '# c \\\nHIDDEN=1\nA="x\ny"\n\nB=2\\\n3\nexport C=1\nnothing\n'
    found, wrong = parse_environment_file(text)
    assert found == [("A", "x\ny", 3), ("B", "23", 6)]
    assert [one.line for one in wrong] == [8, 9]


# supervisor

_INI = st.text(alphabet="ab[]:=;# \t%\n", max_size=60)


@settings(max_examples=1500, deadline=None)
@given(st.lists(_INI, max_size=4).map("\n".join).map(lambda text: f"[program:x]\n{text}"))
def test_ini_files_are_read_as_supervisor_reads_them(text: str) -> None:
    """supervisor's reader is Python's, with these options."""
    reader = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    try:
        reader.read_string(text)
    except configparser.Error:
        return  # supervisor would not start; what is told then is for a person
    found, wrong = parse_ini(text)
    own = {name: {key: option.value for key, option in options.items()} for name, _, options in found}
    expected = {name: dict(reader.items(name)) for name in reader.sections()}
    own.pop("DEFAULT", None)
    assert own == expected
    assert wrong == []


def test_values_of_environment_and_of_expansions() -> None:
    assert parse_pairs("A=\"b,c\",D='e',F=/g-h.i:(j),K=%") == {"A": "b,c", "D": "e", "F": "/g-h.i:(j)", "K": "%"}
    for wrong in ("A", "A=", "=b", "A b c"):
        with pytest.raises(ValueError, match="KEY=value"):
            parse_pairs(wrong)
    known: dict[str, str | int] = {"here": "/a", "n": 7}
    assert expand("%(here)s/%(n)02d/%(n)s%%", known) == "/a/07/7%"
    for wrong in ("%", "%(x)s", "%(here)d", "100% of"):
        with pytest.raises(ValueError):
            expand(wrong, known)


# cron


def test_a_crontab() -> None:
    text = (
        "# c\nSHELL=/bin/bash\nA = 'b c'\n@reboot /srv/a/start.sh % input\n*/5 1-3 * jan,feb mon cd /x && y 100\\%\n"
        "@reboot www-data /srv/b/run.sh\n@daily x\nnonsense\n61\n"
    )
    jobs, wrong = parse_crontab(text)
    assert [(job.when, job.user, job.command) for job in jobs] == [
        ("@reboot", None, "/srv/a/start.sh"),
        ("*/5 1-3 * jan,feb mon", None, "cd /x && y 100%"),
        ("@reboot", "www-data", "/srv/b/run.sh"),
        ("@daily", None, "x"),
    ]
    assert {key: value for key, (value, *_) in jobs[0].env.items()} == {"SHELL": "/bin/bash", "A": "b c"}
    assert [number for number, _ in wrong] == [8, 9]
    assert parse_crontab("@reboot root sleep 1", system=True)[0][0].user == "root"
    assert parse_crontab("@reboot root sleep 1", system=False)[0][0].command == "root sleep 1"


# Shells


def plain_words(text: str) -> list[str] | None:
    """The words of a text that is one command in which nothing is expanded; None when it is more."""
    try:
        steps = parse(text)
    except NotUnderstoodError:
        return None
    if len(steps) != 1 or len(steps[0].pipelines) != 1 or len(steps[0].pipelines[0][1]) != 1 or steps[0].background:
        return None
    command = steps[0].pipelines[0][1][0]
    if not isinstance(command, Simple) or command.redirections:
        return None
    if any(part.kind != "text" for word in command.words for part in word.parts):
        return None
    return ["".join(part.text for part in word.parts) for word in command.words]


@LAW
@given(st.text(alphabet="ab '\"\\#=-/\n\té", max_size=40))
def test_words_are_those_of_the_shell(text: str) -> None:
    words = plain_words(f"x {text}")
    if words is None:
        return
    command = ["dash", "-c", f'x() {{ printf "%s\\0" "$@"; }}\nx {text}']
    done = subprocess.run(command, capture_output=True, env={"LC_ALL": "C.UTF-8"})
    printed = done.stdout.decode().split("\0")[:-1] or [""]
    assert (words[1:] or [""]) == printed, done.stderr


def test_what_a_script_is_not_to_be_is_refused_with_its_line() -> None:
    for text, line in {
        "a\nfor x in 1; do y; done": 2,
        "f() { a; }": 1,
        "a <<END\nEND": 1,
        "a\nb 'c": 2,
        "a $((1+1))": 1,
        "if a; then b": 1,
        "fi": 1,
        "a &&": 1,
        "(a)": 1,
        "a >": 1,
        "case x in y) z;; esac": 1,
        "a $(b": 1,
    }.items():
        with pytest.raises(NotUnderstoodError) as error:
            parse(text)
        assert error.value.line == line, text


# Anything at all

ANY = st.one_of(
    st.text(max_size=200),
    st.lists(
        st.sampled_from(
            ["[Service]", "ExecStart=", "\\\n", "\n", "=", "'", '"', "$(", "${", "}", ")", "`", "%", "%(", ")s", "\\x",
             "\\", "if", "then", "fi", ";", "&", "&&", "|", ">", "<", "<<", "#", " ", "@reboot ", "* * * * * ", "A=",
             "\t", "\r", "[program:x]", "command=", "\ud800", "é", "\x7f", "~", "a", "1"]
        ),
        max_size=40,
    ).map("".join),
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(ANY)
def test_no_text_breaks_a_parser(text: str) -> None:
    parse_unit(text)
    parse_environment_file(text)
    parse_crontab(text)
    parse_ini(text)
    for parser, error in ((split_words, QuotingError), (parse, NotUnderstoodError), (parse_pairs, ValueError)):
        with contextlib.suppress(error):
            parser(text)
    with contextlib.suppress(ValueError):
        expand(text, {})
    expand_specifiers(text, {}.get)
    expand_variables([text], {})


def test_long_and_deep_texts_take_no_longer_than_their_length() -> None:
    for text in (
        "\\\n" * 200_000,
        "$(" * 50_000,
        "a;" * 100_000,
        "if " * 50_000,
        "'" + "a" * 1_000_000,
        "x" * 1_000_000,
    ):
        parse_unit(text)
        parse_environment_file(text)
        parse_ini(text)
        parse_crontab(text)
        with contextlib.suppress(NotUnderstoodError):
            parse(text)


assert os.path.exists(GENERATOR), "systemd is needed: it is what its formats are compared with"
