"""Many sessions, one statement, on MySQL and MariaDB: all of them, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError

from sessionstore_sql.dialects.clock import now

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sqlalchemy import Connection, Table
    from sqlalchemy.types import TypeEngine

    from sessionstore_sql.dialects.base import Row


class AllOrNothingBatches:
    """``Batches`` where no statement returns the keys it touched, only how many.

    So each is made to change all of its rows or none: one round trip and one commit. Where it
    changed none, those that are live (for ``create``, not there) are looked up and tried again.

    The texts are written here rather than built by SQLAlchemy, whose work would grow with the
    number of rows. They hold names and markers, never values.
    """

    def __init__(self, table: Table, binary: TypeEngine[bytes]) -> None:
        self._table = table
        keys = bindparam("keys", expanding=True, type_=binary)
        is_given, is_live = table.c.id.in_(keys), table.c.deadline > now()
        self._load = select(table.c.id, table.c.state, table.c.deadline - now()).where(
            is_given, is_live
        )
        self._live = select(table.c.id).where(is_given, is_live)
        self._there = select(table.c.id).where(is_given)

    def load(self, connection: Connection, keys: Sequence[bytes]) -> Sequence[Any]:
        """Return key, state and remaining microseconds of those that are live."""
        return connection.execute(self._load, {"keys": keys}).all()

    def live(self, connection: Connection, keys: Sequence[bytes]) -> Collection[bytes]:
        """Return the keys that are live, as far as it is committed."""
        return set(connection.scalars(self._live, {"keys": keys}))

    def create(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Insert."""
        for _ in range(2):
            if self._insert(connection, rows):
                return {row.key for row in rows}
            there = set(connection.scalars(self._there, {"keys": [row.key for row in rows]}))
            rows = [row for row in rows if row.key not in there]
            if not rows:
                break
        return ()

    def update(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Replace state and deadline."""
        return self._all_live(connection, rows, self._update)

    def update_ttl(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Replace the deadline."""
        return self._all_live(connection, rows, self._update_ttl)

    def delete(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Remove."""
        return self._all_live(connection, rows, self._delete)

    def _all_live(
        self,
        connection: Connection,
        rows: Sequence[Row],
        change: Callable[[Connection, Sequence[Row]], int],
    ) -> Collection[bytes]:
        for _ in range(2):
            if change(connection, rows) == len(rows):
                return {row.key for row in rows}
            live = self.live(connection, [row.key for row in rows])
            rows = [row for row in rows if row.key in live]
            if not rows:
                break
        return ()

    def _insert(self, connection: Connection, rows: Sequence[Row]) -> bool:
        name, clock = self._names(connection)
        values = ", ".join([f"(UNHEX(%s), {clock} + %s, UNHEX(%s))"] * len(rows))
        parameters = [part for row in rows for part in (row.key.hex(), row.ttl, row.state.hex())]
        try:
            connection.exec_driver_sql(
                f"INSERT INTO {name} (id, deadline, state) VALUES {values}", tuple(parameters)
            )
        except IntegrityError:
            return False
        return True

    def _update(self, connection: Connection, rows: Sequence[Row]) -> int:
        name, clock = self._names(connection)
        given = "SELECT UNHEX(%s) AS id, %s AS ttl, UNHEX(%s) AS state"
        parameters = [part for row in rows for part in (row.key.hex(), row.ttl, row.state.hex())]
        return self._change(
            connection,
            f"UPDATE ({' UNION ALL '.join([given] * len(rows))}) AS given "
            f"STRAIGHT_JOIN {name} ON {name}.id = given.id "
            f"SET {name}.state = given.state, {name}.deadline = {clock} + given.ttl WHERE ",
            parameters,
            rows,
        )

    def _update_ttl(self, connection: Connection, rows: Sequence[Row]) -> int:
        name, clock = self._names(connection)
        keys = [row.key.hex() for row in rows]
        ttls = {row.ttl for row in rows}
        if len(ttls) == 1:
            markers = ", ".join(["UNHEX(%s)"] * len(rows))
            text = f"UPDATE {name} SET deadline = {clock} + %s WHERE id IN ({markers}) AND "
            return self._change(connection, text, [*ttls, *keys], rows)
        given = "SELECT UNHEX(%s) AS id, %s AS ttl"
        return self._change(
            connection,
            f"UPDATE ({' UNION ALL '.join([given] * len(rows))}) AS given "
            f"STRAIGHT_JOIN {name} ON {name}.id = given.id "
            f"SET {name}.deadline = {clock} + given.ttl WHERE ",
            [part for row in rows for part in (row.key.hex(), row.ttl)],
            rows,
        )

    def _delete(self, connection: Connection, rows: Sequence[Row]) -> int:
        name, _ = self._names(connection)
        markers = ", ".join(["UNHEX(%s)"] * len(rows))
        text = f"DELETE FROM {name} WHERE id IN ({markers}) AND "
        return self._change(connection, text, [row.key.hex() for row in rows], rows)

    def _change(
        self, connection: Connection, text: str, parameters: list[Any], rows: Sequence[Row]
    ) -> int:
        """Execute ``text`` on the condition that all rows are live, and lock them first.

        The condition is evaluated once, locks in the order of the keys, and skips what someone
        else holds: no batch waits for another, so none can deadlock with it.
        """
        name, clock = self._names(connection)
        markers = ", ".join(["UNHEX(%s)"] * len(rows))
        all_live = (
            f"(SELECT COUNT(*) FROM (SELECT id FROM {name} WHERE id IN ({markers}) "
            f"AND deadline > {clock} FOR UPDATE SKIP LOCKED) AS held) = %s"
        )
        keys = [row.key.hex() for row in rows]
        bound = (*parameters, *keys, len(rows))
        return connection.exec_driver_sql(text + all_live, bound).rowcount

    def _names(self, connection: Connection) -> tuple[str, str]:
        dialect = connection.dialect
        name = dialect.identifier_preparer.format_table(self._table)
        return name, str(now().compile(dialect=dialect))
