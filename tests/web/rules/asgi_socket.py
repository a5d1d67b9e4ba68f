"""A WebSocket to an ASGI application, without a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class ASGISocket:
    """The client's end of a WebSocket."""

    def __init__(self) -> None:
        self.to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def ask(self) -> Any:
        """Send a text, and return the answer."""
        await self.to_app.put({"type": "websocket.receive", "text": "?"})
        message = await self.from_app.get()
        return json.loads(message.get("text") or message["bytes"])

    async def closed(self) -> int:
        """Wait until the server closes the WebSocket, and return the code."""
        message = await self.from_app.get()
        assert message["type"] == "websocket.close"
        code = message["code"]
        assert isinstance(code, int)
        return code


@asynccontextmanager
async def connected(app: Any, headers: dict[str, str]) -> AsyncIterator[ASGISocket]:
    """Open a WebSocket, and see in the end that the application returns."""
    socket = ASGISocket()
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "wss",
        "path": "/socket",
        "raw_path": b"/socket",
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": None,
        "server": ("shop.example", 443),
        "subprotocols": [],
        "extensions": {},
        "state": {},
    }
    await socket.to_app.put({"type": "websocket.connect"})
    task = asyncio.create_task(app(scope, socket.to_app.get, socket.from_app.put))
    assert (await socket.from_app.get())["type"] == "websocket.accept"
    yield socket
    await socket.to_app.put({"type": "websocket.disconnect", "code": 1000})
    await task
