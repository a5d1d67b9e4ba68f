"""The kit for account sessions: each mistake of a backend fails the test that is about it."""

from __future__ import annotations

from functools import cache
from textwrap import dedent, indent

import pytest

from tests.kits import failed_tests

HEADER = """
import asyncio, random
from dataclasses import replace
from datetime import timedelta
import pytest
from sessionstore_sql import *
from sessionstore_sql.errors import for_operation
from sessionstore_sql.testing import *
from sessionstore_sql.testing.memory_rows import Account, SignedIn
from sessionstore_sql.testing.memory_table import MemoryTable

HOUR = timedelta(hours=1)
"""

CLASSES = """
class {name}Table(MemoryTable):
{table}
    pass

class {name}(MemorySessionStore):
    def __init__(self, **options):
        super().__init__(**options)
        self._table.__class__ = {name}Table
{store}

class Test{name}(AccountSessionBackendContract, AccountOptionsContract):
    @pytest.fixture
    def backend(self):
        return {name}()

    @pytest.fixture
    def backend_with(self, backend):
        return lambda **options: {name}(sessions_of_store=backend, **options)
"""

BROKEN_TABLES = {
    "UpsertingSignIn": (
        """
        def sign_in(self, old_id, new_id, wanted):
            return super().sign_in(old_id if old_id in self._rows else None, new_id, wanted)
        """,
        "test_a_sign_in_from_an_id_that_is_not_live_stores_nothing",
    ),
    "RevivingSignIn": (
        """
        def _live(self, session_id, now):
            return self._rows[session_id] if session_id in self._rows else super()._live(
                session_id, now)
        """,
        "test_a_sign_in_from_an_id_that_is_not_live_stores_nothing",
    ),
    "KeptOldId": (
        """
        def sign_in(self, old_id, new_id, wanted):
            row = self._rows.get(old_id)
            signed_in = super().sign_in(old_id, new_id, wanted)
            if row is not None:
                self._rows[old_id] = row
            return signed_in
        """,
        "test_a_sign_in_from_an_anonymous_session_moves_it",
    ),
    "NewHandleEachTime": (
        """
        def _account(self, before, wanted, now):
            return super()._account(None, wanted, now)
        """,
        "test_re_authentication_keeps_the_handle",
    ),
    "NewCreationEachTime": (
        """
        def _account(self, before, wanted, now):
            return replace(super()._account(before, wanted, now), created=now)
        """,
        "test_ages_count_from_the_sign_in",
    ),
    "OldAuthentication": (
        """
        def _account(self, before, wanted, now):
            account = super()._account(before, wanted, now)
            return account if before is None else replace(
                account, authenticated=before.authenticated)
        """,
        "test_ages_count_from_the_sign_in",
    ),
    "HandleOfTheOther": (
        """
        def _account(self, before, wanted, now):
            account = super()._account(before, wanted, now)
            return account if before is None else replace(account, handle=before.handle)
        """,
        "test_another_user_gets_another_handle",
    ),
    "AboutOfTheOther": (
        """
        def _account(self, before, wanted, now):
            account = super()._account(before, wanted, now)
            kept = before is not None and wanted.keeps_about
            return replace(account, about=before.about) if kept else account
        """,
        "test_another_user_gets_another_handle",
    ),
    "IdleTimeOfTheOther": (
        """
        def sign_in(self, old_id, new_id, wanted):
            row = self._rows.get(old_id)
            idle_ttl = None if row is None else row.idle_ttl
            signed_in = super().sign_in(old_id, new_id, wanted)
            if idle_ttl is not None:
                self._rows[new_id].idle_ttl = idle_ttl
            return signed_in
        """,
        "test_another_user_gets_another_handle",
    ),
    "ForgottenAbout": (
        """
        def _account(self, before, wanted, now):
            return replace(super()._account(before, wanted, now), about=wanted.about)
        """,
        "test_re_authentication_keeps_replaces_or_clears_about",
    ),
    "InheritedAccount": (
        """
        def create(self, session_id, state, ttl, lifetime):
            row = self._rows.get(session_id)
            super().create(session_id, state, ttl, lifetime)
            if row is not None:
                self._rows[session_id].account = row.account
        """,
        "test_create_inherits_nothing_of_an_expired_session",
    ),
    "InheritedIdleTime": (
        """
        def create(self, session_id, state, ttl, lifetime):
            super().create(session_id, state, ttl, lifetime)
            self._rows[session_id].idle_ttl = HOUR
        """,
        "test_create_inherits_nothing_of_an_expired_session",
    ),
    "OverwritingSignIn": (
        """
        def sign_in(self, old_id, new_id, wanted):
            self._rows.pop(new_id, None)
            return super().sign_in(old_id, new_id, wanted)
        """,
        "test_a_sign_in_onto_a_live_id_changes_nothing",
    ),
    "SignInOntoItself": (
        """
        def sign_in(self, old_id, new_id, wanted):
            if old_id != new_id:
                return super().sign_in(old_id, new_id, wanted)
            between = SessionId.generate()
            super().sign_in(old_id, between, wanted)
            return super().sign_in(between, new_id, wanted)
        """,
        "test_a_sign_in_onto_its_own_id_changes_nothing",
    ),
    "AccountLostByRotation": (
        """
        def move(self, old_id, new_id):
            super().move(old_id, new_id)
            self._rows[new_id].account = None
        """,
        "test_change_id_keeps_the_account",
    ),
    "RevokeOfTheLive": (
        """
        def _of(self, digests):
            now = self._now()
            return (each for each in list(super()._of(digests)) if each[1].deadline > now)
        """,
        "test_revoke_counts_expired_sessions",
    ),
    "RevokeOfAll": (
        """
        def remove_of(self, digests, *, only=None, keep=None):
            return super().remove_of(digests)
        """,
        "test_revoke_of_all_but_one",
    ),
    "RevokeIgnoringOnly": (
        """
        def remove_of(self, digests, *, only=None, keep=None):
            return super().remove_of(digests, keep=keep)
        """,
        "test_revoke_of_one_session",
    ),
    "HandleWithoutSubject": (
        """
        def remove_of(self, digests, *, only=None, keep=None):
            if only is not None:
                digests = {row.account.digest for row in self._rows.values() if row.account}
            return super().remove_of(digests, only=only, keep=keep)
        """,
        "test_a_handle_is_useless_without_its_subject",
    ),
    "EndlessSessions": (
        """
        def _extend(self, row, ttl, now):
            super()._extend(row, ttl, now)
            row.deadline = now + ttl
        """,
        "test_no_write_extends_a_session_beyond_its_lifetime",
    ),
    "MovingLifetime": (
        """
        def _extend(self, row, ttl, now):
            if row.final_deadline is not None and row.written:
                row.final_deadline += now - row.seen
            super()._extend(row, ttl, now)
        """,
        "test_no_write_extends_a_session_beyond_its_lifetime",
    ),
    "UncappedSignIn": (
        """
        def sign_in(self, old_id, new_id, wanted):
            signed_in = super().sign_in(old_id, new_id, wanted)
            row = self._rows[new_id]
            row.deadline = row.seen + wanted.ttl
            return signed_in
        """,
        "test_a_lifetime_bounds_the_deadline",
    ),
    "OldLifetime": (
        """
        def sign_in(self, old_id, new_id, wanted):
            row = self._rows.get(old_id)
            ends = None if row is None else row.final_deadline
            signed_in = super().sign_in(old_id, new_id, wanted)
            if ends is not None:
                self._rows[new_id].final_deadline = ends
            return signed_in
        """,
        "test_a_lifetime_begins_anew_at_re_authentication",
    ),
    "VersionOfUpdateUnchanged": (
        """
        def update(self, session_id, state, ttl, *, version=None, idle_ttl=UNCHANGED):
            row = self._rows.get(session_id)
            before = None if row is None else row.version
            after = super().update(session_id, state, ttl, version=version, idle_ttl=idle_ttl)
            if version is None:
                row.version = before
            return after
        """,
        "test_a_state_that_was_stored_meanwhile_is_a_conflict",
    ),
    "VersionOfTheState": (
        """
        def _write(self, row, state, ttl, idle_ttl, now):
            super()._write(row, state, ttl, idle_ttl, now)
            row.version = hash(state) % 2**62
        def create(self, session_id, state, ttl, lifetime):
            super().create(session_id, state, ttl, lifetime)
            self._rows[session_id].version = hash(state) % 2**62
        """,
        "test_the_same_state_again_is_a_conflict",
    ),
    "VersionThatCounts": (
        """
        def _write(self, row, state, ttl, idle_ttl, now):
            before = row.version
            super()._write(row, state, ttl, idle_ttl, now)
            row.version = before + 1
        def create(self, session_id, state, ttl, lifetime):
            super().create(session_id, state, ttl, lifetime)
            self._rows[session_id].version = 1
        """,
        "test_a_version_of_another_session_is_a_conflict",
    ),
    "VersionOfEveryWrite": (
        """
        def _extend(self, row, ttl, now):
            super()._extend(row, ttl, now)
            row.version = random.getrandbits(62)
        """,
        "test_a_change_of_no_state_is_no_conflict",
    ),
    "IgnoredVersion": (
        """
        def update(self, session_id, state, ttl, *, version=None, idle_ttl=UNCHANGED):
            return super().update(session_id, state, ttl, idle_ttl=idle_ttl)
        """,
        "test_one_of_many_conditional_updates_wins",
    ),
    "IgnoredVersionOfReplace": (
        """
        def replace(self, old_id, new_id, state, ttl, *, version, idle_ttl):
            super().replace(old_id, new_id, state, ttl, version=None, idle_ttl=idle_ttl)
        """,
        "test_replace_with_a_version",
    ),
    "IgnoredVersionOfSignIn": (
        """
        def sign_in(self, old_id, new_id, wanted):
            return super().sign_in(old_id, new_id, replace(wanted, version=None))
        """,
        "test_a_sign_in_with_a_version",
    ),
    "ConflictOfTheUnknown": (
        """
        def update(self, session_id, state, ttl, *, version=None, idle_ttl=UNCHANGED):
            try:
                return super().update(session_id, state, ttl, version=version, idle_ttl=idle_ttl)
            except UnknownIdError:
                raise ConflictError(session_id) if version is not None else UnknownIdError(
                    session_id)
        """,
        "test_update_if_never_revives_a_session",
    ),
    "TrimByUse": (
        """
        def _trim(self, digests, limit, now):
            live = sorted((row.seen, row.written, session_id, account.handle)
                          for session_id, row, account in self._of(digests))
            surplus = [] if limit is None else live[::-1][limit:]
            self._remove(each[2] for each in surplus)
            return [each[3] for each in surplus]
        """,
        "test_the_use_of_a_session_does_not_save_it",
    ),
    "TrimThatCountsTheExpired": (
        """
        def _trim(self, digests, limit, now):
            return super()._trim(digests, limit, now - timedelta(days=1))
        """,
        "test_an_expired_session_costs_no_live_one_its_place",
    ),
    "TrimOfTheNewest": (
        """
        def _trim(self, digests, limit, now):
            live = sorted((account.number, session_id, account.handle)
                          for session_id, row, account in self._of(digests)
                          if row.deadline > now)
            surplus = [] if limit is None else live[limit:]
            self._remove(each[1] for each in surplus)
            return [each[2] for each in surplus]
        """,
        "test_the_oldest_sessions_above_the_limit_end",
    ),
    "TrimOfOne": (
        """
        def _trim(self, digests, limit, now):
            count = len(list(self._of(digests)))
            return super()._trim(digests, None if limit is None else max(limit, count - 1), now)
        """,
        "test_a_limit_that_was_lowered_ends_several",
    ),
    "TrimOfEverybody": (
        """
        def _trim(self, digests, limit, now):
            all_of_them = {row.account.digest for row in self._rows.values() if row.account}
            return super()._trim(all_of_them, limit, now)
        """,
        "test_the_limit_is_each_users_own",
    ),
    "NoTrim": (
        """
        def _trim(self, digests, limit, now):
            return []
        """,
        "test_sign_ins_at_once_keep_to_the_limit",
    ),
    "RejectedSignIn": (
        """
        def sign_in(self, old_id, new_id, wanted):
            limit = wanted.max_sessions
            if limit is not None and len(list(self._of(wanted.digests))) >= limit:
                raise DatabaseError("too many sessions")
            return super().sign_in(old_id, new_id, wanted)
        """,
        "test_the_oldest_sessions_above_the_limit_end",
    ),
    "TrimByRotation": (
        """
        def _trim(self, digests, limit, now):
            return super()._trim(digests, None if limit is None else max(1, limit - 1), now)
        """,
        "test_re_authentication_is_no_further_session",
    ),
    "ExpiredOnTheList": (
        """
        def live_of(self, digests):
            return [(row, account) for _, row, account in self._of(digests)]
        """,
        "test_sessions_that_are_over_are_left_out",
    ),
    "UnsortedList": (
        """
        def live_of(self, digests):
            return super().live_of(digests)[::-1]
        """,
        "test_the_limit_keeps_those_seen_last",
    ),
    "UnseenRotation": (
        """
        def move(self, old_id, new_id):
            row = self._rows.get(old_id)
            before = None if row is None else (row.seen, row.written)
            super().move(old_id, new_id)
            row.seen, row.written = before
        """,
        "test_every_write_is_seen",
    ),
    "SeenByLoads": (
        """
        def find(self, session_id):
            found = super().find(session_id)
            if found is not None:
                self._touch(self._rows[session_id], found.now)
            return found
        """,
        "test_a_load_is_not_seen",
    ),
    "LostIdleTime": (
        """
        def _write(self, row, state, ttl, idle_ttl, now):
            super()._write(row, state, ttl, None if idle_ttl is UNCHANGED else idle_ttl, now)
        """,
        "test_an_idle_time_is_kept",
    ),
    "StickyIdleTime": (
        """
        def _write(self, row, state, ttl, idle_ttl, now):
            super()._write(row, state, ttl, UNCHANGED if idle_ttl is None else idle_ttl, now)
        """,
        "test_an_idle_time_can_be_changed",
    ),
    "FirstKeyOnly": (
        """
        def _of(self, digests):
            return super()._of(digests[:1])
        """,
        "test_keys_can_be_replaced_while_sessions_last",
    ),
    "OldKeyKept": (
        """
        def _account(self, before, wanted, now):
            account = super()._account(before, wanted, now)
            return account if before is None else replace(account, digest=before.digest)
        """,
        "test_re_authentication_moves_a_session_to_the_first_key",
    ),
    "LimitOfOneKey": (
        """
        def _trim(self, digests, limit, now):
            return super()._trim(digests[:1], limit, now)
        """,
        "test_the_limit_counts_sessions_under_every_key",
    ),
    "NoLifetimeForVisitors": (
        """
        def create(self, session_id, state, ttl, lifetime):
            super().create(session_id, state, ttl, None)
        """,
        "test_the_lifetime_of_the_store_holds_for_anonymous_sessions",
    ),
}

BROKEN_STORES = {
    "FoldedSubjects": (
        """
        async def sign_in(self, old_id, new_id, record, *, subject, **options):
            if isinstance(subject, str):
                subject = subject.casefold()
            return await super().sign_in(old_id, new_id, record, subject=subject, **options)
        async def sessions_of(self, subject, *, limit=100):
            return await super().sessions_of(subject.casefold(), limit=limit)
        """,
        "test_subjects_are_compared_exactly",
    ),
    "TruthyAbout": (
        """
        async def sign_in(self, old_id, new_id, record, *, about=None, **options):
            return await super().sign_in(old_id, new_id, record, about=about or None, **options)
        """,
        "test_re_authentication_keeps_replaces_or_clears_about",
    ),
    "HandleThatIsAnId": (
        """
        async def load(self, session_id):
            for row in self._table._rows.values():
                if row.account and row.account.handle.value == session_id.value:
                    return SessionRecord({}, HOUR)
            return await super().load(session_id)
        """,
        "test_an_entry_holds_neither_id_nor_state",
    ),
    "UnlimitedList": (
        """
        async def sessions_of(self, subject, *, limit=100):
            return await super().sessions_of(subject, limit=limit * 1000)
        """,
        "test_the_list_has_100_sessions_by_default",
    ),
    "SignOutByIdAlone": (
        """
        async def sign_out(self, session_id, session):
            self._table.discard(session_id)
        """,
        "test_sign_out_ends_a_session_that_was_rotated",
    ),
    "LoudSignOut": (
        """
        async def sign_out(self, session_id, session):
            await self.delete(session_id)
        """,
        "test_sign_out_of_a_session_that_has_ended_is_quiet",
    ),
    "SignOutOfEverything": (
        """
        async def sign_out(self, session_id, session):
            await super().sign_out(session_id, session)
            if session.account is not None:
                self._table.remove_of(session.account.digests)
        """,
        "test_sign_out_ends_the_session",
    ),
    "SignOutByHandleAlone": (
        """
        async def sign_out(self, session_id, session):
            if session.account is None:
                self._table.discard(session_id)
            else:
                self._table.remove_of(session.account.digests)
        """,
        "test_sign_out_ends_the_session",
    ),
    "RacingUpdateIf": (
        """
        async def update_if(self, session_id, record, version, *, idle_ttl=UNCHANGED):
            session = await self.load_session(session_id)
            if session is None:
                raise for_operation(UpdateIfError, UnknownIdError(session_id))
            if session.version != version:
                raise for_operation(UpdateIfError, ConflictError(session_id))
            await asyncio.sleep(0)
            await self.update(session_id, record)
            return (await self.load_session(session_id)).version
        """,
        "test_no_increment_is_lost",
    ),
    "RacingSignIn": (
        """
        async def sign_in(self, old_id, new_id, record, **options):
            if old_id is not None and await self.load(old_id) is None:
                raise for_operation(SignInError, UnknownIdError(old_id))
            await asyncio.sleep(0)
            return await super().sign_in(None, new_id, record, **options)
        """,
        "test_one_of_many_sign_ins_from_one_session_wins",
    ),
    "RacingReplace": (
        """
        async def replace(self, old_id, new_id, record, *, version=None, idle_ttl=UNCHANGED):
            if await self.load(old_id) is None:
                raise for_operation(ReplaceError, UnknownIdError(old_id))
            await asyncio.sleep(0)
            await self.create(new_id, record)
            self._table.discard(old_id)
        """,
        "test_one_of_many_replacements_wins",
    ),
    "RevokeById": (
        """
        async def change_id(self, old_id, new_id):
            await asyncio.sleep(0)
            await super().change_id(old_id, new_id)
        async def revoke(self, subject, *, only=None, keep=None):
            digests = self._subjects.digests(subject)
            ids = [session_id for session_id, _, account in self._table._of(digests)
                   if account.handle != keep]
            for _ in range(3):
                await asyncio.sleep(0)
            return sum(self._table.discard(each) for each in ids)
        """,
        "test_no_session_escapes_a_revocation",
    ),
    "KeptById": (
        """
        async def change_id(self, old_id, new_id):
            await asyncio.sleep(0)
            await super().change_id(old_id, new_id)
        async def revoke(self, subject, *, only=None, keep=None):
            digests = self._subjects.digests(subject)
            kept = [session_id for session_id, _, account in self._table._of(digests)
                    if account.handle == keep]
            for _ in range(3):
                await asyncio.sleep(0)
            doomed = [each for each, _, _ in self._table._of(digests) if each not in kept]
            return sum(self._table.discard(each) for each in doomed)
        """,
        "test_the_kept_session_survives_its_rotation",
    ),
    "SignOutById": (
        """
        async def change_id(self, old_id, new_id):
            await asyncio.sleep(0)
            await super().change_id(old_id, new_id)
        async def sign_out(self, session_id, session):
            ids = [each for each, _, account in self._table._of(session.account.digests)
                   if account.handle == session.handle]
            for _ in range(3):
                await asyncio.sleep(0)
            for each in ids:
                self._table.discard(each)
        """,
        "test_no_session_escapes_its_sign_out",
    ),
    "CountedBeforeTheInsert": (
        """
        async def sign_in(self, old_id, new_id, record, *, max_sessions=None, subject, **options):
            live = await self.sessions_of(subject)
            await asyncio.sleep(0)
            for info in live[(max_sessions or 100) - 1 :]:
                await self.revoke(subject, only=info.handle)
            return await super().sign_in(old_id, new_id, record, subject=subject, **options)
        """,
        "test_sign_ins_at_once_keep_to_the_limit",
    ),
    "LifetimeOfTheStoreIgnored": (
        """
        async def sign_in(self, old_id, new_id, record, **options):
            self._lifetime = None
            return await super().sign_in(old_id, new_id, record, **options)
        """,
        "test_the_lifetime_of_the_store_is_the_default",
    ),
    "LimitOfTheStoreIgnored": (
        """
        async def sign_in(self, old_id, new_id, record, **options):
            self._max_sessions = None
            return await super().sign_in(old_id, new_id, record, **options)
        """,
        "test_the_limit_of_the_store_is_the_default",
    ),
    "NoEvents": (
        """
        async def _report(self, kind, subject, handles):
            pass
        """,
        "test_every_change_is_reported",
    ),
    "EventForEachSession": (
        """
        async def _report(self, kind, subject, handles):
            for each in handles:
                await super()._report(kind, subject, [each])
        """,
        "test_evictions_are_one_event",
    ),
    "EventOfNothing": (
        """
        async def revoke(self, subject, *, only=None, keep=None):
            count = await super().revoke(subject, only=only, keep=keep)
            if not count and self._on_event:
                self._on_event(AccountEvent(AccountEventKind.REVOKED, subject, (), 0))
            return count
        """,
        "test_nothing_ended_is_no_event",
    ),
    "EventBeforeTheChange": (
        """
        async def sign_in(self, old_id, new_id, record, *, subject, **options):
            await self._report(AccountEventKind.SIGNED_IN, subject, [SessionHandle.generate()])
            return await super().sign_in(old_id, new_id, record, subject=subject, **options)
        """,
        "test_an_event_comes_after_the_change",
    ),
    "FailingListener": (
        """
        async def _report(self, kind, subject, handles):
            if self._on_event and handles:
                self._on_event(AccountEvent(kind, subject, tuple(handles), len(handles)))
        """,
        "test_what_a_listener_raises_fails_no_call",
    ),
    "EventOfAVisitor": (
        """
        async def sign_out(self, session_id, session):
            await super().sign_out(session_id, session)
            await self._report(AccountEventKind.SIGNED_OUT, None, [SessionHandle.generate()])
        """,
        "test_the_end_of_an_anonymous_session_is_no_event",
    ),
    "SignOutUnderTheOldKey": (
        """
        async def sign_out(self, session_id, session):
            if session.account is not None:
                session.account.digests = session.account.digests[:1]
            await super().sign_out(session_id, session)
        """,
        "test_sign_out_follows_a_session_to_the_first_key",
    ),
    "UncheckedArguments": (
        """
        async def sessions_of(self, subject, *, limit=100):
            return []
        """,
        "test_arguments_of_a_wrong_type_are_type_errors",
    ),
    "UncheckedRanges": (
        """
        async def replace(self, old_id, new_id, record, *, version=None, idle_ttl=UNCHANGED):
            version = None if version is not None and version < 0 else version
            await super().replace(old_id, new_id, record, version=version, idle_ttl=idle_ttl)
        """,
        "test_arguments_out_of_range_are_value_errors",
    ),
    "SharedAbout": (
        """
        async def sign_in(self, old_id, new_id, record, *, about=None, **options):
            self.about = about or {}
            return await super().sign_in(old_id, new_id, record, about=about, **options)
        async def sessions_of(self, subject, *, limit=100):
            return [replace(info, about=self.about)
                    for info in await super().sessions_of(subject, limit=limit)]
        """,
        "test_about_is_the_callers_own",
    ),
    "ErrorsThatShowUsers": (
        """
        async def sign_in(self, old_id, new_id, record, *, subject, **options):
            try:
                return await super().sign_in(old_id, new_id, record, subject=subject, **options)
            except SessionStoreError as error:
                error.args = (f"{subject} cannot sign in",)
                raise
        """,
        "test_errors_show_neither_ids_nor_users",
    ),
}

BROKEN = {name: ("", methods, test) for name, (methods, test) in BROKEN_STORES.items()} | {
    name: (methods, "", test) for name, (methods, test) in BROKEN_TABLES.items()
}

NO_BACKEND = """
class TestNoBackend(AccountSessionBackendContract):
    pass

class TestNoOptions(AccountOptionsContract):
    pass
"""
MISSING = {
    "NoBackend": "test_a_sign_in_stores_a_session",
    "NoOptions": "test_without_a_lifetime_sessions_have_no_end",
}


@cache
def failed() -> dict[str, set[str]]:
    """Run the whole kit on the correct backend, and on each broken one the test about it."""
    source = [HEADER, NO_BACKEND, CLASSES.format(name="Correct", table="", store="")]
    selected = ["TestCorrect", *(f"Test{name}::{test}" for name, test in MISSING.items())]
    for name, (table, store, test) in BROKEN.items():
        parts = (indent(dedent(part), "    ") for part in (table, store))
        source.append(
            CLASSES.format(name=name, **dict(zip(("table", "store"), parts, strict=True)))
        )
        selected.append(f"Test{name}::{test}")
    return failed_tests(source, selected)


def test_a_correct_backend_passes() -> None:
    """The subclass that the broken ones are made from keeps the contract."""
    assert failed().get("Correct", set()) == set()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_backend_fails(name: str) -> None:
    """Each mistake is found, by the test that is about it."""
    *_, test = BROKEN[name]

    assert test in failed().get(name, set())


@pytest.mark.parametrize("name", MISSING)
def test_a_class_without_a_fixture_is_an_error(name: str) -> None:
    """Forgetting it does not pass for keeping the contract."""
    assert name in failed()
