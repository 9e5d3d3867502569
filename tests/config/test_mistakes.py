"""
Every mistake a configuration can hold: where it is told, in which words, on which line, and that it is the only one told.
"""

from __future__ import annotations

import pytest

from gatelodge.config.read import read
from gatelodge.errors import ConfigError

_AGREED = "acme.agree_tos = true\n"

_HERE_AND_EVERYWHERE = """
sites."a.lan" = {{ upstream = "http://x", tls = "local", listen = [{first}] }}
sites."b.lan" = {{ upstream = "http://x", tls = "{tls}", listen = [{second}], hosts = [{hosts}] }}  #!
sites."c.lan" = {{ upstream = "http://x", tls = "local", listen = [{first}] }}
"""

#: The text (the line with `#!` is the guilty one), the key path, and a part of the problem or remedy.
_TABLE = [
    # Keys that are none.
    ('stat_directory = "/x"  #!', "stat_directory", "did you mean state_directory?"),
    ("[nginx]\nhtps-port = 8443  #!", "nginx.htps-port", "did you mean https_port?"),
    ("xyzzy = 1  #!", "xyzzy", "known here: state_directory, check_every"),
    ('"" = 1  #!', '""', "there is no such key"),
    ('"a\\nb\\u202ec" = 1  #!', r'"a\u000ab\u202ec"', "there is no such key"),
    ('[sites."a.lan"]\nupsteam = "http://x"  #!\ntls = "local"', 'sites."a.lan".upsteam', "did you mean upstream?"),
    ('[sites."a.lan"]\nupstream = "http://x"\ntsl = "local"  #!', 'sites."a.lan".tsl', "did you mean tls?"),
    ('[sites."a.lan"]\nupstream = "http://x"\ntls = "local"\nxyzzy = {}  #!', 'sites."a.lan".xyzzy', "known here"),
    ("[nginx]\nhttp_port = 80\nsites.x = 1  #!", "nginx.sites", "it belongs at the top"),
    ('[[gadget]]  #!\nurl = "x"', "gadget", "there is no such key"),
    # Names with dots that stand without quotes.
    ('[sites.wiki.example.com]  #!\nupstream = "http://wiki:3000"', "sites.wiki", '"wiki.example.com"'),
    ('[sites]\nwiki.example.com = "http://wiki:3000"  #!', "sites.wiki", '"wiki.example.com"'),
    ("[certificates.example.com]  #!\nnames = []", "certificates.example", '"example.com"'),
    ('[acme.cas.my.ca]  #!\ndirectory = "https://ca.lan/"', "acme.cas.my", '"my.ca"'),
    # Values of the wrong type.
    ("check_every = 90  #!", "check_every", "a number, 90"),
    ("check_every = nan  #!", "check_every", "a fraction, nan"),
    ("check_every = inf  #!", "check_every", "it is a fraction"),
    ("check_every = 07:32:00  #!", "check_every", "a time of day"),
    ("check_every = 2026-01-01  #!", "check_every", "it is a date"),
    ("state_directory = [\n  []\n]", "state_directory", "it is a list"),
    ('[acme]\nagree_tos = "true"  #!', "acme.agree_tos", "write true or false"),
    ("[acme]\nagree_tos = 1  #!", "acme.agree_tos", "write true or false"),
    ("acme = true  #!", "acme", "write a table"),
    ("sites = []  #!", "sites", "write a table"),
    ('sites."a.lan" = 80  #!', 'sites."a.lan"', "write a table, or its upstream alone"),
    ('sites."a.lan" = []  #!', 'sites."a.lan"', "write a table, or its upstream alone"),
    ("[nginx]\nhttp_port = true  #!", "nginx.http_port", "it is true; write a port number"),
    ('[nginx]\nhttp_port = "80"  #!', "nginx.http_port", "text in quotes; write a port number"),
    ("[nginx]\nhttp_port = 70000  #!", "nginx.http_port", "70000: there is no such port"),
    ("[nginx]\nhttps_port = 0  #!", "nginx.https_port", "from 1 to 65535"),
    ("[nginx]\nhttp_port = 0x" + "f" * 6000 + "  #!", "nginx.http_port", "a number: there is no such port"),
    ('[sites."a.lan"]\ntls = "local"\nupstream = "http://x"\nhosts = "b.lan"  #!', 'sites."a.lan".hosts', "write a list"),
    ('[sites."a.lan"]\ntls = "local"\nupstream = "http://x"\nlisten = 5555  #!', 'sites."a.lan".listen', "write a list"),
    ('[sites."a.lan"]\ntls = { certificate = "/x" }  #!\nupstream = "http://x"', 'sites."a.lan".tls', "it has no key"),
    # Words.
    ('[nginx]\nmode = "externl"  #!', "nginx.mode", "is not one of"),
    ('[nginx]\nreload = "mailbox"  #!', "nginx.reload", "means nothing for an nginx that Gatelodge runs"),
    ('[nginx]\ngroup = "nginx"  #!', "nginx.group", "means nothing for an nginx that Gatelodge runs"),
    ('[nginx]\nmode = "external"\nuser = "www-data"  #!', "nginx.user", "means nothing for an nginx that others run"),
    ('[nginx]\nmode = "external"\ndrain = "1m"  #!', "nginx.drain", "means nothing for an nginx that others run"),
    ('[nginx]\nmode = "external"\nreload = "mailbox"\nbinary = "/x"  #!', "nginx.binary", "means nothing"),
    ('[nginx]\nreload = "helper"  #!', "nginx.reload", "means nothing for an nginx that Gatelodge runs"),
    ('[nginx]\nmode = "external"\nreload = "helper"\nbinary = "/x"  #!', "nginx.binary", "the helper is told which nginx"),
    ('[nginx]\nmode = "external"\nreload = "helper"\ngroup = "x"  #!', "nginx.group", "the helper and nginx's master are root"),
    ('[nginx]\nmode = "external"\nreload = "helpr"  #!', "nginx.reload", 'write "mailbox", "helper", or'),
    ('[nginx]\nmode = "external"\nreload = ["nginx"]  #!', "nginx.reload", "no list of commands"),
    ('[nginx]\nmode = "external"\nreload = []  #!', "nginx.reload", "no list of commands"),
    ('[nginx]\nmode = "external"\nreload = [["./reload"]]  #!', "nginx.reload", "not an absolute path"),
    ('[nginx]\nmode = "external"\ndefault_server = "no"  #!', "nginx.default_server", "is not known here"),
    ('[nginx]\nmode = "manged"  #!', "nginx.mode", 'write "managed"'),
    ('[acme]\nchallenge = "dns:home"  #!', "acme.challenge", "there is no [dns.home]"),
    ('[acme]\nkey = "ecdsa_p256"  #!', "acme.key", 'write "ecdsa-p256"'),
    ('[sites."a.lan"]\ntls = "locla"  #!\nupstream = "http://x"', 'sites."a.lan".tls', 'write "local"'),
    ('[sites."a.lan"]\ntls = "local"\nroutes."/x" = { upstream = "http://x", match = "regx" }  #!',
     'sites."a.lan".routes."/x".match', 'write "regex"'),
    # Times and sizes.
    ('check_every = "12"  #!', "check_every", "is not a duration"),
    ('check_every = ""  #!', "check_every", "is not a duration"),
    ('check_every = "1h 30m"  #!', "check_every", "is not a duration"),
    ('check_every = "5s"  #!', "check_every", "too short; write at least"),
    ('[nginx]\ndrain = "0s"  #!', "nginx.drain", "too short"),
    ('[nginx]\ndrain = "25d"  #!', "nginx.drain", 'at most "24d"'),
    ('[sites."a.lan"]\ntls = "local"\nupstream = "http://x"\nbody_size = "10 MB"  #!', 'sites."a.lan".body_size', "is not a size"),
    ('[sites."a.lan"]\ntls = "local"\nupstream = "http://x"\nbody_size = "99999999g"  #!', 'sites."a.lan".body_size', "more than"),
    # Paths, programs, users, addresses.
    ('state_directory = "gate"  #!', "state_directory", "is not an absolute path"),
    ('state_directory = "/"  #!', "state_directory", "below the root"),
    ('state_directory = "/a\\u0000b"  #!', "state_directory", r"\u0000b" + '" holds a control character'),
    ('state_directory = "/a$b"  #!', "state_directory", "takes for a variable"),
    ('state_directory = "/' + "x" * 1001 + '"  #!', "state_directory", "longer than 1000 bytes"),
    ('admin.socket = "/' + "x" * 107 + '"  #!', "admin.socket", "longer than 107 bytes"),
    ('admin.socket = ""  #!', "admin.socket", "it is empty"),
    ('admin.listen = "127.0.0.1:9180"  #!', "admin.listen", "there is no token"),
    ('admin = { listen = "localhost:9180", token = { env = "T" } }  #!', "admin.listen", 'write an address: "127.0.0.1:9180"'),
    ('admin = { listen = 9180, token = { env = "T" } }  #!', "admin.listen", "it is a number"),
    ('admin = { listen = [], token = { env = "T" } }  #!', "admin.listen", "it is empty"),
    ('admin = { listen = "127.0.0.1", token = { env = "T" } }  #!', "admin.listen", "not an address with a port"),
    ('admin = { listen = "127.0.0.1:9180", token = "fifteen-letters" }  #!', "admin.token", "fewer than 16 characters"),
    ('admin = { listen = "127.0.0.1:9180", token = "sixteen and more letters" }  #!', "admin.token", "cannot be sent"),
    ('admin = { listen = "127.0.0.1:9180", token = { env = "lower" } }  #!', "admin.token", "does not name a variable"),
    ('admin = { listen = "127.0.0.1:80", token = { env = "T" } }  #!', "admin.listen", "nginx listens on 80"),
    ('[nginx]\nbinary = "bin/nginx"  #!', "nginx.binary", "is not an absolute path"),
    ('[nginx]\nuser = "www data;"  #!', "nginx.user", "not the name of a user"),
    ('[nginx]\naddress = "localhost"  #!', "nginx.address", "is not an IP address"),
    ('[nginx]\naccess_log = "stderr"  #!', "nginx.access_log", "is not an absolute path"),
    ('[resolver]\nservers = ["192.168.1.1", "dns.lan"]  #!', "resolver.servers[1]", "is not an IP address"),
    ('[resolver]\nservers = ["192.168.1.1:0"]  #!', "resolver.servers[0]", "there is no such port"),
    ('[acme]\nemail = "me"  #!', "acme.email", "not an e-mail address"),
    ('[acme]\nemail = "me@a_b.example"  #!', "acme.email", "underscore"),
    ('[acme]\nprofile = "a b"  #!', "acme.profile", "not the name of a profile"),
    # Host names.
    ('sites."a_b.lan" = { upstream = "http://x", tls = "local" }  #!', 'sites."a_b.lan"', "underscore"),
    ('sites."a.lan:8443" = { upstream = "http://x", tls = "local" }  #!', 'sites."a.lan:8443"', "leave the port out"),
    ('sites."https://a.lan" = { upstream = "http://x", tls = "local" }  #!', 'sites."https://a.lan"', "without scheme"),
    ('sites."" = { upstream = "http://x", tls = "local" }  #!', 'sites.""', "is empty"),
    ('sites."192.0.2.256" = { upstream = "http://x", tls = "local" }  #!', 'sites."192.0.2.256"', "neither a host name"),
    ('sites."0.0.0.0" = { upstream = "http://x", tls = "local" }  #!', 'sites."0.0.0.0"', "no address that visitors"),
    ('sites."fe80::1%eth0" = { upstream = "http://x", tls = "local" }  #!', 'sites."fe80::1%eth0"', "is not a host name"),
    ('sites."a.*.lan" = { upstream = "http://x", tls = "local" }  #!', 'sites."a.*.lan"', 'one leading "*."'),
    ('sites."*" = { upstream = "http://x", tls = "local" }  #!', 'sites."*"', 'one leading "*."'),
    ('sites."*.192.0.2.1" = { upstream = "http://x", tls = "local" }  #!', 'sites."*.192.0.2.1"', "neither a host name"),
    ('sites."gatelodge.invalid" = { upstream = "http://x", tls = "local" }  #!', 'sites."gatelodge.invalid"', "another name"),
    (f'sites."{".".join(["a" * 60] * 4)}" = {{ upstream = "http://x", tls = "local" }}  #!',
     f'sites."{".".join(["a" * 60] * 4)[:80]}…"', "longer than 240 characters"),
    ('[sites."a.lan"]\ntls = "local"\nupstream = "http://x"\nhosts = ["ok.lan", "no_.lan"]  #!', 'sites."a.lan".hosts[1]', "underscore"),
    ('[sites."a.lan"]\ntls = "local"\nupstream = "http://x"\nhosts = ["A.LAN."]  #!', 'sites."a.lan".hosts', "a.lan is there twice"),
    # Listeners.
    ('[sites."a.lan"]\ntls = "local"\nupstream = "http://x"\nlisten = ["443"]  #!', 'sites."a.lan".listen[0]', "without them"),
    ('[sites."a.lan"]\ntls = "local"\nupstream = "http://x"\nlisten = ["0.0.0.0:443"]  #!', 'sites."a.lan".listen[0]', "the port alone"),
    ('[sites."a.lan"]\ntls = "local"\nupstream = "http://x"\nlisten = ["[::]:443"]  #!', 'sites."a.lan".listen[0]', "the port alone"),
    ('[sites."a.lan"]\ntls = "local"\nupstream = "http://x"\nlisten = ["::1:443"]  #!', 'sites."a.lan".listen[0]', "for IPv6"),
    ('[sites."a.lan"]\ntls = "local"\nupstream = "http://x"\nlisten = []  #!', 'sites."a.lan".listen', "it is empty"),
    ('[sites."a.lan"]\ntls = "local"\nupstream = "http://x"\nlisten = [443, 443]  #!', 'sites."a.lan".listen', "443 is there twice"),
    ('nginx.http_port = 0\n[sites."a.lan"]  #!\ntls = "off"\nupstream = "http://x"', 'sites."a.lan"', "nginx.http_port is 0"),
    # Upstreams.
    ('sites."a.lan" = "wiki:3000"  #!', 'sites."a.lan"', 'write "http://wiki:3000"'),
    ('sites."a.lan" = "172.29.0.6:7777/"  #!', 'sites."a.lan"', 'write "http://172.29.0.6:7777/"'),
    ('sites."a.lan" = "ws://chat:80/"  #!', 'sites."a.lan"', 'write "http://chat:80/"; websockets'),
    ('sites."a.lan" = "http://"  #!', 'sites."a.lan"', "no host"),
    ('sites."a.lan" = "http://wiki:99999"  #!', 'sites."a.lan"', "there is no such port"),
    ('sites."a.lan" = "http://wiki:"  #!', 'sites."a.lan"', "no host that can be reached"),
    ('sites."a.lan" = "http://wiki/?a"  #!', 'sites."a.lan"', "a query or a fragment"),
    ('sites."a.lan" = "http://wiki/a b"  #!', 'sites."a.lan"', "holds what no URL may"),
    ('sites."a.lan" = "http://wi\\tki"  #!', 'sites."a.lan"', "neither a name nor an address"),
    ('sites."a.lan" = "http://a b/"  #!', 'sites."a.lan"', "neither a name nor an address"),
    ('sites."a.lan" = "http://unix:80"  #!', 'sites."a.lan"', "for the path of a socket"),
    ('sites."a.lan" = "http://300.1.1.1/"  #!', 'sites."a.lan"', "neither a name nor an address"),
    ('sites."a.lan" = "http://::1/"  #!', 'sites."a.lan"', "no host that can be reached"),
    # Routes.
    ('[sites."a.lan"]  #!\ntls = "local"', 'sites."a.lan"', "it leads nowhere"),
    ('[sites."a.lan"]\ntls = "local"\nroutes."/x/" = {}  #!', 'sites."a.lan".routes."/x/"', "it leads nowhere"),
    ('[sites."a.lan"]\ntls = "local"\nroutes."x/" = "http://x"  #!', 'sites."a.lan".routes."x/"', 'does not begin with "/"'),
    ('[sites."a.lan"]\ntls = "local"\nroutes."/x?y" = "http://x"  #!', 'sites."a.lan".routes."/x?y"', "a query"),
    ('[sites."a.lan"]\ntls = "local"\nroutes."/%20" = "http://x"  #!', 'sites."a.lan".routes."/%20"', "compares decoded paths"),
    ('[sites."a.lan"]\ntls = "local"\nroutes."/a//b" = "http://x"  #!', 'sites."a.lan".routes."/a//b"', "resolves before"),
    ('[sites."a.lan"]\ntls = "local"\nroutes."/a\\nb" = "http://x"  #!', 'sites."a.lan".routes."/a\\u000ab"', "control character"),
    ('[sites."a.lan"]\ntls = "local"\nroutes."/.well-known/acme-challenge/" = "http://x"  #!',
     'sites."a.lan".routes."/.well-known/acme-challenge/"', "looks for its proof"),
    ('[sites."a.lan"]\ntls = "local"\nupstream = "http://x"\nroutes."/" = "http://y"  #!', 'sites."a.lan".routes."/"', "already"),
    # CAs.
    ("[acme]\nca = []  #!", "acme.ca", "it is empty"),
    ('[acme]\nca = ["letsencrypt", "letsencrypt-staging"]  #!', "acme.ca", "no visitor trusts"),
    ('[acme]\nca = ["letsencrypt", "letsencrypt"]  #!', "acme.ca", "letsencrypt is there twice"),
    ('[acme]\nca = "letsencript"  #!', "acme.ca", 'did you mean "letsencrypt"?'),
    ('[acme]\nca = "buypass"  #!', "acme.ca", "ended its ACME service"),
    ('[acme.cas.buypass]  #!\nroot = "/x.pem"', "acme.cas.buypass", "2025-10-31"),
    ('[acme.cas.zerossl]\neab = { kid = "x" }  #!', "acme.cas.zerossl.eab", "it has no hmac_key"),
    ('[acme.cas.zerossl]\neab = { kid = "x", hmac_key = { fil = "/x" } }  #!', "acme.cas.zerossl.eab.hmac_key", "where the secret is"),
    ('[acme]\nproxy = "https://proxy.lan:3128"  #!', "acme.proxy", "HTTP proxy"),
    ('[acme]\nproxy = "http://u:hunter2@proxy.lan:3128"  #!', "acme.proxy", "user name or password"),
    ('[acme]\nproxy = "http://proxy.lan:3128/x"  #!', "acme.proxy", "HTTP proxy"),
    ('[acme]\non_bad_name = "ignore"  #!', "acme.on_bad_name", "is not one of"),
    ('[acme.cas.step]  #!\nroot = "/x.pem"', "acme.cas.step", "it has no directory"),
    ('[acme.cas."../x"]  #!\ndirectory = "https://ca.lan/"', 'acme.cas."../x"', "name of a file"),
    ('[acme.cas.step]\ndirectory = "http://ca.lan/dir"  #!', "acme.cas.step.directory", "plain http"),
    ('[acme.cas.step]\ndirectory = "https://u:hunter2@ca.lan/dir"  #!', "acme.cas.step.directory", "user name or password"),
    ('[acme.cas.letsencrypt]\ndirectory = "https://ca.lan/dir"  #!', "acme.cas.letsencrypt.directory", "is built in"),
    (f'{_AGREED}[certificates.x]\nnames = ["a.example"]\nca = "steq"  #!', "certificates.x.ca", "there is no CA called"),
    ('[acme.cas.step]\ndirectory = "https://ca.lan/dir#x"  #!', "acme.cas.step.directory", "without a fragment"),
    (f'[acme.cas.step]\ndirectory = "https://ca.lan/{"x" * 1000}"  #!', "acme.cas.step.directory", "longer than 1000"),
    (f'{_AGREED}certificates."*.a".names = ["a.example"]\ncertificates."wildcard.a".names = ["b.example"]  #!',
     'certificates."wildcard.a"', "a certificate called wildcard.a already"),
    (f'{_AGREED}certificates.x = {{ names = ["a_.example"] }}  #!\nsites."a.example" = {{ upstream = "http://x", certificate = "x" }}',
     "certificates.x.names[0]", "underscore"),
    (f'{_AGREED}certificates."a.example" = {{ names = ["b_.example"] }}  #!\nsites."a.example" = "http://x"',
     'certificates."a.example".names[0]', "underscore"),
    # What a CA would refuse.
    ('sites."a.example" = "http://x"', "acme.agree_tos", "terms of service are not agreed to"),
    ('[acme]\nagree_tos = false  #!\n[sites]\n"a.example" = "http://x"', "acme.agree_tos", "a.example needs a certificate"),
    ('[acme]  #!\nemail = "a@example.org"\n[certificates.x]\nnames = ["a.example"]', "acme.agree_tos", "x needs a certificate"),
    (f'{_AGREED}sites."*.a.example" = "http://x"  #!', 'sites."*.a.example"', "no wildcards"),
    (f'{_AGREED}certificates.x.names = ["*.a.example"]  #!', "certificates.x", "no wildcards"),
    (f'{_AGREED}sites."nas.lan" = "http://x"  #!', 'sites."nas.lan"', 'tls = "local"'),
    (f'{_AGREED}sites.localhost = "http://x"  #!', "sites.localhost", "no private name"),
    (f'{_AGREED}sites."pi.home.arpa" = "http://x"  #!', 'sites."pi.home.arpa"', "no private name"),
    (f'{_AGREED}sites."192.168.1.2" = "http://x"  #!', 'sites."192.168.1.2"', "no private address"),
    (f'{_AGREED}acme.ca = "letsencrypt-staging"\nsites."::1" = "http://x"  #!', 'sites."::1"', "no private address"),
    (f'{_AGREED}nginx.http_port = 0  #!\nsites."a.example" = "http://x"', "nginx.http_port", "by http-01"),
    (f'{_AGREED}acme.ca = "zerossl"  #!\nsites."a.example" = "http://x"', "acme.ca", "write email under [acme]"),
    (f'{_AGREED}acme.email = "a@example.org"\nacme.ca = "google"  #!\nsites."a.example" = "http://x"', "acme.ca", "gcloud publicca external-account-keys create"),
    (f'{_AGREED}certificates.x = {{ names = ["a.example"], ca = ["letsencrypt", "google"] }}  #!', "certificates.x.ca", "external account binding"),
    (f'{_AGREED}acme.ca = "mine"  #!\nacme.cas.mine.directory = "https://dv.acme-v02.api.pki.goog/directory"\nsites."a.example" = "http://x"', "acme.ca", "gcloud"),
    # Certificates.
    (f"{_AGREED}[certificates.x]  #!", "certificates.x", "it is for no names"),
    (f'{_AGREED}certificates.x.names = ["a.example", "A.example"]  #!', "certificates.x.names", "a.example is there twice"),
    (f'{_AGREED}certificates."../x".names = ["a.example"]  #!', 'certificates."../x"', "name of a file"),
    (f'{_AGREED}certificates."gatelodge.invalid".names = ["a.example"]  #!', 'certificates."gatelodge.invalid"', "name of a file"),
    (f'{_AGREED}certificates.x.names = ["a.example"]\nsites."a.example" = {{ upstream = "http://x", certificate = "y" }}  #!',
     'sites."a.example".certificate', 'there is no "y" in [certificates]'),
    (f'{_AGREED}certificates.x.names = ["a.example"]\nsites."b.example" = {{ upstream = "http://x", certificate = "x" }}  #!',
     'sites."b.example".certificate', '"x" is not for b.example'),
    (f'{_AGREED}certificates.x.names = ["a.example"]\nsites."a.example" = {{ upstream = "http://x", tls = "local", certificate = "x" }}  #!',
     'sites."a.example".certificate', 'tls = "local"'),
    (f'{_AGREED}certificates.x.names = ["a.example"]\nsites."a.example" = {{ upstream = "http://x", key = "rsa-2048", certificate = "x" }}  #!',
     'sites."a.example".key', "belongs to the certificate"),
    ('sites."a.lan" = { upstream = "http://x", tls = "off", key = "rsa-2048" }  #!', 'sites."a.lan".key', "has no key"),
    (f'{_AGREED}certificates."a.example".names = ["b.example"]\nsites."a.example" = "http://x"  #!',
     'sites."a.example"', "the NAME of another in [certificates], a.example"),
    (f'{_AGREED}certificates."a.example".names = ["a.example"]\nsites."a.example" = {{ upstream = "http://x", tls = "local" }}  #!',
     'sites."a.example"', "the NAME of another"),
    ('sites."*.lan" = { upstream = "http://x", tls = "local" }\nsites."wildcard.lan" = { upstream = "http://x", tls = "local" }  #!',
     'sites."wildcard.lan"', "its files would have the name"),
    # Sites against one another.
    ('sites."a.lan" = { upstream = "http://x", tls = "local" }\nsites."A.lan" = { upstream = "http://x", tls = "local" }  #!',
     'sites."A.lan"', "there is a site a.lan already"),
    ('sites."a.lan" = { upstream = "http://x", tls = "local" }\nsites."b.lan" = { upstream = "http://x", tls = "local", hosts = ["a.lan"] }  #!',
     'sites."b.lan"', "a.lan on 443 belongs to a.lan already"),
    ('sites."a.lan" = { upstream = "http://x", tls = "local" }\nsites."b.lan" = { upstream = "http://x", tls = "off", hosts = ["a.lan"] }  #!',
     'sites."b.lan"', "on 80 every site with TLS has its redirect"),
    ('sites."a.lan" = { upstream = "http://x", tls = "local" }\nsites."b.lan" = { upstream = "http://x", tls = "off", listen = [443] }  #!',
     'sites."b.lan".listen', "443 is plain here"),
    ('sites."a.lan" = { upstream = "http://x", tls = "local", listen = ["127.0.0.1:80"] }  #!', 'sites."a.lan".listen', "the plain one"),
    ("nginx.http_port = 443  #!", "nginx.https_port", "443 is http_port too"),
    (f'{_AGREED}sites."8.8.8.8" = "http://x"\nsites."1.1.1.1" = {{ upstream = "http://x", tls = "local" }}  #!',
     'sites."1.1.1.1"', "cannot choose between two"),
    # Who visits 127.0.0.1:443 comes to 443 too.
    (_HERE_AND_EVERYWHERE.format(first="443", tls="local", second='"127.0.0.1:443"', hosts='"a.lan"'),
     'sites."b.lan"', "a.lan on 127.0.0.1:443 belongs to a.lan already, which is reached there by its 443; name a host in one"),
    (_HERE_AND_EVERYWHERE.format(first='"[::1]:443"', tls="local", second="443", hosts='"a.lan"'),
     'sites."b.lan"', "a.lan on 443 belongs to a.lan already, which is reached there by its [::1]:443"),
    (_HERE_AND_EVERYWHERE.format(first="443", tls="off", second='"127.0.0.1:80"', hosts='"a.lan"'),
     'sites."b.lan"', "on 80 every site with TLS has its redirect"),
    (_HERE_AND_EVERYWHERE.format(first="443", tls="off", second='"127.0.0.1:443"', hosts=""),
     'sites."b.lan".listen', "127.0.0.1:443 is plain here"),
    (_HERE_AND_EVERYWHERE.format(first='"127.0.0.1:443", "127.0.0.2:443"', tls="off", second="443", hosts=""),
     'sites."b.lan".listen', "443 is plain here and not so for a.lan"),
    (f'{_AGREED}sites."8.8.8.8" = "http://x"\nsites."1.1.1.1" = {{ upstream = "http://x", tls = "local", listen = ["192.0.2.1:443"] }}  #!',
     'sites."1.1.1.1"', "cannot choose between two"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "path", "words"), _TABLE, ids=[f"{row[1]}-{row[2]}"[:60] for row in _TABLE])
def test_a_mistake_is_told_once_with_its_place_and_a_remedy(text: str, path: str, words: str) -> None:
    """
    One mistake makes one line: its key as written, what is wrong, what to write instead, and where it stands.
    """
    with pytest.raises(ConfigError) as caught:
        read(text, "gatelodge.toml")

    (mistake,) = caught.value.mistakes
    assert mistake.path == path
    assert words in f"{mistake.problem}; {mistake.remedy}"
    assert mistake.problem
    assert mistake.remedy
    if "#!" in text:
        assert mistake.line == text[: text.index("#!")].count("\n") + 1
    assert str(caught.value).isprintable()


def test_a_host_may_have_a_site_on_each_address() -> None:
    """
    Where nobody can come to both at once.
    """
    listeners = ("127.0.0.1:443", "127.0.0.2:443", "127.0.0.1:8443", "[::1]:443")
    sites = [
        f'sites."{number}.lan" = {{ upstream = "http://x", tls = "local", listen = ["{listener}"], hosts = ["a.lan"] }}'
        for number, listener in enumerate(listeners)
    ]
    config = read("\n".join(["nginx.http_port = 0", *sites]))
    assert len(config.sites) == 4


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    """
    Mistakes of single values and mistakes between entries come together, also when one entry has both kinds.
    """
    text = """
check_every = "soon"
[acme]
agree_tos = true
[sites]
"a.example" = { upstream = "http://a", timeout = "never", hosts = ["nas.lan"] }
"b.example" = { upstream = "b:80", hosts = ["a.example"] }
"c.example" = { upstream = "http://c", hosts = ["a.example"], tls = "of", listen = [0] }
"d.example" = { upstream = "http://d", hosts = ["a.example"], key = "rsa" }
"""
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert [(mistake.line, mistake.path) for mistake in caught.value.mistakes] == [
        (2, "check_every"),
        (6, 'sites."a.example".timeout'),
        (6, 'sites."a.example"'),
        (7, 'sites."b.example".upstream'),
        (7, 'sites."b.example"'),
        (8, 'sites."c.example".listen[0]'),
        (8, 'sites."c.example".tls'),
        (9, 'sites."d.example".key'),
        (9, 'sites."d.example"'),
    ]


@pytest.mark.parametrize(
    "text",
    [
        '[acme]\nagree_tos = "yes"\n[sites]\n"a.example" = "http://x"',
        '[acme]\nagree_to = true\n[sites]\n"a.example" = "http://x"',
        '[acme]\nagree_tos = true\nca = "steq"\n[sites]\n"nas.lan" = "http://x"',
        '[acme]\nagree_tos = true\nca = "step"\ncas.step.root = "/x"\n[sites]\n"nas.lan" = "http://x"',
        '[acme]\nagree_tos = true\n[sites]\n"nas.lan" = { upstream = "http://x", tls = "locla" }',
        f'{_AGREED}certificates."a b".names = ["a.example"]\nsites."a.example" = {{ upstream = "http://x", certificate = "a b" }}',
        ('nginx.http_port = "0"\nsites."a.lan" = { upstream = "http://x", tls = "off", hosts = ["b.lan"] }\n'
        'sites."c.lan" = { upstream = "http://x", tls = "local", listen = [80], hosts = ["b.lan"] }'),
    ],
)  # fmt: skip
def test_what_could_not_be_read_is_not_complained_about_twice(text: str) -> None:
    """
    A value that was written wrongly is one mistake; what would follow from its absence is no other.
    """
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert len(caught.value.mistakes) == 1


def test_a_password_in_a_url_is_never_repeated() -> None:
    """
    A mistake about a URL with a password in it does not show the password, however broken the URL is.
    """
    for url in ("http://me:hunter2@wiki", "ftp://me:hunter2@wiki", "me:hunter2@wiki", "http://me:hunter2@wi ki/?x"):
        with pytest.raises(ConfigError) as caught:
            read(f'sites."a.lan" = {{ upstream = "{url}", tls = "local" }}')
        assert "hunter2" not in str(caught.value)
        assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "remedy"),
    [
        ("a = 1\nstate_directory = /var/lib", 2, "put text in quotes"),
        ('[sites]\nroutes./x/ = "http://x"', 2, "stand in quotes"),
        ('[sites]\n*.example.com = "http://x"', 2, "in quotes"),
        ('[sites.*.example.com]\nupstream = "http://x"', 1, "in quotes"),
        ("a = 1\na = 2\n", 2, "keep one of the two"),
        ("[a]\n[a]", 2, "under one header"),
        ("a = {}\n[a]\nb = 1", 2, "under one header"),
        ('a = "x\nb = 1', 1, "close the quotes"),
        ('a = "x', None, "close the quotes"),
        ("a = [1,", None, "close every list"),
        ('a = "C:\\path"', 1, "backslash"),
        ("a = 1 b = 2", 1, "one key a line"),
        ("[a", None, "close the table header"),
        ("a = 1\x00", 1, ""),
        (f"a = {'[' * 20000}", None, "https://toml.io"),
        (f"a = {'9' * 5000}", None, ""),
    ],
)  # fmt: skip
def test_what_is_no_toml_is_told_with_its_line_and_what_helps(text: str, line: int | None, remedy: str) -> None:
    """
    A syntax error is a mistake like any other.
    """
    with pytest.raises(ConfigError) as caught:
        read(text, "x.toml")
    (mistake,) = caught.value.mistakes
    assert mistake.line == line
    assert mistake.problem.startswith("not TOML")
    assert mistake.remedy
    assert remedy in mistake.remedy


def test_the_message_begins_with_file_and_line() -> None:
    """
    What is printed can be clicked in a terminal: FILE:LINE first.
    """
    with pytest.raises(ConfigError, match=r"^/etc/x\.toml:2: nginx\.http_port: ") as caught:
        read("[nginx]\nhttp_port = -1", "/etc/x.toml")
    assert caught.value.file == "/etc/x.toml"
