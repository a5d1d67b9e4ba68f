"""The cookie of a session: what browsers accept, and which ids a client presents."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import SessionId
from sessionstore_sql.web.cookie import MAX_COOKIE_BYTES, SessionCookie, default_name
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.presented import GENERATED_LENGTH, MAX_IDS, Presented, ids_in
from sessionstore_sql.web.work import Outcome

ID = SessionId("an-id")
EPOCH = "Thu, 01 Jan 1970 00:00:00 GMT"


def test_it_is_set_with_every_attribute_that_protects_it() -> None:
    """Unless told otherwise."""
    header = SessionCookie(name="__Host-session").set_header(ID, timedelta(hours=1))

    assert header == "__Host-session=an-id; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"


def test_it_has_the_attributes_asked_for() -> None:
    """In the words of RFC 6265bis."""
    cookie = SessionCookie(
        name="sid", path="/a", same_site="none", domain="shop.example", partitioned=True
    )

    assert cookie.set_header(ID, None) == (
        "sid=an-id; Path=/a; HttpOnly; SameSite=None; Secure; Domain=shop.example; Partitioned"
    )


def test_it_can_do_without_tls() -> None:
    """On a laptop, for example."""
    cookie = SessionCookie(name="sid", secure=False)

    assert "Secure" not in cookie.set_header(ID, timedelta(hours=1))


def test_less_than_a_second_is_a_second() -> None:
    """``Max-Age=0`` would remove it."""
    header = SessionCookie(name="sid").set_header(ID, timedelta(milliseconds=500))

    assert "Max-Age=1;" in header


def test_it_is_removed_with_the_attributes_it_was_set_with() -> None:
    """Or a browser would take it for another cookie, or for none that it accepts."""
    header = SessionCookie(name="__Secure-sid", path="/a", domain="shop.example").removal_header()

    assert header == (
        "__Secure-sid=; Path=/a; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; "
        "HttpOnly; SameSite=Lax; Secure; Domain=shop.example"
    )


@pytest.mark.parametrize(
    "attributes",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "a=b"},
        {"name": "a;b"},
        {"name": "é"},
        {"path": ""},
        {"path": "a"},
        {"path": "/a;b"},
        {"path": "/\n"},
        {"domain": ""},
        {"domain": "a;b"},
        {"same_site": "Lax"},
        {"same_site": "none", "secure": False},
        {"partitioned": True, "secure": False},
        {"name": "__Host-sid", "secure": False},
        {"name": "__host-sid", "domain": "shop.example"},
        {"name": "__Host-sid", "path": "/a"},
        {"name": "__SECURE-sid", "secure": False},
        {"name": "__Http-sid", "secure": False},
    ],
    ids=str,
)
def test_what_browsers_would_not_accept_is_rejected(attributes: dict[str, Any]) -> None:
    """When it is made, and not when the first browser drops it."""
    with pytest.raises(ValueError, match=r"cookie|SameSite|prefix"):
        SessionCookie(**{"name": "sid"} | attributes)


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"path": "/", "secure": True, "domain": None}, "__Host-session"),
        ({"path": "/a", "secure": True, "domain": None}, "__Secure-session"),
        ({"path": "/", "secure": True, "domain": "shop.example"}, "__Secure-session"),
        ({"path": "/", "secure": False, "domain": None}, "sessionstore_id"),
    ],
    ids=str,
)
def test_the_default_name_has_the_strictest_prefix(attributes: dict[str, Any], name: str) -> None:
    """Of those that browsers accept with the attributes."""
    assert default_name(**attributes) == name


@pytest.mark.parametrize(
    ("headers", "values"),
    [
        ([], []),
        ([(b"accept", b"sid=1")], []),
        ([(b"cookie", b"")], []),
        ([(b"cookie", b"sid")], [b""]),
        ([(b"cookie", b"sid=1")], [b"1"]),
        ([(b"Cookie", b"sid=1")], [b"1"]),
        ([(b"cookie", b"a=0; \tsid =1;b=2")], [b"1"]),
        ([(b"cookie", b"sid= 1")], [b" 1"]),
        ([(b"cookie", b"sid=1=2")], [b"1=2"]),
        ([(b"cookie", b"sid=1; sid=2")], [b"1", b"2"]),
        ([(b"cookie", b"sid=1"), (b"cookie", b"sid=2")], [b"1", b"2"]),
        ([(b"cookie", b"SID=1; sidd=2; \xa0sid=3; \x0bsid=4")], []),
    ],
    ids=str,
)
def test_every_value_of_the_name_is_found(
    headers: list[tuple[bytes, bytes]], values: list[bytes]
) -> None:
    """And of no other name, however much it looks like it."""
    assert SessionCookie(name="sid").presented(headers) == values


def test_a_name_that_leaves_no_room_for_an_id_is_rejected() -> None:
    """Browsers ignore a cookie whose name and value are longer than 4,096 bytes together."""
    longest = "n" * (MAX_COOKIE_BYTES - GENERATED_LENGTH)

    assert SessionCookie(name=longest).name == longest
    with pytest.raises(ValueError, match="4096 bytes"):
        SessionCookie(name=f"{longest}n")


@pytest.mark.parametrize(
    ("outcome", "headers"),
    [
        (Outcome(Cookie.KEEP), []),
        (
            Outcome(Cookie.SET, ID, timedelta(hours=1)),
            ["sid=an-id; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"],
        ),
        (Outcome(Cookie.SET, ID, None), ["sid=an-id; Path=/; HttpOnly; SameSite=Lax; Secure"]),
        (
            Outcome(Cookie.REMOVE),
            [f"sid=; Path=/; Max-Age=0; Expires={EPOCH}; HttpOnly; SameSite=Lax; Secure"],
        ),
    ],
    ids=str,
)
def test_a_response_sets_removes_or_leaves_it(outcome: Outcome, headers: list[str]) -> None:
    """Whatever became of the session."""
    assert SessionCookie(name="sid").headers_after(outcome) == [
        ("Set-Cookie", value) for value in headers
    ]


@pytest.mark.parametrize("value", [b"a", b"x" * 1_024, b"!#$%&'()*+-./:<=>?@[]^_`{|}~"])
def test_the_value_of_a_cookie_is_an_id(value: bytes) -> None:
    """It is taken as it is: decoding could give two values one meaning."""
    assert ids_in([value]) == Presented((SessionId(value.decode()),), is_empty=False)


@pytest.mark.parametrize(
    "value", [b"", b"x" * 1_025, b"a b", b'"a"', b"a,b", b"\xe9", b"\0", b"\\"]
)
def test_anything_else_is_no_id(value: bytes) -> None:
    """A value that is too long, or that no cookie can have."""
    assert ids_in([value]) == Presented((), is_empty=False)


def test_different_ids_are_presented_in_their_order() -> None:
    """A value that is repeated is one id; a value that can be no id is left out."""
    presented = ids_in([b"b", b"a", b"b", b"a b"])

    assert presented.ids == (SessionId("b"), SessionId("a"))


def test_no_value_at_all_is_told_from_a_malformed_one() -> None:
    """After a logout, only a cookie that is there is removed."""
    assert ids_in([]) == Presented((), is_empty=True)


def test_a_flood_of_ids_is_cut_off() -> None:
    """One more than are looked up, so that the flood is noticed."""
    assert len(ids_in([b"%d" % n for n in range(100)]).ids) == MAX_IDS + 1
