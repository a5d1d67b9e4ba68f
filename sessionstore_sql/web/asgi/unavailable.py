"""The response while the database cannot be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RETRY_AFTER = 5
"""Seconds after which a client may try again."""

TRY_AGAIN_LATER = 1013
"""The code with which a WebSocket is closed; registered with IANA."""

_BODY = b"Service Unavailable"
_HEADERS = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", b"%d" % len(_BODY)),
    (b"cache-control", b"no-store"),
    (b"retry-after", b"%d" % RETRY_AFTER),
]


def unavailable_messages(scope: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield ASGI messages that answer a request, or the handshake of a WebSocket, with 503."""
    kind = "http.response"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            yield {"type": "websocket.close", "code": TRY_AGAIN_LATER}
            return
        kind = "websocket.http.response"
    yield {"type": f"{kind}.start", "status": 503, "headers": _HEADERS}
    yield {"type": f"{kind}.body", "body": _BODY}
