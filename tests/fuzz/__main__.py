"""Runs the tests of this folder with new seeds: ``make fuzz``."""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from tests.fuzz.exploring import FACTOR

_FOLDER = Path(__file__).parent


def main(arguments: Sequence[str]) -> int:
    """Run round after round, and return the exit code: 1 if a fault was found."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("minutes", type=float, nargs="?", default=10, help="default: 10")
    parser.add_argument("--seed", type=int, help="run one round with this seed")
    parser.add_argument(
        "--factor", type=int, default=5, help="multiple of the examples of make test"
    )
    parser.add_argument("-k", dest="chosen", default="", help="as pytest's: -k sqlite")
    options = parser.parse_args(arguments)
    end = monotonic() + options.minutes * 60
    rounds = 0
    while rounds == 0 or (options.seed is None and monotonic() < end):
        rounds += 1
        seed = secrets.randbelow(2**32) if options.seed is None else options.seed
        print(
            f"round {rounds}: make fuzz ARGS='--seed {seed} --factor {options.factor}'", flush=True
        )
        if _explored(seed, options.factor, options.chosen) != 0:
            print(f"A fault was found with the seed {seed}.")
            return 1
    print(f"{rounds} rounds, no fault found.")
    return 0


def _explored(seed: int, factor: int, chosen: str) -> int:
    command = [
        *(sys.executable, "-m", "pytest", str(_FOLDER), "-q", "-x", "--hypothesis-seed", str(seed)),
        *(["-k", chosen] if chosen else []),
    ]
    environment = {**os.environ, FACTOR: str(factor)}
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
