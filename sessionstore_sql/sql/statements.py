"""The statements of one table. They are built once, as building costs half as much as a call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    bindparam,
    delete,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)

from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.account_statements import (
    AccountStatements,
    build_account_statements,
)
from sessionstore_sql.sql.compiled import CompiledStatement, uncompiled
from sessionstore_sql.sql.dialects import Dialect, now
from sessionstore_sql.sql.dialects.base import ANY_VERSION
from sessionstore_sql.sql.dialects.clauses import (
    binary,
    changed_idle_ttl,
    contents_of,
    extended,
    has_version,
    integer,
    is_expired,
    is_live,
    replacing_expired,
    session_columns,
)

if TYPE_CHECKING:
    from sqlalchemy import Executable, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """The statements for one row, and the parameters that each binds."""

    load: CompiledStatement
    """``key``: returns the state, and the microseconds until the deadline."""
    load_session: CompiledStatement
    """``key``: returns the same, then subject, handle, microseconds since the authentication and
    until the end of the lifetime, version, idle time and ``about``."""
    lock_live: CompiledStatement
    """``key``: returns a row if the session is live, in its latest version, and locks it."""
    lock_version: CompiledStatement
    """``key, version``: the same if a row, live or expired, has this version."""
    create: CompiledStatement
    """``key, state, ttl, version``: counts 1, or 0 for a live session if the dialect has an upsert.
    Otherwise fails if the key is taken."""
    replace_expired: CompiledStatement
    """``key, state, ttl, version``: counts the expired row."""
    update: CompiledStatement
    """``key, state, ttl, version``: counts the live session."""
    update_if: CompiledStatement
    """``key, state, ttl, version, expected, idle_ttl``: counts the live session."""
    update_ttl: CompiledStatement
    """``key, ttl``: counts the live session."""
    delete: CompiledStatement
    """``key``: counts the live session."""
    discard: CompiledStatement
    """``key``: counts the row, live or expired."""
    remaining: CompiledStatement
    """``key``: returns the microseconds until the deadline, and ``created``, of the row, live or
    expired."""
    discard_expired: CompiledStatement
    """``key, created``: counts the row, live or expired, if it is the one that was read."""
    delete_if_expired: CompiledStatement
    """``key``: counts the expired row."""
    change_id: CompiledStatement
    """``key, new_key``: counts the live session. Fails if the new key is taken."""
    replace: CompiledStatement
    """``key, new_key, state, ttl, version, expected, idle_ttl``: counts the live session. Fails if
    the new key is taken."""
    accounts: AccountStatements
    """Those of sign-ins."""


def build_statements(
    table: Table, dialect: Dialect, lifetime: int | None = None, subjects: int = 1
) -> Statements:
    """Return the statements for ``table``, in the form that suits the database.

    Args:
        table: The session table.
        dialect: Its database.
        lifetime: The lifetime of sessions that ``create`` stores, in microseconds.
        subjects: Under how many digests a subject may be found.
    """
    return uncompiled(_built(table.name, table.schema, dialect, lifetime, subjects))


@lru_cache(maxsize=64)
def _built(
    name: str, schema: str | None, dialect: Dialect, lifetime: int | None, subjects: int
) -> Statements:
    table = session_table(name, schema=schema)

    def compiled(statement: Executable) -> CompiledStatement:
        return CompiledStatement(statement, dialect.sender)

    key, has_key, live = (
        binary("key", dialect),
        table.c.id == binary("key", dialect),
        is_live(table),
    )
    ttl, version, expected = integer("ttl"), integer("version"), integer("expected")
    nothing = null()
    content: dict[str, Any] = {
        **dict.fromkeys(contents_of(table), nothing),
        "deadline": now() + ttl,
        "state": binary("state", dialect),
        "created": now(),
        "seen": now(),
        "version": version,
    }
    if lifetime is not None:
        content["final_deadline"] = now() + bindparam("lifetime", lifetime, BigInteger())
    row = {"id": key, **{name: each for name, each in content.items() if each is not nothing}}
    extension = {"deadline": extended(table, ttl), "seen": now()}
    replacement = {**extension, "state": binary("state", dialect), "version": version}
    conditional = {**replacement, "idle_ttl": changed_idle_ttl(table, integer("idle_ttl"))}
    is_expected = has_version(table, expected, version)
    upsert = dialect.upsert
    return Statements(
        accounts=build_account_statements(table, dialect, subjects),
        load=compiled(select(table.c.state, table.c.deadline - now()).where(has_key, live)),
        load_session=compiled(select(*session_columns(table)).where(has_key, live)),
        remaining=compiled(select(table.c.deadline - now(), table.c.created).where(has_key)),
        lock_live=compiled(
            select(table.c.deadline).where(has_key, live).with_for_update(read=True)
        ),
        lock_version=compiled(
            select(table.c.deadline)
            .where(has_key, table.c.version == version)
            .with_for_update(read=True)
        ),
        create=compiled(
            insert(table).values(row)
            if upsert is None
            # SQLAlchemy keeps the count of an INSERT only if asked to (hazard A10).
            else replacing_expired(upsert(table).values(row), table).execution_options(
                preserve_rowcount=True
            )
        ),
        replace_expired=compiled(update(table).where(has_key, is_expired(table)).values(content)),
        update=compiled(update(table).where(has_key, live).values(replacement)),
        update_if=compiled(update(table).where(has_key, live, is_expected).values(conditional)),
        update_ttl=compiled(update(table).where(has_key, live).values(extension)),
        delete=compiled(delete(table).where(has_key, live)),
        discard=compiled(delete(table).where(has_key)),
        discard_expired=compiled(
            delete(table).where(has_key, table.c.created.is_not_distinct_from(integer("created")))
        ),
        delete_if_expired=compiled(delete(table).where(has_key, is_expired(table))),
        change_id=compiled(
            update(table).where(has_key, live).values(id=binary("new_key", dialect), seen=now())
        ),
        replace=compiled(
            update(table)
            .where(has_key, live, or_(expected == literal_column(str(ANY_VERSION)), is_expected))
            .values(id=binary("new_key", dialect), **conditional)
        ),
    )
