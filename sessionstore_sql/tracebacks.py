"""Tracebacks without local variables.

Error trackers and rich tracebacks show the local variables of every frame. In the frames of this
package, of SQLAlchemy and of the drivers, these are states, digests of ids and bound parameters.
So errors leave the store with tracebacks that name the same files, lines and functions, and hold
frames without variables.

Real frames cannot be emptied instead: before Python 3.13, ``frame.clear()`` ends a coroutine that
is suspended, such as a worker that has caught the error and goes on.
"""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType, FrameType

_RAISE = compile("raise signal", __file__, "exec")
_MARK = "__variables_removed__"


class _Signal(Exception):  # noqa: N818  # it is raised to make a frame, and reports no error
    pass


def remove_variables(error: BaseException) -> None:
    """Replace the tracebacks of ``error``, and of every error it leads to, by ones without."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = _without_variables(current.__traceback__)
        pending += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            pending += current.exceptions


def _without_variables(traceback: TracebackType | None) -> TracebackType | None:
    entries: list[TracebackType] = []
    while traceback is not None:
        entries.append(traceback)
        traceback = traceback.tb_next
    result: TracebackType | None = None
    while entries:
        result = _copy(entries.pop(), result)
    return result


def _copy(entry: TracebackType, following: TracebackType | None) -> TracebackType:
    frame, line = entry.tb_frame, entry.tb_lineno
    if _MARK not in frame.f_globals:
        code = frame.f_code
        module = frame.f_globals.get("__name__", "")
        # A frame keeps a reference to the one that called it, which is this one.
        del frame, entry
        frame = _frame(
            _RAISE.replace(
                co_filename=code.co_filename,
                co_name=code.co_name,
                co_qualname=code.co_qualname,
                co_firstlineno=line,
            ),
            module,
        )
    # Without an instruction there are no columns, which would underline part of the line.
    return TracebackType(following, frame, -1, line)


def _frame(code: CodeType, module: str) -> FrameType:
    signal = _Signal()
    with suppress(_Signal):
        # The code is the one line above; its variables are those of a module that has none.
        exec(code, {"__name__": module, "signal": signal, _MARK: True}, {})  # noqa: S102
    entry = signal.__traceback__
    assert entry is not None
    while entry.tb_next is not None:  # the first frame is that of this function
        entry = entry.tb_next
    signal.__traceback__ = None
    return entry.tb_frame
