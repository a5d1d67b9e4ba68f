"""What a request found of its session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessionstore_sql.web.changes import Snapshot
from sessionstore_sql.web.errors import SessionClosedError
from sessionstore_sql.web.storage import AccountStorage

if TYPE_CHECKING:
    from sessionstore_sql.accounts import AccountSessionBackend, SessionHandle
    from sessionstore_sql.errors import DatabaseError
    from sessionstore_sql.records import SessionId
    from sessionstore_sql.web.decision import Found
    from sessionstore_sql.web.loaded import Loaded
    from sessionstore_sql.web.options import SessionOptions
    from sessionstore_sql.web.storage import PlainStorage


class FoundSession:
    """What a request found, until it is too late to change it.

    Attributes:
        session_id: The id of the session that was loaded; ``None`` if none was.
        closed: Whether it is too late for a change.
        failure: Why the session could not be loaded; ``None`` if that did not fail.
    """

    def __init__(  # noqa: PLR0913  # what was found, each by keyword
        self,
        storage: AccountStorage | PlainStorage,
        options: SessionOptions,
        found: Found,
        *,
        loaded: Loaded | None = None,
        unknown_ids: tuple[SessionId, ...] = (),
        stored_id: SessionId | None = None,
        failure: DatabaseError | None = None,
    ) -> None:
        self.session_id = None if loaded is None else loaded.session_id
        self.closed = False
        self.failure = failure
        self._storage = storage
        self._options = options
        self._found = found
        self._loaded = loaded
        self._unknown_ids = unknown_ids
        self._stored_id = stored_id
        self._state: dict[str, Any] = {} if loaded is None else loaded.state
        self._snapshot = Snapshot(self._state)
        self._subject_before = options.subject_in(self._state)

    @property
    def state(self) -> dict[str, Any]:
        """What was loaded, or an empty dict: the application's to change.

        Raises:
            DatabaseError: The session could not be loaded.
        """
        self.require_loaded()
        return self._state

    @property
    def options(self) -> SessionOptions:
        """The options of the application."""
        return self._options

    @property
    def handle(self) -> SessionHandle | None:
        """Names the session that was loaded among its user's; ``None`` if it is not signed in."""
        return None if self._loaded is None else self._loaded.handle

    @property
    def knows_users(self) -> bool:
        """Whether the store is an ``AccountSessionBackend``."""
        return isinstance(self._storage, AccountStorage)

    def require_loaded(self) -> None:
        """Raise the ``DatabaseError`` with which loading the session failed, if it did."""
        if self.failure is not None:
            raise self.failure

    def require_open(self) -> None:
        """Raise ``SessionClosedError`` if it is too late for a change."""
        if self.closed:
            raise SessionClosedError(
                "the session can no longer be changed: the response has started, or an exception "
                "has left the session middleware"
            )

    def close(self) -> None:
        """Let no change be made any more; what was changed is not stored."""
        self.closed = True

    async def is_live(self) -> bool:
        """Return whether the session is still live, under the id that the client has.

        Raises:
            DatabaseError: The database failed.
            DeserializationError: The stored state cannot be decoded.
        """
        return self.session_id is not None and (
            await self._storage.backend.load(self.session_id) is not None
        )

    async def reload(self) -> bool:
        """Load the session again, and return whether it is still live.

        ``state`` is a new dict then, which is empty if the session has ended.

        Raises:
            DatabaseError: The database failed.
        """
        session_id = self.session_id
        loaded = None if session_id is None else await self._storage.load(session_id)
        self._loaded = loaded
        self._state = {} if loaded is None else loaded.state
        self._snapshot = Snapshot(self._state)
        self.failure = None
        return loaded is not None

    def _accounts(self, what: str) -> AccountSessionBackend:
        if not isinstance(self._storage, AccountStorage):
            raise TypeError(
                f"{what} needs a store that is an AccountSessionBackend, which "
                f"{type(self._storage.backend).__name__} is not"
            )
        return self._storage.accounts
