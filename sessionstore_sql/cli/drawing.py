"""Prints statistics as a page for a terminal: numbers, then histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.console import Group
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sessionstore_sql.cli.wording import number, share, size, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from sessionstore_sql.cli.options import Place
    from sessionstore_sql.cli.output import Output
    from sessionstore_sql.statistics import (
        Count,
        Expiry,
        Kinds,
        Size,
        StateSizes,
        Statistics,
        Storage,
        Vacuum,
    )

_LIVE, _EXPIRED, _STATES = "cyan", "yellow", "blue"
_LABEL_WIDTH, _VALUE_WIDTH, _SHARE_WIDTH = 18, 14, 7
_MIN_BAR, _MAX_BAR = 4, 60
_BESIDE_BAR = 2 + _LABEL_WIDTH + _VALUE_WIDTH + 2 + _SHARE_WIDTH + 2
MIN_WIDTH = _BESIDE_BAR + _MIN_BAR
"""A narrower terminal wraps the lines, so that no number is cut off."""


class Fact(NamedTuple):
    """A line of a table of values."""

    label: str
    value: str
    remark: str = ""


class _Row(NamedTuple):
    """A line of a histogram."""

    label: str
    members: int
    style: str


class _Scale(NamedTuple):
    """The length of bars."""

    width: int
    """In characters."""
    steps: int
    """Number of different lengths, without the empty bar."""


def draw(found: Statistics, place: Place, output: Output) -> None:
    """Print all statistics, as wide as the terminal."""
    output.head(place)
    output.say(f"{found.taken_at:%Y-%m-%d %H:%M:%S} UTC, by the database's clock", style="dim")
    width = min(max(output.width - _BESIDE_BAR, _MIN_BAR), _MAX_BAR)
    # Without Unicode, half a character is a blank.
    scale = _Scale(width, steps=width if output.options.ascii_only else 2 * width)
    for part in _parts(found, scale):
        output.print()
        output.print(part)


def facts(lines: Sequence[Fact]) -> RenderableType:
    """Return a table of labels, values and remarks."""
    table = _table()
    table.add_column(style="dim")
    for line in lines:
        table.add_row(*line)
    return Padding.indent(table, 2)


def _counts(live: Count, expired: Count) -> list[Fact]:
    return [
        Fact(
            "live",
            number(live.sessions),
            "estimated; --exact counts" if live.estimated else "",
        ),
        Fact(
            "expired",
            number(expired.sessions),
            f"{share(expired.sessions, live.sessions + expired.sessions)} of all"
            + (", estimated" if expired.estimated else ""),
        ),
    ]


def _parts(found: Statistics, scale: _Scale) -> Iterator[RenderableType]:
    lines = _counts(found.live, found.expired)
    if found.oldest_expired is not None:
        lines.append(Fact("oldest expired", f"{span(found.oldest_expired)} ago", "within 5 min"))
    yield facts(lines)
    kinds = found.kinds
    if kinds is None:
        yield _heading("Kinds", "not read: it took too long")
    elif kinds.measured:
        yield _section("Kinds", facts(_kinds(kinds)), f"sample of {number(kinds.measured)}")
    yield _section("Time to expiry", _histogram(_expiry_rows(found.expiries), scale))
    states = found.states
    if states is None:
        yield _heading("Size of states", "not measured: it took too long")
    else:
        histogram = _histogram(_size_rows(states.histogram), scale)
        sample = f"sample of {number(states.measured)}"
        yield _section("Size of states", histogram, sample)
        if states.measured:
            yield facts(_sizes(states, found.live.sessions + found.expired.sessions))
    yield _section("On disk", facts(_space(found.storage)))


def _kinds(kinds: Kinds) -> list[Fact]:
    total = kinds.signed_in + kinds.anonymous
    lines = [
        Fact("signed in", number(kinds.signed_in), share(kinds.signed_in, total)),
        Fact("anonymous", number(kinds.anonymous), share(kinds.anonymous, total)),
    ]
    if set(kinds.keys) != {None}:
        lines += [
            Fact("not encrypted" if key is None else f"key {key}", number(count))
            for key, count in kinds.keys.items()
        ]
    return lines


def _expiry_rows(expiries: Sequence[Expiry]) -> list[_Row]:
    return [
        _Row(
            _expiry_label(each),
            each.sessions,
            _LIVE if each.until is None or each.until.total_seconds() > 0 else _EXPIRED,
        )
        for each in expiries
    ]


def _expiry_label(expiry: Expiry) -> str:
    after, until = expiry.after, expiry.until
    if after is None:
        assert until is not None
        return f"over {span(until)} ago"
    if until is None:
        return f"over {span(after)}"
    if not until:
        return f"up to {span(after)} ago"
    if not after:
        return f"within {span(until)}"
    if until.total_seconds() < 0:
        return f"{span(until)} to {span(after)} ago"
    return f"{span(after)} to {span(until)}"


def _size_rows(sizes: Sequence[Size]) -> list[_Row]:
    rows: list[_Row] = []
    for each in sizes:
        if each.below is None:
            label = f"{size(each.at_least)} or more"
        elif each.at_least == 0:
            label = f"below {size(each.below)}"
        else:
            label = f"{size(each.at_least)} to {size(each.below)}"
        rows.append(_Row(label, each.states, _STATES))
    return rows


def _sizes(states: StateSizes, sessions: int) -> list[Fact]:
    return [
        Fact("median", size(states.median), f"mean {size(states.mean)}"),
        Fact("95th percentile", size(states.p95)),
        Fact("99th percentile", size(states.p99), f"largest {size(states.largest)}"),
        Fact("all states", size(states.total), "estimated" if states.measured < sessions else ""),
    ]


def _space(storage: Storage) -> list[Fact]:
    values = (
        ("table", storage.table_bytes, ""),
        ("indexes", storage.index_bytes, ""),
        ("database file", storage.file_bytes, "including other tables"),
        ("free", storage.reusable_bytes, "reusable for new rows"),
    )
    lines = [
        Fact(label, size(value), remark) for label, value, remark in values if value is not None
    ]
    return lines if storage.vacuum is None else [*lines, *_vacuum(storage.vacuum)]


def _vacuum(vacuum: Vacuum) -> list[Fact]:
    last = "never" if vacuum.since_last is None else f"{span(vacuum.since_last)} ago"
    lines = [Fact("dead rows", number(vacuum.dead_rows), f"last vacuum: {last}")]
    if vacuum.hot_updates is not None:
        remark = "of the updates left the indexes unchanged"
        lines.append(Fact("HOT updates", share(vacuum.hot_updates, 1), remark))
    return lines


def _section(title: str, content: RenderableType, remark: str = "") -> RenderableType:
    return Group(_heading(title, remark), content)


def _heading(title: str, remark: str = "") -> Text:
    return Text.assemble((title, "bold"), ("  " + remark if remark else "", "dim"))


def _histogram(rows: Sequence[_Row], scale: _Scale) -> RenderableType:
    """Return the rows from the first to the last that is not empty."""
    filled = [place for place, row in enumerate(rows) if row.members]
    if not filled:
        return Text("  none", style="dim")
    total, most = sum(row.members for row in rows), max(row.members for row in rows)
    table = _table()
    table.add_column(justify="right", min_width=_SHARE_WIDTH, style="dim")
    table.add_column()
    for row in rows[filled[0] : filled[-1] + 1]:
        part = share(row.members, total)
        table.add_row(row.label, number(row.members), part, _bar(row, most, scale))
    return Padding.indent(table, 2)


def _bar(row: _Row, most: int, scale: _Scale) -> ProgressBar:
    """Return a bar as long as the row's share of ``most``. Only an empty row has an empty bar."""
    steps = max(round(scale.steps * row.members / most), 1 if row.members else 0)
    return ProgressBar(
        total=scale.steps,
        completed=steps,
        width=scale.width,
        complete_style=row.style,
        finished_style=row.style,
    )


def _table() -> Table:
    """Return a table whose first two columns have the same width in every part of the page."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(min_width=_LABEL_WIDTH - 2, no_wrap=True)
    table.add_column(min_width=_VALUE_WIDTH, no_wrap=True, justify="right")
    return table
