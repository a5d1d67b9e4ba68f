"""A store in a thread of its own: shared in a process, never over a fork, closed at the end."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from sessionstore_sql.testing import MemorySessionStore
from sessionstore_sql.web import loop_thread
from sessionstore_sql.web.background import BackgroundStore
from sessionstore_sql.web.loop_thread import THREAD_NAME, LoopThread


class Store(MemorySessionStore):
    """A store that tells when it is closed."""

    closed: list[object]

    def __init__(self) -> None:
        super().__init__()
        self.closed = []

    async def aclose(self) -> None:
        """Close it."""
        self.closed.append(threading.current_thread().name)


def threads() -> list[threading.Thread]:
    """Return the threads of stores."""
    return [each for each in threading.enumerate() if each.name == THREAD_NAME]


async def same(store: Store) -> Store:
    """Return the store."""
    return store


@pytest.fixture(autouse=True)
def no_threads() -> Iterator[None]:
    """No thread of a store runs, neither before nor after."""
    assert threads() == []
    yield
    for thread in threads():
        thread.join(60)
    assert threads() == []


@pytest.fixture
def background() -> Iterator[BackgroundStore[Store]]:
    """A store in the background."""
    store = BackgroundStore(Store)
    yield store
    store.close()


def test_nothing_starts_before_the_first_call() -> None:
    """A server that forks its workers after it has loaded the application shares nothing."""
    made: list[Store] = []

    def make() -> Store:
        made.append(Store())
        return made[-1]

    background = BackgroundStore(make)
    assert made == []
    background.close()
    assert threads() == []


def test_threads_and_event_loops_share_one_store(background: BackgroundStore[Store]) -> None:
    """All callers in a process get the same store, which works in one thread."""
    with ThreadPoolExecutor(8) as pool:
        stores = set(pool.map(lambda _: background.run(same), range(32)))
    stores |= {asyncio.run(background.arun(same)), background.run(same)}

    assert len(stores) == 1
    assert len(threads()) == 1


def test_arguments_and_results_are_passed_on(background: BackgroundStore[Store]) -> None:
    """They come and go as they are."""

    async def operation(_store: Store, first: int, *, second: int) -> list[int]:
        return [first, second]

    assert background.run(operation, 1, second=2) == [1, 2]


def test_an_error_reaches_the_caller(background: BackgroundStore[Store]) -> None:
    """The caller gets the error that the operation raised."""

    async def fail(_store: Store) -> None:
        raise KeyError("cart")

    with pytest.raises(KeyError, match="cart"):
        background.run(fail)
    with pytest.raises(KeyError, match="cart"):
        asyncio.run(background.arun(fail))


def test_the_context_of_the_caller_goes_along(background: BackgroundStore[Store]) -> None:
    """An operation in the store's thread sees the caller's context variables, as traces need."""
    request: ContextVar[str] = ContextVar("request")
    request.set("this one")

    async def read(_store: Store) -> str:
        return request.get()

    assert background.run(read) == "this one"
    assert asyncio.run(background.arun(read)) == "this one"


def test_a_cancelled_caller_cancels_the_operation(background: BackgroundStore[Store]) -> None:
    """An operation does not go on for a caller that has given up."""
    started, cancelled = threading.Event(), threading.Event()

    async def wait(_store: Store) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def give_up() -> None:
        task = asyncio.create_task(background.arun(wait))
        await asyncio.to_thread(started.wait)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(give_up())

    assert cancelled.wait(60)


def test_a_call_from_inside_of_the_store_is_an_error(background: BackgroundStore[Store]) -> None:
    """It would wait for itself."""

    async def nested(_store: Store) -> None:
        background.run(same)

    with pytest.raises(RuntimeError, match="wait for itself"):
        background.run(nested)


def test_the_store_is_closed_in_its_thread(background: BackgroundStore[Store]) -> None:
    """Connections of an event loop can be closed in no other."""
    store = background.run(same)

    background.close()

    assert store.closed == [THREAD_NAME]
    assert threads() == []


def test_the_next_call_after_the_end_opens_another_store(
    background: BackgroundStore[Store],
) -> None:
    """A closed store is not used again."""
    first = background.run(same)
    background.close()

    assert background.run(same) is not first


def test_closing_without_a_store_does_nothing(background: BackgroundStore[Store]) -> None:
    """As in a process that had no session."""
    background.close()
    background.close()


def test_a_store_ends_with_its_owner() -> None:
    """An application that is dropped, as in tests, leaves no thread and no connections behind."""
    background = BackgroundStore(Store)
    store = background.run(same)
    owner = weakref.ref(background)

    del background
    gc.collect()

    assert owner() is None
    for thread in threads():
        thread.join(60)
    assert store.closed == [THREAD_NAME]


def test_an_operation_in_flight_is_cancelled_at_the_end() -> None:
    """No caller waits for a result that cannot come."""
    thread = LoopThread(Store())

    async def never(_store: Store) -> None:
        await asyncio.Event().wait()

    future = thread.submit(never)
    thread.close()

    with pytest.raises(CancelledError):
        future.result()


def test_closing_does_not_wait_indefinitely(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that blocks the thread cannot keep the process from ending."""
    monkeypatch.setattr(loop_thread, "_PATIENCE_S", 0.01)
    thread = LoopThread(Store())
    may_end = threading.Event()

    async def busy(_store: Store) -> None:
        may_end.wait()

    thread.submit(busy)
    thread.close()

    assert len(threads()) == 1
    may_end.set()


def test_an_operation_after_the_end_is_an_error() -> None:
    """The caller does not wait indefinitely."""
    thread = LoopThread(Store())
    thread.close()
    thread.close()

    with pytest.raises(RuntimeError, match="closed"):
        thread.submit(same)


def test_a_child_process_keeps_what_it_inherited() -> None:
    """It opens a store of its own, and neither closes its parent's nor lets it be collected."""
    background = BackgroundStore(Store)
    inherited = background.thread()
    store = inherited.submit(same).result()

    background.forget()

    own = background.thread()
    assert own is not inherited
    assert background._inherited == [inherited]
    background.close()
    assert store.closed == []
    background.forget()
    del background
    gc.collect()
    assert store.closed == []
    inherited.close()
