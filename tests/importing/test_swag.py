"""
What is taken over from SWAG, and above all what is not.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.importing.houses import DEFAULT, NGINX, PROXY, SSL, certificate, lineage, parsed, proxied, put, swag

from gatelodge.importing.folder import Folder
from gatelodge.importing.found import NothingFound
from gatelodge.importing.render import render
from gatelodge.importing.swag import read

if TYPE_CHECKING:
    from pathlib import Path

    from gatelodge.importing.found import Found

#: As it was written before 2021, and with a redirect of its own.
OLD = """
server { listen 80; server_name chat.*; return 301 https://$host$request_uri; }
server {
    listen 443 ssl http2; listen [::]:443 ssl http2; server_name chat.*; include /config/nginx/ssl.conf;
    location / {
        include /config/nginx/proxy.conf; resolver 127.0.0.11 valid=30s;
        set $upstream_chat c; proxy_pass http://$upstream_chat:80;
    }
}
"""

CHAT = "nginx/proxy-confs/chat.subdomain.conf"


def printed(folder: Path) -> str:
    """
    The TOML for a folder, which is one that the parser takes.
    """
    text = render(read(Folder(folder)))
    parsed(text)
    return text


def served(folder: Path) -> dict[str, list[str]]:
    """
    Which sites are taken over: their hosts, with paths and upstreams.
    """
    _, config = parsed(printed(folder))
    return {
        " ".join(site.hosts): [f"{route.path} {route.action}" for route in site.routes]
        for site in config.sites.values()
    }


def left(folder: Path, what: str) -> str:
    """
    Why something was not taken over.
    """
    return next(each.why for each in read(Folder(folder)).left if what in each.what)


def held(found: Found) -> dict[str, str]:
    """
    Which sites are shown, but not served, and why.
    """
    return {site.hosts[0]: site.held for site in found.sites if site.held is not None}


def test_the_usual_swag(tmp_path: Path) -> None:
    """
    Names, challenge, the credentials' file, the certificate that is there, a site; no secret in the text.
    """
    swag(tmp_path, EMAIL="Oscar@Example.org")
    lineage(
        tmp_path / "etc/letsencrypt", "example.org", ["example.org", "chat.example.org"], "authenticator = dns-aliyun"
    )
    put(tmp_path, CHAT, proxied())
    text = printed(tmp_path)
    mapping, config = parsed(text)

    assert mapping["certificates"] == {
        "example.org": {
            "names": ["example.org", "chat.example.org", "cloud.example.org"],
            "challenge": "dns:aliyun",
            "adopt": str(tmp_path / "etc/letsencrypt/live/example.org"),
        }
    }
    assert mapping["dns"] == {
        "aliyun": {"provider": "aliyun", "credentials_file": str(tmp_path / "dns-conf/aliyun.ini")}
    }
    assert mapping["sites"] == {"chat.example.org": "http://rocketchat:3000"}
    assert mapping["acme"] == {"agree_tos": True, "email": "oscar@example.org"}
    assert config.warnings == ()
    assert "It is not for cloud.example.org." in text
    assert "LTAIexampleKEY" not in text
    assert "verySECRETvalue" not in text


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ({"SUBDOMAINS": ""}, ["example.org"]),
        ({"SUBDOMAINS": "", "ONLY_SUBDOMAINS": "true"}, ["example.org"]),
        ({"SUBDOMAINS": "www, Chat,", "ONLY_SUBDOMAINS": "TRUE"}, ["www.example.org", "chat.example.org"]),
        ({"SUBDOMAINS": "wildcard"}, ["example.org", "*.example.org"]),
        ({"SUBDOMAINS": "wildcard", "ONLY_SUBDOMAINS": "true"}, ["*.example.org"]),
        ({"EXTRA_DOMAINS": "example.net,*.example.net", "SUBDOMAINS": "a"}, ["example.org", "a.example.org", "example.net", "*.example.net"]),
        ({"URL": "EXAMPLE.org", "SUBDOMAINS": "a"}, ["example.org", "a.example.org"]),
    ],
)  # fmt: skip
def test_names_are_made_as_swag_makes_them(tmp_path: Path, told: dict[str, str], names: list[str]) -> None:
    """
    URL unless only subdomains are wanted, subdomains below it, extra domains as they are.
    """
    swag(tmp_path, **told)
    mapping, _ = parsed(printed(tmp_path))

    assert next(iter(mapping["certificates"].values()))["names"] == names


def test_other_settings(tmp_path: Path) -> None:
    """
    HTTP, the test CA, a profile.
    """
    swag(tmp_path, VALIDATION="http", STAGING="true", CERT_PROFILE="shortlived")
    text = printed(tmp_path)
    mapping, _ = parsed(text)

    assert mapping["acme"]["ca"] == "letsencrypt-staging"
    assert mapping["certificates"]["example.org"]["challenge"] == "http-01"
    assert mapping["certificates"]["example.org"]["profile"] == "shortlived"
    assert "dns" not in mapping
    assert "port 80" in text


def test_long_propagation_is_kept_short_one_is_not_needed(tmp_path: Path) -> None:
    """
    Name servers are asked, so that a wait matters only where it is longer than usual.
    """
    swag(tmp_path, PROPAGATION="600")

    assert parsed(printed(tmp_path))[0]["dns"]["aliyun"]["wait"] == "600s"

    swag(tmp_path, PROPAGATION="60")

    assert "wait" not in parsed(printed(tmp_path))[0]["dns"]["aliyun"]

    swag(tmp_path, PROPAGATION="99999")

    assert parsed(printed(tmp_path))[0]["dns"]["aliyun"]["wait"] == "3600s"


def test_zerossl_is_told_to_be_another_ca(tmp_path: Path) -> None:
    """
    It takes only customers: Let's Encrypt is asked instead, and the person told.
    """
    swag(tmp_path, CERTPROVIDER="zerossl", STAGING="true")
    text = printed(tmp_path)

    assert "ZeroSSL" in text
    assert "ca" not in parsed(text)[0]["acme"]


def test_a_plugin_without_counterpart_holds_everything_back(tmp_path: Path) -> None:
    """
    The certificate could not be proven and its sites would try by themselves: both are shown as comments, with the reason.
    """
    swag(tmp_path, DNSPLUGIN="duckdns", URL="x.duckdns.org", SUBDOMAINS="wildcard")
    put(tmp_path, CHAT, proxied())
    text = printed(tmp_path)
    mapping, _ = parsed(text)

    assert "certificates" not in mapping
    assert "sites" not in mapping
    assert '# names = ["*.x.duckdns.org"]' in text
    assert "docs/exec.md" in text
    assert '# [sites."chat.x.duckdns.org"]' in text


def test_the_samples_credentials_are_noticed(tmp_path: Path) -> None:
    """
    A file that nobody has filled in yet is told; what it holds is not.
    """
    swag(tmp_path)
    put(tmp_path, "dns-conf/aliyun.ini", "dns_aliyun_access_key = 12345678\n")
    text = printed(tmp_path)

    assert "sample" in text
    assert "12345678" not in text


def test_the_certificate_in_use_is_the_one_that_the_link_names(tmp_path: Path) -> None:
    """
    Others that lie about are named, and not asked for.
    """
    swag(tmp_path)
    for name in ("example.org", "old.example.org"):
        lineage(tmp_path / "etc/letsencrypt", name, ["example.org"], "authenticator = dns-aliyun")
    put(tmp_path, "keys/cert.crt", "")
    tmp_path.joinpath("keys/letsencrypt").symlink_to("/config/etc/letsencrypt/live/old.example.org")
    mapping, _ = parsed(printed(tmp_path))

    assert mapping["certificates"]["old.example.org"]["adopt"].endswith("/etc/letsencrypt/live/old.example.org")
    assert left(tmp_path, "live/example.org") == "SWAG does not use it"


def test_without_its_settings_the_certificate_tells_the_names(tmp_path: Path) -> None:
    """
    `.donoteditthisfile.conf` is damaged: certbot's files below it are read, paths of the container become those seen from here.
    """
    swag(tmp_path)
    put(tmp_path, ".donoteditthisfile.conf", 'ORIGURL="example.org')
    lineage(
        tmp_path / "etc/letsencrypt", "example.org", ["*.example.org"],
        "authenticator = dns-aliyun\ndns_aliyun_credentials = /config/dns-conf/aliyun.ini",
    )  # fmt: skip
    put(tmp_path, CHAT, proxied())
    mapping, _ = parsed(printed(tmp_path))

    assert mapping["certificates"]["example.org"]["names"] == ["*.example.org"]
    assert mapping["dns"]["aliyun"]["credentials_file"] == str(tmp_path / "dns-conf/aliyun.ini")
    assert served(tmp_path) == {"chat.example.org": ["/ http://rocketchat:3000"]}
    assert "names are those of the certificate" in left(tmp_path, ".donoteditthisfile.conf")


def test_settings_that_are_damaged_and_no_certificate(tmp_path: Path) -> None:
    """
    There is nothing to go by.
    """
    put(tmp_path, ".donoteditthisfile.conf", "ORIGURL='")

    with pytest.raises(NothingFound, match="damaged"):
        read(Folder(tmp_path))


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    """
    It is said what was looked for.
    """
    put(tmp_path, "notes.txt", "x")

    with pytest.raises(NothingFound, match=r"\.donoteditthisfile\.conf"):
        read(Folder(tmp_path))


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        (proxied(), {"chat.example.org": ["/ http://rocketchat:3000"]}),
        (proxied("chat.example.org"), {"chat.example.org": ["/ http://rocketchat:3000"]}),
        (proxied("chat.* cloud.*"), {"chat.example.org cloud.example.org": ["/ http://rocketchat:3000"]}),
        (proxied(app="192.168.1.5"), {"chat.example.org": ["/ http://192.168.1.5:3000"]}),
        (proxied(proto="https"), {"chat.example.org": ["/ https://rocketchat:3000"]}),
        (proxied(server="http2 on;\n#include /config/nginx/ldap-server.conf;"), {"chat.example.org": ["/ http://rocketchat:3000"]}),
        (proxied(location="proxy_buffering off;"), {"chat.example.org": ["/ http://rocketchat:3000"]}),
        (proxied(location="auth_basic off;"), {"chat.example.org": ["/ http://rocketchat:3000"]}),
        # The same service again changes nothing.
        (proxied(more="location ~ (/chat)?/api { INNER }"), {"chat.example.org": ["/ http://rocketchat:3000"]}),
        (proxied(more="location = /x { INNER }"), {"chat.example.org": ["/ http://rocketchat:3000"]}),
        # Another service below a path is a route.
        (
            proxied(more="location /hub { include /config/nginx/proxy.conf; proxy_pass http://hub:3012; }"),
            {"chat.example.org": ["/ http://rocketchat:3000", "/hub http://hub:3012"]},
        ),
        (
            proxied(more="location ^~ /a/ { proxy_pass http://hub:3012/b/; }"),
            {"chat.example.org": ["/ http://rocketchat:3000", "/a/ http://hub:3012/b/"]},
        ),
        (OLD, {"chat.example.org": ["/ http://c:80"]}),
    ],
)  # fmt: skip
def test_what_is_plain_is_taken_over(tmp_path: Path, conf: str, expected: dict[str, list[str]]) -> None:
    """
    A site does the very same as the server block that it came from.
    """
    swag(tmp_path)
    put(tmp_path, CHAT, conf)

    assert served(tmp_path) == expected


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        (proxied(location="include /config/nginx/authelia-location.conf;"), "asks visitors who they are"),
        (proxied(location="include /config/nginx/authentik-location.conf;"), "asks visitors who they are"),
        (proxied(location="include /config/nginx/tinyauth-location.conf;"), "asks visitors who they are"),
        (proxied(location="include /config/nginx/ldap-location.conf;"), "asks visitors who they are"),
        (proxied(server="include /config/nginx/authelia-server.conf;"), "asks visitors who they are"),
        (proxied(location='auth_basic "Restricted";\nauth_basic_user_file /config/nginx/.htpasswd;'), "auth_basic"),
        (proxied(location="auth_request /auth;"), "auth_request"),
        (proxied(server="allow 192.168.0.0/16; deny all;"), "allow"),
        (proxied(server="ssl_verify_client on;"), "ssl_verify_client"),
        (proxied(server="if ($geo = no) { return 404; }"), "if"),
        (proxied(location="include /config/nginx/mine.conf;"), "not known what it does"),
        (proxied(location="include proxy-confs/../../secret/proxy.conf;"), "not known what it does"),
        (proxied(more="location /admin { deny all; }"), "deny"),
        (proxied(more="location ~ /admin { include /config/nginx/authelia-location.conf; INNER }"), "asks visitors who they are"),
        (proxied(more="location /x { INNER location /x/y { deny all; } }"), "location"),
    ],
)  # fmt: skip
def test_what_kept_people_out_is_never_taken_over(tmp_path: Path, conf: str, why: str) -> None:
    """
    A site without its login would be open to the world. It is told first, and marked.
    """
    swag(tmp_path)
    put(tmp_path, CHAT, conf)
    put(tmp_path, "fail2ban/jail.local", "x")

    assert served(tmp_path) == {}
    assert why in left(tmp_path, CHAT)
    first = printed(tmp_path).partition("Not taken over:\n")[2].splitlines()[0]
    assert first.startswith("# - ATTENTION")


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        (proxied(server="add_header X-Frame-Options DENY;"), "add_header"),
        (proxied(location="proxy_set_header X-User admin;"), "proxy_set_header"),
        (proxied(location="rewrite /a /b;"), "rewrite"),
        (proxied(location="sub_filter a b;"), "sub_filter"),
        (proxied(more="location ~ /api { proxy_pass http://other:1; }"), "leads elsewhere"),
        (proxied(more="location = /api { proxy_pass http://other:1; }"), "leads elsewhere"),
        (proxied(more="location ~ /api { INNER } location /hub { proxy_pass http://hub:1; }"), "come before"),
        (proxied(more="location @named { INNER }"), "no path"),
        (proxied(more="location /static { root /config/www; }"), "root"),
        (proxied(more="location /nothing { }"), "leads to no service"),
        (proxied(port="80/one"), "one path for all"),
        (proxied(port="$other"), "has set"),
        (proxied(app="127.0.0.1"), "SWAG's own container"),
        (proxied(app="a b"), "set"),
        (proxied(server="client_max_body_size 1x;"), "no size"),
        (proxied(server="listen 8448 ssl;"), "listens on 8448"),
        (proxied(server="listen 80;"), "listens on 80"),
        (proxied(server="listen 443 ssl default_server;"), "default_server"),
        (proxied().replace("location / {", "location /x {"), "nowhere at /"),
        (proxied() + "map $a $b { default 1; }", "outside of its server block"),
        (proxied().replace("set $upstream_app rocketchat;", ""), "not set beside it"),
        (proxied("~^chat"), "cannot be listed"),
        (proxied("_"), "cannot be listed"),
        (proxied("*.example.org"), "cannot be listed"),
        (proxied("chat.*") + "}", "nginx's syntax"),
        ("server {", "ends in the middle"),
    ],
)  # fmt: skip
def test_what_is_not_sure_is_not_taken_over(tmp_path: Path, conf: str, why: str) -> None:
    """
    Each with its reason.
    """
    swag(tmp_path)
    put(tmp_path, CHAT, conf)

    assert served(tmp_path) == {}
    assert why in left(tmp_path, CHAT)


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("ssl.conf", SSL + "ssl_client_certificate /config/ca.pem;\nssl_verify_client on;\n", "ssl_client_certificate"),
        ("ssl.conf", SSL + "include /config/nginx/geoblock.conf;\n", "include"),
        ("proxy.conf", PROXY + 'auth_basic "Everything";\n', "auth_basic"),
        ("proxy.conf", PROXY + 'proxy_set_header Remote-User "";\n', "remote-user"),
        ("proxy.conf", PROXY + "allow 10.0.0.0/8;\ndeny all;\n", "allow"),
        ("nginx.conf", NGINX.replace("http {", 'http { auth_basic "x";'), "auth_basic"),
        ("nginx.conf", NGINX.replace("http {", "http { include /config/nginx/maxmind.conf;"), "maxmind.conf"),
        ("nginx.conf", NGINX.replace("http {", "http { server { server_name chat.example.org; }"), "servers of its own"),
        ("site-confs/default.conf", DEFAULT + "deny 192.0.2.1;\n", "deny"),
    ],
)  # fmt: skip
def test_a_wall_for_all_sites_is_not_overlooked(tmp_path: Path, file: str, text: str, why: str) -> None:
    """
    The files that every site includes are looked at too: people change them.
    """
    swag(tmp_path)
    put(tmp_path, CHAT, proxied())

    assert served(tmp_path) == {"chat.example.org": ["/ http://rocketchat:3000"]}

    put(tmp_path, f"nginx/{file}", text)

    assert served(tmp_path) == {}
    assert why in left(tmp_path, CHAT)


def test_a_name_that_two_files_have_is_nobodys(tmp_path: Path) -> None:
    """
    Of the two, nginx takes one; the other, perhaps one without a login, was never reachable.
    """
    swag(tmp_path)
    put(
        tmp_path,
        "nginx/proxy-confs/a.subdomain.conf",
        proxied(location="include /config/nginx/authelia-location.conf;"),
    )
    put(tmp_path, CHAT, proxied())
    found = read(Folder(tmp_path))

    assert served(tmp_path) == {}
    assert "only one of them is served" in held(found)["chat.example.org"]


@pytest.mark.parametrize(
    "custom", ["server_name chat.example.org;", "server_name .example.org;", "server_name *.example.org;"]
)
def test_a_server_of_ones_own_comes_first(tmp_path: Path, custom: str) -> None:
    """
    An exact name, or one with a leading `*`, is stronger than `chat.*`: the site was never shown under that name.
    """
    swag(tmp_path)
    put(tmp_path, "nginx/site-confs/mine.conf", f"server {{ listen 443 ssl; {custom} deny all; }}")
    put(tmp_path, CHAT, proxied())

    assert served(tmp_path) == {}
    assert "is that of nginx/site-confs/mine.conf" in left(tmp_path, CHAT)
    assert "write them as [sites]" in left(tmp_path, "mine.conf")


def test_a_file_that_cannot_be_read_holds_all_sites_back(tmp_path: Path) -> None:
    """
    It may say that one of their names is another's.
    """
    swag(tmp_path)
    put(tmp_path, CHAT, proxied())
    put(tmp_path, "nginx/proxy-confs/zzz.subdomain.conf", b"\xff\xfe\x00")
    found = read(Folder(tmp_path))

    assert served(tmp_path) == {}
    assert "zzz.subdomain.conf" in held(found)["chat.example.org"]
    assert left(tmp_path, "zzz.subdomain.conf") == "it is no text"


def test_samples_and_confs_that_nginx_does_not_read_are_no_sites(tmp_path: Path) -> None:
    """
    Without the include in default.conf nothing of proxy-confs is served.
    """
    swag(tmp_path)

    assert served(tmp_path) == {}

    put(tmp_path, CHAT, proxied())
    put(
        tmp_path, "nginx/site-confs/default.conf", DEFAULT.replace("include /config/nginx/proxy-confs/*.subdomain", "#")
    )

    assert served(tmp_path) == {}
    assert "does not serve it" in held(read(Folder(tmp_path)))["chat.example.org"]


def test_only_names_that_the_certificate_has(tmp_path: Path) -> None:
    """
    `chat.*` is joined with URL and the extra domains; where the certificate has no such name, the site is shown as a comment.
    """
    swag(tmp_path, EXTRA_DOMAINS="*.example.net,chat.example.com")
    put(tmp_path, CHAT, proxied())
    put(tmp_path, "nginx/proxy-confs/git.subdomain.conf", proxied("git.example.org", "gitea"))
    text = printed(tmp_path)

    assert list(served(tmp_path)) == ["chat.example.org chat.example.net chat.example.com"]
    assert '# [sites."git.example.org"]' in text
    assert "certificate is not for it" in text


@pytest.mark.parametrize(("size", "said"), [("0", None), ("128M", "128m"), ("10m", "10m")])
def test_the_largest_body_is_kept(tmp_path: Path, size: str, said: str | None) -> None:
    """
    No limit is the default.
    """
    swag(tmp_path)
    put(tmp_path, CHAT, proxied(server=f"client_max_body_size {size};"))
    site = parsed(printed(tmp_path))[0]["sites"]["chat.example.org"]

    assert (site.get("body_size") if isinstance(site, dict) else None) == said


def test_a_limit_of_nginx_conf_holds_where_a_site_says_nothing(tmp_path: Path) -> None:
    """
    As in nginx, whose own limit is 1m.
    """
    swag(tmp_path)
    put(tmp_path, CHAT, proxied(server=""))
    put(tmp_path, "nginx/nginx.conf", NGINX.replace("client_max_body_size 0", "client_max_body_size 7m"))

    assert parsed(printed(tmp_path))[0]["sites"]["chat.example.org"]["body_size"] == "7m"

    put(tmp_path, "nginx/nginx.conf", NGINX.replace("client_max_body_size 0;", ""))

    assert parsed(printed(tmp_path))[0]["sites"]["chat.example.org"]["body_size"] == "1m"


SUBFOLDER = """
location /wiki { return 301 $scheme://$host/wiki/; }
location ^~ /wiki/ {
    include /config/nginx/proxy.conf;
    include /config/nginx/resolver.conf;
    set $upstream_app wiki;
    set $upstream_port 3000;
    set $upstream_proto http;
    proxy_pass $upstream_proto://$upstream_app:$upstream_port;
}
"""
WIKI = "nginx/proxy-confs/wiki.subfolder.conf"


def test_subfolders_are_routes_of_url(tmp_path: Path) -> None:
    """
    With their prefix, or without where they took it away.
    """
    swag(tmp_path, SUBDOMAINS="www,chat")
    put(tmp_path, WIKI, SUBFOLDER)
    put(tmp_path, "nginx/proxy-confs/git.subfolder.conf",
        "location ^~ /git/ { rewrite /git(.*) $1 break; set $a git; proxy_pass http://$a:80; }")  # fmt: skip

    assert served(tmp_path) == {"example.org www.example.org": ["/git/ http://git:80/", "/wiki/ http://wiki:3000"]}


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        (SUBFOLDER.replace("^~ ", ""), "a way that is not taken over"),
        (SUBFOLDER.replace("location ^~ /wiki/ {", "location ^~ /wiki/ { include /config/nginx/authelia-location.conf;"), "who they are"),
        (SUBFOLDER.replace("location ^~ /wiki/ {", "location ^~ /wiki/ { rewrite ^/wiki/x /y break;"), "rewrites"),
        (SUBFOLDER + "location ~ /wiki/api { deny all; }", "deny"),
        (SUBFOLDER + "set $x y;", "set"),
        (SUBFOLDER + SUBFOLDER, "twice"),
        ("location /other { return 301 $scheme://$host/other/; }" + SUBFOLDER, "/other/"),
    ],
)  # fmt: skip
def test_a_subfolder_that_is_not_plain_is_named(tmp_path: Path, conf: str, why: str) -> None:
    """
    Each with its reason.
    """
    swag(tmp_path)
    put(tmp_path, WIKI, conf)

    assert served(tmp_path) == {}
    assert why in left(tmp_path, WIKI)


@pytest.mark.parametrize(
    ("default", "why"),
    [
        (DEFAULT.replace("root /config/www;", 'root /config/www; auth_basic "x";'), "auth_basic"),
        (DEFAULT.replace("root /config/www;", "include /config/nginx/authelia-server.conf;"), "authelia"),
        (DEFAULT.replace("include /config/nginx/proxy-confs/*.subfolder.conf;", ""), "no server block"),
        (DEFAULT + "server { listen 443 ssl; server_name example.org; }", "not sure"),
    ],
)
def test_what_guards_the_server_around_subfolders_guards_them(tmp_path: Path, default: str, why: str) -> None:
    """
    They are locations of default.conf's server.
    """
    swag(tmp_path)
    put(tmp_path, WIKI, SUBFOLDER)
    put(tmp_path, "nginx/site-confs/default.conf", default)

    assert served(tmp_path) == {}
    assert why in left(tmp_path, WIKI)


def test_walls_for_all_sites_guard_subfolders_too(tmp_path: Path) -> None:
    """
    In nginx.conf, in a file that default.conf includes, or in the name: URL itself has no certificate.
    """
    swag(tmp_path)
    put(tmp_path, WIKI, SUBFOLDER)

    assert served(tmp_path) == {"example.org": ["/wiki/ http://wiki:3000"]}

    put(tmp_path, "nginx/ssl.conf", SSL + "ssl_verify_client on;\n")

    assert "ssl_verify_client" in left(tmp_path, WIKI)

    put(tmp_path, "nginx/nginx.conf", NGINX.replace("http {", "http { deny all;"))

    assert "deny" in left(tmp_path, WIKI)

    swag(tmp_path, ONLY_SUBDOMAINS="true")

    assert "certificate is not for" in left(tmp_path, WIKI)
    assert served(tmp_path) == {}


def test_without_a_default_conf_it_is_swags_own(tmp_path: Path) -> None:
    """
    SWAG writes it when it starts; a limit that it has itself holds for subfolders.
    """
    swag(tmp_path)
    put(tmp_path, WIKI, SUBFOLDER)
    default = put(
        tmp_path, "nginx/site-confs/default.conf", DEFAULT.replace("root", "client_max_body_size 5m; root", 1)
    )

    assert parsed(printed(tmp_path))[0]["sites"]["example.org"]["body_size"] == "5m"

    default.unlink()

    assert "body_size" not in parsed(printed(tmp_path))[0]["sites"]["example.org"]


def test_everything_else_is_named(tmp_path: Path) -> None:
    """
    Nobody finds out later that something is gone.
    """
    swag(tmp_path)
    for name in ("fail2ban/jail.local", "nginx/.htpasswd", "php/php-local.ini", "crontabs/root", "www/index.html",
                 "custom-cont-init.d/go.sh", "nginx/mine.conf"):  # fmt: skip
        put(tmp_path, name, "x")
    put(tmp_path, "nginx/nginx.conf", NGINX + "stream { server { listen 25; proxy_pass mail:25; } }\n")
    text = printed(tmp_path)

    for name in (
        "fail2ban/",
        ".htpasswd",
        "php/",
        "crontabs/",
        "www/",
        "custom-cont-init.d/",
        "nginx/mine.conf",
        "stream {",
    ):
        assert f"# - {name}" in text or f"# - nginx/{name}" in text, name


def test_links_that_go_round_pipes_and_huge_files_are_named(tmp_path: Path) -> None:
    """
    Nothing is waited for, nothing ends in a traceback.
    """
    swag(tmp_path)
    put(tmp_path, CHAT, proxied())
    confs = tmp_path / "nginx/proxy-confs"
    confs.joinpath("loop.subdomain.conf").symlink_to("loop.subdomain.conf")
    confs.joinpath("gone.subdomain.conf").symlink_to("nowhere")
    os.mkfifo(confs / "pipe.subdomain.conf")
    confs.joinpath("huge.subdomain.conf").write_bytes(b"#" * (1024 * 1024 + 1))
    confs.joinpath("folder.subdomain.conf").mkdir()

    assert served(tmp_path) == {}
    assert "symbolic links" in left(tmp_path, "loop.")
    assert left(tmp_path, "gone.") == "it leads nowhere"
    assert "regular file" in left(tmp_path, "pipe.")
    assert "1024 KiB" in left(tmp_path, "huge.")
    assert "regular file" in left(tmp_path, "folder.")


def test_a_certificate_for_other_names_is_not_adopted(tmp_path: Path) -> None:
    """
    It would be good for none of them.
    """
    swag(tmp_path)
    lineage(tmp_path / "etc/letsencrypt", "example.org", ["example.net"], "")

    assert "adopt" not in parsed(printed(tmp_path))[0]["certificates"]["example.org"]


def test_a_certificate_that_is_none_is_not_adopted(tmp_path: Path) -> None:
    """
    It would not be served; names are those that SWAG was told.
    """
    swag(tmp_path)
    lineage(tmp_path / "etc/letsencrypt", "example.org", ["example.org"], "")
    put(tmp_path, "etc/letsencrypt/archive/example.org/cert3.pem", certificate("example.org")[:-100])
    mapping, _ = parsed(printed(tmp_path))

    assert "adopt" not in mapping["certificates"]["example.org"]
    assert mapping["certificates"]["example.org"]["names"][0] == "example.org"
