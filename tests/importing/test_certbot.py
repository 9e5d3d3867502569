"""
What is taken over from certbot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.importing.houses import STAGING, lineage, parsed, put

from gatelodge.importing import ini, plugins
from gatelodge.importing.certbot import read
from gatelodge.importing.folder import Folder
from gatelodge.importing.found import FoundDns, NothingFound
from gatelodge.importing.plugins import Used, provider
from gatelodge.importing.render import render

if TYPE_CHECKING:
    from pathlib import Path

WEBROOT = "authenticator = webroot\nwebroot_path = /var/www/html,\n[[webroot_map]]\nexample.org = /var/www/html\n"
INI = {
    "aliyun": "dns_aliyun_access_key = LTAIkey\ndns_aliyun_access_key_secret = SECRETvalue\n",
    "rfc2136": (
        "dns_rfc2136_server = 192.0.2.53\ndns_rfc2136_port = 5353\ndns_rfc2136_name = keyname.\n"
        "dns_rfc2136_secret = SECRETvalue==\ndns_rfc2136_algorithm = HMAC-SHA512\n"
    ),
    "ovh": "dns_ovh_endpoint = ovh-ca\ndns_ovh_application_secret = SECRETvalue\n",
}


def printed(folder: Path) -> str:
    """
    The TOML for a folder, which is one that the parser takes without a word.
    """
    text = render(read(Folder(folder)))
    _, config = parsed(text)
    assert config.warnings == ()
    return text


def only(folder: Path) -> dict[str, object]:
    """
    The one certificate that is asked for.
    """
    mapping, _ = parsed(printed(folder))
    (certificate,) = mapping["certificates"].values()
    return dict(certificate)


def reason(folder: Path) -> str:
    """
    Why the one certificate is held back.
    """
    (certificate,) = read(Folder(folder)).certificates
    assert "certificates" not in parsed(printed(folder))[0]
    assert certificate.held is not None
    return certificate.held


def test_a_webroot(tmp_path: Path) -> None:
    """
    The names of the certificate itself, http-01, the webroot, the certificate that is there; an example of a site.
    """
    lineage(tmp_path, "example.org", ["example.org", "www.example.org"], WEBROOT)
    text = printed(tmp_path)
    mapping, _ = parsed(text)

    assert mapping == {
        "acme": {"agree_tos": True, "webroot": "/var/www/html"},
        "certificates": {
            "example.org": {
                "names": ["example.org", "www.example.org"],
                "challenge": "http-01",
                "adopt": str(tmp_path / "live/example.org"),
            }
        },
    }
    assert '# "example.org" = "http://127.0.0.1:3000"' in text
    assert "ends on 2026-03-31" in text


def test_webroots_that_differ_are_none(tmp_path: Path) -> None:
    """
    There is one for all here: then it is Gatelodge's own.
    """
    lineage(tmp_path, "a.example.org", ["a.example.org"], WEBROOT)
    lineage(tmp_path, "b.example.org", ["b.example.org"], WEBROOT.replace("/var/www/html", "/srv/b"))

    assert "webroot" not in parsed(printed(tmp_path))[0]["acme"]


def test_without_the_certificate_the_webroots_tell_the_names(tmp_path: Path) -> None:
    """
    Where `live` may not be read, there is nothing to adopt either.
    """
    lineage(tmp_path, "example.org", ["example.org", "www.example.org"], WEBROOT)
    (tmp_path / "archive/example.org/cert3.pem").write_bytes(b"\x00junk")

    assert only(tmp_path) == {"names": ["example.org"], "challenge": "http-01"}


def test_without_any_names_the_certificate_is_held_back(tmp_path: Path) -> None:
    """
    It is said what helps.
    """
    lineage(tmp_path, "example.org", ["example.org"], "authenticator = nginx")
    (tmp_path / "archive/example.org/cert3.pem").unlink()

    assert "run this as root" in reason(tmp_path)


@pytest.mark.parametrize("plugin", ["standalone", "nginx", "apache", "manual"])
def test_other_ways_by_http(tmp_path: Path, plugin: str) -> None:
    """
    Port 80 is Gatelodge's now.
    """
    lineage(tmp_path, "example.org", ["example.org"], f"authenticator = {plugin}\ninstaller = None")

    assert only(tmp_path)["challenge"] == "http-01"
    assert "port 80" in printed(tmp_path)


@pytest.mark.parametrize(
    ("key", "said"),
    [("p256", None), ("p384", "ecdsa-p384"), ("rsa", "rsa-2048")],
)
def test_the_kind_of_key_is_that_of_the_certificate(tmp_path: Path, key: str, said: str | None) -> None:
    """
    Whatever the renewal says.
    """
    lineage(tmp_path, "example.org", ["example.org"], f"{WEBROOT.replace('[[', 'key_type = rsa[[', 0)}", key=key)

    assert only(tmp_path).get("key") == said


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ("key_type = ecdsa\nelliptic_curve = secp384r1", "ecdsa-p384"),
        ("key_type = rsa\nrsa_key_size = 4096", "rsa-4096"),
        ("key_type = rsa\nrsa_key_size = 8192", None),
        ("key_type = ecdsa\nelliptic_curve = secp521r1", None),
        ("", None),
    ],
)
def test_without_the_certificate_the_renewal_tells_the_kind_of_key(
    tmp_path: Path, params: str, said: str | None
) -> None:
    """
    One that is not made here is the usual one.
    """
    lineage(tmp_path, "example.org", ["example.org"], f"{params}\n{WEBROOT}")
    (tmp_path / "archive/example.org/cert3.pem").unlink()

    assert only(tmp_path).get("key") == said


def test_cas(tmp_path: Path) -> None:
    """
    Most certificates' CA stands in [acme], another one's beside it; one of the person's own is defined.
    """
    for name in ("a", "b", "f"):
        lineage(tmp_path, f"{name}.example.org", [f"{name}.example.org"], WEBROOT, server=STAGING)
    lineage(tmp_path, "c.example.org", ["c.example.org"], WEBROOT, server="https://ca.example.net:9000/acme/directory")
    lineage(
        tmp_path, "d.example.org", ["d.example.org"], WEBROOT, server="https://acme-v01.api.letsencrypt.org/directory"
    )
    lineage(tmp_path, "e.example.org", ["e.example.org"], WEBROOT, server="https://acme.zerossl.com/v2/DV90")
    text = printed(tmp_path)
    mapping, config = parsed(text)
    asked = {name: table.get("ca") for name, table in mapping["certificates"].items()}

    assert mapping["acme"]["ca"] == "letsencrypt-staging"
    assert mapping["acme"]["cas"] == {"ca.example.net": {"directory": "https://ca.example.net:9000/acme/directory"}}
    assert asked == {
        "a.example.org": None,
        "b.example.org": None,
        "c.example.org": "ca.example.net",
        "d.example.org": "letsencrypt",
        "e.example.org": "letsencrypt",
        "f.example.org": None,
    }
    assert "ZeroSSL" in text
    assert config.authorities["ca.example.net"].directory.startswith("https://ca.example.net")


@pytest.mark.parametrize(
    ("params", "names", "why"),
    [
        (WEBROOT, ["*.example.org"], "wildcard"),
        (WEBROOT, ["printer.lan"], "one network"),
        (WEBROOT, ["under_score.example.org"], "no name"),
        (WEBROOT, [], "not known"),
        ("authenticator = manual", ["*.example.org"], "docs/exec.md"),
        ("authenticator = manual\npref_challs = dns-01,", ["example.org"], "docs/exec.md"),
        ("authenticator = dns-unheard-of", ["example.org"], "unheard-of"),
        ("authenticator = certbot-plugin:auth", ["example.org"], "auth"),
        ("", ["example.org"], "how it was proven"),
        ("authenticator = dns-aliyun", ["example.org"], "credentials"),
        ("authenticator = dns-rfc2136\ndns_rfc2136_credentials = /nowhere.ini", ["example.org"], "cannot be read"),
    ],
)  # fmt: skip
def test_what_no_ca_could_be_asked_for_is_held_back(tmp_path: Path, params: str, names: list[str], why: str) -> None:
    """
    It is shown as a comment, with the reason.
    """
    lineage(tmp_path, "it", names, params.replace("[[webroot_map]]\nexample.org = /var/www/html\n", ""))

    assert why in reason(tmp_path)


def test_a_ca_in_plain_http_is_held_back(tmp_path: Path) -> None:
    """
    Anybody on the way could act as it.
    """
    lineage(tmp_path, "it", ["example.org"], WEBROOT, server="http://ca.example.net/directory")

    assert "plain http" in reason(tmp_path)


def test_a_damaged_renewal_harms_no_other(tmp_path: Path) -> None:
    """
    It is named, and the rest goes on.
    """
    lineage(tmp_path, "a.example.org", ["a.example.org"], WEBROOT)
    lineage(tmp_path, "b.example.org", ["b.example.org"], WEBROOT)
    put(tmp_path, "renewal/b.example.org.conf", b"\xff\x00[renewalparams]")
    put(tmp_path, "renewal/c.conf", "version = 1\n[[[[broken\nno equals\n")
    text = printed(tmp_path)

    assert list(parsed(text)[0]["certificates"]) == ["a.example.org"]
    assert "b.example.org.conf is damaged: it is no text" in text
    assert "c.conf is damaged: it has no [renewalparams]" in " ".join(text.replace("#", "").split())


def test_hooks_are_named_without_what_they_run(tmp_path: Path) -> None:
    """
    A command can hold a secret.
    """
    lineage(
        tmp_path,
        "example.org",
        ["example.org"],
        f"renew_hook = curl -u me:SECRETvalue https://x\nreuse_key = True\n{WEBROOT}",
    )
    put(tmp_path, "renewal-hooks/deploy/reload.sh", "x")
    put(tmp_path, "live/lost/cert.pem", "x")
    put(tmp_path, "accounts/acme/x", "x")
    text = printed(tmp_path)

    for what in (
        "renew_hook of example.org",
        "reuse_key of example.org",
        "renewal-hooks/deploy/reload.sh",
        "live/lost",
        "accounts/",
    ):
        assert f"# - {what}" in text
    assert "SECRETvalue" not in text


def test_a_profile_is_kept(tmp_path: Path) -> None:
    """
    As certbot asked for it.
    """
    lineage(tmp_path, "example.org", ["example.org"], f"preferred_profile = shortlived\n{WEBROOT}")

    assert only(tmp_path)["profile"] == "shortlived"


def test_a_lineage_with_an_odd_name_gets_another(tmp_path: Path) -> None:
    """
    A NAME of ours is a file's; two that would become one are told apart.
    """
    for name in ("my cert", "my-cert", "gatelodge.invalid"):
        lineage(tmp_path, name, ["example.org"], WEBROOT)
    mapping, _ = parsed(printed(tmp_path))

    assert {name: table["adopt"].rpartition("/")[2] for name, table in mapping["certificates"].items()} == {
        "gatelodge.invalid-2": "gatelodge.invalid",
        "my-cert": "my cert",
        "my-cert-2": "my-cert",
    }


def test_addresses_are_proven_by_http(tmp_path: Path) -> None:
    """
    DNS cannot prove them.
    """
    file = put(tmp_path, "aliyun.ini", INI["aliyun"])
    params = f"authenticator = dns-aliyun\ndns_aliyun_credentials = {file}"
    lineage(tmp_path, "it", ["example.org", "1.1.1.1"], params)

    assert only(tmp_path)["challenge"] == ["http-01", "dns:aliyun"]


def test_aliyun_by_reference(tmp_path: Path) -> None:
    """
    Also as the plugin was called before its version 2. One file is one provider, another is another.
    """
    one, two = put(tmp_path, "one.ini", INI["aliyun"]), put(tmp_path, "two.ini", INI["aliyun"])
    old = f"authenticator = certbot-dns-aliyun:dns-aliyun\ncertbot_dns_aliyun:dns_aliyun_credentials = {one}"
    new = f"authenticator = dns-aliyun\ndns_aliyun_credentials = '{one}' # mine\ndns_aliyun_propagation_seconds = 600"
    other = f"authenticator = dns-aliyun\ndns_aliyun_credentials = {two}\ndns_aliyun_propagation_seconds = 600"
    for name, params in {"a": old, "b": new, "c": other}.items():
        lineage(tmp_path, name, [f"{name}.example.org"], params)
    text = printed(tmp_path)
    mapping, _ = parsed(text)

    assert mapping["dns"] == {
        "aliyun": {"provider": "aliyun", "credentials_file": str(one)},
        "aliyun-2": {"provider": "aliyun", "credentials_file": str(two), "wait": "600s"},
    }
    assert [each["challenge"] for each in mapping["certificates"].values()] == [
        "dns:aliyun", "dns:aliyun", "dns:aliyun-2"
    ]  # fmt: skip
    assert "SECRETvalue" not in text
    assert "LTAIkey" not in text


def test_credentials_in_certbots_folder_are_looked_for_in_this_one(tmp_path: Path) -> None:
    """
    The folder may be a container's, seen from outside.
    """
    put(tmp_path, "aliyun.ini", INI["aliyun"])
    lineage(
        tmp_path, "it", ["example.org"], "authenticator = dns-aliyun\ndns_aliyun_credentials = /etc/letsencrypt/aliyun.ini"
    )  # fmt: skip

    assert parsed(printed(tmp_path))[0]["dns"]["aliyun"]["credentials_file"] == str(tmp_path / "aliyun.ini")


def test_a_name_server_of_ones_own(tmp_path: Path) -> None:
    """
    Server, key name and algorithm are read; the secret must be copied by the person, and it is said how.
    """
    file = put(tmp_path, "rfc2136.ini", INI["rfc2136"])
    lineage(tmp_path, "it", ["*.example.org"], f"authenticator = dns-rfc2136\ndns_rfc2136_credentials = {file}")
    text = printed(tmp_path)

    assert parsed(text)[0]["dns"]["rfc2136"] == {
        "provider": "rfc2136",
        "server": "192.0.2.53:5353",
        "key_name": "keyname",
        "key_secret": {"file": "/etc/gatelodge/rfc2136.key"},
        "key_algorithm": "hmac-sha512",
    }
    assert "dns_rfc2136_secret" in text
    assert "SECRETvalue" not in text


@pytest.mark.parametrize(
    ("wrong", "right", "why"),
    [
        ("HMAC-SHA512", "HMAC-MD5", "no longer safe"),
        ("dns_rfc2136_algorithm = HMAC-SHA512", "", "no longer safe"),
        ("192.0.2.53", "no server", "none that Gatelodge can read"),
        ("keyname.", 'key"name', "is none"),
    ],
)
def test_a_name_server_that_cannot_be_taken_over(wrong: str, right: str, why: str) -> None:
    """
    With the reason.
    """
    said = provider(Used(plugin="rfc2136", credentials="/x.ini", text=INI["rfc2136"].replace(wrong, right)), "home")

    assert isinstance(said, str)
    assert why in said


@pytest.mark.parametrize("plugin", sorted({*plugins._SERVICES, "google"} - {"route53"}))
def test_services_of_dns_lexicon(tmp_path: Path, plugin: str) -> None:
    """
    Each is one that dns-lexicon has, with options that it takes; the person is told which secret goes where.

    route53 needs a package that the tests do not have.
    """
    file = put(tmp_path, f"{plugin}.ini", INI.get(plugin, "token = SECRETvalue\n"))
    lineage(tmp_path, "it", ["*.example.org"], f"authenticator = dns-{plugin}\ndns_{plugin}_credentials = {file}")
    text = printed(tmp_path)
    table = parsed(text)[0]["dns"][plugin]

    assert table["provider"] == "lexicon"
    assert "gatelodge[lexicon]" in text
    assert "SECRETvalue" not in text
    assert ("TO DO" in text) == (plugin != "google")
    if plugin == "ovh":
        assert table["options"]["auth_entrypoint"] == "ovh-ca"
    if plugin == "google":
        assert table["options"] == {"auth_service_account_info": f"file::{file}"}


def test_cloudflares_account_key() -> None:
    """
    The older kind of credentials needs the account's address too.
    """
    found = provider(Used(plugin="cloudflare", text="dns_cloudflare_email = a@b.c\ndns_cloudflare_api_key = x"), "home")

    assert isinstance(found, FoundDns)
    assert list(found.inner) == ["auth_username", "auth_token"]


def test_the_dialect_of_certbots_files() -> None:
    """
    Comments, quotes, sections in sections, lists; a line that nobody writes is passed over.
    """
    text = (
        "# c\na = 1 # c\nb = 'x # y' ; c\nc = #\n[one]\n[[two]] # c\n\"d\" = e=f\n[[[[four]]]]\n[three]\ng-h = x#y\n"
        f"i{'x' * 5000} = 1\n"
    )

    assert ini.sections(text) == {
        (): {"a": "1", "b": "x # y", "c": ""},
        ("one",): {},
        ("one", "two"): {"d": "e=f"},
        ("three",): {"g-h": "x#y"},
    }
    assert ini.flat("certbot_dns_x:dns_x_a-b = 1")["dns_x_a_b"] == "1"
    assert ini.items("a, 'b',") == ("a", "b")


def test_an_empty_folder(tmp_path: Path) -> None:
    """
    It is said what was looked for.
    """
    with pytest.raises(NothingFound, match=r"renewal/NAME\.conf"):
        read(Folder(tmp_path))
