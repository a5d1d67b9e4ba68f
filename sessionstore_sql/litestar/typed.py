"""``typed_session``: the session as a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from litestar.di import Provide
from litestar.types import Scope  # noqa: TC002  # Litestar reads the annotation

from sessionstore_sql.litestar.functions import not_authenticated
from sessionstore_sql.litestar.middleware import connection_to, session_of
from sessionstore_sql.litestar.unavailable import answering_503

if TYPE_CHECKING:
    from sessionstore_sql.web.session_dict import SessionDict

ModelT = TypeVar("ModelT")


class TypedSession(Provide):
    """A dependency that gives the session as a model; see ``typed_session``."""


def typed_session(model: type[ModelT]) -> TypedSession:
    """Return a dependency that gives the session as a ``model``, or responds with 401.

        class Login(Struct):
            user_id: int

        @get("/me", dependencies={"login": typed_session(Login)})
        async def me(login: NamedDependency[Login]) -> int:
            return login.user_id

    ``model`` is a msgspec ``Struct``, a dataclass, a ``TypedDict`` or a Pydantic model. A visitor
    gets 401 (Unauthorized) if it does not accept their session, or if they have none. A field
    without a default has to be there, such as the user of a session that is signed in. Other keys
    of the session stay as they are.

    Fields of the model that are changed are stored with the session, before the response starts.
    Changes that are made in ``request.session`` after the model was made do not appear in the
    model. After ``invalidate`` nothing of the model is stored.

    With ``SQLSessionPlugin``, the 401 appears in the OpenAPI document of the application.
    """

    async def provide(scope: Scope) -> Any:  # noqa: ANN401  # the model
        connection = connection_to(scope)
        session = session_of(connection)
        with answering_503(scope):
            session.request_session.require_loaded()
        try:
            view = _View(session, model)
        except (ValueError, TypeError):
            view = None
        if view is None:
            # Raised here, outside of the block: the other error shows the content of the session.
            raise not_authenticated(connection)
        session.before_saving.append(view.write)
        return view.value

    return TypedSession(provide)


class _View(Generic[ModelT]):
    """A model made of a session, and what has to be written back."""

    def __init__(self, session: SessionDict, model: type[ModelT]) -> None:
        self._session = session
        self.value = _model_of(dict(session), model)
        self._known = _fields_of(self.value)

    def write(self) -> None:
        """Write the fields that changed since the last time into the session."""
        known, self._known = self._known, _fields_of(self.value)
        for name, value in self._known.items():
            # repr, as 1 == True.
            if name not in known or repr(value) != repr(known[name]):
                self._session[name] = value


def _model_of(state: dict[str, Any], model: Any) -> Any:  # noqa: ANN401  # any kind of model
    if hasattr(model, "model_validate_json"):
        # From JSON: there, a strict model accepts the text of a date as a date.
        return model.model_validate_json(msgspec.json.encode(state))
    return msgspec.json.decode(msgspec.json.encode(state), type=model)


def _fields_of(value: Any) -> dict[str, Any]:  # noqa: ANN401  # any kind of model
    fields: dict[str, Any]
    if hasattr(value, "model_dump"):
        fields = value.model_dump(mode="json", by_alias=True)
    else:
        fields = msgspec.json.decode(msgspec.json.encode(value))
    return fields
