"""What a Litestar application puts into ``request.session``, as a state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from litestar.serialization import decode_json, encode_json
from litestar.types import Empty
from litestar.utils import get_serializer_from_scope

if TYPE_CHECKING:
    from litestar.types import Scope


def state_of(session: object, scope: Scope) -> dict[str, Any]:
    """Return a session of an application as the state to store.

    A dict is stored as it is. Models are converted to JSON, with the type encoders of the
    application if necessary. A value that does not give a dict raises ``TypeError`` later.
    """
    if session is None or session is Empty:
        return {}
    if isinstance(session, dict):
        return session
    encoded = encode_json(session, get_serializer_from_scope(scope))
    return cast("dict[str, Any]", decode_json(encoded))
