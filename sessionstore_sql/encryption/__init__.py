"""Encrypted states: a codec for the option ``codec`` of a store. The extra is ``encryption``."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("cryptography") is None:
    raise ModuleNotFoundError(
        "cryptography is not installed: pip install 'sessionstore-sql[encryption]'",
        name="cryptography",
    )

from sessionstore_sql.encryption.codec import EncryptedCodec

__all__ = ["EncryptedCodec"]
