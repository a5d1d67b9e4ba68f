"""What work does to the database, and what came of it."""

from __future__ import annotations

import enum


class Effect(enum.Enum):
    """What running the work a second time would do. It decides what a lost connection means."""

    READ = enum.auto()
    """Nothing: the work changes nothing."""
    REPEATABLE = enum.auto()
    """The same as running it once."""
    ONCE = enum.auto()
    """Something else: the second run may collide with what the first one did."""


class Outcome(enum.Enum):
    """What became of a write. The store turns all but ``DONE`` into an error."""

    DONE = enum.auto()
    """The row was changed."""
    UNKNOWN = enum.auto()
    """No live session has the key; nothing was changed."""
    DUPLICATE = enum.auto()
    """A live session has the key already; nothing was changed."""
    CONFLICT = enum.auto()
    """The state of the session is not the expected one; nothing was changed."""


class Repeated(enum.Enum):
    """How one row answers several calls for one session that wait at the same time.

    The calls overlap, so they may take effect in any order. Each gets the outcome that it would
    have had in the order in which they were made.
    """

    LAST_WINS = enum.auto()
    """The last call's row is written, as it replaces all that the others would have written."""
    FIRST_WINS = enum.auto()
    """The first call's row is written. The others could change nothing after that."""
