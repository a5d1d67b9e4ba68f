"""HAProxy in front of several servers of our own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.reliability.servers.process import ServerProcess, free_port
from tests.reliability.servers.programs import find

_CONFIGURATION = """\
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    option redispatch
    retries 3

listen galera
    bind 127.0.0.1:{port}
    balance leastconn
    default-server check inter 500ms fall 2 rise 2 on-marked-down shutdown-sessions
"""


class HAProxy:
    """Gives each connection to the server that has fewest."""

    def __init__(self, folder: Path, ports: Sequence[int]) -> None:
        """Use ``folder``, and pass on to these ports of 127.0.0.1."""
        self.process = ServerProcess(folder)
        self.port = free_port()
        self._ports = ports
        self._file = folder / "haproxy.cfg"

    def start(self) -> None:
        """Start.

        Raises:
            MissingError: It is not installed.
        """
        servers = [f"    server node-{port} 127.0.0.1:{port}" for port in self._ports]
        text = _CONFIGURATION.format(port=self.port)
        self._file.write_text(text + "\n".join([*servers, ""]))
        program = find("haproxy", "haproxy")
        self.process.start([*program.command, "-db", "-f", str(self._file)])

    def stop(self) -> None:
        """End it; may be repeated."""
        self.process.stop()
