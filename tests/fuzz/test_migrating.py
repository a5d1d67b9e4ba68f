"""``sessionstore_sql.migrate`` with bad arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from alembic.util import CommandError
from hypothesis import strategies as st
from sqlalchemy.exc import SQLAlchemyError

from sessionstore_sql import migrate
from sessionstore_sql.migrate import MigrationError
from tests.fuzz import values
from tests.fuzz.documented import require_argument_error, require_secrets_kept
from tests.fuzz.exploring import explore
from tests.fuzz.hostile import SECRET, let_loose
from tests.fuzz.worlds import World
from tests.leaks import logged

_DOCUMENTED = (CommandError, MigrationError, SQLAlchemyError, OSError)

_revisions = st.one_of(
    st.sampled_from(
        [
            *(
                "head",
                "heads",
                "base",
                "+1",
                "-1",
                "+99",
                "-99",
                "sessionstore_0001",
                "sessionstore_0002",
                "sess",
                "head:",
            ),
            *(
                "sessionstore@head",
                "a:b",
                ":",
                "@",
                "current",
                "head+1",
                "base-1",
                "sessionstore@-1",
            ),
        ]
    ),
    values.pieces,
    values.anything,
)


def test_revisions_and_names(world: World) -> None:
    """An unknown revision or table raises a documented error, and the sessions are kept."""

    async def check(operation: str, revision: Any, table: Any, schema: Any) -> None:
        await world.reset()
        before, tables = await world.snapshot(), await world.tables()
        if operation == "downgrade" and revision in ("base", "-1", "sessionstore@-1"):
            return
        arguments = (revision,) if operation in {"upgrade", "downgrade"} else ()
        names = {"table": world.table if table is None else table, "schema": schema}
        function: Callable[..., Any] = getattr(migrate, operation)

        error = await _error_of(partial(function, world.url, *arguments, **names))

        require_documented(error)
        if arguments and not isinstance(revision, str):
            assert type(error) in {TypeError, ValueError}
        assert await world.snapshot() == before
        for made in await world.tables() - tables:
            await world.drop(made)

    explore(
        lambda *drawn: world.run(check(*drawn)),
        st.sampled_from(["upgrade", "downgrade", "current", "check"]),
        _revisions,
        values.mostly(st.none(), values.names),
        values.mostly(st.none(), values.names, 5),
        examples=world.share(60),
    )


def test_targets(world: World) -> None:
    """Errors about an unreachable URL do not contain its password."""
    refused = [
        f"postgresql://u:{SECRET}@127.0.0.1:1/db",
        f"postgresql+psycopg://u:{SECRET}@127.0.0.1:1/db?application_name={SECRET}",
        f"mysql://u:{SECRET}@127.0.0.1:1/db",
        f"mysql+asyncmy://u:{SECRET}@127.0.0.1:1/db?charset={SECRET}",
        world.url.set(username="unknown", password=SECRET, database=f"/no/{world.table}/where"),
    ]

    async def check(target: Any, operation: str) -> None:
        error = await _error_of(partial(getattr(migrate, operation), target))
        assert error is not None
        require_documented(error)

    targets = values.mostly(st.sampled_from(refused), values.anything | values.texts)
    operations = st.sampled_from(["upgrade", "current", "check"])
    explore(lambda *drawn: world.run(check(*drawn)), targets, operations, examples=world.share(72))


async def _error_of(call: Callable[[], Any]) -> Exception | None:
    with logged() as log, logged("alembic") as more, let_loose():
        try:
            await call()
        except Exception as error:  # noqa: BLE001  # the test checks which errors are raised
            found = error
        else:
            return None
    require_secrets_kept(found, log.text, more.text)
    return found


def require_documented(error: Exception | None) -> None:
    """Assert that the error is one that ``migrate`` documents, or one for arguments."""
    if error is not None and not isinstance(error, _DOCUMENTED):
        require_argument_error(error)
