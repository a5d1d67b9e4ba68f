"""The example on Quart."""

from __future__ import annotations

import pytest
from quart_app import create_app

from sessionstore_sql.testing import MemorySessionStore

pytestmark = pytest.mark.anyio


async def test_a_user_sees_and_ends_sessions() -> None:
    """From another device."""
    app = create_app(MemorySessionStore())
    phone, laptop = app.test_client(), app.test_client()
    await phone.post("/buy")
    for each in (phone, laptop):
        await each.post("/login", form={"user": "ada", "remember": "on"})
    assert await (await phone.get("/")).get_data(as_text=True) == "ada: ['tea']\n"

    listed = await (await laptop.get("/devices")).get_json()
    (other,) = [each["handle"] for each in listed if not each["this"]]
    await laptop.post(f"/devices/{other}/end")

    assert await (await phone.get("/")).get_data(as_text=True) == "guest: []\n"
    changed = await (await laptop.post("/password")).get_data(as_text=True)
    assert changed == "Changed. 0 other sessions have ended.\n"
    await laptop.post("/logout")
    assert await (await laptop.get("/")).get_data(as_text=True) == "guest: []\n"
