"""The command that encrypts stored sessions with the newest key."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import click

from sessionstore_sql.cli.exit_codes import ExitCode
from sessionstore_sql.cli.explaining import (
    CommandFailedError,
    failures_explained,
    require_database,
)
from sessionstore_sql.cli.interruption import Interruption, run
from sessionstore_sql.cli.keys import Keys, keys_option
from sessionstore_sql.cli.options import Place, place_options
from sessionstore_sql.cli.output import Output
from sessionstore_sql.cli.progress import Batches, Words
from sessionstore_sql.cli.revoke import walking
from sessionstore_sql.cli.subjects import audit
from sessionstore_sql.cli.wording import sessions
from sessionstore_sql.codec import ABOUT, StateCodec, for_purpose
from sessionstore_sql.errors import DeserializationError
from sessionstore_sql.sql.walk import BEFORE_ALL, Stored, Walk

if TYPE_CHECKING:
    from sessionstore_sql.encryption import EncryptedCodec

_WORDS = Words(doing="Encrypting", done="Encrypted")

_MAX_ROUNDS = 10
"""After so many rounds that all found something to do, other processes write with another key."""


class _Bytes:
    """The inner codec: what was encrypted stays as it is, whatever codec made it."""

    def encode(self, state: Any) -> Any:  # noqa: ANN401  # bytes, which are no state here
        return state

    def decode(self, data: Any) -> Any:  # noqa: ANN401
        return data


class _Found(enum.Enum):
    """What was done with a row."""

    CURRENT = "current"
    ENCRYPTED = "encrypted"
    CHANGED = "changed"
    """The application wrote it meanwhile: another round looks at it again."""
    UNREADABLE = "unreadable"


@click.command(short_help="Encrypt sessions with the newest key.")
@place_options
@keys_option
@click.option("--dry-run", is_flag=True, help="Only count the sessions.")
def reencrypt(place: Place, keys: Keys | None, dry_run: bool) -> ExitCode:
    """Encrypt stored sessions with the first key of --keys-file.

    It encrypts sessions that are encrypted with another key of the file, or not at all. Run it when
    every process of the application has the new key in front. It works in batches beside the
    application, skips what the application changes meanwhile, and repeats until it finds nothing.
    It can be interrupted at any time; the same command continues. Remove the old key when `stats`
    shows no session that it encrypts: one that is rotated meanwhile may be missed.
    """
    if keys is None or keys.encryption is None:
        raise click.UsageError("use --keys-file with a file that has `encryption` keys")
    try:
        from sessionstore_sql.encryption import EncryptedCodec  # noqa: PLC0415  # an extra

        codec = EncryptedCodec(keys.encryption, _Bytes(), allow_plain=True)
    except (ModuleNotFoundError, ValueError) as error:
        message = str(error)
    else:
        newest = next(iter(keys.encryption))
        return run(
            lambda interruption: _reencrypt(place, codec, newest, interruption, dry_run=dry_run),
            orderly=True,
        )
    raise click.BadParameter(message, param_hint="--keys-file")


async def _reencrypt(
    place: Place, codec: EncryptedCodec, newest: str, interruption: Interruption, *, dry_run: bool
) -> ExitCode:
    require_database(place)
    output = Output()
    output.head(place)
    async with failures_explained(place), walking(place) as walk:
        work = _Work(walk, codec, newest, dry_run=dry_run)
        batches = Batches(output, interruption, _WORDS, None)
        try:
            with batches.shown() as advance:
                rounds = 0
                while rounds < _MAX_ROUNDS and await work.round(advance, interruption):
                    rounds += 1
        finally:
            if dry_run:
                output.say(f"{sessions(batches.done)} would be encrypted.")
            else:
                output.say(audit(place, f"encrypted {sessions(batches.done)} with {newest!r}"))
    if interruption.requested.is_set():
        return interruption.announce()
    if work.unreadable:
        raise CommandFailedError(
            f"{sessions(work.unreadable)} cannot be decrypted: the key is not in the file, or the "
            "row was damaged. They were left as they are.",
            ExitCode.FAILED,
        )
    if rounds == _MAX_ROUNDS:
        raise CommandFailedError(
            "other processes keep writing sessions with another key: deploy the new key in front "
            "everywhere, and run the command again",
            ExitCode.TRY_AGAIN,
        )
    return ExitCode.DONE


class _Work:
    """Encrypts the rows of one table."""

    def __init__(self, walk: Walk, codec: EncryptedCodec, newest: str, *, dry_run: bool) -> None:
        self.unreadable = 0
        """Number of rows of the last round that cannot be decrypted."""
        self._walk = walk
        self._codec = codec
        self._about: StateCodec = for_purpose(codec, ABOUT)
        self._newest = newest
        self._dry_run = dry_run

    async def round(self, advance: Any, interruption: Interruption) -> bool:  # noqa: ANN401
        """Look at every row, and return whether another round is needed."""
        self.unreadable, is_clean, after = 0, True, BEFORE_ALL
        while rows := await self._walk.stored(after):
            after = rows[-1].key
            done = 0
            for row in rows:
                found = await self._encrypt(row)
                self.unreadable += found is _Found.UNREADABLE
                done += found is _Found.ENCRYPTED
                is_clean = is_clean and found in {_Found.CURRENT, _Found.UNREADABLE}
            advance(done)
            if interruption.requested.is_set():
                return False
        return not is_clean and not self._dry_run

    async def _encrypt(self, row: Stored) -> _Found:
        if row.state is None:
            return _Found.UNREADABLE
        try:
            state = self._renewed(self._codec, row.state)
            about = None if row.about is None else self._renewed(self._about, row.about)
        except DeserializationError:
            return _Found.UNREADABLE
        changed = Stored(row.key, state, about)
        if changed == row:
            return _Found.CURRENT
        if self._dry_run or await self._walk.replace(row, changed):
            return _Found.ENCRYPTED
        return _Found.CHANGED

    def _renewed(self, codec: StateCodec, data: bytes) -> bytes:
        """Return ``data`` under the newest key; unchanged, if it is already."""
        if self._codec.key_name(data) == self._newest:
            return data
        return codec.encode(codec.decode(data))
