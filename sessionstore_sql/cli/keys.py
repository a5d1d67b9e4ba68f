"""The file with the keys of an application: for user ids, and for encrypted states."""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEYS_FILE_VARIABLE = "SESSIONSTORE_KEYS_FILE"

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The keys of an application, the newest first, as it passes them to the package."""

    subjects: tuple[bytes | None, ...] = ()
    """For ``subject_keys`` of ``SQLSessionStore``."""
    encryption: Mapping[str, bytes] | None = None
    """For ``EncryptedCodec``. ``None``: states are not encrypted."""


def keys_option(command: Callable[..., _Result]) -> Callable[..., _Result]:
    """Add the option for the file with the keys. ``command`` receives them as ``keys``."""
    return click.option(
        "--keys-file",
        "keys",
        type=keys_in_file,
        default=lambda: os.environ.get(KEYS_FILE_VARIABLE),
        metavar="FILE",
        help='JSON with the keys of the application, in base64: {"encryption": {"NAME": KEY, ..}, '
        f'"subjects": [KEY, null]}}. Default: the variable {KEYS_FILE_VARIABLE}.',
    )(command)


def keys_in_file(path: str) -> Keys:
    """Return the keys that a file contains. An error shows nothing of them."""
    try:
        content = orjson.loads(Path(path).read_bytes())
    except OSError as error:
        message = f"cannot read the file: {error.strerror}"
    except ValueError:
        message = "the file is not JSON"
    else:
        try:
            return _keys_of(content)
        except ValueError as error:
            message = str(error)
    raise click.BadParameter(message)


def _keys_of(content: Any) -> Keys:  # noqa: ANN401  # any JSON
    if not isinstance(content, dict) or not content.keys() <= {"encryption", "subjects"}:
        raise ValueError("the file contains an object with `encryption`, `subjects`, or both")
    encryption, subjects = content.get("encryption"), content.get("subjects", [])
    if encryption is not None and not (isinstance(encryption, dict) and encryption):
        raise ValueError("`encryption` is an object of names and keys, the newest first")
    if not isinstance(subjects, list):
        raise ValueError("`subjects` is a list of keys and null, the newest first")  # noqa: TRY004
    return Keys(
        subjects=tuple(None if each is None else _key(each) for each in subjects),
        encryption=None
        if encryption is None
        else {name: _key(each) for name, each in encryption.items()},
    )


def _key(value: Any) -> bytes:  # noqa: ANN401  # any JSON
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error:
            pass
    raise ValueError("every key is a text in base64")
