"""Pages that every application in the table of rules has."""

from __future__ import annotations

import copy
import pickle
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from typing import Any

from sessionstore_sql.web import SessionClosedError
from tests.web.rules.driving import Page, Reply, Visit


async def show(visit: Visit) -> Any:
    """Return the session."""
    return dict(await visit.session())


async def put(visit: Visit) -> None:
    """Store the query, value by value."""
    (await visit.session()).update(visit.query)


async def drop(visit: Visit) -> None:
    """Delete a key."""
    (await visit.session()).pop(visit.query["key"], None)


async def untouched(visit: Visit) -> str:
    """Answer without a look at the session."""
    return "answer"


async def login(visit: Visit) -> None:
    """Log in with a rotation."""
    await visit.rotate()
    (await visit.session())["user"] = visit.query["user"]


async def sign_in(visit: Visit) -> None:
    """Log in with an explicit sign-in."""
    user = visit.query["user"]
    await visit.sign_in(user, about={"device": visit.query.get("device", "")})
    (await visit.session())["user"] = user


async def logout(visit: Visit) -> None:
    """Log out."""
    await visit.invalidate()


async def goodbye(visit: Visit) -> None:
    """Log out, and leave a message in a new session."""
    await visit.invalidate()
    (await visit.session())["flash"] = "Goodbye."


async def clear(visit: Visit) -> None:
    """Empty the session, and leave a message in it."""
    session = await visit.session()
    session.clear()
    session["flash"] = "Goodbye."


async def remember(visit: Visit) -> None:
    """Give the session an idle time of its own."""
    await visit.set_max_age(timedelta(days=90))


async def put_uuid(visit: Visit) -> None:
    """Put a value that cannot be stored."""
    (await visit.session())["user"] = uuid.uuid4()


async def rotate_uuid(visit: Visit) -> None:
    """Log in with a value that cannot be stored."""
    await visit.rotate()
    (await visit.session())["user"] = uuid.uuid4()


async def switch_uuid(visit: Visit) -> None:
    """Begin a new session with a value that cannot be stored."""
    await visit.invalidate()
    (await visit.session())["user"] = uuid.uuid4()


async def put_tuple(visit: Visit) -> None:
    """Put tuples, one of them inside of a list."""
    (await visit.session())["login"] = ("state", [("a", 1)])


async def put_much(visit: Visit) -> None:
    """Put a text of a given length."""
    (await visit.session())["text"] = "x" * int(visit.query["length"])


async def fail(visit: Visit) -> None:
    """Change the session, and fail."""
    (await visit.session())["failed"] = True
    raise LookupError("of a page")


async def copies(visit: Visit) -> Any:
    """Return whether copies of every kind are plain dicts of the same content."""
    session = await visit.session()
    made = [
        copy.copy(session),
        copy.deepcopy(session),
        pickle.loads(pickle.dumps(session)),  # noqa: S301  # our own
    ]
    return all(type(each) is dict and each == dict(session) for each in made)


async def devices(visit: Visit) -> Any:
    """List the sessions of the user."""
    this = await visit.current_handle()
    return [
        {"handle": each.handle.value, "about": each.about, "this": each.handle == this}
        for each in await visit.sessions_of()
    ]


async def revoke(visit: Visit) -> bool | dict[str, str]:
    """End one session of the user. The form may lack its field."""
    handle: Any = visit.query.get("handle")
    try:
        return await visit.revoke(handle)
    except TypeError as error:
        return {"rejected": str(error)}


async def everywhere(visit: Visit) -> int:
    """End all sessions of the user."""
    return await visit.sign_out_everywhere(keep_this="keep" in visit.query)


async def fresh(visit: Visit) -> str:
    """Do what needs a sign-in in the last ten minutes."""
    await visit.require_fresh(timedelta(minutes=10))
    return "done"


async def reload(visit: Visit) -> Any:
    """Load the session again, as a long response does."""
    return [await visit.reload(), dict(await visit.session())]


async def stream_put(visit: Visit) -> AsyncGenerator[str, None]:
    """Store the query, and send a stream."""
    await put(visit)
    return _chunks()


async def stream_goodbye(visit: Visit) -> AsyncGenerator[str, None]:
    """Log out with a message, and send a stream."""
    await goodbye(visit)
    return _chunks()


async def _chunks() -> AsyncGenerator[str, None]:
    yield "first"
    yield "last"


async def late(visit: Visit) -> AsyncGenerator[str, None]:
    """Change the session after the response has started, and send whether that was an error."""
    session = await visit.session()

    async def chunks() -> AsyncGenerator[str, None]:
        yield "first "
        try:
            session["late"] = "yes"
        except SessionClosedError:
            yield "closed"

    return chunks()


SHARED = {"Cache-Control": "public, s-maxage=60", "CDN-Cache-Control": "max-age=60"}
"""Headers for shared caches."""


async def shared_put(visit: Visit) -> Reply:
    """Store the query with a response that may be cached, as the page says."""
    await put(visit)
    return Reply(None, SHARED)


async def shared_logout(visit: Visit) -> Reply:
    """Log out with such a response."""
    await logout(visit)
    return Reply(None, SHARED)


PAGES: dict[str, Page] = {
    page.__name__: page
    for page in (
        *(show, put, drop, untouched, login, sign_in, logout, goodbye, clear, remember),
        *(put_uuid, rotate_uuid, switch_uuid, put_tuple, put_much, fail, copies),
        *(devices, revoke, everywhere, fresh, reload),
        *(stream_put, stream_goodbye, late, shared_put, shared_logout),
    )
}


class Meanwhile:
    """What happens while a page runs, after it has read its session. It happens once."""

    def __init__(self) -> None:
        self.event: Callable[[], Awaitable[object]] | None = None

    def before(self, page: Page) -> Page:
        """Return a page that reads its session, lets that happen, and then does as ``page``."""

        async def slow(visit: Visit) -> object:
            await visit.session()
            event, self.event = self.event, None
            if event is not None:
                await event()
            return await page(visit)

        return slow
