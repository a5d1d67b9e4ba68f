"""Where the tests find their databases; the containers without a Docker daemon to run them."""

from __future__ import annotations

from typing import Any

import pytest
from testcontainers.community.mysql import MySqlContainer
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer

from tests import databases
from tests.databases import SERVERS, Databases, Target, UnavailableError, server_url


class _Client:
    """A Docker client that never asks a daemon anything."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Containers that start nothing; what they would have started."""
    started: list[str] = []

    def start(container: DockerContainer) -> DockerContainer:
        container._configure()  # type: ignore[no-untyped-call]
        container._container = object()  # type: ignore[assignment]
        started.append(container.image)
        return container

    monkeypatch.setattr("testcontainers.core.container.DockerClient", _Client)
    for kind in (PostgresContainer, MySqlContainer):
        monkeypatch.setattr(kind, "start", start)
        monkeypatch.setattr(kind, "stop", lambda *_, **__: None)
    monkeypatch.setattr(DockerContainer, "get_container_host_ip", lambda _: "127.0.0.1")
    monkeypatch.setattr(DockerContainer, "get_exposed_port", lambda _, port: port)
    monkeypatch.setattr(databases, "why_no_docker", lambda: None)
    for server in SERVERS:
        monkeypatch.delenv(f"SESSIONSTORE_TEST_{server.upper()}_URL", raising=False)
    return started


@pytest.mark.parametrize(
    ("database", "image", "user"),
    [
        ("postgresql", "postgres", "test"),
        ("mysql", "mysql", "root"),
        ("mariadb", "mariadb", "root"),
    ],
)
def test_where_no_url_is_given_a_container_is_started(
    containers: list[str], database: str, image: str, user: str
) -> None:
    """Its URL names our driver, and a user who may make databases."""
    with server_url(database) as url:
        assert url.drivername == databases.ADMIN_DRIVERS[database]
        assert (url.host, url.username, url.password) == ("127.0.0.1", user, "test")
    assert containers[0].partition(":")[0] == image


def test_a_given_url_comes_first(containers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker isn't asked."""
    monkeypatch.setenv("SESSIONSTORE_TEST_MYSQL_URL", "mysql://developer@example.test/db")
    with server_url("mysql") as url:
        assert url.host == "example.test"
    assert containers == []


def test_without_either_the_database_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """And the reason names the variable to set."""
    monkeypatch.delenv("SESSIONSTORE_TEST_MYSQL_URL", raising=False)
    monkeypatch.setattr(databases, "why_no_docker", lambda: "no Docker daemon answers")
    run = Databases(tmp_path)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="SESSIONSTORE_TEST_MYSQL_URL is not set"):
            run.url(Target("mysql", "mysql+aiomysql"))
    run.close()
