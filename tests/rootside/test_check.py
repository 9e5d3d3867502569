"""
What of a tree is let through: all that is rendered, and nothing else. The hostile rows are what somebody would write who holds the
daemon and wants to be root.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import re

import pytest
from crossplane.lexer import _lex_file_object
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.live.test_nginx_quote import HOSTILE
from tests.nginx.test_render import EXAMPLES
from tests.nginx.trees import NOW, STATE, desired, held, nginx, observed, site
from tests.support.rootside import COPY, checked, rendered, texts

from gatelodge.core.tree import Quarantine
from gatelodge.model import (
    AcmeIssuer,
    Balance,
    CertificateSpec,
    ForwardAuth,
    ForwardKind,
    Guard,
    Headers,
    Hsts,
    Listener,
    Maintenance,
    Match,
    Name,
    NginxSettings,
    Pool,
    Rate,
    Redirect,
    Respond,
    Route,
    Server,
    Spread,
    Transport,
    Upstream,
    Websocket,
)
from gatelodge.nginx.writing.quote import Verbatim, quote
from gatelodge.rootside import rules
from gatelodge.rootside.rules import Ground
from gatelodge.rootside.syntax import HEADER, RefusedError

GROUND = Ground(state=STATE, webroot=f"{STATE}/webroot")
VERSIONS = ("1.18.0", "1.22.1", "1.28.0")

CHAT = texts(rendered(*EXAMPLES["1.28.0"]))
OLD = texts(rendered(*EXAMPLES["1.22.1"]))
SITE = "sites/chat.example.com.conf"


def directives(text: str) -> set[str]:
    """
    Return what crossplane's lexer takes for names of directives: a second opinion on what nginx would read.
    """
    found, first = set(), True
    for token, _, quoted in _lex_file_object(io.StringIO(text)):
        if first and not (token == "}" and not quoted) and not token.startswith("#"):
            found.add(token)
        first = not quoted and (token in ("{", "}", ";") or token.startswith("#"))
    return found


#: Keys of `geo` and `map`, which stand where names of directives stand, and what the copy adds.
DATA = re.compile(r'|default|https|websocket|volatile|[0-9a-f:./]+|"?~.*')
KNOWN = rules.names() | {"disable_symlinks", "types"}


def strange(text: str) -> set[str]:
    """
    Return the directives of a text that no tree may hold.
    """
    return {name for name in directives(text) - KNOWN if not DATA.fullmatch(name)}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_rendered_is_let_through(version: str) -> None:
    """
    For each nginx; only the lines that name certificates and the webroot are others in the copy, and no path of the daemon's but the
    webroot is left.
    """
    files = texts(rendered(*EXAMPLES[version]))
    copies = checked(files, GROUND)

    for file, copy in copies.items():
        pairs = list(zip(files[file].split("\n"), copy.split("\n"), strict=True))
        changed = [before.split() for before, after in pairs if before != after]
        assert {words[0] for words in changed} <= {"ssl_certificate", "ssl_certificate_key", "root"}
        assert {line for line in copy.split("\n") if STATE in line.replace(COPY, "")} <= {
            f"{' ' * indent}root {STATE}/webroot; disable_symlinks on from={GROUND.trusted}; types {{ }}"
            for indent in (4, 8)
        }
        assert strange(copy) == set()
    assert "ssl_certificate " in copies[SITE]


def test_everything_a_daemon_writes_besides_is_let_through() -> None:
    """
    Snippets, a site kept back with and without a text, one that has somebody else's name, one that cannot be written, and no
    default server.
    """
    names = ("a.example.com", "b.example.com", "c.example.com", "d.example.com")
    world = [held(each) for each in names]
    broken = site(names[3], routes=(Route(path="/a\nb", action=Pool.of(Upstream(scheme="http", host="x", port=1))),))
    wanted = desired(*map(site, names[:3]), broken, settings=NginxSettings(default_server=False, address="192.0.2.9"))
    specs = {
        each: CertificateSpec(name=each, names=(Name(each),), issuer=AcmeIssuer(ca="letsencrypt")) for each in names
    }
    object.__setattr__(wanted, "certificates", specs)
    object.__setattr__(wanted, "resolver", ("192.0.2.53:53", "[2001:db8::53]:53"))
    first = rendered(wanted, observed(*world))
    hold = {"since": NOW, "retry_at": NOW}
    quarantines = (
        Quarantine(site=names[0], digest=first.fresh[names[0]], error="x", kept=first.sites[names[0]], **hold),
        Quarantine(site=names[1], digest=first.fresh[names[1]], error="x", **hold),
        Quarantine(site=names[2], digest=first.fresh[names[2]], error='conflicting server name "c"', **hold),
    )
    files = texts(rendered(wanted, observed(*world, quarantines=quarantines)))

    assert {f"tls/{each}.conf" for each in names} < files.keys()
    assert "Not served as asked" in files[f"sites/{names[3]}.conf"]
    assert "Left out" in files[f"sites/{names[2]}.conf"]
    assert checked(files, GROUND).keys() == files.keys() - {"http.conf"}


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_route_of_any_name_is_let_through(version: str, text: str) -> None:
    """
    The strings that broke others; on an old nginx they stand in a regular expression, too.
    """
    upstream = Upstream(scheme="https", host="api_1", port=8443, path="/v1/%24%7B/")
    wanted = desired(site("a.example.com", routes=(Route(path=f"/{text}", action=Pool.of(upstream)),)))
    found = nginx(*map(int, version.split(".")))
    copies = checked(texts(rendered(wanted, observed(held("a.example.com"), found=found))), GROUND)

    assert strange(copies["sites/a.example.com.conf"]) == set()


PATHS = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=60)
LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
#: nginx takes a host called `unix` for a socket's path, and so it is refused.
SERVICES = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,10}[a-z0-9_])?", fullmatch=True).filter(lambda name: name != "unix")
UPSTREAMS = st.builds(
    Upstream,
    scheme=st.sampled_from(["http", "https"]),
    host=st.one_of(SERVICES, st.ip_addresses().map(str), st.just("localhost")),
    port=st.integers(1, 65535),
    path=st.none() | st.from_regex(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]{0,20}", fullmatch=True),
)
LENGTHS = st.timedeltas(min_value=dt.timedelta(milliseconds=1), max_value=dt.timedelta(days=365))
TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=60)
BODIES = st.text(st.characters(exclude_categories=("Cc", "Cs"), include_characters="\n\r\t"), max_size=60)
NETWORKS = st.lists(st.sampled_from(["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]), max_size=2, unique=True).map(
    tuple
)
PAIRS = st.lists(st.tuples(st.sampled_from(["X-One", "X-Two_b"]), TEXTS), max_size=2).map(tuple)
ROUTES = st.builds(
    Route,
    path=PATHS.map(lambda text: f"/{text}"),
    action=st.one_of(
        UPSTREAMS.map(Pool.of),
        st.builds(
            Pool,
            servers=st.lists(
                st.builds(
                    Server,
                    upstream=st.builds(
                        Upstream, scheme=st.just("http"), host=st.ip_addresses().map(str), port=st.integers(1, 65535)
                    ),
                    weight=st.integers(1, 9),
                    max_fails=st.integers(0, 9),
                    fail_timeout=st.timedeltas(min_value=dt.timedelta(seconds=1), max_value=dt.timedelta(days=1)),
                    backup=st.just(value=False),
                ),
                min_size=2,
                max_size=3,
            ).map(tuple),
            balance=st.sampled_from(
                [
                    Balance(spread=Spread.LEAST_CONN),
                    Balance(spread=Spread.IP_HASH),
                    Balance(spread=Spread.HASH, by="cookie:sid"),
                    Balance(spread=Spread.HASH, by="header:X-User"),
                ]
            ),
        ),
        st.just(Pool.of(Upstream(scheme="grpcs", host="api_1", port=50051))),
        st.builds(
            Redirect,
            url=st.just("https://other.example.com/x"),
            code=st.sampled_from([301, 308]),
            keep_path=st.booleans(),
        ),
        st.builds(Respond, status=st.sampled_from([200, 404]), body=BODIES, type=st.just("application/json")),
    ),
    transport=st.builds(
        Transport,
        timeout=LENGTHS,
        connect_timeout=LENGTHS,
        body_size=st.integers(0, 2**62),
        websocket=st.sampled_from(Websocket),
        buffering=st.booleans(),
        request_buffering=st.booleans(),
        temp_file_limit=st.none() | st.integers(0, 2**40),
        gzip=st.booleans(),
    ),
    match=st.sampled_from([Match.PREFIX, Match.EXACT]),
    guard=st.builds(
        Guard,
        auth=st.none() | st.sampled_from(list(ForwardKind)),
        allow=NETWORKS,
        deny=NETWORKS,
        satisfy_any=st.booleans(),
        rate=st.none()
        | st.builds(Rate, requests=st.integers(1, 999), seconds=st.sampled_from([1, 60]), burst=st.integers(0, 99)),
        connections=st.none() | st.integers(1, 999),
    ),
    headers=st.builds(Headers, request=PAIRS, response=PAIRS, hide=st.just(("X-Powered-By",)), security=st.booleans()),
    error_pages=st.just(()),
    snippet=st.just(""),
    key=TEXTS,
)
LISTENERS = st.builds(
    Listener,
    port=st.integers(1, 65535),
    address=st.one_of(st.just(""), st.ip_addresses().map(str)),
)
HOSTS = st.one_of(
    st.tuples(LABEL, LABEL).map(".".join),
    st.tuples(LABEL, LABEL).map(lambda labels: f"*.{'.'.join(labels)}"),
    st.ip_addresses().map(str),
)
SITES = st.builds(
    lambda closed, hsts, *hosts, **more: dataclasses.replace(site(*hosts, **more), maintenance=closed, hsts=hsts),
    st.none() | st.builds(Maintenance, allow=NETWORKS),
    st.sampled_from(Hsts),
    HOSTS,
    listen=st.lists(LISTENERS, max_size=3, unique=True).map(tuple),
    routes=st.lists(ROUTES, min_size=1, max_size=3).map(tuple),
    tls=st.booleans(),
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(SITES, max_size=3, unique_by=lambda each: each.file_name), st.sampled_from(VERSIONS), st.booleans())
def test_any_site_is_let_through(sites: list, version: str, bundle: bool) -> None:  # type: ignore[type-arg] # noqa: FBT001 - given by Hypothesis
    """
    Whatever hosts, listeners, routes and upstreams a configuration can hold.
    """
    found = nginx(*map(int, version.split(".")), ca_bundle="/etc/ssl/certs/ca-certificates.crt" if bundle else None)
    certificates = [held(each.certificates[0], *each.hosts) for each in sites if each.certificates]
    wanted = desired(*sites)
    asked = Pool.of(Upstream(scheme="http", host="auth_1", port=9091))
    services = {
        kind: ForwardAuth(kind=kind, service=asked, sign_in="https://login.example.com/") for kind in ForwardKind
    }
    object.__setattr__(wanted, "auth", services)
    found = dataclasses.replace(found, modules=found.modules | {"http_auth_request_module"})
    files = texts(rendered(wanted, observed(*certificates, found=found)))

    assert all(strange(copy) == set() for copy in checked(files, GROUND).values())


IN_SERVER = "    server_tokens off;\n"
IN_LOCATION = "        client_max_body_size 0;\n"

#: What is written, where: after a line of that context, or as the whole file.
HOSTILE_LINES = [
    # The end of a line where a header would end.
    ("location", '        proxy_set_header X "a\\r\\nEvil: b";\n'),
    ("location", '        return 200 "a\\nb$evil";\n'),
    ("location", '        return 200 "a\\bb";\n'),
    # What nobody else's business is.
    ("location", "        stub_status;\n"),
    ("server", "    location = /status {\n        stub_status;\n    }\n"),
    # Code in nginx's master, or its workers.
    ("top", "load_module /tmp/evil.so;\n"),
    ("top", "lua_package_path /tmp/?.lua;\n"),
    ("server", "    perl_modules /tmp;\n"),
    ("location", "        content_by_lua_file /tmp/x.lua;\n"),
    ("location", "        js_content evil.handler;\n"),
    ("top", "js_import /tmp/evil.js;\n"),
    ("top", "ssl_engine /tmp/evil;\n"),
    ("location", "        fastcgi_pass 127.0.0.1:9000;\n"),
    # Files that the master opens as root.
    ("top", "include /etc/shadow;\n"),
    ("server", "    include /etc/shadow;\n"),
    ("server", f"    include {STATE}/nginx/generations/7/sites/chat.example.com.conf;\n"),
    ("server", "    error_log /etc/cron.d/evil;\n"),
    ("server", "    access_log /etc/cron.d/evil;\n"),
    ("server", "    access_log off /etc/cron.d/evil;\n"),
    ("server", "    access_log syslog:server=192.0.2.1;\n"),
    ("top", 'log_format evil "* * * * * root sh";\n'),
    ("server", "    client_body_temp_path /root/evil;\n"),
    ("location", "        proxy_store /etc/cron.d/evil;\n"),
    ("location", "        proxy_temp_path /root;\n"),
    ("top", "proxy_cache_path /etc/evil keys_zone=x:1m;\n"),
    ("server", "    ssl_certificate /etc/ssl/private/other.pem;\n"),
    ("server", f"    ssl_certificate {STATE}/certificates/../../../../etc/shadow/versions/1/fullchain.pem;\n"),
    ("server", f"    ssl_certificate {STATE}/certificates/../versions/1/fullchain.pem;\n"),
    ("server", f"    ssl_certificate {STATE}/certificates/x/versions/1/../../fullchain.pem;\n"),
    ("server", f"    ssl_certificate {STATE}/certificates/x/versions/01/fullchain.pem;\n"),
    ("server", f"    ssl_certificate {STATE}/certificates/x/versions/1/privkey.pem;\n"),
    ("server", f"    ssl_certificate_key {STATE}/certificates/x/versions/{9 * 10**20}/privkey.pem;\n"),
    ("server", "    ssl_certificate_key engine:evil:key;\n"),
    ("server", "    ssl_certificate_key store:evil;\n"),
    ("server", "    ssl_certificate data:$host;\n"),
    ("server", "    ssl_certificate_key $gatelodge_upstream;\n"),
    ("server", "    ssl_password_file /etc/shadow;\n"),
    ("server", "    ssl_trusted_certificate /etc/shadow;\n"),
    ("server", "    ssl_dhparam /etc/shadow;\n"),
    ("server", "    ssl_session_ticket_key /etc/machine-id;\n"),
    ("server", "    ssl_conf_command Options KTLS;\n"),
    ("server", "    ssl_client_certificate /etc/shadow;\n"),
    ("server", "    ssl_crl /etc/shadow;\n"),
    ("server", "    proxy_ssl_trusted_certificate /etc/shadow;\n"),
    ("location", "        proxy_ssl_certificate /etc/ssl/x.pem;\n"),
    ("location", "        proxy_ssl_certificate_key /etc/ssl/x.key;\n"),
    ("location", "        proxy_ssl_password_file /etc/shadow;\n"),
    ("location", "        auth_basic_user_file /etc/shadow;\n"),
    # Files that the workers hand out.
    ("server", "    root /;\n"),
    ("location", "        root /;\n"),
    ("location", "        alias /etc/;\n"),
    ("location", "        autoindex on;\n"),
    ("location", "        try_files /etc/passwd =404;\n"),
    ("location", "        disable_symlinks off;\n"),
    ("location", "        dav_methods PUT;\n"),
    ("location", "        index /etc/passwd;\n"),
    ("server", "    location ^~ /.well-known/acme-challenge/ {\n        root /etc;\n    }\n"),
    ("server", f"    location ^~ /.well-known/acme-challenge/ {{\n        root {STATE};\n    }}\n"),
    ("server", f"    location ^~ /.well-known/acme-challenge/ {{\n        root {STATE}/webroot/..;\n    }}\n"),
    ("server", f"    location ^~ / {{\n        root {STATE}/webroot;\n    }}\n"),
    ("server", "    location ^~ /.well-known/acme-challenge/ {\n        alias /etc/;\n    }\n"),
    # Sockets of this machine.
    ("location", "        proxy_pass http://unix:/run/docker.sock;\n"),
    ("location", "        proxy_pass http://unix:/run/docker.sock:/x;\n"),
    ("location", "        proxy_pass $scheme://$host;\n"),
    ("location", "        proxy_pass http://$http_host;\n"),
    ("location", "        proxy_pass http://gatelodge_x_00000000$request_uri;\n"),
    ("location", "        set $gatelodge_upstream unix:/run/docker.sock;\n"),
    ("location", "        set $gatelodge_upstream unix:80;\n"),
    ("location", "        set $gatelodge_upstream $http_host;\n"),
    ("location", "        set $host evil;\n"),
    ("location", "        set $gatelodge_port_suffix evil;\n"),
    ("top", "upstream gatelodge_x_00000000 {\n    server unix:/run/docker.sock;\n}\n"),
    ("top", "upstream gatelodge_x_00000000 {\n    server unix:80;\n}\n"),
    ("top", "upstream evil {\n    server 127.0.0.1:80;\n}\n"),
    ("server", "    listen unix:/run/evil.sock;\n"),
    ("server", "    listen 80 so_keepalive=on;\n"),
    ("server", "    set_real_ip_from unix:;\n"),
    # A name that nginx's master would ask for, and wait.
    ("top", "upstream gatelodge_x_00000000 {\n    server slow.evil.example.com:80;\n}\n"),
    # Where nothing answers, files of an inherited root are handed out.
    ("top", "server {\n    listen 80;\n    server_name evil.example.com;\n}\n"),
    ("top", "server {\n    location /x {\n        return 404;\n    }\n}\n"),
    ("server", "    location /x {\n    }\n"),
    ("server", "    location /x {\n        client_max_body_size 1;\n    }\n"),
    ("server", "    location ^~ /.well-known/acme-challenge/ {\n        default_type text/plain;\n    }\n"),
    # Everything else of nginx's.
    ("top", "user root;\n"),
    ("top", "env LD_PRELOAD=/tmp/evil.so;\n"),
    ("top", "working_directory /root;\n"),
    ("top", "pid /etc/evil;\n"),
    ("top", "events {\n}\n"),
    ("top", "http {\n}\n"),
    ("top", "types {\n    text/html x;\n}\n"),
    ("top", "geo $gatelodge_dollar {\n    default x;\n}\n"),
    ("top", "geo $evil {\n    include /etc/shadow;\n}\n"),
    ("top", "map $http_host $gatelodge_port {\n    include /etc/shadow;\n}\n"),
    ("server", "    proxy_set_header X $ssl_client_raw_cert;\n"),
    ("server", "    proxy_set_header X $document_root;\n"),
    ("server", "    proxy_set_header X ${host;\n"),
    ("server", "    proxy_set_header X $hostname;\n"),
    ("server", '    proxy_set_header X "a $hostname";\n'),
    ("server", '    proxy_set_header X "a $document_root";\n'),
    ("server", '    proxy_set_header X "a ${document_root}";\n'),
    ("server", '    proxy_set_header X "a $";\n'),
    ("server", '    proxy_set_header X "\x00generation\x00";\n'),
    ("server", "    proxy_set_header X \x00generation\x00;\n"),
    ("server", "    add_header X y;\n"),
    ("server", "    resolver evil.example.com valid=10s;\n"),
    ("server", "    server_name ~^(?<gatelodge_port>.*)$;\n"),
    ("server", '    server_name "";\n'),
    ("location", "        return 200 $document_root;\n"),
    ("location", "        auth_basic_user_file /etc/shadow;\n"),
    ("location", "        alias /etc/;\n"),
    ("location", "        error_page 404 /etc/shadow;\n"),
    ("location", "        auth_request /evil;\n"),
    ("location", "        grpc_pass grpc://unix:/run/docker.sock;\n"),
    ("location", "        grpc_ssl_certificate_key /etc/ssl/private/x.pem;\n"),
    ("location", "        proxy_ssl_trusted_certificate /etc/shadow;\n"),
    ("server", "    ssl_client_certificate /etc/shadow;\n"),
    ("top", "upstream gatelodge_x_00000000 {\n    hash $document_root consistent;\n}\n"),
    ("location", "        rewrite ^ https://evil.example.com/ redirect;\n"),
    ("location", '        rewrite "(?s)^/(a+)+(.*)" /$1 break;\n'),
    ("location", '        rewrite "(?s)^/a(.*)" http://evil/$1 break;\n'),
    ("location", "        proxy_redirect ~^(.*)$ /;\n"),
    ("location", "        proxy_bind 192.0.2.1;\n"),
    ("location", "        client_max_body_size -1;\n"),
    ("location", "        if ($host) {\n            return 444;\n        }\n"),
    ("location", "        if (-f /etc/shadow) {\n            return 444;\n        }\n"),
    ("location", "        location /x {\n            return 404;\n        }\n"),
    ("server", "    location ~ .* {\n        return 404;\n    }\n"),
    ("server", "    location @evil {\n        return 404;\n    }\n"),
    ("server", "    ssl_session_cache shared:gatelodge_tls_00000000:99999m;\n"),
    ("server", "    ssl_session_cache shared:SSL:1m;\n"),
    ("server", "    ssl_ciphers ALL:NULL;\n"),
    ("server", "    ssl_protocols SSLv3;\n"),
    # Ways of writing that two readers may understand differently.
    ("server", "   # comment\n"),
    ("server", "    #comment\n"),
    ("server", "    server_tokens off; # comment\n"),
    ("server", "    server_tokens off; error_log /x;\n"),
    ("server", "    server_tokens  off;\n"),
    ("server", "\tserver_tokens off;\n"),
    ("server", "server_tokens off;\n"),
    ("server", "    server_tokens 'off';\n"),
    ("server", '    server_tokens "off";\n'),
    ("server", '    proxy_set_header X "a\\nb";\n'),
    ("server", '    proxy_set_header X "a\\tb";\n'),
    ("server", "    proxy_set_header X a\\;error_log;\n"),
    ("server", '    proxy_set_header X "a\n    error_log /x;\n"\n'),
    ("server", "    proxy_set_header X a\r;\n"),
    ("server", "    proxy_set_header X a\x00b;\n"),
    ("server", '    proxy_set_header X "' + "y" * 5000 + '";\n'),
    ("server", '    proxy_set_header X "a"b;\n'),
    ("server", "    server_name " + "a.example.com " * 6000 + "b;\n"),
    ("server", "\n    server_tokens off;\n"),
    ("server", "    }\n"),
    ("server", "}\nerror_log /x;\nserver {\n"),
    ("server", "    ;\n"),
    ("server", "    {\n    }\n"),
    ("top", "# Not served as asked: x\n"),
    ("top", "server\n{\n}\n"),
    ("top", "server {\n"),
    ("top", "}\n"),
    ("top", "server;\n"),
    ("top", "server evil {\n}\n"),
    ("end", "x"),
    ("end", "\nserver {\n"),
    ("end", "\nserver {\n    server_tokens off;\n"),
]  # fmt: skip


@pytest.mark.parametrize(("where", "text"), HOSTILE_LINES)
def test_a_hostile_line_is_refused_with_its_place(where: str, text: str) -> None:
    """
    In a site that is otherwise as it was rendered; nginx's own way to name a place is at the end, so that the daemon finds the site.
    """
    before = CHAT[SITE]
    after = {"top": HEADER + "\n\n", "server": IN_SERVER, "location": IN_LOCATION, "end": before}[where]
    place = before.index(after) + len(after)
    with pytest.raises(RefusedError, match=rf"^the helper refuses .* in /tree/{SITE}:[0-9]+$") as refused:
        checked({"http.conf": CHAT["http.conf"], SITE: before[:place] + text + before[place:]}, GROUND)

    # Not before the place where it was put; a block that is never closed is noticed at the end, or where the next one should begin.
    assert int(str(refused.value).rpartition(":")[2]) >= before[:place].count("\n")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("prelude.conf", ""),
        ("prelude.conf", "# evil\n" + CHAT["prelude.conf"]),
        ("prelude.conf", CHAT["prelude.conf"].replace("\n", "\n# evil\n", 1)),
        ("prelude.conf", CHAT["prelude.conf"].replace("\n", "\n# Left out: a\x00b\n", 1)),
        ("prelude.conf", "# Left out: a\n# Left out: b\n" + CHAT["prelude.conf"]),
        ("prelude.conf", CHAT["prelude.conf"].replace(HEADER, "# Left out: a")),
        ("prelude.conf", "\ufeff" + CHAT["prelude.conf"]),
        ("prelude.conf", CHAT["prelude.conf"].encode("utf-16")),
        ("prelude.conf", CHAT["prelude.conf"].replace('default "$";', "default evil;")),
        ("prelude.conf", CHAT["prelude.conf"].replace("default 1;", "include /etc/shadow;")),
        ("prelude.conf", CHAT["prelude.conf"].replace("default 1;", "proxy 127.0.0.1;")),
        ("prelude.conf", CHAT["prelude.conf"].replace("https 443;", "include /etc/shadow;")),
        ("prelude.conf", CHAT["prelude.conf"].replace("https 443;", "hostnames;")),
        ("prelude.conf", CHAT["prelude.conf"].replace("$gatelodge_digits;", "$request_body;", 1)),
        ("prelude.conf", CHAT["prelude.conf"] + CHAT[SITE].partition("\n\n")[2]),
        ("acme-challenge.conf", CHAT["acme-challenge.conf"] + "return 404;\n"),
        ("acme-challenge.conf", CHAT["acme-challenge.conf"].replace("/.well-known/acme-challenge/", "/")),
        ("acme-challenge.conf", HEADER + "\n\nserver {\n}\n"),
        ("tls/x.conf", HEADER + "\nlisten 443 ssl;\n"),
        ("tls/x.conf", HEADER + "\n\nlocation / {\n    return 404;\n}\n"),
        ("http.conf", HEADER + "\n"),
        ("http.conf", CHAT["http.conf"] + "load_module /tmp/x.so;\n"),
        ("http.conf", CHAT["http.conf"] + f"include {STATE}/nginx/generations/8/sites/x.conf;\n"),
        ("http.conf", CHAT["http.conf"] + f"include {STATE}/nginx/generations/7/sites/../x.conf;\n"),
        ("http.conf", CHAT["http.conf"] + f"include {STATE}/nginx/generations/7/sites/*.conf;\n"),
        ("http.conf", CHAT["http.conf"] + f"include {STATE}/nginx/generations/7/tree.json;\n"),
        ("http.conf", CHAT["http.conf"] + f"include {STATE}/nginx/generations/7/prelude.conf;\n"),
        ("http.conf", CHAT["http.conf"].replace("default 7;", "default 8;")),
        ("http.conf", CHAT["http.conf"].replace("default 7;", "include /etc/shadow;")),
        ("http.conf", CHAT["http.conf"].replace("prelude.conf", "sites/x.conf")),
    ],
)  # fmt: skip
def test_each_kind_of_file_has_its_own_rules(file: str, text: str | bytes) -> None:
    """
    What may stand in a site may not stand in a snippet for somebody's own server, and variables are made in the prelude alone.
    """
    assert text != CHAT.get(file)
    with pytest.raises(RefusedError, match=rf"in /tree/{file}:[0-9]+$"):
        checked({**CHAT, file: text}, GROUND)


@pytest.mark.parametrize("path", ["/var/log/nginx/sites.log", f"{STATE}/../x"])
def test_a_log_is_written_only_where_root_said(path: str) -> None:
    """
    Nginx's master opens it as root: off, or the very path that root gave.
    """
    log = "/var/log/nginx/sites.log"
    files = {**CHAT, SITE: CHAT[SITE].replace("access_log off;", f"access_log {path} combined buffer=64k flush=1s;")}
    if path != log:
        with pytest.raises(RefusedError, match="access_log"):
            checked(files, Ground(state=STATE, webroot=GROUND.webroot, access_log=log))
    else:
        copy = checked(files, Ground(state=STATE, webroot=GROUND.webroot, access_log=log))[SITE]
        assert f"access_log {log} combined" in copy


DANGEROUS = [
    "include /etc/shadow;", "load_module /tmp/x.so;", "error_log /etc/cron.d/x;", "root /;", "alias /etc/;", "user root;",
    "content_by_lua x;", "proxy_pass http://unix:/x;", "ssl_engine x;", "js_content x;", "perl x;", "access_log /x;",
    "}", "{", ";", "\n", '"', "'", "\\", "#", "$", "${", " ", "} include /x; {", '"; include /x; "', "\\n", "$document_root",
    "~", "@", "unix:", "/../", "\t", "\r", "\x00", "# x\n", "include", "root", "*",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([CHAT, OLD]), st.data())
def test_a_text_with_anything_put_into_it_is_refused_or_harmless(files: dict[str, str], data: st.DataObject) -> None:
    """
    Up to three insertions anywhere. What is let through says nothing but directives of the table, by another reader's opinion too,
    and names no path of the daemon's but the webroot.
    """
    file = data.draw(st.sampled_from(sorted(files)))
    text = files[file]
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text)))
        text = text[:place] + data.draw(st.sampled_from(DANGEROUS)) + text[place:]
    try:
        copies = checked({"http.conf": files["http.conf"], file: text}, GROUND)
    except RefusedError:
        return
    assert_harmless(copies.get(file, ""))


def assert_harmless(copy: str) -> None:
    """
    Show that a copy names no file but those it may, and no socket.
    """
    assert strange(copy) == set()
    for row in copy.split("\n"):
        words = row.split()
        if words[:1] in (["root"], ["include"], ["access_log"]):
            assert words[1] in {f"{STATE}/webroot;", "off;"}
        if words[:1] in (["ssl_certificate"], ["ssl_certificate_key"]):
            assert words[1].startswith(f"{COPY}/certificates/")
            assert ".." not in words[1]
        if words[:1] in (["proxy_pass"], ["server"], ["set"], ["listen"]):
            assert "unix:" not in row


VALUES = [
    "unix:/run/docker.sock", "unix:80", "http://unix:/x", "/etc/shadow", "/", "..", "$document_root", "$host", "evil.example.com",
    "http://evil.example.com/", "~^(.*)$", "", "off", "on", "default", "include", "127.0.0.1:22", "[::1]:22", "0", "-1", "99999",
    f"{STATE}/certificates/x/versions/1/privkey.pem", f"{STATE}/webroot", f"{STATE}/webroot/../accounts", "engine:x:y", "data:x",
    "@evil", "=", "^~", "~", "~*", "root", "proxy_protocol", "server", "location", "alias", "return", "200", "a;b", "a\\", 'a"b', "{", "}",
]  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.sampled_from([CHAT, OLD]), st.data())
def test_a_word_put_in_anothers_place_is_refused_or_harmless(files: dict[str, str], data: st.DataObject) -> None:
    """
    Well written, so that nothing but the table is left to refuse it; one word becomes another, or one more is added.
    """
    file = data.draw(st.sampled_from(sorted(files)))
    rows = files[file].split("\n")
    number = data.draw(st.sampled_from([n for n, row in enumerate(rows) if row.endswith((";", "{"))]))
    indent, words, end = re.fullmatch(r"( *)(.*?)(;| {)", rows[number]).groups()  # type: ignore[union-attr]
    parts = re.findall(r'"(?:[^"\\]|\\.)*"|\S+', words)
    written = quote(Verbatim(data.draw(st.sampled_from(VALUES) | PATHS)))
    place = data.draw(st.integers(0, len(parts)))
    parts[place : place + data.draw(st.integers(0, 1))] = [written]
    rows[number] = f"{indent}{' '.join(parts)}{end}"
    try:
        copies = checked({"http.conf": files["http.conf"], file: "\n".join(rows)}, GROUND)
    except RefusedError:
        return
    assert_harmless(copies.get(file, ""))
