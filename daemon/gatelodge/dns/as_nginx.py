"""
Looks names up as nginx's own resolver does: at the name servers that it is given, and nowhere else. No /etc/hosts, no search list.

https://nginx.org/en/docs/http/ngx_http_core_module.html#resolver. It decides nothing.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver

from gatelodge.errors import DnsError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What nginx waits for (nginx/writing/manners.py).
_SECONDS = 5.0

_PORT = 53


async def look_up(name: str, servers: Sequence[str], *, ipv6: bool = True) -> tuple[str, ...]:
    """
    Return the addresses of a name, as nginx's resolver sees it.

    Args:
        servers: as nginx writes them: an address, in brackets for IPv6, perhaps with a port.
        ipv6: whether AAAA records are looked up too.

    Raises:
        DnsError: `dnsRecord`: they say that there is no such name, or no address of it; `dnsProvider`: they do not answer.
    """
    resolver = dns.asyncresolver.Resolver(configure=False)
    places = [_split(server) for server in servers]
    # dnspython takes one port for all, or one for each address.
    resolver.nameservers = [address for address, _ in places]
    resolver.nameserver_ports = dict(places)
    resolver.lifetime = _SECONDS
    absolute = dns.name.from_text(name)
    found: list[str] = []
    said = ""
    for kind in ("A", "AAAA") if ipv6 else ("A",):
        try:
            answer = await resolver.resolve(absolute, kind, search=False)
            found += [str(ipaddress.ip_address(each.address)) for each in answer]
        except dns.resolver.NXDOMAIN:
            raise _unknown(name, servers, "there is no such name") from None
        except dns.resolver.NoAnswer:
            said = "it has no address"
        except dns.exception.DNSException as error:
            if not found:
                raise DnsError(
                    Problem(type="dnsProvider", detail=f"{name}: {', '.join(servers)} did not answer ({_words(error)})")
                ) from None
    if not found:
        raise _unknown(name, servers, said)
    return tuple(found)


def _words(error: dns.exception.DNSException) -> str:
    """
    Say in a few words why there is no answer.
    """
    if isinstance(error, dns.exception.Timeout):
        return f"nothing within {_SECONDS:g} s"
    return "it cannot tell" if isinstance(error, dns.resolver.NoNameservers) else str(error)


def _unknown(name: str, servers: Sequence[str], said: str) -> DnsError:
    return DnsError(Problem(type="dnsRecord", detail=f"{name}: {', '.join(servers)} says that {said}"))


def _split(server: str) -> tuple[str, int]:
    if server.startswith("["):
        address, _, port = server[1:].partition("]")
        return address, int(port.lstrip(":") or _PORT)
    address, _, port = server.partition(":") if server.count(":") == 1 else (server, "", "")
    return address, int(port or _PORT)
