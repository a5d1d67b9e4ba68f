"""The options of a store that concern account sessions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sessionstore_sql.accounts.arguments import require_lifetime, require_max_sessions
from sessionstore_sql.accounts.events import require_on_event
from sessionstore_sql.accounts.subjects import SubjectKeys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionstore_sql.accounts.events import OnEvent

_MICROSECOND = timedelta(microseconds=1)


class AccountOptions:
    """Options that were checked, in the form in which operations use them.

    Attributes:
        lifetime: The absolute lifetime of sessions in microseconds; ``None``: none.
        max_sessions: Maximum number of live sessions of a subject; ``None``: no limit.
        subjects: Makes the digests of subjects.
        on_event: Called with each event; ``None``: events are not reported.
    """

    __slots__ = ("lifetime", "max_sessions", "on_event", "subjects")

    def __init__(
        self,
        lifetime: timedelta | None = None,
        max_sessions: int | None = None,
        subject_keys: Sequence[bytes | None] = (),
        on_event: OnEvent | None = None,
    ) -> None:
        """Check the options.

        Raises:
            TypeError, ValueError: An option is of a wrong type or range.
        """
        require_lifetime(lifetime)
        require_max_sessions(max_sessions)
        require_on_event(on_event)
        self.lifetime = None if lifetime is None else lifetime // _MICROSECOND
        self.max_sessions = max_sessions
        self.subjects = SubjectKeys(subject_keys)
        self.on_event = on_event

    def without_events(self) -> AccountOptions:
        """Return the same options for operations that the application commits, and reports."""
        quiet = AccountOptions()
        quiet.lifetime, quiet.max_sessions = self.lifetime, self.max_sessions
        quiet.subjects = self.subjects
        return quiet
