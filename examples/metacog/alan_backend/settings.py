"""What the environment says, checked in full before anything starts."""

from __future__ import annotations

import argparse
import os
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, IPvAnyAddress, ValidationError

from alan_backend import NAME, VERSION


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path, such as /opt/tori/state")
    return path


Port = Annotated[int, Field(ge=0, le=65535)]
"""0 takes any free port."""


class Settings(BaseModel):
    """What both services read."""

    model_config = ConfigDict(frozen=True)

    host: Annotated[IPvAnyAddress, Field(alias="TORI_HOST")] = IPv4Address("127.0.0.1")
    port: Annotated[Port, Field(alias="TORI_PORT")]
    build_sha: Annotated[str, Field(alias="BUILD_SHA", pattern="^[!-~]{1,128}$")] = "unknown"
    """The ID of the capsule that runs, or ``unknown`` outside one."""


class CoreSettings(Settings):
    """The settings of the ``metacognitive-core`` service."""

    port: Annotated[Port, Field(alias="TORI_PORT")] = 8077
    state_root: Annotated[Path, Field(alias="TORI_STATE_ROOT"), AfterValidator(_absolute)]
    max_tokens_per_min: Annotated[int, Field(alias="MAX_TOKENS_PER_MIN", ge=1, le=1_000_000)] = 200


class BridgeSettings(Settings):
    """The settings of the ``websocket-bridge`` service."""

    port: Annotated[Port, Field(alias="TORI_PORT")] = 8078
    core_url: Annotated[HttpUrl, Field(alias="TORI_CORE_URL")] = HttpUrl("http://127.0.0.1:8077")


def environment(description: str) -> dict[str, str]:
    """The environment, in which ``--port`` of the command line is ``TORI_PORT``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", help="instead of TORI_PORT; 0 takes any free port")
    parser.add_argument("--version", action="version", version=f"{NAME} {VERSION}")
    port = parser.parse_args().port
    return dict(os.environ) if port is None else {**os.environ, "TORI_PORT": port}


def problems(error: ValidationError) -> list[str]:
    """One line for each variable at fault; pydantic's own text would print the whole environment with them."""
    return [
        f"{problem['loc'][0]}: "
        + ("must be set" if problem["type"] == "missing" else f"{problem['msg']}; not {problem['input']!r}")
        for problem in error.errors()
    ]
