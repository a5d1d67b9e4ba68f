"""Problems that several databases can have: what keeps the store from working with a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def wrong_primary_key(columns: Sequence[str]) -> str:
    """Return the problem of a table whose primary key is not ``id`` alone."""
    return (
        f"its primary key is ({', '.join(columns)}) and has to be (id), as ids would not be unique"
    )


def partitioned_by(partitioning: str, better: str) -> str:
    """Return the problem of a table that is partitioned by something else than its key."""
    return (
        f"it is partitioned by {partitioning}, which takes other columns in the primary key: "
        f"partition by {better}"
    )


def referred_to(table: str) -> str:
    """Return the problem of a foreign key of ``table`` that refers to sessions."""
    return (
        f"{table} has a foreign key that refers to it, so the rotation, logout and purge of a "
        "session with such rows fail: its action has to be CASCADE on updates, and CASCADE or SET "
        "NULL on deletes"
    )
