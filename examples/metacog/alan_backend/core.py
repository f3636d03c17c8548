"""The ``metacognitive-core`` service: reflects on thoughts and keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

from alan_backend import NAME, VERSION
from alan_backend.reflection import Mirror, token_count
from alan_backend.segments import StoreError
from alan_backend.store import RECENT, Store
from alan_backend.token_bucket import TokenBucket

MAX_BODY = 64 * 1024
"""Bytes that a request may carry."""

router = APIRouter()


@dataclass(frozen=True)
class Core:
    """What the service works with."""

    build_sha: str
    mirror: Mirror
    bucket: TokenBucket
    store: Store
    static: Path


async def _core(request: Request) -> Core:
    core: Core = request.app.state.core
    return core


TheCore = Annotated[Core, Depends(_core)]


class Text(BaseModel):
    """What a client thinks."""

    text: Annotated[str, Field(pattern=r"\S", description="Some text that is not blank")]


class Thought(BaseModel):
    """What the service thinks of it."""

    id: int
    text: str
    stance: str
    question: str
    scores: dict[str, float]


class Thoughts(BaseModel):
    """How many thoughts there are, and the latest ones, oldest first."""

    count: int
    thoughts: list[Thought]


class Health(BaseModel):
    """Who answers."""

    status: str = "ok"
    name: str = NAME
    version: str = VERSION
    build_sha: str
    thoughts: int


# Plain functions, which FastAPI runs in threads: each of them may wait for the disk.


@router.get("/healthz")
def health(core: TheCore) -> Health:
    """Whether the service can use its state, and which build it is."""
    count, _ = core.store.recent(0)
    return Health(build_sha=core.build_sha, thoughts=count)


@router.post("/v1/reflect")
def reflect(body: Text, core: TheCore) -> Thought:
    """A question back, once the thought is on the disk."""
    cost, limit = token_count(body.text), core.bucket.capacity
    if cost > limit:
        raise HTTPException(413, f"the text has {cost} words, and MAX_TOKENS_PER_MIN allows {limit}")
    if wait := core.bucket.take(cost):
        raise HTTPException(429, f"too many words in a minute; try again in {wait} s", {"Retry-After": str(wait)})
    return Thought(**core.store.append({"text": body.text, **core.mirror.reflect(body.text)}))


@router.get("/v1/thoughts")
def thoughts(core: TheCore, limit: Annotated[int, Query(ge=1, le=RECENT)] = 100) -> Thoughts:
    """The latest thoughts."""
    count, latest = core.store.recent(limit)
    return Thoughts(count=count, thoughts=[Thought(**thought) for thought in latest])


@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
def page(core: TheCore) -> FileResponse:
    """A page for people."""
    return FileResponse(core.static / "index.html")


def create_app(core: Core) -> FastAPI:
    """The service as an ASGI application. FastAPI's own pages for the API load code from elsewhere, so they are off."""
    app = FastAPI(title=NAME, version=VERSION, docs_url=None, redoc_url=None, max_body_size=MAX_BODY)
    app.state.core = core
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=core.static))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StoreError, _no_store)
    return app


async def _invalid(_request: Request, error: Any) -> JSONResponse:
    """The problems as text. FastAPI's own handler repeats the input, which UTF-8 may not be able to hold."""
    problems = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
    return JSONResponse({"detail": "; ".join(problems)}, 422)


async def _no_store(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"the state cannot be used: {error}"}, 503)
