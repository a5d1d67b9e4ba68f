"""A shop on Quart: a cart, a login, and a list of devices.

pip install 'sessionstore-sql[quart,sqlite,cli]'
sessionstore-sql upgrade --url sqlite:///sessions.db
quart --app examples/quart_app.py run
"""

from __future__ import annotations

from datetime import timedelta

from quart import Quart, request, session

from sessionstore_sql import SessionStorageBackend, SQLSessionStore
from sessionstore_sql.quart import (
    SQLSessionInterface,
    current_handle,
    fresh_required,
    invalidate,
    revoke,
    sessions_of,
    set_max_age,
    sign_in,
    sign_out_everywhere,
)


def create_app(store: SessionStorageBackend | None = None) -> Quart:
    """Return the application.

    Args:
        store: Where its sessions are; by default, a file of SQLite.
    """
    app = Quart(__name__)
    app.config["PERMANENT_SESSION_LIFETIME"] = timedelta(hours=2)
    if store is None:
        store = SQLSessionStore("sqlite:///sessions.db")
        app.after_serving(store.aclose)
    sessions = SQLSessionInterface(store, subject_of=lambda state: state.get("user"))
    sessions.init_app(app)

    @app.get("/")
    async def show() -> str:
        return f"{session.get('user', 'guest')}: {session.get('cart', [])}\n"

    @app.post("/buy")
    async def buy() -> str:
        session.setdefault("cart", []).append("tea")
        return "One more tea.\n"

    @app.post("/login")
    async def log_in() -> str:
        form = await request.form  # check the password here
        session["user"] = form["user"]
        sign_in(form["user"], about={"device": request.headers.get("User-Agent", "")[:80]})
        if "remember" in form:
            set_max_age(timedelta(days=90))
        return "Welcome.\n"

    @app.post("/logout")
    async def log_out() -> str:
        invalidate()
        return "Goodbye.\n"

    @app.get("/devices")
    async def devices() -> list[dict[str, object]]:
        this = current_handle()
        return [
            {"handle": each.handle.value, "about": each.about, "this": each.handle == this}
            for each in await sessions_of()
        ]

    @app.post("/devices/<handle>/end")
    async def end(handle: str) -> str:
        return "Ended.\n" if await revoke(handle) else "It had ended already.\n"

    @app.post("/password")
    @fresh_required(timedelta(minutes=10))
    async def change_password() -> str:
        ended = await sign_out_everywhere()
        return f"Changed. {ended} other sessions have ended.\n"

    return app
