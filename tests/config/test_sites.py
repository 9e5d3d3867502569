"""
What the keys of a site and its routes become: actions, what is inherited, who may come, what is said beside the body.
"""

from __future__ import annotations

import datetime as dt

import pytest

from gatelodge.config.read import read
from gatelodge.config.shape import Config, SiteSection, Tls
from gatelodge.config.values.networks import BUILT_IN as NETWORKS
from gatelodge.model import (
    Balance,
    BasicAuth,
    CaSubject,
    ClientCertificates,
    FileIssuer,
    Files,
    ForwardAuth,
    ForwardKind,
    Guard,
    Headers,
    Hsts,
    KeyKind,
    Listener,
    ListenSettings,
    Maintenance,
    Match,
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
)

_HASH = "$2y$06$QEcYG45CM1YdPRbgtweAOujYPPwEM3zZ7295NdewSMZ57igBp300K"


def site(text: str, rest: str = "") -> SiteSection:
    """
    Return the site a.lan with these keys.
    """
    config = read(f'[sites."a.lan"]\ntls = "local"\n{text}\n{rest}')
    return config.sites["a.lan"]


def route(text: str, rest: str = "") -> Route:
    """
    Return the last route of the site with these keys.
    """
    return site(text, rest).routes[-1]


def pool(text: str) -> Pool:
    """
    Return the upstream of the last route of the site with these keys.
    """
    action = route(text).action
    assert isinstance(action, Pool)
    return action


def test_hosts_can_be_expressions_and_some_lead_to_the_first() -> None:
    """
    An expression stays as it is written; those that are redirected are hosts too, and on the certificate.
    """
    config = read(
        r"""
        acme.agree_tos = true
        certificates.x.names = ["example.com", "www.example.com", "b.example.com"]
        [sites."example.com"]
        hosts = ["b.example.com", '~^App-[0-9]{1,3}\.example\.com$']
        redirect_hosts = ["WWW.example.com"]
        certificate = "x"
        upstream = "http://x"
        """
    )
    section = config.sites["example.com"]
    assert section.hosts == ("example.com", "b.example.com", r"~^App-[0-9]{1,3}\.example\.com$")
    assert section.redirect_hosts == ("www.example.com",)
    assert section.names == ("example.com", "b.example.com", "www.example.com")
    assert config.dynamic_hosts == section.names


def test_a_certificate_of_ones_own() -> None:
    """
    Two files, and no CA is asked.
    """
    config = read('sites."a.example" = { upstream = "http://x", tls = { certificate = "/c.pem", key = "/k.pem" } }')
    section = config.sites["a.example"]
    assert (section.tls, section.files) == (Tls.FILES, FileIssuer(certificate="/c.pem", key="/k.pem"))
    assert site('upstream = "http://x"').files is None


@pytest.mark.parametrize(
    ("written", "keys"),
    [
        ('"rsa-4096"', (KeyKind.RSA_4096,)),
        ('["ecdsa-p256", "rsa-2048"]', (KeyKind.ECDSA_P256, KeyKind.RSA_2048)),
        ('["rsa-2048"]', (KeyKind.RSA_2048,)),
    ],
)
def test_keys_are_of_one_kind_or_of_both(written: str, keys: tuple[KeyKind, ...]) -> None:
    """
    In [acme], a certificate and a site alike.
    """
    config = read(
        f"""
        acme = {{ agree_tos = true, key = {written} }}
        certificates.x = {{ names = ["a.example"], key = {written} }}
        sites."b.lan" = {{ upstream = "http://x", tls = "local", key = {written} }}
        """
    )
    assert config.acme is not None
    assert config.acme.keys == config.certificates["x"].keys == config.sites["b.lan"].keys == keys


def test_what_holds_for_all_of_a_site() -> None:
    """
    HSTS, certificates of visitors, maintenance; each in its short form too.
    """
    whole = site(
        """
        upstream = "http://x"
        hsts = "on"
        client_certificates = { ca = "/ca.pem", optional = true, depth = 3 }
        maintenance = { page = "/page.html", allow = "192.0.2.1", retry_after = "1h" }
        snippet = "# hello"
        """
    )
    assert whole.hsts is Hsts.ON
    assert whole.client_certificates == ClientCertificates(ca="/ca.pem", optional=True, depth=3)
    assert whole.maintenance == Maintenance(
        page="/page.html", allow=("192.0.2.1/32",), retry_after=dt.timedelta(hours=1)
    )
    assert whole.snippet == "# hello\n"
    assert (whole.key, whole.routes[0].key, whole.routes[0].snippet) == ('sites."a.lan"', 'sites."a.lan"', "")
    short = site('upstream = "http://x"\nclient_certificates = "/ca.pem"\nmaintenance = "/page.html"')
    assert short.client_certificates == ClientCertificates(ca="/ca.pem")
    assert short.maintenance == Maintenance(page="/page.html")
    assert site('upstream = "http://x"\nmaintenance = true').maintenance == Maintenance()
    assert site('upstream = "http://x"\nmaintenance = false').maintenance is None


@pytest.mark.parametrize(
    ("written", "upstream"),
    [
        ("http://x", Upstream(scheme="http", host="x", port=80)),
        ("https://x", Upstream(scheme="https", host="x", port=443)),
        ("GRPC://x", Upstream(scheme="grpc", host="x", port=80)),
        ("grpcs://x", Upstream(scheme="grpcs", host="x", port=443)),
        ("http://unix:/run/app.sock", Upstream(scheme="http", socket="/run/app.sock")),
        ("http://unix:/run/app.sock:/", Upstream(scheme="http", socket="/run/app.sock", path="/")),
        ("https://unix:/run/app.sock:/a%20b", Upstream(scheme="https", socket="/run/app.sock", path="/a%20b")),
        ("grpc://unix:/run/app.sock", Upstream(scheme="grpc", socket="/run/app.sock")),
        ("http://unix:/run/app.sock:", Upstream(scheme="http", socket="/run/app.sock")),
    ],
)
def test_upstreams_have_schemes_and_sockets(written: str, upstream: Upstream) -> None:
    """
    Each scheme with its port, sockets as nginx writes them.
    """
    assert pool(f'upstream = "{written}"') == Pool.of(upstream)


def test_fastcgi_has_its_scripts() -> None:
    """
    Also by what the site says of them for its routes.
    """
    assert pool('upstream = "fastcgi://php"\nscript_root = "/var/www"') == Pool(
        servers=(Server(upstream=Upstream(scheme="fastcgi", host="php", port=9000)),), script_root="/var/www"
    )
    routed = pool(
        'respond = {}\nscript_root = "/var/www"\nroutes."/app/" = { upstream = "fastcgi://unix:/run/php.sock", script_index = "app.php" }'
    )
    assert (routed.script_root, routed.index, routed.first.socket) == ("/var/www", "app.php", "/run/php.sock")


def test_several_servers() -> None:
    """
    A list of URLs and tables; a single table is a list of one.
    """
    assert pool(
        """
        upstream = ["http://x", { url = "http://y", weight = 3, max_fails = 0, fail_timeout = "1m" }, { url = "http://z", backup = true }]
        balance = "least_conn"
        """
    ) == Pool(
        servers=(
            Server(upstream=Upstream(scheme="http", host="x", port=80)),
            Server(
                upstream=Upstream(scheme="http", host="y", port=80),
                weight=3,
                max_fails=0,
                fail_timeout=dt.timedelta(minutes=1),
            ),
            Server(upstream=Upstream(scheme="http", host="z", port=80), backup=True),
        ),
        balance=Balance(spread=Spread.LEAST_CONN),
    )
    assert pool('upstream = { url = "http://x", max_fails = 0 }').servers[0].max_fails == 0


@pytest.mark.parametrize(
    ("written", "balance"),
    [
        ("round_robin", Balance()),
        ("ip_hash", Balance(spread=Spread.IP_HASH)),
        ("hash:uri", Balance(spread=Spread.HASH, by="uri")),
        ("hash:address", Balance(spread=Spread.HASH, by="address")),
        ("hash:cookie:sid", Balance(spread=Spread.HASH, by="cookie:sid")),
        ("hash:header:X-User", Balance(spread=Spread.HASH, by="header:X-User")),
    ],
)
def test_ways_to_choose_a_server(written: str, balance: Balance) -> None:
    """
    Words of nginx's, and what a hash is made of.
    """
    assert pool(f'upstream = ["http://x", "http://y"]\nbalance = "{written}"').balance == balance


def test_an_encrypted_upstream_and_how_it_is_spoken_to() -> None:
    """
    A site's word holds for its routes where they are encrypted, and nowhere else.
    """
    section = site(
        """
        upstream = "https://x"
        upstream_tls = { verify = true, name = "Y.example", ca = "/ca.pem", certificate = "/c.pem", key = "/k.pem" }
        routes."/a/" = "https://192.0.2.1"
        routes."/b/" = { upstream = "https://192.0.2.1", upstream_tls = { verify = false } }
        routes."/c/" = "http://z"
        """
    )
    tls = UpstreamTls(verify=True, name="y.example", ca="/ca.pem", certificate="/c.pem", key="/k.pem")
    assert [each.action.tls for each in section.routes if isinstance(each.action, Pool)] == [
        tls,
        tls,
        UpstreamTls(verify=False),
        UpstreamTls(),
    ]


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ('static = "/srv/www/"', Files(root="/srv/www")),
        (
            'static = { root = "/srv", index = ["a.html", "b.html"], fallback = "/a.html", listing = true }',
            Files(root="/srv", index=("a.html", "b.html"), fallback="/a.html", listing=True),
        ),
        ('redirect_to = "https://B.Lan:8443/x?y=z"', Redirect(url="https://b.lan:8443/x?y=z", keep_path=False)),
        ('redirect_to = "http://[::1]"', Redirect(url="http://[::1]")),
        (
            'redirect_to = { url = "https://b.lan", code = 308, keep_path = false }',
            Redirect(url="https://b.lan", code=308, keep_path=False),
        ),
        ('routes."/a" = { match = "exact", redirect_to = "/b/" }', Redirect(url="/b/")),
        ("routes.'^/a' = { match = 'regex', redirect_to = '/b/' }", Redirect(url="/b/", keep_path=False)),
        ("routes.'^/a' = { match = 'regex', redirect_to = 'https://b.lan' }", Redirect(url="https://b.lan")),
        ("respond = {}", Respond()),
        (
            """respond = { status = 404, body = '{"$": 1}', type = "application/json" }""",
            Respond(status=404, body='{"$": 1}', type="application/json"),
        ),
        ("respond = { status = 444 }", Respond(status=444)),
    ],
)
def test_what_else_is_done_than_passing_on(text: str, action: object) -> None:
    """
    Files, redirections, answers, in their short forms and whole.
    """
    assert route(text).action == action


def test_routes_are_compared_in_three_ways() -> None:
    """
    An expression need not begin with a slash. The order of the file stays.
    """
    section = site(
        r"""
        upstream = "http://x"
        routes."/" = { match = "exact", redirect_to = "/web/" }
        routes.'\.php$' = { match = "regex", respond = { status = 403 } }
        routes."/a" = "http://y"
        """
    )
    assert [(each.match, each.path) for each in section.routes] == [
        (Match.PREFIX, "/"),
        (Match.EXACT, "/"),
        (Match.REGEX, r"\.php$"),
        (Match.PREFIX, "/a"),
    ]
    assert section.routes[2].key == r'sites."a.lan".routes."\\.php$"'


@pytest.mark.parametrize(
    ("own", "inner", "action"),
    [
        ('upstream = "http://x"', "/api/", "http://x:80"),
        ('upstream = "http://x/"', "/api/", "http://x:80"),
        ('upstream = "http://x/base/"', "/api/", "http://x:80/base/api/"),
        ('upstream = "http://x/base/"', "/a b/ü", "http://x:80/base/a%20b/%C3%BC"),
        ('upstream = "http://unix:/run/x.sock:/base/"', "/api/", "http://unix:/run/x.sock:/base/api/"),
        ('upstream = "http://x"', "/", "http://x:80"),
        ('static = "/srv/www"', "/api/", "/srv/www/api"),
        ('static = "/srv/www"', "/api", "/srv/www/api"),
        ('redirect_to = "https://b.lan/x"', "/api/", "https://b.lan/x/api/"),
        ('redirect_to = { url = "https://b.lan/x", keep_path = false }', "/api/", "https://b.lan/x"),
        ("respond = { status = 404 }", "/api/", "404"),
    ],
)
def test_a_route_that_says_no_action_does_what_its_site_does(own: str, inner: str, action: str) -> None:
    """
    At its own path, so that nothing but what it says is other than without it.
    """
    inherited = route(f'{own}\nroutes."{inner}" = {{ hide_headers = ["X-A"] }}')
    assert str(inherited.action) == action
    assert inherited.headers == Headers(hide=("X-A",))
    assert inherited.path == inner


def test_what_a_site_does_at_an_expression_or_an_exact_path() -> None:
    """
    An expression stands for no path: files are looked for by the whole of it, as at an exact path.
    """
    expression = 'routes."a$" = { match = "regex", gzip = true }'
    assert str(route(f'static = "/srv"\n{expression}').action) == "/srv"
    assert str(route(f'upstream = "http://x/"\n{expression}').action) == "http://x:80"
    assert str(route(f'redirect_to = "https://b.lan"\n{expression}').action) == "https://b.lan"
    assert str(route('static = "/srv"\nroutes."/a" = { match = "exact", gzip = true }').action) == "/srv"
    assert (
        str(route('upstream = "http://x/b/"\nroutes."/a" = { match = "exact", gzip = true }').action)
        == "http://x:80/b/a"
    )


def test_a_route_for_the_root_that_only_says_more_takes_the_sites_place() -> None:
    """
    There is one route for `/`, not two.
    """
    (only,) = site('upstream = "http://x"\nauth = "p"\nroutes."/" = { auth = "off" }', _SERVICE).routes
    assert (only.path, only.guard.auth, only.key) == ("/", None, 'sites."a.lan".routes."/"')


def test_a_path_is_taken_away() -> None:
    """
    The upstream sees what follows it. `/app` becomes `/app/`, so that `/appendix` is not caught.
    """
    for written in ("/app", "/app/"):
        stripped = route(f'upstream = "http://x"\nroutes."{written}" = {{ strip = true }}')
        assert (stripped.path, str(stripped.action)) == ("/app/", "http://x:80/")
    whole = route('upstream = "http://x"\nroutes."/app" = { strip = false, upstream = "http://y" }')
    assert (whole.path, str(whole.action)) == ("/app", "http://y:80")


def test_a_path_at_another_port_of_the_same_upstream() -> None:
    """
    At every server of it, with everything else that was said of it.
    """
    action = pool('upstream = ["http://x:1", "http://y:2"]\nbalance = "ip_hash"\nroutes."/hub" = { port = 3012 }')
    assert (str(action), action.balance.spread) == ("http://x:3012, http://y:3012", Spread.IP_HASH)
    assert (
        str(pool('upstream = "http://x/b/"\nroutes."/hub" = { port = 3012, strip = false }')) == "http://x:3012/b/hub"
    )
    assert str(pool('upstream = "http://x"\nroutes."/hub" = { port = 3012, strip = true }')) == "http://x:3012/"


def test_how_bytes_go_through_is_inherited_key_by_key() -> None:
    """
    A route's word stands for itself alone.
    """
    section = site(
        """
        upstream = "http://x"
        timeout = "90s"
        buffering = false
        request_buffering = false
        temp_file_limit = "0"
        gzip = true
        routes."/a/" = { buffering = true, temp_file_limit = "2g" }
        """
    )
    said = Transport(
        timeout=dt.timedelta(seconds=90), buffering=False, request_buffering=False, temp_file_limit=0, gzip=True
    )
    assert section.routes[0].transport == said
    assert section.routes[1].transport == Transport(
        timeout=said.timeout, buffering=True, request_buffering=False, temp_file_limit=2 << 30, gzip=True
    )


_SERVICE = '[auth.p]\nprovider = "authelia"\nurl = "http://authelia:9091"\n'


def test_who_may_come_is_inherited_key_by_key() -> None:
    """
    Networks by name, and off where a route says so.
    """
    section = site(
        """
        upstream = "http://x"
        auth = "p"
        allow = ["lan", "office", "10.0.0.0/8"]
        deny = "192.0.2.1"
        satisfy = "any"
        rate = "10/s"
        connections = 20
        routes."/a/" = { auth = "off", rate = { requests = "300/m", burst = 5 } }
        routes."/b/" = { auth = false, allow = "all", deny = [], satisfy = "all" }
        """,
        f'[nets]\noffice = ["203.0.113.0/24", "2001:db8::/32"]\n{_SERVICE}',
    )
    allow = (*NETWORKS["lan"], "203.0.113.0/24", "2001:db8::/32")
    whole = Guard(
        auth="p",
        allow=allow,
        deny=("192.0.2.1/32",),
        satisfy_any=True,
        rate=Rate(requests=10, seconds=1, burst=10),
        connections=20,
    )
    assert section.routes[0].guard == whole
    assert section.routes[1].guard == Guard(
        allow=allow, deny=whole.deny, rate=Rate(requests=300, seconds=60, burst=5), connections=20
    )
    assert section.routes[2].guard == Guard(allow=("0.0.0.0/0", "::/0"), rate=whole.rate, connections=20)


def test_headers_and_error_pages_are_merged_name_by_name() -> None:
    """
    However a name is written; the route's word wins. A `$` and a quote are themselves, an empty request header is none.
    """
    section = site(
        """
        upstream = "http://x"
        headers = { X-One = "1 $x \\"q\\"", x-two = "2" }
        request_headers = { Host = "other", Referer = "" }
        hide_headers = ["X-A", "x-a", "X-B"]
        security_headers = true
        error_pages = { 404 = "/e/404.html", 502 = "/e/502.html" }
        routes."/a/" = { headers.X-Two = "zwei", request_headers.referer = "r", hide_headers = [], security_headers = false, error_pages.404 = "/a.html" }
        """
    )
    assert section.routes[0].headers == Headers(
        request=(("Host", "other"), ("Referer", "")),
        response=(("X-One", '1 $x "q"'), ("x-two", "2")),
        hide=("x-a", "X-B"),
        security=True,
    )
    assert section.routes[0].error_pages == ((404, "/e/404.html"), (502, "/e/502.html"))
    assert section.routes[1].headers == Headers(
        request=(("Host", "other"), ("referer", "r")), response=(("X-One", '1 $x "q"'), ("X-Two", "zwei"))
    )
    assert section.routes[1].error_pages == ((404, "/a.html"), (502, "/e/502.html"))


def test_who_is_asked() -> None:
    """
    Passwords here or in a file, and each service. A hash is a secret.
    """
    users = {
        "alice": _HASH,
        "bob": "$5$saltsalt$" + "a" * 43,
        "carol": "$6$rounds=5000$saltsalt$" + "a" * 86,
        "dave": "$apr1$saltsalt$" + "a" * 22,
        "eve": "{SSHA}" + "a" * 32 + "==",
        "Frank Ü": _HASH.replace("$2y$", "$2b$"),
    }
    listed = ", ".join(f'"{name}" = "{value}"' for name, value in users.items())
    config = read(
        f"""
        [auth]
        own = {{ provider = "basic", users = {{ {listed} }}, realm = "For $friends" }}
        theirs = {{ provider = "basic", users_file = "/srv/htpasswd" }}
        a = {{ provider = "authelia", url = "http://authelia:9091", sign_in = "https://auth.example.com/" }}
        b = {{ provider = "authentik", url = "https://authentik:9443", sign_in = "https://authentik.example.com" }}
        c = {{ provider = "tinyauth", url = "http://tinyauth:3000", sign_in = "https://Auth.example.com:2443" }}
        e = {{ provider = "tinyauth", url = "http://tinyauth:3000" }}
        d = {{ provider = "oauth2-proxy", url = "http://unix:/run/o.sock" }}
        """
    )
    assert config.auth["own"] == BasicAuth(
        realm="For $friends", users=tuple((name, Secret(value)) for name, value in users.items())
    )
    assert config.auth["theirs"] == BasicAuth(realm="theirs", file="/srv/htpasswd")
    services = {name: each for name, each in config.auth.items() if isinstance(each, ForwardAuth)}
    assert {name: (each.kind, str(each.service), each.sign_in) for name, each in services.items()} == {
        "a": (ForwardKind.AUTHELIA, "http://authelia:9091", "https://auth.example.com/"),
        "b": (ForwardKind.AUTHENTIK, "https://authentik:9443", "https://authentik.example.com"),
        "c": (ForwardKind.TINYAUTH, "http://tinyauth:3000", "https://auth.example.com:2443"),
        "e": (ForwardKind.TINYAUTH, "http://tinyauth:3000", None),
        "d": (ForwardKind.OAUTH2_PROXY, "http://unix:/run/o.sock", None),
    }
    assert config.exposed == ("auth.own.users",)
    assert len(config.warnings) == 7


def test_what_holds_for_listeners_and_for_nginx_as_a_whole() -> None:
    """
    By port or address and port; who stands before this gate; what the local CA calls itself; snippets.
    """
    config = read(
        """
        [listen.443]
        tls_profile = "modern"
        http3 = true
        [listen."127.0.0.1:8443"]
        proxy_protocol = "192.0.2.1"
        [listen.80]
        proxy_protocol = ["lan"]
        [nginx]
        trusted_proxies = ["cloudflare", "192.0.2.0/24"]
        real_ip_header = "CF-Connecting-IP"
        http_snippet = "map $a $b { default 1; }"
        stream_snippet = "tcp_nodelay on;\\r\\n  # end"
        [resolver]
        valid = "30s"
        [ca]
        common_name = "Home"
        organization = "Müller"
        organizational_unit = "IT"
        country = "de"
        state = "Hessen"
        locality = "Kassel"
        [sites."a.lan"]
        tls = "local"
        listen = [443, "127.0.0.1:8443"]
        upstream = "http://x"
        """
    )
    nginx = config.nginx
    assert nginx.listen == (
        (Listener(port=443), ListenSettings(tls_profile=TlsProfile.MODERN, http3=True)),
        (Listener(port=8443, address="127.0.0.1"), ListenSettings(proxy_protocol=("192.0.2.1/32",))),
        (Listener(port=80), ListenSettings(proxy_protocol=NETWORKS["lan"])),
    )
    assert nginx.trusted_proxies == TrustedProxies(
        networks=(*NETWORKS["cloudflare"], "192.0.2.0/24"), header="CF-Connecting-IP"
    )
    assert read('nginx.trusted_proxies = "lan"').nginx.trusted_proxies == TrustedProxies(networks=NETWORKS["lan"])
    assert (nginx.http_snippet, nginx.stream_snippet) == (
        "map $a $b { default 1; }\n",
        "tcp_nodelay on;\n  # end\n",
    )
    assert nginx.resolver_valid == dt.timedelta(seconds=30)
    assert config.ca_subject == CaSubject(
        common_name="Home",
        organization="Müller",
        organizational_unit="IT",
        country="DE",
        state="Hessen",
        locality="Kassel",
    )
    assert config.warnings == ()


def test_a_redirection_that_ends_is_none_for_ever() -> None:
    """
    To another site, another scheme, another port, or a path that another route answers.
    """
    config = read(
        """
        [sites."a.lan"]
        tls = "local"
        redirect_to = "/web/"
        routes."/web/" = "http://x"
        [sites."b.lan"]
        tls = "local"
        redirect_to = "http://b.lan"
        [sites."c.lan"]
        tls = "local"
        redirect_to = "https://c.lan:8443"
        [sites."d.lan"]
        tls = "local"
        upstream = "http://x"
        routes."/" = { match = "exact", redirect_to = "/web/" }
        """
    )
    assert isinstance(config, Config)
    assert config.warnings == ()
