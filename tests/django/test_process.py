"""One store for a process: its threads, its event loops, its children and its end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import URL

from sessionstore_sql.django import SessionStore, close
from sessionstore_sql.django.process import wait_for
from tests.django.rows import count

ROOT = Path(__file__).parents[2]


def our_threads() -> list[threading.Thread]:
    """Return the threads of session stores."""
    return [each for each in threading.enumerate() if each.name == "sessionstore_sql"]


def run(script: str, url: URL, *options: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run a script of a Django project's, with sessions in this run's database."""
    settings = f"""
import os
from django.conf import settings
settings.configure(SECRET_KEY="x", SESSIONSTORE_SQL={url.render_as_string(hide_password=False)!r})
from sessionstore_sql.django import SessionStore
"""
    return subprocess.run(
        [sys.executable, *options, "-c", before + settings + script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.usefixtures("sessions")
class TestSharing:
    """Threads and event loops on one store."""

    def test_threads_share_one_store(self) -> None:
        """All threads have their sessions, and there is one thread for the store."""

        def visit(number: int) -> bool:
            session = SessionStore()
            session["number"] = number
            session.save()
            session.cycle_key()
            return bool(SessionStore(session.session_key)["number"] == number)

        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(visit, range(64)))

        assert wait_for(count) == 64
        assert len(our_threads()) == 1

    def test_event_loops_share_one_store(self) -> None:
        """One after another, and beside threads."""

        async def visit() -> str:
            session = SessionStore()
            await session.aset("cart", 1)
            await session.asave()
            return session.session_key or ""

        first, second = asyncio.run(visit()), asyncio.run(visit())

        assert SessionStore(first)["cart"] == SessionStore(second)["cart"] == 1
        assert len(our_threads()) == 1

    def test_a_cancelled_view_leaves_nothing_behind(self) -> None:
        """No connection out of the pool, which the fixture checks, and the store works on."""
        session = SessionStore()
        session["cart"] = 1
        session.save()

        async def cancelled() -> None:
            loads = [
                asyncio.create_task(SessionStore(session.session_key).aload()) for _ in range(20)
            ]
            await asyncio.sleep(0)
            for load in loads:
                load.cancel()
            await asyncio.wait(loads)

        asyncio.run(cancelled())

        assert SessionStore(session.session_key)["cart"] == 1

    def test_an_end_is_a_new_beginning(self) -> None:
        """After ``close``, the next session opens another store."""
        session = SessionStore()
        session.save()

        close()
        assert our_threads() == []

        assert session.exists(session.session_key or "")


def test_closing_without_a_store_does_nothing(no_store: None) -> None:
    """As in a process that had no session."""
    close()


class TestInterpreter:
    """The process as the operating system sees it."""

    @pytest.mark.every_driver
    def test_a_process_ends_by_itself(self, url: URL) -> None:
        """With no word of connections that were left open, and its threads with it."""
        # Not -X dev: on a busy machine, asyncio's debug mode reports slow callbacks.
        done = run("SessionStore().save(); print('saved')", url, "-W", "error")

        assert (done.stdout, done.stderr, done.returncode) == ("saved\n", "", 0)

    @pytest.mark.every_driver
    def test_the_store_is_closed_before_the_process_ends(self, url: URL) -> None:
        """Not torn down with it: what is registered first is called last."""
        # The thread of a closed connection of SQLite may still be ending.
        last = """
import atexit, threading
def end():
    for each in threading.enumerate()[1:]:
        each.join(10)
    print([each.name for each in threading.enumerate()])
atexit.register(end)
"""
        done = run("SessionStore().save()", url, before=last)

        assert done.stdout == "['MainThread']\n"

    def test_an_import_starts_nothing(self, url: URL) -> None:
        """A server that forks its workers after loading the application has nothing to share."""
        done = run("import threading; print(threading.active_count())", url)

        assert done.stdout == "1\n"

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
    @pytest.mark.every_driver
    def test_a_forked_process_has_a_store_of_its_own(self, url: URL) -> None:
        """The parent's connections go on; the child touches none of them, at its end either."""
        script = """
session = SessionStore()
session["who"] = "parent"
session.save()
child = os.fork()
if child == 0:
    mine = SessionStore(session.session_key)
    mine["who"] = mine["who"] + " and child"
    mine.save()
    raise SystemExit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(SessionStore(session.session_key)["who"])
"""
        done = run(script, url)

        # Python 3.12 and later warn of every fork beside other threads.
        errors = [line for line in done.stderr.splitlines() if "fork" not in line]
        assert (done.stdout, errors) == ("7\nparent and child\n", [])

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
    @pytest.mark.every_driver
    def test_a_fork_in_the_middle_leaves_no_lock(self, url: URL) -> None:
        """Even where another thread was just about to open the store."""
        script = """
import threading
from sessionstore_sql.django.process import background
locked, forked = threading.Event(), threading.Event()
def hold():
    with background._lock:
        locked.set()
        forked.wait()
holder = threading.Thread(target=hold)
holder.start()
locked.wait()
child = os.fork()
if child == 0:
    SessionStore().save()
    os._exit(0)
forked.set()
holder.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
        assert run(script, url).stdout == "0\n"
