"""How much is tried: a little, always the same, in ``make test``; more and new by ``make fuzz``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy, tuples

FACTOR = "SESSIONSTORE_FUZZ_FACTOR"
"""The variable that ``make fuzz`` sets: so many times the examples, from a seed that it prints."""


def explore(check: Callable[..., object], *strategies: SearchStrategy[Any], examples: int) -> None:
    """Call ``check`` with what the strategies make.

    Args:
        check: Fails where something comes out that is not documented.
        strategies: One for each of its arguments.
        examples: How many calls ``make test`` can afford.
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
