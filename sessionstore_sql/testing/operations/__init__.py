"""The seven operations, one call at a time, by topic."""

from sessionstore_sql.testing.operations.arguments import ArgumentsContract
from sessionstore_sql.testing.operations.changing import ChangingContract
from sessionstore_sql.testing.operations.removing import RemovingContract
from sessionstore_sql.testing.operations.rotating import RotatingContract
from sessionstore_sql.testing.operations.storing import StoringContract

__all__ = ["OperationsContract"]


class OperationsContract(
    StoringContract, ChangingContract, RemovingContract, RotatingContract, ArgumentsContract
):
    """The operations on live, unknown and expired ids."""
