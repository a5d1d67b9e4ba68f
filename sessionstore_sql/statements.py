"""The statements of one table, built once and reused: building is half the cost of a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, bindparam, delete, insert, select, update

from sessionstore_sql.dialects import Dialect, now
from sessionstore_sql.dialects.compiled import CompiledStatement
from sessionstore_sql.dialects.purging import expired_count, is_expired
from sessionstore_sql.dialects.upserts import replacing_expired

if TYPE_CHECKING:
    from sqlalchemy import BindParameter, Executable, Table

    from sessionstore_sql.dialects.base import KeyedPurge, PurgeLock


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """Every statement of the store, with the parameters it binds."""

    load: CompiledStatement
    """``key``: the state and the microseconds that remain."""
    lock_live: CompiledStatement
    """``key``: a row if the session is live, read at its latest and held."""
    create: CompiledStatement
    """``key, state, ttl``: counts 1, or 0 for a live session where the dialect can tell; fails
    with a duplicate key where it cannot."""
    replace_expired: CompiledStatement
    """``key, state, ttl``: counts 1 where there was an expired row."""
    update: CompiledStatement
    """``key, state, ttl``: counts the live session."""
    update_ttl: CompiledStatement
    """``key, ttl``: counts the live session."""
    delete: CompiledStatement
    """``key``: counts the live session."""
    delete_if_expired: CompiledStatement
    """``key``: counts the expired row."""
    change_id: CompiledStatement
    """``key, new_key``: counts the live session; fails with a duplicate key."""
    expired_count: CompiledStatement
    """A number."""
    purge: CompiledStatement | None
    """``batch_size, lookahead``: counts what it removed. ``None``: two steps."""
    purge_by_key: KeyedPurge | None
    """The two steps."""
    purge_exclusively: CompiledStatement | None
    """``batch_size, lookahead``: whether it was alone, and how many it removed. ``None``: with
    the lock, if there is one."""
    purge_lock: PurgeLock | None
    """Nothing. ``None``: there is no need."""


def build_statements(table: Table, dialect: Dialect) -> Statements:
    """Return the statements for ``table`` as ``dialect`` runs them well."""

    def binary(name: str) -> BindParameter[bytes]:
        return bindparam(name, type_=dialect.binary)

    def compiled(statement: Executable) -> CompiledStatement:
        return CompiledStatement(statement, dialect.sender)

    deadline = now() + bindparam("ttl", type_=BigInteger())
    has_key = table.c.id == binary("key")
    is_live = table.c.deadline > now()
    row: dict[str, Any] = {"id": binary("key"), "deadline": deadline, "state": binary("state")}
    content: dict[str, Any] = {"deadline": deadline, "state": binary("state")}
    upsert = dialect.upsert
    return Statements(
        load=compiled(select(table.c.state, table.c.deadline - now()).where(has_key, is_live)),
        lock_live=compiled(
            select(table.c.deadline).where(has_key, is_live).with_for_update(read=True)
        ),
        create=compiled(
            insert(table).values(row)
            if upsert is None
            # An INSERT keeps its count only when asked to (hazard A10).
            else replacing_expired(upsert(table).values(row), table).execution_options(
                preserve_rowcount=True
            )
        ),
        replace_expired=compiled(update(table).where(has_key, is_expired(table)).values(content)),
        update=compiled(update(table).where(has_key, is_live).values(content)),
        update_ttl=compiled(update(table).where(has_key, is_live).values(deadline=deadline)),
        delete=compiled(delete(table).where(has_key, is_live)),
        delete_if_expired=compiled(delete(table).where(has_key, is_expired(table))),
        change_id=compiled(update(table).where(has_key, is_live).values(id=binary("new_key"))),
        expired_count=compiled(expired_count(table)),
        purge=None if dialect.purge is None else compiled(dialect.purge(table)),
        purge_by_key=None if dialect.purge_by_key is None else dialect.purge_by_key(table),
        purge_exclusively=(
            None
            if dialect.purge_exclusively is None
            else compiled(dialect.purge_exclusively(table))
        ),
        purge_lock=None if dialect.purge_lock is None else dialect.purge_lock(table),
    )
