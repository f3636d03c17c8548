#!/usr/bin/env python3
"""Starts the ``metacognitive-core`` service: ``start_true_metacognition.py [--port PORT]``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
sys.dont_write_bytecode = True  # the capsule stays as it was unpacked, even where root may write

from pydantic import ValidationError  # noqa: E402

from alan_backend import server, settings  # noqa: E402
from alan_backend.core import Core, create_app  # noqa: E402
from alan_backend.reflection import load_mirror  # noqa: E402
from alan_backend.segments import StoreError  # noqa: E402
from alan_backend.store import Store  # noqa: E402
from alan_backend.token_bucket import TokenBucket  # noqa: E402


def main() -> int:
    """Runs until SIGTERM; 0 after a clean stop, 78 (EX_CONFIG) when the environment does not allow a start."""
    try:
        chosen = settings.CoreSettings.model_validate(settings.environment("Reflects on thoughts, over HTTP."))
        core = Core(
            build_sha=chosen.build_sha,
            mirror=load_mirror(ROOT / "config" / "stances.json"),
            bucket=TokenBucket(chosen.max_tokens_per_min),
            store=Store(chosen.state_root / "metacognitive"),
            static=ROOT / "static",
        )
        listener = server.listen(chosen)
    except ValidationError as error:
        return server.refuse(settings.problems(error))
    except (StoreError, OSError) as error:
        return server.refuse([str(error)])
    return server.run(create_app(core), listener, chosen.build_sha)


if __name__ == "__main__":
    sys.exit(main())
