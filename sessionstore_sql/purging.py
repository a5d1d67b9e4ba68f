"""Removing what has expired, in batches that leave the database to the application in between."""

from __future__ import annotations

import asyncio
import enum
import inspect
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

from sessionstore_sql.records import require_batch_size

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sessionstore_sql.backend import SessionStorageBackend

OnBatch: TypeAlias = "Callable[[int], Awaitable[object] | None]"
"""Told after each batch how many sessions it removed, zero included. Plain or ``async``."""

BATCH_SIZE = 1_000
PAUSE = timedelta(milliseconds=100)


class PurgeEnd(enum.Enum):
    """Why a purge ended."""

    NOTHING_LEFT = "nothing expired is left"
    """But for rows that someone has locked, and what expired meanwhile."""
    OUT_OF_TIME = "the time was up"
    STOPPED = "it was told to stop"


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What a purge did."""

    removed: int
    batches: int
    end: PurgeEnd


async def delete_expired_in_batches(  # noqa: PLR0913  # options, each by keyword
    store: SessionStorageBackend,
    *,
    batch_size: int = BATCH_SIZE,
    pause: timedelta = PAUSE,
    max_time: timedelta | None = None,
    stop: asyncio.Event | None = None,
    on_batch: OnBatch | None = None,
) -> PurgeReport:
    """Remove expired sessions batch by batch until nothing is left, and report what was done.

    Every batch is committed by itself. So a purge may be interrupted at any moment, by ``stop``,
    cancellation or the end of the process: what is gone is gone, no live session is ever touched,
    and the next purge goes on with what is left.

    Args:
        store: Any backend.
        batch_size: How many sessions one batch removes at the most; at least 1.
        pause: How long to leave the database alone after each batch, and never less than the
            batch itself took, so that a purge of any size claims at most half of one connection.
            Zero: no pause at all.
        max_time: No batch begins when so much time has passed, but the first. ``None``: no limit.
        stop: Set it to end the purge after the batch under way, and during a pause at once.
        on_batch: Told of each batch. What it raises ends the purge.

    Raises:
        TypeError, ValueError: An argument is of a wrong type or range. Nothing was removed.
        DatabaseError: The database failed in a batch, as ``delete_expired`` says. The batches
            before, which ``on_batch`` was told of, stay removed.
    """
    require_batch_size(batch_size)
    require_duration(pause, "pause")
    if max_time is not None:
        require_duration(max_time, "max_time")
    if stop is not None and not isinstance(stop, asyncio.Event):
        raise TypeError(f"stop is an asyncio.Event, not {type(stop).__name__}")
    require_callback(on_batch)
    stop = asyncio.Event() if stop is None else stop
    started = monotonic()
    removed = batches = 0

    def ended(end: PurgeEnd) -> PurgeReport:
        return PurgeReport(removed, batches, end)

    while not stop.is_set():
        began = monotonic()
        count = await store.delete_expired(batch_size)
        took = monotonic() - began
        removed += count
        batches += 1
        if on_batch is not None:
            await tell(on_batch, count)
        if count < batch_size:
            return ended(PurgeEnd.NOTHING_LEFT)
        rest = max(pause.total_seconds(), took) if pause else 0
        if max_time is not None and (monotonic() - started + rest >= max_time.total_seconds()):
            return ended(PurgeEnd.OUT_OF_TIME)
        await _rest(rest, stop)
    return ended(PurgeEnd.STOPPED)


async def tell(on_batch: OnBatch, count: int) -> None:
    """Call ``on_batch``, and await it if it is to be awaited."""
    answer = on_batch(count)
    if inspect.isawaitable(answer):
        await answer


def require_duration(value: object, name: str) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless ``value`` is a time that can be waited."""
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} is a timedelta, not {type(value).__name__}")
    if value < timedelta(0):
        raise ValueError(f"{name} is not negative")


def require_callback(on_batch: object) -> None:
    """Raise ``TypeError`` unless ``on_batch`` can be called, or is ``None``."""
    if on_batch is not None and not callable(on_batch):
        raise TypeError(f"on_batch is a function, not {type(on_batch).__name__}")


async def _rest(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
