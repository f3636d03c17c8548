"""The order of the tests: files are given to the workers one after another, so the long ones begin."""

from __future__ import annotations

import os

import pytest

_LONG = ("environment", "examples", "determinism", "bazel", "deploy", "reader", "relocate")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def order(item: pytest.Item) -> int:
        directory = item.nodeid.split("/")[1]
        return _LONG.index(directory) if directory in _LONG else len(_LONG)

    items.sort(key=order)


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each process that is forked."""
    made: list[int] = []
    fork = os.fork

    def noted() -> int:
        made.append(os.getpid())
        return fork()

    monkeypatch.setattr(os, "fork", noted)
    return made
