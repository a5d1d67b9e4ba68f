"""How a session of Flask or Quart lasts, and is stored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sessionstore_sql.flask.session import untagged
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.work import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from sessionstore_sql.flask.session import Session
    from sessionstore_sql.web.lifetimes import Lifetimes
    from sessionstore_sql.web.options import SubjectOf

_ALWAYS, _NEVER = 1.0, 0.0


async def finish(session: Session, state: dict[str, Any], lifetimes: Lifetimes) -> Outcome:
    """Store a session, and return what its response says.

    Raises:
        SerializationError, ConflictError, DatabaseError: As ``RequestSession.finish``.
    """
    request_session = session.request_session
    outcome = await request_session.finish(state, lifetimes=lifetimes)
    is_changed = bool(state.get("_permanent", False)) != session.was_permanent
    if outcome.cookie is not Cookie.KEEP or outcome.lost is not None:
        return outcome
    if is_changed and not lifetimes.persistent and request_session.session_id is not None:
        # A cookie that outlives the browser becomes one that does not.
        return Outcome(Cookie.SET, request_session.session_id)
    return outcome


def lifetimes_of(
    session: Session, state: dict[str, Any], app: Any, options: Lifetimes
) -> Lifetimes:
    """Return how long a session lasts.

    ``PERMANENT_SESSION_LIFETIME`` is the idle time. A session that is not ``permanent`` has a
    cookie that ends with the browser. Without ``SESSION_REFRESH_EACH_REQUEST``, only a response
    that changes a permanent session renews it.
    """
    is_permanent = bool(state.get("_permanent", False))
    threshold = options.renewal_threshold
    if is_permanent != session.was_permanent:
        threshold = _ALWAYS
    elif is_permanent and not (
        app.config["SESSION_REFRESH_EACH_REQUEST"] or session.request_session.is_changed(state)
    ):
        threshold = _NEVER
    return replace(
        options,
        max_age=app.permanent_session_lifetime,
        renewal_threshold=threshold,
        persistent=is_permanent,
    )


def subject_of_stored(subject_of: SubjectOf | None) -> Callable[[dict[str, Any]], object] | None:
    """Return ``subject_of`` for states as they are stored."""
    if subject_of is None:
        return None
    return lambda state: subject_of(untagged(state))
