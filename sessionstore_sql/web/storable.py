"""What is stored of the state that an application leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessionstore_sql.errors import SerializationError
from sessionstore_sql.web.changes import fingerprint
from sessionstore_sql.web.loaded import LAG_KEY
from sessionstore_sql.web.plain_json import with_lists

if TYPE_CHECKING:
    from datetime import timedelta

    from sessionstore_sql.web.options import SessionOptions


def storable(state: dict[str, Any], options: SessionOptions, lag: timedelta) -> dict[str, Any]:
    """Return a state as it is stored.

    Args:
        state: The state that the application leaves. It is not changed.
        options: The options of the application.
        lag: How long ago the user authenticated; see ``LAG_KEY``. Zero: just now, or never.

    Raises:
        SerializationError: The state is too large, or has a key that is reserved.
    """
    if LAG_KEY in state:
        raise SerializationError(f"state[{LAG_KEY!r}]: this key is reserved")
    if options.tuples_as_lists:
        state = with_lists(state)
    limit = options.max_state_bytes
    if limit is not None:
        size = len(fingerprint(state) or b"")
        if size > limit:
            raise SerializationError(
                f"the state of the session has {size} bytes as JSON, and max_state_bytes is "
                f"{limit}: keep large data elsewhere"
            )
    if lag:
        state = state | {LAG_KEY: lag.total_seconds()}
    return state
