"""
Says what to do about what failed, by the class of the failure, where the failure's own words may not. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatelodge.core.failures import classify
from gatelodge.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

#: By the word of `core.failures.Failure`.
REMEDIES: Mapping[str, str] = {
    "credentials": "Look at the key, password or account that is used there: it has no right to this, or none any more.",
    "policy": "It will not pass by itself: change what is asked for in the configuration.",
    "caa": "Change the CAA record of the domain, or wait until it can be looked up.",
    "dns": "Look at the DNS records of the name, and at its name servers.",
    "reachability": "Let port 80 of the name reach this machine from the Internet (A and AAAA records, the router's forwarding, a "
    "firewall), or prove the name by DNS (docs/dns.md).",
    "ours": "`gatelodge events` has more, `gatelodge doctor` looks at this machine.",
    "rate_limit": "Nothing is to be done but to wait.",
    "ca_down": "Nothing is to be done: it is tried again until the CA answers.",
}


def remedy(failure: Mapping[str, Any]) -> str:
    """
    Return what to do about the `failure` of a certificate of a report.
    """
    kind = failure["error.type"]
    return REMEDIES[classify(Problem(type=kind, detail=failure["error.detail"].removeprefix(f"{kind}: ")))]
