"""``SESSION_SERIALIZER`` as a codec of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from sessionstore_sql.errors import DeserializationError, SerializationError

if TYPE_CHECKING:
    from sessionstore_sql.records import JSON


class Serializer(Protocol):
    """The interface of Django's session serializers."""

    def dumps(self, obj: dict[str, Any], /) -> bytes:
        """Return bytes."""
        ...

    def loads(self, data: bytes, /) -> dict[str, Any]:
        """Return what ``dumps`` was given, as far as the serializer can restore it."""
        ...


class SerializerCodec:
    """A serializer of the project, whose bytes are stored as they are.

    Whether ``load`` returns what was stored depends on the serializer.

    Args:
        serializer: Its class, as ``SESSION_SERIALIZER`` names it.
    """

    def __init__(self, serializer: type[Serializer]) -> None:
        self._serializer = serializer

    def encode(self, state: dict[str, JSON]) -> bytes:
        """Return the session in the format of the serializer.

        Raises:
            SerializationError: The serializer failed. The message names its error, and no value.
        """
        try:
            return self._serializer().dumps(state)
        except Exception as error:  # noqa: BLE001  # the project's code may raise anything
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
