"""Metrics of connection pools. They are read on demand, and keep no engine alive."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from opentelemetry import metrics
from opentelemetry.metrics import Observation
from sqlalchemy.pool import QueuePool

from sessionstore_sql.otel.attributes import ADDRESS, NAMESPACE, PORT, SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider
    from sqlalchemy import Engine

    from sessionstore_sql.otel.attributes import Attributes

_POOL = "db.client.connection.pool.name"
_STATE = "db.client.connection.state"

PoolLimit: TypeAlias = "Callable[[QueuePool], int | None]"

_of_providers: WeakKeyDictionary[object, Pools] = WeakKeyDictionary()


class _Global:
    """Stands for the global provider, which may be set later."""


_GLOBAL = _Global()


def pools_of(provider: MeterProvider | None, meter: Meter) -> Pools:
    """Return the pools that ``provider`` measures.

    There is one object for each provider: of several instruments with one name, a meter reads
    only the first.
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
    """The pools of engines. Each is counted once, however many stores share it."""

    def __init__(self) -> None:
        self._pools: WeakKeyDictionary[Engine, tuple[str, PoolLimit]] = WeakKeyDictionary()
        # Metrics may be read in a thread of their own.
        self._lock = Lock()

    def add(self, engine: Engine, attributes: Attributes, limit: PoolLimit) -> None:
        """Count the connections of an engine for as long as the engine is in use."""
        with self._lock:
            self._pools[engine] = (_name_of(attributes), limit)

    def measure_with(self, meter: Meter) -> None:
        """Make the instruments."""
        meter.create_observable_up_down_counter(
            "db.client.connection.count",
            [self._count],
            unit="{connection}",
            description="The number of connections in the state that the attribute names.",
        )
        meter.create_observable_up_down_counter(
            "db.client.connection.max",
            [self._largest],
            unit="{connection}",
            description="The maximum number of open connections.",
        )

    def _count(self, _options: CallbackOptions) -> Iterator[Observation]:
        counts: dict[tuple[str, str], int] = {}
        for name, pool, _limit in self._open():
            for state, count in (("used", pool.checkedout()), ("idle", pool.checkedin())):
                counts[name, state] = counts.get((name, state), 0) + count
        for (name, state), count in counts.items():
            yield Observation(count, {_POOL: name, _STATE: state})

    def _largest(self, _options: CallbackOptions) -> Iterator[Observation]:
        sums: dict[str, int] = {}
        unbounded: set[str] = set()
        for name, pool, limit in self._open():
            most = limit(pool)
            if most is None:
                unbounded.add(name)
            sums[name] = sums.get(name, 0) + (most or 0)
        for name in sums.keys() - unbounded:
            yield Observation(sums[name], {_POOL: name})

    def _open(self) -> Iterator[tuple[str, QueuePool, PoolLimit]]:
        with self._lock:
            pools = list(self._pools.items())
        for engine, (name, limit) in pools:
            if isinstance(engine.pool, QueuePool):
                yield name, engine.pool, limit


def _name_of(attributes: Attributes) -> str:
    """Return ``address:port/namespace``, or the parts of it that are known."""
    place = ":".join(str(attributes[each]) for each in (ADDRESS, PORT) if each in attributes)
    parts = [each for each in (place, attributes.get(NAMESPACE)) if each]
    return "/".join(map(str, parts or [attributes[SYSTEM]]))
