"""
A configuration with something of everything: one site for each idea, to be read as a tree.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from tests.nginx.trees import desired, held, nginx, observed, site

from gatelodge.model import (
    Balance,
    BasicAuth,
    ClientCertificates,
    Files,
    ForwardAuth,
    ForwardKind,
    Guard,
    Headers,
    Hsts,
    Listener,
    ListenSettings,
    Maintenance,
    Match,
    Name,
    NginxSettings,
    Pool,
    Rate,
    Redirect,
    Respond,
    Route,
    Secret,
    Server,
    Spread,
    TlsProfile,
    Transport,
    TrustedProxies,
    Upstream,
    UpstreamTls,
    Websocket,
)

if TYPE_CHECKING:
    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Observed
    from gatelodge.model import Action, Site


def service(host: str = "192.0.2.7", port: int = 3000, *, scheme: str = "http", path: str | None = None) -> Pool:
    """
    Return the pool of one server.
    """
    return Pool.of(Upstream(scheme=scheme, host=host, port=port, path=path))


def pool(*hosts: str, spread: Spread = Spread.ROUND_ROBIN, by: str = "", backup: str = "") -> Pool:
    """
    Return a pool of servers, the first with twice the weight.
    """
    servers = [
        Server(upstream=Upstream(scheme="http", host=host, port=8080), weight=1 if number else 2, max_fails=3)
        for number, host in enumerate(hosts)
    ]
    if backup:
        spare = Upstream(scheme="http", host=backup, port=8080)
        servers.append(Server(upstream=spare, backup=True, fail_timeout=dt.timedelta(minutes=1)))
    return Pool(servers=tuple(servers), balance=Balance(spread=spread, by=by))


def at_socket(path: str, *, scheme: str = "http") -> Pool:
    """
    Return the pool of one server at a unix socket.
    """
    return Pool.of(Upstream(scheme=scheme, socket=path))


def route(path: str, action: Action, match: Match = Match.PREFIX, **more: object) -> Route:
    """
    Return a route that says where in the TOML it stands.
    """
    return Route(path=path, action=action, match=match, key=f'routes."{path}"', **more)  # type: ignore[arg-type]


def _routing() -> list[Site]:
    wide = site(
        *("hosts.example.com", "*.hosts.example.com", r"~^app-[0-9]{1,3}\.example\.com$"),
        listen=(Listener(port=443), Listener(port=8443), Listener(port=9443)),
    )
    return [
        dataclasses.replace(
            wide, certificates=("home",), redirect_hosts=(Name("www.hosts.example.com"),), hsts=Hsts.PRELOAD
        ),
        site(
            "paths.example.com",
            routes=(
                route("/", service("app", 8080)),
                route("/api/", service("api", 9000, path="/v1/")),
                route("/strip/", service(path="/")),
                route("/live", service("192.0.2.8", 7777), Match.EXACT),
                route(r"\.(jpe?g|png)$", service("192.0.2.9", 8080), Match.REGEX),
                route("/ä $b/", service(path="/%C3%A4/")),
            ),
        ),
        site(
            "redirects.example.com",
            routes=(
                route("/", Redirect(url="https://www.example.org")),
                route("/old/", Redirect(url="/new/", code=308)),
                route("/out/", Redirect(url="/", code=302)),
                route("/moved", Redirect(url="https://b.example.org/there"), Match.EXACT),
                route("^/u/[0-9]+$", Redirect(url="https://users.example.org"), Match.REGEX),
                route("/lost/", Redirect(url="https://c.example.org/?from=here", code=307, keep_path=False)),
            ),
        ),
        site(
            "files.example.com",
            routes=(
                route("/", Files(root="/srv/app", fallback="/index.html")),
                route(
                    "/docs/", Files(root="/srv/manual", index=("index.html", "index.htm"), fallback="/docs/404.html")
                ),
                route("/pub/", Files(root="/srv/pub lic", listing=True), transport=Transport(gzip=True)),
                route("/robots.txt", Files(root="/srv/etc"), Match.EXACT),
                route(r"\.map$", Respond(status=404), Match.REGEX),
            ),
        ),
        site(
            "answers.example.com",
            routes=(
                route("/", Respond(status=404)),
                route(
                    "/.well-known/matrix/server",
                    Respond(body='{"m.server": "chat.example.com:443", "$x": 1}', type="application/json"),
                    Match.EXACT,
                    headers=Headers(response=(("Access-Control-Allow-Origin", "*"),)),
                ),
                route("/inside/", Respond(body="for some"), guard=Guard(allow=("192.168.0.0/16",))),
            ),
        ),
    ]


def _upstreams() -> list[Site]:
    checked = UpstreamTls(ca="/etc/gatelodge/ca.pem", name="api.internal")
    shown = dataclasses.replace(checked, certificate="/etc/gatelodge/gate.pem", key="/etc/gatelodge/gate.key")
    php = dataclasses.replace(service("192.0.2.20", 9000, scheme="fastcgi"), script_root="/var/www/html")
    return [
        site(
            "pools.example.com",
            routes=(
                route("/", pool("192.0.2.1", "192.0.2.2", backup="192.0.2.3")),
                route("/busy/", pool("192.0.2.1", "192.0.2.2", spread=Spread.LEAST_CONN)),
                route("/address/", pool("192.0.2.1", "192.0.2.2", spread=Spread.IP_HASH)),
                route("/session/", pool("192.0.2.1", "192.0.2.2", spread=Spread.HASH, by="cookie:JSESSIONID")),
                route("/tenant/", pool("192.0.2.1", "192.0.2.2", spread=Spread.HASH, by="header:X-Tenant")),
            ),
        ),
        site(
            "secure.example.com",
            routes=(
                route("/", service("api.internal", 443, scheme="https")),
                route("/ca/", dataclasses.replace(service("192.0.2.1", 443, scheme="https", path="/"), tls=checked)),
                route("/shown/", dataclasses.replace(service("192.0.2.1", 443, scheme="https"), tls=shown)),
                route("/any/", service("192.0.2.1", 443, scheme="https")),
                route("/pkg.Service/", dataclasses.replace(service("192.0.2.1", 50052, scheme="grpcs"), tls=checked)),
                route("/pkg.Plain/", service("192.0.2.1", 50051, scheme="grpc")),
                route("/pkg.Named/", service("grpc_service", 50051, scheme="grpc")),
            ),
        ),
        site(
            "php.example.com",
            routes=(
                route("/", Files(root="/srv/php", index=("index.php",), fallback="/index.php")),
                route("/blog/", Files(root="/srv/blog", index=("index.php",), fallback="/blog/index.php")),
                route(r"\.php(/|$)", php, Match.REGEX, transport=Transport(body_size=512 * 1024**2)),
            ),
        ),
        site("socket.example.com", routes=(route("/", at_socket("/run/my app/app.sock")),)),
        site(
            "transport.example.com",
            routes=(
                route("/", service(), transport=Transport(websocket=Websocket.FORCE)),
                route(
                    "/slow/",
                    service(),
                    transport=Transport(
                        timeout=dt.timedelta(minutes=5),
                        connect_timeout=dt.timedelta(milliseconds=500),
                        body_size=10 * 1024**2,
                        buffering=False,
                        request_buffering=False,
                        gzip=True,
                    ),
                ),
                route("/large/", service(), transport=Transport(temp_file_limit=0)),
            ),
        ),
    ]


def _guarded() -> list[Site]:
    closed = site("closed.example.com")
    asking = site("certificates.example.com", listen=(Listener(port=10443),))
    tampered = site(
        "snippet.example.com", routes=(route("/", service(), snippet="proxy_cookie_path / /app/;\nproxy_cache off;"),)
    )
    security = Headers(
        request=(("X-Tenant", "$1"), ("Accept-Encoding", "")),
        response=(("X-Robots-Tag", "none"),),
        hide=("X-Powered-By",),
        security=True,
    )
    return [
        dataclasses.replace(
            site(
                "guarded.example.com",
                routes=(
                    route("/", service(), guard=Guard(auth="family"), headers=security),
                    route(
                        "/lan/", service(), guard=Guard(allow=("192.168.0.0/16", "fd00::/8"), deny=("192.168.7.0/24",))
                    ),
                    route(
                        "/either/",
                        service(),
                        guard=Guard(auth="family", allow=("10.0.0.0/8",), satisfy_any=True),
                    ),
                    route(
                        "/api/",
                        service(),
                        guard=Guard(rate=Rate(requests=10, burst=20), connections=8),
                        error_pages=((404, "/srv/pages/404.html"), (502, "/srv/pages/502.html")),
                    ),
                    route("/sso/", service(), guard=Guard(auth="authelia")),
                    route("/pages/", service("app", 8080), guard=Guard(auth="authentik")),
                ),
            ),
            hsts=Hsts.ON,
        ),
        dataclasses.replace(closed, maintenance=Maintenance(allow=("192.168.0.0/16",))),
        dataclasses.replace(
            asking, client_certificates=ClientCertificates(ca="/etc/gatelodge/clients.pem", optional=True)
        ),
        dataclasses.replace(tampered, snippet="charset utf-8;", key='sites."snippet.example.com"'),
    ]


def everything(version: str) -> tuple[Desired, Observed]:
    """
    Return what asks for it, and a world with an nginx of this version.
    """
    sites = [*_routing(), *_upstreams(), *_guarded(), site("plain.example.com", tls=False)]
    settings = NginxSettings(
        public_https_port=2443,
        access_log="/var/log/gatelodge/access.log",
        listen=(
            (Listener(port=443), ListenSettings(http3=True)),
            (Listener(port=8443), ListenSettings(tls_profile=TlsProfile.MODERN)),
            (Listener(port=9443), ListenSettings(proxy_protocol=("192.0.2.0/24",))),
        ),
        trusted_proxies=TrustedProxies(networks=("198.51.100.0/24",), header="CF-Connecting-IP"),
        http_snippet="map $http_user_agent $is_robot {\n    default 0;\n    ~*bot 1;\n}",
    )
    wanted = dataclasses.replace(
        desired(*sites, settings=settings),
        auth={
            "family": BasicAuth(realm="Family", users=(("ann", Secret("$2y$05$made.up")),)),
            "authelia": ForwardAuth(kind=ForwardKind.AUTHELIA, service=service("192.0.2.30", 9091)),
            "authentik": ForwardAuth(kind=ForwardKind.AUTHENTIK, service=service("authentik_server", 9000)),
        },
    )
    found = nginx(*map(int, version.split(".")))
    more = {"http_auth_request_module", "http_realip_module", *(["http_v3_module"] if found.at_least(1, 25, 0) else [])}
    found = dataclasses.replace(
        found, modules=found.modules | more, openssl=(3, 5) if found.at_least(1, 25, 0) else (3, 0)
    )
    certificates = [held(each.certificates[0], *each.names) for each in sites if each.certificates]
    return wanted, observed(*certificates, found=found)
