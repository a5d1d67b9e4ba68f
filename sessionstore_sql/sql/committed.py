"""What an error means that is raised after a statement of the same work was committed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from sessionstore_sql.sql.direct import is_autocommit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

_MARK = "_sessionstore_is_after_commit"


@contextmanager
def after_write(connection: Connection) -> Iterator[None]:
    """Mark the errors of what follows a write.

    In autocommit, the write is committed, so that the error must not say that nothing was changed.
    In a transaction, it is rolled back.
    """
    is_committed = is_autocommit(connection)
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        if is_committed:
            setattr(error, _MARK, True)
        raise


def is_after_commit(error: BaseException) -> bool:
    """Whether the work has changed something that is committed."""
    return getattr(error, _MARK, False)
