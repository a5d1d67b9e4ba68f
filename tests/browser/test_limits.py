"""Tests with a browser have a timeout."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.browser.conftest import LIMIT
from tests.browser.servers import SHOPS, running_shop


def test_each_test_has_a_limit(request: pytest.FixtureRequest) -> None:
    """Each test has a timeout of pytest-timeout."""
    marker = request.node.get_closest_marker("timeout")

    assert marker is not None
    assert marker.args == (LIMIT,)
    assert request.config.pluginmanager.hasplugin("timeout")


@pytest.mark.parametrize("framework", SHOPS)
def test_a_shop_stops_while_a_request_is_open(framework: str, tmp_path: Path) -> None:
    """A shop stops although a client keeps a request open, as a hanging browser does."""
    with (
        running_shop(framework, tmp_path) as shop,
        socket.create_connection(("127.0.0.1", shop.port)) as browser,
    ):
        browser.sendall(
            b"POST /cart HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\n\r\n"
        )
        # The server asks for the body, so the request has started.
        assert browser.recv(1024).startswith(b"HTTP/1.1 100")
        held_open = browser.dup()

    held_open.close()
