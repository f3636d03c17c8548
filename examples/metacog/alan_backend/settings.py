"""What the environment says, checked in full before anything starts."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class SettingsError(ValueError):
    """The environment cannot be used; ``problems`` has one line for each variable at fault."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


@dataclass(frozen=True)
class CoreSettings:
    """The settings of the ``metacognitive-core`` service."""

    host: str
    port: int
    """0 takes any free port."""
    state_root: str
    max_tokens_per_min: int
    build_sha: str
    """The ID of the capsule that runs, or ``unknown`` outside one."""


def core_settings(environ: Mapping[str, str]) -> CoreSettings:
    """The core's settings; raises ``SettingsError`` with every problem at once."""
    reader = _Reader(environ)
    settings = CoreSettings(
        host=reader.address("TORI_HOST", default="127.0.0.1"),
        port=reader.integer("TORI_PORT", default=8077, low=0, high=65535),
        state_root=reader.directory("TORI_STATE_ROOT"),
        max_tokens_per_min=reader.integer("MAX_TOKENS_PER_MIN", default=200, low=1, high=1_000_000),
        build_sha=reader.word("BUILD_SHA", default="unknown"),
    )
    reader.finish()
    return settings


@dataclass(frozen=True)
class BridgeSettings:
    """The settings of the ``websocket-bridge`` service."""

    host: str
    port: int
    """0 takes any free port."""
    core_url: str
    build_sha: str
    """The ID of the capsule that runs, or ``unknown`` outside one."""


def bridge_settings(environ: Mapping[str, str]) -> BridgeSettings:
    """The bridge's settings; raises ``SettingsError`` with every problem at once."""
    reader = _Reader(environ)
    settings = BridgeSettings(
        host=reader.address("TORI_HOST", default="127.0.0.1"),
        port=reader.integer("TORI_PORT", default=8078, low=0, high=65535),
        core_url=reader.http_url("TORI_CORE_URL", default="http://127.0.0.1:8077"),
        build_sha=reader.word("BUILD_SHA", default="unknown"),
    )
    reader.finish()
    return settings


class _Reader:
    """Reads variables one by one, and keeps the problems until ``finish``."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[str] = []

    def integer(self, name: str, *, default: int, low: int, high: int) -> int:
        text = self._environ.get(name, str(default))
        if not (text.isascii() and text.isdecimal() and len(text) <= 9 and low <= int(text) <= high):
            self._refuse(name, f"must be a whole number from {low} to {high}")
            return default
        return int(text)

    def address(self, name: str, *, default: str) -> str:
        text = self._environ.get(name, default)
        try:
            ipaddress.ip_address(text)
        except ValueError:
            self._refuse(name, "must be an IP address, such as 127.0.0.1")
        return text

    def http_url(self, name: str, *, default: str) -> str:
        text = self._environ.get(name, default)
        if not re.fullmatch(r"http://([0-9A-Za-z.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}", text):
            self._refuse(name, "must be http://host:port")
        return text

    def directory(self, name: str) -> str:
        text = self._environ.get(name, "")
        if not os.path.isabs(text):
            self._refuse(name, "must be set to an absolute path, such as /opt/tori/state")
        return text

    def word(self, name: str, *, default: str) -> str:
        text = self._environ.get(name) or default
        if not (text.isascii() and text.isprintable() and " " not in text and len(text) <= 128):
            self._refuse(name, "must be one word of at most 128 printable ASCII characters")
        return text

    def finish(self) -> None:
        if self._problems:
            raise SettingsError(self._problems)

    def _refuse(self, name: str, rule: str) -> None:
        value = self._environ.get(name)
        found = "it is not set" if value is None else f"not {value!r}"
        self._problems.append(f"{name} {rule}; {found}")
