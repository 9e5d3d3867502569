"""
Whatever streams `check` takes, nginx takes the tree that is made of them: the oldest at hand and the newest, whatever stands in their
texts.
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
from gatelodge.core.desired import desired
from gatelodge.errors import ConfigError
from gatelodge.nginx.tree import Trees
from gatelodge.nginx.trial import Trial
from gatelodge.offers import CATALOG

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatelodge.config.shape import Config

pytestmark = pytest.mark.live

_HOSTILE = st.text(alphabet="\"'\\{};#~^()[]| ax0/ü€\u2028%&=,:.*?+-", max_size=12)
_SOCKET = _HOSTILE.map(lambda text: f"unix:/run/{text}x")
_SERVER = (
    st.sampled_from(["192.0.2.1:1", "[2001:db8::1]:65535", "broker_1:1883", "localhost:1", "ü.example:1"]) | _SOCKET
)
_SERVERS = st.one_of(
    _SERVER,
    st.fixed_dictionaries(
        {"server": _SERVER},
        optional={
            "weight": st.sampled_from([1, 65535]),
            "max_fails": st.sampled_from([0, 65535]),
            "fail_timeout": st.sampled_from(["1s", "1d"]),
        },
    ),
    st.just(["192.0.2.1:1", "192.0.2.2:1"]),
    st.just(["192.0.2.1:1", {"server": "broker:1", "backup": True}]),
    st.just(["192.0.2.1:1", {"server": "unix:/run/x", "backup": True}]),
)
_NAMES = st.sampled_from(
    ["a.example", "*.b.example", "default", "include", "hostnames", "volatile", "x" * 63, ".".join(["x" * 50] * 4)]
)
_NETWORKS = st.lists(st.sampled_from(["lan", "all", "192.0.2.1", "2001:db8::/32"]), min_size=1, max_size=3)
_TIMES = st.sampled_from(["1s", "90s", "24d"])
_ALL: dict[str, st.SearchStrategy[Any]] = {
    "timeout": _TIMES,
    "connect_timeout": _TIMES,
    "allow": _NETWORKS,
    "deny": _NETWORKS,
    "connections": st.sampled_from([1, 65535]),
    "balance": st.sampled_from(["round_robin", "least_conn", "hash:address"]),
    "snippet": st.sampled_from(["# } {", "tcp_nodelay off; # }", "proxy_bind '192.0.2.7';"]),
}
_OF_TCP: dict[str, st.SearchStrategy[Any]] = {
    **_ALL,
    "proxy_protocol": st.booleans(),
    "upstream_tls": st.sampled_from([True, False, {"name": "x.example"}, {"verify": False}]),
}
_TLS = st.fixed_dictionaries(
    {
        "upstream": _SERVERS,
        "tls": st.just("local"),
        "hosts": st.sampled_from([["a.example"], ["*.b.example", "192.0.2.1"]]),
    },
    optional=_OF_TCP,
)
_BY_NAME = st.fixed_dictionaries(
    {"by_name": st.dictionaries(_NAMES, _SERVERS, min_size=1, max_size=4)}, optional={**_OF_TCP, "upstream": _SERVERS}
)
_UDP = st.fixed_dictionaries(
    {"protocol": st.just("udp"), "upstream": _SERVERS},
    optional={**_ALL, "udp_responses": st.sampled_from([0, 1, 1_000_000])},
)
_STREAM = st.one_of(st.fixed_dictionaries({"upstream": _SERVERS}, optional=_OF_TCP), _TLS, _BY_NAME, _UDP)
_LISTEN = st.fixed_dictionaries(
    {},
    optional={
        "proxy_protocol": st.sampled_from([["lan"], ["192.0.2.1"]]),
        "tls_profile": st.sampled_from(["modern", "intermediate"]),
    },
)

#: What an older nginx cannot do, and says so.
_UNWRITTEN = "need nginx 1.27.3"


def taken(name: str, stream: dict[str, Any], listen: dict[str, Any], home: House) -> Config | None:
    """
    Return the configuration with a stream, None when `check` does not take it.
    """
    port = home.spare[0]
    try:
        return parse({"streams": {name: {"listen": [port], **stream}}, "listen": {str(port): listen}}, CATALOG)
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
        home.certify("a.example", "*.b.example", "192.0.2.1")

        def hold(name: str, stream: dict[str, Any], listen: dict[str, Any]) -> None:
            config = taken(name, stream, listen, home)
            event("taken" if config else "refused")
            if config is not None:
                runner.run(_hold(home, config))

        try:
            yield hold
        finally:
            runner.run(making.__aexit__(None, None, None))


async def _hold(home: House, config: Config) -> None:
    wanted = desired(config)
    home.streams = [
        dataclasses.replace(each, certificates=("a.example",) if each.certificates else ()) for each in wanted.streams
    ]
    home.settings = dataclasses.replace(home.settings, listen=wanted.nginx.listen)
    rendered = home.render()
    assert {why for why in rendered.unwritten.values() if _UNWRITTEN not in why} == set()
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
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(name=st.sampled_from(["x", "a.b-c_D", "9" * 100]), stream=_STREAM, listen=st.just({}) | _LISTEN)
def test_what_check_takes_nginx_takes(
    ask: Callable[[str, dict[str, Any], dict[str, Any]], None],
    name: str,
    stream: dict[str, Any],
    listen: dict[str, Any],
) -> None:
    """
    Every key of a stream, with texts that would be directives if they were not quoted.
    """
    ask(name, stream, listen)
