"""Many sessions, one statement, on MySQL and MariaDB: all of them, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import IntegrityError

from sessionstore_sql.dialects.mysql_texts import BY_KEY, BYTES, markers, names, with_long_values
from sessionstore_sql.dialects.sending import change_text, fetch_text
from sessionstore_sql.schema import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from sqlalchemy import Connection, Table

    from sessionstore_sql.dialects.base import Row

_PACKED = (
    "GROUP_CONCAT({name}.id, LPAD({remaining}, 20, '0'), LPAD(LENGTH({name}.state), 10, '0'), "
    "{name}.state SEPARATOR '')"
)
"""All that ``load`` returns of a row, in one piece."""
_KEY_END, _REMAINING_END, _STATE_START = KEY_BYTES, KEY_BYTES + 20, KEY_BYTES + 30
"""Where its parts end and begin, the last having any length."""


class AllOrNothingBatches:
    """``Batches`` where no statement returns the keys it touched, only how many.

    So each is made to change all of its rows or none: one round trip and one commit. Where it
    changed none, those that are live (for ``create``, not there) are looked up and tried again.

    The texts are written here rather than built by SQLAlchemy, whose work would grow with the
    number of rows. They hold names and markers, never values.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def load(self, connection: Connection, keys: Sequence[bytes]) -> Iterator[Any]:
        """Return key, state and remaining microseconds of those that are live.

        All of it in one value: a row costs the drivers, which read packets in Python, more than it
        costs the server. A value that was cut off, for being longer than a packet, is replaced by
        rows.
        """
        name, clock = names(self._table, connection)
        remaining = f"{name}.deadline - {clock}"
        packed = _PACKED.format(name=name, remaining=remaining)
        is_live = f"{name}.id IN ({markers(keys)}) AND {name}.deadline > {clock}"
        size = f"SUM({_STATE_START} + LENGTH({name}.state))"
        text = with_long_values(connection, f"{size}, {packed} FROM {name} WHERE {is_live}")
        ((expected, value),) = self._rows(connection, text, keys)
        if expected is None:
            return iter(())
        if value is not None and len(value) == expected:
            return _unpacked(value)
        text = f"SELECT {name}.id, {name}.state, {remaining} FROM {name} WHERE {is_live}"
        return iter(self._rows(connection, text, keys))

    def live(self, connection: Connection, keys: Sequence[bytes]) -> Collection[bytes]:
        """Return the keys that are live, as far as it is committed."""
        _, clock = names(self._table, connection)
        return self._found(connection, keys, f" AND deadline > {clock}")

    def create(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Insert."""
        for _ in range(2):
            if self._insert(connection, rows):
                return {row.key for row in rows}
            there = self._found(connection, [row.key for row in rows])
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
        name, clock = names(self._table, connection)
        values = ", ".join([f"({BYTES}, {clock} + %s, {BYTES})"] * len(rows))
        try:
            text = f"INSERT INTO {name} (id, deadline, state) VALUES {values}"
            change_text(connection, text, _parameters(rows))
        except IntegrityError:
            return False
        return True

    def _update(self, connection: Connection, rows: Sequence[Row]) -> int:
        state, states = _of_each(rows, BYTES, [row.state.hex() for row in rows])
        return self._set(connection, rows, f", state = {state}", states)

    def _update_ttl(self, connection: Connection, rows: Sequence[Row]) -> int:
        return self._set(connection, rows)

    def _set(
        self,
        connection: Connection,
        rows: Sequence[Row],
        more: str = "",
        parameters: tuple[Any, ...] = (),
    ) -> int:
        """Replace the deadlines, and what ``more`` says with these ``parameters``."""
        name, clock = names(self._table, connection)
        ttl, ttls = _ttl_of(rows)
        text = f"UPDATE {name} {BY_KEY} SET deadline = {clock} + {ttl}{more}"
        return self._change(connection, text, (*ttls, *parameters), rows)

    def _delete(self, connection: Connection, rows: Sequence[Row]) -> int:
        name, _ = names(self._table, connection)
        return self._change(connection, f"DELETE {name} FROM {name} {BY_KEY}", (), rows)

    def _change(
        self, connection: Connection, text: str, parameters: tuple[Any, ...], rows: Sequence[Row]
    ) -> int:
        """Execute ``text`` for these rows on the condition that all are live, and lock them first.

        The condition is evaluated once, locks in the order of the keys, and skips what someone
        else holds: no batch waits for another, so none can deadlock with it.
        """
        name, clock = names(self._table, connection)
        is_given, keys = f"id IN ({markers(rows)})", [row.key.hex() for row in rows]
        all_live = (
            f"(SELECT COUNT(*) FROM (SELECT id FROM {name} {BY_KEY} WHERE {is_given} "
            f"AND deadline > {clock} FOR UPDATE SKIP LOCKED) AS held) = %s"
        )
        bound = (*parameters, *keys, *keys, len(rows))
        return change_text(connection, f"{text} WHERE {is_given} AND {all_live}", bound)

    def _found(
        self, connection: Connection, keys: Sequence[bytes], condition: str = ""
    ) -> set[bytes]:
        name, _ = names(self._table, connection)
        text = f"SELECT id FROM {name} WHERE id IN ({markers(keys)}){condition}"
        return {key for (key,) in self._rows(connection, text, keys)}

    def _rows(self, connection: Connection, text: str, keys: Sequence[bytes]) -> Sequence[Any]:
        return fetch_text(connection, text, tuple([key.hex() for key in keys]))


def _ttl_of(rows: Sequence[Row]) -> tuple[str, tuple[Any, ...]]:
    """Return the expression of a row's TTL, and its parameters."""
    ttls = [row.ttl for row in rows]
    if ttls.count(ttls[0]) == len(ttls):
        return "%s", (ttls[0],)
    return _of_each(rows, "%s", ttls)


def _of_each(
    rows: Sequence[Row], marker: str, values: Sequence[Any]
) -> tuple[str, tuple[Any, ...]]:
    """Return an expression that has one of the ``values`` for each row, and its parameters.

    It compares keys one by one, which for 256 rows still costs less than a join to a derived table.
    """
    cases = f"WHEN {BYTES} THEN {marker} " * len(rows)
    keyed = zip(rows, values, strict=True)
    return f"CASE id {cases}END", tuple(
        part for row, value in keyed for part in (row.key.hex(), value)
    )


def _parameters(rows: Sequence[Row]) -> tuple[Any, ...]:
    return tuple(part for row in rows for part in (row.key.hex(), row.ttl, row.state.hex()))


def _unpacked(value: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    at = 0
    while at < len(value):
        start = at + _STATE_START
        end = start + int(value[at + _REMAINING_END : start])
        remaining = int(value[at + _KEY_END : at + _REMAINING_END])
        yield value[at : at + _KEY_END], value[start:end], remaining
        at = end
