"""TLS of a connection, for drivers that take an ``SSLContext``."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
"""libpq's modes, from the weakest to the strictest."""

SYSTEM = "system"
"""As a root certificate: those that the operating system trusts."""


@dataclass(frozen=True, slots=True)
class TLS:
    """How a client uses TLS."""

    mode: str
    root: str | None = None
    """A file of root certificates; ``None`` and ``system``: those of the operating system."""
    root_folder: str | None = None
    certificate: str | None = None
    key: str | None = None
    password: str | None = field(default=None, repr=False)
    """Of the key."""
    crl: str | None = None
    """A file of revoked certificates."""
    ciphers: str | None = None
    minimum_version: str = "TLSv1.2"
    maximum_version: str | None = None

    @property
    def verifies(self) -> bool:
        """Whether a server must prove that it is the one that is meant."""
        return self.mode in {"verify-ca", "verify-full"}

    @property
    def is_required(self) -> bool:
        """Whether a connection without TLS is none at all."""
        return self.mode == "require" or self.verifies

    def context(self) -> ssl.SSLContext:
        """Return a new context.

        Raises:
            OSError: A file cannot be read; ``ssl.SSLError`` is an ``OSError``, too.
        """
        # Not ssl.create_default_context: from Python 3.13 on, it rejects certificates for their
        # form, which libpq and MySQL's client accept.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = self.mode == "verify-full"
        context.verify_mode = ssl.CERT_REQUIRED if self.verifies else ssl.CERT_NONE
        context.minimum_version = _version(self.minimum_version)
        if self.maximum_version is not None:
            context.maximum_version = _version(self.maximum_version)
            if context.maximum_version < context.minimum_version:
                raise ValueError("no version of TLS is left")
        if self.verifies and self.root in {None, SYSTEM} and self.root_folder is None:
            context.load_default_certs()
        elif self.verifies:
            context.load_verify_locations(self.root, self.root_folder)
        if self.verifies and self.crl is not None:
            context.load_verify_locations(self.crl)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        if self.certificate is not None:
            # With a function for the password, OpenSSL does not ask for it at the terminal.
            context.load_cert_chain(self.certificate, self.key, lambda: self.password or "")
        if self.ciphers is not None:
            context.set_ciphers(self.ciphers)
        return context

    def state(self) -> tuple[tuple[int, int, int], ...]:
        """Return what changes when one of the files is replaced.

        A certificate may be valid for a day, and a process may run for a month.

        Raises:
            OSError: A file does not exist.
        """
        files = [
            path for path in (self.root, self.certificate, self.key, self.crl) if path is not None
        ]
        stats = [Path(path).stat() for path in files if path != SYSTEM]
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in stats)


def of_options(options: Mapping[str, str]) -> TLS | None:
    """Return what folded options of a URL ask for; ``None``: nothing."""
    mode_ = options.get("sslmode")
    if mode_ is None:
        return None
    return TLS(
        mode_,
        root=options.get("sslrootcert"),
        root_folder=options.get("ssl_capath"),
        certificate=options.get("sslcert"),
        key=options.get("sslkey"),
        password=options.get("sslpassword"),
        crl=options.get("sslcrl"),
        ciphers=options.get("ssl_cipher"),
        minimum_version=options.get("ssl_min_protocol_version", "TLSv1.2"),
        maximum_version=options.get("ssl_max_protocol_version"),
    )


def _version(name: str) -> ssl.TLSVersion:
    return ssl.TLSVersion[name.replace(".", "_")]


def require_usable(options: Mapping[str, str]) -> None:
    """Raise ``ValueError`` if the files that the options name are missing or no certificates.

    A mistyped path is to be found when the application starts, and not when it connects.
    """
    for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl", "ssl_capath", "sslcrldir"):
        path = options.get(name)
        if path is None or (name == "sslrootcert" and path == SYSTEM):
            continue
        is_folder = name in {"ssl_capath", "sslcrldir"}
        if not _exists(path, is_folder=is_folder):
            kind = "folder" if is_folder else "file"
            raise ValueError(f"the {kind} that {name} names in the database URL does not exist")
    tls = of_options(options)
    if tls is not None and not _can_be_used(tls):
        raise ValueError(
            "what the database URL says about TLS cannot be used: each certificate is a file in "
            "PEM format, sslkey is the key of sslcert, which sslpassword decrypts, ssl_cipher is "
            "a list of ciphers that OpenSSL knows, and the lowest version of TLS is not above "
            "the highest"
        )


def _exists(path: str, *, is_folder: bool) -> bool:
    try:
        return Path(path).is_dir() if is_folder else Path(path).is_file()
    except (OSError, ValueError):  # too long, or with a null byte
        return False


def _can_be_used(tls: TLS) -> bool:
    try:
        tls.context()
    except (OSError, ValueError):  # also the system's own refusal of an old version of TLS
        return False
    return True
