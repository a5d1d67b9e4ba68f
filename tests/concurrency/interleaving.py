"""Runs a concurrent call between two statements of the call under test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.util import await_only

from sessionstore_sql import SQLSessionStore


@contextmanager
def before_statement(
    number: int, store: SQLSessionStore, other_call: Callable[[], Awaitable[Any]]
) -> Iterator[None]:
    """Run ``other_call`` just before ``store`` sends the statement with this number, from 0 on.

    The statements must be in autocommit mode. Otherwise ``other_call`` would wait for the locks of
    a transaction that waits for it.
    """
    engine = store.engine.sync_engine
    statements = 0

    def interfere(*_: Any) -> None:
        nonlocal statements
        statements += 1
        if statements == number + 1:
            await_only(other_call())

    event.listen(engine, "before_cursor_execute", interfere)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", interfere)
