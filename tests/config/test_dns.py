"""
DNS providers, ways to prove a name, dynamic DNS: what each key means, and what `check` says of mistakes.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from gatelodge.cli.options import load
from gatelodge.config.read import read
from gatelodge.config.schema import schema
from gatelodge.core.desired import desired
from gatelodge.errors import ConfigError
from gatelodge.model import AddressSource, DdnsSettings, DnsSettings, Secret, SecretRef
from gatelodge.offers import CATALOG

if TYPE_CHECKING:
    from pathlib import Path

    from gatelodge.config.shape import Config

ALIYUN = '[dns.home]\nprovider = "aliyun"\ncredentials_file = "/config/aliyun.ini"\n'
EXEC = '[dns.other]\nprovider = "exec"\ncommand = ["/usr/local/bin/publish", "--now"]\n'
AGREED = "[acme]\nagree_tos = true\n"
SITE = '[sites."www.example.org"]\nupstream = "http://x"\n'
SECRET_TEXT = "hunter2-hunter2"


def parsed(text: str) -> Config:
    """
    Read text that the schema takes too.
    """
    jsonschema.validate(tomllib.loads(text), schema(CATALOG))
    return read(text, catalog=CATALOG)


def wrong(text: str) -> list[tuple[str, str, str]]:
    """
    Return the mistakes of a text: key, problem, remedy.
    """
    with pytest.raises(ConfigError) as caught:
        read(text, catalog=CATALOG)
    return [(mistake.path, mistake.problem, mistake.remedy) for mistake in caught.value.mistakes]


def challenges(text: str, name: str) -> tuple[str, ...]:
    """
    Return how a certificate is proven.
    """
    return desired(parsed(text)).certificates[name].challenges


def test_each_provider_has_its_keys() -> None:
    """
    Common ones, and its own; secrets by file, by variable, and in the text.
    """
    config = parsed(
        """
        [dns.one]
        provider = "aliyun"
        access_key_id = "LTAI5t"
        access_key_secret = { file = "/run/secrets/aliyun" }
        security_token = { env = "TOKEN" }
        line = "telecom"
        endpoint = "http://127.0.0.1:8080"
        ca_file = "/etc/root.pem"
        ttl = "10m"
        wait = "5m"
        [dns.two]
        provider = "rfc2136"
        server = "ns1.example.org:5353"
        key_name = "gate"
        key_secret = { file = "/etc/key" }
        key_algorithm = "hmac-sha512"
        zone = "_acme-challenge.example.org"
        [dns.three]
        provider = "exec"
        command = ["publish", "--now"]
        timeout = "20s"
        [dns.four]
        provider = "acme-dns"
        endpoint = "https://auth.example.org"
        username = { file = "/u" }
        password = { file = "/p" }
        subdomain = "8e57"
        fulldomain = "8e57.auth.example.org"
        """
    )
    assert config.dns == {
        "one": DnsSettings(
            name="one",
            provider="aliyun",
            options={
                "access_key_id": SecretRef(literal=Secret("LTAI5t")),
                "access_key_secret": SecretRef(file="/run/secrets/aliyun"),
                "security_token": SecretRef(env="TOKEN"),
                "line": "telecom",
            },
            endpoint="http://127.0.0.1:8080",
            ca_file="/etc/root.pem",
            ttl=600,
            wait=dt.timedelta(minutes=5),
        ),
        "two": DnsSettings(
            name="two",
            provider="rfc2136",
            options={
                "server": ("ns1.example.org", 5353),
                "key_name": "gate",
                "key_secret": SecretRef(file="/etc/key"),
                "key_algorithm": "hmac-sha512",
                "zone": "_acme-challenge.example.org",
            },
        ),
        "three": DnsSettings(
            name="three",
            provider="exec",
            options={"command": ("publish", "--now"), "timeout": dt.timedelta(seconds=20)},
        ),
        "four": DnsSettings(
            name="four",
            provider="acme-dns",
            options={
                "username": SecretRef(file="/u"),
                "password": SecretRef(file="/p"),
                "subdomain": "8e57",
                "fulldomain": "8e57.auth.example.org",
            },
            endpoint="https://auth.example.org",
        ),
    }
    assert config.exposed == ("dns.one.access_key_id",)


@pytest.mark.parametrize(
    ("entry", "key", "problem", "remedy"),
    [
        ("", "dns.x", "it has no provider", '"aliyun", "rfc2136", "acme-dns", "exec" or "lexicon"'),
        ('provider = "alyun"', "dns.x.provider", '"alyun" is no provider', 'did you mean "aliyun"?'),
        ('provider = "cloudflare"', "dns.x.provider", '"cloudflare" is no provider', "lexicon has a hundred more"),
        ("provider = 7", "dns.x.provider", "it is a number", "write"),
        ('provider = "aliyun"', "dns.x", "aliyun cannot do without more", "write access_key_id and access_key_secret; or"),
        ('provider = "aliyun"\naccess_key_id = "x"', "dns.x", "aliyun cannot do without access_key_secret", "access_key_secret ="),
        (
            'provider = "aliyun"\ncredentials_file = "/x"\naccess_key_id = "x"\naccess_key_secret = "y"',
            "dns.x", "it has both access_key_id and access_key_secret, and credentials_file", "leave one of the two out",
        ),
        ('provider = "exec"\ncomand = ["/x"]', "dns.x.comand", "exec has no such key", "did you mean command?"),
        ('provider = "exec"\ncommand = ["/x"]\nram_role = "r"', "dns.x.ram_role", "exec has no such key", "a key of"),
        ('provider = "exec"\ncommand = "x"', "dns.x.command", "it is text", 'write ["/path/to/program"'),
        ('provider = "exec"\ncommand = ["/x", 7]', "dns.x.command", "it is no list of words", "write"),
        ('provider = "exec"\ncommand = ["./x"]', "dns.x.command", "is not an absolute path", "write"),
        ('provider = "rfc2136"\nserver = "a"\nttl = 600', "dns.x.ttl", "it is a number", '"10m"'),
        ('provider = "acme-dns"\nttl = "10m"', "dns.x.ttl", "acme-dns has no such key", "a key of"),
        ('provider = "rfc2136"\nserver = "a"\nca_file = "/x"', "dns.x.ca_file", "rfc2136 has no such key", "a key of"),
        ('provider = "exec"\ncommand = ["/x"]\nwait = "2h"', "dns.x.wait", "too long", "at most"),
        ('provider = "aliyun"\nram_role = "x"\nendpoint = "http://dns.example"', "dns.x.endpoint", "plain http", "write https"),
        ('provider = "aliyun"\ncredentials_file = "aliyun.ini"', "dns.x.credentials_file", "not an absolute path", "write"),
        ('provider = "rfc2136"\nserver = "ns1:99999"', "dns.x.server", "there is no such port", "write"),
        ('provider = "rfc2136"\nserver = "a"\nkey_algorithm = "md5"', "dns.x.key_algorithm", "not known", "hmac-sha256"),
        ('provider = "rfc2136"\nserver = "a"\nzone = "a b"', "dns.x.zone", "is not a host name", "write"),
        ('provider = "aliyun"\naccess_key_id = { path = "/x" }', "dns.x.access_key_id", "says not where the secret is", "{ file"),
        ('provider = "aliyun"\naccess_key_id = ""', "dns.x.access_key_id", "it is empty", "{ file"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_provider_is_told(entry: str, key: str, problem: str, remedy: str) -> None:
    """
    With its key and what to write.
    """
    found = wrong(f"[dns.x]\n{entry}\n")
    assert any(at == key and problem in said and remedy in better for at, said, better in found), found


@pytest.mark.parametrize(
    "entry",
    [
        f'provider = "exec"\ncommand = "{SECRET_TEXT}"',
        f'provider = "aliyun"\naccess_key_secret = ["{SECRET_TEXT}"]',
        f'provider = "aliyun"\naccess_key_secret = {{ text = "{SECRET_TEXT}" }}',
        f'provider = "aliyun"\naccess_secret = "{SECRET_TEXT}"',
        f'provider = "acme-dns"\npassword = {{ env = "{SECRET_TEXT}!" }}',
        f'provider = "aliyun"\nttl = "{SECRET_TEXT}"',
        f'provider = "aliyun"\ncredentials_file = "{SECRET_TEXT}"',
        f'provider = "aliyun"\naccess_key_secret = {{ file = "{SECRET_TEXT}" }}',
        f'provider = "aliyun"\naccess_key_secret = {{ env = "{SECRET_TEXT.lower()}" }}',
        f'provider = "rfc2136"\nserver = "a"\nkey_algorithm = "{SECRET_TEXT}"',
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(entry: str) -> None:
    """
    A mistake is shown on terminals and in logs.
    """
    told = [text for _, *texts in wrong(f"[dns.x]\n{entry}\n") for text in texts]
    assert told
    assert SECRET_TEXT.lower() not in repr(told).lower()


def test_secrets_never_show_themselves() -> None:
    """
    Nor does the configuration that holds them.
    """
    config = parsed(f'[dns.x]\nprovider = "aliyun"\naccess_key_id = "a"\naccess_key_secret = "{SECRET_TEXT}"\n')
    assert SECRET_TEXT not in repr(config)


def test_the_way_to_prove_is_inherited() -> None:
    """
    A site's or certificate's own, then that of `[acme]`, then the only provider, then http-01.
    """
    own = f'{SITE}challenge = "http-01"\n'
    cert = '[certificates.c]\nnames = ["example.org"]\nchallenge = ["dns:other", "http-01"]\n'
    assert challenges(AGREED + SITE, "www.example.org") == ("http-01",)
    assert challenges(AGREED + ALIYUN + SITE, "www.example.org") == ("dns:home",)
    assert challenges(AGREED + ALIYUN + EXEC + SITE, "www.example.org") == ("http-01",)
    assert challenges(AGREED + 'challenge = "dns:other"\n' + ALIYUN + EXEC + SITE, "www.example.org") == ("dns:other",)
    assert challenges(AGREED + 'challenge = "dns:other"\n' + ALIYUN + EXEC + own, "www.example.org") == ("http-01",)
    assert challenges(AGREED + ALIYUN + EXEC + cert, "c") == ("dns:other", "http-01")
    local = '[sites."nas.lan"]\nupstream = "http://x"\ntls = "local"\n'
    assert challenges(AGREED + ALIYUN + local, "nas.lan") == ("http-01",)


def test_an_alias_may_have_underscores() -> None:
    """
    RFC 8552: names that are not hosts.
    """
    text = AGREED + ALIYUN + '[certificates.c]\nnames = ["example.org"]\nalias = "_acme-challenge.Example.net."\n'
    assert desired(parsed(text)).certificates["c"].alias == "_acme-challenge.example.net"


@pytest.mark.parametrize(
    ("text", "key", "problem", "remedy"),
    [
        (f'{AGREED}challenge = "dns-01"\n', "acme.challenge", "says not by which DNS provider", "dns:NAME"),
        (f'{AGREED}challenge = "dns"\n', "acme.challenge", "says not by which DNS provider", "dns:NAME"),
        (f'{AGREED}challenge = "tls-alpn-01"\n', "acme.challenge", "not in this release yet", "http-01"),
        (f'{AGREED}challenge = "htp-01"\n', "acme.challenge", "is neither", "http-01"),
        (f"{AGREED}challenge = []\n", "acme.challenge", "it is empty", "leave it out"),
        (f'{AGREED}challenge = "dns:hme"\n{ALIYUN}', "acme.challenge", "there is no [dns.hme]", 'did you mean "dns:home"?'),
        (f'{AGREED}challenge = "dns:home"\n', "acme.challenge", "there is no [dns.home]", "add [dns.home]"),
        (f'{AGREED}challenge = ["http-01", "http-01"]\n', "acme.challenge", "is there twice", "leave one"),
        (f'{AGREED}{SITE}certificate = "c"\nchallenge = "http-01"\n[certificates.c]\nnames = ["www.example.org"]\n',
         'sites."www.example.org".challenge', "belongs to the certificate", "move it there"),
        (f'{AGREED}{SITE}tls = "local"\nchallenge = "http-01"\n', 'sites."www.example.org".challenge', "to nobody", "leave it out"),
        (f'{AGREED}[certificates.c]\nnames = ["*.example.org"]\n', "certificates.c", "cannot be proven by http-01", "dns:NAME"),
        (f'{AGREED}{ALIYUN}{EXEC}[certificates.c]\nnames = ["*.example.org"]\n', "certificates.c", "cannot be proven", "dns:NAME"),
        (f'{AGREED}{ALIYUN}[certificates.c]\nnames = ["8.8.8.8"]\n', "certificates.c", "RFC 8738 §7", '["http-01", "dns:NAME"]'),
        (f'{AGREED}[certificates.c]\nnames = ["example.org"]\nalias = "x.example.net"\n', "certificates.c.alias", "proof by DNS", "dns:NAME"),
        (f'{AGREED}{ALIYUN}[nginx]\nhttp_port = 0\n[certificates.c]\nnames = ["a.example.org", "8.8.8.8"]\nchallenge = ["dns:home", "http-01"]\n',
         "nginx.http_port", "http-01", "http_port = 80"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_way_to_prove_is_told(text: str, key: str, problem: str, remedy: str) -> None:
    """
    With its key and what to write.
    """
    found = wrong(text)
    assert any(at == key and problem in said and remedy in better for at, said, better in found), found


def test_what_dns_proves_needs_no_port_80() -> None:
    """
    Neither a mistake nor a warning; a wildcard is fine.
    """
    ports = "[nginx]\nhttp_port = 0\npublic_https_port = 2443\n"
    wildcard = '[certificates.c]\nnames = ["example.org", "*.example.org"]\n'
    assert parsed(AGREED + ALIYUN + ports + wildcard + SITE).warnings == ()


def test_dynamic_dns_has_its_keys() -> None:
    """
    Written out, and with everything left to its default.
    """
    text = (
        '[ddns]\ndns = "home"\nhosts = ["example.org", "*.example.org"]\nevery = "10m"\nipv4 = { interface = "ppp0" }\n'
        'ipv6 = { url = ["https://a.example/ip", "https://b.example/ip"] }\n'
    )
    assert parsed(ALIYUN + text).ddns == DdnsSettings(
        dns="home",
        hosts=("example.org", "*.example.org"),  # type: ignore[arg-type]
        ipv4=AddressSource(interface="ppp0"),
        ipv6=AddressSource(urls=("https://a.example/ip", "https://b.example/ip")),
        every=dt.timedelta(minutes=10),
    )
    sites = (
        SITE
        + '[sites."nas.lan"]\nupstream = "http://x"\ntls = "local"\n[sites."8.8.8.8"]\nupstream = "http://x"\ntls = "off"\n'
    )
    config = desired(parsed(AGREED + ALIYUN + sites + "[ddns]\n"))
    assert config.ddns == DdnsSettings(
        dns="home",
        hosts=("www.example.org",),
        ipv4=AddressSource(),
        ipv6=None,  # type: ignore[arg-type]
    )
    by_command = parsed(
        ALIYUN + '[ddns]\nhosts = ["a.example.org"]\nipv4 = false\nipv6 = { command = ["my-ip", "-6"] }\n'
    ).ddns
    assert by_command is not None
    assert (by_command.ipv4, by_command.ipv6) == (None, AddressSource(command=("my-ip", "-6")))


@pytest.mark.parametrize(
    ("text", "key", "problem", "remedy"),
    [
        (f"{AGREED}{SITE}[ddns]\n", "ddns", "there is no [dns.NAME]", "add a DNS provider"),
        (f"{AGREED}{SITE}{EXEC}[ddns]\n", "ddns", "[dns.other] is exec, which keeps no addresses", '"aliyun"'),
        (f'{AGREED}{SITE}{ALIYUN}{EXEC}[ddns]\ndns = "other"\n', "ddns.dns", "keeps no addresses", '"aliyun"'),
        (f"{AGREED}{SITE}{ALIYUN}{EXEC}[ddns]\n", "ddns", "does not say which", 'dns = "home" or "other"'),
        (f'{AGREED}{SITE}{ALIYUN}[ddns]\ndns = "hom"\n', "ddns.dns", "there is no [dns.hom]", 'did you mean "home"?'),
        (f"{ALIYUN}[ddns]\n", "ddns", "no site has a public host name", "hosts ="),
        (f"{ALIYUN}[ddns]\nhosts = []\n", "ddns.hosts", "it is empty", "write host names"),
        (f'{ALIYUN}[ddns]\nhosts = ["8.8.8.8"]\n', "ddns.hosts[0]", "is an address", "host names"),
        (f'{ALIYUN}[ddns]\nhosts = ["a.example.org"]\nipv4 = false\n', "ddns", "neither", "ipv4 = true"),
        (f'{ALIYUN}[ddns]\nhosts = ["a.example.org"]\nipv4 = {{ interfce = "x" }}\n', "ddns.ipv4", "says not where", "interface"),
        (f'{ALIYUN}[ddns]\nhosts = ["a.example.org"]\nipv4 = {{ url = "http://a.example" }}\n', "ddns.ipv4", "plain http", "https"),
        (f'{ALIYUN}[ddns]\nhosts = ["a.example.org"]\nevery = "5s"\n', "ddns.every", "too short", "1m"),
        ('[resolver]\ndoh = ["http://a.example/q"]\n', "resolver.doh[0]", "plain http", "https"),
    ],
)  # fmt: skip
def test_a_mistake_in_dynamic_dns_is_told(text: str, key: str, problem: str, remedy: str) -> None:
    """
    With its key and what to write.
    """
    found = wrong(text)
    assert any(at == key and problem in said and remedy in better for at, said, better in found), found


def test_look_ups_have_their_keys() -> None:
    """
    No service at all is something else than the usual ones.
    """
    config = parsed('[resolver]\ndoh = ["https://dns.example/q", "http://127.0.0.1:8053/q"]\nport = 5353\n')
    assert (config.doh, config.dns_port) == (("https://dns.example/q", "http://127.0.0.1:8053/q"), 5353)
    assert parsed("[resolver]\ndoh = []\n").doh == ()
    assert parsed("").doh is None


def test_a_secret_in_a_file_that_everybody_reads_is_warned_of(tmp_path: Path) -> None:
    """
    By its key; not when only the owner and the group may, and not when it lies elsewhere.
    """
    file = tmp_path / "gatelodge.toml"
    file.write_text(f'[dns.x]\nprovider = "aliyun"\naccess_key_id = "a"\naccess_key_secret = "{SECRET_TEXT}"\n')
    file.chmod(0o644)
    warnings = load(file).warnings
    assert [warning.path for warning in warnings] == ["dns.x.access_key_id", "dns.x.access_key_secret"]
    assert all(warning.warning and SECRET_TEXT not in repr(warning) for warning in warnings)
    file.chmod(0o640)
    assert load(file).warnings == ()
    file.write_text(ALIYUN)
    file.chmod(0o644)
    assert load(file).warnings == ()


def test_looking_for_mistakes_loads_no_provider(tmp_path: Path) -> None:
    """
    `check` is quick: neither the SDK nor any client is imported for it.
    """
    file = tmp_path / "gatelodge.toml"
    file.write_text(ALIYUN + EXEC)
    script = (
        "import sys, pathlib; from gatelodge.cli.options import load; load(pathlib.Path(sys.argv[1]));"
        "print([name for name in ('dns.message', 'aiohttp', 'aliyunsdkcore', 'lexicon') if name in sys.modules])"
    )
    out: Any = subprocess.run([sys.executable, "-c", script, str(file)], capture_output=True, check=True, text=True)
    assert out.stdout.strip() == "[]"
