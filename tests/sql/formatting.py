"""Lays the text of a statement out in lines, so that a snapshot can be read and compared."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

WIDTH = 84
"""Maximum length of a line in a snapshot, if the statement can be broken there."""

_TOKEN = re.compile(
    r"""
      '(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*`      # literals and quoted names
    | /\*.*?\*/                                             # hints
    | ON\ CONFLICT | ORDER\ BY | GROUP\ BY | FOR\ UPDATE | FOR\ SHARE | LOCK\ IN
    | LEFT\ JOIN | UNION\ ALL | JOIN\ LATERAL | DELETE\ FROM
    | [(),] | [^\s(),'"`]+ | \s
    """,
    re.VERBOSE | re.DOTALL,
)
_STARTS_LINE = {
    *("FROM", "WHERE", "AND", "SET", "VALUES", "ON CONFLICT", "RETURNING", "ORDER BY"),
    *("GROUP BY", "LIMIT", "FOR UPDATE", "FOR SHARE", "LOCK IN", "JOIN", "LEFT JOIN"),
    *("JOIN LATERAL", "STRAIGHT_JOIN", "UNION ALL"),
}
_STARTS_STATEMENT = {"SELECT", "INSERT", "UPDATE", "DELETE", "DELETE FROM"}


def formatted(statement: str) -> str:
    """Return a statement with one clause per line, and subqueries indented.

    Only white space changes.
    """
    lines = [""]
    open_queries: list[bool] = []
    """For each open parenthesis, whether it contains a statement."""
    tokens: list[str] = _TOKEN.findall(" ".join(statement.split()))
    words = [token for token in tokens if token != " "]
    position = 0  # of the token among the words
    for token in tokens:
        if token == " ":
            lines[-1] += " "
            continue
        before = words[position - 1] if position else ""
        position += 1
        if token == ")":
            closes_query = bool(open_queries) and open_queries.pop()
            if closes_query:
                lines.append("    " * sum(open_queries))
        elif _starts_line(token, before, in_query=all(open_queries[-1:])):
            lines.append("    " * sum(open_queries))
        lines[-1] += token
        if token == "(":
            open_queries.append(words[position] in _STARTS_STATEMENT)
            if open_queries[-1]:
                lines.append("    " * sum(open_queries))
    return "\n".join(part for line in lines if line.strip() for part in _wrapped(line.rstrip()))


def _starts_line(token: str, before: str, *, in_query: bool) -> bool:
    if not in_query or before == "AS":
        return False
    # After a parenthesis: the main statement that follows common table expressions.
    return token in _STARTS_LINE or (token in _STARTS_STATEMENT and before == ")")


def _wrapped(line: str) -> Iterator[str]:
    indent = line[: len(line) - len(line.lstrip())]
    yield from textwrap.wrap(
        line.strip(),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
