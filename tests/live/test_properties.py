"""
Whatever a configuration holds that `check` accepts: nginx takes the tree, and no text of it becomes a directive. On the oldest nginx
at hand and on the newest.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from crossplane.lexer import _lex_file_object
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import HealthCheck, Phase, given, settings
from tests.support import any_toml
from tests.support.any_toml import written
from tests.support.certificates import QuickKeys
from tests.support.nginx_house import DEBIAN, NOW, WHEEL, RealClock, state_directory

from gatelodge.config.read import read
from gatelodge.core.desired import desired
from gatelodge.core.observed import Held, Observed
from gatelodge.core.observed import Nginx as NginxObserved
from gatelodge.errors import ConfigError, NginxRefused
from gatelodge.issuers.local import Local
from gatelodge.model import CertificateSpec, KeyKind, LocalIssuer, Name, NginxSettings
from gatelodge.nginx import binary
from gatelodge.nginx.tree import Trees
from gatelodge.nginx.trial import Trial
from gatelodge.nginx.writing.render import render
from gatelodge.offers import CATALOG

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hypothesis import strategies as st

    from gatelodge.config.shape import Config
    from gatelodge.core.tree import Rendered

pytestmark = pytest.mark.live

PLAIN = (18080, "127.0.0.1:18080", 18081)
TLS = (18443, "127.0.0.1:18443", "[::1]:18443", 18444)

HEAD = """
state_directory = "@STATE@"
acme.agree_tos = true
nginx.binary = "@BINARY@"
nginx.http_port = 18080
nginx.https_port = 18443
nginx.public_https_port = 2443
nginx.trusted_proxies = ["cloudflare", "192.0.2.1"]

[auth.people]
provider = "basic"
realm = 'a "$realm" {;} # \\'
users.alice = "$2b$04$abcdefghijklmnopqrstuuqYx0p7bJH1cUYYLwPXF0xKhJEM2vOoS"
[auth.file]
provider = "basic"
users_file = "/etc/a file;{"
[auth.authelia]
provider = "authelia"
url = "http://authelia:9091"
[auth.authentik]
provider = "authentik"
url = "https://127.0.0.1:9443/base"
[auth.tinyauth]
provider = "tinyauth"
url = "http://127.0.0.1:3000"
sign_in = "https://auth.example.com"
[auth.proxy]
provider = "oauth2-proxy"
url = "http://unix:/run/oauth2.sock"
"""

#: Why an nginx may not serve a site as it is asked to: it lacks something.
LACKS = ("need nginx", "needs nginx", "which this nginx would take for a query")


class Judge:
    """
    A state directory with a certificate of each kind of key, and an nginx that is asked about trees.
    """

    def __init__(self, state: Path, program: str) -> None:
        self._state, self._program = state, program
        self._found = binary.capabilities(NginxSettings(binary=program))
        self._authority = Local(directory=str(state / "ca"), clock=RealClock(), keys=QuickKeys())
        self._kinds = [asyncio.run(self._certified(key)) for key in (KeyKind.ECDSA_P256, KeyKind.RSA_2048)]
        (state / "roots.pem").write_text(asyncio.run(self._authority.root_pem()))

    async def _certified(self, key: KeyKind) -> Held:
        folder = self._state / "certificates" / key / "versions" / "1"
        folder.mkdir(parents=True)
        spec = CertificateSpec(name=key, names=(Name("a.example.com"),), issuer=LocalIssuer(), key=key)
        async with self._authority.issue(spec, progress=print) as issued:
            (folder / "fullchain.pem").write_text(issued.chain)
            (folder / "privkey.pem").write_text(issued.private_key.reveal())
        leaf = x509.load_pem_x509_certificate(issued.chain.encode())
        return Held(
            name=key,
            version=1,
            names=spec.names,
            issuer="local",
            key=key,
            profile=None,
            serial=f"{leaf.serial_number:x}",
            fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
            stored_at=NOW,
            directory=str(folder),
        )

    def read(self, **tables: dict[str, Any]) -> Config:
        """
        Read a configuration with these entries of these tables.
        """
        lines = [HEAD]
        for name, entries in tables.items():
            lines += [f"[{name}]", *(f"{written(key)} = {written(table)}" for key, table in entries.items())]
        text = "\n".join(lines) + "\n"
        for place, value in (
            ("@STATE@", self._state),
            ("@BINARY@", self._program),
            ("@CA@", self._state / "roots.pem"),
        ):
            text = text.replace(place, str(value))
        return read(text, catalog=CATALOG)

    def rendered(self, config: Config) -> Rendered:
        """
        Write the tree of a configuration, with every certificate there.
        """
        wanted = desired(config)
        held = {name: self._kinds[spec.key.is_rsa] for name, spec in wanted.certificates.items()}
        return render(wanted, Observed(held=held, nginx=NginxObserved(capabilities=self._found)))

    def complaint(self, tree: Rendered) -> str:
        """
        Return what nginx says against a tree; nothing when it takes it.
        """
        trees = Trees(self._state / "nginx")
        number = trees.stage(tree, now=NOW)
        trial = Trial(found=self._found, state=self._state, number=number, rendered=tree, settled={}, clock=RealClock())
        try:
            asyncio.run(trial.hold())
        except NginxRefused as error:
            texts = "\n\n".join(tree.parts[each] for each in sorted(error.guilty))
            return f"{error.output}\n\n{texts or tree.prelude}"
        finally:
            trees.remove(number)
        return ""


def numbered(value: Any, number: int) -> Any:
    """
    Put a site's number into its hosts.
    """
    match value:
        case str():
            return value.replace("@N@", f"s{number}")
        case list():
            return [numbered(each, number) for each in value]
        case dict():
            return {numbered(key, number): numbered(each, number) for key, each in value.items()}
        case _:
            return value


def directives(text: str) -> set[str]:
    """
    Return what crossplane's lexer takes for names of directives, outside of blocks that hold data: a second opinion on what nginx
    would read.
    """
    found: set[str] = set()
    around: list[str] = []
    words: list[str] = []
    for token, _, quoted in _lex_file_object(io.StringIO(text)):
        if quoted or token not in {"{", "}", ";"}:
            words += [] if token.startswith("#") and not quoted and not words else [token]
            continue
        if words and not DATA.intersection(around):
            found.add(words[0])
        if token == "{":
            around.append(words[0])
        elif token == "}":
            around.pop()
        words = []
    return found


#: Terms of listeners, of which each batch of sites has another.
TERMS: tuple[dict[str, Any], ...] = (
    {},
    {"18443": {"tls_profile": "modern", "http3": True}, "127.0.0.1:18443": {"tls_profile": "intermediate"}},
    {
        "127.0.0.1:18443": {"proxy_protocol": ["lan"], "tls_profile": "modern"},
        "18080": {"proxy_protocol": ["192.0.2.1"]},
    },
    {
        "18443": {"proxy_protocol": ["lan"]},
        "[::1]:18443": {"http3": True},
        "127.0.0.1:18080": {"proxy_protocol": ["all"]},
    },
)

#: Sites that listen everywhere, so that all of these terms mean something.
EVERYWHERE = {
    "plain.example.com": {"upstream": "http://127.0.0.1:1", "tls": "off", "listen": list(PLAIN)},
    "tls.example.com": {"upstream": "http://127.0.0.1:1", "tls": "local", "listen": list(TLS)},
    "192.0.2.10": {"upstream": "http://127.0.0.1:1", "tls": "local"},
}

BATCH = 25

#: Every directive that a tree may hold, those of the snippets that are generated included.
DIRECTIVES = frozenset(
    """
    absolute_redirect access_log add_header alias allow auth_basic auth_basic_user_file auth_request
    auth_request_set autoindex autoindex_exact_size charset client_body_temp_path client_max_body_size daemon
    default_type deny error_log error_page events fastcgi_buffer_size fastcgi_buffering fastcgi_buffers
    fastcgi_busy_buffers_size fastcgi_connect_timeout fastcgi_hide_header fastcgi_index fastcgi_intercept_errors
    fastcgi_max_temp_file_size fastcgi_param fastcgi_pass fastcgi_read_timeout fastcgi_request_buffering
    fastcgi_send_timeout fastcgi_split_path_info fastcgi_temp_path geo grpc_buffer_size grpc_connect_timeout
    grpc_hide_header grpc_intercept_errors grpc_pass grpc_read_timeout grpc_send_timeout grpc_set_header
    grpc_ssl_certificate grpc_ssl_certificate_key grpc_ssl_name grpc_ssl_server_name grpc_ssl_trusted_certificate
    grpc_ssl_verify grpc_ssl_verify_depth gzip gzip_min_length gzip_proxied gzip_types gzip_vary hash http http2 if
    include index internal ip_hash keepalive keepalive_min_timeout keepalive_requests keepalive_timeout large_client_header_buffers
    least_conn limit_conn limit_conn_status limit_conn_zone limit_req limit_req_status limit_req_zone listen
    load_module location map map_hash_bucket_size pcre_jit pid proxy_buffer_size proxy_buffering proxy_buffers
    proxy_busy_buffers_size proxy_connect_timeout proxy_hide_header proxy_http_version proxy_intercept_errors
    proxy_max_temp_file_size proxy_next_upstream proxy_pass proxy_pass_request_body proxy_protocol
    proxy_read_timeout proxy_redirect proxy_request_buffering proxy_responses proxy_send_timeout proxy_set_header
    proxy_ssl proxy_ssl_certificate proxy_ssl_certificate_key proxy_ssl_name proxy_ssl_server_name
    proxy_ssl_trusted_certificate proxy_ssl_verify proxy_ssl_verify_depth proxy_temp_path proxy_timeout
    real_ip_header real_ip_recursive recursive_error_pages resolver resolver_timeout return rewrite root satisfy
    scgi_temp_path sendfile server server_name server_names_hash_bucket_size server_names_hash_max_size
    server_tokens set set_real_ip_from ssl_certificate ssl_certificate_key ssl_ciphers ssl_client_certificate
    ssl_ecdh_curve ssl_prefer_server_ciphers ssl_preread ssl_protocols ssl_reject_handshake ssl_session_cache
    ssl_session_tickets ssl_session_timeout ssl_verify_client ssl_verify_depth stream stub_status tcp_nodelay tcp_nopush
    try_files types upstream user uwsgi_temp_path variables_hash_bucket_size variables_hash_max_size
    worker_connections worker_processes worker_rlimit_nofile worker_shutdown_timeout zone
    """.split()  # noqa: SIM905 - names alone, many a line
)

#: Blocks in which no directives stand.
DATA = frozenset({"geo", "map", "types"})


@pytest.mark.parametrize("program", [DEBIAN, WHEEL], ids=["debian", "wheel"])
def test_nginx_takes_whatever_check_accepts(program: str) -> None:
    """
    Sites and streams with any keys and hostile texts, many in one tree, on listeners with any terms.
    """
    with state_directory(binary.capabilities(NginxSettings(binary=program)).group) as state:
        judge = Judge(state, program)
        sites = collected(any_toml.sites(PLAIN, TLS), 300, lambda number, table: _site(judge, number, table))
        streams = collected(any_toml.streams(), 60, lambda number, table: _stream(judge, number, table))
        assert len(sites) > 100, "most of what is generated is accepted"
        assert len(streams) > 20
        for number in range(0, len(sites), BATCH):
            some, others = (dict(itertools.islice(each.items(), number, number + BATCH)) for each in (sites, streams))
            terms = TERMS[number // BATCH % len(TERMS)]
            tree = judge.rendered(judge.read(listen=terms, sites=EVERYWHERE | some, streams=others))
            assert not {part: why for part, why in tree.unwritten.items() if not any(each in why for each in LACKS)}
            assert judge.complaint(tree) == ""
            names = set().union(*map(directives, (tree.entry, tree.prelude, *tree.parts.values())))
            assert names - DIRECTIVES == set()


def collected(
    strategy: st.SearchStrategy[dict[str, Any]], count: int, named: Callable[[int, dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """
    Return what `check` accepts of so many generated entries, each with a number of its own.

    Args:
        named: makes one entry of a number and a table.

    Raises:
        ConfigError: raised by `named` alone, and taken for a refusal.
    """
    accepted: dict[str, Any] = {}

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(strategy)
    def collect(table: dict[str, Any]) -> None:
        with contextlib.suppress(ConfigError):
            accepted.update(named(len(accepted), table))

    collect()
    return accepted


def _site(judge: Judge, number: int, table: dict[str, Any]) -> dict[str, Any]:
    one = {f"s{number}.example.com": numbered(table, number)}
    judge.read(sites=one)
    return one


def _stream(judge: Judge, number: int, table: dict[str, Any]) -> dict[str, Any]:
    one = {f"x{number}": numbered(table, number) | {"listen": [20000 + number]}}
    judge.read(streams=one)
    return one
