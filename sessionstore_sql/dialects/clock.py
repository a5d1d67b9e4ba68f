"""The one clock; each dialect says how its database spells it."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlalchemy.sql.functions import FunctionElement


class now(FunctionElement[int]):  # noqa: N801  # named as it reads in a statement
    """The database's clock: microseconds since 1970 UTC, the same throughout a statement."""

    type = BigInteger()
    inherit_cache = True
