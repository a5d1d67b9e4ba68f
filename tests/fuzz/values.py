"""Values for the entry points: valid, nearly valid and hostile."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from sqlalchemy.sql import quoted_name

from sessionstore_sql.records import MAX_TTL
from tests.fuzz import hostile
from tests.fuzz.hostile import SECRET


def mostly(
    valid: st.SearchStrategy[Any], otherwise: st.SearchStrategy[Any], share: int = 3
) -> st.SearchStrategy[Any]:
    """Return ``share`` valid values for each invalid one, so that calls get further."""
    return st.integers(0, share).flatmap(lambda drawn: otherwise if drawn == share else valid)


_PIECES = [
    *("'", '"', "`", "\\", "%", "%s", "%%", "%(key)s", "%(", "{}", "{0}", ":name", "::", "$1", "?"),
    *("--", ";", "/*", "*/", "#", "\0", "\n", "\r", "\t", "\x1a", "\x1b[31m", "\x7f", "\x85"),
    *("\ud800", "\udfff", "\u202e", "\u200f", "\u2028", "\ufeff", "\uffff", "😀", "é", "e\u0301"),
    *("__[POSTCOMPILE_key]", "__[SCHEMA_x]", "; DROP TABLE sessionstore_sessions; --", "' OR 1=1"),
    *(" ", ".", "..", "/", "null", "select", "main", "x" * 47, "x" * 1_024, "=", "&", "@", "+"),
]

pieces = st.lists(st.sampled_from(_PIECES) | st.text(max_size=4), max_size=4).map("".join)
texts = st.one_of(
    pieces, st.text(max_size=20), st.sampled_from(["", "a", SECRET, hostile.StrAndNoMore("abc")])
)
anything = st.one_of(
    st.sampled_from(hostile.objects()),
    st.integers(),
    st.floats(),
    st.binary(max_size=5),
    st.booleans(),
)

secret_texts = texts.map(lambda each: SECRET + each)
id_values = mostly(st.one_of(secret_texts, texts), anything)

durations = mostly(
    st.one_of(
        st.timedeltas(timedelta(0), MAX_TTL),
        st.sampled_from([timedelta(0), timedelta(microseconds=1), MAX_TTL]),
        st.builds(hostile.TimedeltaAndNoMore, hours=st.integers(0, 5)),
    ),
    st.one_of(
        st.timedeltas(),
        st.sampled_from([timedelta.min, timedelta.max, MAX_TTL + timedelta.resolution]),
        anything,
    ),
)
batch_sizes = mostly(
    st.one_of(
        st.none(),
        st.integers(1, 5),
        st.sampled_from([2**31, 2**63, 2**64, 10**400]),
        st.sampled_from([hostile.IntAndNoMore(2), hostile.Number.ONE]),
    ),
    st.one_of(st.integers(-2, 0), st.sampled_from([-(10**400), 1.0, math.nan, "1"]), anything),
)

# Created anew each time, because some change when they are read.
_json_like = st.integers(0, len(hostile.json_like()) - 1).map(
    lambda index: hostile.json_like()[index]
)
_json = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), secret_texts
)
_no_json = st.one_of(
    st.sampled_from(
        [
            *(2**64, -(2**63) - 1, 10**400, Decimal(1), UUID(int=1), date(2026, 1, 1)),
            *(datetime(2026, 1, 1, tzinfo=UTC), timedelta(1), -0.0, 5e-324, 1.7976931348623157e308),
        ]
    ),
    st.sampled_from(hostile.objects()),
    st.builds(hostile.Masked),
)
_scalars = mostly(_json, st.one_of(_no_json, _json_like), 2)
_keys = mostly(
    st.text(max_size=5), st.one_of(pieces, st.integers(), st.sampled_from([None, (), True, b"x"]))
)
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_keys, inner, max_size=3), st.tuples(inner)
    ),
    max_leaves=6,
)


def _circle(depth: int) -> dict[str, Any]:
    state: dict[str, Any] = {"secret": SECRET}
    inner: Any = state
    for _ in range(depth):
        inner = [inner]
    state["self"] = inner
    return state


def _deep(depth: int) -> dict[str, Any]:
    state: Any = SECRET
    for level in range(depth):
        state = [state] if level % 2 else {"a": state}
    return {"deep": state}


states = mostly(
    st.dictionaries(_keys, _values, max_size=3),
    st.one_of(
        st.integers(0, 5).map(_circle),
        st.sampled_from([1, 200, 249, 250, 251, 253, 254, 255, 1_000, 100_000]).map(_deep),
        _json_like,
        anything,
    ),
)

_VALID = f'{{"secret":"{SECRET}","a":[1,{{"b":null}}]}}'.encode()


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """Return an encoded state with a flipped bit, or with a part removed or inserted."""
    data = bytearray(_VALID)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.sampled_from(["turn", "cut", "put", "end"])):
            case "turn":
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut" if len(data) > 1:
                del data[at]
            case "put":
                data[at:at] = draw(st.binary(max_size=3))
            case "end" if at > 0:
                del data[at:]
    return bytes(data)


stored_states = st.one_of(
    _damaged(),
    st.binary(max_size=30),
    st.sampled_from(
        [
            *(b"", b"null", b"[]", b'"x"', b"1", b"{", b"{}x", b"\0{}", b"\1{}", b"\xef\xbb\xbf{}"),
            *(
                b'{"a":\xff}',
                b'{"a":"\xed\xa0\x80"}',
                b'{"a":NaN}',
                b'{"a":1e999}',
                b'{"a":"\\ud800"}',
            ),
            *(b"[" * 100_000, b'{"a":' * 100_000, b"\xff" * 100_000, b'{"a":1,"a":2}'),
            ('{"a":1}').encode("utf-16"),
        ]
    ),
)
"""Values in place of a state."""

names = mostly(
    st.one_of(
        pieces,
        texts,
        pieces.map(lambda each: quoted_name(each, quote=False)),
        st.sampled_from(["sessionstore_sessions", "pg_class", "sqlite_master", "x" * 48, "é" * 24]),
    ),
    anything,
)

_hosts = st.sampled_from(
    ["", "localhost", "127.0.0.1", "[::1]", "[", "a..b", "a" * 300, "h:1", "h:99999999", "\0", "é"]
)
_drivers = st.sampled_from(
    [
        *("sqlite", "sqlite+aiosqlite", "postgresql", "postgres", "postgresql+psycopg", "mysql"),
        *("mariadb", "mysql+asyncmy", "mariadb+asyncmy", "sqlite+pysqlite", "oracle", "", "x+y"),
    ]
)
_options = st.sampled_from(
    [
        *("timeout", "connect_timeout", "command_timeout", "key", "host", "port", "plugin", "mode"),
        *("prepared_statement_cache_size", "options", "ssl", "sslmode", "password", "uri", "vfs"),
        *("charset", "unix_socket", "client_flag", "isolation_level", "check_same_thread", "a b"),
        *("cache", "user", "database", "read_timeout", "local_infile", "autocommit", "plugins"),
    ]
)
_option_values = st.one_of(
    st.sampled_from(["1", "true", "memory", "abc", SECRET, f"{SECRET}:1", "a:1", "", "1e999"]),
    pieces.map(lambda each: SECRET + each),
)


@st.composite
def url_texts(draw: st.DrawFn) -> str:
    """Return a valid or nearly valid URL with secrets in its password and query."""
    user = draw(st.sampled_from(["", f"u:{SECRET}@", f"u:{SECRET}/%@", f":{SECRET}@"]))
    database = draw(st.sampled_from(["", "/db", "/:memory:", "/file:x", "/" + "x" * 300]))
    query = "&".join(
        f"{name}={value}"
        for name, value in draw(st.lists(st.tuples(_options, _option_values), max_size=3))
    )
    colon = draw(st.sampled_from(["://", "://", "://", ":/", ""]))
    host = draw(_hosts)
    return draw(_drivers) + colon + user + host + database + (f"?{query}" if query else "")


urls = mostly(url_texts(), st.one_of(texts, anything), 5)

_innocent = st.one_of(
    pieces, st.integers(-1, 5), st.floats(), st.sampled_from([None, True, object, print, (), [1]])
)
_option_names = st.sampled_from(
    [
        *("pool_size", "poolclass", "max_overflow", "pool_timeout", "isolation_level", "echo"),
        *("url", "plugins", "nonsense", "execution_options", "hide_parameters", "creator"),
        *("pool_reset_on_return", "module", "query_cache_size", "paramstyle", "future", "dialect"),
    ]
)
_connect_args = st.dictionaries(pieces, st.just(SECRET) | anything, max_size=2) | anything

engine_options = mostly(
    st.builds(
        lambda options, connect_args: {**options, **connect_args},
        st.dictionaries(_option_names | pieces, _innocent, max_size=3),
        st.just({}) | st.fixed_dictionaries({"connect_args": _connect_args}),
    ),
    anything.filter(lambda each: type(each) is not dict),
)
"""Options with secrets in their values; names of options are not secret."""
