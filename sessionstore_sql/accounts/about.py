"""The column ``about``: what the application says of a session, and its subject in clear.

Both go through the codec, so a codec that encrypts states encrypts them too. The subject is there
so that the keys of the digests can be changed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from sessionstore_sql.codec import ABOUT, for_purpose
from sessionstore_sql.errors import SerializationError

if TYPE_CHECKING:
    from sessionstore_sql.codec import StateCodec
    from sessionstore_sql.records import JSON

_log = logging.getLogger("sessionstore_sql.accounts")

_PATH = "state['about']"
"""How a codec names what is wrong with ``about``."""


class About(NamedTuple):
    """What the column holds."""

    subject: str | None
    """``None`` if the column is empty or cannot be decoded."""
    about: dict[str, JSON]


def encode_about(codec: StateCodec, subject: str, about: dict[str, JSON]) -> bytes:
    """Return the bytes of the column.

    Raises:
        SerializationError: ``about`` would not come back equal.
    """
    try:
        return for_purpose(codec, ABOUT).encode({"about": about, "subject": subject})
    except SerializationError as error:
        message = str(error)
    raise SerializationError(message.replace(_PATH, "about", 1))


def decode_about(codec: StateCodec, data: bytes | None) -> About:
    """Return what ``encode_about`` was given; empty, with an error in the log, if it cannot be.

    An error would keep users from ending the very session that is damaged.
    """
    if data is None:
        return About(None, {})
    subject: Any = None
    about: Any = None
    try:
        stored = for_purpose(codec, ABOUT).decode(data)
        subject, about = stored.get("subject"), stored.get("about")
    except Exception as error:  # noqa: BLE001  # a codec of the application's may raise anything
        # By its class alone: the message may show what was stored.
        _log.error(
            "the column `about` of a session cannot be decoded (%s); it is taken for an empty one",
            type(error).__name__,
        )
    return About(
        subject if isinstance(subject, str) else None, about if isinstance(about, dict) else {}
    )
