"""
What a CA knows its customers by: found in a file, or given by a service for an e-mail address.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gatelodge.errors import IssuanceError
from gatelodge.issuers.acme import customers
from gatelodge.model import Customer, Secret, SecretRef
from gatelodge.runtime.system import Web

if TYPE_CHECKING:
    from pathlib import Path

GIVEN = {"success": True, "eab_kid": "kid-1", "eab_hmac_key": "aHVzaA"}


async def answered(status: int, body: str) -> tuple[object, dict[str, list[str]]]:
    """
    What comes of asking a service that answers so, and what it was asked.
    """
    asked: dict[str, list[str]] = {}

    async def credentials(request: web.Request) -> web.Response:
        asked.update(parse_qs(await request.text()))
        return web.Response(status=status, text=body)

    application = web.Application()
    application.router.add_post("/eab", credentials)
    async with TestServer(application) as server, Web() as http:
        try:
            return await customers.fetched(
                http, str(server.make_url("/eab")), email="me+x@example.com", ca="zerossl"
            ), asked
        except IssuanceError as error:
            return error.problem, asked


async def test_a_service_gives_a_key_for_an_address() -> None:
    """
    As ZeroSSL's does: the address is sent as a form, and the key comes as JSON. It does not show itself.
    """
    found, asked = await answered(200, json.dumps(GIVEN))

    assert asked == {"email": ["me+x@example.com"]}
    assert isinstance(found, customers.ExternalAccount)
    assert (found.kid, found.hmac_key) == ("kid-1", Secret("aHVzaA"))
    assert "aHVzaA" not in repr(found)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, '{"success": false, "error": {"code": 2909, "type": "invalid_email_address"}}', "externalAccount"),
        (200, json.dumps({**GIVEN, "eab_kid": None}), "externalAccount"),
        (200, "[]", "externalAccount"),
        (200, "<html>", "externalAccount"),
        (403, json.dumps(GIVEN), "externalAccount"),
        (429, "", "rateLimited"),
        (502, "<html>", "serverInternal"),
    ],
)
async def test_a_service_that_gives_none(status: int, body: str, kind: str) -> None:
    """
    What stands in its way is told by kind, and nothing of its answer is repeated: there may be a key in it.
    """
    found, _ = await answered(status, body)

    assert getattr(found, "type", None) == kind
    assert "aHVzaA" not in str(found)
    assert "me+x@example.com" in str(found)


async def test_a_service_that_cannot_be_reached() -> None:
    """
    It is trouble on the way, which passes.
    """
    async with Web() as http:
        with pytest.raises(IssuanceError) as caught:
            await customers.fetched(http, "http://127.0.0.1:1/eab", email="me@example.com", ca="zerossl")

    assert caught.value.problem.type == "unreachable"


async def test_a_key_that_the_configuration_names(tmp_path: Path) -> None:
    """
    It is read when it is needed; one that is not there is told by its place.
    """
    file = tmp_path / "hmac"
    customer = Customer(kid="kid-1", hmac_key=SecretRef(file=str(file)))
    with pytest.raises(IssuanceError) as caught:
        await customers.known(customer, ca="google")
    assert caught.value.problem.type == "externalAccount"
    assert str(file) in str(caught.value)

    file.write_text("aHVzaA\n")

    assert (await customers.known(customer, ca="google")).hmac_key == Secret("aHVzaA")
