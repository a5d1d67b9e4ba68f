"""A store whose rows can be deleted by the first bytes of their state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, LargeBinary, bindparam, delete, func, select

from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.effects import Effect
from sessionstore_sql.store import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import URL, BindParameter, Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sessionstore_sql.codec import StateCodec

_PAGE = 1_000
"""Rows of the table that one statement looks at, so that none takes long or locks many."""

_LAST_KEY = b"\xff" * 32


class StatePrefixStore(SQLSessionStore):
    """A ``SQLSessionStore`` for states that a codec writes with a prefix.

    Args:
        engine_or_url: As for ``SQLSessionStore``.
        table: As for ``SQLSessionStore``.
        schema: As for ``SQLSessionStore``.
        codec: Writes states.
        engine_options: As for ``SQLSessionStore``.
    """

    def __init__(
        self,
        engine_or_url: AsyncEngine | URL | str,
        *,
        table: str,
        schema: str | None,
        codec: StateCodec,
        engine_options: Mapping[str, Any] | None,
    ) -> None:
        super().__init__(
            engine_or_url, table=table, schema=schema, codec=codec, engine_options=engine_options
        )
        rows, dialect = session_table(table, schema=schema), self._pool.dialect

        def binary(name: str) -> BindParameter[bytes]:
            return bindparam(name, type_=dialect.binary)

        length = bindparam("length", type_=Integer())
        beginning = func.substr(rows.c.state, 1, length, type_=LargeBinary())
        page = select(rows.c.id).where(rows.c.id > binary("after")).order_by(rows.c.id)
        self._page_end = page.offset(_PAGE - 1).limit(1)
        self._delete_page = delete(rows).where(
            rows.c.id > binary("after"),
            rows.c.id <= binary("last"),
            beginning == binary("prefix"),
        )

    async def delete_prefix(self, prefix: bytes) -> None:
        """Delete the rows whose state begins with ``prefix``, in many short transactions.

        It looks at the beginning of every state in the table.

        Raises:
            DatabaseError: The database failed. Some of the rows may be deleted.
        """
        after = b""
        async with self._pool.call() as run:
            while after < _LAST_KEY:
                after = await run(self._delete_rows_after, Effect.REPEATABLE, after, prefix)

    def _delete_rows_after(self, connection: Connection, after: bytes, prefix: bytes) -> bytes:
        """Delete those of the next page of rows, and return the last key of the page."""
        end = connection.scalar(self._page_end, {"after": after})
        last = _LAST_KEY if end is None else bytes(end)
        parameters = {"after": after, "last": last, "prefix": prefix, "length": len(prefix)}
        connection.execute(self._delete_page, parameters)
        return last
