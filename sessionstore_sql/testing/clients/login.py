"""What a login leaves in a session, whatever the framework."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import timedelta

    from sessionstore_sql.records import JSON
    from sessionstore_sql.web.asked_session import AskedSession
    from sessionstore_sql.web.options import SessionOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a login stores."""

    subject: Any = field(repr=False)
    state: dict[str, Any] = field(repr=False)
    about: dict[str, JSON] | None = field(default=None, repr=False)
    max_age: timedelta | float | None = None

    def ask(self, session: AskedSession) -> None:
        """Ask for the sign-in, which is done when the session is stored.

        Raises:
            TypeError, ValueError: An argument is of a wrong type or range.
        """
        session.sign_in(self.subject, about=self.about)
        if self.max_age is not None:
            session.set_max_age(self.max_age)


def require_user(options: SessionOptions, state: dict[str, Any]) -> None:
    """Raise ``ValueError`` if the application would not find the user in a state."""
    if options.subject_of is not None and options.subject_in(state) is None:
        raise ValueError(
            "subject_of of the application does not find the user in the state: pass a state that "
            "a login would leave, such as state={'user_id': ..}"
        )
