"""A shop on Flask: a cart, a login, and a list of devices.

pip install 'sessionstore-sql[flask,sqlite,cli]'
sessionstore-sql upgrade --url sqlite:///sessions.db
flask --app examples/flask_app.py run
"""

from __future__ import annotations

from datetime import timedelta

from flask import Flask, request, session

from sessionstore_sql.flask import (
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


def create_app(sessions: SQLSessionInterface | None = None) -> Flask:
    """Return the application.

    Args:
        sessions: Its sessions; by default, in a file of SQLite.
    """
    app = Flask(__name__)
    app.config["PERMANENT_SESSION_LIFETIME"] = timedelta(hours=2)
    if sessions is None:
        sessions = SQLSessionInterface(
            "sqlite:///sessions.db", subject_of=lambda state: state.get("user")
        )
    sessions.init_app(app)

    @app.get("/")
    def show() -> str:
        return f"{session.get('user', 'guest')}: {session.get('cart', [])}\n"

    @app.post("/buy")
    def buy() -> str:
        session.setdefault("cart", []).append("tea")
        return "One more tea.\n"

    @app.post("/login")
    def log_in() -> str:
        # Check the password here.
        session["user"] = request.form["user"]
        sign_in(request.form["user"], about={"device": request.user_agent.string[:80]})
        if "remember" in request.form:
            set_max_age(timedelta(days=90))
        return "Welcome.\n"

    @app.post("/logout")
    def log_out() -> str:
        invalidate()
        return "Goodbye.\n"

    @app.get("/devices")
    def devices() -> list[dict[str, object]]:
        this = current_handle()
        return [
            {"handle": each.handle.value, "about": each.about, "this": each.handle == this}
            for each in sessions_of()
        ]

    @app.post("/devices/<handle>/end")
    def end(handle: str) -> str:
        return "Ended.\n" if revoke(handle) else "It had ended already.\n"

    @app.post("/password")
    @fresh_required(timedelta(minutes=10))
    def change_password() -> str:
        ended = sign_out_everywhere()
        return f"Changed. {ended} other sessions have ended.\n"

    return app
