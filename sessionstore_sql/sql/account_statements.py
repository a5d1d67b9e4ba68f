"""The statements of sign-ins and of lists, for one row or one subject."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, literal_column, or_, select, update

from sessionstore_sql.sql.compiled import CompiledStatement
from sessionstore_sql.sql.dialects.base import ANY_VERSION
from sessionstore_sql.sql.dialects.clauses import (
    binary,
    contents_of,
    has_version,
    integer,
    is_expired,
    is_live,
    is_of_subject,
    replacing_expired,
)
from sessionstore_sql.sql.dialects.signing_in import (
    SignInColumns,
    changes_of_sign_in,
    columns_of_sign_in,
)

if TYPE_CHECKING:
    from sqlalchemy import Executable, Table

    from sessionstore_sql.sql.dialects import Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStatements:
    """The statements, and the parameters that each binds. ``digests`` are ``digest_0`` and on."""

    begin: CompiledStatement
    """``key, state, ttl, version, subject, handle, about, lifetime, own_idle_ttl``: as
    ``create``."""
    begin_over_expired: CompiledStatement
    """The same: counts the expired row."""
    sign_in: CompiledStatement
    """``key, new_key, state, ttl, version, expected, idle_ttl, subject, handle, about, keeps_about,
    lifetime, digests``: counts the live session. Fails if the new key is taken."""
    handle: CompiledStatement
    """``key, version``: returns the handle of the row if it has this version."""
    sessions_of: CompiledStatement
    """``digests, limit``: returns what ``SessionInfo`` needs, the session seen last first."""


def build_account_statements(table: Table, dialect: Dialect, subjects: int) -> AccountStatements:
    """Return the statements for ``table``.

    Args:
        table: The session table.
        dialect: Its database.
        subjects: Under how many digests a subject may be found.
    """

    def compiled(statement: Executable) -> CompiledStatement:
        return CompiledStatement(statement, dialect.sender)

    has_key = table.c.id == binary("key", dialect)
    given = SignInColumns(
        ttl=integer("ttl"),
        state=binary("state", dialect),
        version=integer("version"),
        idle_ttl=integer("own_idle_ttl"),
        handle=binary("handle", dialect),
        about=binary("about", dialect),
        lifetime=integer("lifetime"),
        subject=binary("subject", dialect),
    )
    content = columns_of_sign_in(given)
    assert content.keys() == set(contents_of(table))
    insertion = {"id": binary("key", dialect), **content}
    digests = [binary(f"digest_{place}", dialect) for place in range(subjects)]
    changes = {
        "id": binary("new_key", dialect),
        **changes_of_sign_in(
            table, given._replace(idle_ttl=integer("idle_ttl")), integer("keeps_about"), digests
        ),
    }
    is_expected = or_(
        integer("expected") == literal_column(str(ANY_VERSION)),
        has_version(table, integer("expected"), integer("version")),
    )
    moved = update(table).where(has_key, is_live(table), is_expected)
    upsert = dialect.upsert
    return AccountStatements(
        begin=compiled(
            insert(table).values(insertion)
            if upsert is None
            else replacing_expired(upsert(table).values(insertion), table).execution_options(
                preserve_rowcount=True
            )
        ),
        begin_over_expired=compiled(
            update(table).where(has_key, is_expired(table)).values(content)
        ),
        sign_in=compiled(
            moved.ordered_values(*((table.c[name], value) for name, value in changes.items()))
        ),
        handle=compiled(
            select(table.c.handle).where(has_key, table.c.version == integer("version"))
        ),
        sessions_of=compiled(
            select(
                table.c.handle,
                table.c.created,
                func.coalesce(table.c.seen, table.c.created),
                table.c.authenticated,
                table.c.deadline,
                table.c.final_deadline,
                table.c.about,
            )
            .where(is_of_subject(table, dialect, subjects), is_live(table))
            .order_by(table.c.seen.desc(), table.c.created.desc(), table.c.handle)
            .limit(integer("limit"))
        ),
    )
