"""A few numbers that all processes of a run see: which sessions there are, and who was answered.

They lie in a file that each process maps into its memory. Each number has one writer.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_NUMBER = struct.Struct("q")


class Board:
    """Numbers of slots, which are sessions that someone keeps alive, and of workers."""

    def __init__(self, path: Path, *, slots: int, workers: int) -> None:
        """Open the board at ``path``, and make it where there is none."""
        self.slots = slots
        size = (slots + workers) * _NUMBER.size
        with path.open("a+b") as file:
            file.truncate(size)
            self._memory = mmap.mmap(file.fileno(), size)

    def generation(self, slot: int) -> int:
        """Return which of the slot's ids is the newest; zero before the first."""
        return self._read(slot)

    def set_generation(self, slot: int, generation: int) -> None:
        """Announce a new id."""
        self._write(slot, generation)

    def answered(self, worker: int) -> int:
        """Return when the worker last had a write acknowledged: monotonic nanoseconds, or zero."""
        return self._read(self.slots + worker)

    def set_answered(self, worker: int, moment: int) -> None:
        """Note when a write of a call that was made at ``moment`` was acknowledged."""
        self._write(self.slots + worker, moment)

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()

    def _read(self, place: int) -> int:
        (number,) = _NUMBER.unpack_from(self._memory, place * _NUMBER.size)
        return int(number)

    def _write(self, place: int, number: int) -> None:
        _NUMBER.pack_into(self._memory, place * _NUMBER.size, number)
