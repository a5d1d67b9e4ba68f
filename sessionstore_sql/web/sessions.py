"""The sessions of one application: where they are, and how a request gets one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sessionstore_sql.errors import DatabaseError, DeserializationError
from sessionstore_sql.web.decision import Found
from sessionstore_sql.web.options import SessionOptions
from sessionstore_sql.web.presented import MAX_IDS
from sessionstore_sql.web.rate_limit import RateLimitedWarning
from sessionstore_sql.web.request_session import RequestSession
from sessionstore_sql.web.storage import AccountStorage, storage_for

if TYPE_CHECKING:
    from sessionstore_sql.records import SessionId
    from sessionstore_sql.web.loaded import Loaded
    from sessionstore_sql.web.presented import Presented

logger = logging.getLogger("sessionstore_sql.visits")


class Sessions:
    """The sessions of one application.

    Args:
        store: Where they are. With an ``AccountSessionBackend``, such as ``SQLSessionStore``,
            everything works. A store with the seven operations only does not know users, and
            concurrent changes of one session overwrite each other.
        options: How they behave.
        name: The name of the cookie or header that holds the id, for messages.

    Raises:
        TypeError: ``store`` is not a session store, or ``options`` need an
            ``AccountSessionBackend`` and it is none.
    """

    def __init__(
        self, store: object, options: SessionOptions | None = None, *, name: str = "session"
    ) -> None:
        self.name = name
        self.options = SessionOptions() if options is None else options
        self.storage = storage_for(store)
        needed = self.options.account_options()
        if needed and not isinstance(self.storage, AccountStorage):
            raise TypeError(
                f"{', '.join(needed)}: needs a store that is an AccountSessionBackend, which "
                f"{type(store).__name__} is not"
            )
        self._ambiguous = RateLimitedWarning(
            logger,
            "requests present several cookies named %s, of which not exactly one is a live "
            "session: they are treated as new visitors. Was `domain` or `path` of the cookie "
            "changed, or does another application on this domain use the name?",
        )

    async def begin(self, presented: Presented) -> RequestSession:
        """Return the session of a request.

        If the database cannot be reached, the session says so where it is first used. A state
        that cannot be decoded is logged, and its id is treated as unknown: an error would lock
        the client out for as long as it has the cookie.

        Args:
            presented: What the request presents.
        """
        try:
            return await self._find(presented)
        except DatabaseError as error:
            return RequestSession(self.storage, self.options, Found.UNKNOWN, failure=error)

    async def _find(self, presented: Presented) -> RequestSession:
        ids = presented.ids
        if not ids:
            found = Found.NOTHING if presented.is_empty else Found.MALFORMED
            return RequestSession(self.storage, self.options, found)
        if len(ids) > MAX_IDS:
            self._ambiguous.log(self.name)
            return RequestSession(self.storage, self.options, Found.MALFORMED)
        unreadable, live = await self._load(ids)
        if len(ids) > 1 and len(unreadable) + len(live) != 1:
            self._ambiguous.log(self.name)
        elif live:
            loaded = live[0]
            found = Found.ANONYMOUS if loaded.handle is None else Found.SIGNED_IN
            return RequestSession(self.storage, self.options, found, loaded=loaded)
        elif unreadable:
            return RequestSession(
                self.storage, self.options, Found.UNREADABLE, stored_id=unreadable[0]
            )
        return RequestSession(self.storage, self.options, Found.UNKNOWN, unknown_ids=ids)

    async def _load(self, ids: tuple[SessionId, ...]) -> tuple[list[SessionId], list[Loaded]]:
        unreadable: list[SessionId] = []
        live: list[Loaded] = []
        for session_id in ids:
            try:
                loaded = await self.storage.load(session_id)
            except DeserializationError:
                logger.exception("a session cannot be decoded: it is treated as an unknown one")
                unreadable.append(session_id)
            else:
                if loaded is not None:
                    live.append(loaded)
        return unreadable, live
