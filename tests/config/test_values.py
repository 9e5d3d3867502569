"""
How single values are read: host names by IDNA, addresses, URLs of upstreams, times and sizes.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.config.keys import quoted, shown, written
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.values import names, quantities, texts, upstream_urls
from gatelodge.model import Name

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("written_as", "name"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.Com.", "example.com"),
        ("Straße.de", "xn--strae-oqa.de"),  # non-transitional: not strasse.de
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),  # decomposed
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("\uff25\uff38ample.com", "example.com"),  # full width
        ("*.Example.com", "*.example.com"),
        ("*.münchen.de", "*.xn--mnchen-3ya.de"),
        ("nas", "nas"),
        ("1und1.de", "1und1.de"),
        ("3.example", "3.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:0DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        (".".join(["a" * 63] * 3 + ["b" * 61]), ".".join(["a" * 63] * 3 + ["b" * 61])),
    ],
)
def test_one_name_has_one_form(written_as: str, name: str) -> None:
    """
    However a host is written, it becomes the one form that DNS, certificates and nginx compare by.
    """
    assert names.host(written_as) == name
    assert names.host(name) == name


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "a b.de", "-a.de", "a-.de", "a..b", ".a", "..", "。", "a_b.de", "☃.net", "ab--cd.de", "xn--a.example", "\u200d.de",
        "a\n.de", "a.de\n", "a\x00.de", "a\u202e.de", "a/b", "a:80", "user@a.de", "*", "*.", "**.a.de", "a*.de", "x.*.a.de", "*.*.de",
        "1.2.3", "1.2.3.4.5", "0x7f.1", "a.0x7f", "192.0.2.01", "\uff11\uff19\uff12.0.2.1", "[192.0.2.1", "fe80::1%eth0", "::", "0.0.0.0", "224.0.0.1",
        "*.10.0.0.1", "a" * 64 + ".de", ".".join(["a" * 63] * 4), "*." + ".".join(["a" * 63] * 3 + ["b" * 61]), "gatelodge.invalid",
        "GATELODGE.invalid.", "a" * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused(text: str) -> None:
    """
    A remedy stands beside every refusal, and neither holds a control character.
    """
    with pytest.raises(Unreadable) as caught:
        names.host(text)
    assert f"{caught.value.problem}{caught.value.remedy}".isprintable()
    assert caught.value.remedy


@given(st.text())
def test_reading_a_host_twice_changes_nothing(text: str) -> None:
    """
    Every text is refused, or becomes a name that is read as itself.
    """
    try:
        name = names.host(text)
    except Unreadable:
        return
    assert names.host(name) == name


@pytest.mark.parametrize(
    ("name", "private"),
    [
        ("nas", True),
        ("nas.lan", True),
        ("*.lan", True),
        ("a.home.arpa", True),
        ("a.local", True),
        ("a.internal", True),
        ("lan.example.com", False),
        ("notlocal.example", False),
        ("example.com", False),
        ("*.example.com", False),
        ("10.0.0.1", True),
        ("127.0.0.1", True),
        ("169.254.1.1", True),
        ("fd00::1", True),
        ("::1", True),
        ("8.8.8.8", False),
        ("2606:4700::1", False),
    ],
)
def test_private_names_are_known(name: str, private: bool) -> None:  # noqa: FBT001 - a column of the table
    """
    What the world's DNS cannot hold, no public CA is asked for.
    """
    assert names.is_private(Name(name)) is private


@pytest.mark.parametrize(
    ("url", "upstream"),
    [
        ("http://nextcloud_main", "http://nextcloud_main:80"),
        ("http://htmldeploy", "http://htmldeploy:80"),
        ("http://172.29.0.6:7777/", "http://172.29.0.6:7777/"),
        ("HTTPS://Wiki.Example.", "https://wiki.example:443"),
        ("http://_a-b_.c:1/x/y%20z/$&", "http://_a-b_.c:1/x/y%20z/$&"),
        ("http://[FD00::0:1]:8080", "http://[fd00::1]:8080"),
        ("http://bücher.example", "http://xn--bcher-kva.example:80"),
        ("http://x:00080", "http://x:80"),
    ],
)
def test_upstreams_are_read(url: str, upstream: str) -> None:
    """
    Container names with underscores, addresses, ports and paths, a lone slash kept apart from none.
    """
    assert str(upstream_urls.upstream(url)) == upstream


@given(st.text())
def test_an_upstream_never_carries_what_nginx_could_misread(text: str) -> None:
    """
    Every text after a scheme is refused, or becomes an upstream of printable ASCII without spaces, quotes or braces.
    """
    value, told = _read_or_told(upstream_urls.upstream, f"http://{text}")
    assert told.isprintable()
    assert value.isascii()
    assert not set(value) & set(' "\\{}\n\r\t\x00#?')


def _read_or_told(read: Callable[[str], object], text: str) -> tuple[str, str]:
    """
    Return what a text was read as, and what was told when it was refused; the other is empty.
    """
    try:
        return str(read(text)), ""
    except Unreadable as error:
        return "", f"{error.problem}; {error.remedy}"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("12h", 43200), ("1d", 86400), ("1h30m", 5400), ("1d2h3m4s", 93784), ("24d", 2073600), ("0h1s", 1)],
)
def test_durations_are_read(text: str, seconds: int) -> None:
    """
    Days, hours, minutes and seconds, from the largest to the smallest.
    """
    assert quantities.duration(text) == dt.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "1", "s", "-1s", "1.5h", "1m1h", "1S", "1ms", "1w", " 1s", "1s\n", "0s", "25d", "9999999d", "\uff11s"]
)
def test_other_durations_are_refused(text: str) -> None:
    """
    What could be misunderstood is not guessed at.
    """
    with pytest.raises(Unreadable):
        quantities.duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("512", 512), ("8k", 8192), ("10m", 10485760), ("10M", 10485760), ("2g", 1 << 31)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    """
    Bytes, or as many of 1024, 1024² or 1024³, as nginx counts.
    """
    assert quantities.size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "1.5m", "10mb", "m", "1t", "10 m", "1048577g", "9" * 400])
def test_other_sizes_are_refused(text: str) -> None:
    """
    What could be misunderstood is not guessed at.
    """
    with pytest.raises(Unreadable):
        quantities.size(text)


@given(st.text())
def test_text_for_nginx_and_for_terminals_is_clean(text: str) -> None:
    """
    No path, route or user holds a control character, and nothing that is shown of a refused one does.
    """
    for read, whole in (
        (texts.nginx_path, f"/{text}"),
        (texts.route, f"/{text}"),
        (texts.user, text),
        (texts.email, f"{text}@a.de"),
    ):
        value, told = _read_or_told(read, whole)
        assert told.isprintable()
        assert not any(ord(character) < 32 or ord(character) == 127 for character in value)


@given(st.text())
def test_quoted_text_is_one_printable_line(text: str) -> None:
    """
    Whatever a person typed is shown on one line that no terminal obeys.
    """
    assert quoted(text).isprintable()
    assert written(("sites", text, 0)).isprintable()


def test_values_are_shown_in_short() -> None:
    """
    What is long, huge or nested is told by its kind.
    """
    assert [shown(value) for value in (True, 3, 10**5000, 1.5, float("nan"), float("inf"), [1], {}, dt.date(2026, 1, 1), "a")] == [
        "true", "3", "a number", "1.5", "nan", "a fraction", "a list", "a table", "a date", '"a"',
    ]  # fmt: skip
