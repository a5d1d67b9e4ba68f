"""Where the servers' programs are: installed, or unpacked into a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

UNPACKED = "SESSIONSTORE_FAULTS_UNPACKED"
"""Folders into which Debian packages were unpacked, with all that they need; in the form of PATH.
Where it isn't set: ``sessionstore-*/root`` in the user's cache."""

_SEARCHED = ("/usr/sbin", "/usr/local/sbin", "/sbin")
"""Where servers are although few users have it in their PATH."""


class MissingError(Exception):
    """A program that is not there, and so a scenario that cannot be played."""


@dataclass(frozen=True, slots=True)
class Program:
    """How to start a program."""

    command: tuple[str, ...]
    root: Path = Path("/")
    """What it takes for ``/`` when it looks for its own files."""


def find(name: str, package: str, folders: Sequence[Path] = ()) -> Program:
    """Return an installed program.

    Raises:
        MissingError: It isn't installed; the message names the Debian package.
    """
    places = os.pathsep.join([*map(str, folders), os.environ.get("PATH", ""), *_SEARCHED])
    found = shutil.which(name, path=places)
    if found is None:
        raise MissingError(f"{name} is not installed (Debian package {package})")
    return Program((found,))


def find_unpacked(path: str) -> Program | None:
    """Return a program of unpacked packages; ``None`` where it isn't there.

    It runs with the libraries it was unpacked with: they may be newer than the machine's.
    """
    for root in _unpacked():
        program = root / path
        loader = next((each for each in root.glob("usr/lib/*/ld-linux-*.so.*")), None)
        if program.is_file() and loader is not None:
            libraries = f"{loader.parent}:{root / 'usr/lib'}"
            return Program((str(loader), "--library-path", libraries, str(program)), root)
    return None


def _unpacked() -> list[Path]:
    if given := os.environ.get(UNPACKED):
        return [Path(folder) for folder in given.split(os.pathsep)]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return sorted(cache.glob("sessionstore-*/root"))
