"""Many sessions, one statement, on MySQL and MariaDB: all of them, or none."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy.exc import IntegrityError

from sessionstore_sql.sql.committed import after_write
from sessionstore_sql.sql.compiled import NotOnLineError, change_text, fetch_text
from sessionstore_sql.sql.dialects.base import ANY_VERSION, KEEP
from sessionstore_sql.sql.dialects.mysql.packing import (
    select_load,
    select_sessions,
    session_columns,
    unpacked_load,
    unpacked_sessions,
)
from sessionstore_sql.sql.dialects.mysql.parts import (
    NO_TEXT,
    Text,
    is_expected,
    new_keys_of,
    of_each,
    parameters,
    states_of,
    ttl_of,
)
from sessionstore_sql.sql.dialects.mysql.signing_in import insertion, moving
from sessionstore_sql.sql.dialects.mysql.texts import (
    BY_KEY,
    BYTES,
    markers,
    names,
)
from sessionstore_sql.sql.dialects.with_line import WithLine

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from sqlalchemy import Connection, Table

    from sessionstore_sql.sql.compiled import Line
    from sessionstore_sql.sql.dialects.base import Row
    from sessionstore_sql.sql.dialects.signing_in import SignInRow

Change: TypeAlias = "Callable[[Connection, Sequence[Row]], Text]"
"""Returns the statement for some rows. The connection is not used for statements."""

_NEVER = 2**63 - 1
"""Later than every deadline."""


class AllOrNothingBatches:
    """``Batches`` where no statement returns the keys it touched, only how many.

    So each is made to change all of its rows or none: one round trip and one commit. Where it
    changed none, those that are live (for ``create``, not there) are looked up and tried again.

    The texts are written here rather than built by SQLAlchemy, whose work would grow with the
    number of rows. They hold names and markers, never values.
    """

    def __init__(self, table: Table, lifetime: int | None) -> None:
        self._table = table
        self._lifetime = lifetime
        self.load = WithLine(self._load, self._load_on)
        """Returns key, state and remaining microseconds of those that are live."""
        self.load_session = WithLine(self._load_session, self._load_session_on)
        """Returns the key and the ``SessionColumns`` of those that are live."""
        self.create = self._inserting(self._insert)
        """Inserts."""
        self.begin = self._inserting(self._begin)
        """Inserts sessions of users."""
        self.update = self._all_live_or_none(self._update)
        """Replaces state and deadline."""
        self.update_if = self._all_or_none(self._update_if, self._matching)
        """Does the same for those that have the expected version."""
        self.change_id = self._all_live_or_none(self._move)
        """Replaces the keys."""
        self.replace = self._all_or_none(self._replace, self._matching)
        """Replaces keys, states and deadlines of those that have the expected version."""
        self._moved = self._all_or_none(self._sign_in, self._matching)
        self.sign_in = WithLine(self._sign_in_all, self._sign_in_all_on)
        """Makes those that have the expected version sessions of users, and reads their handles."""
        self.update_ttl = self._all_live_or_none(self._update_ttl)
        """Replaces the deadline."""
        self.delete = self._all_live_or_none(self._delete)
        """Removes."""

    def live(self, connection: Connection, keys: Sequence[bytes]) -> Collection[bytes]:
        """Return the keys that are live, as far as it is committed."""
        _, clock = names(self._table, connection)
        return self._found(connection, keys, f" AND deadline > {clock}")

    def _load(self, connection: Connection, keys: Sequence[bytes]) -> Iterable[Any]:
        """Load all of it in one value, or row by row if that is cut off.

        A row costs the drivers, which read packets in Python, more than it costs the server. A
        value is cut off if it is longer than a packet.
        """
        rows = self._rows(connection, self._packed(connection, keys), keys)
        found = _unpacked_if_whole(rows, unpacked_load)
        if found is not None:
            return found
        name, clock = names(self._table, connection)
        columns = f"{name}.state, {name}.deadline - {clock}"
        return iter(self._live_rows(connection, columns, keys))

    async def _load_on(self, line: Line, keys: Sequence[bytes]) -> Iterable[Any]:
        rows = await line.fetch(self._packed(line.connection, keys), _digits_of(keys))
        return _whole(rows, unpacked_load)

    def _load_session(self, connection: Connection, keys: Sequence[bytes]) -> Iterable[Any]:
        """Load all of it in one value, or row by row if that is cut off, as ``load`` does."""
        rows = self._rows(connection, self._packed_sessions(connection, keys), keys)
        found = _unpacked_if_whole(rows, unpacked_sessions)
        if found is not None:
            return found
        columns = session_columns(*names(self._table, connection))
        return iter(self._live_rows(connection, columns, keys))

    async def _load_session_on(self, line: Line, keys: Sequence[bytes]) -> Iterable[Any]:
        rows = await line.fetch(self._packed_sessions(line.connection, keys), _digits_of(keys))
        return _whole(rows, unpacked_sessions)

    def _packed(self, connection: Connection, keys: Sequence[bytes]) -> str:
        """Return what selects the rows of some keys in one value, and its size."""
        is_live = self._is_live(connection, keys)
        return select_load(connection, *names(self._table, connection), is_live)

    def _packed_sessions(self, connection: Connection, keys: Sequence[bytes]) -> str:
        is_live = self._is_live(connection, keys)
        return select_sessions(connection, *names(self._table, connection), is_live)

    def _live_rows(
        self, connection: Connection, columns: str, keys: Sequence[bytes]
    ) -> Sequence[Any]:
        name, _ = names(self._table, connection)
        text = f"SELECT {name}.id, {columns} FROM {name} WHERE {self._is_live(connection, keys)}"
        return self._rows(connection, text, keys)

    def _is_live(self, connection: Connection, keys: Sequence[bytes]) -> str:
        name, clock = names(self._table, connection)
        return f"{name}.id IN ({markers(keys)}) AND {name}.deadline > {clock}"

    def _inserting(self, change: Callable[[Connection, Sequence[Any]], Text]) -> WithLine[Any, Any]:
        """Return an operation that inserts the rows whose keys are free."""

        def insert(connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
            for _ in range(2):
                try:
                    change_text(connection, *change(connection, rows))
                except IntegrityError:
                    there = self._found(connection, [row.key for row in rows])
                    rows = [row for row in rows if row.key not in there]
                    if not rows:
                        break
                else:
                    return {row.key for row in rows}
            return ()

        async def insert_on(line: Line, rows: Sequence[Row]) -> Collection[bytes]:
            try:
                await line.change(*change(line.connection, rows))
            except IntegrityError:
                raise NotOnLineError from None
            return {row.key for row in rows}

        return WithLine(insert, insert_on)

    def _all_live_or_none(self, change: Change) -> WithLine[Row, Collection[bytes]]:
        """Return an operation that changes the rows that are live."""

        def live(connection: Connection, rows: Sequence[Row]) -> Sequence[Row]:
            found = self.live(connection, [row.key for row in rows])
            return [row for row in rows if row.key in found]

        return self._all_or_none(change, live)

    def _all_or_none(
        self, change: Change, possible: Callable[[Connection, Sequence[Row]], Sequence[Row]]
    ) -> WithLine[Row, Collection[bytes]]:
        """Return an operation that changes the rows that it can.

        Args:
            change: Returns the statement that changes all of the rows or none.
            possible: Returns those of the rows that can be changed.
        """

        def all_possible(connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
            for _ in range(2):
                if change_text(connection, *change(connection, rows)) == len(rows):
                    return {row.key for row in rows}
                rows = possible(connection, rows)
                if not rows:
                    break
            return ()

        async def all_possible_on(line: Line, rows: Sequence[Row]) -> Collection[bytes]:
            if await line.change(*change(line.connection, rows)) != len(rows):
                raise NotOnLineError
            return {row.key for row in rows}

        return WithLine(all_possible, all_possible_on)

    def _matching(self, connection: Connection, rows: Sequence[Row]) -> Sequence[Row]:
        """Return those that are live and have the expected version, as far as it is committed."""
        name, clock = names(self._table, connection)
        text = f"SELECT id, COALESCE(version, 0) FROM {name} WHERE id IN ({markers(rows)})"
        keys = [row.key for row in rows]
        found = dict(self._rows(connection, f"{text} AND deadline > {clock}", keys))
        return [row for row in rows if is_expected(row, found.get(row.key))]

    def _insert(self, connection: Connection, rows: Sequence[Row]) -> Text:
        name, clock = names(self._table, connection)
        lifetime = "NULL" if self._lifetime is None else f"{clock} + {self._lifetime}"
        value = f"({BYTES}, {clock} + %s, {BYTES}, {clock}, {clock}, %s, {lifetime})"
        columns = "id, deadline, state, created, seen, version, final_deadline"
        values = ", ".join([value] * len(rows))
        return Text(f"INSERT INTO {name} ({columns}) VALUES {values}", parameters(rows))

    def _update(self, connection: Connection, rows: Sequence[Row]) -> Text:
        # One version for all. It only has to differ from the other versions of the same session.
        version = Text("%s", (rows[0].version,))
        return self._set(connection, rows, {"state": states_of(rows), "version": version})

    def _update_if(
        self, connection: Connection, rows: Sequence[Row], *, with_new_keys: bool = False
    ) -> Text:
        version = of_each(rows, "%s", [row.version for row in rows])
        changed = {"state": states_of(rows), "version": version}
        if any(row.idle_ttl != KEEP for row in rows):
            idle = of_each(rows, "%s", [row.idle_ttl for row in rows])
            text = f"CASE {idle.text} WHEN {KEEP} THEN idle_ttl ELSE NULLIF({idle.text}, 0) END"
            changed["idle_ttl"] = Text(text, idle.bound * 2)
        if with_new_keys:
            # The last one: what follows an assignment sees the new value.
            changed["id"] = new_keys_of(rows)
        return self._set(connection, rows, changed, _is_expected(rows))

    def _replace(self, connection: Connection, rows: Sequence[Row]) -> Text:
        return self._update_if(connection, rows, with_new_keys=True)

    def _begin(self, connection: Connection, rows: Sequence[SignInRow]) -> Text:
        return insertion(*names(self._table, connection), rows)

    def _sign_in(self, connection: Connection, rows: Sequence[Any]) -> Text:
        change = moving(*names(self._table, connection), rows)
        return self._if_all(connection, change, rows, _is_expected(rows))

    def _sign_in_all(self, connection: Connection, rows: Sequence[SignInRow]) -> Collection[bytes]:
        keys = self._moved(connection, rows)
        changed = [row for row in rows if row.key in keys]
        if changed:
            text = self._select_handles(connection, changed)
            with after_write(connection):
                _note_handles(changed, fetch_text(connection, text, _new_digits_of(changed)))
        return keys

    async def _sign_in_all_on(self, line: Line, rows: Sequence[SignInRow]) -> Collection[bytes]:
        keys = await self._moved.on_line(line, rows)
        text = self._select_handles(line.connection, rows)
        with after_write(line.connection):
            _note_handles(rows, await line.fetch(text, _new_digits_of(rows)))
        return keys

    def _select_handles(self, connection: Connection, rows: Sequence[Row]) -> str:
        name, _ = names(self._table, connection)
        return f"SELECT id, handle, version FROM {name} WHERE id IN ({markers(rows)})"

    def _move(self, connection: Connection, rows: Sequence[Row]) -> Text:
        name, clock = names(self._table, connection)
        moved = new_keys_of(rows)
        text = f"UPDATE {name} {BY_KEY} SET seen = {clock}, id = {moved.text}"
        return self._if_all(connection, Text(text, moved.bound), rows)

    def _update_ttl(self, connection: Connection, rows: Sequence[Row]) -> Text:
        return self._set(connection, rows, {})

    def _set(
        self,
        connection: Connection,
        rows: Sequence[Row],
        changed: dict[str, Text],
        condition: Text = NO_TEXT,
    ) -> Text:
        """Replace the deadlines, and other columns."""
        name, clock = names(self._table, connection)
        ttl = ttl_of(rows)
        deadline = f"LEAST({clock} + {ttl.text}, COALESCE(final_deadline, {_NEVER}))"
        others = "".join([f", {column} = {value.text}" for column, value in changed.items()])
        bound = [ttl.bound, *(value.bound for value in changed.values())]
        update = Text(
            f"UPDATE {name} {BY_KEY} SET deadline = {deadline}, seen = {clock}{others}",
            tuple(chain.from_iterable(bound)),
        )
        return self._if_all(connection, update, rows, condition)

    def _delete(self, connection: Connection, rows: Sequence[Row]) -> Text:
        name, _ = names(self._table, connection)
        return self._if_all(connection, Text(f"DELETE {name} FROM {name} {BY_KEY}"), rows)

    def _if_all(
        self,
        connection: Connection,
        change: Text,
        rows: Sequence[Row],
        condition: Text = NO_TEXT,
    ) -> Text:
        """Have ``change`` change these rows if all are live and meet the condition.

        The condition is evaluated once, locks in the order of the keys, and skips what someone
        else holds: no batch waits for another, so none can deadlock with it.
        """
        name, clock = names(self._table, connection)
        is_given, keys = f"id IN ({markers(rows)})", tuple([row.key.hex() for row in rows])
        all_live = (
            f"(SELECT COUNT(*) FROM (SELECT id FROM {name} {BY_KEY} WHERE {is_given} "
            f"AND deadline > {clock}{condition.text} FOR UPDATE SKIP LOCKED) AS held) = %s"
        )
        bound = (*change.bound, *keys, *keys, *condition.bound, len(rows))
        return Text(f"{change.text} WHERE {is_given} AND {all_live}", bound)

    def _found(
        self, connection: Connection, keys: Sequence[bytes], condition: str = ""
    ) -> set[bytes]:
        name, _ = names(self._table, connection)
        text = f"SELECT id FROM {name} WHERE id IN ({markers(keys)}){condition}"
        return {key for (key,) in self._rows(connection, text, keys)}

    def _rows(self, connection: Connection, text: str, keys: Sequence[bytes]) -> Sequence[Any]:
        return fetch_text(connection, text, _digits_of(keys))


def _is_expected(rows: Sequence[Row]) -> Text:
    """Return the condition that a row has the version that is expected, or that it gets."""
    version = of_each(rows, "%s", [row.version for row in rows])
    expected = of_each(rows, "%s", [row.expected for row in rows])
    return Text(
        f" AND ({expected.text} = {ANY_VERSION}"
        f" OR COALESCE(version, 0) IN ({expected.text}, {version.text}))",
        expected.bound * 2 + version.bound,
    )


def _note_handles(rows: Sequence[SignInRow], found: Sequence[Any]) -> None:
    """Tell the rows their handles. That of a row that another call has changed since is unknown."""
    stored = {bytes(key): (handle, version) for key, handle, version in found}
    for row in rows:
        handle, version = stored.get(row.new_key, (None, None))
        row.stored_handle = bytes(handle) if version == row.version else b""


def _new_digits_of(rows: Sequence[Row]) -> tuple[str, ...]:
    return _digits_of([row.new_key for row in rows])


def _digits_of(keys: Sequence[bytes]) -> tuple[str, ...]:
    return tuple([key.hex() for key in keys])


def _whole(
    rows: Sequence[Any], unpacked: Callable[[bytes], Iterator[Sequence[Any]]]
) -> Iterator[Sequence[Any]]:
    found = _unpacked_if_whole(rows, unpacked)
    if found is None:
        raise NotOnLineError
    return found


def _unpacked_if_whole(
    rows: Sequence[Any], unpacked: Callable[[bytes], Iterator[Sequence[Any]]]
) -> Iterator[Sequence[Any]] | None:
    """Return what a packed value says of each row; ``None`` if it was cut off."""
    ((expected, value),) = rows
    if expected is None:
        return iter(())
    if value is None or len(value) != expected:
        return None
    return unpacked(value)
