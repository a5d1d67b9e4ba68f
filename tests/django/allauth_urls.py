"""The pages of ``allauth_site``."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import include, path


def me(request: HttpRequest) -> JsonResponse:
    """Say who is logged in."""
    return JsonResponse(request.user.get_username(), safe=False)


urlpatterns = [path("accounts/", include("allauth.urls")), path("me", me)]
