"""
Streams in a tree: which are there, as which text, and what they do to the rest of it, which is nothing.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.nginx.streams import stream
from tests.nginx.test_stream import MODULES
from tests.nginx.trees import NOW, desired, held, nginx, observed, site

from gatelodge.core.parts import place
from gatelodge.core.tree import GENERATION, Quarantine, Rendered, Served
from gatelodge.model import ByMailbox, Listener, ListenSettings, Name, NginxSettings, Stream
from gatelodge.nginx.blame import find_guilty, find_streams, reasons, written
from gatelodge.nginx.tree import Trees
from gatelodge.nginx.writing.reading import read
from gatelodge.nginx.writing.render import render

if TYPE_CHECKING:
    from pathlib import Path

    from gatelodge.core.tree import Capabilities

BUILT_IN = dataclasses.replace(nginx(1, 28, 0), modules=MODULES | {"http_ssl_module", "http_v2_module"})
DYNAMIC = dataclasses.replace(
    BUILT_IN,
    modules=BUILT_IN.modules - {"stream"},
    dynamic={"stream": "/usr/lib/nginx/modules/ngx_stream_module.so"},
)
MISSING = dataclasses.replace(DYNAMIC, dynamic={})

MQTT = stream("mqtt", hosts=(Name("mqtt.example.com"),), certificates=("mqtt.example.com",))
DNS = stream("dns", port=53, udp=True)


def tree(
    *streams: Stream,
    found: Capabilities = BUILT_IN,
    settings: NginxSettings | None = None,
    quarantines: tuple[Quarantine, ...] = (),
) -> Rendered:
    """
    Render one site and these streams.
    """
    wanted = dataclasses.replace(desired(site("a.example.com"), settings=settings), streams=streams)
    world = observed(held("a.example.com"), held("mqtt.example.com", version=4), found=found, quarantines=quarantines)
    return render(wanted, world)


def kept_back(rendered: Rendered, part: str, *, kept: str | None = None) -> Quarantine:
    """
    Keep a part back as it was rendered.
    """
    return Quarantine(
        site=part, digest=rendered.fresh[part], error="nginx said\nno", since=NOW, retry_at=NOW, kept=kept
    )


def test_a_tree_without_streams_is_as_it_was() -> None:
    """
    Nothing of them is in it, not even the module.
    """
    rendered = tree(found=DYNAMIC)
    assert "stream" not in rendered.entry
    assert (rendered.streams, rendered.stream_entry, rendered.without_streams) == ({}, "", "")
    assert rendered.parts == rendered.sites


def test_streams_stand_beside_http() -> None:
    """
    Each in a file of its own, with names of any length.
    """
    rendered = tree(MQTT, DNS)
    assert rendered.entry.replace(GENERATION, "7").endswith(
        "\nstream {\n"
        "    map_hash_bucket_size 512;\n"
        "    include /var/lib/gatelodge/nginx/generations/7/streams/mqtt.conf;\n"
        "    include /var/lib/gatelodge/nginx/generations/7/streams/dns.conf;\n"
        "}\n"
    )
    assert rendered.parts.keys() == {"a.example.com", "stream:mqtt", "stream:dns"}
    assert (place("stream:mqtt"), place("a.example.com")) == ("streams/mqtt.conf", "sites/a.example.com.conf")
    assert "load_module" not in rendered.entry
    assert rendered.without_streams == tree().entry


def test_a_module_is_loaded_for_them_alone() -> None:
    """
    At the top, where nginx wants it.
    """
    rendered = tree(MQTT, found=DYNAMIC)
    assert rendered.entry.splitlines()[1] == "load_module /usr/lib/nginx/modules/ngx_stream_module.so;"
    assert rendered.without_streams == tree(found=DYNAMIC).entry


def test_what_streams_name_is_listed() -> None:
    """
    Versions, listeners and visits, as of sites.
    """
    rendered = tree(MQTT, DNS)
    assert ("mqtt.example.com", 4) in rendered.references
    assert {Listener(port=8883), Listener(port=53, udp=True)} < rendered.listeners
    assert rendered.served[-1] == Served(
        listener=Listener(port=8883),
        server_name=Name("mqtt.example.com"),
        certificate="mqtt.example.com",
        fingerprint=f"{4:064x}",
    )
    assert len({each.digest for each in (tree(MQTT), tree(DNS), tree(), rendered)}) == 4


def test_an_nginx_without_streams_serves_the_rest() -> None:
    """
    They say why, and their neighbours' text is the same.
    """
    rendered = tree(MQTT, DNS, found=MISSING)
    assert rendered.unwritten.keys() == {"stream:mqtt", "stream:dns"}
    assert "apt install libnginx-mod-stream" in rendered.unwritten["stream:dns"]
    assert rendered.entry == tree(found=MISSING).entry
    assert rendered.listeners == tree(found=MISSING).listeners
    assert all(text.splitlines()[1].startswith("# Left out: ") for text in rendered.streams.values())


def test_a_refused_stream_is_left_out() -> None:
    """
    While it is the one that was refused; its neighbours stay as they are. When none is left nginx need not know of any.
    """
    fresh = tree(MQTT, DNS)
    refused = tree(MQTT, DNS, quarantines=(kept_back(fresh, "stream:mqtt"),))
    assert refused.streams["stream:mqtt"].splitlines()[1] == "# Left out: nginx said no"
    assert refused.streams["stream:dns"] == fresh.streams["stream:dns"]
    assert Listener(port=8883) not in refused.listeners
    assert refused.fresh == fresh.fresh
    assert not any(each.certificate == "mqtt.example.com" for each in refused.served)
    mended = tree(dataclasses.replace(MQTT, deny=("192.0.2.1",)), DNS, quarantines=(kept_back(fresh, "stream:mqtt"),))
    assert "Left out" not in mended.streams["stream:mqtt"]
    none = tree(MQTT, found=DYNAMIC, quarantines=(kept_back(tree(MQTT, found=DYNAMIC), "stream:mqtt"),))
    assert none.entry == tree(found=DYNAMIC).entry


def test_a_kept_text_is_served_unless_another_has_its_place() -> None:
    """
    Stream or site; what it names is named all the same.
    """
    fresh = tree(DNS)
    older = tree(MQTT).streams["stream:mqtt"].replace("/versions/4/", "/versions/3/")
    quarantine = kept_back(fresh, "stream:dns", kept=older)
    rendered = tree(DNS, quarantines=(quarantine,))
    assert rendered.streams["stream:dns"] == older
    assert ("mqtt.example.com", 3) in rendered.references
    assert Listener(port=8883) in rendered.listeners
    for other in (
        tree(stream("new", port=8883), DNS, quarantines=(quarantine,)),
        tree(DNS, stream("new", port=8883), quarantines=(quarantine,)),
        tree(DNS, settings=NginxSettings(http_port=8883), quarantines=(quarantine,)),
    ):
        assert "Left out" in other.streams["stream:dns"]
        assert other.unwritten == {}
    waiting = tree(stream("new", port=8883), settings=NginxSettings(http_port=8883))
    assert waiting.unwritten["stream:new"].startswith("8883 is held by a site")


def test_the_daemon_does_not_look_where_it_may_not_come() -> None:
    """
    Nor where the user's own words may have made it otherwise.
    """
    for more, looks in (
        ({"allow": ("192.0.2.0/24",)}, False),
        ({"allow": ("127.0.0.0/8",)}, True),
        ({"deny": ("127.0.0.1/32",)}, False),
        ({"deny": ("192.0.2.1/32",)}, True),
        ({"snippet": "ssl_verify_client on;\n"}, False),
        ({"listeners": (Listener(port=1, address="192.0.2.9"),), "allow": ("192.0.2.9/32",)}, True),
    ):
        changed = dataclasses.replace(MQTT, **more)  # type: ignore[arg-type]
        assert any(each.certificate == "mqtt.example.com" for each in tree(changed).served) is looks, more
    proxied = NginxSettings(listen=((Listener(port=8883), ListenSettings(proxy_protocol=("192.0.2.1/32",))),))
    assert tree(MQTT, settings=proxied).served[-1].proxy_protocol


def test_in_somebody_elses_nginx_they_have_an_entry_of_their_own() -> None:
    """
    It is seen that his `stream {}` includes it: by the certificate, or by somebody listening at all.
    """
    external = NginxSettings(reload=ByMailbox())
    rendered = tree(MQTT, DNS, stream("db", port=5432), settings=external, found=MISSING)
    assert rendered.stream_entry.replace(GENERATION, "7").splitlines()[1:] == [
        f"include /var/lib/gatelodge/nginx/generations/7/streams/{name}.conf;" for name in ("mqtt", "dns", "db")
    ]
    assert "stream" not in rendered.entry
    assert [(each.listener.port, each.certificate) for each in rendered.served[1:]] == [
        (8883, "mqtt.example.com"),
        (5432, ""),
    ]
    assert tree(settings=external).stream_entry == ""


def test_they_are_read_back_from_the_disk(tmp_path: Path) -> None:
    """
    Files, listeners of both kinds, and a text that did not change as the same file.
    """
    trees = Trees(tmp_path)
    rendered = tree(MQTT, DNS)
    number = trees.stage(rendered, now=NOW)
    read_back = Trees(tmp_path).tree(number)
    assert read_back is not None
    assert read_back.listeners == rendered.listeners
    assert read_back.served == frozenset(rendered.served)
    assert trees.site_texts(number) == dict(rendered.parts)
    assert trees.site_text(number, "stream:dns") == rendered.streams["stream:dns"]
    trees.swap(number)
    later = trees.stage(tree(MQTT, DNS), now=NOW)
    inodes = {(trees.folder(each) / "streams" / "dns.conf").stat().st_ino for each in (number, later)}
    assert len(inodes) == 1
    shared = tree(DNS, settings=NginxSettings(reload=ByMailbox()))
    folder = trees.folder(trees.stage(shared, now=NOW))
    assert "/generations/3/streams/dns.conf;" in (folder / "stream.conf").read_text()


def test_what_a_stream_listens_on_is_read_from_its_text() -> None:
    """
    With its protocol.
    """
    assert read(tree(DNS).streams["stream:dns"]).plain == {Listener(port=53, udp=True)}
    assert read(tree(MQTT).streams["stream:mqtt"]).tls == {Listener(port=8883)}


@pytest.mark.parametrize(
    ("said", "guilty"),
    [
        ('[emerg] unknown directive "x" in /t/streams/mqtt.conf:3', {"stream:mqtt"}),
        ('[emerg] dlopen() "/usr/lib/nginx/modules/ngx_stream_module.so" failed in /t/nginx.conf:2', {"stream:mqtt", "stream:dns"}),
        ('[emerg] module "/m/ngx_stream_module.so" version 1022001 instead of 1022000 in /t/nginx.conf:2', {"stream:mqtt", "stream:dns"}),
        ('[emerg] unknown directive "stream" in /t/nginx.conf:30', {"stream:mqtt", "stream:dns"}),
        ('[emerg] unknown directive "streams" in /t/nginx.conf:30', set()),
    ],
)  # fmt: skip
def test_blame_falls_on_streams(said: str, guilty: set[str]) -> None:
    """
    On one by its file, on all when nginx cannot have any.
    """
    parts = tree(MQTT, DNS).parts
    assert find_guilty(said, parts, folder="/t", settled={}) == guilty
    assert reasons(f"[emerg] other\n{said}", {"stream:mqtt"}) == ({"stream:mqtt": said} if "mqtt.conf" in said else {})


def test_streams_alone_are_left_out_for_what_is_not_shown() -> None:
    """
    When a site's listener is among them, it is everybody's trouble.
    """
    rendered = tree(MQTT, DNS)
    assert find_streams({Listener(port=8883)}, rendered) == {"stream:mqtt"}
    assert find_streams({Listener(port=8883), Listener(port=443)}, rendered) == frozenset()
    assert find_streams(set(), rendered) == frozenset()
    assert written(rendered, folder="/t")["/t/streams/mqtt.conf"] == rendered.streams["stream:mqtt"]
