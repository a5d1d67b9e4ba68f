"""The pages about the command agree with it, and the files for schedulers work."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from sessionstore_sql.cli.application import application
from sessionstore_sql.cli.exit_codes import ExitCode
from tests.cli.running import ROOT, Command, clean_environment, shown

DOCS = ROOT / "docs"
REFERENCE = (DOCS / "reference" / "command-line.md").read_text()
SCHEDULING = (DOCS / "guides" / "scheduling.md").read_text()
INSTALLED = "/opt/shop/bin/sessionstore-sql"


def file_named(title: str) -> str:
    """Return the file of this name from the page about scheduling."""
    found = re.search(
        rf'^```\w+ title="{re.escape(title)}"\n(.*?)^```$', SCHEDULING, re.MULTILINE | re.DOTALL
    )
    assert found is not None, title
    return found[1]


def test_every_exit_code_is_explained() -> None:
    """The page lists all exit codes, and no others."""
    codes = re.findall(r"^\| (\d+) \|", REFERENCE, re.MULTILINE)

    assert [int(code) for code in codes] == sorted(ExitCode)


def test_every_option_is_explained() -> None:
    """The page mentions every option except --help."""
    options = {
        option
        for command in (application, *application.commands.values())
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    }

    assert {each for each in options if not re.search(rf"`[^`\n]*{each}\b", REFERENCE)} == set()


def test_every_key_of_the_json_is_explained(local: Command) -> None:
    """The page mentions every key."""
    local("upgrade")

    def keys(value: Any) -> set[str]:
        match value:
            case dict():
                return {*value, *(key for each in value.values() for key in keys(each))}
            case [first, *_]:
                return keys(first)
            case _:
                return set()

    vacuum = {"dead_rows", "since_last_seconds", "hot_updates"}
    expected = keys(json.loads(local("stats", "--json").out)) | vacuum
    assert {key for key in expected if not re.search(rf"`(storage\.)?{key}`", REFERENCE)} == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_command_completes_itself(shell: str) -> None:
    """The line on the page produces a completion script for the shell."""
    line = f"_SESSIONSTORE_SQL_COMPLETE={shell}_source"
    assert line in REFERENCE
    script = Path(sys.executable).parent / "sessionstore-sql"

    done = subprocess.run(
        ["env", line, str(script)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"_SESSIONSTORE_SQL_COMPLETE={shell}_complete" in done.stdout


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("sessionstore-sql st", ["stats"]),
        ("sessionstore-sql stats --w", ["--watch"]),
        ("sessionstore-sql --url", ["--url", "--url-file"]),
        ("sessionstore-sql sql m", ["mysql", "mariadb"]),
    ],
)
def test_commands_and_options_are_completed(words: str, completed: list[str]) -> None:
    """As bash asks for them."""
    script = Path(sys.executable).parent / "sessionstore-sql"
    asked = {
        "_SESSIONSTORE_SQL_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }

    done = subprocess.run(
        [str(script)], env=clean_environment(asked), capture_output=True, text=True, check=False
    )

    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == completed


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """No setting is unknown, and no value is ignored."""
    service = file_named("sessionstore-purge.service")
    assert f"ExecStart={INSTALLED} " in service
    (tmp_path / "sessionstore-purge.service").write_text(service.replace(INSTALLED, sys.executable))
    (tmp_path / "sessionstore-purge.timer").write_text(file_named("sessionstore-purge.timer"))

    for name in ("sessionstore-purge.service", "sessionstore-purge.timer"):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)],
            capture_output=True,
            text=True,
            check=False,
        )
        complaints = [line for line in done.stderr.splitlines() if "sessionstore-purge" in line]
        assert (done.returncode, complaints) == (0, [])


def command_in(text: str) -> list[str]:
    """Return the arguments of the command in a unit or a crontab."""
    found = re.search(rf"{re.escape(INSTALLED)} ([^>\n]*)", text)
    assert found is not None
    return found[1].split()


def test_the_unit_runs(local: Command) -> None:
    """The command in the unit succeeds."""
    local("upgrade")

    arguments = command_in(file_named("sessionstore-purge.service"))

    assert local.run(*arguments, *local.place).code == 0


def test_systemd_only_repeats_what_may_succeed() -> None:
    """It does not restart after the other exit codes, and a stop is no failure."""
    service = file_named("sessionstore-purge.service")
    prevented = re.search(r"^RestartPreventExitStatus=(.*)$", service, re.MULTILINE)
    assert prevented is not None

    not_repeated = {int(code) for code in prevented[1].split()}

    assert not_repeated == {1, 2, 3, 4}
    assert f"SuccessExitStatus={ExitCode.TERMINATED:d}\n" in service


def test_the_crontab_runs(local: Command, tmp_path: Path) -> None:
    """The shell runs it with the URL from the file, and it prints nothing on success."""
    local("upgrade")
    mail, line = file_named("sessionstore-purge.cron").splitlines()
    *schedule, user, command = line.split(maxsplit=6)
    environment = tmp_path / "environment"
    kept = file_named("sessionstore.env")
    given = re.sub(r"'.*'", f"'{shown(local.url)}'", kept)
    environment.write_text(given)
    script = Path(sys.executable).parent / "sessionstore-sql"
    command = command.replace("/etc/sessionstore.env", str(environment))
    command = command.replace(INSTALLED, str(script))

    done = subprocess.run(
        ["sh", "-c", command], env=clean_environment(), capture_output=True, text=True, check=False
    )

    assert mail.startswith("MAILTO=")
    assert schedule == ["*/10", "*", "*", "*", "*"]
    assert user == "shop"
    assert "%" not in line
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_cron_job_runs(local: Command) -> None:
    """Its command succeeds, and its policy names the right container."""
    local("upgrade")
    job = yaml.safe_load(file_named("sessionstore-purge.yaml"))["spec"]["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    on_exit, on_disruption = job["podFailurePolicy"]["rules"]

    name, *arguments = container["command"]

    assert name == "sessionstore-sql"
    assert local.run(*map(str, arguments), *local.place).code == 0
    assert on_exit["onExitCodes"]["containerName"] == container["name"]
    assert set(on_exit["onExitCodes"]["values"]) == {1, 2, 3, 4}
    assert on_exit["action"] == "FailJob"
    assert on_disruption["action"] == "Ignore"
    # A policy for exit codes requires that pods are not restarted in place.
    assert pod["restartPolicy"] == "Never"
    assert container["env"][0]["name"] == "SESSIONSTORE_URL"


def test_the_init_container_runs(local: Command) -> None:
    """The command for a deployment succeeds."""
    (container,) = yaml.safe_load(file_named("init-container.yaml"))["initContainers"]

    assert container["command"][0] == "sessionstore-sql"
    assert local.run(*container["command"][1:], *local.place).code == 0


@pytest.mark.parametrize(
    "name", ["sessionstore-purge.service", "sessionstore-purge.cron", "sessionstore-purge.yaml"]
)
def test_scheduled_purges_do_not_overlap(name: str) -> None:
    """The time limit of a purge is shorter than the interval."""
    assert re.search(r"--max-time,? 8m", file_named(name))


@pytest.mark.parametrize("older", [3_000.0, 3_601.0, None])
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_alarm_rings_when_purging_is_behind(older: float | None) -> None:
    """It does not ring if no session is expired."""
    found = re.search(r"jq --exit-status '(.*)'", SCHEDULING)
    assert found is not None

    done = subprocess.run(
        ["jq", "--exit-status", found[1]],
        input=json.dumps({"oldest_expired_seconds": older}),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == (1 if older == 3_601.0 else 0)
