"""
A preset stands under what a person says of a site, and every one that is there is a configuration.
"""

from __future__ import annotations

import copy
import dataclasses

import pytest

from gatelodge import presets
from gatelodge.config.catalog import BUILT_IN
from gatelodge.config.parse import parse
from gatelodge.config.sections.presets import merged
from gatelodge.model import Match, Redirect
from gatelodge.offers import CATALOG

_APP = {
    "buffering": False,
    "headers": {"X-One": "1"},
    "routes": {
        "/api/": {"auth": "off", "request_headers": {"X-User": ""}},
        "/go": {"match": "exact", "redirect_to": {"url": "/went/", "code": 302}},
    },
}
_MADE_UP = dataclasses.replace(BUILT_IN, presets={"app": _APP}, upstreams={"app": "http://app:1234"})


@pytest.mark.parametrize("name", presets.load())
def test_every_preset_is_a_configuration(name: str) -> None:
    """
    With a plain upstream it holds no mistake and no warning, and some login before it changes nothing about that.
    """
    site = {"upstream": presets.load()[name].upstream, "preset": name}
    agreed = {"acme": {"agree_tos": True}}
    config = parse({**agreed, "sites": {"app.example.com": site}}, CATALOG)
    assert config.warnings == ()
    assert config.sites["app.example.com"].preset == name
    guarded = {**site, "auth": "people"}
    people = {"people": {"provider": "authelia", "url": "http://authelia:9091"}}
    config = parse({**agreed, "auth": people, "sites": {"app.example.com": guarded}}, CATALOG)
    assert config.sites["app.example.com"].routes[0].guard.auth == "people"


def test_a_preset_stands_under_the_persons_word() -> None:
    """
    Tables are merged, all else is replaced; a route may be written by its upstream alone.
    """
    mapping = {
        "sites": {
            "a.lan": {
                "tls": "local",
                "upstream": "http://x",
                "preset": "app",
                "buffering": True,
                "headers": {"X-Two": "2"},
                "routes": {"/api/": "http://y", "/go": {"redirect_to": {"url": "/gone/"}}, "/own/": {"gzip": True}},
            }
        }
    }
    before = copy.deepcopy(_APP)
    routes = {route.path: route for route in parse(mapping, _MADE_UP).sites["a.lan"].routes}
    assert routes["/"].transport.buffering
    assert routes["/"].headers.response == (("X-One", "1"), ("X-Two", "2"))
    assert (str(routes["/api/"].action), routes["/api/"].headers.request) == ("http://y:80", (("X-User", ""),))
    assert (routes["/go"].match, routes["/go"].action) == (Match.EXACT, Redirect(url="/gone/", code=302))
    assert routes["/own/"].transport.gzip
    assert before == _APP


def test_an_action_of_the_persons_own_replaces_every_other() -> None:
    """
    Otherwise a request would have two answers.
    """
    assert merged({"redirect_to": "/x", "auth": "off"}, {"upstream": "http://y"}) == {
        "auth": "off",
        "upstream": "http://y",
    }
    assert merged({"redirect_to": {"url": "/x"}}, {"redirect_to": {"code": 302}}) == {
        "redirect_to": {"code": 302, "url": "/x"}
    }
