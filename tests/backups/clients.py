"""The vendors' clients that dump and restore databases, as the guide to backups calls them."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from sqlalchemy import URL

TABLES = ("sessionstore_sessions", "sessionstore_sessions_version")

VENDORS = ("mariadb", "mysql")
"""The vendors of clients for MariaDB and MySQL."""

_DUMPING = {"mariadb": ("mariadb-dump", "mysqldump"), "mysql": ("mysqldump",)}
_RESTORING = {"mariadb": ("mariadb", "mysql"), "mysql": ("mysql",)}
"""The names that each vendor's client can have."""


class ClientError(Exception):
    """A client failed. The message is what it wrote to its standard error."""


def program(name: str) -> str:
    """Return the path of a program. The test is skipped if it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def vendors_program(vendor: str, names: dict[str, tuple[str, ...]]) -> str:
    """Return the path of a vendor's client. The test is skipped if it is not installed.

    Debian's ``mysqldump`` and ``mysql`` are MariaDB's, so the name alone does not give the vendor.
    """
    for name in names[vendor]:
        path = shutil.which(name)
        if path is None:
            continue
        if ("MariaDB" in run([path, "--version"]).decode()) is (vendor == "mariadb"):
            return path
    pytest.skip(f"{names[vendor][0]} of {vendor} is not installed")


def run(command: list[str], *, stdin: bytes = b"", password: str | None = None) -> bytes:
    """Run a client and return what it wrote.

    Raises:
        ClientError: Its exit code is not zero.
    """
    secrets = {} if password is None else {"PGPASSWORD": password, "MYSQL_PWD": password}
    ended = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=120,
        env={**os.environ, **secrets},
    )
    if ended.returncode:
        raise ClientError(ended.stderr.decode())
    return ended.stdout


def mysql_dump(vendor: str, url: URL, *options: str, tables: tuple[str, ...] = TABLES) -> bytes:
    """Dump tables of MySQL or MariaDB, or the whole database if there are none."""
    own = ["--no-tablespaces", "--column-statistics=0"] if vendor == "mysql" else []
    fixed = ["--single-transaction", "--hex-blob", *own]
    command = [vendors_program(vendor, _DUMPING), *_server_of(url), *fixed, *options]
    return run([*command, str(url.database), *tables], password=url.password)


def mysql_restore(vendor: str, url: URL, dump: bytes) -> None:
    """Execute a dump on MySQL or MariaDB."""
    command = [vendors_program(vendor, _RESTORING), *_server_of(url), str(url.database)]
    run(command, stdin=dump, password=url.password)


def _server_of(url: URL) -> list[str]:
    return [f"--host={url.host}", f"--port={url.port or 3306}", f"--user={url.username}"]


def postgresql(name: str, url: URL, *options: str, stdin: bytes = b"") -> bytes:
    """Run a client of PostgreSQL."""
    database = url.set(drivername="postgresql", password=None, query={})
    shown = database.render_as_string(hide_password=False)
    return run([program(name), *options, f"--dbname={shown}"], stdin=stdin, password=url.password)
