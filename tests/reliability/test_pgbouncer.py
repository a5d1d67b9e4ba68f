"""Which PgBouncer is which: what it can do decides what can be played on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.servers import programs
from tests.reliability.servers.pgbouncer import not_preparing, preparing
from tests.reliability.servers.programs import MissingError, Program


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all there is to find programs in; nothing is unpacked."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(programs.UNPACKED, str(tmp_path / "unpacked"))
    monkeypatch.setattr(programs, "_SEARCHED", ())
    return tmp_path


def pgbouncer(folder: Path, version: str) -> Program:
    """Put one of this version into ``folder``."""
    path = folder / "pgbouncer"
    path.write_text(f"#!/bin/sh\necho 'PgBouncer {version}'\necho 'libevent 2.1.12-stable'\n")
    path.chmod(0o755)
    return Program((str(path),))


@pytest.mark.parametrize("version", ["1.21.0", "1.26.1", "2.0.0"])
def test_newer_ones_know_prepared_statements(install: Path, version: str) -> None:
    """From 1.21 on."""
    program = pgbouncer(install, version)

    assert preparing() == program
    with pytest.raises(MissingError, match=r"1\.21 or newer"):
        not_preparing()


@pytest.mark.parametrize("version", ["1.9.0", "1.18.0", "1.20.1"])
def test_older_ones_do_not(install: Path, version: str) -> None:
    """Debian 12 has one; how to get a newer one is said."""
    program = pgbouncer(install, version)

    assert not_preparing() == program
    with pytest.raises(MissingError, match="unpack"):
        preparing()


def test_without_one_nothing_is_played(install: Path) -> None:
    """The package is named."""
    assert not list(install.iterdir())
    for find in (preparing, not_preparing):
        with pytest.raises(MissingError, match="Debian package pgbouncer"):
            find()
