"""What the shop keeps about a device, for the list that its owner sees."""

from __future__ import annotations

from typing import Any

_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
"""In this order: most browsers name several others too."""

_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)

_MOBILE = {"iPhone", "Android"}


def about_device(user_agent: str, address: str | None) -> dict[str, Any]:
    """Return what the list of a user's devices shows of the one that logs in.

    All of it comes from the client. It helps users to recognise their own devices, and proves
    nothing.

    Args:
        user_agent: The header.
        address: The client's address as the server knows it; not a header that anyone can send.
    """
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "Unknown browser")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), None)
    return {
        "device": browser if system is None else f"{browser} on {system}",
        "mobile": system in _MOBILE,
        "address": address or "unknown address",
    }
