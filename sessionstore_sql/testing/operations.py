"""The seven operations, one caller at a time."""

from __future__ import annotations

import hashlib
import unicodedata
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sessionstore_sql import (
    ChangeIdError,
    CreateError,
    DeleteError,
    DuplicateIdError,
    SessionId,
    SessionRecord,
    UnknownIdError,
    UpdateError,
    UpdateTtlError,
)
from sessionstore_sql.testing.support import AT_ONCE, HOUR, BackendTests, fails, record

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sessionstore_sql import SessionStorageBackend

MINUTE = timedelta(minutes=1)
CENTURY = timedelta(days=36_525)


async def expired_id(backend: SessionStorageBackend) -> SessionId:
    """Return the id of a session that was stored and has expired."""
    session_id = SessionId.generate()
    await backend.create(session_id, record(AT_ONCE, was="expired"))
    return session_id


async def live_id(backend: SessionStorageBackend, ttl: timedelta = HOUR) -> SessionId:
    """Return the id of a live session."""
    session_id = SessionId.generate()
    await backend.create(session_id, record(ttl, was="live"))
    return session_id


async def state_of(backend: SessionStorageBackend, session_id: SessionId) -> dict[str, Any] | None:
    """Return the state of a session, ``None`` if it is not live."""
    loaded = await backend.load(session_id)
    return None if loaded is None else loaded.state


class OperationsContract(BackendTests):
    """What every operation does with live, unknown and expired ids."""

    async def test_create_stores_a_session(self, backend: SessionStorageBackend) -> None:
        """What was created is loaded."""
        session_id = SessionId.generate()
        await backend.create(session_id, record(user=1))
        assert await state_of(backend, session_id) == {"user": 1}

    async def test_create_reports_a_live_duplicate(self, backend: SessionStorageBackend) -> None:
        """A second create of a live id fails, names the id and changes nothing."""
        session_id = await live_id(backend)
        with fails(CreateError, DuplicateIdError) as caught:
            await backend.create(session_id, record(MINUTE, user=2))
        assert caught.value.session_id == session_id  # type: ignore[attr-defined]
        loaded = await backend.load(session_id)
        assert loaded is not None
        assert loaded.state == {"was": "live"}
        assert loaded.ttl > MINUTE

    async def test_create_replaces_an_expired_session(self, backend: SessionStorageBackend) -> None:
        """An expired session is as good as none: state and deadline are the new ones."""
        session_id = await expired_id(backend)
        await backend.create(session_id, record(user=2))
        loaded = await backend.load(session_id)
        assert loaded is not None
        assert loaded.state == {"user": 2}
        assert HOUR - MINUTE < loaded.ttl <= HOUR

    async def test_an_expired_session_can_be_replaced_by_an_expired_one(
        self, backend: SessionStorageBackend
    ) -> None:
        """A TTL of zero is legal each time."""
        session_id = await expired_id(backend)
        await backend.create(session_id, record(AT_ONCE))
        assert await backend.load(session_id) is None
        assert await backend.delete_expired() == 1

    async def test_load_of_an_unknown_id_is_none(self, backend: SessionStorageBackend) -> None:
        """Nothing is not an error."""
        assert await backend.load(SessionId.generate()) is None

    async def test_load_of_an_expired_session_is_none(self, backend: SessionStorageBackend) -> None:
        """Expired is absent, whether a purge has been by or not."""
        assert await backend.load(await expired_id(backend)) is None

    @pytest.mark.parametrize(
        "ttl", [timedelta(seconds=30), timedelta(hours=5, microseconds=123_457), CENTURY]
    )
    async def test_load_returns_the_life_that_remains(
        self, backend: SessionStorageBackend, ttl: timedelta
    ) -> None:
        """The TTL of a loaded record counts down from the one stored."""
        loaded = await backend.load(await live_id(backend, ttl))
        assert loaded is not None
        assert ttl - timedelta(seconds=25) < loaded.ttl <= ttl

    async def test_a_loaded_record_is_the_callers_own(self, backend: SessionStorageBackend) -> None:
        """Changing what was loaded, or what was stored, changes nothing in the store."""
        session_id = SessionId.generate()
        given = record(cart=[1])
        await backend.create(session_id, given)
        given.state["cart"] = None
        loaded = await backend.load(session_id)
        assert loaded is not None
        loaded.state["cart"] = "changed"
        assert await state_of(backend, session_id) == {"cart": [1]}

    async def test_update_replaces_state_and_deadline(self, backend: SessionStorageBackend) -> None:
        """Both are the new ones; nothing of the old state is merged in."""
        session_id = await live_id(backend)
        await backend.update(session_id, record(MINUTE, user=2))
        loaded = await backend.load(session_id)
        assert loaded is not None
        assert loaded.state == {"user": 2}
        assert loaded.ttl <= MINUTE

    async def test_update_with_the_same_record_again_succeeds(
        self, backend: SessionStorageBackend
    ) -> None:
        """That nothing changes is not that nothing is there."""
        session_id = await live_id(backend)
        await backend.update(session_id, record(was="live"))
        await backend.update(session_id, record(was="live"))
        assert await state_of(backend, session_id) == {"was": "live"}

    async def test_update_of_an_unknown_id_stores_nothing(
        self, backend: SessionStorageBackend
    ) -> None:
        """It is no upsert."""
        session_id = SessionId.generate()
        with fails(UpdateError, UnknownIdError) as caught:
            await backend.update(session_id, record())
        assert caught.value.session_id == session_id  # type: ignore[attr-defined]
        assert await backend.load(session_id) is None

    async def test_update_never_revives_an_expired_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """Expired stays expired."""
        session_id = await expired_id(backend)
        with fails(UpdateError, UnknownIdError):
            await backend.update(session_id, record())
        assert await backend.load(session_id) is None

    async def test_update_never_revives_a_deleted_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """A late write after a logout is refused."""
        session_id = await live_id(backend)
        await backend.delete(session_id)
        with fails(UpdateError, UnknownIdError):
            await backend.update(session_id, record())
        assert await backend.load(session_id) is None

    async def test_update_never_revives_a_rotated_id(self, backend: SessionStorageBackend) -> None:
        """A late write under the old id is refused, and the session is as it was."""
        old_id, new_id = await live_id(backend), SessionId.generate()
        await backend.change_id(old_id, new_id)
        with fails(UpdateError, UnknownIdError):
            await backend.update(old_id, record(late=True))
        assert await backend.load(old_id) is None
        assert await state_of(backend, new_id) == {"was": "live"}

    async def test_update_with_a_ttl_of_zero_ends_the_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """It succeeds, and the session has expired."""
        session_id = await live_id(backend)
        await backend.update(session_id, record(AT_ONCE))
        assert await backend.load(session_id) is None

    async def test_update_ttl_moves_the_deadline_alone(
        self, backend: SessionStorageBackend
    ) -> None:
        """The life is the new one, in both directions; the state is untouched."""
        session_id = await live_id(backend)
        for ttl in (MINUTE, CENTURY, HOUR):
            await backend.update_ttl(session_id, ttl)
            loaded = await backend.load(session_id)
            assert loaded is not None
            assert ttl - MINUTE < loaded.ttl <= ttl
            assert loaded.state == {"was": "live"}

    async def test_update_ttl_with_the_same_value_succeeds(
        self, backend: SessionStorageBackend
    ) -> None:
        """A row that is found counts, changed or not."""
        session_id = await live_id(backend)
        for _ in range(3):
            await backend.update_ttl(session_id, HOUR)
        assert await backend.load(session_id) is not None

    async def test_update_ttl_of_zero_ends_the_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """It has expired at once."""
        session_id = await live_id(backend)
        await backend.update_ttl(session_id, AT_ONCE)
        assert await backend.load(session_id) is None

    async def test_update_ttl_of_an_unknown_id_fails(self, backend: SessionStorageBackend) -> None:
        """There is nothing to extend."""
        session_id = SessionId.generate()
        with fails(UpdateTtlError, UnknownIdError) as caught:
            await backend.update_ttl(session_id, HOUR)
        assert caught.value.session_id == session_id  # type: ignore[attr-defined]

    async def test_update_ttl_never_revives_an_expired_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """Too late is too late."""
        session_id = await expired_id(backend)
        with fails(UpdateTtlError, UnknownIdError):
            await backend.update_ttl(session_id, HOUR)
        assert await backend.load(session_id) is None

    async def test_delete_removes_a_session(self, backend: SessionStorageBackend) -> None:
        """It is gone, and its id is free."""
        session_id = await live_id(backend)
        await backend.delete(session_id)
        assert await backend.load(session_id) is None
        await backend.create(session_id, record(again=True))
        assert await state_of(backend, session_id) == {"again": True}

    async def test_delete_of_an_unknown_id_fails(self, backend: SessionStorageBackend) -> None:
        """A second delete is told that there was nothing."""
        session_id = await live_id(backend)
        await backend.delete(session_id)
        with fails(DeleteError, UnknownIdError) as caught:
            await backend.delete(session_id)
        assert caught.value.session_id == session_id  # type: ignore[attr-defined]

    async def test_delete_of_an_expired_session_fails(self, backend: SessionStorageBackend) -> None:
        """Expired behaves as absent."""
        with fails(DeleteError, UnknownIdError):
            await backend.delete(await expired_id(backend))

    async def test_change_id_moves_the_session(self, backend: SessionStorageBackend) -> None:
        """State and deadline are untouched; the old id is unknown."""
        old_id, new_id = await live_id(backend, CENTURY), SessionId.generate()
        await backend.change_id(old_id, new_id)
        assert await backend.load(old_id) is None
        loaded = await backend.load(new_id)
        assert loaded is not None
        assert loaded.state == {"was": "live"}
        assert CENTURY - MINUTE < loaded.ttl <= CENTURY

    async def test_change_id_there_and_back(self, backend: SessionStorageBackend) -> None:
        """A freed id can be taken again."""
        first, second = await live_id(backend), SessionId.generate()
        await backend.change_id(first, second)
        await backend.change_id(second, first)
        assert await state_of(backend, first) == {"was": "live"}
        assert await backend.load(second) is None

    @pytest.mark.parametrize("new", ["unknown", "live", "expired"])
    @pytest.mark.parametrize("old", ["unknown", "expired"])
    async def test_change_id_of_an_id_that_is_not_live_fails(
        self, backend: SessionStorageBackend, old: str, new: str
    ) -> None:
        """The old id is the unknown one, whatever the new one is."""
        make = {"expired": expired_id, "live": live_id}
        old_id = await make[old](backend) if old in make else SessionId.generate()
        new_id = await make[new](backend) if new in make else SessionId.generate()
        with fails(ChangeIdError, UnknownIdError) as caught:
            await backend.change_id(old_id, new_id)
        assert caught.value.session_id == old_id  # type: ignore[attr-defined]
        assert (await backend.load(new_id) is not None) == (new == "live")

    async def test_change_id_onto_a_live_id_fails(self, backend: SessionStorageBackend) -> None:
        """Both sessions are intact."""
        old_id, new_id = await live_id(backend), SessionId.generate()
        await backend.create(new_id, record(other=True))
        with fails(ChangeIdError, DuplicateIdError) as caught:
            await backend.change_id(old_id, new_id)
        assert caught.value.session_id == new_id  # type: ignore[attr-defined]
        assert await state_of(backend, old_id) == {"was": "live"}
        assert await state_of(backend, new_id) == {"other": True}

    async def test_change_id_replaces_an_expired_session(
        self, backend: SessionStorageBackend
    ) -> None:
        """An id whose session has expired is free."""
        old_id, new_id = await live_id(backend), await expired_id(backend)
        await backend.change_id(old_id, new_id)
        assert await backend.load(old_id) is None
        assert await state_of(backend, new_id) == {"was": "live"}

    async def test_change_id_to_itself_fails(self, backend: SessionStorageBackend) -> None:
        """A rotation that rotates nothing is a mistake, and leaves the session alone."""
        session_id = await live_id(backend)
        with fails(ChangeIdError, DuplicateIdError) as caught:
            await backend.change_id(session_id, SessionId(session_id.value))
        assert caught.value.session_id == session_id  # type: ignore[attr-defined]
        assert await state_of(backend, session_id) == {"was": "live"}

    @pytest.mark.parametrize("make", [expired_id, None], ids=["expired", "unknown"])
    async def test_change_id_to_itself_of_an_id_that_is_not_live_fails(
        self, backend: SessionStorageBackend, make: Any
    ) -> None:
        """Unknown comes first."""
        session_id = SessionId.generate() if make is None else await make(backend)
        with fails(ChangeIdError, UnknownIdError):
            await backend.change_id(session_id, session_id)

    async def test_delete_expired_removes_the_expired_alone(
        self, backend: SessionStorageBackend
    ) -> None:
        """It counts what it removed, and a second call finds nothing."""
        kept = [await live_id(backend) for _ in range(3)]
        for _ in range(5):
            await expired_id(backend)
        assert await backend.delete_expired() == 5
        assert await backend.delete_expired() == 0
        for session_id in kept:
            assert await state_of(backend, session_id) == {"was": "live"}

    async def test_delete_expired_with_nothing_to_do(self, backend: SessionStorageBackend) -> None:
        """Zero is an answer."""
        assert await backend.delete_expired() == 0
        assert await backend.delete_expired(batch_size=10) == 0

    async def test_delete_expired_keeps_to_its_batch(self, backend: SessionStorageBackend) -> None:
        """Never more than asked for, until nothing is left."""
        for _ in range(7):
            await expired_id(backend)
        counts = [await backend.delete_expired(batch_size=3) for _ in range(4)]
        assert counts == [3, 3, 1, 0]

    async def test_delete_expired_counts_a_session_that_expired_after_an_update(
        self, backend: SessionStorageBackend
    ) -> None:
        """However it expired."""
        updated, touched = await live_id(backend), await live_id(backend)
        await backend.update(updated, record(AT_ONCE))
        await backend.update_ttl(touched, AT_ONCE)
        assert await backend.delete_expired(batch_size=1) == 1
        assert await backend.delete_expired(batch_size=2**70) == 1

    @pytest.mark.parametrize("batch_size", [0, -1])
    async def test_delete_expired_refuses_a_batch_of_nothing(
        self, backend: SessionStorageBackend, batch_size: int
    ) -> None:
        """At least one."""
        await expired_id(backend)
        with pytest.raises(ValueError, match="batch_size"):
            await backend.delete_expired(batch_size=batch_size)
        assert await backend.delete_expired() == 1

    @pytest.mark.parametrize("batch_size", [True, False, 1.0, "1"])
    async def test_delete_expired_refuses_what_is_no_int(
        self, backend: SessionStorageBackend, batch_size: Any
    ) -> None:
        """A bool is no number of rows."""
        with pytest.raises((TypeError, ValueError), match="batch_size"):
            await backend.delete_expired(batch_size=batch_size)

    async def test_arguments_of_a_wrong_type_are_type_errors(
        self, backend: SessionStorageBackend
    ) -> None:
        """A text is not an id, a dict is not a record, seconds are not a TTL."""
        session_id: Any = await live_id(backend)
        text: Any = session_id.value
        no_record: Any = {"state": {}}
        calls: tuple[Callable[[], Coroutine[Any, Any, Any]], ...] = (
            lambda: backend.create(text, record()),
            lambda: backend.create(session_id, no_record),
            lambda: backend.update(text, record()),
            lambda: backend.update(session_id, no_record),
            lambda: backend.update_ttl(text, HOUR),
            lambda: backend.update_ttl(session_id, 60),  # type: ignore[arg-type]
            lambda: backend.load(text),
            lambda: backend.delete(text),
            lambda: backend.change_id(text, session_id),
            lambda: backend.change_id(session_id, text),
        )
        for call in calls:
            with pytest.raises(TypeError):
                await call()
        assert await state_of(backend, session_id) == {"was": "live"}

    @pytest.mark.parametrize("ttl", [timedelta(microseconds=-1), CENTURY + MINUTE, timedelta.max])
    async def test_update_ttl_refuses_a_ttl_out_of_range(
        self, backend: SessionStorageBackend, ttl: timedelta
    ) -> None:
        """Between zero and a hundred years."""
        session_id = await live_id(backend)
        with pytest.raises(ValueError, match="ttl"):
            await backend.update_ttl(session_id, ttl)
        assert await backend.load(session_id) is not None

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("case", "CASE"),
            ("trailing", "trailing "),
            (" leading", "leading"),
            ("nul", "nul\0"),
            ("accent é", "accent e"),
            (unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")),
            ("ß", "ss"),
            ("percent %s", "percent %%s"),
            ("quote '", "quote ''"),
            ("back\\slash", "back\\\\slash"),
            ("x" * 1024, "x" * 1023),
            ("😀" * 1024, "😀" * 1023),
        ],
    )
    async def test_different_texts_are_different_ids(
        self, backend: SessionStorageBackend, one: str, other: str
    ) -> None:
        """No collation, padding, length or escape makes two ids one."""
        salt = SessionId.generate().value[:8]
        first = SessionId(one) if len(one) > 100 else SessionId(salt + one)
        second = SessionId(other) if len(one) > 100 else SessionId(salt + other)
        await backend.create(first, record(which="one"))
        assert await backend.load(second) is None
        await backend.create(second, record(which="other"))
        assert await state_of(backend, first) == {"which": "one"}
        assert await state_of(backend, second) == {"which": "other"}
        await backend.delete(first)
        await backend.delete(second)

    async def test_a_digest_of_an_id_is_just_another_id(
        self, backend: SessionStorageBackend
    ) -> None:
        """What a leaked table shows opens nothing."""
        session_id = await live_id(backend)
        digest = hashlib.sha256(session_id.value.encode())
        for text in (digest.hexdigest(), digest.digest().decode("latin-1")):
            assert await backend.load(SessionId(text)) is None

    async def test_errors_show_neither_id_nor_state(self, backend: SessionStorageBackend) -> None:
        """Ids are credentials: no text of an error, or of what led to it, holds one."""
        live = SessionId("secret-live-id-" + SessionId.generate().value)
        gone = SessionId("secret-gone-id-" + SessionId.generate().value)
        secret = SessionRecord({"password": "secret-state"}, HOUR)
        await backend.create(live, secret)
        errors = []
        calls: tuple[Callable[[], Coroutine[Any, Any, Any]], ...] = (
            lambda: backend.create(live, secret),
            lambda: backend.update(gone, secret),
            lambda: backend.update_ttl(gone, HOUR),
            lambda: backend.delete(gone),
            lambda: backend.change_id(gone, live),
            lambda: backend.change_id(live, live),
        )
        for call in calls:
            with pytest.raises((DuplicateIdError, UnknownIdError)) as caught:
                await call()
            errors.append(caught.value)
        for error in errors:
            shown = [repr(error), str(error), repr(error.args), repr(vars(error))]
            for linked in (error.__cause__, error.__context__):
                shown += [repr(linked), str(linked)]
            assert "secret" not in "".join(shown)
