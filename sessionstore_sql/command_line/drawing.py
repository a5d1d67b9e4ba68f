"""Statistics as a page for a terminal: numbers first, then how they are spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from sessionstore_sql.command_line.wording import number, share, size, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sessionstore_sql.command_line.options import Place
    from sessionstore_sql.command_line.output import Output
    from sessionstore_sql.statistics import (
        Expiry,
        Size,
        StateSizes,
        Statistics,
        Storage,
        Vacuum,
    )

_LIVE, _EXPIRED, _STATES = "cyan", "yellow", "blue"
_LABEL_WIDTH, _NUMBER_WIDTH, _SHARE_WIDTH, _GAP = 20, 14, 8, 2
_NARROWEST_BAR, _WIDEST_BAR = 4, 60
_EIGHTHS = " ▏▎▍▌▋▊▉"


class _Fact(NamedTuple):
    label: str
    value: str
    remark: str = ""


class _Row(NamedTuple):
    label: str
    members: int
    style: str


def draw(found: Statistics, place: Place, output: Output) -> None:
    """Print all of it, as wide as the terminal."""
    output.head(place)
    output.say(f"{found.taken_at:%Y-%m-%d %H:%M:%S} UTC, by the database's clock", style="dim")
    output.print()
    output.print(_facts(_counts(found)))

    output.print(_heading("Time to expiry"))
    output.print(_histogram(_expiry_rows(found.expiries), output))

    states = found.states
    if states is None:
        output.print(_heading("Size of states", "not measured: it took too long"))
    else:
        output.print(_heading("Size of states", f"of {number(states.measured)} of them"))
        output.print(_histogram(_size_rows(states.histogram), output))
        if states.measured:
            output.print()
            output.print(_facts(_sizes(states, found)))

    output.print(_heading("On disk"))
    output.print(_facts(_room(found.storage)))


def _counts(found: Statistics) -> list[_Fact]:
    total = found.live.sessions + found.expired.sessions
    facts = [
        _Fact(
            "live",
            number(found.live.sessions),
            "estimated, give or take 5 %; --exact counts" if found.live.estimated else "",
        ),
        _Fact(
            "expired",
            number(found.expired.sessions),
            f"{share(found.expired.sessions, total)} of all"
            + (", estimated" if found.expired.estimated else ""),
        ),
    ]
    if found.oldest_expired is not None:
        facts.append(_Fact("oldest expired", f"{span(found.oldest_expired)} ago", "within 5 min"))
    return facts


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
    rows = []
    for each in sizes:
        if each.below is None:
            label = f"{size(each.at_least)} or more"
        elif each.at_least == 0:
            label = f"below {size(each.below)}"
        else:
            label = f"{size(each.at_least)} to {size(each.below)}"
        rows.append(_Row(label, each.states, _STATES))
    return rows


def _sizes(states: StateSizes, found: Statistics) -> list[_Fact]:
    total = found.live.sessions + found.expired.sessions
    spread = f"95 % up to {size(states.p95)}, 99 % up to {size(states.p99)}"
    return [
        _Fact("half of them up to", size(states.median), spread),
        _Fact("largest", size(states.largest), f"mean {size(states.mean)}"),
        _Fact("all states", size(states.total), "estimated" if states.measured < total else ""),
    ]


def _room(storage: Storage) -> list[_Fact]:
    facts = []
    for label, value, remark in (
        ("table", storage.table_bytes, ""),
        ("indexes", storage.index_bytes, ""),
        ("file", storage.file_bytes, "with everything in it"),
        ("free in it", storage.reusable_bytes, "for new rows"),
    ):
        if value is not None:
            facts.append(_Fact(label, size(value), remark))
    if storage.vacuum is not None:
        facts += _upkeep(storage.vacuum, storage.table_bytes or 0)
    return facts


def _upkeep(vacuum: Vacuum, table_bytes: int) -> list[_Fact]:
    vacuumed = "never" if vacuum.since_last is None else f"{span(vacuum.since_last)} ago"
    bloat = share(vacuum.bloat_bytes, table_bytes)
    facts = [
        _Fact(
            "bloat",
            size(vacuum.bloat_bytes),
            f"{bloat} of the table, estimated",
        ),
        _Fact("dead rows", number(vacuum.dead_rows), f"last vacuumed {vacuumed}"),
    ]
    if vacuum.hot_updates is not None:
        facts.append(_Fact("HOT updates", share(vacuum.hot_updates, 1), "left the indexes alone"))
    return facts


def _heading(title: str, remark: str = "") -> Text:
    return Text.assemble("\n", (title, "bold"), ("  " + remark if remark else "", "dim"))


def _facts(facts: Sequence[_Fact]) -> Text:
    return _lines(
        Text.assemble(_columns(fact.label, fact.value), (fact.remark, "dim")) for fact in facts
    )


def _histogram(rows: Sequence[_Row], output: Output) -> Text:
    """Return the rows from the first to the last that is not empty."""
    counted = [place for place, row in enumerate(rows) if row.members]
    if not counted:
        return Text("  none", style="dim")
    total, most = sum(row.members for row in rows), max(row.members for row in rows)
    room = output.width - _LABEL_WIDTH - _NUMBER_WIDTH - _SHARE_WIDTH - 2 * _GAP
    width = min(max(room, _NARROWEST_BAR), _WIDEST_BAR)
    bar = _ascii_bar if output.options.ascii_only else _bar
    return _lines(
        Text.assemble(
            _columns(row.label, number(row.members)),
            (f"{share(row.members, total):>{_SHARE_WIDTH}}", "dim"),
            " " * _GAP,
            (bar(row.members / most, width), row.style),
        )
        for row in rows[counted[0] : counted[-1] + 1]
    )


def _columns(label: str, value: str) -> str:
    return f"  {label}".ljust(_LABEL_WIDTH) + value.rjust(_NUMBER_WIDTH) + " " * _GAP


def _lines(lines: Iterable[Text]) -> Text:
    kept = list(lines)
    for line in kept:
        line.rstrip()
    return Text("\n", no_wrap=True, overflow="ignore").join(kept)


def _bar(part: float, width: int) -> str:
    """Return a bar in eighths of a character; where there is something, it has some length."""
    eighths = max(round(8 * width * part), 1 if part else 0)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def _ascii_bar(part: float, width: int) -> str:
    """Return a bar for an encoding without blocks."""
    return "#" * max(round(width * part), 1 if part else 0)
