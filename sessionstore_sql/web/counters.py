"""Counts what happened to concurrent changes of sessions, in this process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """How often requests changed one session at once, since this process started."""

    merged: int = 0
    """Changes that were put onto a newer state, because another request had stored one."""
    overwritten: int = 0
    """States that replaced another request's after all attempts to merge them had failed."""


counters = Counters()
"""The counters of this process, over all stores and applications in it."""
