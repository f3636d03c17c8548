from __future__ import annotations

from tests.deploy.host import host, shared_host

__all__ = ["host", "shared_host"]
