"""Options of a backend's constructor: lifetime, limit, keys of subjects, events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sessionstore_sql import (
    AccountSessionBackend,
    SessionId,
)
from sessionstore_sql.testing.accounts.events import AccountEventContract
from sessionstore_sql.testing.accounts.listing import TICK_S
from sessionstore_sql.testing.accounts.support import (
    BackendWith,
    anonymous_id,
    handles_of,
    new_subject,
    session_of,
    signed_in,
)
from sessionstore_sql.testing.support import HOUR, record

if TYPE_CHECKING:
    from typing import Any

DAY = 24 * HOUR
OLD_KEY, NEW_KEY = b"an old key of 22 bytes", b"a new key of 21 bytes"


class AccountOptionsContract(AccountEventContract):
    """What the options ``lifetime``, ``max_sessions``, ``subject_keys`` and ``on_event`` do.

    It needs one fixture more: ``backend_with(**options)`` returns a backend with these options on
    the sessions of ``backend``, as another process of the deployment would make it.
    """

    async def test_the_lifetime_of_the_store_is_the_default(
        self, backend_with: BackendWith
    ) -> None:
        """An argument takes its place, longer or shorter."""
        backend = backend_with(lifetime=HOUR)
        subject, other = new_subject(), new_subject("other")
        await signed_in(backend, subject, DAY)
        await signed_in(backend, other, DAY, lifetime=2 * HOUR)

        (info,) = await backend.sessions_of(subject)
        (longer,) = await backend.sessions_of(other)

        assert info.ends == info.expires == info.created + HOUR
        assert longer.ends == longer.created + 2 * HOUR

    async def test_the_lifetime_of_the_store_holds_for_anonymous_sessions(
        self, backend_with: BackendWith
    ) -> None:
        """It counts from ``create``, and anew from the sign-in."""
        backend = backend_with(lifetime=HOUR)
        session_id = await anonymous_id(backend, DAY)
        before = await session_of(backend, session_id)
        assert before.ends_in is not None
        assert before.record.ttl <= before.ends_in <= HOUR

        await backend.update(session_id, record(DAY))

        after = await session_of(backend, session_id)
        assert after.ends_in is not None
        assert after.record.ttl <= after.ends_in <= before.ends_in

    async def test_the_lifetime_counts_anew_from_the_sign_in(
        self, backend_with: BackendWith
    ) -> None:
        """Not from the visit before it."""
        backend = backend_with(lifetime=HOUR)
        subject, session_id = new_subject(), await anonymous_id(backend)
        await asyncio.sleep(TICK_S)

        await backend.sign_in(session_id, SessionId.generate(), record(DAY), subject=subject)

        (info,) = await backend.sessions_of(subject)
        assert info.ends == info.created + HOUR

    async def test_without_a_lifetime_sessions_have_no_end(self, backend_with: BackendWith) -> None:
        """The default."""
        backend = backend_with()
        session_id = await anonymous_id(backend, DAY)

        assert (await session_of(backend, session_id)).ends_in is None

    async def test_the_limit_of_the_store_is_the_default(self, backend_with: BackendWith) -> None:
        """An argument takes its place."""
        backend = backend_with(max_sessions=2)
        subject, other = new_subject(), new_subject("other")
        for _ in range(4):
            await signed_in(backend, subject)
            await signed_in(backend, other, max_sessions=3)
            await asyncio.sleep(TICK_S)

        assert len(await handles_of(backend, subject)) == 2
        assert len(await handles_of(backend, other)) == 3

    @pytest.mark.parametrize(
        "option",
        [
            {"lifetime": 60},
            {"max_sessions": True},
            {"subject_keys": OLD_KEY},
            {"subject_keys": ("text",)},
            {"on_event": "text"},
        ],
    )
    async def test_options_of_a_wrong_type_are_type_errors(
        self, backend_with: BackendWith, option: dict[str, Any]
    ) -> None:
        """When the backend is made, and not at the first sign-in."""
        with pytest.raises(TypeError):
            backend_with(**option)

    @pytest.mark.parametrize(
        "option", [{"lifetime": 0 * HOUR}, {"max_sessions": 0}, {"subject_keys": (b"short",)}]
    )
    async def test_options_out_of_range_are_value_errors(
        self, backend_with: BackendWith, option: dict[str, Any]
    ) -> None:
        """Likewise."""
        with pytest.raises(ValueError, match=r"lifetime|max_sessions|key"):
            backend_with(**option)

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ((), (NEW_KEY, None)),
            ((OLD_KEY,), (NEW_KEY, OLD_KEY)),
            ((OLD_KEY, None), (NEW_KEY, OLD_KEY, None)),
        ],
    )
    async def test_keys_can_be_replaced_while_sessions_last(
        self, backend_with: BackendWith, before: tuple[Any, ...], after: tuple[Any, ...]
    ) -> None:
        """Sessions under every key are found, counted and ended, and new ones beside them."""
        subject, old, new = (
            new_subject(),
            backend_with(subject_keys=before),
            backend_with(subject_keys=after),
        )
        _, first = await signed_in(old, subject)
        _, second = await signed_in(new, subject)

        assert await handles_of(new, subject) == {first, second}
        assert await handles_of(old, subject) == {first}
        assert await new.revoke(subject, only=first) == 1
        assert await new.revoke(subject) == 1

    async def test_a_key_that_was_removed_finds_nothing(self, backend_with: BackendWith) -> None:
        """Subjects are compared under the keys that are given."""
        subject = new_subject()
        await signed_in(backend_with(subject_keys=(OLD_KEY,)), subject)

        assert await backend_with(subject_keys=(NEW_KEY,)).sessions_of(subject) == []
        assert await backend_with().revoke(subject) == 0
        assert await backend_with(subject_keys=(NEW_KEY, OLD_KEY)).revoke(subject) == 1

    async def test_re_authentication_moves_a_session_to_the_first_key(
        self, backend_with: BackendWith
    ) -> None:
        """The handle stays, as it is the same subject."""
        subject, new_id = new_subject(), SessionId.generate()
        old_id, handle = await signed_in(backend_with(), subject)

        again = await backend_with(subject_keys=(NEW_KEY, None)).sign_in(
            old_id, new_id, record(), subject=subject
        )

        assert again == handle
        assert await handles_of(backend_with(), subject) == set()
        assert await handles_of(backend_with(subject_keys=(NEW_KEY,)), subject) == {handle}

    async def test_the_limit_counts_sessions_under_every_key(
        self, backend_with: BackendWith
    ) -> None:
        """A change of keys does not raise the limit."""
        subject = new_subject()
        await signed_in(backend_with(), subject)
        await asyncio.sleep(TICK_S)

        _, handle = await signed_in(
            backend_with(subject_keys=(NEW_KEY, None)), subject, max_sessions=1
        )

        assert await handles_of(backend_with(subject_keys=(NEW_KEY, None)), subject) == {handle}

    async def test_sign_out_follows_a_session_to_the_first_key(
        self, backend_with: BackendWith
    ) -> None:
        """It was loaded under the old key and re-authenticated under the new one."""
        subject, new_id = new_subject(), SessionId.generate()
        old_id, _ = await signed_in(backend_with(), subject)
        backend = backend_with(subject_keys=(NEW_KEY, None))
        loaded = await session_of(backend, old_id)
        await backend.sign_in(old_id, new_id, record(), subject=subject)

        await backend.sign_out(old_id, loaded)

        assert await backend.load(new_id) is None

    async def test_every_backend_implements_the_protocol(self, backend_with: BackendWith) -> None:
        """Whatever its options."""
        backend = backend_with(lifetime=HOUR, max_sessions=3, subject_keys=(NEW_KEY,))

        assert isinstance(backend, AccountSessionBackend)
