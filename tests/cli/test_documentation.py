"""The pages about the command agree with it, and the files for schedulers are right."""

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

from sessionstore_sql.command_line.application import application
from sessionstore_sql.command_line.exit_codes import ExitCode
from tests.cli.running import ROOT, Command, clean_environment, shown

OPERATIONS = ROOT / "docs" / "operations"
REFERENCE = (OPERATIONS / "command-line.md").read_text()
SCHEDULING = (OPERATIONS / "scheduling.md").read_text()
INSTALLED = "/opt/shop/venv/bin/sessionstore-sql"


def file_named(title: str) -> str:
    """Return the file of this name, which the page about scheduling shows."""
    found = re.search(
        rf'^```\w+ title="{re.escape(title)}"\n(.*?)^```$', SCHEDULING, re.MULTILINE | re.DOTALL
    )
    assert found is not None, title
    return found[1]


def test_every_exit_code_is_explained() -> None:
    """With what it asks for; no more and no less than there are."""
    codes = re.findall(r"^\| (\d+) \|", REFERENCE, re.MULTILINE)

    assert [int(code) for code in codes] == sorted(ExitCode)


def test_every_option_is_explained() -> None:
    """All but those that only ever explain."""
    options = {
        option
        for command in application.commands.values()
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    }

    assert {option for option in options if f"`{option}" not in REFERENCE} == set()


def test_every_key_of_the_json_is_explained(local: Command) -> None:
    """Whoever reads it with a program finds each name on the page."""
    local("upgrade")

    def keys(value: Any) -> set[str]:
        match value:
            case dict():
                return {*value, *(key for each in value.values() for key in keys(each))}
            case [first, *_]:
                return keys(first)
            case _:
                return set()

    vacuum = {"dead_rows", "since_last_seconds", "hot_updates", "bloat_bytes"}
    expected = keys(json.loads(local("stats", "--json").out)) | vacuum
    assert {key for key in expected if not re.search(rf"`(storage\.)?{key}`", REFERENCE)} == set()


def test_the_command_completes_itself() -> None:
    """As the page says, for bash."""
    line = "_SESSIONSTORE_SQL_COMPLETE=bash_source"
    assert line in REFERENCE
    script = Path(sys.executable).parent / "sessionstore-sql"

    done = subprocess.run(
        ["env", line, str(script)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert "_SESSIONSTORE_SQL_COMPLETE=bash_complete" in done.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """Not a setting that it doesn't know, and not a value that it would ignore."""
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
    """Return the arguments of the installed command in a line of a unit or of a crontab."""
    found = re.search(rf"{re.escape(INSTALLED)} ([^>\n]*)", text)
    assert found is not None
    return found[1].split()


def test_the_unit_runs(local: Command) -> None:
    """The command in it is one that there is."""
    local("upgrade")

    arguments = command_in(file_named("sessionstore-purge.service"))

    assert local.run(*arguments, *local.place).code == 0


def test_what_systemd_tries_again_is_what_may_succeed() -> None:
    """Every other failure is left to a person, and a stop is none."""
    service = file_named("sessionstore-purge.service")
    prevented = re.search(r"^RestartPreventExitStatus=(.*)$", service, re.MULTILINE)
    assert prevented is not None

    for_a_person = {int(code) for code in prevented[1].split()}

    assert for_a_person == {1, 2, 3, 4}
    assert f"SuccessExitStatus={ExitCode.TERMINATED:d}\n" in service


def test_the_crontab_runs(local: Command, tmp_path: Path) -> None:
    """As the shell would run it: with the URL from its file, and without a word if it went well."""
    local("upgrade")
    mail, line = file_named("sessionstore-purge.cron").splitlines()
    *schedule, user, command = line.split(maxsplit=6)
    environment = tmp_path / "environment"
    kept = file_named("environment")
    given = re.sub(r"'.*'", f"'{shown(local.url)}'", kept)
    environment.write_text(given)
    script = Path(sys.executable).parent / "sessionstore-sql"
    command = command.replace("/etc/sessionstore/environment", str(environment))
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
    """Its command is one that there is, its container the one that the policy is about."""
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
    # A policy for exit codes wants pods that are not restarted in place.
    assert pod["restartPolicy"] == "Never"
    assert container["env"][0]["name"] == "SESSIONSTORE_URL"


def test_the_init_container_runs(local: Command) -> None:
    """The command for a deployment is one that there is, too."""
    (container,) = yaml.safe_load(file_named("init-container.yaml"))["initContainers"]

    assert container["command"][0] == "sessionstore-sql"
    assert local.run(*container["command"][1:], *local.place).code == 0


@pytest.mark.parametrize(
    "name", ["sessionstore-purge.service", "sessionstore-purge.cron", "sessionstore-purge.yaml"]
)
def test_no_purge_runs_into_the_next(name: str) -> None:
    """Each has less time than there is between two of them."""
    assert re.search(r"--max-time,? 8m", file_named(name))


@pytest.mark.parametrize("older", [3_000.0, 3_601.0, None])
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_alarm_rings_when_purging_is_behind(older: float | None) -> None:
    """And where nothing is expired it doesn't."""
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
