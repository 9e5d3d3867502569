"""
Streams as people write them: what becomes of each key, and every mistake that can be made with one.
"""

from __future__ import annotations

import datetime as dt

import pytest
from tests.nginx.streams import pool, upstream

from gatelodge.config.read import read
from gatelodge.config.schema import schema
from gatelodge.config.sections.streams import StreamSection
from gatelodge.config.shape import SnippetFile, Tls
from gatelodge.config.values.snippets import filled
from gatelodge.core.desired import Desired, desired
from gatelodge.errors import ConfigError
from gatelodge.model import (
    Balance,
    FileIssuer,
    KeyKind,
    Listener,
    LocalIssuer,
    Name,
    Pool,
    Protocol,
    Server,
    Spread,
    Stream,
    UpstreamTls,
)
from gatelodge.offers import CATALOG

_AGREED = "acme.agree_tos = true\n"


def one(text: str) -> StreamSection:
    """
    Read a configuration with one stream.
    """
    [section] = read(_AGREED + text).streams.values()
    return section


def test_the_shortest_stream_passes_bytes_on() -> None:
    """
    TCP, as it comes, and as long as for sites.
    """
    section = one('streams.db = { listen = [5432], upstream = "192.0.2.1:5432" }')
    assert section == StreamSection(
        stream=Stream(
            name="db",
            listeners=(Listener(port=5432),),
            upstream=pool("192.0.2.1:5432"),
            timeout=dt.timedelta(hours=1),
            key="streams.db",
        )
    )


def test_every_key_arrives() -> None:
    """
    Each ends in its place, normalised.
    """
    section = one(
        """
        nets.office = ["203.0.113.0/24"]
        [streams.mqtt]
        listen = [8883, "127.0.0.1:1884"]
        protocol = "tcp"
        upstream = [
            "Broker_1:1883",
            { server = "[2001:DB8::1]:1883", weight = 3, max_fails = 0, fail_timeout = "30s" },
            { server = "unix:/run/mqtt.sock", backup = true },
        ]
        balance = "least_conn"
        tls = "acme"
        hosts = ["MQTT.example.com", "mq.example.com"]
        key = ["ecdsa-p384", "rsa-2048"]
        challenge = "http-01"
        timeout = "90s"
        connect_timeout = "3s"
        proxy_protocol = true
        upstream_tls = { name = "broker.lan", verify = true, ca = "/ca.pem", certificate = "/c.pem", key = "/k.pem" }
        allow = ["office", "10.0.0.1"]
        deny = "203.0.113.7"
        connections = 5
        snippet = "tcp_nodelay off;"
        """
    )
    servers = (
        Server(upstream=upstream("broker_1:1883", "tls")),
        Server(
            upstream=upstream("[2001:db8::1]:1883", "tls"),
            weight=3,
            max_fails=0,
            fail_timeout=dt.timedelta(seconds=30),
        ),
        Server(upstream=upstream("unix:/run/mqtt.sock", "tls"), backup=True),
    )
    assert section == StreamSection(
        stream=Stream(
            name="mqtt",
            listeners=(Listener(port=8883), Listener(port=1884, address="127.0.0.1")),
            upstream=Pool(
                servers=servers,
                balance=Balance(spread=Spread.LEAST_CONN),
                tls=UpstreamTls(verify=True, name="broker.lan", ca="/ca.pem", certificate="/c.pem", key="/k.pem"),
            ),
            hosts=(Name("mqtt.example.com"), Name("mq.example.com")),
            timeout=dt.timedelta(seconds=90),
            connect_timeout=dt.timedelta(seconds=3),
            proxy_protocol=True,
            allow=("203.0.113.0/24", "10.0.0.1/32"),
            deny=("203.0.113.7/32",),
            connections=5,
            snippet="tcp_nodelay off;\n",
            key="streams.mqtt",
        ),
        tls=Tls.ACME,
        keys=(KeyKind.ECDSA_P384, KeyKind.RSA_2048),
        challenges=("http-01",),
    )


def test_udp_is_waited_for_less_long() -> None:
    """
    It has no end of its own by which nginx could let a visitor go.
    """
    stream = one(
        'streams.dns = { listen = [53], protocol = "udp", upstream = "192.0.2.1:53", udp_responses = 1 }'
    ).stream
    assert (stream.protocol, stream.listeners) == (Protocol.UDP, (Listener(port=53, udp=True),))
    assert (stream.timeout, stream.responses) == (dt.timedelta(minutes=2), 1)
    assert stream.upstream == pool("192.0.2.1:53", scheme="udp")


def test_names_go_their_ways() -> None:
    """
    A list of servers for one of them, everybody else somewhere, or nowhere.
    """
    text = 'streams.gate = {{ listen = [443], by_name = {{ "VPN.example.com" = "a:1", "*.lab.example.com" = ["b:2", "c:3"] }}{} }}'
    stream = one(text.format(', upstream = "127.0.0.1:4443"')).stream
    assert stream.by_name == ((Name("vpn.example.com"), pool("a:1")), (Name("*.lab.example.com"), pool("b:2", "c:3")))
    assert stream.upstream == pool("127.0.0.1:4443")
    assert one(text.format("")).stream.upstream is None


def test_a_snippet_of_a_stream_can_stand_in_a_file() -> None:
    """
    It is read when the parts of a gate are made.
    """
    config = read('streams.db = { listen = [5432], upstream = "192.0.2.1:5432", snippet = { file = "/etc/x.conf" } }')
    assert config.snippet_files == (
        SnippetFile(path=("streams", "db", "snippet"), file="/etc/x.conf", line=1, stream="db"),
    )
    assert filled(config, lambda _: "tcp_nodelay off;").streams["db"].stream.snippet == "tcp_nodelay off;\n"


#: The text (the line with `#!` is the guilty one), the key path, and a part of the problem or remedy.
_TABLE = [
    ('[streams.x]  #!\nupstream = "a:1"', "streams.x", "it listens nowhere"),
    ("[streams.x]  #!\nlisten = [1]", "streams.x", "it leads nowhere"),
    ('[streams."a b"]  #!\nlisten = [1]', 'streams."a b"', "cannot be the name of a file"),
    ('[streams.x]\nlisten = [1]\nupstream = "http://a:1"  #!', "streams.x.upstream", "is a URL"),
    ('[streams.x]\nlisten = [1]\nupstream = "a"  #!', "streams.x.upstream", "has no port"),
    ('[streams.x]\nlisten = [1]\nupstream = ":1"  #!', "streams.x.upstream", 'write "HOST:PORT"'),
    ('[streams.x]\nlisten = [1]\nupstream = "a:0"  #!', "streams.x.upstream", "no such port"),
    ('[streams.x]\nlisten = [1]\nupstream = "unix:run"  #!', "streams.x.upstream", "not an absolute path"),
    ('[streams.x]\nlisten = [1]\nupstream = "unix:/$a"  #!', "streams.x.upstream", "takes for a variable"),
    ("[streams.x]\nlisten = [1]\nupstream = []  #!", "streams.x.upstream", "it is empty"),
    ("[streams.x]\nlisten = [1]\nupstream = { weight = 1 }  #!", "streams.x.upstream[0]", "not where the server is"),
    ('[streams.x]\nlisten = [1]\nupstream = { server = "a:1", backup = true }  #!', "streams.x.upstream", "backups"),
    ('[streams.x]\nlisten = [1, "[::1]:1"]  #!\nupstream = "a:1"', "streams.x.listen", "[::1]:1 is there twice"),
    ('[streams.x]\nlisten = [80]  #!\nupstream = "a:1"', "streams.x.listen", "belongs to nginx.http_port already"),
    ('[streams.x]\nlisten = [1]\nprotocol = "sctp"  #!\nupstream = "a:1"', "streams.x.protocol", '"tcp" or "udp"'),
    ('[streams.x]\nlisten = [1]\nprotocol = "udp"\nupstream = "a:1"\nproxy_protocol = true  #!',
     "streams.x.proxy_protocol", "means nothing with udp"),
    ('[streams.x]\nlisten = [1]\nprotocol = "udp"\nupstream = "a:1"\nupstream_tls = true  #!',
     "streams.x.upstream_tls", "TLS is spoken over TCP"),
    ('[streams.x]\nlisten = [1]\nprotocol = "udp"\nby_name = { "a.lan" = "a:1" }  #!',
     "streams.x.by_name", "TLS, which is spoken over TCP"),
    ('[streams.x]\nlisten = [1]\nupstream = "a:1"\nudp_responses = 1  #!', "streams.x.udp_responses", "with udp alone"),
    ('[streams.x]\nlisten = [1]\nupstream = "a:1"\nhosts = ["a.lan"]  #!', "streams.x.hosts", 'add tls = "acme"'),
    ('[streams.x]\nlisten = [1]\nupstream = "a:1"\nkey = "rsa-2048"  #!', "streams.x.key", "none is shown here"),
    ('[streams.x]  #!\nlisten = [1]\nupstream = "a:1"\ntls = "acme"', "streams.x", "whose certificate is shown"),
    ('[streams.x]\nlisten = [1]\nhosts = ["a.lan"]\ntls = "local"\nby_name = { "b.lan" = "b:1" }  #!',
     "streams.x.by_name", "leave out either"),
    ('[streams.x]\nlisten = [1]\nupstream = "a:1"\ntls = "acme"\ncertificate = "x"  #!',
     "streams.x.certificate", 'there is no "x" in [certificates]'),
    (('certificates.x.names = ["a.example"]\n[streams.x]\nlisten = [1]\nupstream = "a:1"\ntls = "acme"\nhosts = ["b.example"]\n'
     'certificate = "x"  #!'), "streams.x.certificate", '"x" is not for b.example'),
    (('certificates.x.names = ["a.example"]\n[streams.x]\nlisten = [1]\nupstream = "a:1"\ntls = "acme"\ncertificate = "x"\n'
     'key = "rsa-2048"  #!'), "streams.x.key", "belongs to the certificate"),
    ('[streams.x]\nlisten = [1]\nupstream = "a:1"\ntls = "local"\nhosts = ["a.lan"]\nchallenge = "http-01"  #!',
     "streams.x.challenge", "proven to nobody"),
    ('[streams.x]\nlisten = [1]\nupstream = "a:1"\ntls = { key = "/k" }  #!\nhosts = ["a.lan"]', "streams.x.tls", "no certificate"),
    ('[streams.x]  #!\nlisten = [1]\nupstream = "a:1"\ntls = "acme"\nhosts = ["a.lan"]', "streams.x", "certifies no private name"),
    ('[streams.x]  #!\nlisten = [1]\nupstream = "a:1"\ntls = "acme"\nhosts = ["*.a.example"]', "streams.x", "knows no wildcards"),
    ('[streams.x]\nlisten = [1]\nupstream = "a:1"\ntls = "acme"\nhosts = ["a.example"]\nchallenge = "dns:home"  #!',
     "streams.x.challenge", "there is no [dns.home]"),
    ('[streams.x]\nlisten = [1]\nby_name = { "192.0.2.1" = "a:1" }  #!', 'streams.x.by_name."192.0.2.1"', "nobody asks for one"),
    ('[streams.x]\nlisten = [1]\nby_name.vpn.lan = "a:1"  #!', "streams.x.by_name.vpn", 'put quotes around it: "vpn.lan"'),
    ('[streams.x]\nlisten = [1]\nby_name = { "a.lan" = [] }  #!', 'streams.x.by_name."a.lan"', "it is empty"),
    ('[streams.x]\nlisten = [1]\nby_name = { "a.lan" = "a:1" }\nupstream_tls = true  #!', "streams.x.upstream_tls", "no `upstream`"),
    ('[streams.x]\nlisten = [1]\nupstream = "a:1"\nby_name = { "a.lan" = "a:1" }\nupstream_tls = true  #!',
     "streams.x.upstream_tls", "is TLS already"),
    ('[streams.x]\nlisten = [1]\nupstream = ["a:1", "b:1"]\nupstream_tls = true  #!', "streams.x.upstream_tls", "several names"),
    ('[streams.x]\nlisten = [1]\nupstream = "192.0.2.1:1"\nupstream_tls = { verify = true }  #!',
     "streams.x.upstream_tls.verify", "against an address"),
    ('[streams.x]\nlisten = [1]\nupstream = "a:1"\nupstream_tls = { key = "/k" }  #!', "streams.x.upstream_tls.key", "without its certificate"),
    ('[streams.x]\nlisten = [1]\nupstream = ["a:1", "b:1"]\nbalance = "ip_hash"  #!', "streams.x.balance", '"hash:address"'),
    ('[streams.x]\nlisten = [1]\nupstream = "a:1"\nbalance = "least_conn"  #!', "streams.x.balance", "nothing to choose"),
    ('[streams.x]\nlisten = [1]\nupstream = ["a:1", { server = "b:1", backup = true }]\nbalance = "hash:address"  #!',
     "streams.x.balance", "no backup servers"),
    ('[streams.x]\nlisten = [1]\nupstream = "a:1"\nallow = ["lna"]  #!', "streams.x.allow[0]", 'did you mean "lan"?'),
    ('[streams.x]\nlisten = [1]\nupstream = "a:1"\nsnippet = "}"  #!', "streams.x.snippet", "closes nothing"),
    ('[streams.x]\nlisten = [1]\nupstream = "a:1"\n[listen.1]\ntls_profile = "modern"  #!', "listen.1.tls_profile", "has no TLS"),
    ('[streams.x]\nlisten = [1]\nupstream = "a:1"\ntls = "local"\nhosts = ["a.lan"]\n[listen.1]\nhttp3 = true  #!',
     "listen.1.http3", "speaks no HTTP"),
    ('[nginx]\nmode = "external"\nreload = "helper"\n[streams.x]  #!\nlisten = [1]\nupstream = "a:1"', "streams", "helper of root's"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "path", "told"), _TABLE, ids=[f"{path}: {told}" for _, path, told in _TABLE])
def test_a_mistake_is_told_where_it_is(text: str, path: str, told: str) -> None:
    """
    With its line and key, and nothing besides.
    """
    with pytest.raises(ConfigError) as refused:
        read(_AGREED + text)
    [mistake] = refused.value.mistakes
    line = next(number for number, each in enumerate((_AGREED + text).splitlines(), 1) if "#!" in each)
    assert (mistake.path, mistake.line) == (path, line)
    assert told in f"{mistake.problem}; {mistake.remedy}"


@pytest.mark.parametrize(
    ("stream", "site", "owner"),
    [
        ("443", '"a.lan" = { upstream = "http://x", tls = "local" }', "the site a.lan"),
        ('"127.0.0.1:443"', '"a.lan" = { upstream = "http://x", tls = "local" }', "the site a.lan"),
        ("8080", '"a.lan" = { upstream = "http://x", tls = "off", listen = ["192.0.2.1:8080"] }', "the site a.lan"),
    ],
)
def test_a_port_is_one_thing_alone(stream: str, site: str, owner: str) -> None:
    """
    The two are strangers to one another in nginx: the second could not be opened.
    """
    with pytest.raises(ConfigError, match=f"belongs to {owner} already"):
        read(f'[sites]\n{site}\n[streams.x]\nlisten = [{stream}]\nupstream = "a:1"')


def test_two_streams_have_a_port_each_but_for_tcp_and_udp() -> None:
    """
    A name server has both.
    """
    text = """
        streams.tcp = {{ listen = [53], upstream = "192.0.2.1:53" }}
        streams.udp = {{ listen = [{}], upstream = "192.0.2.1:53", protocol = "{}" }}
        """
    assert len(read(text.format(53, "udp")).streams) == 2
    with pytest.raises(ConfigError, match="belongs to the stream tcp already"):
        read(text.format('"192.0.2.1:53"', "tcp"))


def test_a_site_with_http3_has_the_udp_port_too() -> None:
    """
    QUIC is spoken over UDP.
    """
    text = """
        sites."a.lan" = { upstream = "http://x", tls = "local" }
        streams.vpn = { listen = [443], upstream = "192.0.2.1:443", protocol = "udp" }
        """
    assert read(text).streams
    with pytest.raises(ConfigError, match=r"443/udp belongs to the site a\.lan, for HTTP/3 already"):
        read(text + "listen.443.http3 = true")


def test_a_stream_that_leads_to_itself_is_told() -> None:
    """
    It would take all of nginx's connections at the first visitor.
    """
    config = read('streams.x = { listen = [5432], upstream = "localhost:5432" }')
    assert [warning.path for warning in config.warnings] == ["streams.x.upstream"]
    assert not read('streams.x = { listen = ["192.0.2.1:5432"], upstream = "127.0.0.1:5432" }').warnings


def _desired(text: str) -> Desired:
    return desired(read(_AGREED + text))


def _shown(wanted: Desired) -> dict[str, tuple[str, ...]]:
    return {stream.name: stream.certificates for stream in wanted.streams}


def test_a_stream_makes_its_own_certificate() -> None:
    """
    Its NAME is the first host, and it is asked for as a site's is; one of each kind of key where two are wanted.
    """
    wanted = _desired(
        """
        [streams]
        mqtt = { listen = [8883], upstream = "a:1", tls = "acme", hosts = ["mqtt.example"], key = ["ecdsa-p256", "rsa-2048"] }
        lan = { listen = [8884], upstream = "a:1", tls = "local", hosts = ["mqtt.lan"] }
        own = { listen = [8885], upstream = "a:1", tls = { certificate = "/c", key = "/k" }, hosts = ["own.example"] }
        plain = { listen = [1883], upstream = "a:1" }
        """
    )
    assert _shown(wanted) == {
        "mqtt": ("mqtt.example", "mqtt.example.rsa"),
        "lan": ("mqtt.lan",),
        "own": ("own.example",),
        "plain": (),
    }
    assert wanted.certificates["mqtt.lan"].issuer == LocalIssuer()
    assert wanted.certificates["own.example"].issuer == FileIssuer(certificate="/c", key="/k")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('certificates.wide.names = ["mail.example", "x.example"]', "wide"),
        ('certificates.other.names = ["x.example"]', "mail.example"),
        ('sites."mail.example" = { upstream = "http://x", hosts = ["www.example"] }', "mail.example"),
        ('sites."www.example" = { upstream = "http://x", hosts = ["mail.example"] }', "www.example"),
        (
            'streams.smtps = { listen = [465], upstream = "a:1", tls = "acme", hosts = ["mail.example"] }',
            "mail.example",
        ),
    ],
)
def test_a_certificate_that_is_good_for_its_hosts_serves_a_stream(text: str, shown: str) -> None:
    """
    That of an entry, of a site, or of a stream before it: a mail server is one name on several ports.
    """
    wanted = _desired(
        f'{text}\nstreams.imaps = {{ listen = [993], upstream = "a:1", tls = "acme", hosts = ["mail.example"] }}'
    )
    assert _shown(wanted)["imaps"] == (shown,)


def test_a_named_certificate_says_for_which_hosts() -> None:
    """
    The proof asks for one of them.
    """
    wanted = _desired(
        'certificates.x.names = ["a.example"]\nstreams.y = { listen = [1], upstream = "a:1", tls = "acme", certificate = "x" }'
    )
    assert wanted.streams[0].hosts == (Name("a.example"),)


@pytest.mark.parametrize(
    "other",
    [
        'sites."mail.example" = { upstream = "http://x", tls = "local" }',
        'sites."mail.example" = { upstream = "http://x", key = "rsa-2048" }',
        'streams.a = { listen = [1], upstream = "a:1", tls = "acme", hosts = ["mail.example"] }',
        '[certificates."mail.example"]\nnames = ["x.example"]',
    ],
)
def test_two_certificates_have_two_names(other: str) -> None:
    """
    Where another's will not do, its own would have the NAME of that.
    """
    own = 'streams.m = { listen = [993], upstream = "a:1", tls = "acme", hosts = ["mail.example", "b.example"] }'
    with pytest.raises(ConfigError, match="would have the NAME of"):
        read(f"{_AGREED}{own}\n{other}" if other.startswith("[") else f"{_AGREED}{other}\n{own}")


def test_their_names_are_kept_on_the_public_address() -> None:
    """
    Those of the local CA are nobody's on the internet; those that are passed on lead here too.
    """
    config = read(
        """
        acme.agree_tos = true
        [dns.home]
        provider = "rfc2136"
        server = "192.0.2.53"
        [ddns]
        [streams]
        mqtt = { listen = [8883], upstream = "a:1", tls = "acme", hosts = ["mqtt.example.com"] }
        lan = { listen = [8884], upstream = "a:1", tls = "local", hosts = ["mqtt2.example.com"] }
        gate = { listen = [443], by_name = { "vpn.example.com" = "10.0.0.5:443" } }
        """,
        catalog=CATALOG,
    )
    assert config.dynamic_hosts == ("mqtt.example.com", "vpn.example.com")


def test_editors_know_the_keys() -> None:
    """
    The schema is made of the same tables.
    """
    streams = schema()["properties"]["streams"]["additionalProperties"]["properties"]  # type: ignore[index]
    assert {"listen", "protocol", "upstream", "by_name", "tls", "udp_responses"} <= streams.keys()
