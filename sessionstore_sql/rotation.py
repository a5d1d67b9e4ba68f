"""Another id for a session, and a note for the requests that still come with the old one.

An old id is unknown from its rotation on, as that of a session that was logged out is. To a
request that was using it meanwhile, the two are not the same: where somebody logged out, the
cookie is to go, but where the id was rotated, the browser has a new cookie of that name by now,
or is about to. A cookie is removed by its name, whatever its value: the answer of a request that
lost to a login would log out who has just logged in. So a rotation leaves a note, for as long as
requests may be under way, that says of the old id what became of it and not which one is new.
PHP's manual wants the old session itself kept for that while, marked as destroyed; here it is gone.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from sessionstore_sql.errors import DuplicateIdError, UnknownIdError
from sessionstore_sql.records import SessionId, SessionRecord

if TYPE_CHECKING:
    from sessionstore_sql.backend import SessionStorageBackend
    from sessionstore_sql.records import JSON

NOTED = timedelta(minutes=5)
"""How long a note lives: longer than a request waits for the start of its response."""

_SHARED: dict[str, JSON] = {"shared": True}
"""What a note holds that more than one rotation counts on."""


async def rotate(store: SessionStorageBackend, old_id: SessionId) -> SessionId:
    """Give a session another id, and return that.

    The note comes first: whoever finds the old id unknown because of this rotation finds the
    note as well. It goes again where there was nothing to rotate, unless another rotation has
    counted on it: that one may be who has won.

    Raises:
        UnknownIdError: The session has ended, or another request has rotated its id.
        DuplicateIdError: A generated id was taken.
        DatabaseError: The database failed.
    """
    note, new_id = _note_of(old_id), SessionId.generate()
    is_ours = await _leave(store, note)
    try:
        await store.change_id(old_id, new_id)
    except UnknownIdError:
        if is_ours and not await _is_shared(store, note):
            with suppress(UnknownIdError):
                await store.delete(note)
        raise
    return new_id


async def was_rotated(store: SessionStorageBackend, session_id: SessionId) -> bool:
    """Whether an id that has become unknown was rotated a short time ago.

    Raises:
        DatabaseError: The database failed.
    """
    return await store.load(_note_of(session_id)) is not None


async def _leave(store: SessionStorageBackend, note: SessionId) -> bool:
    """Leave a note; return whether it is this call's, and not a rival's.

    On a rival's it is marked, before anything else is done, that it is counted on here, too: the
    rival, which finds the old id unknown only after the winner has changed it, finds that.
    """
    with suppress(DuplicateIdError):
        await store.create(note, SessionRecord({}, NOTED))
        return True
    try:
        await store.update(note, SessionRecord(_SHARED, NOTED))
    except UnknownIdError:  # it has expired, or its writer has found nothing to rotate
        with suppress(DuplicateIdError):
            await store.create(note, SessionRecord(_SHARED, NOTED))
    return False


async def _is_shared(store: SessionStorageBackend, note: SessionId) -> bool:
    record = await store.load(note)
    return record is not None and record.state == _SHARED


def _note_of(session_id: SessionId) -> SessionId:
    """Return the id of the note on ``session_id``.

    It holds blanks, which no cookie can: no client can present it as a session's.
    """
    digest = hashlib.sha256(session_id.value.encode()).hexdigest()
    return SessionId(f"rotated from {digest}")
