"""Plays browsers against the web layer: requests and responses overtake each other in any order.

A visitor is never logged in or out wrongly, and no acknowledged change is lost. The second half of
the module breaks the rules of the web layer one by one, and requires that the model notices.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sessionstore_sql import SessionId
from sessionstore_sql.web import saving, tombstones, writing
from sessionstore_sql.web.decision import Cookie, Decision, Facts, Found, Lost, Step, Wish, decide
from sessionstore_sql.web.storage import AccountStorage
from tests.model.adapter_sites import AdapterSite
from tests.model.browsers import Browser, GatedStore, Request, Site, Turn, virtual_time
from tests.web.rules.driving import Driver
from tests.web.rules.on_aiohttp import OnAiohttpInProcess
from tests.web.rules.on_django import OnAsynchronousDjango, OnDjango
from tests.web.rules.on_flask import OnFlask, OnQuart
from tests.web.rules.on_litestar import OnLitestar
from tests.web.rules.on_starlette import OnFastAPI, OnStarlette

ADAPTERS: dict[str, Any] = {
    "starlette": OnStarlette(),
    "fastapi": OnFastAPI(),
    "litestar": OnLitestar(),
    "aiohttp": OnAiohttpInProcess(),
    "flask": OnFlask(),
    "quart": OnQuart(),
    "django": OnDjango(),
    "django-async": OnAsynchronousDjango(),
}

MOST_IN_FLIGHT = 4
"""Requests of one browser at once. Each is overtaken by three others at most, which is how often
changes are merged."""

LOGOUTS = ("logout", "logout with a message", "logout by emptying")
DELETION = "logout by deletion"
"""Needs a store that merges changes."""


NUMBERS_OF_STEPS = st.sampled_from([1, 1, 2, 3, 4, 5, 100])


class Visits(RuleBasedStateMachine):
    """Two visitors, and everything that may happen to their requests."""

    kind = "accounts"
    driver: Driver | None = None
    """The web framework and its adapter; ``None``: the web layer alone."""
    users = ("ada", "grace")
    kinds_of_requests: tuple[str, ...] = ()
    disasters = True
    """Whether processes die and administrators revoke sessions."""

    def __init__(self) -> None:
        super().__init__()
        driver = self.driver
        self.site = Site(self.kind) if driver is None else AdapterSite(self.kind, driver)
        self.stack = ExitStack()
        self.stack.enter_context(virtual_time(self.site.gate))
        self.browsers = [Browser(user) for user in self.users]
        self.logins: dict[int, Browser] = {}
        self.ended: set[tuple[object, object]] = set()
        self.kept: dict[str, object] = {}
        self.issued: set[SessionId | None] = set()

    @property
    def merges(self) -> bool:
        """Whether concurrent changes are merged."""
        return self.kind != "plain"

    @initialize()
    def arrive(self) -> None:
        """Let every browser have a session."""
        for browser in self.browsers:
            self._start_session(browser)

    def _start_session(self, browser: Browser) -> None:
        browser.cookie = None
        request = self.site.send(browser, "set")
        self._finish(request)
        self.site.deliver(request)
        browser.disturbed = False

    @rule(data=st.data(), steps=NUMBERS_OF_STEPS)
    def send(self, data: st.DataObject, steps: int) -> None:
        """A browser sends a request, with the cookie that it has now."""
        browsers = [each for each in self.browsers if len(each.in_flight) < MOST_IN_FLIGHT]
        if not browsers:
            return
        browser = data.draw(st.sampled_from(browsers), "browser")
        kinds = self.kinds_of_requests or (
            *("read", "set", "set", "login", "login", "login"),
            *LOGOUTS,
            *(("rotate", DELETION) if self.merges else ()),
        )
        kind = data.draw(st.sampled_from(kinds), "kind")
        request = self.site.send(browser, kind)
        if kind == "login":
            self.logins[request.number] = browser
        elif kind.startswith("logout"):
            browser.disturbed = True
        self._proceed(request, steps)

    @precondition(lambda self: self.site.gate.turns)
    @rule(data=st.data(), steps=NUMBERS_OF_STEPS)
    def proceed(self, data: st.DataObject, steps: int) -> None:
        """A request makes its next steps."""
        turn = data.draw(st.sampled_from(self.site.gate.ready()), "turn")
        self._proceed(turn.request, steps)

    @precondition(lambda self: any(browser.on_their_way for browser in self.browsers))
    @rule(data=st.data(), how=st.sampled_from(["once", "once", "twice", "never"]))
    def deliver(self, data: st.DataObject, how: str) -> None:
        """A browser reads a response, whichever it is; or reads it again later; or never."""
        on_their_way = [each for browser in self.browsers for each in browser.on_their_way]
        request = data.draw(st.sampled_from(on_their_way), "response")
        browser = request.browser
        if how == "never":
            browser.on_their_way.remove(request)
            # Its new id is lost, and the old one has been rotated.
            browser.disturbed |= request.kind in {"login", "rotate"}
            return
        outcome = request.outcome
        assert outcome is not None
        if outcome.session_id is not None and self.site.row_of(outcome.session_id) is None:
            # It ended or was rotated on the way, which only another request can have done.
            how = "once"
        self.site.deliver(request, for_good=how == "once")

    @precondition(lambda self: self.disasters and self.site.gate.turns)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """The process that handles a request dies."""
        turn = data.draw(st.sampled_from(self.site.gate.turns), "turn")
        if turn.what == "load_session":
            return
        turn.request.browser.disturbed = True
        self.site.crash(turn)

    @precondition(lambda self: self.disasters and isinstance(self.site.store, GatedStore))
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        """A user is signed out everywhere."""
        browser = data.draw(st.sampled_from(self.browsers), "browser")
        browser.disturbed = True
        assert isinstance(self.site.store, GatedStore)
        for row, state in self.site.store.all_rows().values():
            if state.get("user") == browser.user:
                self._note_end(_handle_of(row), state)
        self.site.at_once(self.site.store.revoke(browser.user))

    @rule(data=st.data())
    def calm_down(self, data: st.DataObject) -> None:
        """A visitor waits until all is quiet, and starts again if there is no session any more."""
        quiet = [each for each in self.browsers if not each.in_flight and not each.on_their_way]
        if not quiet:
            return
        browser = data.draw(st.sampled_from(quiet), "browser")
        browser.disturbed = False
        if self.site.row_of(browser.cookie) is None:
            self._start_session(browser)

    @invariant()
    def no_ended_login_is_live(self) -> None:
        """A user who has logged out, or was signed out, is not logged in again."""
        for session_id, (row, state) in self.site.store.all_rows().items():
            if self.kind == "plain" and session_id not in self.issued:
                # A process died between two statements of a rotation: no client has this id.
                continue
            handle = _handle_of(row)
            assert (handle, None) not in self.ended
            assert (handle, state.get("login")) not in self.ended

    @invariant()
    def every_visitor_is_who_logged_in(self) -> None:
        """The session of a browser belongs to the user who logged in with this browser."""
        for browser in self.browsers:
            state = self.site.row_of(browser.cookie) or {}
            if "login" in state:
                assert self.logins[state["login"]] is browser
                assert state["user"] == browser.user

    @invariant()
    def no_acknowledged_change_is_lost(self) -> None:
        """As long as the session that it was stored in is there."""
        if self.merges:
            rows = {id(row): state for row, state in self.site.store.all_rows().values()}
            for key, row in self.kept.items():
                assert key in rows.get(id(row), {key: True})

    def teardown(self) -> None:
        """Let every request come to an end, and close."""
        try:
            while self.site.gate.turns:
                self._take(self.site.gate.ready()[0])
                self.no_ended_login_is_live()
                self.no_acknowledged_change_is_lost()
        finally:
            self.site.close()
            self.stack.close()

    def _finish(self, request: Request) -> None:
        while request.outcome is None:
            (turn,) = [each for each in self.site.gate.turns if each.request is request]
            self._take(turn)

    def _take(self, turn: Turn) -> None:
        request = turn.request
        if turn.what == "work" and request.kind == "logout by emptying":
            # It deletes what it has loaded.
            self.kept = {key: row for key, row in self.kept.items() if key not in request.loaded}
        self.site.step(turn)
        if request.outcome is not None:
            self._completed(request)

    def _proceed(self, request: Request, steps: int) -> None:
        for _ in range(steps):
            turns = [each for each in self.site.gate.ready() if each.request is request]
            if turns:
                self._take(turns[0])

    def _note_end(self, handle: object, state: dict[str, Any]) -> None:
        """No session goes on with this handle, nor one without a handle from this login."""
        if handle is not None:
            self.ended.add((handle, None))
        if "login" in state:
            self.ended.add((None, state["login"]))

    def _completed(self, request: Request) -> None:
        outcome = request.outcome
        assert outcome is not None
        self.issued.add(outcome.session_id)
        if request.kind in {"read", "set"}:
            self._require_modest(request)
        elif request.kind == "login":
            assert outcome.cookie is Cookie.SET or self._may_drop(request)
        elif request.kind == "rotate":
            if request.loaded and not request.browser.disturbed:
                assert outcome.cookie is Cookie.SET
        elif "login" in request.loaded:
            assert request.session is not None
            handle = request.session.handle
            if request.kind == DELETION and self.kind == "accounts":
                # The application deletes the user, and the session goes on.
                self.ended |= {(each, request.loaded["login"]) for each in (handle, None)}
            else:
                self._note_end(handle, request.loaded)
        if request.kind == "set":
            self._note_kept(request)

    def _may_drop(self, request: Request) -> bool:
        """Return whether a login may go without a new id."""
        if self.kind == "plain":
            # A rotation alone does not go on from a session that may have ended.
            return request.browser.disturbed
        # Without a change of the user, there is no sign-in to notice.
        return self.kind == "noticed" and request.loaded.get("user") == request.browser.user

    def _require_modest(self, request: Request) -> None:
        """A request that neither logs in nor out changes nothing about that."""
        outcome = request.outcome
        assert outcome is not None
        if outcome.session_id is not None:
            assert "login" not in (self.site.row_of(outcome.session_id) or {})
        if not request.browser.disturbed and request.presented is not None:
            assert outcome.cookie is Cookie.KEEP

    def _note_kept(self, request: Request) -> None:
        key, rows = f"key {request.number}", self.site.store.all_rows()
        found = [row for row, state in rows.values() if key in state]
        if found:
            self.kept[key] = found[0]
        elif self.merges:
            # Its session ended, or its id was rotated, before the change could be stored.
            loaded = request.session._loaded  # type: ignore[union-attr]
            assert loaded is None or loaded.session_id not in rows


def _handle_of(row: Any) -> object:
    """Return the handle of a row, if it is signed in."""
    account = getattr(row, "account", None)
    return None if account is None else account.handle


def play(kind: str, driver: Driver | None = None, **options: Any) -> None:
    """Run the model."""
    machine: Any = type("Machine", (Visits,), {"kind": kind, "driver": driver})
    usual = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
    run_state_machine_as_test(machine, settings=settings(stateful_step_count=50, **usual | options))


@pytest.mark.parametrize("kind", ["accounts", "noticed", "plain"])
def test_no_visitor_is_logged_in_or_out_wrongly(kind: str) -> None:
    """Whatever overtakes what, and whatever is lost on the way."""
    play(kind, max_examples=100)


@pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey")
@pytest.mark.parametrize("kind", ["accounts", "noticed", "plain"])
@pytest.mark.parametrize("name", ADAPTERS)
def test_no_adapter_logs_a_visitor_in_or_out_wrongly(name: str, kind: str) -> None:
    """Each one plays fewer games, as what they share is played above."""
    play(kind, ADAPTERS[name], max_examples=10)


# What the model notices. Each context breaks one rule of the web layer.

Breakage = Callable[[], AbstractContextManager[object]]


def deciding(change: Callable[[Facts, Decision], Decision]) -> AbstractContextManager[object]:
    """Let the web layer decide something else."""
    return mock.patch.object(saving, "decide", lambda facts: change(facts, decide(facts)))


def drop_logins_that_lost() -> AbstractContextManager[object]:
    """A login whose session was rotated or ended by another request gets no new id."""

    def change(facts: Facts, decision: Decision) -> Decision:
        return Decision((), Cookie.KEEP) if facts.lost is not None else decision

    return deciding(change)


def start_sessions_for_rotated_ids() -> AbstractContextManager[object]:
    """A request that arrives with a rotated id starts a session."""

    async def ended(_self: object) -> Found:
        return Found.ENDED

    return mock.patch.object(saving._Saving, "_look_for_tombstones", ended)


def send_the_cookie_with_every_change() -> AbstractContextManager[object]:
    """A delayed response brings an old id back."""

    def change(_facts: Facts, decision: Decision) -> Decision:
        is_update = decision.steps == (Step.UPDATE,)
        return Decision(decision.steps, Cookie.SET) if is_update else decision

    return deciding(change)


def overwrite() -> AbstractContextManager[object]:
    """The later request stores its whole state."""

    def init(self: writing.Writer, *args: Any) -> None:
        original(self, *args)
        self.checked = False

    original = writing.Writer.__init__
    return mock.patch.object(writing.Writer, "__init__", init)


def merge_whole_states() -> AbstractContextManager[object]:
    """After a conflict, the newer state is lost."""

    async def merge(self: Any, loaded: Any) -> None:
        state = self._writer.state
        await original(self, loaded)
        self._writer.state = state

    original = saving._Saving._merge
    return mock.patch.object(saving._Saving, "_merge", merge)


def leave_no_tombstones() -> AbstractContextManager[object]:
    """Nothing tells a rotation from a logout."""

    async def announce(_store: object, _session_id: object) -> bool:
        return False

    async def note_rotation(_store: object, _session_id: object) -> None:
        pass

    return mock.patch.multiple(tombstones, announce=announce, note_rotation=note_rotation)


def announce_nothing() -> AbstractContextManager[object]:
    """There is a moment at which an id is rotated and has no tombstone."""

    async def announce(_store: object, _session_id: object) -> bool:
        return False

    return mock.patch.object(tombstones, "announce", announce)


def announce_alone() -> AbstractContextManager[object]:
    """Every request takes itself for the only one that rotates the id."""

    async def announce(store: Any, session_id: Any) -> bool:
        await original(store, session_id)
        return True

    original = tombstones.announce
    shared = mock.patch.object(tombstones, "_SHARED", tombstones._ALONE)
    stack = contextlib.ExitStack()
    stack.enter_context(shared)
    stack.enter_context(mock.patch.object(tombstones, "announce", announce))
    return stack


def log_out_the_old_id_only() -> AbstractContextManager[object]:
    """A session whose id was rotated meanwhile survives its logout."""

    async def end(self: AccountStorage, loaded: Any) -> None:
        with contextlib.suppress(Exception):
            await self.backend.delete(loaded.session_id)

    return mock.patch.object(AccountStorage, "end", end)


def revive() -> AbstractContextManager[object]:
    """A late request stores its session again."""

    def change(facts: Facts, decision: Decision) -> Decision:
        if facts.lost is Lost.ENDED and facts.wish is Wish.NOTHING and facts.changed:
            return Decision((Step.CREATE,), Cookie.SET)
        return decision

    return deciding(change)


LOGIN_AND_SET = ("login", "set")
BREAKAGES: list[tuple[str, Breakage, tuple[str, ...]]] = [
    ("accounts", drop_logins_that_lost, ("login",)),
    ("plain", drop_logins_that_lost, ("login",)),
    ("accounts", start_sessions_for_rotated_ids, LOGIN_AND_SET),
    ("accounts", send_the_cookie_with_every_change, LOGIN_AND_SET),
    ("plain", send_the_cookie_with_every_change, LOGIN_AND_SET),
    ("accounts", overwrite, ("set",)),
    ("noticed", overwrite, ("set",)),
    ("accounts", merge_whole_states, ("set",)),
    ("accounts", leave_no_tombstones, LOGIN_AND_SET),
    ("plain", leave_no_tombstones, LOGIN_AND_SET),
    ("accounts", announce_nothing, LOGIN_AND_SET),
    ("plain", announce_alone, ("login",)),
    ("accounts", log_out_the_old_id_only, ("login", "rotate", "logout")),
    ("accounts", revive, ("login", "set", "logout")),
    ("plain", revive, ("login", "set", "logout")),
]


@pytest.mark.parametrize(
    ("kind", "breakage", "kinds_of_requests"),
    BREAKAGES,
    ids=[f"{breakage.__name__}-{kind}" for kind, breakage, _ in BREAKAGES],
)
def test_a_broken_rule_is_noticed(
    kind: str, breakage: Breakage, kinds_of_requests: tuple[str, ...]
) -> None:
    """The model finds an order of events in which it matters.

    It plays one browser with the requests that it takes, and always the same examples.
    """
    with (
        mock.patch.object(Visits, "users", ("ada",)),
        mock.patch.object(Visits, "kinds_of_requests", kinds_of_requests),
        mock.patch.object(Visits, "disasters", new=False),
        breakage(),
        pytest.raises((AssertionError, ExceptionGroup)),
    ):
        play(kind, max_examples=3_000, derandomize=True, phases=[Phase.generate])
