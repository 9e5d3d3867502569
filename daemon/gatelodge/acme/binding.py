"""
Binds an account to a customer of the CA's (RFC 8555 §7.3.4). Pure.

The customer's key signs the account's key once, when the account is made; it is kept nowhere here.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING

from acme.jws import JWS
from josepy.b64 import b64decode
from josepy.jwa import HS256
from josepy.jwk import JWKOct

if TYPE_CHECKING:
    from gatelodge.model import JsonObject, Secret

#: base64url (RFC 4648 §5), with or without padding.
_BASE64URL = re.compile(r"([A-Za-z0-9_-]+)={0,2}", re.ASCII)

#: The alphabet of plain base64, which some CAs' pages show in place of the other: no letter means two things.
_PLAIN = str.maketrans("+/", "-_")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExternalAccount:
    """
    What a CA gives its customer to bind an account with: a key, base64url as the CA shows it, and the name of that key.
    """

    kid: str
    hmac_key: Secret

    def bind(self, account_key: JsonObject, *, url: str) -> JsonObject:
        """
        Return the `externalAccountBinding` of a new account.

        Args:
            account_key: the account's public key as a JWK.
            url: where the account is asked for.

        Raises:
            ValueError: the key is no base64url.
        """
        key = JWKOct(key=self._key())
        signed: str = JWS.sign(json.dumps(account_key).encode(), key, HS256, None, url, self.kid).json_dumps()
        found: JsonObject = json.loads(signed)
        return found

    def _key(self) -> bytes:
        written = _BASE64URL.fullmatch("".join(self.hmac_key.reveal().split()).translate(_PLAIN))
        # Of four letters come three bytes; a fifth alone is the rest of something that was cut off.
        if written is None or len(written[1]) % 4 == 1:
            raise ValueError("it is no base64url")
        return b64decode(written[1])
