"""The options that are read without argparse are read as argparse reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsule_builder.cli.capsbuild import _parser
from capsule_builder.cli.options import check_build_options
from capsule_builder.cli.plain import plain_arguments

PLAIN = ["--cache-dir", "--from-dir", "--manifest", "--output", "--json", "--no-cache", "--quiet"]
OTHERS = ["--from-zip", "--from-di", "--output=x", "--stamp", "--help", "--", "-", "-x", "", "-1", "a", "a b", "--a b"]
WRONG = [[], ["--json"], ["--from-dir"], ["--from-dir", "a", "--no-cache", "--cache-dir", "b"]]


@given(st.lists(st.sampled_from([*PLAIN, *OTHERS]), max_size=8), st.booleans())
def test_what_is_read_is_what_argparse_reads(words: list[str], begun: bool) -> None:
    argv = [*(["--from-dir", "app"] if begun else []), *words]
    if plain := plain_arguments(argv):
        parser = _parser()
        arguments = parser.parse_args(argv)
        check_build_options(parser, arguments)
        assert vars(plain) == vars(arguments)


def test_all_of_them_are_read() -> None:
    words = ["--from-dir", "a", "--manifest", "b", "--output", "c", "--cache-dir", "d", "--json", "--quiet"]
    for argv in (words, words[:2], [*words[:2], "--no-cache"]):
        plain = plain_arguments(argv)
        assert plain
        assert vars(plain) == vars(_parser().parse_args(argv))


@pytest.mark.parametrize(
    "argv", [[], ["--json"], ["--from-dir"], ["--from-dir", "a", "--no-cache", "--cache-dir", "b"]]
)
def test_what_is_wrong_is_left_to_argparse(argv: list[str]) -> None:
    assert plain_arguments(argv) is None
    with pytest.raises(SystemExit):
        _parser().parse_args(argv)
