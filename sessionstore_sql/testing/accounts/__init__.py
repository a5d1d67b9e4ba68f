"""The contract of ``AccountSessionBackend`` as tests, by topic."""

from sessionstore_sql.testing.accounts.account_data import AccountDataContract
from sessionstore_sql.testing.accounts.arguments import AccountArgumentsContract
from sessionstore_sql.testing.accounts.concurrency import AccountConcurrencyContract
from sessionstore_sql.testing.accounts.ending import EndingContract
from sessionstore_sql.testing.accounts.lifetimes import LifetimeContract
from sessionstore_sql.testing.accounts.listing import ListingContract
from sessionstore_sql.testing.accounts.options import AccountOptionsContract
from sessionstore_sql.testing.accounts.replacing import ReplacingContract
from sessionstore_sql.testing.accounts.sign_in import SignInContract
from sessionstore_sql.testing.accounts.versions import VersionContract

__all__ = [
    "AccountArgumentsContract",
    "AccountConcurrencyContract",
    "AccountDataContract",
    "AccountOptionsContract",
    "AccountSessionBackendContract",
    "EndingContract",
    "LifetimeContract",
    "ListingContract",
    "ReplacingContract",
    "SignInContract",
    "VersionContract",
]


class AccountSessionBackendContract(
    SignInContract,
    AccountDataContract,
    VersionContract,
    ReplacingContract,
    ListingContract,
    EndingContract,
    LifetimeContract,
    AccountArgumentsContract,
    AccountConcurrencyContract,
):
    """Every test of the second contract that needs no options of the backend's constructor."""
