"""
What one stream's file says, for an nginx that is old and one that is new. What visitors get from it is tried in tests/live.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

import pytest
from tests.nginx.streams import pool, stream
from tests.nginx.trees import desired, nginx

from gatelodge.model import (
    Balance,
    Listener,
    ListenSettings,
    Name,
    NginxSettings,
    Server,
    Spread,
    Stream,
    TlsProfile,
    Upstream,
    UpstreamTls,
)
from gatelodge.nginx.writing.ground import lay
from gatelodge.nginx.writing.site import Files
from gatelodge.nginx.writing.stream import left_out, streaming

if TYPE_CHECKING:
    from gatelodge.core.tree import Capabilities

MODULES = frozenset({"stream", "stream_ssl_module", "stream_ssl_preread_module", "stream_realip_module"})

OLD = dataclasses.replace(nginx(1, 22, 1), modules=MODULES)
NEW = dataclasses.replace(nginx(1, 28, 0), modules=MODULES)

FILES = Files(directory="/var/lib/gatelodge/certificates/m/versions/2", placeholder=False)


def text(
    asked: Stream,
    *,
    found: Capabilities = NEW,
    files: tuple[Files, ...] = (),
    listen: dict[int, ListenSettings] | None = None,
) -> str:
    """
    Write a stream for an nginx.
    """
    settings = NginxSettings(listen=tuple((Listener(port=port), each) for port, each in (listen or {}).items()))
    return streaming(asked, files, lay(desired(settings=settings), found))


def said(written: str) -> list[str]:
    """
    Return the lines without their indent.
    """
    return [line.strip() for line in written.splitlines() if line.strip()]


def test_the_plainest_stream_is_this() -> None:
    """
    The whole text, as a person would read it.
    """
    assert text(stream()) == (
        "# Written by Gatelodge. Changes made here are lost.\n"
        "\n"
        "# streams.mqtt\n"
        "server {\n"
        "    listen 8883;\n"
        "    listen [::]:8883;\n"
        "    proxy_connect_timeout 5s;\n"
        "    proxy_timeout 3600s;\n"
        "    proxy_pass 192.0.2.5:1883;\n"
        "}\n"
    )


def test_udp_is_heard_by_one_socket_for_each_worker() -> None:
    """
    So that a visitor's datagrams come to the worker that has his session.
    """
    written = said(text(stream(udp=True, port=53, responses=1, timeout=dt.timedelta(minutes=2))))
    assert {"listen 53 udp reuseport;", "listen [::]:53 udp reuseport;"} <= {*written}
    assert {"proxy_responses 1;", "proxy_timeout 120s;"} <= {*written}


def test_tls_is_taken_off_with_sessions_of_its_own() -> None:
    """
    The zone of http cannot be used again by stream, and what was agreed at one stream is nothing to another.
    """
    shown = stream(certificates=("m",), hosts=(Name("m.example.com"),))
    written = said(text(shown, files=(FILES,)))
    assert "listen 8883 ssl;" in written
    assert f"ssl_certificate {FILES.directory}/fullchain.pem;" in written
    assert "ssl_protocols TLSv1.2 TLSv1.3;" in written
    other = said(text(dataclasses.replace(shown, name="other"), files=(FILES,)))
    caches = [line for each in (written, other) for line in each if line.startswith("ssl_session_cache")]
    assert len(set(caches)) == 2
    assert all("shared:gatelodge_stream_" in each for each in caches)
    modern = said(text(shown, files=(FILES,), listen={8883: ListenSettings(tls_profile=TlsProfile.MODERN)}))
    assert "ssl_protocols TLSv1.3;" in modern


def test_a_stream_without_its_certificate_listens_nowhere() -> None:
    """
    In plain it would say to everybody what is meant for TLS.
    """
    assert "listen" not in text(stream(certificates=("m",), hosts=(Name("m.example.com"),)))


def test_names_go_their_ways_and_others_nowhere() -> None:
    """
    A map by the name that is asked for; words that mean something else in a map are written as names.
    """
    by_name = (
        (Name("vpn.example.com"), pool("10.0.0.5:443")),
        (Name("*.lab.example.com"), pool("[2001:db8::6]:443")),
        (Name("include"), pool("unix:/run/x.sock")),
    )
    written = said(text(stream(to=None, by_name=by_name)))
    assert "ssl_preread on;" in written
    start = next(place for place, line in enumerate(written) if line.startswith("map $ssl_preread_server_name "))
    assert written[start + 1 : start + 6] == [
        "hostnames;",
        "vpn.example.com 10.0.0.5:443;",
        "*.lab.example.com [2001:db8::6]:443;",
        '"\\\\include" unix:/run/x.sock;',
        'default "";',
    ]
    assert written[start].split()[2] in written[-2]


def test_a_name_is_never_looked_up_by_the_master() -> None:
    """
    Before 1.27.3 a variable makes workers look it up, since then an upstream with a resolver of its own, wherever `stream {}` is.
    """
    asked = stream(to="broker_1:1883")
    old = said(text(asked, found=OLD))
    assert "default broker_1:1883;" in old
    assert old[-3:-1] == ["resolver_timeout 5s;", f"proxy_pass {old[1].split()[2]};"]
    new = said(text(asked))
    assert "server broker_1:1883 resolve;" in new
    assert new.index("resolver 127.0.0.11 valid=10s;") < new.index("# streams.mqtt")
    assert "proxy_pass 127.0.0.1:1883;" in said(text(stream(to="localhost:1883"), found=OLD))


def test_several_servers_by_name_are_too_much_for_an_old_nginx() -> None:
    """
    It says so, and which they are.
    """
    asked = stream(to=pool("a:1", "192.0.2.1:1"))
    with pytest.raises(ValueError, match=r"by name \(a\) need nginx 1\.27\.3"):
        text(asked, found=OLD)
    assert "server a:1 resolve;" in said(text(asked))


def test_servers_share_the_work_as_it_is_said() -> None:
    """
    What is nginx's own default is not written.
    """
    one = Server(upstream=Upstream(scheme="tcp", host="192.0.2.1", port=1), weight=3, max_fails=0)
    other = Server(
        upstream=Upstream(scheme="tcp", host="192.0.2.2", port=1), backup=True, fail_timeout=dt.timedelta(seconds=30)
    )
    shared = dataclasses.replace(pool("192.0.2.1:1"), servers=(one, other))
    written = said(text(stream(to=shared)))
    assert {"server 192.0.2.1:1 weight=3 max_fails=0;", "server 192.0.2.2:1 fail_timeout=30s backup;"} <= {*written}
    for balance, line in (
        (Balance(spread=Spread.LEAST_CONN), "least_conn;"),
        (Balance(spread=Spread.HASH, by="address"), "hash $remote_addr consistent;"),
    ):
        named = text(stream(to=dataclasses.replace(shared, balance=balance)))
        assert line in said(named)
        # nginx refuses at a reload to use a zone for another thing.
        assert said(named)[1] != written[1]


def test_who_may_come_is_asked_in_this_order() -> None:
    """
    Whoever is denied is, also among those who are allowed; nobody else may come.
    """
    written = said(text(stream(allow=("10.0.0.0/8",), deny=("10.0.0.3",), connections=2)))
    start = written.index("deny 10.0.0.3;")
    assert written[start : start + 3] == ["deny 10.0.0.3;", "allow 10.0.0.0/8;", "deny all;"]
    assert written[start + 3].startswith("limit_conn gatelodge_stream_")
    assert "deny all;" not in said(text(stream(deny=("10.0.0.3",))))


def test_proxy_headers_are_believed_where_it_is_said_and_sent_where_they_are_wanted() -> None:
    """
    Listeners on other terms stand in a server of their own.
    """
    both = stream(listeners=(Listener(port=8883), Listener(port=1883)), proxy_protocol=True)
    written = said(text(both, listen={8883: ListenSettings(proxy_protocol=("10.0.0.1",))}))
    assert {"listen 8883 proxy_protocol;", "listen 1883;", "proxy_protocol on;"} <= {*written}
    assert written.count("set_real_ip_from 10.0.0.1;") == 1
    assert written.count("server {") == 2


@pytest.mark.parametrize(
    ("to", "tls", "lines"),
    [
        ("db.lan:1", UpstreamTls(), {"proxy_ssl_name db.lan;", "proxy_ssl_verify on;"}),
        ("192.0.2.1:1", UpstreamTls(), {"proxy_ssl_verify off;"}),
        ("192.0.2.1:1", UpstreamTls(name="db.lan"), {"proxy_ssl_name db.lan;", "proxy_ssl_verify on;"}),
        ("db.lan:1", UpstreamTls(verify=False), {"proxy_ssl_name db.lan;", "proxy_ssl_verify off;"}),
        ("db.lan:1", UpstreamTls(ca="/etc/ca.pem"), {"proxy_ssl_trusted_certificate /etc/ca.pem;"}),
        ("unix:/run/x", UpstreamTls(), {"proxy_ssl_verify off;"}),
        (
            "db.lan:1",
            UpstreamTls(certificate="/c.pem", key="/k.pem"),
            {"proxy_ssl_certificate /c.pem;", "proxy_ssl_certificate_key /k.pem;"},
        ),
    ],
)
def test_an_upstream_over_tls_is_checked_by_its_name(to: str, tls: UpstreamTls, lines: set[str]) -> None:
    """
    A certificate cannot be checked against an address.
    """
    written = said(text(stream(to=pool(to, scheme="tls", tls=tls))))
    assert {"proxy_ssl on;", *lines} <= {*written}


@pytest.mark.parametrize(
    ("asked", "missing"),
    [
        (stream(certificates=("m",)), "stream_ssl_module"),
        (stream(to=pool("192.0.2.1:1", scheme="tls")), "stream_ssl_module"),
        (stream(by_name=((Name("a.example"), pool("192.0.2.1:1")),)), "stream_ssl_preread_module"),
    ],
)
def test_what_this_nginx_lacks_is_named(asked: Stream, missing: str) -> None:
    """
    Nothing is written that it would refuse.
    """
    with pytest.raises(ValueError, match=f"nginx's {missing}"):
        text(asked, found=dataclasses.replace(NEW, modules=frozenset({"stream"})), files=(FILES,))


def test_a_snippet_stands_in_the_server_with_its_key() -> None:
    """
    So that what nginx says of it leads to the key.
    """
    written = said(text(stream(snippet="tcp_nodelay off;")))
    assert written[written.index("tcp_nodelay off;") - 1] == "# streams.mqtt.snippet"


def test_what_is_left_out_says_why_on_one_line() -> None:
    """
    Also when nginx said it on several.
    """
    assert left_out("no\nserver { }").splitlines()[1] == "# Left out: no server { }"
