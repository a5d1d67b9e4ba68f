"""``SESSION_SERIALIZER`` as a codec of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from sessionstore_sql.errors import DeserializationError, SerializationError

if TYPE_CHECKING:
    from sessionstore_sql.records import JSON


class Serializer(Protocol):
    """What Django takes for a serializer of sessions."""

    def dumps(self, obj: dict[str, Any], /) -> bytes:
        """Return bytes."""
        ...

    def loads(self, data: bytes, /) -> dict[str, Any]:
        """Return what ``dumps`` was given, or what is close enough."""
        ...


class SerializerCodec:
    """A serializer of the project's own, whose bytes are stored as they are.

    How much of a session comes back as it was is the serializer's affair.

    Args:
        serializer: Its class, as ``SESSION_SERIALIZER`` names it.
    """

    def __init__(self, serializer: type[Serializer]) -> None:
        self._serializer = serializer

    def encode(self, state: dict[str, JSON]) -> bytes:
        """Return what the serializer makes of the session.

        Raises:
            SerializationError: It cannot. The message names its error, and no value.
        """
        try:
            return self._serializer().dumps(state)
        except Exception as error:  # noqa: BLE001  # whatever a project's own code raises
            fault = type(error).__name__
        raise SerializationError(f"{self._serializer.__qualname__} raised {fault}")

    def decode(self, data: bytes) -> dict[str, JSON]:
        """Return the session.

        Raises:
            DeserializationError: The serializer cannot read it.
        """
        try:
            return self._serializer().loads(data)
        except Exception as error:  # noqa: BLE001  # likewise
            fault = type(error).__name__
        raise DeserializationError(f"{self._serializer.__qualname__} raised {fault}")
