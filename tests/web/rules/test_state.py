"""Rules 4, 5, 9, 10, 15 and 16: what becomes of the state, beside other requests and errors."""

from __future__ import annotations

import pytest

from tests.web.rules.conftest import KnownStore, Open, row_count
from tests.web.rules.pages import Meanwhile

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey"),
]


# Rule 4: state is checked before anything is changed.


@pytest.mark.parametrize("page", ["put_uuid", "rotate_uuid", "switch_uuid"])
async def test_a_value_that_cannot_be_stored_changes_nothing(visit: Open, page: str) -> None:
    """The request fails, and the session is as it was."""
    async with visit() as browser:
        await browser.get("/put?cart=tea")
        answer = await browser.get(f"/{page}")

        assert answer.status == 500
        assert answer.set_cookie is None
        assert (await browser.get("/show")).json == {"cart": "tea"}


# Rule 5: concurrent requests of one visitor do not undo each other.


async def test_changes_of_different_keys_are_merged(visit: Open, meanwhile: Meanwhile) -> None:
    """As of two tabs."""
    async with visit() as browser:
        await browser.get("/put?color=red&size=small")
        other = browser.copy()
        meanwhile.event = lambda: other.get("/put?size=large&cart=tea")

        await browser.get("/slow_drop?key=color")

        assert (await browser.get("/show")).json == {"size": "large", "cart": "tea"}


@pytest.mark.parametrize(
    ("page", "left"),
    [
        ("drop?key=user", {"cart": "tea", "seen": "now"}),
        ("clear", {"flash": "Goodbye.", "seen": "now"}),
        ("goodbye", {"flash": "Goodbye."}),
    ],
)
async def test_a_slow_request_does_not_undo_a_logout(
    visit: Open, meanwhile: Meanwhile, page: str, left: dict[str, str]
) -> None:
    """However the application logs out."""
    async with visit() as browser:
        await browser.get("/put?cart=tea")
        await browser.get("/login?user=ada")
        slow = browser.copy()
        meanwhile.event = lambda: browser.get(f"/{page}")

        slow_answer = await slow.get("/slow_put?seen=now")

        browser.receive(slow_answer)
        assert (await browser.get("/show")).json == left


@pytest.mark.parametrize("page", ["login", "sign_in"])
async def test_a_purchase_beside_a_login_is_kept(
    visit: Open, meanwhile: Meanwhile, page: str
) -> None:
    """A login merges as any other change."""
    async with visit() as browser:
        await browser.get("/put?color=red")
        other = browser.copy()
        meanwhile.event = lambda: other.get("/put?cart=tea")

        await browser.get(f"/slow_{page}?user=ada")

        shown = (await browser.get("/show")).json
        assert shown == {"color": "red", "cart": "tea", "user": "ada"}


async def test_a_session_that_ended_is_not_revived(
    visit: Open, store: KnownStore, meanwhile: Meanwhile, status_after_end: int
) -> None:
    """Its late request removes the cookie, and stores nothing."""
    async with visit() as browser:
        await browser.get("/put?user=ada")
        other = browser.copy()
        meanwhile.event = lambda: other.get("/logout")

        answer = await browser.get("/slow_put?seen=now")

        assert answer.status == status_after_end
        assert browser.cookies == {}
        assert await row_count(store) == 0


@pytest.mark.parametrize(
    ("on_conflict", "status", "left"),
    [
        ("overwrite", 200, {"color": "red", "size": "small"}),
        ("error", 500, {"color": "red", "cart": "tea"}),
    ],
)
async def test_conflicts_can_be_treated_in_another_way(
    visit: Open, meanwhile: Meanwhile, on_conflict: str, status: int, left: dict[str, str]
) -> None:
    """By the option."""
    async with visit(on_conflict=on_conflict) as browser:
        await browser.get("/put?color=red")
        other = browser.copy()
        meanwhile.event = lambda: other.get("/put?cart=tea")

        assert (await browser.get("/slow_put?size=small")).status == status
        assert (await browser.get("/show")).json == left


# Rule 9: an exception closes the session.


async def test_a_page_that_fails_stores_nothing(visit: Open) -> None:
    """Neither a state nor a cookie."""
    async with visit() as browser:
        await browser.get("/put?cart=tea")
        answer = await browser.get("/fail")

        assert answer.status == 500
        assert answer.set_cookie is None
        assert (await browser.get("/show")).json == {"cart": "tea"}


# Rule 10: copies are plain.


async def test_copies_are_plain(visit: Open) -> None:
    """Those that ``copy`` and ``pickle`` make."""
    async with visit() as browser:
        await browser.get("/put?cart=tea")

        assert (await browser.get("/copies")).json is True


# Rule 15: what the framework's ecosystem stores can be stored.


async def test_tuples_become_lists(visit: Open) -> None:
    """As in every session that is JSON."""
    async with visit() as browser:
        assert (await browser.get("/put_tuple")).status == 200
        assert (await browser.get("/show")).json == {"login": ["state", [["a", 1]]]}


# Rule 16: size.


async def test_a_state_that_is_too_large_is_not_stored(visit: Open) -> None:
    """The default is 64 KiB."""
    async with visit() as browser:
        await browser.get("/put?cart=tea")

        assert (await browser.get("/put_much?length=70000")).status == 500
        assert (await browser.get("/show")).json == {"cart": "tea"}


async def test_the_limit_can_be_lifted(visit: Open) -> None:
    """With ``None``."""
    async with visit(max_state_bytes=None) as browser:
        assert (await browser.get("/put_much?length=70000")).status == 200
