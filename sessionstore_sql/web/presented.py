"""Which ids a request presents."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sessionstore_sql.records import MAX_ID_LENGTH, SessionId

if TYPE_CHECKING:
    from collections.abc import Iterable

GENERATED_LENGTH = len(SessionId.generate().value)
"""Characters of the ids that are given to clients."""

MAX_IDS = 5
"""How many ids of one request are looked up."""

_ID = re.compile(rb"[!#-+\--:<-\[\]-~]+")
"""What the value of a cookie consists of: RFC 6265, 4.1.1, without the quotes that it allows."""


@dataclass(frozen=True, slots=True)
class Presented:
    """The ids in a request.

    Args:
        ids: The different ids, in their order. More than one: cookies of the same name for
            several domains or paths.
        is_empty: Whether there was no value at all, not even one that cannot be an id.
    """

    ids: tuple[SessionId, ...] = ()
    is_empty: bool = field(default=True)


def ids_in(values: Iterable[bytes]) -> Presented:
    """Return the ids among the values that a request has for the session's cookie."""
    given = list(values)
    ids = dict.fromkeys(each for each in map(_id_of, given) if each is not None)
    return Presented(tuple(ids)[: MAX_IDS + 1], not given)


def _id_of(value: bytes) -> SessionId | None:
    """Return a value as an id, exactly as it is.

    Decoding it, as some frameworks do with quotes and escapes, would give two values one meaning.
    """
    if len(value) > MAX_ID_LENGTH or _ID.fullmatch(value) is None:
        return None
    return SessionId(value.decode("ascii"))
