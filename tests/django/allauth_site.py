"""django-allauth on this engine: signs up, logs in, through a provider too, and prints the result.

python -m tests.django.allauth_site URL
"""

from __future__ import annotations

import json
import re
import sys
import tempfile

import django
from django.conf import settings

ALLAUTH = ["allauth", "allauth.account", "allauth.socialaccount"]

settings.configure(
    ALLOWED_HOSTS=["*"],
    ACCOUNT_EMAIL_VERIFICATION="none",
    ACCOUNT_LOGIN_BY_CODE_ENABLED=True,
    ACCOUNT_RATE_LIMITS=False,
    AUTHENTICATION_BACKENDS=[
        "django.contrib.auth.backends.ModelBackend",
        "allauth.account.auth_backends.AuthenticationBackend",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{tempfile.mkdtemp()}/site.db",
        }
    },
    EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "sessionstore_sql.django",
        *ALLAUTH,
        "allauth.socialaccount.providers.dummy",
        "allauth.socialaccount.providers.github",
    ],
    LOGIN_REDIRECT_URL="/me",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "allauth.account.middleware.AccountMiddleware",
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # the fast one
    ROOT_URLCONF="tests.django.allauth_urls",
    SECRET_KEY="not a secret here",
    SESSION_ENGINE="sessionstore_sql.django",
    SESSIONSTORE_SQL={"store": "sessionstore_sql.testing.MemorySessionStore"}
    if sys.argv[1] == "memory"
    else sys.argv[1],
    SOCIALACCOUNT_PROVIDERS={"github": {"APPS": [{"client_id": "id", "secret": "secret"}]}},
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    USE_TZ=True,
)
django.setup()

from django.core import mail  # noqa: E402  # after the settings
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402

PASSWORD = "a long and secret one"


def main() -> None:
    """Visit the pages, and print who is logged in after each step."""
    call_command("migrate", verbosity=0)
    seen: dict[str, object] = {}

    ada = Client()
    ada.post(
        "/accounts/signup/",
        {"username": "ada", "email": "ada@example.org", "password1": PASSWORD}
        | {"password2": PASSWORD},
    )
    seen["signed up"] = ada.get("/me").json()
    ada.post("/accounts/logout/")
    seen["logged out"] = ada.get("/me").json()

    before = ada.cookies["sessionid"].value
    ada.post("/accounts/login/", {"login": "ada", "password": PASSWORD, "remember": "on"})
    seen["logged in"] = ada.get("/me").json()
    seen["new key"] = ada.cookies["sessionid"].value != before
    seen["remembered"] = ada.cookies["sessionid"]["max-age"]

    key = ada.cookies["sessionid"].value
    new = "another long and secret one"
    ada.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": new, "password2": new},
    )
    seen["password changed"] = ada.get("/me").json()
    seen["new key after a new password"] = ada.cookies["sessionid"].value != key

    by_code = Client()
    by_code.post("/accounts/login/code/", {"email": "ada@example.org"})
    code = re.findall(r"^\s*([A-Z0-9-]{6,10})\s*$", str(mail.outbox[-1].body), re.MULTILINE)[0]
    by_code.post("/accounts/login/code/confirm/", {"code": code})
    seen["logged in by code"] = by_code.get("/me").json()

    social = Client()
    tabs = [social.post("/accounts/dummy/login/?next=/me")["Location"] for _ in range(2)]
    social.get(tabs[1])
    form = {"id": 7, "email": "bob@example.org", "email_verified": "on", "username": "bob"}
    seen["redirected to"] = social.post(tabs[0], form)["Location"]
    seen["logged in by a provider"] = social.get("/me").json()

    github = Client().post("/accounts/github/login/")
    seen["sent to"] = github["Location"].partition("?")[0]
    print(json.dumps(seen))  # noqa: T201


if __name__ == "__main__":
    main()
