"""XAES-256-GCM: authenticated encryption whose nonces are random without running out.

With the 96-bit nonces of plain AES-GCM, random ones are safe for 2^32 messages of one key, which a
busy site stores in weeks. XAES-256-GCM derives a key for each message from the first half of a
192-bit nonce, and encrypts with AES-256-GCM under the second half. See https://c2sp.org/XAES-256-GCM.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

KEY_BYTES = 32
"""Length of a key."""
NONCE_BYTES = 24
"""Length of a nonce."""
TAG_BYTES = 16
"""How much longer a message is once it is encrypted."""

_HALF = NONCE_BYTES // 2
_BLOCK_BITS = 128
_REDUCTION = 0x87  # of the field that CMAC doubles in: NIST SP 800-38B, 5.3
_COUNTERS = (b"\x00\x01X\x00", b"\x00\x02X\x00")
"""What the two inputs of the key derivation begin with: counter, label, separator."""


class XAES256GCM:
    """Encrypts and decrypts with one key.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        # Single blocks through the plain block cipher are what CMAC is made of.
        self._cipher = Cipher(AES(key), ECB())  # noqa: S305
        self._subkey = _doubled(self._blocks(bytes(_BLOCK_BITS // 8)))

    def encrypt(self, nonce: bytes, message: bytes, associated: bytes) -> bytes:
        """Return the message, encrypted, and its tag.

        Args:
            nonce: 24 bytes that were not used with this key before; random ones are not.
            message: What to encrypt.
            associated: What decryption has to be given again. It is not in the result.
        """
        return self._gcm(nonce).encrypt(nonce[_HALF:], message, associated)

    def decrypt(self, nonce: bytes, encrypted: bytes, associated: bytes) -> bytes | None:
        """Return the message; ``None`` if key, nonce, text or ``associated`` is not the same."""
        try:
            return self._gcm(nonce).decrypt(nonce[_HALF:], encrypted, associated)
        except InvalidTag:
            return None

    def _gcm(self, nonce: bytes) -> AESGCM:
        inputs = b"".join(counter + nonce[:_HALF] for counter in _COUNTERS)
        masked = int.from_bytes(inputs) ^ int.from_bytes(self._subkey * len(_COUNTERS))
        return AESGCM(self._blocks(masked.to_bytes(len(inputs))))

    def _blocks(self, blocks: bytes) -> bytes:
        return self._cipher.encryptor().update(blocks)


def _doubled(block: bytes) -> bytes:
    number = int.from_bytes(block) << 1
    if number >> _BLOCK_BITS:
        number = (number ^ _REDUCTION) & ((1 << _BLOCK_BITS) - 1)
    return number.to_bytes(len(block))
