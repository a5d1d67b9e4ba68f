"""Start the ``app`` of ``app.py`` as its server would, send ``GET /``, and stop it.

    python ask_app.py

The tests of the pages run it in the folder of the page. Any response below 500 is accepted.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any

SERVER_ERRORS = 500


async def status_of_asgi(app: Any) -> int:
    """Start an ASGI application, send ``GET /``, and stop it; return the status."""
    to_lifespan: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_lifespan: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    state: dict[str, Any] = {}
    scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}
    lifespan = asyncio.create_task(app(scope, to_lifespan.get, from_lifespan.put))
    # An application without a lifespan rejects the scope, as Django's does.
    with_lifespan = await _takes_part(lifespan, to_lifespan, from_lifespan, "startup")

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 50_000),
        "server": ("localhost", 80),
        "state": state,
    }
    await app(scope, receive, send)
    if with_lifespan:
        await _takes_part(lifespan, to_lifespan, from_lifespan, "shutdown")
        await lifespan
    return next(m["status"] for m in sent if m["type"] == "http.response.start")


async def _takes_part(
    lifespan: asyncio.Task[None],
    to_lifespan: asyncio.Queue[dict[str, Any]],
    from_lifespan: asyncio.Queue[dict[str, Any]],
    step: str,
) -> bool:
    await to_lifespan.put({"type": f"lifespan.{step}"})
    answer = asyncio.create_task(from_lifespan.get())
    await asyncio.wait({lifespan, answer}, return_when=asyncio.FIRST_COMPLETED)
    if not answer.done():
        answer.cancel()
        lifespan.exception()  # retrieved, so that asyncio does not log it
        return False
    message = answer.result()
    assert message["type"] == f"lifespan.{step}.complete", message
    return True


async def status_of_aiohttp(app: Any) -> int:
    """Start an aiohttp application, send ``GET /``, and stop it; return the status."""
    from aiohttp.test_utils import TestClient, TestServer

    async with TestClient(TestServer(app)) as client, client.get("/") as response:
        return response.status


def is_aiohttp(app: object) -> bool:
    """Whether ``app`` is served by aiohttp."""
    return any(each.__module__.startswith("aiohttp.") for each in type(app).__mro__)


if __name__ == "__main__":
    sys.path.insert(0, "")
    the_app = importlib.import_module("app").app
    status = asyncio.run(
        status_of_aiohttp(the_app) if is_aiohttp(the_app) else status_of_asgi(the_app)
    )
    sys.exit(f"the app returned {status} for GET /" if status >= SERVER_ERRORS else 0)
