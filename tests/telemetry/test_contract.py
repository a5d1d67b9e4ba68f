"""A watched store keeps the contract."""

from __future__ import annotations

import pytest

from sessionstore_sql import SessionStorageBackend, SQLSessionStore
from sessionstore_sql.testing import SessionStorageBackendContract


class TestWatchedStore(SessionStorageBackendContract):
    """On SQLite: what watches knows no database."""

    @pytest.fixture
    def backend(self, on_sqlite: SQLSessionStore) -> SessionStorageBackend:
        """The store itself."""
        return on_sqlite
