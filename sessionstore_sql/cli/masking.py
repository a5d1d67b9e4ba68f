"""Hides passwords in everything that is printed: errors, tracebacks and log lines."""

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
_WAITING = {"sessionstore_sql.migrate", "alembic.runtime.migration"}
"""The loggers of migrations that wait for a lock."""

_SECRET_OPTION = re.compile(r"pass|secret|token|key", re.IGNORECASE)


class Mask:
    """Hides in a text the URLs that the command received, and the passwords in them.

    A URL can be where none is expected: after a mistyped option, or as an additional argument. So
    every argument that looks like a URL is hidden as a whole. A password is also hidden on its own,
    as a word, because the error messages of drivers quote parts of a URL.

    Args:
        given: The arguments and variables that may contain a URL, or a piece of one.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        given = list(given)
        self._whole = _torn_apart(given)
        self._words: set[str] = set()
        for text in given:
            self.add(text)

    def add(self, text: str) -> None:
        """Hide another text, if it is a URL or has one as its value."""
        value = text.partition("=")[2] if text.startswith("-") else text
        passwords = _passwords(value)
        if passwords or "@" in value or ("://" in value and "?" in value):
            self._whole |= {text, value}
            self._words |= passwords

    def __call__(self, text: str) -> str:
        """Return ``text`` with asterisks in place of secrets."""
        longest_first = [re.escape(each) for each in sorted(self._whole, key=len, reverse=True)]
        longest_first += [
            rf"(?<!\w){re.escape(each)}(?!\w)"
            for each in sorted(self._words, key=len, reverse=True)
        ]
        return re.sub("|".join(longest_first), _MASK, text) if longest_first else text


@contextmanager
def masked_logging(mask: Mask) -> Iterator[None]:
    """Print log records of level ERROR, for example asyncio's about a task that failed.

    Warnings are not printed, because cron would send them by mail. asyncmy, for example, warns
    about every name that MariaDB ignores. Only those of a migration that waits are: the command
    would otherwise seem to hang.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_MaskedFormatter(mask))
    handler.setLevel(logging.WARNING)
    handler.addFilter(_is_printed)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


def _is_printed(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or record.name in _WAITING


class _MaskedFormatter(logging.Formatter):
    def __init__(self, mask: Mask) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        return self._mask(super().format(record))


def _torn_apart(given: Sequence[str]) -> set[str]:
    """Return the pieces of a URL that the shell split at the blanks in its password."""
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
        # A text that is no valid URL may still contain a password in the place where URLs have it.
        after_scheme = text.partition("://")[2] or text
        torn = re.match(r"[^:/@]*:(.+)@", after_scheme, re.DOTALL)
        return {torn[1]} if torn else set()
    found = {url.password} if url.password else set()
    for name, values in url.normalized_query.items():
        if _SECRET_OPTION.search(name):
            found |= set(values)
    return {spelled for each in found for spelled in (each, quote(each, safe=""), quote_plus(each))}
