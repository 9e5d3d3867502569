"""
What a tree says for HTTP/3, as text, for an nginx that has it. One that has it is visited in tests/live/test_http3.py.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

import pytest
from tests.nginx.trees import STATE, desired, held, nginx, observed, site
from tests.support.rootside import checked, texts

from gatelodge.model import ByHelper, Listener, ListenSettings, NginxSettings
from gatelodge.nginx.writing.render import render
from gatelodge.rootside.rules import Ground

if TYPE_CHECKING:
    from gatelodge.core.tree import Rendered

WIDE, OTHER = Listener(port=443), Listener(port=8443)
NARROW = Listener(port=443, address="192.0.2.1")
QUICK = ListenSettings(http3=True)


def rendered(*listen: Listener, has_it: bool = True, helper: bool = False) -> Rendered:
    """
    The tree of three sites, with HTTP/3 on these listeners.
    """
    sites = (
        site("a.example.com"),
        site("b.example.com", listen=(NARROW,)),
        site("c.example.com", listen=(OTHER,)),
        site("192.0.2.1", listen=(WIDE,)),
    )
    found = nginx(1, 26, 3)
    if has_it:
        found = dataclasses.replace(found, modules=found.modules | {"http_v3_module"})
    settings = NginxSettings(
        public_https_port=2443, listen=tuple((each, QUICK) for each in listen), reload=ByHelper() if helper else None
    )
    return render(desired(*sites, settings=settings), observed(*(held(each.name) for each in sites), found=found))


def whole(tree: Rendered) -> str:
    """
    The text of a tree.
    """
    return tree.prelude + "".join(tree.sites.values())


def test_each_address_is_opened_once_and_every_server_hears_on_it() -> None:
    """
    All workers hear what comes to a port of UDP when the kernel gives each a socket, which is said once for an address.
    """
    tree = rendered(WIDE, OTHER)
    opened = re.findall(r"listen (\S+) quic default_server reuseport;", tree.prelude)
    assert sorted(opened) == ["192.0.2.1:443", "443", "8443", "[::]:443", "[::]:8443"]
    assert whole(tree).count("reuseport") == len(opened)
    assert re.findall(r"listen (\S+) quic;", tree.sites["a.example.com"]) == ["443", "[::]:443", "192.0.2.1:443"]
    assert re.findall(r"listen (\S+) quic;", tree.sites["b.example.com"]) == ["192.0.2.1:443"]
    assert tree.listeners == {Listener(port=80), WIDE, NARROW, OTHER}, "TCP's own"


def test_browsers_are_told_of_the_port_that_they_reach() -> None:
    """
    The public one of `https_port`, and any other as it is; those of a listener without HTTP/3 of nothing.
    """
    tree = rendered(WIDE)
    assert """add_header Alt-Svc "h3=\\":2443\\"; ma=86400" always;""" in tree.sites["a.example.com"]
    assert "Alt-Svc" not in tree.sites["c.example.com"]
    assert """"h3=\\":8443\\"; ma=86400\"""" in rendered(OTHER).sites["c.example.com"]


@pytest.mark.parametrize(("has_it", "listen"), [(False, (WIDE, OTHER)), (True, ())])
def test_nothing_of_it_stands_where_it_is_not_asked_for_or_not_there(
    has_it: bool,  # noqa: FBT001 - what is tried
    listen: tuple[Listener, ...],
) -> None:
    """
    An nginx without it would refuse the words, its variable too.
    """
    text = whole(rendered(*listen, has_it=has_it))
    assert not [word for word in (" quic", "reuseport", "Alt-Svc", "$http3", "silent") if word in text]


def test_a_visitor_without_a_host_header_has_the_port_of_his_listener() -> None:
    """
    In what follows a host, 443 is not written.
    """
    text = rendered(WIDE, OTHER).prelude
    assert '    default "";\n    "h3 443" 2443;\n    "h3 8443" 8443;\n' in text


def test_root_lets_it_through() -> None:
    """
    Where the tree is read by somebody else's nginx.
    """
    files = texts(rendered(WIDE, NARROW, OTHER, helper=True))
    assert checked(files, Ground(state=STATE, webroot=f"{STATE}/webroot")).keys() == files.keys() - {"http.conf"}
