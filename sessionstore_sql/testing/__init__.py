"""The contract as tests, for whoever implements ``SessionStorageBackend``.

Inherit the class and give it one fixture:

    from sessionstore_sql.testing import SessionStorageBackendContract


    class TestMyBackend(SessionStorageBackendContract):
        @pytest.fixture
        async def backend(self):
            async with MyBackend(...) as backend:
                yield backend

The fixture gives a backend without expired sessions left over from elsewhere; live ones may be
there, as every test makes ids of its own. Nothing else is needed: no test looks into the
storage, moves a clock or sleeps for longer than a fraction of a second. The tests are
asynchronous and run under anyio's pytest plugin (extra ``testing``).

``OperationsContract``, ``StateContract`` and ``ConcurrencyContract`` are its three parts. A
backend on one connection, such as one bound to a transaction, can promise the first two.
"""

import pytest

pytest.register_assert_rewrite(
    f"{__name__}.concurrency", f"{__name__}.operations", f"{__name__}.state", f"{__name__}.support"
)

from sessionstore_sql.testing.concurrency import ConcurrencyContract  # noqa: E402
from sessionstore_sql.testing.operations import OperationsContract  # noqa: E402
from sessionstore_sql.testing.state import StateContract  # noqa: E402

__all__ = [
    "ConcurrencyContract",
    "OperationsContract",
    "SessionStorageBackendContract",
    "StateContract",
]


class SessionStorageBackendContract(OperationsContract, StateContract, ConcurrencyContract):
    """Every test of the contract."""
