"""
Whatever lies in a folder, the text that is printed is TOML that says what was decided, and nothing that somebody wrote into a name.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import crossplane
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.importing.houses import DEFAULT, NGINX, PROXY, SSL, lineage, parsed, proxied, put, swag
from tests.importing.test_swag import OLD

from gatelodge.importing import certbot, ini, nginx_syntax, swag_settings
from gatelodge.importing import swag as swag_tool
from gatelodge.importing.folder import Folder
from gatelodge.importing.found import Found, FoundCertificate, FoundDns, FoundSite, InFile, Left
from gatelodge.importing.nginx_syntax import Damaged, parse
from gatelodge.importing.render import render
from gatelodge.importing.toml_text import comment, key, listed, shown, string, strings
from gatelodge.model import Name

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What would end a string, a comment or a table, if anything could.
NASTY = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=60),
    st.lists(
        st.sampled_from(
            ['"', '"""', "'", "'''", "\\", "\n", "\r", "\r\n", "\0", "\x1b[2J", "\x7f", "\x85", "\u2028", "\u202e", "#", "]", "[", "=",
             "[evil]", "evil = true", "x.org", "*.", "{", "}", ";", "$", " ", "\t", "é", "\U0001f512", "a" * 300]
        ),
        max_size=8,
    ).map("".join),
)  # fmt: skip

#: Names of files hold neither "/" nor NUL, and may be bytes that are no text.
FILE = st.one_of(NASTY, st.binary(max_size=40).map(os.fsdecode)).map(
    lambda text: os.fsdecode(os.fsencode(text.replace("/", "_").replace("\0", "_"))[:100]) or "x"
)


@given(NASTY)
def test_a_string_is_read_as_it_was(text: str) -> None:
    """
    As a value, as a key, in a list.
    """
    assert tomllib.loads(f"x = {string(text)}") == {"x": text}
    assert tomllib.loads(f"{key('a', text)} = 1") == {"a": {text: 1}}
    assert tomllib.loads(f"x = {listed([text, text])}") == {"x": [text, text]}
    assert tomllib.loads(f"x = {strings([text])}") == {"x": text}


@given(st.text(max_size=500))
def test_a_comment_stays_one(text: str) -> None:
    """
    Also what is half a surrogate pair, as in names of files that are no text.
    """
    for written in (text, shown(text)):
        lines = list(comment(written, first="# - ", then="#   "))
        whole = "\n".join(lines)

        assert all(line.startswith("#") for line in lines)
        assert whole.replace("\n", "").isprintable()
        assert tomllib.loads(whole) == {}
        whole.encode()


def test_half_a_surrogate_pair_is_no_string() -> None:
    """
    TOML has no way to write it.
    """
    with pytest.raises(UnicodeEncodeError):
        string("\udc80")


@given(NASTY, NASTY)
def test_reasons_and_remarks_cannot_leave_their_comments(one: str, two: str) -> None:
    """
    Held back or not, the text says the same as without them.
    """

    def text(first: str, second: str) -> str:
        certificate = FoundCertificate(name="a", names=(Name("a.example.org"),), ca="letsencrypt", remarks=(first,))
        site = FoundSite(hosts=(Name("b.example.org"),), upstream="http://b:80", remarks=(second,), held=first)
        return render(
            Found(
                tool="SWAG",
                directory=f"/{first}",
                certificates=(certificate,),
                dns=(FoundDns(name="d", provider="exec", options={"x": InFile(file=second)}, remarks=(first,)),),
                sites=(site,),
                left=(Left(what=first, why=second), Left(what=second, why=first, guards=True)),
            )
        )

    said = tomllib.loads(text(one, two))

    assert said["dns"]["d"].pop("x") == {"file": two}
    expected = tomllib.loads(text("x", "y"))
    expected["dns"]["d"].pop("x")
    assert said == expected


@settings(max_examples=60, deadline=None)
@given(FILE, NASTY, NASTY, NASTY)
def test_any_certbot(name: str, plugin: str, value: str, text: str) -> None:
    """
    A lineage with any name and any parameters is one certificate at most, and the one beside it is untouched by it.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lineage(root, "good", ["good.example.org"], "authenticator = webroot\n[[webroot_map]]\n")
        (root / "renewal" / f"{name}.conf").write_text(
            f"[renewalparams]\nauthenticator = {plugin}\nserver = {value}\nkey_type = {value}\nwebroot_path = {value}\n"
            f"dns_aliyun_credentials = {value}\npref_challs = {text}\nrenew_hook = {value}\n[[webroot_map]]\n{text} = {value}\n{value} = x\n",
            errors="surrogateescape",
        )
        found = certbot.read(Folder(root))
        mapping, _ = parsed(render(found))

        assert render(certbot.read(Folder(root))) == render(found)
        assert mapping["certificates"]["good"]["names"] == ["good.example.org"]
        assert len(mapping["certificates"]) <= 2
        assert set(mapping) <= {"acme", "dns", "certificates"}


@settings(max_examples=60, deadline=None)
@given(FILE, NASTY, NASTY, NASTY)
def test_any_swag(file: str, host: str, app: str, value: str) -> None:
    """
    Settings and server blocks with anything in them.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        swag(root)
        put(root, "nginx/proxy-confs/chat.subdomain.conf", proxied())
        told = {"URL": "example.org", "SUBDOMAINS": f"{host},chat", "VALIDATION": "dns", "DNSPLUGIN": "aliyun", "EMAIL": value, "EXTRA_DOMAINS": app}  # fmt: skip
        put(root, ".donoteditthisfile.conf", " ".join(f"ORIG{name}={shlex.quote(text)}" for name, text in told.items()))
        put(root, f"nginx/proxy-confs/{file}.subdomain.conf", proxied(host, app, value))
        put(root, f"nginx/proxy-confs/{file}.subfolder.conf", f"location ^~ /{host} {{ proxy_pass http://{app}; }}")
        put(root, f"nginx/site-confs/{file}.conf", value)
        found = swag_tool.read(Folder(root))
        mapping, _ = parsed(render(found))

        assert render(swag_tool.read(Folder(root))) == render(found)
        assert set(mapping) <= {"acme", "dns", "certificates", "sites"}


@given(NASTY | st.text("ab \t\n\"'\\#;{}$~", max_size=40))
def test_any_text_is_nginx_syntax_or_damaged(text: str) -> None:
    """
    Nothing else comes of it. The other readers take anything.
    """
    with contextlib.suppress(Damaged):
        parse(text)
    assert () in ini.sections(text)
    assert swag_settings.read(text) is None or "ORIGURL" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b;", [("a", ("b",), None)]),
        ('a "b c" d;# x\ne;', [("a", ("b c", "d"), None), ("e", (), None)]),
        ("a 'b;{}#';", [("a", ("b;{}#",), None)]),
        ("a ${b}c;", [("a", ("${b}c",), None)]),
        ("a b#c;", [("a", ("b#c",), None)]),
        ("#a b;\n", []),
        ("a{b c;}", [("a", (), [("b", ("c",), None)])]),
        ("location ~ ^/(a|b)\\.php$ {}", [("location", ("~", "^/(a|b)\\.php$"), [])]),
        ("\u00a0a;", [("\u00a0a", (), None)]),
    ],
)  # fmt: skip
def test_nginx_syntax(text: str, expected: list[object]) -> None:
    """
    As nginx takes it apart: comments, quotes, blocks.
    """

    def plain(directives: tuple[nginx_syntax.Directive, ...] | list[nginx_syntax.Directive]) -> list[object]:
        return [(each.name, each.args, None if each.block is None else plain(each.block)) for each in directives]

    assert plain(parse(text)) == expected


@pytest.mark.parametrize(
    "text", ["a", "a {", "}", "{", ";", 'a "b', "a 'b';'", '"a"b;', "a b }", "a { b }", "a{" * 60 + "}" * 60, "a \\"]
)
def test_what_is_not_nginx_syntax(text: str) -> None:
    """
    With it, nginx would not start either.
    """
    with pytest.raises(Damaged):
        parse(text)


@pytest.mark.parametrize("text", [NGINX, DEFAULT, SSL, PROXY, proxied(), OLD])
def test_nginx_syntax_by_another_reader(tmp_path: Path, text: str) -> None:
    """
    The parser of nginx-crossplane sees the same directives.
    """

    def plain(directives: list[dict[str, Any]]) -> list[object]:
        return [
            (each["directive"], tuple(each["args"]), plain(each["block"]) if "block" in each else None)
            for each in directives
        ]

    def ours(directives: Iterable[nginx_syntax.Directive]) -> list[object]:
        return [(each.name, each.args, None if each.block is None else ours(each.block)) for each in directives]

    file = put(tmp_path, "x.conf", text)
    said = crossplane.parse(str(file), single=True, check_ctx=False, check_args=False)

    assert said["status"] == "ok"
    assert ours(parse(text)) == plain(said["config"][0]["parsed"])


def test_more_names_than_anybody_has_are_not_compared(tmp_path: Path) -> None:
    """
    It would take for ever.
    """
    swag(tmp_path)
    put(tmp_path, "nginx/proxy-confs/a.subdomain.conf", proxied(" ".join(f"n{number}.*" for number in range(100_000))))
    found = swag_tool.read(Folder(tmp_path))

    assert found.sites == ()
    assert any("names to compare" in left.why for left in found.left)


def test_a_folder_whose_name_cannot_be_written_is_not_referred_to(tmp_path: Path) -> None:
    """
    For nginx the $ is a variable: then nothing is adopted, and the credentials are named only where they can be.
    """
    folder = tmp_path / "of $me"
    swag(folder)
    lineage(folder / "etc/letsencrypt", "example.org", ["example.org"], "authenticator = dns-aliyun")
    mapping, _ = parsed(render(swag_tool.read(Folder(folder))))

    assert "adopt" not in mapping["certificates"]["example.org"]
    assert mapping["dns"]["aliyun"]["credentials_file"] == f"{folder}/dns-conf/aliyun.ini"
