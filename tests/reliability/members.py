"""What signed-in users do: each has several devices at once, and all processes act for all users.

Every few seconds, all go over to other users, so that what can be said of one stays short.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tests.reliability.history import Outcome

if TYPE_CHECKING:
    from tests.reliability.load import Load
    from tests.reliability.recorded import Loaded

_USERS = 3
"""Users who are there at the same time."""
_ROUND_NS = 2_000_000_000
"""Nanoseconds after which there are other users."""
_PATIENCE = 3
"""Unknown outcomes after which a session is given up: each doubles what may have been."""

_REQUESTS = ("update_if", "update_if", "update", "update_ttl", "replace", "change_id", "sign_in")
_ENDS = ("sign_out", "sign_out", "revoke", "delete", "nothing")


async def visit(load: Load, slot: int) -> None:
    """Sign in on a device, use the session under ids that change, and end it, again and again."""
    while not load.stopping.is_set():
        session_id = await _arrive(load, slot)
        loaded_id, loaded = session_id, await load.store.load_session(session_id)
        patience = _PATIENCE
        for _ in range(load.chance.randint(2, 10)):
            if loaded is None or patience <= 0 or load.stopping.is_set():
                break
            requests = load.chance.choice([1, 1, 1, 2, 3])
            made = [_request(load, slot, session_id, loaded) for _ in range(requests)]
            for outcome, new_id in await asyncio.gather(*made):
                session_id = session_id if new_id is None else new_id
                patience -= outcome is Outcome.UNKNOWN
                await load.pause(outcome)
            if load.chance.random() < 2 / 3:
                loaded_id, loaded = session_id, await load.store.load_session(session_id)
        if loaded is not None:
            await load.pause(await _leave(load, slot, session_id, loaded_id, loaded))


async def administer(load: Load) -> None:
    """List sessions of users, and revoke some or all of them."""
    while not load.stopping.is_set():
        subject = _user(load, ago=load.chance.choice([0, 0, 0, 1, 2]))
        handles = await load.store.sessions_of(subject)
        outcome = Outcome.DONE
        what = load.chance.choice(["nothing", "all", "one", "others"])
        if what == "all":
            outcome = await load.store.revoke(subject)
        elif what == "one" and handles:
            outcome = await load.store.revoke(subject, only=load.chance.choice(handles))
        elif what == "others" and handles:
            outcome = await load.store.revoke(subject, keep=load.chance.choice(handles))
        await load.pause(outcome)
        await asyncio.sleep(load.chance.uniform(0, 0.2))


async def _arrive(load: Load, slot: int) -> str:
    """Sign in, half of the times from an anonymous session, and return the id."""
    old_id = None
    if load.chance.random() < 1 / 2:
        old_id = load.next_id(slot)
        await load.pause(await load.store.create(old_id, load.new_state(), load.long_ttl()))
    user, session_id = _user(load), load.next_id(slot)
    for old in dict.fromkeys([old_id, None]):
        outcome = await load.store.sign_in(
            old, session_id, load.new_state(), load.long_ttl(), subject=user
        )
        await load.pause(outcome)
        if outcome is not Outcome.UNKNOWN_ID:
            break
    return session_id


async def _request(
    load: Load, slot: int, session_id: str, loaded: Loaded
) -> tuple[Outcome, str | None]:
    """Change the session as one request does, and return its new id, if it has one."""
    store, state, ttl = load.store, load.new_state(), load.long_ttl()
    expected = load.chance.choice([loaded.state, None])
    new_id = None
    match load.chance.choice(_REQUESTS):
        case "update_if":
            return await store.update_if(session_id, state, ttl, loaded.state), None
        case "update":
            return await store.update(session_id, state, ttl), None
        case "update_ttl":
            return await store.update_ttl(session_id, ttl), None
        case "replace":
            new_id = load.next_id(slot)
            outcome = await store.replace(session_id, new_id, state, ttl, expected)
        case "change_id":
            new_id = load.next_id(slot)
            outcome = await store.change_id(session_id, new_id)
        case _:
            new_id = load.next_id(slot)
            users = [loaded.session.subject or _user(load), _user(load)]
            outcome = await store.sign_in(
                *(session_id, new_id, state, ttl),
                subject=load.chance.choice(users),
                expected=expected,
            )
    return outcome, new_id if await load.is_moved(new_id, outcome) else None


async def _leave(load: Load, slot: int, session_id: str, loaded_id: str, loaded: Loaded) -> Outcome:
    """End the session, sometimes while a request changes it, or under an id that it had before."""
    handle, subject = loaded.session.handle, loaded.session.subject
    match load.chance.choice(_ENDS):
        case "sign_out":
            ending = load.store.sign_out(loaded_id, loaded.session)
        case "revoke" if handle is not None and subject is not None:
            ending = load.store.revoke(subject, only=handle.value)
        case "delete":
            ending = load.store.delete(session_id)
        case _:
            return Outcome.DONE
    if load.chance.random() < 1 / 2:
        return await ending
    outcome, _ = await asyncio.gather(ending, _request(load, slot, session_id, loaded))
    return outcome


def _user(load: Load, ago: int = 0) -> str:
    """Return a user of now, or of some rounds ago."""
    round_ = time.monotonic_ns() // _ROUND_NS - ago
    return f"user/{round_}/{load.chance.randrange(_USERS)}"
