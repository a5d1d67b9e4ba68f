"""What is known about an id that another id has followed."""

from __future__ import annotations

from http.cookies import SimpleCookie

import pytest

from sessionstore_sql import SessionId
from sessionstore_sql.web import tombstones
from sessionstore_sql.web.decision import Lost
from tests.web.stores import ScriptedBackend, ScriptedStore

pytestmark = pytest.mark.anyio

OLD_ID = SessionId("the-old-id")

AnyStore = ScriptedStore | ScriptedBackend


@pytest.fixture(params=[ScriptedStore, ScriptedBackend], ids=["accounts", "plain"])
def store(request: pytest.FixtureRequest) -> AnyStore:
    """Each kind of store."""
    return request.param()  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for a tombstone as often as usual, but without pauses."""
    monkeypatch.setattr(tombstones, "_PAUSES", (0, 0, 0, 0))


def keys(store: AnyStore) -> list[SessionId]:
    """Return the keys of all rows."""
    return list(store.rows if isinstance(store, ScriptedBackend) else store._table._rows)


async def test_an_id_without_a_tombstone_has_ended(store: AnyStore) -> None:
    """It expired, was deleted or never existed."""
    assert await tombstones.fate_of(store, OLD_ID) is Lost.ENDED
    assert not await tombstones.was_followed_lately(store, OLD_ID)


async def test_a_rotated_id_is_known_as_rotated(store: AnyStore) -> None:
    """Also to a request that announced a rotation afterwards, which leaves nothing behind."""
    await tombstones.announce(store, OLD_ID)
    await tombstones.note_rotation(store, OLD_ID)
    alone = await tombstones.announce(store, OLD_ID)

    assert await tombstones.fate_of(store, OLD_ID, announced_alone=alone) is Lost.ROTATED
    assert await tombstones.was_followed_lately(store, OLD_ID)
    assert len(keys(store)) == 1


async def test_a_rotation_without_its_announcement_is_noted(store: AnyStore) -> None:
    """The announcement may have expired."""
    await tombstones.note_rotation(store, OLD_ID)

    assert await tombstones.fate_of(store, OLD_ID) is Lost.ROTATED


async def test_the_first_announcement_finds_out_about_others(store: AnyStore) -> None:
    """Only one request is told that it is the only one."""
    answers = [await tombstones.announce(store, OLD_ID) for _ in range(3)]

    assert answers == [True, False, False]


async def test_an_announcement_alone_is_no_rotation(store: AnyStore) -> None:
    """The request that announced it finds that the session has ended, and takes it back."""
    alone = await tombstones.announce(store, OLD_ID)

    assert await tombstones.fate_of(store, OLD_ID, announced_alone=alone) is Lost.ENDED
    assert keys(store) == []


async def test_another_announcement_leaves_it_open(store: AnyStore) -> None:
    """The other request may have changed the id, and not have noted it yet."""
    alone = await tombstones.announce(store, OLD_ID)
    await tombstones.announce(store, OLD_ID)

    assert await tombstones.fate_of(store, OLD_ID, announced_alone=alone) is Lost.UNCERTAIN
    assert await tombstones.fate_of(store, OLD_ID) is Lost.UNCERTAIN
    assert not await tombstones.was_followed_lately(store, OLD_ID)


async def test_a_tombstone_that_comes_a_moment_later_is_found(store: AnyStore) -> None:
    """A request waits for the one that announced a rotation."""
    await tombstones.announce(store, OLD_ID)

    async def note() -> None:
        await tombstones.note_rotation(store, OLD_ID)

    store.script.before["load"] = [_nothing]
    store.script.after["load"] = [note]

    assert await tombstones.fate_of(store, OLD_ID) is Lost.ROTATED


async def _nothing() -> None:
    pass


async def test_a_successor_is_no_rotation(store: AnyStore) -> None:
    """A session that ended cannot go on."""
    await tombstones.note_successor(store, OLD_ID)

    assert await tombstones.fate_of(store, OLD_ID) is Lost.SUCCEEDED
    assert await tombstones.was_followed_lately(store, OLD_ID)


@pytest.mark.parametrize("rotation_first", [True, False])
async def test_the_end_of_a_session_outweighs_its_rotation(
    store: AnyStore, rotation_first: bool
) -> None:
    """In whatever order they are noted."""
    await tombstones.announce(store, OLD_ID)
    notes = [tombstones.note_rotation, tombstones.note_successor]
    for note in notes if rotation_first else reversed(notes):
        await note(store, OLD_ID)

    assert await tombstones.fate_of(store, OLD_ID) is Lost.SUCCEEDED


async def test_an_announcement_is_withdrawn(store: AnyStore) -> None:
    """Unless another request relies on it."""
    await tombstones.announce(store, OLD_ID)
    await tombstones.withdraw(store, OLD_ID)
    assert keys(store) == []

    await tombstones.announce(store, OLD_ID)
    await tombstones.announce(store, OLD_ID)
    await tombstones.withdraw(store, OLD_ID)
    assert len(keys(store)) == 1


async def test_an_announcement_that_vanishes_is_made_again(store: AnyStore) -> None:
    """It may be withdrawn between the two statements of another announcement."""
    await tombstones.announce(store, OLD_ID)

    async def vanish() -> None:
        await tombstones.withdraw(store, OLD_ID)

    store.script.before["update"] = [vanish]

    assert await tombstones.announce(store, OLD_ID)
    assert len(keys(store)) == 1


async def test_no_client_can_present_the_key_of_a_tombstone(store: AnyStore) -> None:
    """Not in a cookie with quotes and escapes, nor in any other text."""
    await tombstones.announce(store, OLD_ID)
    await tombstones.note_rotation(store, OLD_ID)
    (key,) = keys(store)
    jar: SimpleCookie = SimpleCookie()
    jar["sid"] = key.value

    with pytest.raises(ValueError, match="at most 1024"):
        SessionId(key.value)
    with pytest.raises(ValueError, match="at most 1024"):
        SessionId(jar["sid"].coded_value)


async def test_a_tombstone_says_nothing_about_the_new_id(store: AnyStore) -> None:
    """It holds neither the old id nor the new one."""
    await tombstones.announce(store, OLD_ID)
    await tombstones.note_rotation(store, OLD_ID)
    (key,) = keys(store)
    record = await store.load(key)

    assert record is not None
    assert record.state == {"after": "rotation"}
    assert OLD_ID.value not in key.value
