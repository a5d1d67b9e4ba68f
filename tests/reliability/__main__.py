"""Faults on real servers, and whether the store keeps its contract: ``make faults``."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.reliability.report import Result, as_json, table, updated
from tests.reliability.scenarios import SCENARIOS, Scenario
from tests.reliability.servers.process import ServerError
from tests.reliability.servers.programs import MissingError
from tests.reliability.stage import Stage
from tests.reliability.verdict import Verdict, judge

REQUIRE = "SESSIONSTORE_FAULTS_REQUIRE"
"""Scenarios for which a missing program is a failure, by name; or ``all``."""

_LIMIT_S = 300
"""After which a scenario is broken off."""


def main(arguments: Sequence[str]) -> int:
    """Play the scenarios, and return the exit code: 1 if anything was wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        for scenario in SCENARIOS:
            print(f"{scenario.name:24} {scenario.title}")
        return 0
    known = {scenario.name: scenario for scenario in SCENARIOS}
    if unknown := set(options.scenarios) - set(known):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}; try --list")
    chosen = [known[name] for name in options.scenarios] or list(SCENARIOS)
    results = [_play(scenario) for scenario in chosen]
    print(f"\n{table(results)}")
    if options.json is not None:
        options.json.write_bytes(as_json(results))
    if options.update is not None:
        options.update.write_text(updated(options.update.read_text(), results))
    return 0 if all(each.is_good for each in results) else 1


def _play(scenario: Scenario) -> Result:
    print(f"{scenario.title} ..", flush=True)
    is_required = bool({scenario.name, "all"} & set(os.environ.get(REQUIRE, "").split(",")))
    folder = Path(tempfile.mkdtemp(prefix="sessionstore-faults-"))
    folder.chmod(0o755)  # servers have users of their own
    stage = Stage(folder, scenario.bound_s)
    try:
        verdict = asyncio.run(_verdict(scenario, stage))
    except MissingError as missing:
        shutil.rmtree(folder)
        print(f"  NOT RUN: {missing}")
        return Result(scenario.name, scenario.title, None, str(missing), is_required)
    except (ServerError, TimeoutError) as error:
        reason = f"{type(error).__name__}: {error}"
        print(f"  BROKEN: {reason}\n  see {folder}")
        return Result(scenario.name, scenario.title, None, reason.splitlines()[0])
    for complaint in verdict.complaints:
        print(f"  WRONG: {complaint}")
    if verdict.is_good:
        shutil.rmtree(folder)
    else:
        print(f"  its histories and logs: {folder}")
    return Result(scenario.name, scenario.title, verdict)


async def _verdict(scenario: Scenario, stage: Stage) -> Verdict:
    async with asyncio.timeout(_LIMIT_S), stage.servers:
        await scenario.play(stage)
    return judge(stage, expects_loss=scenario.expects_loss)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="all, if none is named")
    parser.add_argument("--list", action="store_true", help="say which there are")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--update", type=Path, metavar="PAGE", help="replace the figures in a page of Markdown"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
