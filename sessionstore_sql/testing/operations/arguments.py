"""Arguments that are rejected, and ids that differ in little."""

from __future__ import annotations

import hashlib
import unicodedata
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sessionstore_sql import (
    DuplicateIdError,
    SessionId,
    SessionRecord,
    UnknownIdError,
)
from sessionstore_sql.testing.support import HOUR, BackendTests, record

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sessionstore_sql import SessionStorageBackend

from sessionstore_sql.testing.operations.support import (
    CENTURY,
    MINUTE,
    expired_id,
    live_id,
    state_of,
)


class ArgumentsContract(BackendTests):
    """What each operation accepts, and what its errors show."""

    @pytest.mark.parametrize("batch_size", [0, -1])
    async def test_delete_expired_rejects_an_empty_batch(
        self, backend: SessionStorageBackend, batch_size: int
    ) -> None:
        """The batch size is at least one."""
        await expired_id(backend)
        with pytest.raises(ValueError, match="batch_size"):
            await backend.delete_expired(batch_size=batch_size)
        assert await backend.delete_expired() == 1

    @pytest.mark.parametrize("batch_size", [True, False, 1.0, "1"])
    async def test_delete_expired_rejects_other_types(
        self, backend: SessionStorageBackend, batch_size: Any
    ) -> None:
        """A bool is not a number of rows."""
        with pytest.raises((TypeError, ValueError), match="batch_size"):
            await backend.delete_expired(batch_size=batch_size)

    async def test_arguments_of_a_wrong_type_are_type_errors(
        self, backend: SessionStorageBackend
    ) -> None:
        """A text is not an id, a dict is not a record, and a number is not a TTL."""
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
    async def test_update_ttl_rejects_a_ttl_out_of_range(
        self, backend: SessionStorageBackend, ttl: timedelta
    ) -> None:
        """A TTL is between zero and a hundred years."""
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
        """Neither collation, padding, length nor escaping makes two ids equal."""
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
        """A key from a leaked table cannot be used as an id."""
        session_id = await live_id(backend)
        digest = hashlib.sha256(session_id.value.encode())
        for text in (digest.hexdigest(), digest.digest().decode("latin-1")):
            assert await backend.load(SessionId(text)) is None

    async def test_errors_show_neither_id_nor_state(self, backend: SessionStorageBackend) -> None:
        """Neither an error nor the errors it is chained to contain an id or a state."""
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
