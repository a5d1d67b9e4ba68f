"""How long a session lasts according to Django's settings and ``set_expiry``."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sessionstore_sql.records import MAX_TTL

if TYPE_CHECKING:
    from django.contrib.sessions.backends.base import SessionBase

    from sessionstore_sql.web.lifetimes import Lifetimes

EXPIRY_KEY = "_session_expiry"
"""The key of a state under which ``set_expiry`` stores its argument."""

ALWAYS, NEVER = 1.0, 0.0
"""Renewal thresholds: every deadline is renewed, or none."""


def lifetimes_of(
    session: SessionBase, options: Lifetimes, *, before: object, goes_on: bool, renews: bool | None
) -> Lifetimes:
    """Return how long a session lasts that is loaded.

    Args:
        session: The session, with its state in memory.
        options: The lifetimes in the options of the project.
        before: What ``set_expiry`` had stored before this request.
        goes_on: Whether the session keeps its id.
        renews: Whether the deadline is renewed; ``None``: if little time remains.
    """
    own = session.get(EXPIRY_KEY)
    age = ttl_of(session.get_expiry_age())
    threshold = {None: options.renewal_threshold, True: ALWAYS, False: NEVER}[renews]
    if own != before:
        threshold = ALWAYS
    elif isinstance(own, str) and goes_on:
        # It ends at a fixed time, which the deadline already says. The clocks of this machine and
        # of the database differ, so a comparison would renew it in every request.
        age, threshold = MAX_TTL, NEVER
    return replace(
        options,
        max_age=age,
        anonymous_max_age=None if own else options.anonymous_max_age,
        renewal_threshold=threshold,
        persistent=not session.get_expire_at_browser_close(),
    )


def expiry_in(state: dict[str, Any]) -> object:
    """Return what ``set_expiry`` has stored in a state."""
    return state.get(EXPIRY_KEY)


def ttl_of(seconds: float) -> timedelta:
    """Return an age of Django's as a time to live. An age in the past leaves none."""
    return timedelta(seconds=min(max(seconds, 0), MAX_TTL.total_seconds()))
