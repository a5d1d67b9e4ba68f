"""The headers of an ASGI message."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class RawHeaders:
    """A copy of the headers of an ASGI message, to change and to put into another message.

    Args:
        raw: Pairs of bytes.
    """

    def __init__(self, raw: Iterable[Iterable[bytes]]) -> None:
        self.raw: list[tuple[bytes, bytes]] = [(bytes(n), bytes(v)) for n, v in raw]

    def __iter__(self) -> Iterator[str]:
        return iter([name.decode("latin-1") for name, _ in self.raw])

    def __setitem__(self, name: str, value: str) -> None:
        del self[name]
        self.add(name, value)

    def __delitem__(self, name: str) -> None:
        key = name.lower().encode("latin-1")
        self.raw = [pair for pair in self.raw if pair[0].lower() != key]

    def add(self, name: str, value: str) -> None:
        """Add a header, whatever others have this name."""
        self.raw.append((name.lower().encode("latin-1"), value.encode("latin-1")))

    def values_of(self, name: str) -> list[str]:
        """Return the values of all headers of a name, in their order."""
        key = name.lower().encode("latin-1")
        return [value.decode("latin-1") for each, value in self.raw if each.lower() == key]
