"""``about``, subjects and handles: what the rows of a user keep, and what they never show."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sessionstore_sql import (
    DuplicateIdError,
    SerializationError,
    SessionId,
    SessionRecord,
    SignInError,
    UnknownIdError,
)
from sessionstore_sql.testing.accounts.support import (
    AccountBackendTests,
    FullBackend,
    about_of,
    anonymous_id,
    expired_account_id,
    handles_of,
    new_subject,
    session_of,
    signed_in,
)
from sessionstore_sql.testing.support import HOUR, fails, record

if TYPE_CHECKING:
    from sessionstore_sql import JSON


MINUTE = timedelta(minutes=1)


class AccountDataContract(AccountBackendTests):
    """What is kept beside a state, and when it changes."""

    async def test_create_inherits_nothing_of_an_expired_session(
        self, backend: FullBackend
    ) -> None:
        """An anonymous session under the id of an expired one belongs to no user."""
        subject = new_subject()
        session_id = await expired_account_id(backend, subject)

        await backend.create(session_id, record(new=True))

        session = await session_of(backend, session_id)
        assert session.handle is None
        assert session.subject is None
        assert session.authenticated_ago is None
        assert session.idle_ttl is None
        assert session.ends_in is None
        assert session.account is None
        assert await handles_of(backend, subject) == set()
        assert await backend.revoke(subject) == 0
        assert await backend.load(session_id) is not None

    async def test_change_id_inherits_nothing_of_an_expired_session(
        self, backend: FullBackend
    ) -> None:
        """An anonymous session that moves onto the id of an expired one stays anonymous."""
        subject = new_subject()
        new_id = await expired_account_id(backend, subject)

        await backend.change_id(await anonymous_id(backend), new_id)

        assert (await session_of(backend, new_id)).handle is None
        assert await backend.revoke(subject) == 0
        assert await backend.load(new_id) is not None

    async def test_change_id_keeps_the_account(self, backend: FullBackend) -> None:
        """Rotation changes the id and nothing about whose session it is."""
        subject, new_id = new_subject(), SessionId.generate()
        old_id, handle = await signed_in(
            backend, subject, about={"device": "phone"}, lifetime=HOUR, idle_ttl=MINUTE
        )
        before = await session_of(backend, old_id)

        await backend.change_id(old_id, new_id)

        after = await session_of(backend, new_id)
        assert after.handle == handle
        assert after.version == before.version
        assert after.idle_ttl == MINUTE
        assert after.ends_in is not None
        assert await about_of(backend, subject) == {"device": "phone"}

    @pytest.mark.parametrize(
        ("again", "expected"), [(None, {"a": 1}), ({}, {}), ({"b": [2]}, {"b": [2]})]
    )
    async def test_re_authentication_keeps_replaces_or_clears_about(
        self, backend: FullBackend, again: dict[str, JSON] | None, expected: dict[str, JSON]
    ) -> None:
        """``None`` keeps what is there, ``{}`` clears it."""
        subject, new_id = new_subject(), SessionId.generate()
        old_id, _ = await signed_in(backend, subject, about={"a": 1})

        await backend.sign_in(old_id, new_id, record(), subject=subject, about=again)

        assert await about_of(backend, subject) == expected

    @pytest.mark.parametrize("about", [None, {}, {"device": "phone", "since": [1, 2.5, None]}])
    async def test_about_comes_back_equal(
        self, backend: FullBackend, about: dict[str, JSON] | None
    ) -> None:
        """It is JSON, as a state is."""
        subject = new_subject()

        await signed_in(backend, subject, about=about)

        assert await about_of(backend, subject) == (about or {})

    async def test_about_is_the_callers_own(self, backend: FullBackend) -> None:
        """Changing what was passed, or what came back, changes nothing in the store."""
        subject, about = new_subject(), {"a": [1]}
        await signed_in(backend, subject, about=about)
        about["a"].append(2)
        (await about_of(backend, subject))["a"] = None

        assert await about_of(backend, subject) == {"a": [1]}

    @pytest.mark.parametrize("what", ["state", "about"])
    async def test_what_json_would_alter_is_rejected(self, backend: FullBackend, what: str) -> None:
        """The error names the place, and nothing was changed."""
        subject, old_id, new_id = new_subject(), await anonymous_id(backend), SessionId.generate()
        bad: dict[str, Any] = {"a": [{1, 2}]}
        state = SessionRecord(bad if what == "state" else {}, HOUR)

        for each in (old_id, None):
            with fails(SignInError, SerializationError) as caught:
                await backend.sign_in(
                    each, new_id, state, subject=subject, about=bad if what == "about" else None
                )
            assert caught.match(rf"^{what}\['a'\]\[0\]: set")

        assert await backend.load(new_id) is None
        assert await backend.load(old_id) is not None
        assert await handles_of(backend, subject) == set()

    @pytest.mark.parametrize(
        ("one", "other"),
        [("alice", "Alice"), ("é", "e\u0301"), ("a", "a "), ("1", "01"), ("x\0", "x")],
    )
    async def test_subjects_are_compared_exactly(
        self, backend: FullBackend, one: str, other: str
    ) -> None:
        """No collation, padding or normal form makes one user of two."""
        salt = new_subject()
        _, first = await signed_in(backend, salt + one)
        _, second = await signed_in(backend, salt + other)

        assert await handles_of(backend, salt + one) == {first}
        assert await handles_of(backend, salt + other) == {second}
        assert await backend.revoke(salt + one) == 1
        assert await handles_of(backend, salt + other) == {second}

    @pytest.mark.parametrize("length", [1, 1_024])
    async def test_a_subject_has_up_to_1024_characters(
        self, backend: FullBackend, length: int
    ) -> None:
        """Characters count, not bytes."""
        subject = "😀" * length
        _, handle = await signed_in(backend, subject)

        assert handle in await handles_of(backend, subject)
        await backend.revoke(subject)
        assert await handles_of(backend, subject) == set()

    async def test_errors_show_neither_ids_nor_users(self, backend: FullBackend) -> None:
        """No text of an error, or of what led to it, holds one."""
        subject = new_subject("secret-user")
        live, gone = SessionId("secret-live-" + subject), SessionId("secret-gone-" + subject)
        await backend.create(live, record(was="secret-state"))
        errors = []
        for old_id, new_id in ((None, live), (gone, live), (live, live)):
            with pytest.raises((DuplicateIdError, UnknownIdError)) as caught:
                await backend.sign_in(
                    old_id, new_id, record(), subject=subject, about={"a": "secret-about"}
                )
            errors.append(caught.value)
        for error in errors:
            shown = [repr(error), str(error), repr(error.args), repr(vars(error))]
            for linked in (error.__cause__, error.__context__):
                shown += [repr(linked), str(linked)]
            assert "secret" not in "".join(shown)
