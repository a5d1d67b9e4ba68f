"""The commands of a console block and their expected output."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

from tests.docs.pages import ROOT

_PROMPT = "$ "
_ANYTHING = "..."


@dataclass(frozen=True)
class Command:
    """A command at a prompt.

    Args:
        line: The command.
        output: The expected output, or ``""``.
    """

    line: str
    output: str

    @property
    def is_server(self) -> bool:
        """Whether the command runs in the background."""
        return self.line.endswith(" &")


def commands_in(code: str) -> Iterator[Command]:
    r"""Yield the commands of a block; a line that ends in ``\`` continues on the next.

    Raises:
        ValueError: The block does not begin with a prompt.
    """
    typed: str | None = None
    shown: list[str] = []
    for line in code.splitlines():
        if typed is not None and typed.endswith("\\") and not shown:
            typed = f"{typed}\n{line}"
        elif line.startswith(_PROMPT):
            if typed is not None:
                yield Command(typed, "\n".join(shown).strip())
            typed, shown = line.removeprefix(_PROMPT).strip(), []
        elif typed is None:
            raise ValueError(f"a console block begins with {_PROMPT!r}")
        else:
            shown.append(line.rstrip())
    if typed is not None:
        yield Command(typed, "\n".join(shown).strip())


def matches(shown: str, printed: str) -> bool:
    """Whether ``printed`` matches ``shown``, where ``...`` stands for any text."""
    pattern = ".*?".join(map(re.escape, shown.split(_ANYTHING)))
    lines = "\n".join(line.rstrip() for line in printed.splitlines())
    return re.fullmatch(pattern, lines.strip(), re.DOTALL) is not None


def fault_of_installation(line: str) -> str | None:
    """Return what is wrong with ``pip install ..`` or ``make ..``, or ``None``.

    These commands are checked but not run.

    Raises:
        ValueError: It is another command.
    """
    match line.split():
        case ["make", target, *_]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            known = re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE)
            return None if known else f"the Makefile has no {target}"
        case ["pip", "install", *_] | ["python", "-m", "pip", "install", *_]:
            project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
            named = re.findall(r"(?:sessionstore-sql|\.)\[([\w,-]+)\]", line)
            extras = {extra for names in named for extra in names.split(",")}
            unknown = extras - project["project"]["optional-dependencies"].keys()
            return f"there is no extra {', '.join(sorted(unknown))}" if unknown else None
        case _:
            raise ValueError(line)


def is_installation(line: str) -> bool:
    """Whether the command is an installation or a make target."""
    return re.match(r"(make|pip install|python -m pip install) ", line) is not None
