"""
Folders as certbot and SWAG leave them, made for a test: the layout is theirs, the texts are ours.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import tomllib
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from gatelodge.config.document.tables import CertificateTable
from gatelodge.config.parse import parse
from gatelodge.offers import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gatelodge.config.shape import Config

LETSENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"

#: The newest possible day at which a certificate of these ends.
ENDS = dt.datetime(2026, 3, 31, 12, tzinfo=dt.UTC)

_EC = ec.generate_private_key(ec.SECP256R1())
_EC384 = ec.generate_private_key(ec.SECP384R1())
_RSA = rsa.generate_private_key(65537, 2048)
KEYS = {"p256": _EC, "p384": _EC384, "rsa": _RSA}


def certificate(*names: str, key: str = "p256") -> bytes:
    """
    A certificate in PEM, with these names and this kind of key.
    """
    common = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "of a test")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(common)
        .issuer_name(common)
        .public_key(KEYS[key].public_key())
        .serial_number(7)
        .not_valid_before(ENDS - dt.timedelta(days=90))
        .not_valid_after(ENDS)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_general, names))), critical=False)
    return builder.sign(_EC, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def lineage(
    folder: Path, name: str, names: Iterable[str], params: str, *, key: str = "p256", server: str = LETSENCRYPT
) -> None:
    """
    Write a lineage of certbot's: archive, links in live, renewal.
    """
    archive, live = folder / "archive" / name, folder / "live" / name
    archive.mkdir(parents=True)
    live.mkdir(parents=True)
    pem = certificate(*names, key=key)
    for file in ("cert", "chain", "fullchain"):
        (archive / f"{file}3.pem").write_bytes(pem)
        (live / f"{file}.pem").symlink_to(f"../../archive/{name}/{file}3.pem")
    # Nobody may open it: a test would see.
    (live / "privkey.pem").symlink_to("../../archive/nowhere")
    (folder / "renewal").mkdir(exist_ok=True)
    (folder / "renewal" / f"{name}.conf").write_text(
        f"# renew_before_expiry = 30 days\nversion = 2.11.0\narchive_dir = {archive}\ncert = {live}/cert.pem\n"
        f"privkey = {live}/privkey.pem\n\n# What the renewal is done with\n[renewalparams]\n"
        f"account = 0123456789abcdef0123456789abcdef\nserver = {server}\n{params}\n"
    )


SSL = """\
# Which protocols
ssl_session_timeout 1d;
ssl_protocols TLSv1.2 TLSv1.3;
ssl_certificate /config/keys/cert.crt;
ssl_certificate_key /config/keys/cert.key;
#ssl_verify_client on;
"""
PROXY = """\
proxy_buffers 32 4k;
proxy_connect_timeout 240;
proxy_http_version 1.1;
proxy_redirect http:// $scheme://;
proxy_set_header Connection $connection_upgrade;
proxy_set_header Host $host;
proxy_set_header Proxy "";
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
"""
NGINX = """\
user abc;
include /config/nginx/worker_processes.conf;
events { worker_connections 1024; }
http {
    include /etc/nginx/mime.types;
    include /config/nginx/resolver.conf;
    client_max_body_size 0;
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    include /etc/nginx/http.d/*.conf;
    include /config/nginx/site-confs/*.conf;
}
"""
DEFAULT = """\
# everybody to https
server {
    listen 80 default_server;
    listen [::]:80 default_server;
    location / { return 301 https://$host$request_uri; }
}
server {
    listen 443 ssl default_server;
    listen [::]:443 ssl default_server;
    server_name _;
    include /config/nginx/ssl.conf;
    root /config/www;
    index index.html index.htm index.php;
    include /config/nginx/proxy-confs/*.subfolder.conf;
    location / {
        #auth_basic "Restricted";
        try_files $uri $uri/ /index.html;
    }
    location ~ ^(.+\\.php)(.*)$ { fastcgi_pass 127.0.0.1:9000; }
    location ~ /\\.ht { deny all; }
}
include /config/nginx/proxy-confs/*.subdomain.conf;
proxy_cache_path cache/ keys_zone=auth_cache:10m;
"""
ALIYUN = "dns_aliyun_access_key = LTAIexampleKEY\ndns_aliyun_access_key_secret = verySECRETvalue\n"


def proxied(
    name: str = "chat.*",
    app: str = "rocketchat",
    port: str = "3000",
    *,
    proto: str = "http",
    server: str = "client_max_body_size 0;",
    location: str = "",
    more: str = "",
) -> str:
    """
    A proxy-conf as SWAG's samples are: one server, one location; `server`, `location` and `more` stand in it besides.
    """
    inner = f"""
        include /config/nginx/proxy.conf;
        include /config/nginx/resolver.conf;
        set $upstream_app {app};
        set $upstream_port {port};
        set $upstream_proto {proto};
        proxy_pass $upstream_proto://$upstream_app:$upstream_port;
"""
    return f"""\
## Version 2024/07/16
# a container named {app} is needed
server {{
    listen 443 ssl;
    #listen 443 quic;
    listen [::]:443 ssl;
    server_name {name};
    include /config/nginx/ssl.conf;
    {server}
    # enable for authelia
    #include /config/nginx/authelia-server.conf;
    location / {{
        #auth_basic "Restricted";
        #include /config/nginx/authelia-location.conf;
        {location}{inner}    }}
    {more.replace("INNER", inner)}
}}
"""


def swag(folder: Path, **variables: str) -> None:
    """
    Write a folder of SWAG's that was told these variables: proven by Aliyun unless they say otherwise.
    """
    told = {"URL": "example.org", "SUBDOMAINS": "chat,cloud", "VALIDATION": "dns", "DNSPLUGIN": "aliyun", **variables}
    told = {name: told.get(name, "") for name in (*told, "EXTRA_DOMAINS", "PROPAGATION", "STAGING", "EMAIL")}
    folder.mkdir(exist_ok=True)
    folder.joinpath(".donoteditthisfile.conf").write_text(
        " ".join(f'ORIG{name}="{value}"' for name, value in told.items()) + "\n"
    )
    put(folder, "dns-conf/aliyun.ini", ALIYUN)
    put(folder, "nginx/nginx.conf", NGINX)
    put(folder, "nginx/ssl.conf", SSL)
    put(folder, "nginx/proxy.conf", PROXY)
    put(folder, "nginx/resolver.conf", "resolver 127.0.0.11 valid=30s;\n")
    put(folder, "nginx/site-confs/default.conf", DEFAULT)
    put(folder, "nginx/proxy-confs/wiki.subdomain.conf.sample", proxied("wiki.*"))


def put(folder: Path, name: str, text: str | bytes) -> Path:
    """
    Write a file, and the folders that it lies in.
    """
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def state(folder: Path) -> dict[str, tuple[int, int, str]]:
    """
    What everything below a folder is: mode, time, contents.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        if path.is_symlink():
            digest = str(path.readlink())
        else:
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (info.st_mode, info.st_mtime_ns, digest)
    return found


def parsed(text: str) -> tuple[dict[str, Any], Config]:
    """
    What a printed configuration says, as TOML and as a configuration without mistakes.

    Until `[certificates.NAME] adopt` is a key of the configuration, it is looked at in the TOML and left out of the rest.
    """
    mapping = tomllib.loads(text)
    known = "adopt" in {field.name for field in CertificateTable.__dataclass_fields__.values()}
    rest = {
        name: {key: value for key, value in table.items() if known or key != "adopt"}
        for name, table in mapping.get("certificates", {}).items()
    }
    return mapping, parse({**mapping, "certificates": rest}, CATALOG)
