"""The options that all adapters share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from sessionstore_sql.accounts.arguments import require_lifetime, require_max_sessions
from sessionstore_sql.accounts.sessions import SessionHandle
from sessionstore_sql.accounts.subjects import require_subject
from sessionstore_sql.records import SessionId
from sessionstore_sql.web.lifetimes import Lifetimes, require_threshold

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

OnConflict = Literal["merge", "overwrite", "error"]
"""What happens if another request has changed the session since it was loaded.

``"merge"``: the keys that this request set or deleted are put onto the newer state.
``"overwrite"``: this request's state replaces it. ``"error"``: ``ConflictError``, and nothing is
stored.
"""

SubjectOf: TypeAlias = "Callable[[dict[str, Any]], object]"
"""Returns the id of the user who is signed in according to a state: text, an int or ``None``."""

DEFAULT_MAX_STATE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How the sessions of an application behave.

    Args:
        lifetimes: Idle times, and when they are renewed.
        lifetime: Absolute lifetime of a signed-in session, counted from its sign-in; ``None``:
            the store's.
        max_sessions: Maximum number of sessions of one user; ``None``: the store's.
        subject_of: Returns the user of a state. It is called before and after the application: a
            change to a user is a sign-in, a change to ``None`` ends the session.
        on_conflict: What happens if another request has changed the session.
        max_state_bytes: Maximum size of a state as JSON; ``None``: none.
        new_id: Returns a new id. Adapters set it if their framework has ids of another form.
        tuples_as_lists: Whether tuples are stored as lists. If not, the codec of the store gets
            them.

    Raises:
        TypeError, ValueError: An option is of a wrong type or range.
    """

    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    lifetime: timedelta | None = None
    max_sessions: int | None = None
    subject_of: SubjectOf | None = None
    on_conflict: OnConflict = "merge"
    max_state_bytes: int | None = DEFAULT_MAX_STATE_BYTES
    new_id: Callable[[], SessionId] = SessionId.generate
    tuples_as_lists: bool = True

    def __post_init__(self) -> None:
        require_threshold(self.lifetimes.renewal_threshold)
        require_lifetime(self.lifetime)
        require_max_sessions(self.max_sessions)
        if not (self.subject_of is None or callable(self.subject_of)):
            raise TypeError("subject_of is a function of a state")
        if self.on_conflict not in get_args(OnConflict):
            raise ValueError(f"on_conflict is one of {', '.join(get_args(OnConflict))}")
        if self.max_state_bytes is not None and self.max_state_bytes < 1:
            raise ValueError("max_state_bytes is at least 1, or None")

    def account_options(self) -> list[str]:
        """Return the names of the options in use that need an ``AccountSessionBackend``."""
        in_use = {
            "lifetime": self.lifetime is not None,
            "max_sessions": self.max_sessions is not None,
            "subject_of": self.subject_of is not None,
            "anonymous_max_age": self.lifetimes.anonymous_max_age is not None,
            'on_conflict="error"': self.on_conflict == "error",
        }
        return [name for name, is_used in in_use.items() if is_used]

    def with_idle_time(self, idle_time: timedelta) -> SessionOptions:
        """Return these options for a response that stores the session with another idle time."""
        # With a threshold of 1, every session is due to be renewed.
        lifetimes = replace(
            self.lifetimes, max_age=idle_time, anonymous_max_age=None, renewal_threshold=1
        )
        return replace(self, lifetimes=lifetimes)

    def subject_in(self, state: dict[str, Any]) -> str | None:
        """Return the user of a state; ``None`` without one, or without ``subject_of``.

        Raises:
            TypeError, ValueError: ``subject_of`` returned something that cannot be a subject.
        """
        if self.subject_of is None:
            return None
        subject = self.subject_of(state)
        return None if subject is None or subject == "" else subject_text(subject)


def subject_text(subject: object) -> str:
    """Return a user's id as a subject. An int becomes text.

    Raises:
        TypeError: It is neither text nor an int.
        ValueError: It is empty, too long or cannot be encoded.
    """
    if isinstance(subject, int) and not isinstance(subject, bool):
        # An int of a derived class may have another text. A huge one has thousands of digits.
        subject = str(int(subject))
    require_subject(subject)
    assert isinstance(subject, str)
    return subject


def require_handle(handle: object) -> None:
    """Raise ``TypeError`` unless ``handle`` is one.

    ``AccountSessionBackend.revoke`` with ``only=None`` ends all sessions of the user, and ``None``
    is what a form returns for a field that is missing.
    """
    if not isinstance(handle, SessionHandle):
        raise TypeError(f"a handle is a SessionHandle or its text, not {type(handle).__name__}")
