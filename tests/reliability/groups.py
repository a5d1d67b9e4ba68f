"""Sessions that can be judged by themselves: ids that belong together, with all that concerns them.

Ids belong together if an operation may have moved a session from one to the other. A revocation or
a list of a user's sessions has no id. It concerns every session of the user, and need not meet all
of them at the same moment: a session that is signed in meanwhile may or may not be among them. So
it is an operation of each group with a sign-in of the user.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tests.reliability.findings import Finding
from tests.reliability.history import Operation, Outcome


class Groups:
    """The operations that say something about sessions, by ids that belong together."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._parents: dict[str, str] = {}
        self._groups: defaultdict[str, list[Operation]] = defaultdict(list)
        self._of_subject: defaultdict[str, set[str]] = defaultdict(set)
        self._of_handle: defaultdict[str, set[str]] = defaultdict(set)
        telling = [each for each in operations if _tells(each)]
        self._join([each for each in telling if each.ids])
        self._of_all = [each for each in telling if not each.ids]
        for operation in self._of_all:
            for group, share in self._shares(operation):
                self._groups[group].append(share)

    def __iter__(self) -> Iterator[list[Operation]]:
        return iter(self._groups.values())

    def strange_handles(self) -> Iterator[Finding]:
        """Yield what no order of the operations could explain: handles of no session, or of two."""
        for handle, groups in self._of_handle.items():
            if len(groups) > 1:
                where = [each for group in sorted(groups) for each in self._groups[group]]
                shown = [each for each in where if handle in each.handles]
                yield Finding((handle,), "one handle of two sessions", tuple(shown))
        strange: defaultdict[str, set[str]] = defaultdict(set)
        for operation in self._of_all:
            assert operation.subject is not None
            if operation.name == "sessions_of":
                found = set(operation.handles) - self._of_handle.keys()
                strange[operation.subject] |= found
                if len(strange[operation.subject]) > self._unheard(operation.subject):
                    yield Finding((operation.subject,), "a handle of no sign-in", (operation,))

    def _join(self, operations: Sequence[Operation]) -> None:
        for operation in operations:
            for other in operation.ids[1:]:
                self._parents[self._root(other)] = self._root(operation.ids[0])
        for operation in operations:
            group = self._root(operation.ids[0])
            self._groups[group].append(operation)
            if operation.subject is not None:
                self._of_subject[operation.subject].add(group)
            for handle in operation.handles:
                self._of_handle[handle].add(group)

    def _shares(self, operation: Operation) -> Iterator[tuple[str, Operation]]:
        """Yield the groups that an operation on all sessions of a user concerns, and how.

        A handle that no session is known to have is that of a sign-in that did not return. Whether
        it is the one in this group, is unknown.
        """
        assert operation.subject is not None
        known = [each for each in operation.handles if each in self._of_handle]
        homes = {group for each in known for group in self._of_handle[each]}
        for group in self._of_subject[operation.subject] | homes:
            share = operation
            if operation.name == "sessions_of":
                here = [each for each in known if group in self._of_handle[each]]
                share = replace(operation, handles=tuple(here))
            elif operation.handles and not known:
                share = replace(operation, outcome=Outcome.UNKNOWN)
            yield group, share

    def _unheard(self, subject: str) -> int:
        """Return how many sign-ins of a user did not return."""
        return sum(
            each.name == "sign_in" and each.subject == subject and each.may_have_changed
            for group in self._of_subject[subject]
            for each in self._groups[group]
        )

    def _root(self, session_id: str) -> str:
        while (parent := self._parents.setdefault(session_id, session_id)) != session_id:
            self._parents[session_id] = self._parents[parent]
            session_id = parent
        return session_id


def _tells(operation: Operation) -> bool:
    if not operation.ids and operation.subject is None:
        return False
    return operation.outcome.is_answer or operation.may_have_changed
