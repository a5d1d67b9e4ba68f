"""``SessionMiddleware``: the middleware for any ASGI application, as Starlette's users know it."""

from __future__ import annotations

from sessionstore_sql.web import asgi


class SessionMiddleware(asgi.SessionMiddleware):
    """Gives ``request.session`` and ``websocket.session``: a dict kept in the database.

    It replaces Starlette's own, has its options, and is secure by default. The session is loaded
    in one statement if a request presents a cookie that can be an id. It is stored before the
    response starts: a client that has received the response has a session that is committed. A
    session that is only read is not written, but it is extended, and its cookie renewed, when too
    little of its lifetime remains.

    Concurrent requests of one visitor do not undo each other's changes: the top-level keys that
    each of them set or deleted are merged. A session that ended while a request was using it is
    not stored again.

    ``SessionClosedError`` is raised for changes that come too late: after the response has
    started, or after an exception has left the middleware.

    If the database cannot be reached, only requests that use their session fail. They are
    answered with 503 and ``Retry-After``, unless the application handles the ``DatabaseError``.

    Responses that depend on a session, or carry its cookie, get ``Vary: Cookie`` and
    ``Cache-Control: private``.

    Options marked with * need a store that is an ``AccountSessionBackend``, such as
    ``SQLSessionStore``. Durations are a ``timedelta`` or seconds.

    Args:
        app: The application.
        store: The store of the sessions. The application opens and closes it.
        session_cookie: The name of the cookie. Default: ``__Host-session``; with another ``path``
            than ``/`` or with a ``domain``, ``__Secure-session``; with ``https_only=False``,
            ``sessionstore_id``.
        max_age: Idle time: how long a session lives after it was stored or renewed.
        path: The ``Path`` of the cookie.
        same_site: The ``SameSite`` of the cookie.
        https_only: Whether the cookie is ``Secure``. Browsers ignore a ``Secure`` cookie on plain
            HTTP, and some of them on localhost too: switch it off in development then.
        domain: The ``Domain`` of the cookie; ``None``: no other host receives it.
        partitioned: Whether the cookie is ``Partitioned``: one for each site that embeds this one.
        bearer: Sends the id in headers instead of a cookie. The options of the cookie have no
            effect then.
        anonymous_max_age: * Idle time of sessions that are not signed in; ``None``: ``max_age``.
        persistent: Whether the browser keeps the cookie when it is closed. With ``False``, it
            keeps only cookies of sessions for which ``set_max_age`` was called.
        lifetime: * Absolute lifetime of signed-in sessions, counted from the sign-in; ``None``:
            that of the store.
        renewal_threshold: The share of the idle time, from 0 to 1, below which the remaining time
            is renewed. With 0 it never is.
        max_sessions: * Maximum number of sessions of one user. A sign-in ends the oldest ones
            above it. ``None``: that of the store.
        subject_of: * Returns the user id in a state, or ``None``, such as
            ``lambda state: state.get("user_id")``. A request that changes it signs in, and gets a
            new id; one that removes it ends the session.
        on_conflict: What happens if another request has changed the session meanwhile:
            ``"merge"``, ``"overwrite"``, or * ``"error"``, which raises ``ConflictError``.
        max_state_bytes: Maximum size of a state as JSON. A larger one is a
            ``SerializationError``, and nothing is stored. ``None``: no maximum.
        exclude: Paths that have no session, each with everything below it, and regular
            expressions that are searched for in the path.
        websocket_recheck: How often the session of an open WebSocket is looked up. If it has
            ended, the WebSocket is closed with code 1008. ``None``: never.

    Raises:
        TypeError: An option is of a wrong type, or needs an ``AccountSessionBackend``.
        ValueError: An option is out of range, or browsers would not accept such a cookie.
    """
