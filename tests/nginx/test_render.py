"""
What a tree says, as text. What visitors get from it is tried on real nginxes in tests/live.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.nginx.everything import everything
from tests.nginx.trees import NOW, desired, held, nginx, observed, site

from gatelodge.core.tree import GENERATION, Quarantine, Served
from gatelodge.model import INTERNAL_HOST, Listener, Name, NginxSettings, Pool, Route, Transport, Upstream, Websocket
from gatelodge.nginx.writing import render as rendering
from gatelodge.nginx.writing.render import CANNOT_LISTEN, render

if TYPE_CHECKING:
    from gatelodge.model import Site

GOLDEN = Path(__file__).parent / "golden"

CHAT = site(
    "chat.example.com",
    routes=(
        Route(path="/", action=Pool.of(Upstream(scheme="http", host="htmldeploy", port=80))),
        Route(path="/websocket/", action=Pool.of(Upstream(scheme="http", host="172.29.0.6", port=7777, path="/"))),
        Route(
            path="/api/",
            action=Pool.of(Upstream(scheme="https", host="api", port=443, path="/v1/")),
            transport=Transport(body_size=1000),
        ),
    ),
)
BY_ADDRESS = site(
    "192.0.2.10",
    listen=(Listener(port=5555),),
    routes=(
        Route(
            path="/",
            action=Pool.of(Upstream(scheme="http", host="192.0.2.11", port=5438)),
            transport=Transport(websocket=Websocket.FORCE),
        ),
    ),
)
PLAIN = site("plain.example.com", tls=False)

#: Folders of golden files: an nginx before ssl_reject_handshake, Debian 12's, and a new one; and something of everything, for an nginx
#: that looks up no names in a pool and one that does.
EXAMPLES = {
    version: (
        desired(CHAT, BY_ADDRESS, PLAIN, settings=NginxSettings(public_https_port=2443)),
        observed(
            held("chat.example.com", version=3),
            found=nginx(*map(int, version.split("."))),
        ),
    )
    for version in ("1.18.0", "1.22.1", "1.28.0")
} | {f"everything-{version}": everything(version) for version in ("1.22.1", "1.31.0")}


@pytest.mark.parametrize("version", EXAMPLES)
def test_the_text_is_the_one_that_was_read_and_approved(version: str) -> None:
    """
    Small trees for several versions of nginx, to be read by people. With UPDATE_GOLDEN in the environment they are written anew.
    """
    rendered = render(*EXAMPLES[version])
    assert rendered.unwritten == {}
    texts = {
        "nginx.conf": rendered.entry.replace(GENERATION, "7"),
        "prelude.conf": rendered.prelude,
        **{f"{name}.conf": text for name, text in rendered.sites.items()},
    }
    if "UPDATE_GOLDEN" in os.environ:
        (GOLDEN / version).mkdir(exist_ok=True)
        for name, text in texts.items():
            (GOLDEN / version / name).write_text(text)
    golden = {file.name: file.read_text() for file in (GOLDEN / version).iterdir()}
    assert texts == golden


def test_the_same_values_give_the_same_tree_and_others_another() -> None:
    """
    The digest knows of every part, and of no number.
    """
    first = render(*EXAMPLES["1.28.0"])
    assert render(*EXAMPLES["1.28.0"]) == first
    wanted, found = EXAMPLES["1.28.0"]
    other_entry = dataclasses.replace(wanted, state_directory="/srv/gatelodge")
    other_prelude = dataclasses.replace(wanted, resolver=("192.0.2.53:53",))
    other_site = dataclasses.replace(
        wanted, sites=(*wanted.sites[:-1], site("plain.example.com", "b.example.com", tls=False))
    )
    digests = {render(each, found).digest for each in (wanted, other_entry, other_prelude, other_site)}
    assert len(digests) == 4


def test_a_sites_text_does_not_depend_on_its_neighbours() -> None:
    """
    Alone or among others, it is the same text and has the same digest.
    """
    world = observed(held("a.example.com"), held("b.example.com"))
    alone = render(desired(site("a.example.com")), world)
    among = render(desired(site("b.example.com"), site("a.example.com"), site("c.example.com")), world)
    assert alone.sites["a.example.com"] == among.sites["a.example.com"]
    assert alone.fresh["a.example.com"] == among.fresh["a.example.com"]


def test_what_is_named_is_listed() -> None:
    """
    Versions, listeners and visits: what pruning, trial and proof go by.
    """
    rendered = render(*EXAMPLES["1.22.1"])
    assert rendered.references == {("chat.example.com", 3), (INTERNAL_HOST, 1)}
    assert rendered.listeners == {Listener(port=80), Listener(port=443), Listener(port=5555)}
    assert rendered.proof == "http://127.0.0.1:80"
    assert rendered.served == (
        Served(
            listener=Listener(port=443),
            server_name=Name("chat.example.com"),
            certificate="chat.example.com",
            fingerprint=f"{3:064x}",
        ),
        Served(listener=Listener(port=5555), server_name=None, certificate=INTERNAL_HOST, fingerprint=f"{1:064x}"),
    )


def test_one_visit_for_each_site_and_listener() -> None:
    """
    Of a site with many hosts one is asked for; of a wildcard, a name that it covers.
    """
    many = site("*.example.com", "a.example.com", "b.example.com", listen=(Listener(port=443), Listener(port=8443)))
    wild = site("*.example.net")
    world = observed(held("wildcard.example.com"), held("wildcard.example.net"))
    visits = [(each.listener.port, each.server_name) for each in render(desired(many, wild), world).served]
    assert visits == [(443, "a.example.com"), (8443, "a.example.com"), (443, "gatelodge-proof.example.net")]


def quarantine(fresh: str, *, kept: str | None = None, error: str = "[emerg] no") -> Quarantine:
    """
    Keep a.example.com back.
    """
    return Quarantine(site="a.example.com", digest=fresh, error=error, since=NOW, retry_at=NOW, kept=kept)


def test_a_quarantined_site_stays_at_its_kept_text() -> None:
    """
    With the version and the listener that only the kept text names, and a default server for that listener.
    """
    before = render(
        desired(site("a.example.com", listen=(Listener(port=8443),))), observed(held("a.example.com", version=1))
    )
    world = observed(held("a.example.com", version=2))
    fresh = render(desired(site("a.example.com")), world).fresh["a.example.com"]
    world = dataclasses.replace(
        world, quarantines={"a.example.com": quarantine(fresh, kept=before.sites["a.example.com"])}
    )
    rendered = render(desired(site("a.example.com")), world)
    assert rendered.sites == before.sites
    assert rendered.fresh == {"a.example.com": fresh}
    assert rendered.references == {("a.example.com", 1)}
    assert rendered.listeners == {Listener(port=80), Listener(port=8443)}
    assert "listen 8443 ssl default_server;" in rendered.prelude
    assert rendered.served == (), "its old certificate's fingerprint is not known"


def test_a_quarantine_is_over_when_the_sites_own_text_changes() -> None:
    """
    Its digest is that of the refused text and of no other.
    """
    world = observed(held("a.example.com"), quarantines=(quarantine("of another text", kept="kept"),))
    rendered = render(desired(site("a.example.com")), world)
    assert "192.0.2.7:3000" in rendered.sites["a.example.com"]


def test_a_quarantined_site_without_a_kept_text_holds_nothing_of_the_users() -> None:
    """
    But its hosts, its certificate and its listeners, less one that could not be opened.
    """
    wanted = desired(site("a.example.com", listen=(Listener(port=443), Listener(port=5555))))
    world = observed(held("a.example.com"))
    fresh = render(wanted, world).fresh["a.example.com"]
    error = CANNOT_LISTEN.format(listener=Listener(port=5555)) + "port 5555 is held by caddy (pid 7)"
    rendered = render(wanted, dataclasses.replace(world, quarantines={"a.example.com": quarantine(fresh, error=error)}))
    text = rendered.sites["a.example.com"]
    assert "192.0.2.7" not in text
    assert text.count("return 503;") == 2
    assert "fullchain.pem" in text
    assert rendered.listeners == {Listener(port=80), Listener(port=443)}


def test_a_site_that_cannot_be_written_answers_503_and_says_why() -> None:
    """
    Its neighbour is rendered as ever.
    """
    routes = (Route(path="/a\nb", action=Pool.of(Upstream(scheme="http", host="192.0.2.7", port=3000))),)
    world = observed(held("a.example.com"), held("b.example.com"))
    rendered = render(desired(site("a.example.com", routes=routes), site("b.example.com")), world)
    text = rendered.sites["a.example.com"]
    assert text.startswith("# Not served as asked: ")
    assert text.splitlines()[1].startswith("# Written by Gatelodge")
    assert "return 503;" in text
    assert "proxy_pass" in rendered.sites["b.example.com"]


def test_without_listeners_there_is_nothing_to_prove() -> None:
    """
    `http_port = 0` and no certificate yet, not even the placeholder: the tree is valid and opens nothing.
    """
    nothing = dataclasses.replace(observed(), held={})
    rendered = render(desired(site("a.example.com"), settings=NginxSettings(http_port=0)), nothing)
    assert (rendered.proof, rendered.listeners, rendered.served) == ("", frozenset(), ())


@pytest.mark.parametrize(
    ("settings", "sites", "proof"),
    [
        (NginxSettings(), (), "http://127.0.0.1:80"),
        (NginxSettings(http_port=8088), (), "http://127.0.0.1:8088"),
        (NginxSettings(http_port=0), (site("a.example.com"),), "https://127.0.0.1:443"),
        (
            NginxSettings(http_port=0),
            (site("a.example.com", listen=(Listener(port=443, address="fd00::1"),)),),
            "https://[fd00::1]:443",
        ),
        (
            NginxSettings(http_port=0),
            (site("p.example.com", listen=(Listener(port=8080),), tls=False),),
            "http://127.0.0.1:8080",
        ),
    ],
)
def test_the_generation_is_told_where_nginx_listens(settings: NginxSettings, sites: tuple, proof: str) -> None:  # type: ignore[type-arg]
    """
    In plain where that is possible, else over TLS; under a name of its own.
    """
    rendered = render(desired(*sites, settings=settings), observed(held("a.example.com")))
    assert rendered.proof == proof
    assert f"server_name {INTERNAL_HOST};" in rendered.prelude
    if "fd00" in proof:
        assert "    fd00::1 0;" in rendered.prelude, "who speaks to this address from here comes from it"


def test_addresses_that_are_one_to_nginx_get_one_default_server() -> None:
    """
    `443` and `0.0.0.0:443` are the same socket; two default servers there would be fatal.
    """
    one = site("a.example.com", listen=(Listener(port=443), Listener(port=443, address="0.0.0.0")))
    other = site("b.example.com", listen=(Listener(port=443, address="0.0.0.0"),))
    rendered = render(desired(one, other), observed(held("a.example.com"), held("b.example.com")))
    assert rendered.prelude.count("listen 443 ssl default_server;") == 1
    assert rendered.sites["a.example.com"].count("listen 443 ssl;") == 1


NARROW = Listener(port=443, address="192.0.2.1")


def test_every_server_of_a_port_names_each_address_of_it() -> None:
    """
    Those of other ports do not, the site of that address names no other, and the default server is one of each listener.
    """
    sites = (
        site("a.example.com"),
        site("b.example.com", listen=(NARROW,)),
        site("c.example.com", listen=(Listener(port=8443),)),
    )
    world = observed(*(held(each.name) for each in sites))
    rendered = render(desired(*sites), world)
    listens = {
        name: [row.split()[1] for row in text.splitlines() if row.startswith("    listen ") and " ssl" in row]
        for name, text in rendered.sites.items()
    }
    assert listens == {
        "a.example.com": ["443", "[::]:443", "192.0.2.1:443"],
        "b.example.com": ["192.0.2.1:443"],
        "c.example.com": ["8443", "[::]:8443"],
    }
    assert rendered.prelude.count("listen 192.0.2.1:443 ssl http2 default_server;") == 0
    assert rendered.prelude.count("listen 192.0.2.1:443 ssl default_server;") == 1
    assert [(str(each.listener), each.server_name) for each in rendered.served] == [
        ("443", "a.example.com"),
        ("192.0.2.1:443", "b.example.com"),
        ("8443", "c.example.com"),
    ], "each once: it is one server block"


def test_no_socket_is_opened_for_the_sake_of_another_site() -> None:
    """
    Without IPv6 nothing listens on all of its addresses, so nobody but the site itself names one of them: what cannot be opened
    is its own trouble.
    """
    narrow = Listener(port=443, address="2001:db8::1")
    without = dataclasses.replace(nginx(1, 28, 0), ipv6=False)
    world = observed(held("a.example.com"), held("b.example.com"), found=without)
    rendered = render(desired(site("a.example.com"), site("b.example.com", listen=(narrow,))), world)
    assert "2001:db8::1" not in rendered.sites["a.example.com"]


def test_the_daemon_is_let_in_at_the_address_where_it_asks() -> None:
    """
    Whoever on this machine speaks to one of its addresses comes from that address.
    """
    settings = NginxSettings(address="192.0.2.1")
    plain = site("p.example.com", listen=(Listener(port=80, address="192.0.2.1"),), tls=False)
    for sites in ((), (plain,)):
        rendered = render(desired(*sites, settings=settings), observed())
        assert rendered.proof == "http://192.0.2.1:80"
        assert "    192.0.2.1 0;" in rendered.prelude


def test_of_a_thousand_sites_only_what_changed_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A renewal of one certificate writes one site. How long a thousand take is a benchmark's to say.
    """
    names = [f"site{number}.example.com" for number in range(1000)]
    wanted = desired(*(site(name) for name in names))
    world = observed(*(held(name) for name in names))
    written: list[str] = []
    serving = rendering.serving

    def counted(site: Site, *rest: object) -> str:
        written.append(site.name)
        return serving(site, *rest)  # type: ignore[arg-type] # as it was called

    monkeypatch.setattr(rendering, "serving", counted)
    rendering._serve.turn()
    rendering._serve.turn()
    render(wanted, world)
    assert written == names
    render(wanted, observed(*(held(name, version=2 if name == names[7] else 1) for name in names)))
    assert written == [*names, names[7]]
