"""How long sessions and their cookies last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sessionstore_sql.records import MAX_TTL

DEFAULT_MAX_AGE = timedelta(days=14)

DEFAULT_RENEWAL_THRESHOLD = 0.8
"""The share of its idle time below which the remaining time of a session is renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """The options of an application about the lifetime of its sessions.

    Args:
        max_age: Idle time: how long a session lives after it was stored or renewed.
        anonymous_max_age: The same for sessions that are not signed in; ``None``: ``max_age``.
        renewal_threshold: The share of the idle time below which a session is renewed.
        persistent: Whether the cookie outlives the browser. If not, only the cookies of sessions
            with an idle time of their own do.
    """

    max_age: timedelta = DEFAULT_MAX_AGE
    anonymous_max_age: timedelta | None = None
    renewal_threshold: float = DEFAULT_RENEWAL_THRESHOLD
    persistent: bool = True

    def idle_time(self, *, own: timedelta | None, signed_in: bool) -> timedelta:
        """Return the idle time of a session, whose own goes before the options."""
        if own is not None:
            return own
        if signed_in or self.anonymous_max_age is None:
            return self.max_age
        return self.anonymous_max_age

    def is_renewal_due(
        self, remaining: timedelta, idle_time: timedelta, ends_in: timedelta | None
    ) -> bool:
        """Return whether the deadline of a session has to move.

        It moves when less than the threshold remains of what could remain: near the end of an
        absolute lifetime that is less than the idle time. It also moves when more remains than
        the idle time, which was shortened since.
        """
        possible = idle_time if ends_in is None else min(idle_time, ends_in)
        return remaining < possible * self.renewal_threshold or remaining > idle_time

    def cookie_lasts(self, own: timedelta | None) -> bool:
        """Return whether the cookie of a session outlives the browser."""
        return self.persistent or own is not None


def duration_of(value: object, name: str) -> timedelta:
    """Return an option that is a ``timedelta`` or a number of seconds.

    Args:
        value: The option.
        name: Its name, for the errors.

    Raises:
        TypeError: It is neither.
        ValueError: It is zero or less, or more than 36,525 days.
    """
    message = f"{name} is more than zero, and lies between 0 and {MAX_TTL.days} days"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 < value <= MAX_TTL.total_seconds():
            raise ValueError(message)
        value = timedelta(seconds=value)
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} is a timedelta or seconds, not {type(value).__name__}")
    if not timedelta(0) < value <= MAX_TTL:
        raise ValueError(message)
    return value


def require_threshold(renewal_threshold: float) -> None:
    """Raise ``ValueError`` unless ``renewal_threshold`` is from 0 to 1."""
    if not 0 <= renewal_threshold <= 1:
        raise ValueError("renewal_threshold lies between 0 and 1")


def ttl_of_seconds(max_age: object) -> timedelta:
    """Return an option that is a whole number of seconds.

    Raises:
        TypeError: It is not an ``int``.
        ValueError: It is less than a second, or more than a hundred years.
    """
    if not isinstance(max_age, int) or isinstance(max_age, bool):
        raise TypeError(f"max_age is an int of seconds, not {type(max_age).__name__}")
    if not 0 < max_age <= MAX_TTL.total_seconds():
        raise ValueError("max_age lies between one second and a hundred years")
    return timedelta(seconds=max_age)
