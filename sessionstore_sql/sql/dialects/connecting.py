"""How the drivers of a database connect: from the options of a URL to the driver's arguments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from sessionstore_sql.sql.url_options import Vocabulary, read_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import URL

    from sessionstore_sql.sql.url_options import Reader

APPLICATION_NAME = "sessionstore_sql"
"""What the database shows for a connection, unless another name is given."""

CONNECT_TIMEOUT_S = 10
"""Seconds for a connection to be made, over all hosts, unless the URL says otherwise."""


class Host(NamedTuple):
    """A host of a URL. ``port`` is ``None`` where the URL names none."""

    name: str
    port: int | None = None

    @property
    def is_socket(self) -> bool:
        """Whether it is the path of a Unix socket, or of its folder."""
        return self.name.startswith("/")


class Connector(ABC):
    """Connects through the drivers of one database. What is shared has no state."""

    has_hosts: ClassVar[bool] = True
    """Whether a database is on a host, with users and passwords."""

    options: ClassVar[Mapping[str, Mapping[str, Reader]]]
    """The options of each driver."""

    aliases: ClassVar[Mapping[str, str]] = {}
    """Options as other clients spell them, and the names that they have here."""

    def normalised(self, url: URL, hosts: Sequence[Host]) -> URL:
        """Return ``url`` with its hosts and its options in one form.

        Raises:
            ValueError: No driver of this database can connect so; the message shows no value.
        """
        driver = url.get_driver_name()
        backend = url.get_backend_name()
        vocabulary = Vocabulary(
            url.drivername,
            self.options[driver],
            self.aliases,
            {
                option: f"{backend}+{other}"
                for other, known in self.options.items()
                for option in known
            },
        )
        url = url.set(query=self.checked(read_options(url.query, vocabulary)))
        return self.at(url, hosts)

    def checked(
        self, options: dict[str, str | tuple[str, ...]]
    ) -> dict[str, str | tuple[str, ...]]:
        """Return the options, fewer and simpler.

        Raises:
            ValueError: They contradict each other.
        """
        return options

    @abstractmethod
    def at(self, url: URL, hosts: Sequence[Host]) -> URL:
        """Return ``url``, which has no host, for these; none: for the driver's own default.

        Raises:
            ValueError: The drivers cannot connect to such hosts, or to several.
        """

    @abstractmethod
    def driver_url(self, url: URL) -> URL:
        """Return ``url`` with what SQLAlchemy reads of it, and nothing that it hands on unread."""

    @abstractmethod
    def engine_options(self, url: URL, *, for_sessions: bool) -> dict[str, Any]:
        """Return the arguments of ``create_async_engine``: ``url``, ``connect_args`` and others.

        Args:
            url: As ``normalised`` returns it.
            for_sessions: With the timeouts of sessions, which are not for migrations.

        Raises:
            ValueError: A file that the URL names does not exist.
        """

    def merged(self, ours: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Return our arguments of the driver and those that the caller has given.

        Where both have a value, the caller's is taken; settings of the server that we make and the
        caller does not are kept.
        """
        return {**ours, **given}

    def commands(self, connect_args: dict[str, Any]) -> list[str]:  # noqa: ARG002
        """Return what to execute on a new connection after it is prepared.

        It is taken out of the arguments of the driver, which would execute it before.
        """
        return []

    def is_lasting(self, url: URL) -> bool:  # noqa: ARG002
        """Return whether the database exists without a connection to it."""
        return True

    def connect_limit_s(self, url: URL) -> float:  # noqa: ARG002
        """Return within how many seconds a connection is made, or given up, over all hosts."""
        return CONNECT_TIMEOUT_S
