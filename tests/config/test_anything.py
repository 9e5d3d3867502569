"""
Whatever stands in a file, reading it ends in a `Config` or in a `ConfigError` that can be printed.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from gatelodge.config.document.site_tables import RouteTable, SiteTable
from gatelodge.config.document.stream_tables import StreamTable
from gatelodge.config.parse import parse
from gatelodge.config.read import read
from gatelodge.config.schema import schema
from gatelodge.errors import ConfigError
from gatelodge.offers import CATALOG

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatelodge.config.shape import Config


def _known_words(part: Any) -> set[str]:
    """
    Collect the keys of the schema, so that random documents reach every reader.
    """
    words = set(part.get("properties", {})) if isinstance(part, dict) else set()
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return words.union(*map(_known_words, inner))


_WORDS = st.sampled_from(
    [
        *sorted(_known_words(schema())),
        "a.example",
        "*.example",
        "192.0.2.1",
        "::1",
        "x",
        "/",
        "/x/",
        "letsencrypt",
        "zerossl",
        "",
    ]
)
_TEXTS = st.sampled_from(
    [
        "http://x",
        "https://[::1]:443/",
        "a.example",
        "*.example",
        "10m",
        "90s",
        "acme",
        "local",
        "off",
        "x",
        "letsencrypt",
        "/x",
        "127.0.0.1:443",
    ]
)
_SCALARS = st.one_of(
    _TEXTS,
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**4400, max_value=10**4500),
    st.sampled_from([0, 80, 443, 65536]),
    st.floats(),
    st.text(),
    st.dates(),
    st.times(),
    st.datetimes(),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
_ONE_SITES = sorted(field.name for field in dataclasses.fields(SiteTable))
_SITE = st.dictionaries(st.sampled_from(_ONE_SITES), _VALUES | _TEXTS, max_size=6)
_ROUTE = st.dictionaries(
    st.sampled_from(sorted(field.name for field in dataclasses.fields(RouteTable))), _VALUES | _TEXTS, max_size=5
)
_WHOLE_SITE = st.fixed_dictionaries(
    {"upstream": st.sampled_from(["http://x", "https://192.0.2.1/y/", "fastcgi://z", "grpc://unix:/run/s"]) | _VALUES},
    optional={
        "tls": st.sampled_from(["local", "off", {"certificate": "/c", "key": "/k"}]) | _VALUES,
        "routes": st.dictionaries(
            st.sampled_from(["/", "/a", "/a/", "^/b", "("]) | _WORDS, _ROUTE | _TEXTS, max_size=3
        ),
        "allow": st.lists(st.sampled_from(["lan", "all", "office", "10.0.0.1/8"]), max_size=2),
        "auth": st.sampled_from(["p", "off", "q"]),
        "snippet": st.text(alphabet="a;{}\"'\\#\n $", max_size=8) | st.just({"file": "/s"}),
        "preset": st.sampled_from(["nextcloud", "pihole", "synapse", "x"]),
        "hosts": st.lists(st.sampled_from(["b.lan", "~^b", "~(", "*.lan"]), max_size=2),
    },
)
_STREAM = st.dictionaries(
    st.sampled_from(sorted(field.name for field in dataclasses.fields(StreamTable))),
    st.sampled_from(["a:1", "unix:/x", "udp", [443], [53, "[::1]:53"], ["a:1", "b:2"], {"a.lan": "a:1"}])
    | _VALUES
    | _TEXTS,
    max_size=6,
)


def _ends_well(read_it: Callable[[], Config]) -> None:
    """
    Assert that reading gives a configuration, or mistakes that can be shown, one line each.
    """
    refused = None
    try:
        read_it()
    except ConfigError as error:
        refused = error
    if refused is not None:
        assert refused.mistakes
        assert all(mistake.problem and mistake.remedy for mistake in refused.mistakes)
        lines = str(refused).split("\n")
        assert len(lines) == len(refused.mistakes)
        assert all(line.isprintable() for line in lines)


@given(st.dictionaries(_WORDS | st.text(max_size=5), _VALUES, max_size=5))
def test_any_mapping_ends_in_a_config_or_its_mistakes(mapping: dict[str, object]) -> None:
    """
    Dates, nan, huge numbers, nested lists, empty and unprintable keys: never a traceback.
    """
    _ends_well(lambda: parse(mapping))


@given(
    st.fixed_dictionaries(
        {"sites": st.dictionaries(_WORDS, _TEXTS | _SITE | _WHOLE_SITE | _VALUES, max_size=4)},
        optional={
            "streams": st.dictionaries(_WORDS, _STREAM | _VALUES, max_size=3),
            "auth": st.dictionaries(
                st.sampled_from(["p", "q", "off"]),
                st.fixed_dictionaries(
                    {"provider": st.sampled_from(["basic", "authelia", "x"])}, optional={"url": _TEXTS}
                ),
            ),
            "nets": st.dictionaries(st.sampled_from(["office", "lan"]), st.lists(_TEXTS, max_size=2) | _VALUES),
            "listen": st.dictionaries(st.sampled_from(["443", "80", "x"]), _VALUES, max_size=2),
            "acme": st.fixed_dictionaries(
                {}, optional={"agree_tos": st.just(True) | _VALUES, "ca": _TEXTS | _VALUES, "cas": _VALUES}
            ),
            "certificates": st.dictionaries(
                _WORDS, st.fixed_dictionaries({}, optional={"names": st.lists(_TEXTS), "ca": _VALUES})
            ),
            "nginx": st.dictionaries(
                st.sampled_from(["http_port", "https_port", "public_http_port", "mode", "reload", "http_snippet"]),
                st.integers(0, 443) | st.sampled_from(["external", "helper"]) | _SCALARS,
            ),
        },
    )
)
def test_any_sites_end_in_a_config_or_their_mistakes(mapping: dict[str, object]) -> None:
    """
    Documents that look like ours, with wrong values in right places.
    """
    _ends_well(lambda: parse(mapping, CATALOG))


@given(st.text())
def test_any_text_ends_in_a_config_or_its_mistakes(text: str) -> None:
    """
    A file of anything is refused as no TOML, not with a traceback.
    """
    _ends_well(lambda: read(text))


def test_a_key_with_thousands_of_dots_is_one_mistake() -> None:
    """
    Tables within tables without end neither overflow the stack nor fill the screen.
    """
    _ends_well(lambda: read(f"sites.{'.'.join('a' * 3000)} = 1"))
    _ends_well(lambda: read(f"{'.'.join('a' * 3000)} = 1"))
    _ends_well(lambda: read(f'sites."a.lan".routes."/x".{".".join("a" * 3000)} = 1'))
