"""Both contracts as tests for backends, and a backend in memory for tests of applications.

Inherit the class and give it one fixture:

    from sessionstore_sql.testing import SessionStorageBackendContract


    class TestMyBackend(SessionStorageBackendContract):
        @pytest.fixture
        async def backend(self):
            async with MyBackend(...) as backend:
                yield backend

The fixture yields a backend without expired sessions. Live sessions may exist, because every test
creates its own ids and users. No test reads the storage, changes a clock or sleeps for longer than
a fraction of a second. The tests are asynchronous and need anyio's pytest plugin (extra
``testing``).

The contract has three parts: ``OperationsContract``, ``StateContract`` and
``ConcurrencyContract``. A backend on one connection, such as one that is bound to a transaction,
can only fulfil the first two.

``AccountSessionBackendContract`` tests ``AccountSessionBackend`` in the same way, and has parts
too. ``AccountOptionsContract`` tests a constructor whose options have the names that
``SQLSessionStore`` uses, and needs a second fixture.

``MemorySessionStore`` is for the tests of applications, with ``ManualClock`` to let time pass, and
``signed_in_client`` for pages that need a login.
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{part}"
        for part in ("accounts", "concurrency", "operations", "state", "support")
    )
)

from sessionstore_sql.testing.accounts import (  # noqa: E402
    AccountArgumentsContract,
    AccountConcurrencyContract,
    AccountDataContract,
    AccountOptionsContract,
    AccountSessionBackendContract,
    EndingContract,
    LifetimeContract,
    ListingContract,
    ReplacingContract,
    SignInContract,
    VersionContract,
)
from sessionstore_sql.testing.clients import signed_in_client  # noqa: E402
from sessionstore_sql.testing.clock import ManualClock  # noqa: E402
from sessionstore_sql.testing.concurrency import ConcurrencyContract  # noqa: E402
from sessionstore_sql.testing.memory import MemorySessionStore  # noqa: E402
from sessionstore_sql.testing.operations import OperationsContract  # noqa: E402
from sessionstore_sql.testing.state import StateContract  # noqa: E402

__all__ = [
    "AccountArgumentsContract",
    "AccountConcurrencyContract",
    "AccountDataContract",
    "AccountOptionsContract",
    "AccountSessionBackendContract",
    "ConcurrencyContract",
    "EndingContract",
    "LifetimeContract",
    "ListingContract",
    "ManualClock",
    "MemorySessionStore",
    "OperationsContract",
    "ReplacingContract",
    "SessionStorageBackendContract",
    "SignInContract",
    "StateContract",
    "VersionContract",
    "signed_in_client",
]


class SessionStorageBackendContract(OperationsContract, StateContract, ConcurrencyContract):
    """Every test of the contract."""
