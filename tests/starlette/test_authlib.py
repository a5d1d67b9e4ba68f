"""Authlib, written for the sessions of Starlette, works with these as they are."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest
from authlib.integrations.starlette_client import OAuth, OAuthError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.starlette import rotate
from tests.starlette.applications import application, browser

pytestmark = pytest.mark.anyio


def give_a_token(request: httpx.Request) -> httpx.Response:
    """Be the provider's token endpoint."""
    return httpx.Response(200, json={"access_token": "opened", "token_type": "Bearer"})


def shop(store: SQLSessionStore) -> Any:
    """Return an application that lets a provider log people in."""
    oauth = OAuth()
    provider = oauth.register(
        "provider",
        client_id="shop",
        client_secret="secret",
        authorize_url="https://provider.example/authorize",
        access_token_url="https://provider.example/token",
        client_kwargs={
            "transport": httpx.MockTransport(give_a_token),
            "code_challenge_method": "S256",
        },
    )

    async def begin(request: Request) -> Response:
        return await provider.authorize_redirect(request, "https://shop.example/finish")

    async def finish(request: Request) -> Response:
        try:
            token = await provider.authorize_access_token(request)
        except OAuthError:
            return Response(status_code=403)
        rotate(request)
        request.session["token"] = token["access_token"]
        return JSONResponse({})

    return application(store, begin, finish)


async def test_a_login_by_a_provider_works(sqlite_store: SQLSessionStore) -> None:
    """What Authlib keeps in the session on the way out is there on the way back, and then gone."""
    async with browser(shop(sqlite_store)) as client:
        redirect = await client.get("/begin")
        state = parse_qs(urlsplit(redirect.headers["location"]).query)["state"][0]

        response = await client.get(f"/finish?code=1&state={state}")

        assert response.status_code == 200
        assert (await client.get("/show")).json() == {"token": "opened"}


async def test_a_login_that_another_browser_began_is_rejected(
    sqlite_store: SQLSessionStore,
) -> None:
    """The state is bound to the session, as Authlib relies on."""
    app = shop(sqlite_store)
    async with browser(app) as attacker, browser(app) as victim:
        redirect = await attacker.get("/begin")
        state = parse_qs(urlsplit(redirect.headers["location"]).query)["state"][0]

        response = await victim.get(f"/finish?code=1&state={state}")

    assert response.status_code == 403
