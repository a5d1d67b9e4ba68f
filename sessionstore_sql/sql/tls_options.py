"""The options of a URL about TLS, in the words of libpq, MySQL's client and others.

The modes are libpq's (https://www.postgresql.org/docs/current/libpq-ssl.html), for every database.
Where an option says less than a mode, the safe meaning is chosen: a root certificate without a mode
means ``verify-full``, as there is no other reason to name one.
"""

from __future__ import annotations

from json import JSONDecodeError, loads
from typing import TYPE_CHECKING, TypeAlias

from sessionstore_sql.sql.tls import MODES, SYSTEM
from sessionstore_sql.sql.url_options import anything, boolean, one_of

if TYPE_CHECKING:
    from sessionstore_sql.sql.url_options import Reader

_SPELLINGS = {
    # MySQL's.
    "disabled": "disable",
    "preferred": "prefer",
    "required": "require",
    "verify-identity": "verify-full",
    # node-postgres, and MariaDB's Connector/J.
    "no-verify": "require",
    "trust": "require",
}

_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")

ALIASES = {
    "ssl_crl": "sslcrl",
    "ssl_mode": "sslmode",
    "ssl_ca": "sslrootcert",
    "sslca": "sslrootcert",
    "ssl_cert": "sslcert",
    "ssl_key": "sslkey",
    "ssl_verify_identity": "ssl_check_hostname",
}

_CONTRADICTION = "the options of the database URL contradict each other about TLS"

Options: TypeAlias = "dict[str, str | tuple[str, ...]]"


def mode(value: str) -> str:
    """Read a mode, as libpq's or MySQL's clients spell it."""
    spelled = value.lower().replace("_", "-")
    found = _SPELLINGS.get(spelled, spelled)
    if found in MODES:
        return found
    raise ValueError(f"one of: {', '.join(MODES)}")


def mode_or_flag(value: str) -> str:
    """Read ``ssl=``: a mode, a yes or no, or the JSON that PlanetScale's URLs have."""
    try:
        return mode("require" if boolean(value) == "true" else "disable")
    except ValueError:
        pass
    try:
        settings = loads(value)
    except (JSONDecodeError, RecursionError):
        return mode(value)
    match settings:
        case {"rejectUnauthorized": bool(verified), **others} if not others:
            return "verify-full" if verified else "require"
        case _:
            raise ValueError('true, false, a mode, or {"rejectUnauthorized": true}')


_GO_MODES = {"true": "verify-full", "skip-verify": "require", "preferred": "prefer"}
_PRISMA_MODES = {"strict": "verify-full", "accept_invalid_certs": "require"}


def _mode_of_go(value: str) -> str:
    one_of("true", "false", *_GO_MODES)(value)
    return _GO_MODES.get(value.lower(), "disable")


def _mode_of_prisma(value: str) -> str:
    one_of(*_PRISMA_MODES)(value)
    return _PRISMA_MODES[value.lower()]


def _mode_of_rails(value: str) -> str:
    return "verify-full" if boolean(value) == "true" else "require"


_MODE_OPTIONS: dict[str, Reader] = {
    "sslmode": mode,
    "ssl": mode_or_flag,
    "tls": _mode_of_go,
    "sslaccept": _mode_of_prisma,
    "sslverify": _mode_of_rails,
}
"""Options that each name a mode."""

OPTIONS: dict[str, Reader] = {
    **_MODE_OPTIONS,
    "ssl_verify_cert": boolean,
    "ssl_check_hostname": boolean,
    "sslrootcert": anything,
    "sslcert": anything,
    "sslkey": anything,
    "sslpassword": anything,
    "sslcrl": anything,
    "ssl_min_protocol_version": one_of(*_VERSIONS),
    "ssl_max_protocol_version": one_of(*_VERSIONS),
}


def fold(options: Options) -> Options:
    """Return the options with one mode, ``sslmode``, for all that they say about TLS.

    Raises:
        ValueError: They contradict each other.
    """
    if {"sslkey", "sslpassword"} & options.keys() and "sslcert" not in options:
        raise ValueError("the database URL has a key, sslkey, without its certificate, sslcert")
    folded = dict(options)
    modes = {str(folded.pop(name)) for name in _MODE_OPTIONS if name in folded}
    if len(modes) > 1:
        raise ValueError(_CONTRADICTION)
    verify = _flag(folded.pop("ssl_verify_cert", None))
    check_hostname = _flag(folded.pop("ssl_check_hostname", None))
    root = folded.get("sslrootcert", folded.get("ssl_capath"))
    if modes:
        found: str | None = _strengthened(modes.pop(), verify, check_hostname, has_root=bool(root))
    else:
        found = _implied(verify, check_hostname, has_root=bool(root))
        if found is None and "sslcert" in folded:
            found = "require"
    if root == SYSTEM and found not in {"verify-full", "disable"}:
        raise ValueError(
            "in the database URL, sslrootcert=system needs sslmode=verify-full: anyone can get a "
            "certificate that the system trusts, for another host"
        )
    if found in MODES[:4]:  # libpq would verify by a root certificate, and other drivers not
        folded.pop("sslrootcert", None)
        folded.pop("ssl_capath", None)
    return folded if found is None else {"sslmode": found, **folded}


def _flag(value: str | tuple[str, ...] | None) -> bool | None:
    return None if value is None else value == "true"


def _implied(verify: bool | None, check_hostname: bool | None, *, has_root: bool) -> str | None:
    """Return the mode where none is named."""
    if verify is False:
        if check_hostname:
            raise ValueError(_CONTRADICTION)
        return "require"
    if check_hostname is False:
        return "verify-ca" if has_root or verify else "require"
    return "verify-full" if has_root or verify or check_hostname else None


def _strengthened(
    named: str, verify: bool | None, check_hostname: bool | None, *, has_root: bool
) -> str:
    """Return the mode that is named, or a stricter one that another option asks for."""
    weak, verifying = named in MODES[:3], named in MODES[4:]
    if (weak and (verify or check_hostname)) or (verifying and verify is False):
        raise ValueError(_CONTRADICTION)
    if named == "verify-full" and check_hostname is False:
        raise ValueError(_CONTRADICTION)
    if named == "require" and verify is False:
        return named
    if check_hostname and not weak:
        return "verify-full"
    if named == "require" and (verify or has_root):
        # As libpq does it, whose "require" verifies by a root certificate where one is given.
        return "verify-ca" if has_root or check_hostname is False else "verify-full"
    return named
