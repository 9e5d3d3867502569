"""
Whatever configuration `check` takes, nginx takes the tree that is made of it: the oldest at hand and the newest, whatever stands in
its texts.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests.support.nginx_house import DEBIAN, WHEEL, House, RealClock, house

from gatelodge.config.parse import parse
from gatelodge.config.values import snippets
from gatelodge.core.desired import desired
from gatelodge.errors import ConfigError
from gatelodge.model import INTERNAL_HOST
from gatelodge.nginx.tree import Trees
from gatelodge.nginx.trial import Trial
from gatelodge.offers import CATALOG

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatelodge.config.shape import Config

pytestmark = pytest.mark.live

_HOSTILE = st.text(alphabet="\"'\\{};$#~^()[]| ax0/ü€\u2028%&=,:.*?+-", max_size=12)
_LONG = st.sampled_from(["$" * 150, '"' * 1500, "\\" * 900, "ü" * 900, "x" * 1990])
_TEXT = _HOSTILE | _HOSTILE | _LONG
_PATH = (_HOSTILE | _HOSTILE | _LONG).map(lambda text: f"/p{text[:900]}")
_FILE = _PATH.map(lambda text: text.replace("$", ""))
_NAME = st.sampled_from(
    ["X-One", "x-two", "X-Powered-By", "Set-Cookie", "Host", "Referer", "!#%&'*+-.^_`|~x", "X" * 46]
)
_NETWORKS = st.lists(
    st.sampled_from(["lan", "all", "cloudflare", "office", "192.0.2.1", "2001:db8::/32"]), min_size=1, max_size=3
)
_SIZES = st.sampled_from(["0", "1", "10m", "8k", "1024g"])
_TIMES = st.sampled_from(["1s", "90s", "24d", "1h30m"])

_LEVEL: dict[str, st.SearchStrategy[Any]] = {
    "timeout": _TIMES,
    "connect_timeout": _TIMES,
    "body_size": _SIZES,
    "websocket": st.sampled_from(["auto", "force"]),
    "buffering": st.booleans(),
    "request_buffering": st.booleans(),
    "temp_file_limit": st.sampled_from(["0", "64k", "2g"]),
    "gzip": st.booleans(),
    "auth": st.sampled_from(["own", "theirs", "asked", "outpost", "proxy", "tiny", "off"]),
    "allow": _NETWORKS,
    "deny": _NETWORKS,
    "rate": st.sampled_from(["1/s", "9999999/m", {"requests": "5/m", "burst": 1_000_000}]),
    "connections": st.sampled_from([1, 65535]),
    "headers": st.dictionaries(_NAME, _TEXT.map("v{}".format), max_size=2),
    "request_headers": st.dictionaries(_NAME, _TEXT | st.just(""), max_size=2),
    "hide_headers": st.lists(_NAME, max_size=2),
    "security_headers": st.booleans(),
    "error_pages": st.dictionaries(st.sampled_from(["400", "404", "502", "599", "497"]), _FILE, max_size=2),
    "snippet": st.sampled_from(["# } {", "gzip_vary on; # }", "set $a '}';", "if ($host = '{') { set $b 1; }"]),
}

_UPSTREAMS = st.sampled_from(
    [
        "http://127.0.0.1:1",
        "https://[::1]:1/x%20y/",
        "http://name:80/",
        "http://unix:/run/x.sock:/$x/",
        "https://name",
        "grpc://127.0.0.1:1",
        "grpcs://name:1",
        {"url": "http://127.0.0.1:1", "max_fails": 0, "weight": 65535, "fail_timeout": "1d"},
        ["http://127.0.0.1:1", {"url": "http://127.0.0.1:2", "backup": True}],
    ]
)
_ACTIONS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"upstream": _UPSTREAMS}),
    st.fixed_dictionaries(
        {
            "upstream": st.just(["https://127.0.0.1:1", "https://127.0.0.1:2"]),
            "balance": st.sampled_from(
                ["least_conn", "ip_hash", "hash:uri", "hash:address", "hash:cookie:a", "hash:header:A-b"]
            ),
        }
    ),
    st.fixed_dictionaries({"upstream": st.just("fastcgi://127.0.0.1:9"), "script_root": _FILE}),
    st.fixed_dictionaries({"static": _FILE}),
    st.fixed_dictionaries(
        {
            "static": st.fixed_dictionaries(
                {
                    "root": _FILE,
                    "index": st.lists(_FILE.map(lambda text: text[1:]), min_size=1, max_size=2),
                    "listing": st.booleans(),
                }
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "redirect_to": st.sampled_from(
                ["https://b.example/x$y", "/else?where=$x", {"url": "http://[::1]:1/a(b)", "code": 308}]
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "respond": st.fixed_dictionaries(
                {
                    "status": st.sampled_from([200, 204, 404, 444, 497, 599]),
                    "body": _TEXT,
                    "type": st.just("text/x; a=b"),
                }
            )
        }
    ),
)


def _merged(parts: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {key: value for part in parts for key, value in part.items()}


def _fitting(site: dict[str, Any]) -> dict[str, Any]:
    """
    Take away what `check` would refuse in nearly every site, so that enough is left for nginx.
    """
    tls = site["tls"]
    if tls == "off":
        site.pop("hsts", None)
    if tls == "local":
        site["hosts"] = [each for each in site.get("hosts", []) if not each.startswith("~")]
    if site.get("auth", "off") != "off" and "allow" in site:
        site["satisfy"] = "any"
    return site


_ROUTE = st.tuples(
    st.fixed_dictionaries({}, optional=_LEVEL),
    st.just({}) | _ACTIONS,
    st.just({}) | st.fixed_dictionaries({"match": st.sampled_from(["prefix", "exact", "regex"])}),
    st.just({}) | st.sampled_from([{}, {"strip": True}, {"port": 5}]),
).map(_merged)
_SITE = st.tuples(
    st.fixed_dictionaries({}, optional=_LEVEL),
    _ACTIONS,
    st.fixed_dictionaries(
        {
            "routes": st.dictionaries(
                _PATH | _TEXT | st.sampled_from(["/", "/a", "/a/", r"\.php$", "^/b{1,2}"]), _ROUTE, max_size=3
            )
        },
        optional={
            "hosts": st.lists(st.sampled_from(["b.example", "*.c.example", r'~^x"y{1,2};$', "~[a-z]\\\\"]), max_size=2),
            "redirect_hosts": st.just(["www.a.example"]),
            "hsts": st.sampled_from(["on", "preload"]),
            "maintenance": st.booleans() | _FILE,
            "preset": st.sampled_from(["nextcloud", "pihole", "forgejo", "adguard-home"]),
        },
    ),
    st.sampled_from([{"tls": "local"}, {"tls": "off"}, {"tls": {"certificate": "/c.pem", "key": "/k.pem"}}]),
).map(lambda parts: _fitting(_merged(parts)))

_HASH = "$apr1$saltsalt$" + "a" * 22
_REST: dict[str, Any] = {
    "nets": {"office": ["203.0.113.0/24"]},
    "auth": {
        "own": {"provider": "basic", "users": {"al ice": _HASH}, "realm": 'a "$realm\\ {};'},
        "theirs": {"provider": "basic", "users_file": '/srv/"pass words;'},
        "asked": {"provider": "authelia", "url": "http://127.0.0.1:1/base"},
        "outpost": {"provider": "authentik", "url": "https://outpost:9443"},
        "proxy": {"provider": "oauth2-proxy", "url": "http://unix:/run/o.sock"},
        "tiny": {"provider": "tinyauth", "url": "http://127.0.0.1:1", "sign_in": "https://t.example:2443"},
    },
}


def taken(site: dict[str, Any], home: House) -> Config | None:
    """
    Return the configuration with a site, None when `check` does not take it.
    """
    nginx = {"http_port": home.settings.http_port, "https_port": home.settings.https_port}
    try:
        return snippets.filled(parse({**_REST, "nginx": nginx, "sites": {"a.example": site}}, CATALOG), str)
    except ConfigError:
        return None


@pytest.fixture(params=[DEBIAN, WHEEL], ids=["debian", "wheel"], scope="module")
def ask(request: pytest.FixtureRequest) -> Any:
    """
    Yield what asks nginx about a configuration, once with each nginx. What was asked before is forgotten.
    """
    with asyncio.Runner() as runner:
        making = house(request.param)
        home = runner.run(making.__aenter__())
        home.certify("a.example", "b.example", "*.c.example", "www.a.example")

        def hold(site: dict[str, Any]) -> None:
            config = taken(site, home)
            event("taken" if config else "refused")
            if config is not None:
                runner.run(_hold(home, config))

        try:
            yield hold
        finally:
            runner.run(making.__aexit__(None, None, None))


async def _hold(home: House, config: Config) -> None:
    wanted = desired(config)
    home.sites = [
        dataclasses.replace(site, certificates=("a.example",) if site.certificates else ()) for site in wanted.sites
    ]
    home.auth = dict(wanted.auth)
    home.certificates = {name: each for name, each in wanted.certificates.items() if name == INTERNAL_HOST}
    rendered = home.render()
    assert {
        why for why in rendered.unwritten.values() if "1.27.3" not in why and "was built without" not in why
    } == set()
    trees = Trees(home.state / "nginx")
    number = trees.stage(rendered, now=RealClock().now())
    trial = Trial(
        found=home.capabilities(), state=home.state, number=number, rendered=rendered, settled={}, clock=RealClock()
    )
    try:
        await trial.hold()
    finally:
        trees.remove(number)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(site=_SITE)
def test_what_check_takes_nginx_takes(ask: Callable[[dict[str, Any]], None], site: dict[str, Any]) -> None:
    """
    Every key of a site and of its routes, with texts that would be directives if they were not quoted.
    """
    ask(site)
