"""A small disk of our own, that can be filled to the last byte and emptied again."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.reliability.servers.process import ServerError
from tests.reliability.servers.programs import MissingError

_CHUNK = 64 * 1024
_TOP_UP_S = 0.05


class Disk:
    """An in-memory file system of a fixed size."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        """Have it mounted at ``folder``.

        Raises:
            MissingError: Mounting takes root, which we are not.
            ServerError: It cannot be mounted.
        """
        if os.geteuid() != 0:
            raise MissingError("a disk that can be full takes a mount, and so root")
        self.folder = folder
        self._filler = folder / "other-file"
        folder.mkdir(parents=True)
        options = f"size={megabytes}m,mode=1777"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            raise ServerError(f"mount failed: {mounted.stderr}")

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """Fill it, and have it full until the end: what a server frees is taken as well."""
        self._fill()
        filling = asyncio.create_task(self._keep_full())
        try:
            yield
        finally:
            filling.cancel()
            with suppress(asyncio.CancelledError):
                await filling
            self._filler.unlink()

    def unmount(self) -> None:
        """Give it up, with all that is on it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    async def _keep_full(self) -> None:
        while True:
            await asyncio.sleep(_TOP_UP_S)
            self._fill()

    def _fill(self) -> None:
        file = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            while os.write(file, bytes(_CHUNK)) > 0:
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        finally:
            os.close(file)
