"""
Says of what resource a request to an ACME server is (RFC 8555 §7.1), by what the server itself said of its addresses.

For counting alone: it changes nothing, believes nothing, and raises nothing, whatever the server sends. How much it remembers is bounded;
what was forgotten, or never said, is `other`.
"""

from __future__ import annotations

import collections
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.ports import HttpResponse

DIRECTORY, OTHER = "directory", "other"

#: Keys of the directory, and what each leads to (RFC 8555 §7.1.1, RFC 9773 §3).
_SERVICES = {
    "newNonce": "new_nonce",
    "newAccount": "new_account",
    "newOrder": "new_order",
    "newAuthz": "new_authorization",
    "revokeCert": "revocation",
    "keyChange": "key_change",
}
_RENEWAL_INFO = "renewal_info"

#: What stands in the Location of an answer to one of these (RFC 8555 §7.3, §7.4).
_MADE = {"new_account": "account", "new_order": "order"}

#: Keys of an object of the server's, and what each leads to (RFC 8555 §7.1.3, §7.1.4, §7.1.2).
_LINKS = {"finalize": "finalization", "certificate": "certificate", "orders": "orders"}

#: Addresses that are remembered: an order of a hundred names has two hundred, and fifty may be under way.
_MOST = 20_000


class Resources:
    """
    What one server has said. `directory` is its address.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._known: collections.OrderedDict[str, str] = collections.OrderedDict()
        self._renewal_info: str | None = None

    def of(self, url: str) -> str:
        """
        Return of what resource a request to an address is.
        """
        if url == self._directory:
            return DIRECTORY
        if self._renewal_info is not None and url.startswith(self._renewal_info):
            return _RENEWAL_INFO
        return self._known.get(url, OTHER)

    def learn(self, url: str, response: HttpResponse) -> None:
        """
        Learn from an answer which addresses there are.
        """
        resource = self.of(url)
        location = response.header("location")
        if location is not None and resource in _MADE:
            self._remember(location, _MADE[resource])
        if not (response.header("content-type") or "").startswith("application/json") and resource != DIRECTORY:
            return
        try:
            document = json.loads(response.body)
        except (ValueError, RecursionError):
            return
        if not isinstance(document, dict):
            return
        if resource == DIRECTORY:
            services = {key: document.get(key) for key in _SERVICES}
            renewal_info = document.get("renewalInfo")
            self._renewal_info = f"{renewal_info}/" if isinstance(renewal_info, str) else None
            found = [(link, _SERVICES[key]) for key, link in services.items()]
        else:
            found = list(_links(document))
        for link, leads_to in found:
            if isinstance(link, str):
                self._remember(link, leads_to)

    def _remember(self, url: str, resource: str) -> None:
        self._known[url] = resource
        self._known.move_to_end(url)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)


def _links(document: dict[str, object]) -> Iterator[tuple[object, str]]:
    for key, resource in _LINKS.items():
        yield document.get(key), resource
    authorizations, challenges = document.get("authorizations"), document.get("challenges")
    if isinstance(authorizations, list):
        yield from ((link, "authorization") for link in authorizations)
    if isinstance(challenges, list):
        yield from ((each.get("url"), "challenge") for each in challenges if isinstance(each, dict))
