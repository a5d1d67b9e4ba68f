"""A session middleware for any ASGI application."""

from sessionstore_sql.web.asgi.middleware import SessionMiddleware

__all__ = ["SessionMiddleware"]
