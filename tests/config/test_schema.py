"""
The JSON Schema for editors agrees with what the parser takes.
"""

from __future__ import annotations

import json
import pathlib
import tomllib

import jsonschema
import pytest

from gatelodge.config.read import read
from gatelodge.config.schema import schema
from gatelodge.errors import ConfigError

_EXAMPLE = (pathlib.Path(__file__).parents[2] / "config.example.toml").read_text()
_VALIDATOR = jsonschema.Draft202012Validator(schema())

_GOOD = [
    "",
    _EXAMPLE,
    'acme = { agree_tos = true, ca = "letsencrypt" }\nsites."a.example" = "http://x"',
    'acme = { agree_tos = true, ca = ["letsencrypt"] }\ncertificates.x.names = ["a.example"]',
    '[sites."192.10.10.133"]\nlisten = [5555, "127.0.0.1:5556"]\nupstream = "http://a:1"\ntls = "local"\nwebsocket = "force"',
    '[sites."a.lan"]\ntls = "off"\nroutes."/x" = "http://a"\nroutes."/y" = { upstream = "http://b", body_size = "10m" }',
    r"""
    auth.p = { provider = "basic", users = { a = "$apr1$abc$0123456789012345678901" } }
    auth.s = { provider = "tinyauth", url = "http://t", sign_in = "https://t.example" }
    nets.office = ["203.0.113.0/24"]
    listen.443 = { tls_profile = "modern", http3 = true }
    listen."127.0.0.1:8443".proxy_protocol = "lan"
    ca = { common_name = "Home", country = "DE" }
    resolver.valid = "10s"
    nginx = { trusted_proxies = ["cloudflare", "office"], real_ip_header = "CF-Connecting-IP", http_snippet = "a;" }
    [sites."a.lan"]
    hosts = ["b.lan"]
    redirect_hosts = ["c.lan"]
    listen = [443, "127.0.0.1:8443"]
    tls = "local"
    key = ["ecdsa-p256", "rsa-2048"]
    upstream = ["http://x", { url = "http://y", backup = true }]
    balance = "least_conn"
    hsts = "on"
    client_certificates = "/ca.pem"
    maintenance = { page = "/p.html", allow = "lan" }
    auth = "p"
    allow = ["lan", "office"]
    satisfy = "any"
    rate = "10/s"
    connections = 5
    headers.X-One = "1"
    request_headers.X-Two = ""
    hide_headers = ["Server"]
    security_headers = true
    error_pages.404 = "/e.html"
    snippet = { file = "/s" }
    routes."/files/" = { static = "/srv" }
    routes."/go" = { match = "exact", redirect_to = { url = "/went/", code = 302, keep_path = false } }
    routes."/api" = { strip = true, auth = "off", rate = { requests = "300/m", burst = 2 } }
    routes."/hub" = { port = 3012, timeout = "1d" }
    routes."/s" = "http://unix:/run/y"
    routes."/no" = { respond = { status = 404, body = "no" }, auth = false }
    routes.'\.php$' = { match = "regex", upstream = "fastcgi://x", script_root = "/srv" }
    [sites."d.lan"]
    tls = { certificate = "/c.pem", key = "/k.pem" }
    static = { root = "/srv", index = ["a.html"], fallback = "/a.html", listing = true }
    maintenance = false
    """,
    'check_every = "1h30m"\n[nginx]\nhttp_port = 0\ndrain = "1d"\naccess_log = "off"',
]

_BAD = [
    "xyzzy = 1",
    "nginx.xyzzy = 1",
    'sites."a.lan".xyzzy = 1',
    'sites."a.lan".routes."/x".xyzzy = 1',
    "acme.cas.step.xyzzy = 1",
    'acme.agree_tos = "true"',
    "check_every = 90",
    'check_every = ""',
    'check_every = "90"',
    'nginx.http_port = "80"',
    "nginx.http_port = 70000",
    "nginx.https_port = 0",
    'nginx.mode = "internal"',
    'sites."a.lan".tls = "on"',
    'sites."a.lan".listen = 443',
    'sites."a.lan".listen = ["443"]',
    'sites."a.lan" = "x:80"',
    'sites."a.lan".routes.x = "http://x"',
    'sites."a.lan".routes.x = { match = "exact" }',
    'sites."a.lan".tls = { certificate = "/c", kee = "/k" }',
    'sites."a.lan".upstream = ["x:80"]',
    'sites."a.lan".balance = "hash"',
    'sites."a.lan".auth = true',
    'sites."a.lan".rate = "10/h"',
    'sites."a.lan".error_pages.200 = "/x"',
    'sites."a.lan".maintenance = "x"',
    'sites."a.lan".snippet = 1',
    'sites."a.lan".redirect_to = { code = 300 }',
    'auth.p.users.a = "secret"',
    'auth.p.provider = "ldap"',
    'nets."a b" = []',
    "listen.web.http3 = true",
    'listen.443.tls_profile = "old"',
    'ca.country = "Germany"',
    'sites."a.lan".body_size = "10mb"',
    "certificates.x.names = []\nsites = 1",
]


def test_it_is_a_schema() -> None:
    """
    It is valid by its own standard, and JSON.
    """
    jsonschema.Draft202012Validator.check_schema(schema())
    assert json.loads(json.dumps(schema())) == schema()


@pytest.mark.parametrize("text", _GOOD)
def test_what_the_parser_takes_the_schema_takes(text: str) -> None:
    """
    An editor underlines nothing in a file that is right.
    """
    read(text)
    _VALIDATOR.validate(tomllib.loads(text))


@pytest.mark.parametrize("text", _BAD)
def test_what_the_schema_refuses_the_parser_refuses(text: str) -> None:
    """
    Unknown keys, wrong types and wrong words are underlined, and refused.
    """
    with pytest.raises(ConfigError):
        read(text)
    with pytest.raises(jsonschema.ValidationError):
        _VALIDATOR.validate(tomllib.loads(text))


def test_every_key_is_explained() -> None:
    """
    An editor has something to show for each key.
    """

    def undescribed(part: object) -> list[object]:
        if isinstance(part, list):
            return [found for inner in part for found in undescribed(inner)]
        if not isinstance(part, dict):
            return []
        bare = [key for key, inner in part.get("properties", {}).items() if not inner.get("description")]
        return bare + [found for inner in part.values() for found in undescribed(inner)]

    assert undescribed(schema()) == []
