"""Sessions for Starlette and FastAPI: ``SessionMiddleware``, ``rotate``, ``invalidate``.

    app.add_middleware(SessionMiddleware, store=SQLSessionStore(url))

``request.session`` stays what it is with Starlette's own middleware, a dict; but its content is
in the database, and the cookie holds an id that says nothing. The extra is ``starlette``.
"""

from importlib.util import find_spec

if find_spec("starlette") is None:
    raise ModuleNotFoundError(
        "sessionstore_sql.starlette needs Starlette: pip install 'sessionstore-sql[starlette]'",
        name="starlette",
    )

from sessionstore_sql.starlette.middleware import SessionMiddleware, invalidate, rotate
from sessionstore_sql.visits import SessionClosedError

__all__ = ["SessionClosedError", "SessionMiddleware", "invalidate", "rotate"]
