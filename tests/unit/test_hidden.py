"""Ids stay hidden: from serialisers, from printouts and from the variables of tracebacks."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import pickle
import pprint
from datetime import timedelta
from typing import Any

import orjson
import pydantic
import pytest
from fastapi.encoders import jsonable_encoder
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from sessionstore_sql import (
    AccountSession,
    DuplicateIdError,
    SessionHandle,
    SessionId,
    SessionRecord,
    UpdateError,
)
from sessionstore_sql.accounts.sessions import AccountReference
from sessionstore_sql.errors import for_operation

SECRET = "secret-session-id"
ID = SessionId(SECRET)
HOUR = timedelta(hours=1)


@dataclasses.dataclass
class Holder:
    """A dataclass of an application's that keeps an id."""

    session_id: SessionId


class Model(pydantic.BaseModel):
    """A model of an application's that keeps an id."""

    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    session_id: SessionId


def by_attributes(value: object) -> Any:
    """Make of any object what a careless ``default`` does."""
    return getattr(value, "__dict__", None) or repr(value)


SERIALISERS = {
    "orjson": orjson.dumps,
    "orjson, default=str": lambda value: orjson.dumps(value, default=str),
    "orjson, default=vars": lambda value: orjson.dumps(value, default=by_attributes),
    "orjson, non-str keys": lambda value: orjson.dumps({value: 1}, option=orjson.OPT_NON_STR_KEYS),
    "json": json.dumps,
    "json, default=repr": lambda value: json.dumps(value, default=repr),
    "json, default=vars": lambda value: json.dumps(value, default=vars),
    "json, default=attributes": lambda value: json.dumps(value, default=by_attributes),
    "asdict": lambda value: dataclasses.asdict(Holder(value)),
    "astuple": lambda value: dataclasses.astuple(Holder(value)),
    "pydantic model": lambda value: Model(session_id=value).model_dump(),
    "pydantic model, JSON": lambda value: Model(session_id=value).model_dump_json(),
    "pydantic any": lambda value: pydantic.TypeAdapter(Any).dump_python(value),
    "pydantic any, JSON": lambda value: pydantic.TypeAdapter(Any).dump_json(value),
    "pydantic schema": lambda value: pydantic.TypeAdapter(type(value)).dump_json(value),
    "FastAPI": jsonable_encoder,
    "FastAPI, in a dataclass": lambda value: jsonable_encoder(Holder(value)),
    "pickle": pickle.dumps,
    "pickle, protocol 0": lambda value: pickle.dumps(value, 0),
    "pickle, in a dataclass": lambda value: pickle.dumps(Holder(value)),
    "reduce": lambda value: value.__reduce_ex__(2),
    "vars": vars,
    "pprint": pprint.pformat,
    "rich": lambda value: pretty_repr(value, expand_all=True),
    "rich, in a dataclass": lambda value: pretty_repr(Holder(value), expand_all=True),
    "format": lambda value: f"{value} {value!r} {value!s} {value:>40}",
    "deepcopy": lambda value: repr(copy.deepcopy([value])),
}


@pytest.mark.parametrize("serialise", SERIALISERS.values(), ids=list(SERIALISERS))
def test_a_serialiser_shows_no_id(serialise: Any) -> None:
    """It rejects an id, or hides it; whichever it does, the text is not in what comes out."""
    try:
        shown = repr(serialise(ID))
    except Exception as error:  # noqa: BLE001  # each has an error of its own
        shown = repr(error)

    assert SECRET not in shown


@pytest.mark.parametrize("serialise", SERIALISERS.values(), ids=list(SERIALISERS))
def test_a_serialiser_shows_no_id_of_an_error(serialise: Any) -> None:
    """An error that carries an id is reported in many ways."""
    error = for_operation(UpdateError, DuplicateIdError(ID))
    try:
        shown = repr(serialise(error))
    except Exception as failure:  # noqa: BLE001  # likewise
        shown = repr(failure)

    assert SECRET not in shown


@pytest.mark.parametrize(
    "show",
    [
        orjson.dumps,
        lambda value: orjson.dumps(value, default=str),
        lambda value: json.dumps(value, default=str),
        lambda value: pretty_repr(value, expand_all=True),
        repr,
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        SessionRecord({"user": "secret"}, HOUR),
        AccountSession(
            SessionRecord({"user": "secret"}, HOUR),
            SessionHandle.generate(),
            HOUR,
            None,
            1,
            account=AccountReference((b"secret",), b"secret"),
        ),
    ],
    ids=["record", "session"],
)
def test_a_logger_shows_no_state(show: Any, value: Any) -> None:
    """A record in a log line is not the state, whether the log is text or JSON."""
    try:
        shown = repr(show(value))
    except TypeError as error:
        shown = repr(error)

    assert "secret" not in shown


def test_an_id_that_is_not_pickled_says_why() -> None:
    """A process that needs the id is given its text on purpose."""
    with pytest.raises(TypeError, match="pass its value"):
        pickle.dumps(ID)


def test_a_rejected_text_is_in_no_variable_of_the_package() -> None:
    """A text that is nearly an id may be one that was mangled."""
    with pytest.raises(ValueError, match="1024 characters") as caught:
        SessionId(SECRET * 1_000)

    frame = caught.traceback[-1].frame
    assert frame.code.name == "__init__"
    assert SECRET not in repr(frame.f_locals)


def test_a_traceback_with_variables_shows_no_id() -> None:
    """As rich prints it, with the variables of every frame."""

    def handler(session_id: SessionId, record: SessionRecord) -> None:
        raise for_operation(UpdateError, DuplicateIdError(session_id))

    output = io.StringIO()
    try:
        handler(ID, SessionRecord({"user": "secret"}, HOUR))
    except UpdateError as error:
        trace = Traceback.from_exception(
            type(error), error, error.__traceback__, show_locals=True, locals_max_length=100
        )
        Console(file=output, width=200).print(trace)

    variables = output.getvalue().partition("locals")[2]
    assert "hidden" in variables
    assert "secret" not in variables.replace('{"user": "secret"}', "")
