"""The container recipe and the hosted workflow, checked without a container engine."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import ROOT, blocks_of

CONTAINER = ROOT / "examples" / "container"
COMPOSE = CONTAINER / "compose.yaml"
DOCKERFILE = CONTAINER / "Dockerfile"
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def compose() -> dict[str, Any]:
    """Return the content of the compose file."""
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return loaded


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, without comments and line breaks."""
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", "", text)
    return [
        (name, rest)
        for name, _, rest in (line.partition(" ") for line in joined.splitlines())
        if name
    ]


@pytest.mark.parametrize(
    ("schema", "path"),
    [("vendor.compose-spec", COMPOSE), ("vendor.github-workflows", WORKFLOW)],
)
def test_a_file_matches_its_published_schema(schema: str, path: Path) -> None:
    """Unknown keys and values of a wrong type are found."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_shows_the_files() -> None:
    """The guide and the repository contain the same recipe."""
    shown = [block.code for block in blocks_of(ROOT / "docs" / "guides" / "containers.md")]

    assert DOCKERFILE.read_text(encoding="utf-8") in shown
    assert COMPOSE.read_text(encoding="utf-8") in shown


def test_the_image_copies_files_that_exist() -> None:
    """The ignore file lets exactly the needed folders through."""
    sources = [
        shlex.split(rest)[0]
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith((".", "--from"))
    ]
    ignored = (CONTAINER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = [line.removeprefix("!") for line in ignored if line.startswith("!")]

    assert all((ROOT / source).is_dir() for source in sources)
    assert all((ROOT / each).exists() for each in let_through)
    assert set(sources) <= set(let_through)


def test_the_image_installs_extras_and_packages_that_exist() -> None:
    """The extras are those of the package, and the other packages those of the example."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (wheels,) = [rest for name, rest in instructions() if name == "RUN" and "pip wheel" in rest]
    package, *others = [
        each for each in shlex.split(wheels) if re.match(r"[.\w]+(\[|[\w-]*>)", each)
    ]

    extras = package.removeprefix(".[").removesuffix("]").split(",")

    assert set(extras) <= project["project"]["optional-dependencies"].keys()
    assert set(others) == set(project["dependency-groups"]["example"])


def test_the_image_starts_the_shop() -> None:
    """The command names an application that can be imported, with the copied folders."""
    (command,) = [rest for name, rest in instructions() if name == "CMD"]
    server, option, application, *_ = yaml.safe_load(command)
    module, _, factory = application.partition(":")

    done = subprocess.run(
        [sys.executable, "-c", f"from {module} import {factory}; {factory}()"],
        cwd=ROOT / "examples",
        capture_output=True,
        text=True,
        check=False,
    )

    assert (server, option) == ("uvicorn", "--factory")
    assert done.returncode == 0, done.stderr


def test_the_image_does_not_run_as_root() -> None:
    """The last user of the image is a number other than 0."""
    users = [rest for name, rest in instructions() if name == "USER"]

    assert int(users[-1]) > 0


def test_the_services_run_the_command(tmp_path: Path) -> None:
    """The commands of the one-shot services succeed, the migration before the purge."""
    environment = os.environ | {"SESSIONSTORE_URL": f"sqlite:///{tmp_path / 'shop.db'}"}
    for service in ("migrate", "purge"):
        name, *arguments = compose()["services"][service]["command"]
        done = subprocess.run(
            [sys.executable, "-m", "sessionstore_sql", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

        assert name == "sessionstore-sql"
        assert done.returncode == 0, done.stderr


def test_the_application_waits_for_the_migration() -> None:
    """It starts after the migration succeeded, and that after the database is healthy."""
    services = compose()["services"]

    assert services["migrate"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    for service in ("application", "purge"):
        condition = {"migrate": {"condition": "service_completed_successfully"}}
        assert services[service]["depends_on"] == condition
    assert services["purge"]["profiles"] == ["purge"]


def test_the_services_name_the_database() -> None:
    """User, host and database of the URL are those of the database service."""
    services = compose()["services"]
    database = services["database"]["environment"]
    for service in ("migrate", "application", "purge"):
        environment = services[service]["environment"]
        url = re.sub(r"\$\{.*?\}", "secret", environment["SESSIONSTORE_URL"])
        user, name = database["POSTGRES_USER"], database["POSTGRES_DB"]

        assert url == f"postgresql://{user}:secret@database/{name}"
        assert environment["SHOP_URL"] == environment["SESSIONSTORE_URL"]


def test_the_workflow_runs_what_exists() -> None:
    """Each command is a make target or a file, and each variable is one that the tests read."""
    job = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for each in job["strategy"]["matrix"]["include"]:
        command = each["command"]
        if command.startswith("make "):
            assert re.search(rf"^{command.removeprefix('make ')}:", makefile, re.MULTILINE)
        else:
            assert (ROOT / command).is_file()

    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in contributing for name in job["env"] if name != "PYTHON")
