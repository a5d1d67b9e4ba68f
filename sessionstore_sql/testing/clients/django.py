"""Signs a user in for the test clients of Django, which know how to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.test import AsyncClient, Client


def is_client(client: object) -> bool:
    """Return whether it is Django's ``Client`` or ``AsyncClient``. Nothing is imported."""
    return any(
        each.__module__ == "django.test.client" and each.__name__ == "ClientMixin"
        for each in type(client).__mro__
    )


def sign_in(
    client: Client | AsyncClient, user: object, state: dict[str, Any]
) -> Client | AsyncClient:
    """Log a user in, whatever backends would say, and put ``state`` into the session.

    Args:
        client: The client.
        user: A user, or the primary key of one.
        state: More content of the session.
    """
    from django.conf import settings  # noqa: PLC0415  # an extra
    from django.contrib.auth import get_user_model  # noqa: PLC0415
    from django.contrib.auth.base_user import AbstractBaseUser  # noqa: PLC0415
    from django.test import AsyncClient  # noqa: PLC0415

    if not isinstance(user, AbstractBaseUser):
        user = get_user_model()._default_manager.get(pk=user)  # noqa: SLF001  # documented
    client.cookies.clear()
    client.force_login(user)
    if state:
        session = client.session
        session.update(state)
        session.save()
    configured = getattr(settings, "SESSIONSTORE_SQL", None)
    if isinstance(configured, dict) and configured.get("bearer") is not None:
        # The key is in the cookie that ``force_login`` sets.
        header = "authorization" if isinstance(client, AsyncClient) else "HTTP_AUTHORIZATION"
        defaults: dict[str, Any] = client.defaults  # type: ignore[assignment]
        defaults[header] = f"Bearer {client.session.session_key}"
        client.cookies.clear()
    return client
