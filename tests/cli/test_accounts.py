"""The commands that list and end the sessions of users."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import SessionHandle, SessionId, SessionRecord, SQLSessionStore
from sessionstore_sql.cli import subjects
from sessionstore_sql.sql.walk import Walk
from tests.cli.accounts import HOUR, OTHER_USER, USER, on_store, signed_in, with_input
from tests.cli.running import Command

SECRET = b"a secret key of 22 byt"


async def two_devices(store: SQLSessionStore) -> list[tuple[SessionId, SessionHandle]]:
    """Return two sessions of the user; another user and a visitor have one each."""
    await signed_in(store, OTHER_USER)
    await store.create(SessionId.generate(), SessionRecord({}, HOUR))
    return [
        await signed_in(store, USER, about={"device": "phone"}),
        await signed_in(store, USER, about={"device": "laptop"}),
    ]


async def live(store: SQLSessionStore) -> list[int]:
    """Return the numbers of live sessions of the user, of the other user, and of all."""
    async with store.engine.connect() as connection:
        table = store.engine.dialect.identifier_preparer.quote(store._pool.table)
        rows = (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()
    return [
        len(await store.sessions_of(USER)),
        len(await store.sessions_of(OTHER_USER)),
        rows,
    ]


def test_sessions_are_listed(made: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """With handles, times and what the application says of them; no id, state or user id."""
    mine = on_store(made, two_devices)

    ended = with_input(monkeypatch, f"{USER}\n", lambda: made("sessions", "--subject", "-"))

    assert (ended.code, ended.err) == (0, "")
    assert "2 live sessions." in ended.out
    for session_id, handle in mine:
        assert handle.value in ended.out
        assert session_id.value not in ended.out
    assert '{"device":"phone"}' in ended.out
    assert USER not in ended.out


def test_sessions_are_listed_as_json(made: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for each."""
    mine = on_store(made, two_devices)

    ended = with_input(monkeypatch, USER, lambda: made("sessions", "--subject", "-", "--json"))

    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert {line["handle"] for line in lines} == {handle.value for _, handle in mine}
    assert {line["about"]["device"] for line in lines} == {"phone", "laptop"}
    assert all(line["created"] <= line["seen"] < line["expires"] for line in lines)
    assert all(line["ends"] is None for line in lines)


@pytest.mark.every_driver
def test_all_sessions_of_a_user_are_ended(made: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of other users remain. The line for the audit log names no user."""
    on_store(made, two_devices)

    ended = with_input(monkeypatch, f"{USER}\r\n", lambda: made("revoke", "--subject", "-"))

    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(
        rf"[\d-]+ [\d:]+ UTC: \S+ ended 2 sessions of one user in {made.table} on \S+\n", ended.out
    )
    assert USER not in ended.out
    assert on_store(made, live) == [0, 1, 2]


def test_only_one_session_is_ended(made: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that the handle names."""
    (_, lost), (_, kept) = on_store(made, two_devices)

    ended = with_input(
        monkeypatch, USER, lambda: made("revoke", "--subject", "-", "--only", lost.value)
    )

    assert "ended 1 session of one user" in ended.out
    (left,) = on_store(made, lambda store: store.sessions_of(USER))
    assert left.handle == kept


def test_all_but_one_are_ended(made: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session that the handle names remains."""
    _, (_, kept) = on_store(made, two_devices)

    with_input(monkeypatch, USER, lambda: made("revoke", "--subject", "-", "--keep", kept.value))

    (left,) = on_store(made, lambda store: store.sessions_of(USER))
    assert left.handle == kept


def test_a_dry_run_ends_nothing(made: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints how many sessions would be ended, in each form of the command."""
    _, (_, handle) = on_store(made, two_devices)

    def counted(*arguments: str) -> str:
        ended = with_input(monkeypatch, USER, lambda: made("revoke", *arguments, "--dry-run"))
        assert (ended.code, ended.err) == (0, "")
        return ended.out.splitlines()[-1]

    assert counted("--subject", "-") == "2 sessions would be ended."
    assert counted("--subject", "-", "--only", handle.value) == "1 session would be ended."
    assert counted("--subject", "-", "--keep", handle.value) == "1 session would be ended."
    assert counted("--everybody") == "4 sessions would be ended."
    assert counted("--older-than", "1h") == "0 sessions would be ended."
    assert on_store(made, live) == [2, 1, 4]


@pytest.mark.every_driver
def test_all_sessions_are_ended(made: Command) -> None:
    """Those of visitors too, in batches."""

    async def many(store: SQLSessionStore) -> None:
        await two_devices(store)
        record = SessionRecord({}, HOUR)
        await asyncio.gather(*(store.create(SessionId.generate(), record) for _ in range(250)))

    on_store(made, many)

    ended = made("revoke", "--everybody", "--yes")

    assert (ended.code, ended.err) == (0, "")
    assert "ended 254 sessions of all users" in ended.out
    assert on_store(made, live) == [0, 0, 0]


def test_old_sessions_are_ended(made: Command) -> None:
    """Those that began longer ago, and those without a recorded beginning."""
    (old_id, _), _ = on_store(made, two_devices)

    async def age(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            # By id, as SQLite's clock can give two sessions one millisecond.
            place = "(SELECT id FROM (SELECT id FROM {} ORDER BY created {} LIMIT 1) AS chosen)"
            oldest, latest = place.format(made.table, ""), place.format(made.table, "DESC")
            month = 31 * 86_400 * 1_000_000
            for change in (
                f"SET created = created - {month} WHERE id = {oldest}",
                f"SET created = NULL WHERE id = {latest}",
            ):
                await connection.execute(text(f"UPDATE {made.table} {change}"))

    made.on_database(age)

    ended = made("revoke", "--older-than", "30d", "--yes")

    assert "ended 2 sessions that began over 30 d ago" in ended.out
    assert sum(on_store(made, live)[:2]) in {1, 2}
    assert on_store(made, live)[2] == 2
    assert old_id is not None


def test_no_session_is_older_than_the_clock(made: Command) -> None:
    """An age of millions of years is no number that the database lacks."""
    on_store(made, two_devices)

    ended = made("revoke", "--older-than", "999999999d", "--yes")

    assert (ended.code, ended.err) == (0, "")
    assert "ended 0 sessions" in ended.out


def test_a_session_that_is_rotated_meanwhile_is_ended(
    made: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its new key may be behind the walk."""
    ids = on_store(made, two_devices)
    behind = SessionId("0")  # any id: it is moved after the walk has seen every key
    original = Walk.keys

    async def keys(self: Walk, after: bytes, created_until: int) -> Sequence[bytes]:
        found = await original(self, after, created_until)
        if found and after == b"" and ids:
            # A key that the walk has read is gone by the time it is deleted.
            old_id, _ = ids.pop()
            async with SQLSessionStore(made.url, table=made.table) as store:
                await store.change_id(old_id, behind)
        return found

    monkeypatch.setattr(Walk, "keys", keys)
    ids = ids[:1]

    ended = made("revoke", "--everybody", "--yes")

    assert "ended 4 sessions of all users" in ended.out
    assert on_store(made, live)[2] == 0


def test_an_interrupted_command_says_what_it_did(
    made: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends after the running batch, and the next one continues."""

    async def many(store: SQLSessionStore) -> None:
        record = SessionRecord({}, HOUR)
        await asyncio.gather(*(store.create(SessionId.generate(), record) for _ in range(150)))

    on_store(made, many)
    original = Walk.delete

    async def delete(self: Walk, keys: Sequence[bytes]) -> int:
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0.05)  # the loop runs the handler
        return await original(self, keys)

    with monkeypatch.context() as patched:
        patched.setattr(Walk, "delete", delete)
        first = made("revoke", "--everybody", "--yes")
    second = made("revoke", "--everybody", "--yes")

    assert first.code == 143
    assert "ended 100 sessions of all users" in first.out
    assert "Interrupted by SIGTERM." in first.err
    assert "ended 50 sessions of all users" in second.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "use one of --subject -, --everybody and --older-than"),
        (["--everybody", "--subject", "-"], "use one of"),
        (["--everybody", "--only", "A" * 22], "--only and --keep need --subject -"),
        (["--subject", "-", "--only", "A" * 22, "--keep", "A" * 22], "exclude each other"),
        (["--subject", "-", "--only", "short"], "a session handle is 16 bytes"),
        (["--subject", USER], "only - is accepted"),
        (["--everybody"], "no terminal to ask for confirmation: use --yes"),
        (["--older-than", "soon", "--yes"], "write a duration"),
    ],
)
def test_wrong_usage(
    local: Command, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is connected to, and the user id is not repeated."""
    ended = with_input(monkeypatch, USER, lambda: local("revoke", *arguments))

    assert ended.code == 2
    assert message in ended.err
    assert USER not in ended.err
    assert not Path(str(local.url.database)).exists()


@pytest.mark.parametrize("text_given", ["", "\n", "x" * 1025, "\ud800"])
def test_an_invalid_user_id(
    local: Command, text_given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is wrong usage."""
    ended = with_input(monkeypatch, text_given, lambda: local("sessions", "--subject", "-"))

    assert ended.code == 2
    assert "the user id on standard input is not" in ended.err


class Endless(io.RawIOBase):
    """Standard input that has no end, as that of ``yes | sessionstore-sql ..``."""

    read_bytes = 0

    def readable(self) -> bool:
        """It is read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer."""
        self.read_bytes += len(buffer)
        assert self.read_bytes < 1_000_000
        buffer[:] = b"y" * len(buffer)
        return len(buffer)


def test_a_user_id_without_an_end(local: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read to its end to tell that it is too long."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Endless())))

    ended = local("revoke", "--subject", "-")

    assert ended.code == 2
    assert "a subject has 1 to 1024 characters" in ended.err


@pytest.mark.parametrize("user", ["naïve", "a\rb", "a\r\nb", "\U0001f600" * 1024])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_user_id_is_read_as_it_was_written(
    local: Command, monkeypatch: pytest.MonkeyPatch, user: str, end: str
) -> None:
    """Not in the encoding of the locale, and with the characters that a text may change."""
    local("upgrade")
    on_store(local, lambda store: signed_in(store, user))
    on_store(local, lambda store: signed_in(store, "a\nb"))

    ended = with_input(
        monkeypatch, f"{user}{end}", lambda: local("revoke", "--subject", "-"), encoding="latin-1"
    )

    assert "ended 1 session of one user" in ended.out
    assert len(on_store(local, lambda store: store.sessions_of(user))) == 0
    assert len(on_store(local, lambda store: store.sessions_of("a\nb"))) == 1


def test_what_is_said_of_a_session_does_not_reach_the_terminal(
    local: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser may send the characters that terminals obey, of which JSON escapes only some."""
    local("upgrade")
    about = {"browser": "\x1b[2J \x9b2J \u202e \x07 \x7f ünï \U0001f600"}
    on_store(local, lambda store: signed_in(store, USER, about=about))

    ended = with_input(monkeypatch, USER, lambda: local("sessions", "--subject", "-"))

    assert not set(ended.out) & set("\x1b\x9b\u202e\x07\x7f")
    assert "\\u009b2J" in "".join(ended.out.split())
    assert "ünï" in ended.out


def test_a_table_of_the_first_revision(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which command to run."""
    command("upgrade", "sessionstore_0001")

    listed = with_input(monkeypatch, USER, lambda: command("sessions", "--subject", "-"))
    revoked = command("revoke", "--everybody", "--yes")

    for ended in (listed, revoked):
        assert ended.code == 3
        assert "run `sessionstore-sql upgrade`" in ended.err


def test_users_under_a_secret_key(
    made: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They are found with the file of the keys, and not without it."""
    keys_file = tmp_path / "keys.json"
    keys_file.write_text(json.dumps({"subjects": [base64.b64encode(SECRET).decode(), None]}))
    on_store(made, two_devices, subject_keys=(SECRET,))

    def listed(*arguments: str) -> str:
        return with_input(
            monkeypatch, USER, lambda: made("sessions", "--subject", "-", *arguments)
        ).out

    assert "0 live sessions." in listed()
    assert "2 live sessions." in listed("--keys-file", str(keys_file))
    monkeypatch.setenv("SESSIONSTORE_KEYS_FILE", str(keys_file))
    assert "2 live sessions." in listed()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "the file is not JSON"),
        ("[]", "the file contains an object"),
        ('{"other": 1}', "the file contains an object"),
        ('{"encryption": {}}', "`encryption` is an object of names and keys"),
        ('{"subjects": "x"}', "`subjects` is a list"),
        ('{"subjects": ["not base64!"]}', "every key is a text in base64"),
        ('{"subjects": ["c2hvcnQ="]}', "16"),
        ('{"encryption": {"a": "c2hvcnQ="}}', "a key has 32 bytes"),
    ],
)
def test_a_wrong_file_with_keys(
    made: Command, content: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is wrong usage, and nothing of the file is shown."""
    path = tmp_path / "keys.json"
    path.write_text(content)

    ended = with_input(
        monkeypatch, USER, lambda: made("sessions", "--subject", "-", "--keys-file", str(path))
    )

    assert ended.code == 2
    assert message in ended.err
    assert "c2hvcnQ" not in ended.err


def test_a_container_without_a_name_for_its_user(
    local: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line for the audit log says that the name is unknown."""

    def fail() -> str:
        raise KeyError("uid not found: 10001")

    local("upgrade")
    monkeypatch.setattr(subjects.getpass, "getuser", fail)  # type: ignore[attr-defined]

    assert " UTC: unknown ended 0 sessions" in local("revoke", "--everybody", "--yes").out
