"""What the web layer raises beside the errors of the store."""

from __future__ import annotations


class SessionClosedError(RuntimeError):
    """A session was changed too late to be stored.

    That is after the response has started, or after an exception has left the session middleware.
    It is raised where the session is changed, if the session can tell. A change inside of one of
    its values is found, and reported in the same way, when the application has finished.
    """
