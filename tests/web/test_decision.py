"""What a response has to do to a session: every combination of facts."""

from __future__ import annotations

import itertools
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Any

import pytest

from sessionstore_sql.web.decision import (
    Cookie,
    Decision,
    Facts,
    Found,
    Lost,
    Step,
    Wish,
    decide,
)

LIVE = (Found.ANONYMOUS, Found.SIGNED_IN)
NOT_LIVE = (Found.NOTHING, Found.MALFORMED, Found.UNKNOWN, Found.ROTATED, Found.ENDED)
SIGN_INS = (Wish.SIGN_IN, Wish.SWITCH)
ORDINARY = (Wish.NOTHING, Wish.ROTATE)
BOTH = (False, True)
KEEP, SET, REMOVE = Cookie.KEEP, Cookie.SET, Cookie.REMOVE


def every_case() -> list[Facts]:
    """Return each combination of facts. Only a session that was live can be lost."""
    return [
        Facts(
            found=found,
            wish=wish,
            changed=changed,
            empty=empty,
            new_max_age=new_max_age,
            renewal_due=renewal_due,
            lost=lost,
        )
        for found, wish in itertools.product(Found, Wish)
        for changed, empty, new_max_age, renewal_due in itertools.product(BOTH, repeat=4)
        for lost in (None, *Lost)
        if lost is None or found in LIVE
    ]


@dataclass(frozen=True)
class Rule:
    """What is decided if the facts are among those given. Other facts do not matter."""

    facts: dict[str, tuple[Any, ...]]
    steps: tuple[Step, ...]
    cookie: Cookie

    def applies_to(self, facts: Facts) -> bool:
        """Whether ``facts`` are among those given."""
        return all(getattr(facts, name) in values for name, values in self.facts.items())


def rule(*steps: Step, cookie: Cookie, **facts: Any) -> Rule:
    """Return a rule. A single value stands for a tuple of one."""
    given = {name: value if isinstance(value, tuple) else (value,) for name, value in facts.items()}
    return Rule(given, steps, cookie)


STORED = {"found": LIVE, "lost": None, "wish": ORDINARY}
"""A live session goes on."""

KEPT = STORED | {"wish": Wish.NOTHING}
"""It goes on under its id."""

RULES = [
    # A sign-in.
    rule(Step.SIGN_IN_FROM, cookie=SET, found=LIVE, wish=SIGN_INS, lost=None),
    rule(Step.SIGN_IN, cookie=SET, found=NOT_LIVE, wish=SIGN_INS),
    rule(Step.SIGN_IN, cookie=SET, found=Found.UNREADABLE, wish=Wish.SIGN_IN),
    rule(Step.SIGN_IN, Step.END, cookie=SET, found=Found.UNREADABLE, wish=Wish.SWITCH),
    # The end of a session.
    rule(
        Step.END,
        cookie=REMOVE,
        found=(*LIVE, Found.UNREADABLE),
        wish=Wish.INVALIDATE,
        empty=True,
        lost=None,
    ),
    rule(
        *(Step.CREATE, Step.LEAVE_TOMBSTONE, Step.END),
        cookie=SET,
        found=(*LIVE, Found.UNREADABLE),
        wish=Wish.INVALIDATE,
        empty=False,
        lost=None,
    ),
    rule(Step.CREATE, cookie=SET, found=NOT_LIVE, wish=Wish.INVALIDATE, empty=False),
    rule(cookie=KEEP, found=Found.NOTHING, wish=Wish.INVALIDATE, empty=True),
    rule(cookie=REMOVE, found=NOT_LIVE[1:], wish=Wish.INVALIDATE, empty=True),
    # No session yet.
    rule(cookie=KEEP, found=(*NOT_LIVE, Found.UNREADABLE), wish=ORDINARY, empty=True),
    rule(
        Step.CREATE,
        cookie=SET,
        found=(Found.NOTHING, Found.MALFORMED, Found.ENDED, Found.UNREADABLE),
        wish=ORDINARY,
        empty=False,
    ),
    rule(
        Step.LOOK_FOR_TOMBSTONE,
        cookie=KEEP,
        found=Found.UNKNOWN,
        wish=Wish.NOTHING,
        empty=False,
    ),
    rule(cookie=KEEP, found=Found.ROTATED, wish=Wish.NOTHING, empty=False),
    rule(
        Step.CREATE,
        cookie=SET,
        found=(Found.UNKNOWN, Found.ROTATED),
        wish=Wish.ROTATE,
        empty=False,
    ),
    # A session that goes on.
    rule(
        Step.END,
        cookie=REMOVE,
        **STORED | {"found": Found.SIGNED_IN, "changed": True, "empty": True},
    ),
    rule(
        Step.EMPTY,
        cookie=REMOVE,
        **STORED | {"found": Found.ANONYMOUS, "changed": True, "empty": True},
    ),
    rule(Step.REPLACE, cookie=SET, **STORED | {"wish": Wish.ROTATE, "changed": False}),
    rule(
        Step.REPLACE,
        cookie=SET,
        **STORED | {"wish": Wish.ROTATE, "changed": True, "empty": False},
    ),
    rule(
        Step.UPDATE,
        cookie=KEEP,
        **KEPT | {"changed": True, "empty": False, "new_max_age": False, "renewal_due": False},
    ),
    rule(
        Step.UPDATE,
        cookie=SET,
        **KEPT | {"changed": True, "empty": False, "new_max_age": False, "renewal_due": True},
    ),
    rule(Step.UPDATE, cookie=SET, **KEPT | {"changed": True, "empty": False, "new_max_age": True}),
    rule(Step.UPDATE, cookie=SET, **KEPT | {"changed": False, "new_max_age": True}),
    rule(
        Step.EXTEND,
        cookie=SET,
        **KEPT | {"changed": False, "new_max_age": False, "renewal_due": True},
    ),
    rule(cookie=KEEP, **KEPT | {"changed": False, "new_max_age": False, "renewal_due": False}),
    # A session that was live when the request arrived, and is not any more.
    rule(Step.SIGN_IN, cookie=SET, lost=tuple(Lost), wish=Wish.SIGN_IN),
    rule(Step.SIGN_IN, Step.END, cookie=SET, lost=tuple(Lost), wish=Wish.SWITCH),
    rule(
        Step.CREATE,
        cookie=SET,
        found=Found.ANONYMOUS,
        lost=Lost.ROTATED,
        wish=Wish.ROTATE,
        empty=False,
    ),
    rule(
        Step.SIGN_IN_AS_BEFORE,
        cookie=SET,
        found=Found.SIGNED_IN,
        lost=Lost.ROTATED,
        wish=Wish.ROTATE,
        empty=False,
    ),
    rule(cookie=KEEP, lost=Lost.ROTATED, wish=Wish.ROTATE, empty=True),
    rule(cookie=KEEP, lost=Lost.ROTATED, wish=(Wish.NOTHING, Wish.INVALIDATE)),
    rule(
        cookie=KEEP,
        lost=(Lost.SUCCEEDED, Lost.UNCERTAIN),
        wish=(*ORDINARY, Wish.INVALIDATE),
    ),
    rule(cookie=REMOVE, lost=Lost.ENDED, wish=(*ORDINARY, Wish.INVALIDATE)),
]


@pytest.mark.parametrize("facts", every_case(), ids=repr)
def test_one_rule_decides_each_case(facts: Facts) -> None:
    """Exactly one rule applies to each combination of facts, and says what is decided."""
    (applicable,) = [each for each in RULES if each.applies_to(facts)]

    assert decide(facts) == Decision(applicable.steps, applicable.cookie)


def test_every_rule_is_needed() -> None:
    """No rule is left over."""
    cases = every_case()

    assert [each for each in RULES if not any(map(each.applies_to, cases))] == []


def cases_with(**facts: Any) -> list[Facts]:
    """Return the cases with these facts."""
    return [
        case
        for case in every_case()
        if all(getattr(case, name) in values for name, values in facts.items())
    ]


def test_only_a_sign_in_or_a_rotation_survives_a_loss() -> None:
    """A request that asked for less does not store a session again that has ended."""
    for facts in cases_with(lost=tuple(Lost), wish=(Wish.NOTHING,)):
        assert decide(facts).steps == ()


def test_an_ended_session_is_only_followed_by_a_sign_in() -> None:
    """A rotation alone does not start a session from the state of a user who has logged out."""
    for facts in cases_with(lost=(Lost.ENDED, Lost.SUCCEEDED, Lost.UNCERTAIN)):
        assert decide(facts).steps == () or facts.wish in SIGN_INS


def test_a_sign_in_always_gets_a_new_id() -> None:
    """Whatever became of the session before."""
    for facts in cases_with(wish=SIGN_INS):
        assert decide(facts).cookie is SET
        assert decide(facts).steps[0] in {Step.SIGN_IN, Step.SIGN_IN_FROM}


def test_the_cookie_is_left_alone_if_only_the_state_changed() -> None:
    """So a delayed response cannot bring an old id back."""
    for facts in cases_with(
        found=LIVE, wish=(Wish.NOTHING,), empty=(False,), new_max_age=(False,), renewal_due=(False,)
    ):
        if facts.lost is None:
            assert decide(facts).cookie is KEEP


def test_a_cookie_that_is_set_belongs_to_a_session_that_was_stored() -> None:
    """A response that sets a cookie has stored something."""
    for facts in every_case():
        decision = decide(facts)
        assert decision.cookie is not SET or decision.steps != ()


def test_nothing_is_stored_for_a_visitor_who_only_reads() -> None:
    """An anonymous read writes nothing and sets nothing."""
    for facts in cases_with(
        found=(Found.NOTHING, Found.MALFORMED, Found.UNKNOWN, Found.ENDED),
        wish=ORDINARY,
        empty=(True,),
    ):
        assert decide(facts) == Decision((), KEEP)


def test_an_unknown_id_is_never_used() -> None:
    """Every session that starts gets a new id, and no step touches the unknown one."""
    touching = {Step.REPLACE, Step.UPDATE, Step.EXTEND, Step.EMPTY, Step.END, Step.SIGN_IN_FROM}
    for facts in cases_with(found=NOT_LIVE):
        assert not touching & set(decide(facts).steps)


def test_the_old_session_ends_after_the_new_one_is_stored() -> None:
    """If the new state cannot be stored, the old session is still there."""
    for facts in every_case():
        steps = decide(facts).steps
        assert Step.END not in steps or steps[-1] is Step.END


def test_facts_and_decisions_do_not_change() -> None:
    """They can be kept and compared."""
    with pytest.raises(FrozenInstanceError):
        Facts(found=Found.NOTHING).empty = True  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        decide(Facts(found=Found.NOTHING)).cookie = SET  # type: ignore[misc]


def test_every_fact_matters() -> None:
    """Changing one fact changes some decision."""
    decided = {facts: decide(facts) for facts in every_case()}
    names = [each.name for each in fields(Facts)]

    for name in names:
        groups: dict[tuple[Any, ...], set[Decision]] = {}
        for facts, decision in decided.items():
            rest = tuple(getattr(facts, other) for other in names if other != name)
            groups.setdefault(rest, set()).add(decision)
        assert any(len(decisions) > 1 for decisions in groups.values()), name
