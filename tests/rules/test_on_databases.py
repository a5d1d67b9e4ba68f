"""Runs the tests of the rules that use a store, on every database and through every adapter."""

from __future__ import annotations

from tests.web.rules.test_accounts import *  # noqa: F403  # the tests
from tests.web.rules.test_connections import (
    test_a_websocket_ends_with_its_session,  # noqa: F401
)
from tests.web.rules.test_ids import *  # noqa: F403
from tests.web.rules.test_state import *  # noqa: F403
