"""The pages on which users look after their sessions and their password."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from storefront.layout import KEPT_FRESH, alert, note, page

if TYPE_CHECKING:
    from collections.abc import Sequence


class Device(Protocol):
    """One place where a user is signed in: a ``SessionInfo`` of the store."""

    @property
    def handle(self) -> object:
        """Names the session."""
        ...

    @property
    def created(self) -> datetime:
        """When the user signed in."""
        ...

    @property
    def seen(self) -> datetime:
        """When the session was last stored."""
        ...

    @property
    def about(self) -> dict[str, Any]:
        """What ``about_device`` returned at the login."""
        ...


_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

_ICON = """<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.6"
aria-hidden="true"><path d="{lines}"/></svg>"""
_LAPTOP = "M5 5h14v10H5zM2 19h20l-3-4H5z"
_PHONE = "M8 2h8a1 1 0 0 1 1 1v18a1 1 0 0 1-1 1H8a1 1 0 0 1-1-1V3a1 1 0 0 1 1-1zM11 19h2"

_DEVICE = """<li>{icon}<div><span class="name">{name}</span>{badge}
<small>{address} · signed in <time datetime="{created}">{since}</time>{seen}</small></div>
<form method="post" action="/devices/sign-out">
<button class="quiet" name="handle" value="{handle}">{button}</button></form></li>
"""

_OTHERS = """<form method="post" action="/devices/sign-out-others">
<button class="danger">Sign out everywhere else</button></form>
"""

_CONFIRM = """{alert}<form class="card" method="post" action="/confirm">
<p>You are logged in as <strong>{user}</strong>. Enter your password to go on.</p>
<label class="field">Password
<input name="password" type="password" placeholder="password" autocomplete="current-password"
required autofocus></label>
<button class="wide">Confirm</button>
</form>
"""

_CHANGE = """{alert}<form class="card" method="post" action="/password">
<label class="field">New password
<input name="password" type="password" placeholder="new password" autocomplete="new-password"
minlength="{least}" required autofocus></label>
<p class="soft">At least {least} characters. You will be signed out on all other devices.</p>
<button class="wide">Change password</button>
</form>
"""


def devices(
    user: str, sessions: Sequence[Device], this: object, *, message: str | None = None
) -> str:
    """Return the page that lists where a user is signed in.

    Args:
        user: The user.
        sessions: The user's sessions.
        this: The handle of the session that asks.
        message: What the user has just done.
    """
    ordered = sorted(sessions, key=lambda each: each.handle != this)
    rows = "".join(_device(each, is_this=each.handle == this) for each in ordered)
    content = f"""{note(message)}<p class="soft">This is where you are signed in. If you do not
recognise a device, sign it out and change your password.</p><ul class="devices">{rows}</ul>
<div class="actions">{_OTHERS if len(ordered) > 1 else ""}
<a class="button quiet" href="/password">Change password</a></div>{KEPT_FRESH}"""
    return page("Your devices", user, content)


def confirm(user: str, *, failed: bool) -> str:
    """Return the form that asks a user for their password once more."""
    message = alert("Wrong password." if failed else None)
    content = _CONFIRM.format(user=escape(user), alert=message)
    return page("Confirm that it is you", user, content + KEPT_FRESH, narrow=True)


def password(user: str, *, least: int, failed: bool) -> str:
    """Return the form for a new password of at least ``least`` characters."""
    message = alert(f"A password has at least {least} characters." if failed else None)
    content = _CHANGE.format(alert=message, least=least)
    return page("Change password", user, content + KEPT_FRESH, narrow=True)


def _device(session: Device, *, is_this: bool) -> str:
    about = session.about
    name = str(about.get("device", "Unknown device"))
    return _DEVICE.format(
        icon=_ICON.format(lines=_PHONE if about.get("mobile") else _LAPTOP),
        name=escape(name),
        badge='<span class="badge">This device</span>' if is_this else "",
        address=escape(str(about.get("address", "unknown address"))),
        created=session.created.isoformat(timespec="seconds"),
        since=_ago(session.created),
        seen="" if is_this else f" · last active {_ago(session.seen)}",
        handle=escape(str(session.handle)),
        button="Sign out" if is_this else "Sign out there",
    )


def _ago(time: datetime) -> str:
    age = datetime.now(UTC) - time
    if age < _MINUTE:
        return "just now"
    if age < _HOUR:
        return f"{age // _MINUTE} min ago"
    if age < _DAY:
        return f"{age // _HOUR} h ago"
    return f"on {time.day} {time:%B %Y}"
