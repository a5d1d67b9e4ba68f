"""The HTML pages of the shop; they do not use sessions."""

from __future__ import annotations

from collections import Counter
from html import escape

from storefront.layout import KEPT_FRESH, alert, note, page

_SVG = """<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.6"
aria-hidden="true"><path d="{lines}"/></svg>"""

_CUP = "M4 9h12v5a5 5 0 0 1-5 5H9a5 5 0 0 1-5-5zM16 10h2a2 2 0 0 1 0 5h-2M8 3v3M12 3v3"
_SCONE = "M5 13c0-4 3-7 7-7s7 3 7 7zM4 13h16v3a3 3 0 0 1-3 3H7a3 3 0 0 1-3-3z"
_JAR = "M7 3h10v3H7zM6 6h12v12a3 3 0 0 1-3 3H9a3 3 0 0 1-3-3zM6 11h12M6 17h12"

_SHELF = {
    "tea": ("Assam, loose leaf, 125 g", "£4.80", _CUP),
    "scones": ("Four, baked this morning", "£3.20", _SCONE),
    "marmalade": ("Seville orange, 340 g", "£5.50", _JAR),
}

ITEMS = tuple(_SHELF)

_ITEM = """<form class="card" method="post" action="/cart">
{picture}<h2>{name}</h2><p class="soft">{text}</p>
<div class="foot"><span class="price">{price}</span>
<button name="item" value="{item}">Add</button></div>
</form>
"""

_LOGIN = """{alert}<form class="card" method="post" action="/login">
<label class="field">Name
<input name="name" placeholder="name" autocomplete="username" required autofocus></label>
<label class="field">Password
<input name="password" type="password" placeholder="password" autocomplete="current-password"
required></label>
<label class="tick"><input type="checkbox" name="keep" value="yes"> Keep me signed in</label>
<button class="wide">Log in</button>
</form>
<p class="soft">Try ada and lovelace, or grace and hopper.</p>
"""

_ACCOUNT_LINKS = """<div class="card"><h2>Security</h2>
<p class="soft">See where you are signed in, and change your password.</p>
<div class="actions"><a class="button quiet" href="/devices">Your devices</a>
<a class="button quiet" href="/password">Change password</a></div></div>
"""


def shop(user: str | None, cart: list[str]) -> str:
    """Return the page with the items and the cart."""
    return page("Shop", user, f'<div class="shelf">{"".join(map(_item, ITEMS))}</div>{_cart(cart)}')


def account(user: str, cart: list[str], *, message: str | None = None) -> str:
    """Return the page that a user sees only while logged in.

    Args:
        user: The user.
        cart: What is in the cart.
        message: What the user has just done.
    """
    greeting = f"<p>This is {escape(user)}'s account.</p>"
    content = f"{note(message)}{greeting}{_cart(cart)}{_ACCOUNT_LINKS}"
    return page("Account", user, f"{content}{KEPT_FRESH}")


def login(user: str | None, *, failed: bool) -> str:
    """Return the login form."""
    message = "Wrong name or password." if failed else None
    return page("Log in", user, _LOGIN.format(alert=alert(message)), narrow=True)


def _item(item: str) -> str:
    text, price, lines = _SHELF[item]
    return _ITEM.format(
        picture=_SVG.format(lines=lines),
        name=item.capitalize(),
        item=item,
        text=escape(text),
        price=price,
    )


def _cart(cart: list[str]) -> str:
    counts = ", ".join(f"{count} {item}" for item, count in Counter(cart).items())
    content = escape(counts) or "nothing"
    return f'<div class="card"><h2>Your cart</h2><p id="cart">{content}</p></div>'
