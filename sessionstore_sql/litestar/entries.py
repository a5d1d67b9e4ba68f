"""An entry of a Litestar store: which id it has, and which bytes are its state."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sessionstore_sql.errors import DeserializationError
from sessionstore_sql.records import SessionId

if TYPE_CHECKING:
    from sessionstore_sql.records import JSON

_MAGIC = b"\0litestar"
"""No JSON begins so: an entry is never taken for a session, nor a session for an entry."""

_END = b"\xff"
"""Of a namespace. The length of a name never begins so."""

_LENGTH_BYTES = 4
_NEVER, _SOME_DAY = b"\0", b"\1"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A place for entries; others may lie below it.

    Args:
        path: The names from the root down. Any text, the empty one included.

    Raises:
        TypeError: A name is not a ``str``.
    """

    path: tuple[str, ...]
    prefix: bytes = field(init=False)
    """What the states in this namespace, and in those below it, begin with, and no others."""

    def __post_init__(self) -> None:
        names = (_encoded(name) for name in self.path)
        framed = (len(name).to_bytes(_LENGTH_BYTES) + name for name in names)
        object.__setattr__(self, "prefix", _MAGIC + b"".join(framed))

    def child(self, name: str) -> Namespace:
        """Return the namespace of that name below this one."""
        return Namespace((*self.path, name))

    def id_of(self, key: str) -> SessionId:
        """Return the id of an entry: of one length for a key of any.

        It holds blanks, which no cookie can: where sessions are in the same table, no client can
        present the id of an entry as that of a session.
        """
        digest = hashlib.sha256(self.prefix + _END + _encoded(key)).hexdigest()
        return SessionId(f"entry of litestar {digest}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A value, and what is kept in front of it.

    Args:
        header: The namespace, and whether the entry expires.
        value: The caller's bytes.
    """

    header: bytes = field(repr=False)
    value: bytes = field(repr=False)

    @classmethod
    def new(cls, namespace: Namespace, value: bytes, *, expires: bool) -> Entry:
        """Return an entry as one write stores it."""
        kind = _SOME_DAY if expires else _NEVER
        return cls(namespace.prefix + _END + kind, value)

    @classmethod
    def of_state(cls, namespace: Namespace, state: dict[str, JSON]) -> Entry:
        """Return the entry that was stored.

        Raises:
            DeserializationError: It is no entry of this namespace.
        """
        data = _bytes_of(state)
        if not data.startswith(namespace.prefix + _END):
            raise DeserializationError("the stored state is not an entry of this namespace")
        length = len(namespace.prefix) + len(_END) + 1
        return cls(data[:length], data[length:])

    @property
    def state(self) -> dict[str, JSON]:
        """What a session store takes, with ``EntryCodec`` as its codec."""
        return _state_of(self.header + self.value)

    @property
    def expires(self) -> bool:
        """Whether it has a life that ends, and can be renewed."""
        return self.header.endswith(_SOME_DAY)


class EntryCodec:
    """Bytes as they are. Base64 in JSON would make them longer by a third."""

    def encode(self, state: dict[str, JSON]) -> bytes:
        """Return the bytes of ``Entry.state``."""
        return _bytes_of(state)

    def decode(self, data: bytes) -> dict[str, JSON]:
        """Return any bytes as such a state; ``Entry.of_state`` decides what they are."""
        return _state_of(data)


def _state_of(data: bytes) -> dict[str, JSON]:
    # The one text that holds any bytes and costs no more than copying them.
    return {"entry": data.decode("latin-1")}


def _bytes_of(state: dict[str, JSON]) -> bytes:
    text = state["entry"]
    assert isinstance(text, str)
    return text.encode("latin-1")


def _encoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"keys and namespaces are str, not {type(text).__name__}")
    # A lone surrogate is as good as any other character.
    return text.encode(errors="surrogatepass")
