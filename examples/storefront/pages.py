"""The pages of the shop: HTML, and nothing of sessions."""

from __future__ import annotations

from collections import Counter
from html import escape

ITEMS = ("tea", "scones", "marmalade")

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 2rem auto; }}
  nav, form {{ display: flex; gap: 1rem; align-items: baseline; margin: 0.5rem 0; }}
</style>
<nav><a href="/">Shop</a> <a href="/account">Account</a> {who}</nav>
<h1>{title}</h1>
{content}
</html>
"""

_LOGOUT = (
    """<form method="post" action="/logout"><span>{name}</span> <button>Log out</button></form>"""
)

_ADD = """<form method="post" action="/cart">
  <span>{item}</span> <button name="item" value="{item}">Add</button>
</form>
"""

_LOGIN = """<p>{message}</p>
<form method="post" action="/login">
  <input name="name" placeholder="name" required>
  <input name="password" type="password" placeholder="password" required>
  <button>Log in</button>
</form>
"""


_FRESH = """<script>
  // Chromium brings a page back as it was left, although it was not to be stored.
  addEventListener("pageshow", (event) => event.persisted && location.reload());
</script>
"""


def shop(user: str | None, cart: list[str]) -> str:
    """Return the page with what there is to buy."""
    shelf = "".join(_ADD.format(item=escape(item)) for item in ITEMS)
    return _page("Shop", user, f"{shelf}<h2>Your cart</h2>{_cart(cart)}")


def account(user: str, cart: list[str]) -> str:
    """Return the page that only its owner sees, and only while logged in."""
    content = f"<p>This is {escape(user)}'s account.</p>{_cart(cart)}{_FRESH}"
    return _page("Account", user, content)


def login(user: str | None, *, failed: bool) -> str:
    """Return the page that asks for a name and a password."""
    hint = "Try ada and lovelace, or grace and hopper."
    message = f"That was not it. {hint}" if failed else hint
    return _page("Log in", user, _LOGIN.format(message=message))


def _cart(cart: list[str]) -> str:
    if not cart:
        return '<p id="cart">nothing</p>'
    content = ", ".join(f"{count} {item}" for item, count in Counter(cart).items())
    return f'<p id="cart">{escape(content)}</p>'


def _page(title: str, user: str | None, content: str) -> str:
    who = '<a href="/login">Log in</a>' if user is None else _LOGOUT.format(name=escape(user))
    return _PAGE.format(title=title, who=who, content=content)
