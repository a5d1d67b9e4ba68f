"""Layouts that a database operator may give to the table of sessions."""

from __future__ import annotations

from dataclasses import dataclass

COLUMNS = {
    "postgresql": "id BYTEA NOT NULL, deadline BIGINT NOT NULL, state BYTEA NOT NULL, "
    "expiry_bucket BIGINT GENERATED ALWAYS AS (deadline >> 28) STORED",
    "mysql": "id BINARY(32) NOT NULL, deadline BIGINT NOT NULL, state LONGBLOB NOT NULL, "
    "expiry_bucket BIGINT GENERATED ALWAYS AS (deadline >> 28) STORED",
}
COLUMNS["mariadb"] = COLUMNS["mysql"]

SOON = 4_102_444_800_000_000
"""The beginning of the year 2100, in microseconds: the border between two ranges of deadlines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A layout, as statements that make a table ``t``.

    Attributes:
        name: The name for a test's id.
        database: The database.
        statements: What makes the table.
        is_supported: Whether every operation works, because ``id`` alone is the primary key.
        finally_: What is done after the table has rows.
    """

    name: str
    database: str
    statements: tuple[str, ...]
    is_supported: bool = True
    finally_: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.database}-{self.name}"


def _index() -> str:
    return "CREATE INDEX t_expiry_bucket ON t (expiry_bucket)"


def _postgresql(partition_by: str, *partitions: str, key: str = "id") -> tuple[str, ...]:
    table = f"CREATE TABLE t ({COLUMNS['postgresql']}, PRIMARY KEY ({key})) PARTITION BY"
    return (f"{table} {partition_by}", *partitions, _index())


def hashed(count: int, table: str = "t") -> tuple[str, ...]:
    """Return the statements that give ``table`` so many partitions by hash."""
    return tuple(
        f"CREATE TABLE {table}_{number} PARTITION OF {table} "
        f"FOR VALUES WITH (MODULUS {count}, REMAINDER {number})"
        for number in range(count)
    )


HASHED = Layout(name="hash", database="postgresql", statements=_postgresql("HASH (id)", *hashed(4)))

_DEADLINES = (
    f"CREATE TABLE t_0 PARTITION OF t FOR VALUES FROM (MINVALUE) TO ({SOON})",
    f"CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM ({SOON}) TO (MAXVALUE)",
)

LAYOUTS = (
    Layout(
        name="plain",
        database="postgresql",
        statements=(f"CREATE TABLE t ({COLUMNS['postgresql']}, PRIMARY KEY (id))", _index()),
    ),
    HASHED,
    Layout(
        name="hash in hash",
        database="postgresql",
        statements=_postgresql(
            "HASH (id)",
            hashed(2)[0] + " PARTITION BY HASH (id)",
            hashed(2)[1],
            *hashed(3, "t_0"),
        ),
    ),
    Layout(
        name="range of keys",
        database="postgresql",
        statements=_postgresql(
            "RANGE (id)",
            r"CREATE TABLE t_0 PARTITION OF t FOR VALUES FROM (MINVALUE) TO ('\x55')",
            r"CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM ('\x55') TO ('\xaa')",
            "CREATE TABLE t_2 PARTITION OF t DEFAULT",
        ),
    ),
    Layout(
        name="list",
        database="postgresql",
        statements=_postgresql(
            "LIST (id)",
            r"CREATE TABLE t_0 PARTITION OF t FOR VALUES IN ('\x00', '\x01')",
            "CREATE TABLE t_1 PARTITION OF t DEFAULT",
        ),
    ),
    Layout(
        name="range of deadlines",
        database="postgresql",
        statements=_postgresql("RANGE (deadline)", *_DEADLINES, key="id, deadline"),
        is_supported=False,
    ),
    Layout(
        name="list of deadlines",
        database="postgresql",
        statements=_postgresql(
            "LIST (deadline)",
            f"CREATE TABLE t_0 PARTITION OF t FOR VALUES IN ({SOON})",
            "CREATE TABLE t_1 PARTITION OF t DEFAULT",
            key="id, deadline",
        ),
        is_supported=False,
    ),
    Layout(
        name="inheritance",
        database="postgresql",
        statements=(
            f"CREATE TABLE t ({COLUMNS['postgresql']}, PRIMARY KEY (id))",
            "CREATE TABLE t_0 (PRIMARY KEY (id)) INHERITS (t)",
            "CREATE TABLE t_1 (PRIMARY KEY (id)) INHERITS (t)",
            _index(),
        ),
        finally_=tuple(
            f"WITH moved AS (DELETE FROM ONLY t WHERE get_byte(id, 0) % 3 = {number} RETURNING *) "
            f"INSERT INTO t_{number} (id, deadline, state) SELECT id, deadline, state FROM moved"
            for number in range(2)
        ),
        is_supported=False,
    ),
    *(
        layout
        for database in ("mysql", "mariadb")
        for layout in (
            Layout(
                name="key",
                database=database,
                statements=(
                    (
                        f"CREATE TABLE t ({COLUMNS[database]}, PRIMARY KEY (id)) "
                        "PARTITION BY KEY (id) PARTITIONS 4"
                    ),
                    _index(),
                ),
            ),
            Layout(
                name="range of keys",
                database=database,
                statements=(
                    (
                        f"CREATE TABLE t ({COLUMNS[database]}, PRIMARY KEY (id)) "
                        "PARTITION BY RANGE COLUMNS (id) (PARTITION p0 VALUES LESS THAN (x'55'), "
                        "PARTITION p1 VALUES LESS THAN (x'aa'), "
                        "PARTITION p2 VALUES LESS THAN (MAXVALUE))"
                    ),
                    _index(),
                ),
            ),
            Layout(
                name="range of deadlines",
                database=database,
                statements=(
                    (
                        f"CREATE TABLE t ({COLUMNS[database]}, PRIMARY KEY (id, deadline)) "
                        f"PARTITION BY RANGE (deadline) (PARTITION p0 VALUES LESS THAN ({SOON}), "
                        "PARTITION p1 VALUES LESS THAN MAXVALUE)"
                    ),
                    _index(),
                ),
                is_supported=False,
            ),
        )
    ),
)
