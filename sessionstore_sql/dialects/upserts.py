"""Create in one statement, where ON CONFLICT can be told when to replace."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from sessionstore_sql.dialects.purging import is_expired

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.dialects import postgresql, sqlite

UpsertableInsert: TypeAlias = "postgresql.Insert | sqlite.Insert"


def replacing_expired(insert: UpsertableInsert, table: Table) -> UpsertableInsert:
    """Return ``insert`` so that it replaces an expired row; a live one it leaves, uncounted."""
    return insert.on_conflict_do_update(
        index_elements=[table.c.id],
        set_={"deadline": insert.excluded.deadline, "state": insert.excluded.state},
        where=is_expired(table),
    )
