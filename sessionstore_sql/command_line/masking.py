"""No password in what is printed: not in errors, not in tracebacks, not in log lines."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_MASK = "***"
_SECRET_OPTION = re.compile(r"pass|secret|token|key", re.IGNORECASE)


class Mask:
    """Hides from a text the URLs that the command was given, and the passwords in them.

    A URL can be where none is expected: behind a mistyped option, as an argument too many. So
    whatever of the arguments looks like one is a secret as a whole. A password is also hidden on
    its own, as a word: drivers take URLs apart, and name the parts that they stumble over.
    """

    def __init__(self, given: Iterable[str]) -> None:
        """Take all the arguments, and the variable.

        Args:
            given: What may be a URL, hold one, or be a torn piece of one.
        """
        given = list(given)
        whole = _torn_apart(given)
        words: set[str] = set()
        for text in given:
            value = text.partition("=")[2] if text.startswith("-") else text
            passwords = _passwords(value)
            if passwords or "@" in value or ("://" in value and "?" in value):
                whole |= {text, value}
                words |= passwords
        longest_first = sorted(map(re.escape, whole), key=len, reverse=True)
        longest_first += [
            rf"(?<!\w){word}(?!\w)" for word in sorted(map(re.escape, words), key=len, reverse=True)
        ]
        self._secret = re.compile("|".join(longest_first) or r"(?!)")

    def __call__(self, text: str) -> str:
        """Return ``text`` with stars in place of secrets."""
        return self._secret.sub(_MASK, text)


@contextmanager
def masked_logging(mask: Mask) -> Iterator[None]:
    """Print errors of whatever logs them, such as asyncio of a forgotten task.

    No warnings, which would come by mail from cron: asyncmy has one for each name that MariaDB
    thinks nothing of.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_MaskedFormatter(mask))
    handler.setLevel(logging.ERROR)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


class _MaskedFormatter(logging.Formatter):
    def __init__(self, mask: Mask) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        return self._mask(super().format(record))


def _torn_apart(given: Sequence[str]) -> set[str]:
    """Return the pieces of a URL that the shell took apart at the blanks of its password."""
    pieces: set[str] = set()
    for start, text in enumerate(given):
        if "://" in text and "@" not in text:
            ends = (place for place in range(start, len(given)) if "@" in given[place])
            if (end := next(ends, None)) is not None:
                pieces.update(given[start : end + 1])
    return pieces - {""}


def _passwords(text: str) -> set[str]:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # What can't be parsed may still have one, where a URL has it.
        after_scheme = text.partition("://")[2] or text
        torn = re.match(r"[^:/@]*:(.+)@", after_scheme, re.DOTALL)
        return {torn[1]} if torn else set()
    found = {url.password} if url.password else set()
    for name, values in url.normalized_query.items():
        if _SECRET_OPTION.search(name):
            found |= set(values)
    return {spelled for each in found for spelled in (each, quote(each, safe=""), quote_plus(each))}
