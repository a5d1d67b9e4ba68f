"""Django's sessions in this store: ``SESSION_ENGINE = "sessionstore_sql.django"``.

Needs the extra ``django``: ``pip install 'sessionstore-sql[django]'``. The setting
``SESSIONSTORE_SQL`` says where the sessions are; see ``configuration``. As an application in
``INSTALLED_APPS``, ``manage.py migrate`` makes the table as well.
"""

from importlib.util import find_spec

if find_spec("django") is None:
    raise ModuleNotFoundError(
        "django is not installed: pip install 'sessionstore-sql[django]'", name="django"
    )

from sessionstore_sql.django.process import close
from sessionstore_sql.django.sessions import SessionStore

__all__ = ["SessionStore", "close"]
