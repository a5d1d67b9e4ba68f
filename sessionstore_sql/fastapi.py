"""Sessions for FastAPI: those of Starlette, and a typed one to depend on.

    LoggedIn = Annotated[Login, Depends(typed_session(Login))]

    @app.get("/me")
    async def me(login: LoggedIn) -> str:
        return login.name

``Login`` is a Pydantic model of what ``request.session`` holds. The extra is ``fastapi``.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Generic, TypeVar

if find_spec("fastapi") is None:
    raise ModuleNotFoundError(
        "sessionstore_sql.fastapi needs FastAPI: pip install 'sessionstore-sql[fastapi]'",
        name="fastapi",
    )

from fastapi import HTTPException, status
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError
from starlette.requests import HTTPConnection  # noqa: TC002  # FastAPI reads the annotation

from sessionstore_sql.codec import JSONCodec
from sessionstore_sql.errors import SerializationError
from sessionstore_sql.starlette import SessionClosedError, SessionMiddleware, invalidate, rotate
from sessionstore_sql.starlette.session import session_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from sessionstore_sql.starlette.session import Session

__all__ = ["SessionClosedError", "SessionMiddleware", "invalidate", "rotate", "typed_session"]

ModelT = TypeVar("ModelT", bound=BaseModel)


def typed_session(model: type[ModelT]) -> Callable[[HTTPConnection], Awaitable[ModelT]]:
    """Return a dependency that gives the session as a ``model``, or answers 401.

    401 (Unauthorized) is the answer to whoever has a session that the model does not accept, or
    none: a field without a default is one that has to be there, as the user of who is logged in.
    What the session holds beside the model's fields stays as it is, unless the model forbids it.

    What is changed in the model is stored with the session: the fields that differ, under their
    aliases, before the response starts. A field that would not come back equal is a
    ``SerializationError`` then, and so is one that the model would not accept. What is changed
    in ``request.session`` after the model was made is not seen in the model, and after
    ``invalidate`` nothing of the model is stored.

    Raises:
        RuntimeError: When a request did not pass through ``SessionMiddleware``.
    """

    async def dependency(connection: HTTPConnection) -> ModelT:
        session = session_of(connection)
        session.mark_accessed()
        try:
            view = _View(session, model)
        except ValidationError:
            view = None
        if view is None:
            # Raised here, outside the block: the other error shows the session's content.
            raise HTTPException(
                status.HTTP_401_UNAUTHORIZED,
                "Not authenticated",
                {"WWW-Authenticate": "Cookie"},  # a challenge is a must: RFC 9110, 11.6.1
            )
        session.before_saving.append(view.write)
        return view.value

    return dependency


class _View(Generic[ModelT]):
    """A model made of a session, and what of it is to be written back."""

    def __init__(self, session: Session, model: type[ModelT]) -> None:
        self._session = session
        self._model = model
        self.value = self._read()
        self._known = self._fields()

    def write(self) -> None:
        """Write the fields that changed since the last time into the session."""
        fields = self._fields()
        changed = {
            name
            for name, value in fields.items()
            # repr, as 1 == True.
            if name not in self._known or repr(value) != repr(self._known[name])
        }
        removed = self._known.keys() - fields.keys()
        self._known = fields
        if not changed and not removed:
            return
        for name in removed:  # what a model allows beside its fields, and so has no alias
            del self._session[name]
        self._session.update(self._dumped(by_alias=True, include=changed))
        self._require_equal(changed)

    def _read(self) -> ModelT:
        # By way of JSON: a strict model takes a date for a date there, and not in Python.
        return self._model.model_validate_json(JSONCodec().encode(dict(self._session)))

    def _fields(self) -> dict[str, Any]:
        return self._dumped(by_alias=False, include=None)

    def _dumped(self, *, by_alias: bool, include: set[str] | None) -> dict[str, Any]:
        try:
            return self.value.model_dump(
                mode="json",
                by_alias=by_alias,
                include=include,
                exclude_computed_fields=True,
                # They would show values. What is of another type is found by _require_equal.
                warnings=False,
            )
        except PydanticSerializationError:
            pass
        raise SerializationError(f"{self._model.__name__} holds what Pydantic cannot write")

    def _require_equal(self, changed: set[str]) -> None:
        try:
            loaded = self._read()
        except ValidationError:
            loaded = None
        for name in sorted(changed):
            if loaded is None or getattr(loaded, name) != getattr(self.value, name):
                raise SerializationError(
                    f"{self._model.__name__}.{name} would not be the same when it is loaded"
                )
