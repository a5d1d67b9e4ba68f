"""How the connection pools are used, told when somebody asks, and none kept alive for it."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from opentelemetry import metrics
from opentelemetry.metrics import Observation
from sqlalchemy.pool import QueuePool

from sessionstore_sql.otel.attributes import ADDRESS, NAMESPACE, PORT, SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider
    from sqlalchemy import Engine

    from sessionstore_sql.otel.attributes import Attributes

_POOL = "db.client.connection.pool.name"
_STATE = "db.client.connection.state"

_of_providers: WeakKeyDictionary[object, Pools] = WeakKeyDictionary()


class _Global:
    """The provider that is the global one, whichever that becomes."""


_GLOBAL = _Global()


def pools_of(provider: MeterProvider | None, meter: Meter) -> Pools:
    """Return the pools that ``provider`` measures.

    Once for each: a meter asks none but the first who makes an instrument of a name.
    """
    is_global = provider is None or provider is metrics.get_meter_provider()
    key = _GLOBAL if is_global else provider
    assert key is not None
    pools = _of_providers.get(key)
    if pools is None:
        pools = _of_providers[key] = Pools()
        pools.measure_with(meter)
    return pools


class Pools:
    """The pools of engines, each counted once however many stores share it."""

    def __init__(self) -> None:
        self._names: WeakKeyDictionary[Engine, str] = WeakKeyDictionary()
        # Whoever reads the metrics may have a thread of its own.
        self._lock = Lock()

    def add(self, engine: Engine, attributes: Attributes) -> None:
        """Count the connections of an engine, for as long as somebody else needs it."""
        with self._lock:
            self._names[engine] = _name_of(attributes)

    def measure_with(self, meter: Meter) -> None:
        """Make the instruments."""
        meter.create_observable_up_down_counter(
            "db.client.connection.count",
            [self._count],
            unit="{connection}",
            description="The connections that are in the state that the attribute says.",
        )
        meter.create_observable_up_down_counter(
            "db.client.connection.max",
            [self._largest],
            unit="{connection}",
            description="The most connections that are open at once.",
        )

    def _count(self, _options: CallbackOptions) -> Iterator[Observation]:
        counts: dict[tuple[str, str], int] = {}
        for name, pool in self._open():
            for state, count in (("used", pool.checkedout()), ("idle", pool.checkedin())):
                counts[name, state] = counts.get((name, state), 0) + count
        for (name, state), count in counts.items():
            yield Observation(count, {_POOL: name, _STATE: state})

    def _largest(self, _options: CallbackOptions) -> Iterator[Observation]:
        sums: dict[str, int] = {}
        unbounded: set[str] = set()
        for name, pool in self._open():
            # SQLAlchemy has no public way to ask.
            overflow = pool._max_overflow  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            if overflow < 0:
                unbounded.add(name)
            sums[name] = sums.get(name, 0) + pool.size() + overflow
        for name in sums.keys() - unbounded:
            yield Observation(sums[name], {_POOL: name})

    def _open(self) -> Iterator[tuple[str, QueuePool]]:
        with self._lock:
            names = list(self._names.items())
        for engine, name in names:
            if isinstance(engine.pool, QueuePool):
                yield name, engine.pool


def _name_of(attributes: Attributes) -> str:
    """Return ``address:port/namespace``, or what there is of it."""
    place = ":".join(str(attributes[each]) for each in (ADDRESS, PORT) if each in attributes)
    parts = [each for each in (place, attributes.get(NAMESPACE)) if each]
    return "/".join(map(str, parts or [attributes[SYSTEM]]))
