"""Django's sessions in this store: ``SESSION_ENGINE = "sessionstore_sql.django"``.

Needs the extra ``django``: ``pip install 'sessionstore-sql[django]'``. The setting
``SESSIONSTORE_SQL`` says where the sessions are; see ``configuration``. If the package is in
``INSTALLED_APPS``, ``manage.py migrate`` also creates the table, ``manage.py check`` checks the
settings, and there are more commands.
"""

from importlib.util import find_spec

if find_spec("django") is None:
    raise ModuleNotFoundError(
        "django is not installed: pip install 'sessionstore-sql[django]'", name="django"
    )

from sessionstore_sql.django.accounts import (
    acurrent_handle,
    arevoke,
    asessions_of,
    aset_max_age,
    asign_in,
    asign_out_everywhere,
    current_handle,
    revoke,
    sessions_of,
    set_max_age,
    sign_in,
    sign_out_everywhere,
)
from sessionstore_sql.django.errors import (
    AccountError,
    NotAuthenticated,
    ReauthenticationRequired,
)
from sessionstore_sql.django.freshness import arequire_fresh, fresh_required, require_fresh
from sessionstore_sql.django.middleware import replace_methods
from sessionstore_sql.django.process import close
from sessionstore_sql.django.sessions import SessionStore
from sessionstore_sql.django.storing import SessionEndedError
from sessionstore_sql.web.bearer import BearerToken
from sessionstore_sql.web.errors import SessionClosedError

# Django's middleware imports this module, before the first request and before it is asked which
# methods it has.
replace_methods()

__all__ = [
    "AccountError",
    "BearerToken",
    "NotAuthenticated",
    "ReauthenticationRequired",
    "SessionClosedError",
    "SessionEndedError",
    "SessionStore",
    "acurrent_handle",
    "arequire_fresh",
    "arevoke",
    "asessions_of",
    "aset_max_age",
    "asign_in",
    "asign_out_everywhere",
    "close",
    "current_handle",
    "fresh_required",
    "require_fresh",
    "revoke",
    "sessions_of",
    "set_max_age",
    "sign_in",
    "sign_out_everywhere",
]
