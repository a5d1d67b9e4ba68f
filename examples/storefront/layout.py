"""What all pages of the shop have in common."""

from __future__ import annotations

from html import escape
from pathlib import Path

_STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · The Corner Shop</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<header><nav>
<a class="brand" href="/">The Corner Shop</a>
{who}
</nav></header>
<main class="{width}">
<h1>{title}</h1>
{content}
</main>
</body>
</html>
"""

_GUEST = '<a href="/">Shop</a> <a href="/login">Log in</a>'

_USER = """<a href="/">Shop</a> <a href="/account">Account</a>
<form method="post" action="/logout"><span class="who">{name}</span>
<button class="quiet">Log out</button></form>"""

KEPT_FRESH = """<script>
  // Chromium restores a page from memory in spite of Cache-Control: no-store.
  addEventListener("pageshow", (event) => event.persisted && location.reload());
</script>
"""
"""Belongs on private pages: without it, the back button shows them after a logout."""


def page(title: str, user: str | None, content: str, *, narrow: bool = False) -> str:
    """Return a page.

    Args:
        title: The heading.
        user: The user who is logged in.
        content: HTML.
        narrow: Whether the page holds a form only.
    """
    return _PAGE.format(
        title=escape(title),
        style=_STYLE,
        who=_GUEST if user is None else _USER.format(name=escape(user)),
        width="narrow" if narrow else "",
        content=content,
    )


def alert(message: str | None) -> str:
    """Return a message about an error, or nothing."""
    return "" if message is None else f'<p class="alert" role="alert">{escape(message)}</p>'


def note(message: str | None) -> str:
    """Return a message about a success, or nothing."""
    return "" if message is None else f'<p class="note" role="status">{escape(message)}</p>'
