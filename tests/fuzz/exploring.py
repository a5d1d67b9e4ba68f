"""The number of examples: few and fixed in ``make test``, many and new in ``make fuzz``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy, tuples

FACTOR = "SESSIONSTORE_FUZZ_FACTOR"
"""Environment variable of ``make fuzz``: the multiple of the examples, and the seed."""


def explore(check: Callable[..., object], *strategies: SearchStrategy[Any], examples: int) -> None:
    """Call ``check`` with examples of the strategies.

    Args:
        check: Fails if a result is not documented.
        strategies: One strategy for each argument.
        examples: The number of calls in ``make test``.
    """
    factor = int(os.environ.get(FACTOR, "0"))
    phases = [Phase.generate, *([Phase.shrink] if factor else [])]

    def example(drawn: tuple[Any, ...]) -> None:
        check(*drawn)

    settings(
        max_examples=examples * max(1, factor),
        derandomize=factor == 0,
        database=None,
        deadline=None,
        phases=phases,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )(given(tuples(*strategies))(example))()
