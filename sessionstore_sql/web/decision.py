"""Decides what a response has to do to the session of its request.

``decide`` is a pure function of what is known when the response is about to start. It does no
I/O: ``saving`` carries its decision out. If the database then reports that the session ended or
was changed in the meantime, the new facts are decided again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Found(Enum):
    """What the request presented, as it was found when the request arrived."""

    NOTHING = auto()
    """No cookie of the name."""
    MALFORMED = auto()
    """A cookie, but no value that can be an id."""
    UNKNOWN = auto()
    """An id that is not live. Why is not known yet."""
    ROTATED = auto()
    """An id that is not live because another request rotated it a short time ago."""
    ENDED = auto()
    """An id that is not live and was not rotated lately: it expired, ended or never existed."""
    UNREADABLE = auto()
    """A live session whose state cannot be decoded."""
    ANONYMOUS = auto()
    """A live session that is not signed in."""
    SIGNED_IN = auto()
    """A live session that belongs to a subject."""


class Wish(Enum):
    """What the application asked for."""

    NOTHING = auto()
    ROTATE = auto()
    """A new id for the same session."""
    SIGN_IN = auto()
    """A new id, and the session becomes that of a subject."""
    INVALIDATE = auto()
    """The end of the session. The state that is there now belongs to a new session."""
    SWITCH = auto()
    """The end of the session, and then a sign-in to a new one."""


class Lost(Enum):
    """Why a session that was live when the request arrived is not live any more."""

    ROTATED = auto()
    """Another request rotated its id. The browser has the new id, or is about to receive it."""
    SUCCEEDED = auto()
    """Another request ended it and started a new one for the same browser."""
    ENDED = auto()
    """It was deleted or has expired."""
    UNCERTAIN = auto()
    """Another request tried to rotate its id, and whether it did is not known."""


class Step(Enum):
    """One thing to do. Steps are done in the order in which a decision lists them."""

    LOOK_FOR_TOMBSTONE = auto()
    """Find out whether the presented id was rotated, and decide again."""
    CREATE = auto()
    """Store the state as a new session under a new id."""
    SIGN_IN = auto()
    """Store the state as a new session of the subject under a new id."""
    SIGN_IN_FROM = auto()
    """Make the loaded session that of the subject, under a new id."""
    SIGN_IN_AS_BEFORE = auto()
    """Store the state as a new session of the same subject, which did not authenticate anew."""
    REPLACE = auto()
    """Store the state of the loaded session under a new id."""
    UPDATE = auto()
    """Store the state of the loaded session."""
    EXTEND = auto()
    """Store the deadline of the loaded session."""
    EMPTY = auto()
    """Delete the loaded session, unless another request changed it in the meantime."""
    LEAVE_TOMBSTONE = auto()
    """Note that the loaded session is followed by another one."""
    END = auto()
    """Delete the loaded session, under whatever id it has by now."""


class Cookie(Enum):
    """What the response says about the cookie."""

    KEEP = auto()
    """Nothing: the client keeps what it has."""
    SET = auto()
    """The id of the session and its lifetime."""
    REMOVE = auto()
    """The client is to delete it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a decision depends on.

    Args:
        found: What the request presented.
        wish: What the application asked for.
        changed: Whether the state differs from the one that was loaded.
        empty: Whether the state is empty.
        new_max_age: Whether the application gave the session another idle time.
        renewal_due: Whether the deadline has to move: too little time remains, or more than the
            options allow.
        lost: Why the session is not live any more; ``None`` as long as it is believed to be.
    """

    found: Found
    wish: Wish = Wish.NOTHING
    changed: bool = False
    empty: bool = False
    new_max_age: bool = False
    renewal_due: bool = False
    lost: Lost | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and then what to say about the cookie.

    A session that is stored under its id without ``Cookie.SET`` keeps its deadline.
    """

    steps: tuple[Step, ...]
    cookie: Cookie


# Tuples are searched by identity. A set would call the hash of an enum, which is Python code.
_LIVE = (Found.ANONYMOUS, Found.SIGNED_IN)
_STORED = (*_LIVE, Found.UNREADABLE)
_SIGNING_IN = (Wish.SIGN_IN, Wish.SWITCH)
_KEEP = Decision((), Cookie.KEEP)
_REMOVE = Decision((), Cookie.REMOVE)


def decide(facts: Facts) -> Decision:
    """Return what a response has to do to the session. It depends on ``facts`` alone.

    - A presented id that is not live is never used. A new session always gets a new id.
    - A request that arrives with an id that was just rotated starts no session: its response
      would replace the cookie of the session that goes on under the new id.
    - Only a request that asked for a new id, so that it may have authenticated its visitor, gets
      one in that case.
    - The cookie is sent only if the id or the lifetime changes. A delayed response to any other
      request cannot bring an old id back.
    - A session that ended during the request is not stored again, unless the request itself
      signed its visitor in.
    """
    if facts.lost is not None:
        return _after_loss(facts, facts.lost)
    if facts.wish in _SIGNING_IN:
        return _sign_in(facts)
    if facts.wish is Wish.INVALIDATE:
        return _invalidate(facts)
    if facts.found not in _LIVE:
        return _start(facts)
    return _store(facts)


def _sign_in(facts: Facts) -> Decision:
    if facts.found in _LIVE:
        return Decision((Step.SIGN_IN_FROM,), Cookie.SET)
    if facts.found is Found.UNREADABLE and facts.wish is Wish.SWITCH:
        return Decision((Step.SIGN_IN, Step.END), Cookie.SET)
    return Decision((Step.SIGN_IN,), Cookie.SET)


def _invalidate(facts: Facts) -> Decision:
    if facts.found in _STORED:
        if facts.empty:
            return Decision((Step.END,), Cookie.REMOVE)
        # The old session ends last: if the state cannot be stored, nothing has happened.
        return Decision((Step.CREATE, Step.LEAVE_TOMBSTONE, Step.END), Cookie.SET)
    if not facts.empty:
        return Decision((Step.CREATE,), Cookie.SET)
    return _KEEP if facts.found is Found.NOTHING else _REMOVE


def _start(facts: Facts) -> Decision:
    if facts.empty:
        return _KEEP
    if facts.wish is not Wish.ROTATE:
        if facts.found is Found.UNKNOWN:
            return Decision((Step.LOOK_FOR_TOMBSTONE,), Cookie.KEEP)
        if facts.found is Found.ROTATED:
            return _KEEP
    return Decision((Step.CREATE,), Cookie.SET)


def _store(facts: Facts) -> Decision:
    if facts.changed and facts.empty:
        # Of a signed-in session, this is a logout, whatever other requests store meanwhile.
        step = Step.END if facts.found is Found.SIGNED_IN else Step.EMPTY
        return Decision((step,), Cookie.REMOVE)
    if facts.wish is Wish.ROTATE:
        return Decision((Step.REPLACE,), Cookie.SET)
    renews = facts.renewal_due or facts.new_max_age
    cookie = Cookie.SET if renews else Cookie.KEEP
    if facts.changed or facts.new_max_age:
        return Decision((Step.UPDATE,), cookie)
    return Decision((Step.EXTEND,), cookie) if renews else _KEEP


def _after_loss(facts: Facts, lost: Lost) -> Decision:
    if facts.wish is Wish.SIGN_IN:
        return Decision((Step.SIGN_IN,), Cookie.SET)
    if facts.wish is Wish.SWITCH:
        return Decision((Step.SIGN_IN, Step.END), Cookie.SET)
    if facts.wish is Wish.ROTATE and lost is Lost.ROTATED and not facts.empty:
        again = Step.SIGN_IN_AS_BEFORE if facts.found is Found.SIGNED_IN else Step.CREATE
        return Decision((again,), Cookie.SET)
    return _REMOVE if lost is Lost.ENDED else _KEEP
