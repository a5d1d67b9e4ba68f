"""What the errors of MySQL and MariaDB mean: by their number, in any language."""

from __future__ import annotations

import re

from sessionstore_sql.sql.dialects.failure import Failure

FAILURES = {
    1062: Failure.DUPLICATE_KEY,  # ER_DUP_ENTRY
    1586: Failure.DUPLICATE_KEY,  # ER_DUP_ENTRY_WITH_KEY_NAME
    # MariaDB from 11.6.2: at REPEATABLE READ, the row was changed after the snapshot was taken.
    1020: Failure.ABORTED,  # ER_CHECKREAD
    1213: Failure.ABORTED,  # ER_LOCK_DEADLOCK
    # MySQL Group Replication: a conflict with a transaction of another primary.
    3101: Failure.ABORTED,  # ER_TRANSACTION_ROLLBACK_DURING_COMMIT
    1205: Failure.LOCKED,  # ER_LOCK_WAIT_TIMEOUT
    3572: Failure.LOCKED,  # ER_LOCK_NOWAIT
    1243: Failure.STALE_PLAN,  # ER_UNKNOWN_STMT_HANDLER
    1615: Failure.STALE_PLAN,  # ER_NEED_REPREPARE
    1290: Failure.READ_ONLY,  # ER_OPTION_PREVENTS_STATEMENT: --read-only
    1792: Failure.READ_ONLY,  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
    1836: Failure.READ_ONLY,  # ER_READ_ONLY_MODE
    1040: Failure.UNREACHABLE,  # ER_CON_COUNT_ERROR
    1047: Failure.UNREACHABLE,  # ER_UNKNOWN_COM_ERROR: a Galera node outside of its cluster
    1129: Failure.UNREACHABLE,  # ER_HOST_IS_BLOCKED
    1203: Failure.UNREACHABLE,  # ER_TOO_MANY_USER_CONNECTIONS
    1226: Failure.UNREACHABLE,  # ER_USER_LIMIT_REACHED
    1042: Failure.UNREACHABLE,  # ER_BAD_HOST_ERROR
    1135: Failure.UNREACHABLE,  # ER_CANT_CREATE_THREAD, for a new connection
    2002: Failure.UNREACHABLE,  # CR_CONNECTION_ERROR
    2003: Failure.UNREACHABLE,  # CR_CONN_HOST_ERROR
    # MySQL from 8.0.24: the connection was closed before the statement arrived.
    4031: Failure.UNREACHABLE,  # ER_CLIENT_INTERACTION_TIMEOUT
    # MySQL: the server is offline for maintenance, or is shutting down or starting.
    3032: Failure.UNREACHABLE,  # ER_SERVER_OFFLINE_MODE
    3168: Failure.UNREACHABLE,  # ER_SERVER_ISNT_AVAILABLE
    # MySQL Group Replication: the member left the group as it was about to commit, and rolled back.
    3100: Failure.UNREACHABLE,  # ER_RUN_HOOK_ERROR
    # The member is not online, or is leaving the group, and group_replication_consistency is set.
    # A statement that has not begun was rejected.
    3796: Failure.UNREACHABLE,  # ER_GRP_TRX_CONSISTENCY_NOT_ALLOWED
    3797: Failure.UNREACHABLE,  # ER_GRP_TRX_CONSISTENCY_BEFORE
    3798: Failure.UNREACHABLE,  # ER_GRP_TRX_CONSISTENCY_AFTER_ON_TRX_BEGIN
    3799: Failure.UNREACHABLE,  # ER_GRP_TRX_CONSISTENCY_BEGIN_NOT_ALLOWED
    1053: Failure.LOST,  # ER_SERVER_SHUTDOWN
    1180: Failure.LOST,  # ER_ERROR_DURING_COMMIT: a Galera node lost the others meanwhile
    1077: Failure.LOST,  # ER_NORMAL_SHUTDOWN
    1079: Failure.LOST,  # ER_SHUTDOWN_COMPLETE
    1080: Failure.LOST,  # ER_FORCING_CLOSE
    1152: Failure.LOST,  # ER_ABORTING_CONNECTION
    1158: Failure.LOST,  # ER_NET_READ_ERROR
    1159: Failure.LOST,  # ER_NET_READ_INTERRUPTED
    1160: Failure.LOST,  # ER_NET_ERROR_ON_WRITE
    1161: Failure.LOST,  # ER_NET_WRITE_INTERRUPTED
    1184: Failure.LOST,  # ER_NEW_ABORTING_CONNECTION
    1927: Failure.LOST,  # ER_CONNECTION_KILLED
    2006: Failure.LOST,  # CR_SERVER_GONE_ERROR
    2013: Failure.LOST,  # CR_SERVER_LOST
    2014: Failure.LOST,  # CR_COMMANDS_OUT_OF_SYNC
    2045: Failure.LOST,  # CR_SHARED_MEMORY_CONNECT_ABANDONED_ERROR
    2055: Failure.LOST,  # CR_SERVER_LOST_EXTENDED
    1317: Failure.TIMED_OUT,  # ER_QUERY_INTERRUPTED
    1969: Failure.TIMED_OUT,  # ER_STATEMENT_TIMEOUT, MariaDB
    3024: Failure.TIMED_OUT,  # ER_QUERY_TIMEOUT, MySQL
    3: Failure.OUT_OF_RESOURCES,  # EE_WRITE
    20: Failure.OUT_OF_RESOURCES,  # EE_DISK_FULL
    1021: Failure.OUT_OF_RESOURCES,  # ER_DISK_FULL
    1026: Failure.OUT_OF_RESOURCES,  # ER_ERROR_ON_WRITE
    1037: Failure.OUT_OF_RESOURCES,  # ER_OUTOFMEMORY
    1038: Failure.OUT_OF_RESOURCES,  # ER_OUT_OF_SORTMEMORY
    1041: Failure.OUT_OF_RESOURCES,  # ER_OUT_OF_RESOURCES
    1114: Failure.OUT_OF_RESOURCES,  # ER_RECORD_FILE_FULL
    # Percona XtraDB Cluster rejects GET_LOCK so in its strict mode.
    1105: Failure.UNSUPPORTED,  # ER_UNKNOWN_ERROR
    # MariaDB 10.6.13 and 10.11.3 reject GET_LOCK so on Galera nodes.
    1235: Failure.UNSUPPORTED,  # ER_NOT_SUPPORTED_YET
    1054: Failure.SCHEMA_MISSING,  # ER_BAD_FIELD_ERROR
    1146: Failure.SCHEMA_MISSING,  # ER_NO_SUCH_TABLE
    1046: Failure.DATABASE_MISSING,  # ER_NO_DB_ERROR
    1049: Failure.DATABASE_MISSING,  # ER_BAD_DB_ERROR
}
"""The meaning of each error number. The comments have the servers' names for them."""

_CHANGED_SINCE_SNAPSHOT = 1020
_UNLOGGED_STATEMENT = 1665
_ERROR_DURING_COMMIT = 1180
_DEADLOCK = "149"
"""The first number in the text of that error if the transaction was rolled back for one of another
member of MySQL Group Replication (HA_ERR_LOCK_DEADLOCK)."""

_STORAGE_ENGINE_ERROR = 1030
_NO_SPACE = {"28", "122", "135"}
"""The first number in the text of that error, in any language, if the disk, a quota or one of the
storage engine's files is full."""

_PROXIES = range(9_000, 10_000)
"""Numbers that no server has: ProxySQL (9001 and on) and RDS Proxy (9501) say with them that they
had no connection to a server, so nothing was executed."""

_VALUE = re.compile(
    # A key that is taken, which stands before the name of the index in every language.
    r"'.*'(?=[^']*'[^']*'[^']*$)(?=.*\bPRIMARY'[^']*$)"
    # Hexadecimal digits of a key.
    r"|[0-9A-Fa-f]{32,}",
    re.DOTALL,
)
"""A value that a message quotes."""


def classify(error: BaseException) -> Failure:
    """Return what a driver's error means."""
    number = number_of(error)
    if number == _ERROR_DURING_COMMIT and _detail_of(error) == _DEADLOCK:
        return Failure.ABORTED
    if number == _STORAGE_ENGINE_ERROR and _detail_of(error) in _NO_SPACE:
        return Failure.OUT_OF_RESOURCES
    if number in _PROXIES:
        return Failure.UNREACHABLE
    return Failure.OTHER if number is None else FAILURES.get(number, Failure.OTHER)


def is_unsupported(error: BaseException) -> bool:
    """Return whether the server does not have what it was asked for."""
    return classify(error) is Failure.UNSUPPORTED


def number_of(error: BaseException) -> int | None:
    """Return the number that the server, or the driver, gave to an error."""
    if isinstance(error, OSError):  # its number is that of the operating system
        return None
    number = error.args[0] if error.args else None
    return number if isinstance(number, int) else None


def _detail_of(error: BaseException) -> str | None:
    """Return the first number in the text of an error."""
    found = re.search(r"\d+", str(error.args[1])) if len(error.args) > 1 else None
    return None if found is None else found[0]


def advice(error: BaseException) -> str | None:
    """Return what an error means for the transaction, and how to avoid it."""
    if number_of(error) == _CHANGED_SINCE_SNAPSHOT:
        return (
            "the server has rolled back the whole transaction, as innodb_snapshot_isolation is on: "
            "repeat it from its start, and run it at READ COMMITTED"
        )
    if number_of(error) == _UNLOGGED_STATEMENT:
        return "set binlog_format to ROW or MIXED on the server"
    return None


def redact(message: str) -> str:
    """Return an error's text without the values that it quotes."""
    return _VALUE.sub("<hidden>", message)
