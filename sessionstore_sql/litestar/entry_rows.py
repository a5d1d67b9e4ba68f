"""The rows of entries: the seven operations, and two more that these cannot be composed to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer, LargeBinary, bindparam, delete, func, select, update

from sessionstore_sql.dialects import now
from sessionstore_sql.execution import Effect
from sessionstore_sql.litestar.entries import EntryCodec
from sessionstore_sql.operations import microseconds
from sessionstore_sql.schema import key_of, session_table
from sessionstore_sql.store import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from sqlalchemy import URL, BindParameter, Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sessionstore_sql.litestar.entries import Entry, Namespace
    from sessionstore_sql.records import SessionId

_PAGE = 1_000
"""Rows of the table that one statement looks at, so that none takes long or locks many."""

_LAST_KEY = b"\xff" * 32


class EntryRows(SQLSessionStore):
    """A session store whose states are entries."""

    def __init__(
        self,
        engine_or_url: AsyncEngine | URL | str,
        *,
        table: str,
        schema: str | None,
        engine_options: Mapping[str, Any] | None,
    ) -> None:
        super().__init__(
            engine_or_url,
            table=table,
            schema=schema,
            codec=EntryCodec(),
            engine_options=engine_options,
        )
        rows, dialect = session_table(table, schema=schema), self._executor.dialect

        def binary(name: str) -> BindParameter[bytes]:
            return bindparam(name, type_=dialect.binary)

        length = bindparam("length", type_=Integer())
        begins = func.substr(rows.c.state, 1, length, type_=LargeBinary()) == binary("beginning")
        page = select(rows.c.id).where(rows.c.id > binary("after")).order_by(rows.c.id)
        self._renew = (
            update(rows)
            .where(rows.c.id == binary("key"), rows.c.deadline > now(), begins)
            .values(deadline=now() + bindparam("ttl", type_=BigInteger()))
        )
        self._page_end = page.offset(_PAGE - 1).limit(1)
        self._delete_page = delete(rows).where(
            rows.c.id > binary("after"), rows.c.id <= binary("last"), begins
        )

    async def renew(self, session_id: SessionId, entry: Entry, ttl: timedelta) -> None:
        """Let a live entry expire ``ttl`` from now, if it still is ``entry``.

        ``update_ttl`` would extend what another call has set meanwhile, and end what was set for
        ever. So it is as if the reader had come before that call.

        Raises:
            DatabaseError: The database failed.
        """
        parameters = {
            "key": key_of(session_id),
            "ttl": microseconds(ttl),
            **_beginning(entry.header),
        }

        def work(connection: Connection) -> None:
            connection.execute(self._renew, parameters)

        await self._executor.run(work, Effect.REPEATABLE)

    async def delete_namespace(self, namespace: Namespace) -> None:
        """Remove the entries of ``namespace`` and of those below it, in many short transactions.

        The keys are digests, and tell nothing of a namespace, so this looks at the beginning of
        every state in the table.

        Raises:
            DatabaseError: The database failed. Some of the entries may be gone.
        """
        after = b""
        while after < _LAST_KEY:
            work = partial(self._delete_rows_after, after=after, namespace=namespace)
            after = await self._executor.run(work, Effect.REPEATABLE)

    def _delete_rows_after(
        self, connection: Connection, after: bytes, namespace: Namespace
    ) -> bytes:
        """Remove those of the namespace from the next page of rows, and return its last key."""
        end = connection.scalar(self._page_end, {"after": after})
        last = _LAST_KEY if end is None else bytes(end)
        parameters = {"after": after, "last": last, **_beginning(namespace.prefix)}
        connection.execute(self._delete_page, parameters)
        return last


def _beginning(data: bytes) -> dict[str, Any]:
    return {"beginning": data, "length": len(data)}
