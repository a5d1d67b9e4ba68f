"""The settings of the Django project in this process, which has one."""

from __future__ import annotations

import django
from django.conf import settings

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["testserver", "shop.example"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ""}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "sessionstore_sql.django",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # the fast one
        ROOT_URLCONF="tests.django.site",
        SECRET_KEY="not a secret here",
        SESSION_ENGINE="sessionstore_sql.django",
        USE_TZ=True,
    )
    django.setup()
