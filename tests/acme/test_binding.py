"""
Binding an account to a customer of the CA's.
"""

from __future__ import annotations

import json

import pytest
from acme.jws import JWS
from josepy.b64 import b64decode, b64encode
from josepy.jwk import JWKOct

from gatelodge.acme.binding import ExternalAccount
from gatelodge.model import Secret

KEY = bytes(range(200, 233))
TEXT = b64encode(KEY).decode()
JWK = {"kty": "EC", "crv": "P-256", "x": "a", "y": "b"}
URL = "https://ca.test/new-account"


def test_the_customers_key_signs_the_accounts() -> None:
    """
    RFC 8555 §7.3.4: HS256, `kid` and `url` in the protected header and no nonce, the account's public key as payload.
    """
    bound = ExternalAccount(kid="kid-1", hmac_key=Secret(TEXT)).bind(JWK, url=URL)
    assert set(bound) == {"protected", "payload", "signature"}
    header = json.loads(b64decode(str(bound["protected"])))
    assert header == {"alg": "HS256", "kid": "kid-1", "url": URL}
    assert json.loads(b64decode(str(bound["payload"]))) == JWK
    assert JWS.from_json(bound).verify(JWKOct(key=KEY))


@pytest.mark.parametrize(
    "written",
    [f" {TEXT}\n", TEXT + "=" * (-len(TEXT) % 4), TEXT.replace("-", "+").replace("_", "/"), f"{TEXT[:20]} {TEXT[20:]}"],
)
def test_a_key_is_read_as_pages_show_it(written: str) -> None:
    """
    With padding, in the other alphabet, or with white space from a page.
    """
    assert {"-", "_"} & set(TEXT)
    bound = ExternalAccount(kid="kid-1", hmac_key=Secret(written)).bind(JWK, url=URL)
    assert JWS.from_json(bound).verify(JWKOct(key=KEY))


@pytest.mark.parametrize("written", ["", "====", "not base64!", "ab$d", "abcde", "=abc", "ab=c"])
def test_what_is_no_key_is_refused_and_not_shown(written: str) -> None:
    """
    Decoders that pass over unknown letters would make another key of it.
    """
    with pytest.raises(ValueError, match="no base64url") as caught:
        ExternalAccount(kid="kid-1", hmac_key=Secret(written)).bind(JWK, url=URL)
    assert not written or written not in str(caught.value)


def test_the_key_never_shows() -> None:
    """
    Not in the repr of what holds it.
    """
    assert TEXT not in repr(ExternalAccount(kid="kid-1", hmac_key=Secret(TEXT)))
