"""
What a site, its routes and what they name cannot be: each refusal at its key, with what to write instead.
"""

from __future__ import annotations

import pytest
from tests.support.mistakes import assert_told_once, warnings

from gatelodge.config.read import read
from gatelodge.errors import ConfigError

_AGREED = "acme.agree_tos = true\n"

#: A site in which the rest of the row stands, each key on a line of its own.
_SITE = '[sites."a.lan"]\ntls = "local"\n'
_UP = f'{_SITE}upstream = "http://x"\n'

_AT = 'sites."a.lan"'
_APP = f'{_AT}.routes."/app"'


def site(*lines: str) -> str:
    """
    Return a site with an upstream and these keys.
    """
    return _UP + "\n".join(lines)


def bare(*lines: str) -> str:
    """
    Return a site that says only these keys.
    """
    return _SITE + "\n".join(lines)


#: The text (the line with `#!` is the guilty one), the key path, and a part of the problem or remedy.
_TABLE = [
    # Hosts.
    (r"""sites."~^a\\.lan$" = { upstream = "http://x", tls = "local" }  #!""", r'''sites."~^a\\.lan$"''', "the expression in `hosts`"),
    (site(r"hosts = ['~^b[0-9]+\.lan$']  #!"), f"{_AT}.hosts", 'write certificate = "NAME"'),
    (site(r"hosts = ['~^(b']  #!"), f"{_AT}.hosts[0]", "is no regular expression: missing )"),
    (site("hosts = ['~']  #!"), f"{_AT}.hosts[0]", "an empty regular expression"),
    (site('hosts = ["~a\\u0007b"]  #!'), f"{_AT}.hosts[0]", "control character"),
    (site(f'hosts = ["~{"x" * 1001}"]  #!'), f"{_AT}.hosts[0]", "longer than 1000 bytes"),
    (site(r"hosts = ['~^(?<gatelodge_x>.+)\.lan$']  #!"), f"{_AT}.hosts[0]", "is a variable of Gatelodge's"),
    (site(r"hosts = ['~^(?P<gatelodge_x>.+)\.lan$']  #!"), f"{_AT}.hosts[0]", "is a variable of Gatelodge's"),
    (site(r"""hosts = ["~^(?'host'.+)\\.lan$"]  #!"""), f"{_AT}.hosts[0]", "is a variable of nginx's"),
    (site('redirect_hosts = ["*.lan_"]  #!'), f"{_AT}.redirect_hosts[0]", "underscore"),
    (site('hosts = ["b.lan"]  #!', 'redirect_hosts = ["B.lan"]'), f"{_AT}.hosts", "b.lan is there twice"),
    ('[sites."*.lan"]\ntls = "local"\nupstream = "http://x"\nredirect_hosts = ["lan"]  #!', 'sites."*.lan".redirect_hosts', "stands for many"),
    (f'{site()}\n[sites."b.lan"]  #!\ntls = "local"\nupstream = "http://x"\nredirect_hosts = ["a.lan"]', 'sites."b.lan"', "belongs to a.lan already"),
    (f'{_AGREED}certificates.x.names = ["a.example"]\nsites."a.example" = {{ upstream = "http://x", certificate = "x", redirect_hosts = ["www.a.example"] }}  #!',
     'sites."a.example".certificate', '"x" is not for www.a.example'),
    # TLS.
    ('sites."a.lan" = { upstream = "http://x", tls = "files" }  #!', f"{_AT}.tls", "write tls = { certificate"),
    ('sites."a.lan" = { upstream = "http://x", tls = "on" }  #!', f"{_AT}.tls", "says not whose certificate"),
    ('sites."a.lan" = { upstream = "http://x", tls = "self-signed" }  #!', f"{_AT}.tls", 'write "local"'),
    ('sites."a.lan" = { upstream = "http://x", tls = true }  #!', f"{_AT}.tls", "it is true"),
    ('sites."a.lan" = { upstream = "http://x", tls = { key = "/k" } }  #!', f"{_AT}.tls", "it has no certificate"),
    ('sites."a.lan" = { upstream = "http://x", tls = { certificate = "c", key = "/k" } }  #!', f"{_AT}.tls.certificate", "not an absolute path"),
    ('sites."a.lan" = { upstream = "http://x", tls = { certificate = "/$c", key = "/k" } }  #!', f"{_AT}.tls.certificate", "a variable"),
    ('sites."a.lan" = { upstream = "http://x", tls = { certificate = "/c", key = "/k", ca = "/x" } }  #!', f"{_AT}.tls.ca", "there is no such key"),
    ('sites."a.lan" = { upstream = "http://x", key = "rsa-2048", tls = { certificate = "/c", key = "/k" } }  #!', f"{_AT}.key", "is what it is"),
    ('sites."a.lan" = { upstream = "http://x", challenge = "http-01", tls = { certificate = "/c", key = "/k" } }  #!', f"{_AT}.challenge", "proven to nobody"),
    ('sites."a.lan" = { upstream = "http://x", certificate = "c", tls = { certificate = "/c", key = "/k" } }  #!', f"{_AT}.certificate", "is not served by"),
    (site('key = ["ecdsa-p256", "ecdsa-p384"]  #!'), f"{_AT}.key", "two kinds of ECDSA keys"),
    (site('key = ["rsa-2048", "rsa-2048"]  #!'), f"{_AT}.key", "two kinds of RSA keys"),
    (site("key = []  #!"), f"{_AT}.key", "it is empty"),
    ('[acme]\nkey = ["rsa-2048", "rsa-4096"]  #!', "acme.key", "two kinds of RSA"),
    (f'{_AGREED}certificates.x = {{ names = ["a.example"], key = [] }}  #!', "certificates.x.key", "it is empty"),
    ('sites."a.lan" = { upstream = "http://x", tls = "off", hsts = "on" }  #!', f"{_AT}.hsts", "over https alone"),
    (site('hsts = "yes"  #!'), f"{_AT}.hsts", 'write "off", "on" or "preload"'),
    (site("hsts = true  #!"), f"{_AT}.hsts", "it is true"),
    ('sites."a.lan" = { upstream = "http://x", tls = "off", client_certificates = "/ca.pem" }  #!', f"{_AT}.client_certificates", "over TLS alone"),
    (site("client_certificates = {}  #!"), f"{_AT}.client_certificates", "whose certificates"),
    (site('client_certificates = { ca = "/ca.pem", depth = 0 }  #!'), f"{_AT}.client_certificates.depth", "from 1 to 10"),
    # Maintenance.
    (site('maintenance = "page.html"  #!'), f"{_AT}.maintenance", "not an absolute path"),
    (site("maintenance = 1  #!"), f"{_AT}.maintenance", "write true, false"),
    (site('maintenance = { allow = ["offce"] }  #!'), f"{_AT}.maintenance.allow[0]", "there is no network called"),
    (site('maintenance = { allow = "all" }  #!'), f"{_AT}.maintenance.allow", "nothing is closed"),
    (site('maintenance = { retry_after = "8d" }  #!'), f"{_AT}.maintenance.retry_after", 'at most "7d"'),
    # Actions.
    (site('static = "/srv/www"'), _AT, "it has both upstream and static"),
    (bare('redirect_to = "https://b.lan"', "respond = {}"), _AT, "it has both redirect_to and respond"),
    (site('routes."/app" = { upstream = "http://y", respond = {} }  #!'), _APP, "it has both upstream and respond"),
    (bare('routes."/app" = { auth = "off" }  #!'), _APP, "it leads nowhere"),
    (bare('redirect_to = "b.lan"  #!'), f"{_AT}.redirect_to", 'write "http://b.lan"'),
    (bare('redirect_to = "//b.lan/"  #!'), f"{_AT}.redirect_to", "no path of this host"),
    (bare('redirect_to = "/a b"  #!'), f"{_AT}.redirect_to", "no path of this host"),
    (bare('redirect_to = "ftp://b.lan/"  #!'), f"{_AT}.redirect_to", "not an http or https URL"),
    (bare('redirect_to = "https://b.lan/#x"  #!'), f"{_AT}.redirect_to", "a fragment"),
    (bare('redirect_to = "https://me:hunter2@b.lan/"  #!'), f"{_AT}.redirect_to", "user name or password"),
    (bare('redirect_to = { url = "https://b.lan/", code = 300 }  #!'), f"{_AT}.redirect_to.code", "write 301, 302, 303, 307 or 308"),
    (bare('redirect_to = { url = "https://b.lan/?x", keep_path = true }  #!'), f"{_AT}.redirect_to.keep_path", "keep_path = false"),
    (bare("redirect_to = { code = 301 }  #!"), f"{_AT}.redirect_to", "where to"),
    (bare('redirect_to = "/web/"  #!'), f"{_AT}.redirect_to", "for ever"),
    (bare('redirect_to = "https://a.lan"  #!'), f"{_AT}.redirect_to", "for ever"),
    (bare('redirect_to = "https://a.lan:443/x"  #!'), f"{_AT}.redirect_to", "for ever"),
    (site('routes."/app" = { redirect_to = "/app/" }  #!'), f"{_APP}.redirect_to", "for ever"),
    (site('routes."/app" = { match = "exact", redirect_to = "/app" }  #!'), f"{_APP}.redirect_to", "for ever"),
    (bare('static = "srv"  #!'), f"{_AT}.static", "not an absolute path"),
    (bare('static = "/srv/$x"  #!'), f"{_AT}.static", "a variable"),
    (bare("static = {}  #!"), f"{_AT}.static", "it names no folder"),
    (bare("static = 1  #!"), f"{_AT}.static", "write a table, or its root alone"),
    (bare('static = { root = "/srv", index = [] }  #!'), f"{_AT}.static.index", "it is empty"),
    (bare('static = { root = "/srv", index = ["/x"] }  #!'), f"{_AT}.static.index[0]", "not the name of a file"),
    (bare('static = { root = "/srv", fallback = "x" }  #!'), f"{_AT}.static.fallback", 'does not begin with "/"'),
    (bare('static = { root = "/srv", fallback = "/$x" }  #!'), f"{_AT}.static.fallback", "a variable"),
    (site('routes."/app/" = { static = { root = "/srv", fallback = "/index.html" } }  #!'),
     f'{_AT}.routes."/app/".static.fallback', 'write "/app/index.html"'),
    (site('routes."/app" = { static = "/srv" }  #!'), f"{_APP}.static", 'write the route as "/app/"'),
    (bare("respond = { status = 301 }  #!"), f"{_AT}.respond.status", "write redirect_to"),
    (bare("respond = { status = 600 }  #!"), f"{_AT}.respond.status", "from 200 to 299 or 400 to 599"),
    (bare("respond = { status = 499 }  #!"), f"{_AT}.respond.status", "from 200 to 299"),
    (bare('respond = { status = 204, body = "x" }  #!'), f"{_AT}.respond.body", "has no body"),
    (bare(f'respond = {{ body = "{"x" * 3001}" }}  #!'), f"{_AT}.respond.body", "longer than 3000 bytes"),
    (bare(f'respond = {{ body = "{"$" * 300}" }}  #!'), f"{_AT}.respond.body", "spelled out"),
    (bare('respond = { body = "' + r"\n" * 2000 + '" }  #!'), f"{_AT}.respond.body", "spelled out"),
    (bare('respond = { body = "a\\u001bb" }  #!'), f"{_AT}.respond.body", "that no line ends with"),
    (bare('respond = { type = "html" }  #!'), f"{_AT}.respond.type", "is not a media type"),
    # Upstreams.
    (bare("upstream = []  #!"), f"{_AT}.upstream", "it is empty"),
    (bare("upstream = [1]  #!"), f"{_AT}.upstream[0]", "write a table, or its url alone"),
    (bare("upstream = [{ weight = 1 }]  #!"), f"{_AT}.upstream[0]", "it has no url"),
    (bare('upstream = ["http://x", "https://y"]  #!'), f"{_AT}.upstream[1]", "the same scheme and path"),
    (bare('upstream = ["http://x/", "http://y"]  #!'), f"{_AT}.upstream[1]", "the same scheme and path"),
    (bare('upstream = { url = "http://x", backup = true }  #!'), f"{_AT}.upstream", "all of its servers are backups"),
    (bare('upstream = { url = "http://x", weight = 0 }  #!'), f"{_AT}.upstream.weight", "from 1 to 65535"),
    (bare('upstream = { url = "http://x", max_fails = -1 }  #!'), f"{_AT}.upstream.max_fails", "from 0 to"),
    (bare('upstream = { url = "http://x", fail_timeout = "2d" }  #!'), f"{_AT}.upstream.fail_timeout", 'at most "1d"'),
    (bare('upstream = { url = "http://x", wait = 1 }  #!'), f"{_AT}.upstream.wait", "did you mean weight?"),
    (bare('upstream = "wss://x/"  #!'), f"{_AT}.upstream", 'write "https://x/"; websockets'),
    (bare('upstream = "h2c://x"  #!'), f"{_AT}.upstream", 'write "grpc://x"'),
    (bare('upstream = "uwsgi://x:3031"  #!'), f"{_AT}.upstream", "http-socket"),
    (bare('upstream = "scgi://x"  #!'), f"{_AT}.upstream", "fastcgi://"),
    (bare('upstream = "tcp://x:1"  #!'), f"{_AT}.upstream", "is not an http, https, grpc, grpcs or fastcgi URL"),
    (bare('upstream = "grpc://x/y"  #!'), f"{_AT}.upstream", "has a path"),
    (bare('upstream = "http://unix:run/app.sock"  #!'), f"{_AT}.upstream", 'write "http://unix:/run/app.sock"'),
    (bare('upstream = "http://unix:/run/a b.sock"  #!'), f"{_AT}.upstream", "for the path of a socket"),
    (bare(f'upstream = "http://unix:/{"x" * 107}"  #!'), f"{_AT}.upstream", "at most 107 bytes"),
    (bare('upstream = "http://unix:/run/a.sock:x"  #!'), f"{_AT}.upstream", "holds what no URL may"),
    (bare('upstream = "fastcgi://unix:/run/a.sock:/x"  #!', 'script_root = "/x"'), f"{_AT}.upstream", "has a path"),
    (bare('upstream = "fastcgi://x"  #!'), f"{_AT}.upstream", "write script_root"),
    (site('script_root = "/x"  #!'), f"{_AT}.script_root", "for a fastcgi upstream"),
    (site('script_index = "index.php"  #!'), f"{_AT}.script_index", "for a fastcgi upstream"),
    (site('routes."/app" = { upstream = "http://y", script_root = "/x" }  #!'), f"{_APP}.script_root", "for a fastcgi upstream"),
    (site('balance = "least_conn"  #!'), f"{_AT}.balance", "nothing to choose"),
    (bare("respond = {}", 'balance = "least_conn"  #!'), f"{_AT}.balance", "no upstream beside it"),
    (site('routes."/app" = { balance = "least_conn" }  #!'), f"{_APP}.balance", "no upstream beside it"),
    (bare('upstream = ["http://x", "http://y"]', 'balance = "random"  #!'), f"{_AT}.balance", "no way to choose a server"),
    (bare('upstream = ["http://x", "http://y"]', 'balance = "hash"  #!'), f"{_AT}.balance", "by what"),
    (bare('upstream = ["http://x", "http://y"]', 'balance = "hash:cookie:a-b"  #!'), f"{_AT}.balance", "by what"),
    (bare('upstream = ["http://x", { url = "http://y", backup = true }]', 'balance = "ip_hash"  #!'), f"{_AT}.balance", "no backup servers"),
    (bare('upstream = ["http://x", { url = "http://y", backup = true }]', 'balance = "hash:uri"  #!'), f"{_AT}.balance", "no backup servers"),
    (site("upstream_tls = { verify = false }  #!"), f"{_AT}.upstream_tls", "no upstream here is spoken to by TLS"),
    (site('routes."/app" = { upstream_tls = { verify = false } }  #!'), f"{_APP}.upstream_tls", "no upstream here"),
    (bare('upstream = "https://192.0.2.1"', "upstream_tls = { verify = true }  #!"), f"{_AT}.upstream_tls.verify", "against an address"),
    (bare('upstream = "https://unix:/run/x.sock"', "upstream_tls = { verify = true }  #!"), f"{_AT}.upstream_tls.verify", "against an address"),
    (bare('upstream = "https://x"', 'upstream_tls = { certificate = "/c" }  #!'), f"{_AT}.upstream_tls.certificate", "without its key"),
    (bare('upstream = "https://x"', 'upstream_tls = { key = "/k" }  #!'), f"{_AT}.upstream_tls.key", "without its certificate"),
    (bare('upstream = "https://x"', 'upstream_tls = { name = "a_b" }  #!'), f"{_AT}.upstream_tls.name", "underscore"),
    (bare('upstream = ["https://x", "https://y"]  #!'), f"{_AT}.upstream", "several names"),
    (bare('upstream = ["https://192.0.2.1", "https://y"]  #!', 'upstream_tls.ca = "/ca"'), f"{_AT}.upstream", "upstream_tls.name"),
    # Routes.
    (site('routes."/app" = { port = 3012, upstream = "http://y" }  #!'), f"{_APP}.port", "the route has upstream"),
    (bare("respond = {}", 'routes."/app" = { port = 3012 }  #!'), f"{_APP}.port", "no upstream of which"),
    (bare('routes."/app" = { port = 3012 }  #!'), f"{_APP}.port", "no upstream of which"),
    (bare('upstream = "http://unix:/run/x.sock"', 'routes."/app" = { port = 3012 }  #!'), f"{_APP}.port", "has no ports"),
    (site('routes."/app" = { strip = true, match = "exact" }  #!'), f"{_APP}.strip", "and this one is exact"),
    (site('routes."/app" = { strip = true, upstream = "http://y/z" }  #!'), f"{_APP}.strip", "replaces the route's already"),
    (site('routes."/app" = { strip = true, upstream = "grpc://y" }  #!'), f"{_APP}.strip", "no http upstream"),
    (site('routes."/app" = { strip = true, respond = {} }  #!'), f"{_APP}.strip", "no http upstream"),
    (site('routes."/app/" = { upstream = "http://y" }', 'routes."/app" = { strip = true, upstream = "http://z" }  #!'), _APP, "a route /app/ already"),
    (site(r"routes.'^/a(b)\2' = { match = 'regex', upstream = 'http://y' }  #!"), rf'{_AT}.routes."^/a(b)\\2"', "invalid group reference 2"),
    (site(r"routes.'^/\u00e9' = { match = 'regex', upstream = 'http://y' }  #!"), rf'{_AT}.routes."^/\\u00e9"', "knows no \\u"),
    (site(r"routes.'^/a(' = { match = 'regex', upstream = 'http://y' }  #!"), rf'{_AT}.routes."^/a("', "is no regular expression"),
    (site(r"routes.'a' = { match = 'regex', upstream = 'http://y/z' }  #!"), f"{_AT}.routes.a.upstream", "cannot replace"),
    (bare('upstream = "http://x/z"', r"routes.'a' = { match = 'regex', auth = 'off' }  #!"), f"{_AT}.routes.a", "without a path"),
    (site(r"routes.'(?<gatelodge_x>a)' = { match = 'regex', auth = 'off' }  #!"), f'{_AT}.routes."(?<gatelodge_x>a)"', "of Gatelodge's"),
    (site('routes."/.gatelodge/x" = "http://y"  #!'), f'{_AT}.routes."/.gatelodge/x"', "of Gatelodge's own"),
    (site('routes."/.well-known/gatelodge/generation" = "http://y"  #!'), f'{_AT}.routes."/.well-known/gatelodge/generation"', "of Gatelodge's own"),
    (site(f'routes."/{"$" * 300}" = "http://y"  #!'), f'{_AT}.routes."/{"$" * 79}…"', "once its signs are escaped"),
    (bare('static = "/' + "x" * 990 + '"', f'routes."/{"$" * 180}/" = {{ auth = "off" }}  #!'), f'{_AT}.routes."/{"$" * 79}…"', "together"),
    # Transport.
    (site('temp_file_limit = "lots"  #!'), f"{_AT}.temp_file_limit", "is not a size"),
    (site('temp_file_limit = "4k"  #!'), f"{_AT}.temp_file_limit", 'at least "64k"'),
    (site('buffering = "off"  #!'), f"{_AT}.buffering", "write true or false"),
    # Guards.
    (site('auth = "peple"  #!', "[auth.people]", 'provider = "authelia"', 'url = "http://x"'), f"{_AT}.auth", 'did you mean "people"?'),
    (site('auth = "people"  #!'), f"{_AT}.auth", "add [auth.people]"),
    (site("auth = true  #!"), f"{_AT}.auth", "who asks"),
    (site('routes."/app" = { auth = "people" }  #!'), f"{_APP}.auth", "add [auth.people]"),
    (site('allow = ["192.168.1.5/24"]  #!'), f"{_AT}.allow[0]", 'write "192.168.1.0/24" for the network, or "192.168.1.5"'),
    (site('allow = ["office"]  #!'), f"{_AT}.allow[0]", "under [nets]"),
    (site('allow = "lam"  #!'), f"{_AT}.allow[0]", 'did you mean "lan"?'),
    (site("allow = []  #!"), f"{_AT}.allow", "nobody could come"),
    (site('deny = ["256.0.0.0/8"]  #!'), f"{_AT}.deny[0]", "neither a network nor the name of one"),
    (site('satisfy = "any"  #!'), f"{_AT}.satisfy", "no auth and no allow"),
    (site('satisfy = "any"  #!', 'allow = "lan"'), f"{_AT}.satisfy", "no auth"),
    (site('routes."/app" = { satisfy = "any", allow = "lan" }  #!'), f"{_APP}.satisfy", "no auth"),
    (site('satisfy = "any"  #!', 'allow = "lan"', 'deny = "all"', 'auth = "p"', "[auth.p]", 'provider = "authelia"', 'url = "http://x"'),
     f"{_AT}.satisfy", "keeps everybody out"),
    (site('satisfy = "any"', 'allow = "lan"', 'auth = "p"', 'routes."/app" = { deny = "all" }  #!', "[auth.p]", 'provider = "authelia"', 'url = "http://x"'),
     f"{_APP}.deny", "keeps everybody out"),
    (site('satisfy = "one"  #!'), f"{_AT}.satisfy", "is not one of"),
    (site('rate = "10"  #!'), f"{_AT}.rate", "is no rate"),
    (site('rate = "0/s"  #!'), f"{_AT}.rate", "is no rate"),
    (site('rate = "100/h"  #!'), f"{_AT}.rate", "by the second or the minute"),
    (site("rate = { burst = 1 }  #!"), f"{_AT}.rate", "how many"),
    (site('rate = { requests = "1/s", burst = -1 }  #!'), f"{_AT}.rate.burst", "from 0 to"),
    (site("connections = 0  #!"), f"{_AT}.connections", "from 1 to 65535"),
    # Headers.
    (site('headers."X Y" = "z"  #!'), f'{_AT}.headers."X Y"', "not the name of a header"),
    (site('headers.X$Y = "z"  #!').replace("X$Y", '"X$Y"'), f'{_AT}.headers."X$Y"', "not the name of a header"),
    (site(f'headers.{"X" * 47} = "z"  #!'), f'{_AT}.headers.{"X" * 47}', "longer than 46 characters"),
    (site('headers."" = "z"  #!'), f'{_AT}.headers.""', "not the name of a header"),
    (site('headers.X = "a\\nb"  #!'), f"{_AT}.headers.X", "control character"),
    (site(f'headers.X = "{"x" * 2001}"  #!'), f"{_AT}.headers.X", "longer than 2000 bytes"),
    (site(f'headers.X = "{"$" * 300}"  #!'), f"{_AT}.headers.X", "spelled out"),
    (site('headers.X = ""  #!'), f"{_AT}.headers.X", "hide_headers"),
    (site("headers.X = 1  #!"), f"{_AT}.headers.X", "write text"),
    (site('headers.strict-transport-security = "max-age=1"  #!'), f"{_AT}.headers.strict-transport-security", 'write hsts = "on"'),
    (site('headers.server = "x"  #!'), f"{_AT}.headers.server", "nginx says it"),
    (site('headers.Date = "x"  #!'), f"{_AT}.headers.Date", "nginx says it"),
    (site('headers.Alt-Svc = "clear"  #!'), f"{_AT}.headers.Alt-Svc", "http3 = true"),
    (site('headers.Content-Length = "1"  #!'), f"{_AT}.headers.Content-Length", "cannot be set"),
    (site('headers = { A = "1", a = "2" }  #!'), f"{_AT}.headers.a", "there twice"),
    (site('request_headers.Connection = "close"  #!'), f"{_AT}.request_headers.Connection", "cannot be set"),
    (site('request_headers.upgrade = "h2c"  #!'), f"{_AT}.request_headers.upgrade", "cannot be set"),
    (site('request_headers.Transfer-Encoding = "chunked"  #!'), f"{_AT}.request_headers.Transfer-Encoding", "cannot be set"),
    (site('hide_headers = ["a b"]  #!'), f"{_AT}.hide_headers[0]", "not the name of a header"),
    (site('error_pages.200 = "/x"  #!'), f"{_AT}.error_pages.200", "not the status of an error"),
    (site('error_pages.404 = "x"  #!'), f"{_AT}.error_pages.404", "not an absolute path"),
    # Snippets.
    (site("snippet = ''  #!"), f"{_AT}.snippet", "it is empty"),
    (site("snippet = '}'  #!"), f"{_AT}.snippet", "in its line 1: there is a } that closes nothing"),
    (site("snippet = {}  #!"), f"{_AT}.snippet", "it names no file"),
    (site('snippet = { file = "x" }  #!'), f"{_AT}.snippet.file", "not an absolute path"),
    (site("snippet = 1  #!"), f"{_AT}.snippet", "write nginx directives, or { file"),
    (site("routes.'/app' = { snippet = 'a' }  #!"), f"{_APP}.snippet", "write a ; after it"),
    ("[nginx]\nhttp_snippet = 'map $a $b {'  #!", "nginx.http_snippet", "never closed"),
    ("[nginx]\nmode = 'external'\nhttp_snippet = 'a;'  #!", "nginx.http_snippet", "write it into the nginx.conf"),
    ("[nginx]\nmode = 'external'\nstream_snippet = { file = '/x' }  #!", "nginx.stream_snippet", "write it into the nginx.conf"),
    # Who is asked.
    ("[auth.people]  #!", "auth.people", "it has no provider"),
    ("[auth.people]\nprovider = 'ldap'  #!", "auth.people.provider", "put Authelia or Authentik before it"),
    ("[auth.people]\nprovider = 'oauth2_proxy'  #!", "auth.people.provider", 'write "oauth2-proxy"'),
    ("[auth.people]\nprovider = 'authelya'  #!", "auth.people.provider", 'write "authelia"'),
    ("[auth.off]  #!\nprovider = 'basic'", "auth.off", "cannot be a NAME"),
    ("[auth.'a b']  #!\nprovider = 'basic'", 'auth."a b"', "cannot be a NAME"),
    ("[auth.people]  #!\nprovider = 'basic'", "auth.people", "it lets nobody in"),
    ("[auth.people]\nprovider = 'basic'\nusers.alice = 'hunter2'  #!", "auth.people.users.alice", "`gatelodge hash`"),
    ("[auth.people]\nprovider = 'basic'\nusers.alice = 4711  #!", "auth.people.users.alice", "it is a number; write the hash"),
    ("[auth.people]\nprovider = 'basic'\nusers.alice = '{PLAIN}hunter2'  #!", "auth.people.users.alice", "can be read, or guessed"),
    ("[auth.people]\nprovider = 'basic'\nusers.'a:b' = '$apr1$abc$0123456789012345678901'  #!", 'auth.people.users."a:b"', "cannot be the name of a user"),
    ("[auth.people]\nprovider = 'basic'\nusers_file = 'x'  #!", "auth.people.users_file", "not an absolute path"),
    ("[auth.people]\nprovider = 'basic'\nusers_file = '/x'  #!\nusers.alice = '$apr1$abc$0123456789012345678901'", "auth.people.users_file", "leave out one"),
    ("[auth.people]\nprovider = 'basic'\nusers_file = '/x'\nurl = 'http://x'  #!", "auth.people.url", "basic has no such key"),
    ("[auth.people]\nprovider = 'basic'\nusers_file = '/x'\nrealm = \"a\\nb\"  #!", "auth.people.realm", "control character"),
    ("[auth.people]  #!\nprovider = 'authelia'", "auth.people", "where nginx asks it"),
    ("[auth.people]\nprovider = 'authelia'\nurl = 'grpc://x'  #!", "auth.people.url", "not an http or https URL"),
    ("[auth.people]\nprovider = 'authelia'\nurl = 'http://x'\nrealm = 'x'  #!", "auth.people.realm", "authelia has no such key"),
    ("[auth.people]\nprovider = 'tinyauth'\nurl = 'http://x'\nsign_in = '/login'  #!", "auth.people.sign_in", "not an http or https URL"),
    # Networks.
    ("[nets]\nlan = ['10.0.0.0/8']  #!", "nets.lan", "is built in"),
    ("[nets]\n'a b' = ['10.0.0.0/8']  #!", 'nets."a b"', "cannot be a name"),
    ("[nets]\noffice = []  #!", "nets.office", "it is empty"),
    ("[nets]\noffice = ['10.0.0.1/8']  #!", "nets.office[0]", 'write "10.0.0.0/8"'),
    ("[nets]\noffice = ['ofice']  #!", "nets.office[0]", "there is no network"),
    # Listeners and the rest.
    ("[listen.8443]  #!\nhttp3 = true", "listen.8443", "nothing listens on 8443; write 80"),
    ("[listen.80]\nhttp3 = true  #!", "listen.80.http3", "has no TLS"),
    ("[listen.80]\ntls_profile = 'modern'  #!", "listen.80.tls_profile", "has no TLS"),
    ("[listen.80]\ntls_profile = 'old'  #!", "listen.80.tls_profile", "RFC 8996"),
    ("[listen.80]\ntls_profile = 'TLSv1.1'  #!", "listen.80.tls_profile", "RFC 8996"),
    ("[listen.80]\ntls_profile = 'TLSv1.2'  #!", "listen.80.tls_profile", 'write "intermediate"'),
    ("[listen.80]\ntls_profile = 'TLSv1.3'  #!", "listen.80.tls_profile", 'write "modern"'),
    ("[listen.80]\nproxy_protocol = []  #!", "listen.80.proxy_protocol", "it is empty"),
    ("[listen.80]\nproxy_protocol = true  #!", "listen.80.proxy_protocol", "write a list"),
    ("[listen.web]  #!\nhttp3 = true", "listen.web", "not an address with a port"),
    ("[listen.70000]  #!\nhttp3 = true", "listen.70000", "no such port"),
    (f"{site()}\n[listen.443]\nproxy_protocol = 'lan'\nhttp3 = true  #!", "listen.443.http3", "HTTP/3 has none"),
    ("[nginx]\nreal_ip_header = 'X-Real-IP'  #!", "nginx.real_ip_header", "write trusted_proxies"),
    ("[nginx]\ntrusted_proxies = 'lan'\nreal_ip_header = 'proxy_protocol'  #!", "nginx.real_ip_header", "no header of HTTP"),
    ("[nginx]\ntrusted_proxies = []  #!", "nginx.trusted_proxies", "it is empty"),
    ("[resolver]\nvalid = '2d'  #!", "resolver.valid", 'at most "1d"'),
    ("[ca]\ncountry = 'Germany'  #!", "ca.country", "two letters"),
    (f"[ca]\ncommon_name = '{'x' * 65}'  #!", "ca.common_name", "longer than 64 characters"),
    (f"[ca]\nstate = '{'x' * 129}'  #!", "ca.state", "longer than 128 characters"),
    ('[ca]\norganization = "a\\u0000"  #!', "ca.organization", "cannot be printed"),
    ("[ca]\nname = 'x'  #!", "ca.name", "known here: common_name"),
    # Presets.
    (site("preset = 'nextclod'  #!"), f"{_AT}.preset", 'did you mean "nextcloud"?'),
    (site("preset = 'xyzzy'  #!"), f"{_AT}.preset", "`gatelodge presets`"),
    (site("preset = 1  #!"), f"{_AT}.preset", "write a name in quotes"),
    (bare("preset = 'vaultwarden'"), f"{_AT}.upstream", 'write upstream = "http://vaultwarden:80"'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "path", "words"), _TABLE, ids=[f"{row[1]}-{row[2]}"[:70] for row in _TABLE])
def test_what_a_site_cannot_be_is_told_once_with_its_place_and_a_remedy(text: str, path: str, words: str) -> None:
    """
    One mistake makes one line: its key as written, what is wrong, what to write instead, and where it stands.
    """
    assert_told_once(text, path, words)


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ('static = "/srv"', "static"),
        ('snippet = "a;"', "snippet"),
        ('routes."/app" = { snippet = "a;" }', 'routes."/app".snippet'),
        ('routes."/app/" = { static = "/srv" }', 'routes."/app/".static'),
        ('upstream = "fastcgi://x"\nscript_root = "/x"', "script_root"),
        ('upstream = "http://unix:/run/x.sock"', "upstream"),
        ('upstream = "https://x"\nupstream_tls.ca = "/ca"', "upstream_tls.ca"),
        ('upstream = "https://x"\nupstream_tls = { certificate = "/c", key = "/k" }', "upstream_tls.certificate"),
        ('error_pages.404 = "/x"', "error_pages"),
        ('maintenance = "/x"', "maintenance"),
        ('maintenance.page = "/x"', "maintenance.page"),
        ('client_certificates = "/x"', "client_certificates"),
    ],
)
def test_roots_helper_takes_no_file_and_no_directive_of_the_users_own(lines: str, path: str) -> None:
    """
    Whatever names a path of the machine is refused where root's nginx would read it for a daemon that is not root.
    """
    upstream = "" if "upstream" in lines or lines.startswith("static") else 'upstream = "http://x"\n'
    helper = '[nginx]\nmode = "external"\nreload = "helper"\n'
    assert_told_once(f"{helper}{_SITE}{upstream}{lines}", f"{_AT}.{path}", "root's helper")


def test_roots_helper_takes_no_passwords() -> None:
    """
    Nginx reads them from a file.
    """
    helper = '[nginx]\nmode = "external"\nreload = "helper"\n'
    text = helper + site("auth = 'people'") + '\n[auth.people]\nprovider = "basic"\nusers_file = "/x"'
    assert_told_once(text, "auth.people", "passwords from a file")
    text = helper + site("auth = 'people'") + '\n[auth.people]\nprovider = "authelia"\nurl = "http://unix:/run/a"'
    assert_told_once(text, "auth.people.url", "root's helper")


@pytest.mark.parametrize(
    "value", ["'hunter2secret'", "'{PLAIN}hunter2secret'", "['hunter2secret']", "{ hunter2secret = 1 }"]
)
def test_a_password_is_never_repeated(value: str) -> None:
    """
    Neither in the mistake about it nor in its repr.
    """
    with pytest.raises(ConfigError) as caught:
        read(f"[auth.people]\nprovider = 'basic'\nusers.alice = {value}")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (site("hsts = 'preload'"), f"{_AT}.hsts", "remember for years"),
        ("nginx.public_https_port = 2443\n" + site("hsts = 'on'"), f"{_AT}.hsts", "port 2443"),
        (site("hsts = 'on'", "listen = [8443]"), f"{_AT}.hsts", "port 8443"),
        (f"nginx.public_https_port = 2443\n{site()}\n[sites.'b.lan']\ntls = 'local'\nredirect_to = 'https://a.lan/x'",
         'sites."b.lan".redirect_to', 'write "https://a.lan:2443/x"'),
        (f"{site()}\n[auth.people]\nprovider = 'authelia'\nurl = 'http://x'", "auth.people", "no site asks"),
        ("[nginx]\ntrusted_proxies = 'all'", "nginx.trusted_proxies", "everybody could say"),
        ("[nginx]\ntrusted_proxies = ['0.0.0.0/0']", "nginx.trusted_proxies", "everybody could say"),
        ("[listen.80]\nproxy_protocol = ['::/0']", "listen.80.proxy_protocol", "everybody could say"),
        (site("routes.'/app' = 'http://127.0.0.1:443'"), _APP, "the gate itself"),
        (bare("upstream = ['http://y', 'http://127.0.0.1:443']"), f"{_AT}.upstream", "the gate itself"),
    ],
)  # fmt: skip
def test_what_works_and_is_probably_not_meant_is_warned_of(text: str, path: str, words: str) -> None:
    """
    Each at its key, and nothing else is.
    """
    ((where, told),) = warnings(text)
    assert where.startswith(path)
    assert words in told
