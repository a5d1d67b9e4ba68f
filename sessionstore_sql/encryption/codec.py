"""The codec that encrypts: which key, which format, and what has been stored in plain."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sessionstore_sql.codec import (
    ENCRYPTED,
    KEY_ID_BYTES,
    STATE,
    JSONCodec,
    for_purpose,
    key_id_of,
)
from sessionstore_sql.encryption.xaes import KEY_BYTES, NONCE_BYTES, TAG_BYTES, XAES256GCM
from sessionstore_sql.errors import DeserializationError

if TYPE_CHECKING:
    from sessionstore_sql.codec import StateCodec
    from sessionstore_sql.records import JSON

_HEADER_BYTES = len(ENCRYPTED) + KEY_ID_BYTES
_MIN_BYTES = _HEADER_BYTES + NONCE_BYTES + TAG_BYTES


class EncryptedCodec:
    """Encrypts what another codec makes of a state, with XAES-256-GCM.

    The first key encrypts, and every key decrypts. So a key is replaced by putting a new one in
    front, once every process has it; the old one is removed when nothing is encrypted with it any
    more. The codec makes, stores and replaces no key by itself.

    What was encrypted cannot be read, changed or exchanged with a value of another purpose without
    the key. It can be replaced by another state that was encrypted with the key, such as one from
    a backup: the codec does not know whose session it is.

    Args:
        keys: Names and keys of 32 bytes, the newest first. The name of a key identifies it in the
            database, in hashed form, and must not be used for another key later.
        inner: The codec whose bytes are encrypted. ``JSONCodec()`` if it is left out.
        allow_plain: Whether states that are not encrypted are read too: for a table that has
            such, until the command ``reencrypt`` has been run. Anyone who can write to the table
            can then store a state of their own.

    Raises:
        TypeError: A name is not a ``str``, or a key is not ``bytes``.
        ValueError: There is no key, a name is empty, a key does not have 32 bytes, or two names
            have the same hash.
        ModuleNotFoundError: The extra ``encryption`` is not installed.
    """

    def __init__(
        self,
        keys: Mapping[str, bytes],
        inner: StateCodec | None = None,
        *,
        allow_plain: bool = False,
    ) -> None:
        _require_keys(keys)
        self._names = {key_id_of(name): name for name in keys}
        if len(self._names) < len(keys):
            raise ValueError("two of the names of keys have the same hash: rename one of them")
        self._ciphers = {key_id_of(name): XAES256GCM(key) for name, key in keys.items()}
        self._inner: StateCodec = JSONCodec() if inner is None else inner
        self._allow_plain = allow_plain
        self._purpose = STATE

    def encode(self, state: dict[str, JSON]) -> bytes:
        """Return the state, encrypted with the first key.

        Raises:
            SerializationError: The inner codec cannot encode it.
        """
        message = self._inner.encode(state)
        key_id, cipher = next(iter(self._ciphers.items()))
        header, nonce = ENCRYPTED + key_id, os.urandom(NONCE_BYTES)
        return header + nonce + cipher.encrypt(nonce, message, self._associated(header))

    def decode(self, data: bytes) -> dict[str, JSON]:
        """Return the state.

        Raises:
            DeserializationError: It was encrypted with another key or for another purpose, was
                damaged, or is plain where that is not allowed.
        """
        if not data.startswith(ENCRYPTED):
            if self._allow_plain:
                return self._inner.decode(data)
            raise DeserializationError("the stored value is not encrypted")
        cipher = self._ciphers.get(data[len(ENCRYPTED) : _HEADER_BYTES])
        if cipher is None:
            raise DeserializationError("the stored value is encrypted with a key that is missing")
        header, nonce = data[:_HEADER_BYTES], data[_HEADER_BYTES : _HEADER_BYTES + NONCE_BYTES]
        message = None
        if len(data) >= _MIN_BYTES:
            text = data[_HEADER_BYTES + NONCE_BYTES :]
            message = cipher.decrypt(nonce, text, self._associated(header))
        if message is None:
            raise DeserializationError("the stored value was damaged, or stored in another place")
        return self._inner.decode(message)

    def for_purpose(self, purpose: str) -> EncryptedCodec:
        """Return a codec with the same keys whose values cannot be used for another purpose."""
        bound = object.__new__(EncryptedCodec)
        bound.__dict__.update(self.__dict__)
        bound._inner = for_purpose(self._inner, purpose)
        bound._purpose = purpose
        return bound

    def key_name(self, data: bytes) -> str | None:
        """Return the name of the key that ``data`` was encrypted with; ``None`` if it is plain.

        Raises:
            DeserializationError: The key is not among those of this codec.
        """
        if not data.startswith(ENCRYPTED):
            return None
        name = self._names.get(data[len(ENCRYPTED) : _HEADER_BYTES])
        if name is None:
            raise DeserializationError("the stored value is encrypted with a key that is missing")
        return name

    def __repr__(self) -> str:
        return f"EncryptedCodec(keys={list(self._names.values())})"

    def _associated(self, header: bytes) -> bytes:
        return header + self._purpose.encode()


def _require_keys(keys: object) -> None:
    if not isinstance(keys, Mapping):
        raise TypeError(f"keys is a mapping of names to keys, not {type(keys).__name__}")
    if not keys:
        raise ValueError("keys has at least one key, which encrypts")
    for name, key in keys.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a key is a str, not {type(name).__name__}")
        if not name:
            raise ValueError("the name of a key is not empty")
        if not isinstance(key, bytes):
            raise TypeError(f"a key is bytes, not {type(key).__name__}")
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
