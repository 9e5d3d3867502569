"""
What valid configurations become: defaults, inheritance, the set-ups that people have, and warnings.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import pathlib

import pytest

from gatelodge.config.catalog import BUILT_IN
from gatelodge.config.parse import parse
from gatelodge.config.read import read
from gatelodge.config.shape import AcmeSection, CertificateSection, Config, SiteSection, Tls
from gatelodge.model import (
    ByCommands,
    ByHelper,
    ByMailbox,
    CertificateAuthority,
    KeyKind,
    Listener,
    Name,
    NginxSettings,
    Pool,
    Route,
    Transport,
    Upstream,
    Websocket,
)

_EXAMPLE = pathlib.Path(__file__).parents[2] / "config.example.toml"


def test_nothing_written_is_a_configuration() -> None:
    """
    An empty file asks for nothing, with every default filled in.
    """
    assert read("") == Config(authorities=BUILT_IN.authorities)


def test_every_key_arrives() -> None:
    """
    Each key of this release ends in its place of the `Config`, normalised.
    """
    config = read(
        """
        state_directory = "/srv//gate/"
        check_every = "1h30m"
        [acme]
        agree_tos = true
        ca = "step"
        email = "Me@Münze.example"
        key = "rsa-2048"
        profile = "short"
        webroot = "/srv/webroot"
        challenge = "http-01"
        [acme.cas.step]
        directory = "https://ca.lan:8443/acme/acme/directory"
        root = "/etc/step/root.pem"
        profile = "week"
        [certificates."*.example.com"]
        names = ["Example.com.", "[2606:4700:0::1]"]
        ca = ["letsencrypt-staging"]
        key = "ecdsa-p384"
        profile = "classic"
        challenge = "http-01"
        [sites."WWW.example.net"]
        hosts = ["2001:db8:0::1"]
        listen = [443, "[::1]:8443", "127.0.0.1:9443"]
        upstream = "https://Wiki_1.:8443/base"
        timeout = "90s"
        connect_timeout = "3s"
        body_size = "10m"
        websocket = "auto"
        tls = "local"
        key = "ecdsa-p384"
        routes."/api/" = "http://[fd00::2]"
        routes."/ws" = { upstream = "http://ws", timeout = "1d", connect_timeout = "1s", body_size = "0", websocket = "force", match = "prefix" }
        [nginx]
        mode = "managed"
        binary = "/usr/sbin/nginx"
        address = "::1"
        http_port = 8080
        https_port = 8443
        public_http_port = 80
        public_https_port = 2443
        user = "www-data"
        access_log = "/var/log/gate.log"
        drain = "10m"
        reload_interval = "5s"
        [resolver]
        servers = ["192.168.1.1", "127.0.0.11:5353", "2001:db8::53", "[::1]", "[::1]:54"]
        [admin]
        socket = "/run/gate.sock"
        """
    )
    page = Route(
        path="/",
        action=Pool.of(Upstream(scheme="https", host="wiki_1", port=8443, path="/base")),
        transport=Transport(
            timeout=dt.timedelta(seconds=90), connect_timeout=dt.timedelta(seconds=3), body_size=10 << 20
        ),
        key='sites."WWW.example.net"',
    )
    assert config == Config(
        state_directory="/srv/gate",
        check_every=dt.timedelta(minutes=90),
        acme=AcmeSection(
            agree_tos=True,
            cas=("step",),
            email="Me@xn--mnze-0ra.example",
            keys=(KeyKind.RSA_2048,),
            profile="short",
            webroot="/srv/webroot",
            challenges=("http-01",),
        ),
        authorities={
            **BUILT_IN.authorities,
            "step": CertificateAuthority(
                name="step",
                directory="https://ca.lan:8443/acme/acme/directory",
                root="/etc/step/root.pem",
                production=False,
                profile="week",
            ),
        },
        certificates={
            "wildcard.example.com": CertificateSection(
                names=(Name("example.com"), Name("2606:4700::1")),
                cas=("letsencrypt-staging",),
                keys=(KeyKind.ECDSA_P384,),
                profile="classic",
                challenges=("http-01",),
            )
        },
        sites={
            "www.example.net": SiteSection(
                hosts=(Name("www.example.net"), Name("2001:db8::1")),
                listeners=(
                    Listener(port=443),
                    Listener(port=8443, address="::1"),
                    Listener(port=9443, address="127.0.0.1"),
                ),
                routes=(
                    page,
                    dataclasses.replace(
                        page,
                        path="/api/",
                        action=Pool.of(Upstream(scheme="http", host="fd00::2", port=80)),
                        key='sites."WWW.example.net".routes."/api/"',
                    ),
                    Route(
                        path="/ws",
                        action=Pool.of(Upstream(scheme="http", host="ws", port=80)),
                        transport=Transport(
                            timeout=dt.timedelta(days=1),
                            connect_timeout=dt.timedelta(seconds=1),
                            body_size=0,
                            websocket=Websocket.FORCE,
                        ),
                        key='sites."WWW.example.net".routes."/ws"',
                    ),
                ),
                tls=Tls.LOCAL,
                key='sites."WWW.example.net"',
                keys=(KeyKind.ECDSA_P384,),
            )
        },
        nginx=NginxSettings(
            binary="/usr/sbin/nginx",
            address="::1",
            http_port=8080,
            https_port=8443,
            public_http_port=80,
            public_https_port=2443,
            user="www-data",
            access_log="/var/log/gate.log",
            drain=dt.timedelta(minutes=10),
            reload_interval=dt.timedelta(seconds=5),
        ),
        resolver=("192.168.1.1:53", "127.0.0.11:5353", "[2001:db8::53]:53", "[::1]:53", "[::1]:54"),
        admin_socket="/run/gate.sock",
    )


def test_the_example_is_right() -> None:
    """
    The file that people copy holds no mistake and no warning, and asks for what its comments say.
    """
    config = read(_EXAMPLE.read_text())
    assert config.warnings == ()
    assert [(name, site.tls) for name, site in config.sites.items()] == [
        ("wiki.example.org", Tls.ACME),
        ("chat.example.org", Tls.ACME),
        ("nas.lan", Tls.LOCAL),
    ]


def test_public_ports_are_the_ports_unless_given() -> None:
    """
    What visitors type is the listener's own port, until the file says that a router forwards another one.
    """
    assert read("[nginx]\nhttp_port = 8080\nhttps_port = 8443").nginx == NginxSettings(
        http_port=8080, https_port=8443, public_http_port=8080, public_https_port=8443
    )
    assert read("[nginx]\npublic_http_port = 8088\npublic_https_port = 2443").nginx == NginxSettings(
        public_http_port=8088, public_https_port=2443
    )


@pytest.mark.parametrize(
    ("tls", "port"), [("local", 8443), ("off", 8080)]
)  # fmt: skip
def test_a_site_listens_on_the_port_of_its_kind(tls: str, port: int) -> None:
    """
    Without `listen` a site with TLS is on https_port, one without on http_port.
    """
    config = read(
        f'[nginx]\nhttp_port = 8080\nhttps_port = 8443\n[sites]\n"a.lan" = {{ upstream = "http://x", tls = "{tls}" }}'
    )
    assert config.sites["a.lan"].listeners == (Listener(port=port),)


def test_a_home_behind_forwarded_ports() -> None:
    """
    8088 and 2443 are forwarded to 80 and 443: expressible, with the warning that the CA comes by port 80.
    """
    config = read(
        """
        [acme]
        agree_tos = true
        [nginx]
        public_http_port = 8088
        public_https_port = 2443
        [sites]
        "cloud.example.com" = "http://nextcloud_main:80"
        "chat.example.com" = "http://rocketchat:3000"
        """
    )
    assert config.sites["cloud.example.com"].routes[0].action == Pool.of(
        Upstream(scheme="http", host="nextcloud_main", port=80)
    )
    (warning,) = config.warnings
    assert warning.warning
    assert (warning.path, warning.line) == ("nginx.public_http_port", 5)
    assert "port 80" in warning.problem


def test_a_web_page_with_a_websocket_beside_it() -> None:
    """
    `/` goes to one container and `/websocket/` to another address, whose lone slash replaces the prefix.
    """
    config = read(
        """
        [acme]
        agree_tos = true
        [sites."chat.example.com"]
        upstream = "http://htmldeploy"
        routes."/websocket/" = { upstream = "http://172.29.0.6:7777/", timeout = "1d" }
        """
    )
    page, websocket = config.sites["chat.example.com"].routes
    assert page == Route(
        path="/",
        action=Pool.of(Upstream(scheme="http", host="htmldeploy", port=80)),
        key='sites."chat.example.com"',
    )
    assert websocket == Route(
        path="/websocket/",
        action=Pool.of(Upstream(scheme="http", host="172.29.0.6", port=7777, path="/")),
        transport=Transport(timeout=dt.timedelta(days=1)),
        key='sites."chat.example.com".routes."/websocket/"',
    )
    assert config.warnings == ()


def test_tls_before_a_plain_websocket_of_the_network() -> None:
    """
    An address of the LAN, a port of its own, the local CA, and upgrades asked for whatever the visitor sent; no [acme].
    """
    config = read(
        """
        [sites."192.10.10.133"]
        listen = [5555]
        upstream = "http://192.10.10.133:5438"
        tls = "local"
        websocket = "force"
        """
    )
    site = config.sites["192.10.10.133"]
    assert (site.hosts, site.listeners, site.tls) == (("192.10.10.133",), (Listener(port=5555),), Tls.LOCAL)
    assert site.routes[0].transport.websocket is Websocket.FORCE
    assert config.acme is None


def test_addresses_may_share_a_listener_when_their_certificate_is_one() -> None:
    """
    Two IP sites of the local CA on one port are no conflict, nor is a name beside them that has a certificate of its own.
    """
    config = read(
        """
        [acme]
        agree_tos = true
        [sites]
        "192.168.1.2" = { upstream = "http://a", tls = "local" }
        "192.168.1.3" = { upstream = "http://b", tls = "local" }
        "a.example" = "http://c"
        """
    )
    assert len(config.sites) == 3


def test_a_certificate_may_have_the_name_of_the_site_that_it_serves() -> None:
    """
    `[certificates."a.example"]` for the site a.example is the usual way to write it, wildcard names included.
    """
    config = read(
        """
        [acme]
        agree_tos = true
        [certificates."a.example"]
        names = ["a.example", "b.example"]
        [sites]
        "a.example" = "http://a"
        "b.example" = { upstream = "http://b", certificate = "a.example" }
        """
    )
    assert config.sites["b.example"].certificate == "a.example"


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ('[acme.cas.letsencrypt]\nprofile = "tlsserver"', True),
        ('[acme.cas.mine]\ndirectory = "https://acme-v02.api.letsencrypt.org/directory"', True),
        ('[acme.cas.mine]\ndirectory = "http://127.0.0.1:14000/dir"', False),
        ('[acme.cas.mine]\ndirectory = "http://localhost:14000/dir"', False),
    ],
)
def test_a_ca_is_public_by_its_directory(text: str, public: bool) -> None:  # noqa: FBT001 - a column of the table
    """
    A built-in CA stays a production one when it is completed or renamed; one of your own is not.
    """
    authority = list(read(text).authorities.values())[-1 if "mine" in text else 0]
    assert authority.production is public
    assert BUILT_IN.is_public(authority) is public


def test_a_ca_of_your_own_certifies_private_names() -> None:
    """
    Only the world's CAs refuse `nas.lan`; a port other than 80 is no concern of a private one.
    """
    config = read(
        """
        [acme]
        agree_tos = true
        ca = "step"
        [acme.cas.step]
        directory = "https://ca.lan/acme"
        [nginx]
        http_port = 8080
        [sites]
        "nas.lan" = "http://x"
        "192.168.1.2" = "http://x"
        """
    )
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("upstream", "path", "words"),
    [
        ("http://127.0.0.1:443", 'sites."a.lan".upstream', "the gate itself"),
        ("http://127.0.0.1", 'sites."a.lan".upstream', "the gate itself"),
        ("http://[::1]:443/x", 'sites."a.lan".upstream', "the gate itself"),
    ],
)
def test_upstreams_that_are_probably_not_meant_are_warned_of(upstream: str, path: str, words: str) -> None:
    """
    A gate that leads to itself, and a name that nginx's resolver does not know, work as written and are told.
    """
    config = read(f'sites."a.lan" = {{ upstream = "{upstream}", tls = "local" }}')
    (warning,) = config.warnings
    assert (warning.path, warning.line, warning.warning) == (path, 1, True)
    assert words in warning.problem
    assert warning.remedy


def test_a_service_on_loopback_is_no_loop() -> None:
    """
    Another port of this machine, or the gate's port on another address, is where services are.
    """
    config = read(
        """
        [sites]
        "a.lan" = { upstream = "http://127.0.0.1:3000", tls = "local" }
        "b.lan" = { upstream = "https://127.0.0.2:9443", tls = "local", listen = ["127.0.0.1:9443"] }
        "c.lan" = { upstream = "https://192.168.1.2:443", tls = "local" }
        """
    )
    assert config.warnings == ()


def test_a_mapping_is_read_without_lines() -> None:
    """
    `parse` takes what tomllib made, also from elsewhere than a file.
    """
    config = parse({"sites": {"a.lan": {"upstream": "http://x", "tls": "local"}}})
    assert config.sites["a.lan"].routes == (
        Route(path="/", action=Pool.of(Upstream(scheme="http", host="x", port=80)), key='sites."a.lan"'),
    )


def test_a_file_from_windows_is_read() -> None:
    """
    A byte order mark and CR LF change nothing.
    """
    assert read("\ufeff[nginx]\r\nhttp_port = 8080\r\n").nginx.http_port == 8080


def test_somebody_elses_nginx_is_told_by_commands_a_mailbox_or_the_helper() -> None:
    """
    Without a word, by its own program's. Others are not asked for theirs.
    """
    usual = parse({"nginx": {"mode": "external"}}).nginx
    assert usual.reload == ByCommands(commands=(("nginx", "-t"), ("nginx", "-s", "reload")))
    own = parse({"nginx": {"mode": "external", "binary": "/opt/nginx", "default_server": False}}).nginx
    assert own.reload == ByCommands(commands=(("/opt/nginx", "-t"), ("/opt/nginx", "-s", "reload")))
    assert own.default_server is False
    given = {"mode": "external", "reload": [["sudo", "nginx", "-s", "reload"]], "default_server": "auto"}
    assert parse({"nginx": given}).nginx.reload == ByCommands(commands=(("sudo", "nginx", "-s", "reload"),))
    far = parse({"nginx": {"mode": "external", "reload": "mailbox", "address": "172.18.0.3", "group": "nginx"}}).nginx
    assert (far.reload, far.group, far.default_server) == (ByMailbox(), "nginx", None)
    guarded = parse({"nginx": {"mode": "external", "reload": "helper"}}).nginx
    assert (guarded.reload, guarded.address, guarded.group) == (ByHelper(), "127.0.0.1", None)
    assert parse({"nginx": {"mode": "managed"}}).nginx.reload is None
