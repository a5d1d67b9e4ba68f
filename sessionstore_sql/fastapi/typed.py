"""``typed_session``: the session as a Pydantic model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

from fastapi import Security
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError
from starlette.requests import HTTPConnection  # noqa: TC002  # FastAPI reads the annotation

from sessionstore_sql.codec import JSONCodec
from sessionstore_sql.errors import SerializationError
from sessionstore_sql.fastapi.openapi import SESSION
from sessionstore_sql.starlette.functions import not_authenticated
from sessionstore_sql.starlette.session import session_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from sessionstore_sql.web.session_dict import SessionDict

ModelT = TypeVar("ModelT", bound=BaseModel)


def typed_session(model: type[ModelT]) -> Callable[[HTTPConnection], Awaitable[ModelT]]:
    """Return a dependency that gives the session as a ``model``, or responds with 401.

        LoggedIn = Annotated[Login, Depends(typed_session(Login))]

        @app.get("/me")
        async def me(login: LoggedIn) -> str:
            return login.name

    A visitor gets 401 (Unauthorized) if the model does not accept their session, or if they have
    none. A field without a default has to be there, such as the user of a session that is signed
    in. Other keys of the session stay as they are, unless the model forbids them.

    Changes in the model are stored with the session: the fields that differ, under their aliases,
    before the response starts. A field that would not come back equal is a
    ``SerializationError``, and so is one that the model would not accept. Changes that are made
    in ``request.session`` after the model was made do not appear in the model. After
    ``invalidate`` nothing of the model is stored.

    The 401 appears in the OpenAPI document of the application.

    Raises:
        RuntimeError: When a request did not pass through ``SessionMiddleware``.
    """

    async def dependency(
        connection: HTTPConnection, _scheme: Annotated[None, Security(SESSION)] = None
    ) -> ModelT:
        session = session_of(connection)
        session.mark_accessed()
        try:
            view = _View(session, model)
        except ValidationError:
            view = None
        if view is None:
            # Raised here, outside of the block: the other error shows the content of the session.
            raise not_authenticated(connection)
        session.before_saving.append(view.write)
        return view.value

    return dependency


class _View(Generic[ModelT]):
    """A model made of a session, and what has to be written back."""

    def __init__(self, session: SessionDict, model: type[ModelT]) -> None:
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
        for name in removed:  # What a model allows beside its fields has no alias.
            del self._session[name]
        self._session.update(self._dumped(by_alias=True, include=changed))
        self._require_equal(changed)

    def _read(self) -> ModelT:
        # From JSON: there, a strict model accepts the text of a date as a date.
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
                # They would show values. _require_equal finds values of another type.
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
