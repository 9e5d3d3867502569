"""
Decides what is a host name, an IP address, and an address with a port, and gives each its one canonical form.

Names are read by IDNA 2008 with the mapping of UTS #46 (non-transitional, as browsers do), so that `Straße.DE.` and
`xn--strae-oqa.de` are one name. It asks no DNS.
"""

from __future__ import annotations

import ipaddress
import re

import idna

from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.model import INTERNAL_HOST, Name, is_ip

#: The longest DNS name in text, without its final dot (RFC 1035 §2.3.4: 255 octets on the wire).
_LONGEST = 253

_LAST_PORT = 65535

#: A last label that makes a name an IPv4 address to browsers, a bad one when it is not written as four numbers
#: (https://url.spec.whatwg.org/#ends-in-a-number-checker).
_NUMERIC = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")

_ADDRESS_AND_PORT = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<four>[^:\[\]]*)):(?P<port>[0-9]{1,5})")

#: Parts of names that the world's DNS does not hold, so that no public CA can certify them: RFC 6761 §6, RFC 6762 §3,
#: RFC 8375, RFC 9476, ICANN's reservation of `.internal` (2024-07-29), and those that routers and offices made up.
_PRIVATE_SUFFIXES = (
    "alt", "corp", "home", "home.arpa", "internal", "intranet", "invalid", "lan", "local", "localdomain", "localhost",
    "onion", "private", "test",
)  # fmt: skip


def host(text: str) -> Name:
    """
    Read a host name, a wildcard of one (`*.example.com`), or an IP address (IPv6 with or without brackets).

    Raises:
        Unreadable: it is none of these, or the name is kept for Gatelodge itself.
    """
    address = _address(text[1:-1] if text.startswith("[") and text.endswith("]") else text)
    if address is not None:
        if address.is_unspecified or address.is_multicast:
            raise Unreadable(f"{quoted(text)} is no address that visitors go to", "write the machine's own address")
        return Name(str(address))
    wildcard = text.startswith("*.")
    name = Name(("*." if wildcard else "") + domain(text[2:] if wildcard else text))
    if len(name) > _LONGEST:
        raise Unreadable(f"{quoted(name)} is longer than the {_LONGEST} characters of a DNS name", "shorten it")
    if name == INTERNAL_HOST:
        raise Unreadable(f"{name} is the name by which Gatelodge asks nginx what it serves", "choose another name")
    return name


def domain(text: str) -> str:
    """
    Read a domain name: A-labels, lower case, no final dot.

    Raises:
        Unreadable: it is not one.
    """
    for pattern, problem, remedy in _NOT_NAMES:
        if pattern.search(text):
            raise Unreadable(f"{quoted(text)} {problem}", remedy)
    try:
        name = idna.encode(text, uts46=True, std3_rules=True).decode().removesuffix(".")
    except UnicodeError as error:
        raise Unreadable(
            f"{quoted(text)} is not a host name: {error}", "write a name such as cloud.example.com"
        ) from None
    if _NUMERIC.fullmatch(name.rpartition(".")[2]):
        raise Unreadable(
            f"{quoted(text)} is neither a host name nor an IP address",
            'write all of an address ("192.0.2.1", "2001:db8::1"), or a name that does not end in a number',
        )
    return name


def dns_name(text: str) -> str:
    """
    Read a name of the DNS, whose labels may begin with an underscore as host names may not (RFC 8552).

    Raises:
        Unreadable: it is not one.
    """
    labels = text.removesuffix(".").split(".")
    plain = ".".join(label.removeprefix("_") or label for label in labels)
    read = domain(plain).split(".")
    if len(read) != len(labels):
        raise Unreadable(f"{quoted(text)} is not a name of the DNS", "write one such as _acme-challenge.example.com")
    marked = (f"_{each}" if label.startswith("_") else each for each, label in zip(read, labels, strict=True))
    return ".".join(marked)


#: What people write in place of a name, told by what gives it away, before IDNA says it in its own words.
_NOT_NAMES = (
    (re.compile(r"\A\s*\Z"), "is empty", "write a name such as cloud.example.com"),
    (re.compile(r"[/?#@]"), "is more than a host name", "write the name alone, without scheme and path"),
    (re.compile(r"\A[^:]*:[0-9]+\Z"), "holds a port", "leave the port out; a site's ports stand in its `listen`"),
    (re.compile(r"\*"), "holds a * that stands for more or less than the first label", 'write one leading "*."'),
    (
        re.compile(r"_"),
        "holds an underscore, which no host name may (RFC 1123 §2.1)",
        "use letters, digits and hyphens; underscores are for names of upstreams only",
    ),
    (re.compile(rf".{{{2 * _LONGEST}}}", re.DOTALL), "is too long for a host name", "shorten it"),
)


def address(text: str) -> str:
    """
    Read an IP address.

    Raises:
        Unreadable: it is not one.
    """
    found = _address(text[1:-1] if text.startswith("[") and text.endswith("]") else text)
    if found is None:
        raise Unreadable(f"{quoted(text)} is not an IP address", 'write one such as "127.0.0.1" or "::1"')
    return str(found)


def address_and_port(text: str) -> tuple[str, int]:
    """
    Read `ADDRESS:PORT`, an IPv6 address in brackets.

    Raises:
        Unreadable: it is not that.
    """
    found = _ADDRESS_AND_PORT.fullmatch(text)
    if found is None:
        raise Unreadable(
            f"{quoted(text)} is not an address with a port", 'write "192.168.1.1:443", or "[2001:db8::1]:443" for IPv6'
        )
    return address(found["six"] or found["four"]), port(int(found["port"]))


def port(number: int) -> int:
    """
    Read a TCP port.

    Raises:
        Unreadable: there is no such port.
    """
    if not 0 < number <= _LAST_PORT:
        raise Unreadable("there is no such port", f"write a number from 1 to {_LAST_PORT}")
    return number


def is_private(name: Name) -> bool:
    """
    Tell whether a name or address means something in one network only, so that no public CA can certify it.
    """
    if is_ip(name):
        return not ipaddress.ip_address(name).is_global
    return "." not in name.removeprefix("*.") or name.endswith(tuple(f".{suffix}" for suffix in _PRIVATE_SUFFIXES))


def is_loopback(name: str) -> bool:
    """
    Tell whether a name or address is this machine's own loopback (RFC 6761 §6.3 for `localhost`).
    """
    return ipaddress.ip_address(name).is_loopback if is_ip(name) else name == "localhost"


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """
    Return an address, None for what is not one. A zone (`fe80::1%eth0`) means nothing to visitors and is refused.
    """
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None
