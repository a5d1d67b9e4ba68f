"""A rival's calls at the worst moment: between two statements of the call under test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.util import await_only

from sessionstore_sql import SQLSessionStore


@contextmanager
def before_statement(
    number: int, store: SQLSessionStore, rival: Callable[[], Awaitable[Any]]
) -> Iterator[None]:
    """Let ``rival`` act just before ``store`` sends its statement of this number, from 0 on.

    Only for stores whose statements commit by themselves: the rival would wait for the locks
    of a transaction that waits for it.
    """
    engine = store.engine.sync_engine
    statements = 0

    def interfere(*_: Any) -> None:
        nonlocal statements
        statements += 1
        if statements == number + 1:
            await_only(rival())

    event.listen(engine, "before_cursor_execute", interfere)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", interfere)
