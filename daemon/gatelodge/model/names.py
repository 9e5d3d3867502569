"""
Host names and addresses, and what a certificate for one is good for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import NewType, TypeAlias

#: A DNS name (IDNA A-labels, lower case, no final dot, perhaps with a leading `*.`) or an IP address in canonical form.
Name = NewType("Name", str)

#: A JSON object, as stored or sent.
JsonObject: TypeAlias = Mapping[str, object]

#: The host under which nginx tells the daemon which generation it serves, and whose certificate is the placeholder. `.invalid` never resolves
#: (RFC 6761 §6.4).
INTERNAL_HOST = Name("gatelodge.invalid")


def is_ip(name: str) -> bool:
    """
    Tell whether a name is an IP address.
    """
    if ":" not in name and not name[-1:].isdigit():
        return False  # no address looks so; asked for every name in every pass, so the slow way is for those that may be one
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_wildcard(name: str) -> bool:
    """
    Tell whether a name is a wildcard, `*.example.com`.
    """
    return name.startswith("*.")


def is_pattern(name: str) -> bool:
    r"""
    Tell whether a host is a regular expression, `~^app-[0-9]+\.example\.com$`, as nginx writes it.
    """
    return name.startswith("~")


def covers(pattern: str, name: str) -> bool:
    """
    Tell whether a certificate for `pattern` is good for `name`.

    A wildcard stands for exactly one label (RFC 9525 §6.3).
    """
    if pattern == name:
        return True
    return is_wildcard(pattern) and not is_wildcard(name) and not is_ip(name) and name.partition(".")[2] == pattern[2:]


def file_name(name: str) -> str:
    """
    Give a site or certificate name a form that is safe as a file name: `*.` is written `wildcard.`, `:` is written `_`.
    """
    return name.replace("*.", "wildcard.").replace(":", "_")
