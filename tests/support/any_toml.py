"""
Configurations that nobody wrote: sites with every key, and with texts that were made to leave their place.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from hypothesis import strategies as st

Table: TypeAlias = dict[str, Any]

#: Texts that mean something to nginx, to TOML, to a regular expression, to HTTP, or to nobody.
HOSTILE = (
    *("plain", " ", "a b", '"', "'", "\\", "\\\\", '\\"', "\\n\\t\\r\\0", "a\\", ";", "{}", "}", "#comment", "$", "$$"),
    *("$host", "${host}", "$1", "${gatelodge_dollar}", "$remote_addr$", "a$", "~*^regex(.*)$", "= /x", "@named"),
    *("} server { listen 1; #", '"; } evil on; {"', "'; return 200 evil; #", "\\r\\nSet-Cookie: evil=1", "%0d%0aX: y"),
    *("%s%n%25", "ö ü 你好", "\u2028\u00a0.", "<script>alert(1)</script>", "../../etc/passwd", "unix:/run/evil", "off"),
    *("default", "include", "if=x", "`id`", "$(id)", "x" * 1900, "$" * 150, '"' * 900, "\\" * 900, "é" * 900),
)

TEXTS = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=40)
TOKENS = st.from_regex(r"[A-Za-z0-9!#%&'*+.^_`|~-]{1,46}", fullmatch=True)
PATHS = TEXTS.map(lambda text: f"/x{text.strip('/')}") | st.sampled_from(["/x", "/x/", "/x/y/", "/ö/"])
FOLDERS = TEXTS.map(lambda text: f"/srv/{text.replace('$', 's')[:300]}")
URL_PATHS = st.text("abc/%20:@!$&'()*+,;=._~-", max_size=20).map(lambda text: text.replace("%", "%25"))
FLAGS = st.booleans()
TIMES = st.sampled_from(["1s", "90s", "1h", "1d"])
SIZES = st.sampled_from(["0", "64k", "10m", "2g", "900g"])
NETWORKS = st.lists(
    st.sampled_from(["lan", "cloudflare", "all", "192.0.2.7", "203.0.113.0/24", "2001:db8::/32", "::1"]),
    min_size=1,
    max_size=3,
)
URLS = st.one_of(
    st.sampled_from(
        [
            *("http://127.0.0.1:3000", "http://[::1]:3000/", "http://localhost", "http://wiki_main:3000/a%20b/"),
            *(
                "https://192.0.2.7",
                "https://cloud.example.com/x",
                "http://unix:/run/app.sock",
                "http://unix:/run/a:/b/",
            ),
            *("grpc://127.0.0.1:9", "grpcs://api:9", "fastcgi://127.0.0.1:9000", "fastcgi://unix:/run/php.sock"),
        ]
    ),
    URL_PATHS.map(lambda path: f"http://wiki/{path}"),
    URL_PATHS.map(lambda path: f"http://127.0.0.1:1/{path}"),
)
TARGETS = st.sampled_from(
    ["/", "/new/", "https://www.example.com", "https://www.example.com:8443/a/", "/x?y=$1&z='", "http://[::1]/"]
) | URL_PATHS.map(lambda path: f"/{path.lstrip('/')}?{path}")
EXPRESSIONS = (
    st.sampled_from([r"^/a(b|c)\.php$", "/x{2}", r"\.(jpg|png)$", "(?<name>[a-z]+)", "^/é", "a b", '"', "#", ";"])
    | TEXTS
)


def _either(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Table]:
    """
    One key of these.
    """
    return st.one_of(*(value.map(lambda one, key=key: {key: one}) for key, value in keys.items()))  # type: ignore[misc]


_SERVERS = st.lists(
    st.fixed_dictionaries(
        {"url": st.sampled_from(["http://192.0.2.7:80", "http://192.0.2.8:80", "http://unix:/run/x.sock"])},
        optional={
            "weight": st.integers(1, 9),
            "backup": st.just(value=False),
            "max_fails": st.integers(0, 9),
            "fail_timeout": TIMES,
        },
    ),
    min_size=2,
    max_size=3,
)
_BALANCES = st.sampled_from(
    ["round_robin", "least_conn", "ip_hash", "hash:uri", "hash:address", "hash:cookie:Sess_1", "hash:header:X-User"]
)
_ACTIONS = st.one_of(
    URLS.map(lambda url: {"upstream": url} | ({"script_root": "/var/www"} if url.startswith("fastcgi") else {})),
    st.fixed_dictionaries({"upstream": _SERVERS}, optional={"balance": _BALANCES}),
    st.fixed_dictionaries(
        {"upstream": st.sampled_from(["https://api.example.com", "https://192.0.2.7", "grpcs://api:443"])},
        optional={
            "upstream_tls": st.fixed_dictionaries(
                {}, optional={"verify": FLAGS, "name": st.just("api.example.com"), "ca": st.just("@CA@")}
            )
        },
    ),
    st.fixed_dictionaries(
        {
            "static": st.fixed_dictionaries(
                {"root": FOLDERS},
                optional={"index": st.lists(TEXTS, min_size=1, max_size=2), "fallback": PATHS, "listing": FLAGS},
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "redirect_to": TARGETS
            | st.fixed_dictionaries(
                {"url": TARGETS}, optional={"code": st.sampled_from([301, 302, 303, 307, 308]), "keep_path": FLAGS}
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "respond": st.fixed_dictionaries(
                {},
                optional={
                    "status": st.sampled_from([200, 204, 402, 403, 404, 410, 418, 444, 451, 503, 599]),
                    "body": TEXTS | st.sampled_from(["two\nlines", "tab\there", "a\r\nb", "\x1b[1m"]),
                    "type": st.sampled_from(["text/html", "application/json", "text/plain; charset=utf-8"]),
                },
            )
        }
    ),
)
_LEVEL: dict[str, st.SearchStrategy[Any]] = {
    "timeout": TIMES,
    "connect_timeout": TIMES,
    "body_size": SIZES,
    "websocket": st.sampled_from(["auto", "force"]),
    "buffering": FLAGS,
    "request_buffering": FLAGS,
    "temp_file_limit": SIZES,
    "gzip": FLAGS,
    "auth": st.sampled_from(["people", "file", "authelia", "authentik", "tinyauth", "proxy", "off"]),
    "allow": NETWORKS,
    "deny": NETWORKS,
    "rate": st.sampled_from(["1/s", "300/m", "9999999/s"]),
    "connections": st.integers(1, 99),
    "headers": st.dictionaries(TOKENS, TEXTS.filter(bool), max_size=3),
    "request_headers": st.dictionaries(TOKENS, TEXTS, max_size=3),
    "hide_headers": st.lists(TOKENS, max_size=3, unique_by=str.lower),
    "security_headers": FLAGS,
    "error_pages": st.dictionaries(st.sampled_from(["404", "502", "503", "401"]), FOLDERS, max_size=2),
    "snippet": st.sampled_from(["add_header X-Own '}';", "# {\n", 'set $own "a;b";\n\n']),
}


@st.composite
def _level(draw: st.DrawFn, most: int) -> Table:
    keys = draw(st.lists(st.sampled_from(sorted(_LEVEL)), max_size=most, unique=True))
    return {key: draw(_LEVEL[key]) for key in keys}


@st.composite
def _route(draw: st.DrawFn) -> tuple[str, Table]:
    match = draw(st.sampled_from(["prefix", "prefix", "exact", "regex"]))
    path = draw(EXPRESSIONS if match == "regex" else PATHS)
    return path, {"match": match, **draw(_ACTIONS), **draw(_level(3))}


@st.composite
def sites(draw: st.DrawFn, plain: tuple[int | str, ...], tls: tuple[int | str, ...]) -> Table:
    """
    One entry of `[sites]`, whose hosts are still to be numbered.

    Args:
        plain: where sites without TLS may listen.
        tls: where those with it may.
    """
    site = draw(_ACTIONS) | draw(_level(5))
    secured = draw(st.sampled_from(["local", "local", "acme", "off"]))
    site |= {"tls": secured}
    listen = draw(st.lists(st.sampled_from(plain if secured == "off" else tls), max_size=2, unique=True))
    site |= {"listen": listen} if listen or (secured != "off" and draw(FLAGS)) else {}
    site |= {"routes": dict(draw(st.lists(_route(), max_size=3)))}
    site |= (
        {"hosts": [r"~^(?<sub>[a-z]+)\.@N@\.example\.org$", "*.@N@.example.com"]}
        if secured == "off" and draw(FLAGS)
        else {}
    )
    site |= {"redirect_hosts": ["www.@N@.example.com"]} if draw(FLAGS) else {}
    if secured != "off":
        site |= {"hsts": draw(st.sampled_from(["off", "on", "preload"]))}
        site |= {"key": ["ecdsa-p256", "rsa-2048"]} if draw(FLAGS) else {}
        asked = st.fixed_dictionaries(
            {"ca": st.just("@CA@")}, optional={"optional": FLAGS, "depth": st.integers(1, 10)}
        )
        site |= {"client_certificates": draw(asked)} if draw(st.integers(0, 4)) == 0 else {}
    if draw(st.integers(0, 4)) == 0:
        closed = st.fixed_dictionaries(
            {},
            optional={
                "page": FOLDERS,
                "allow": NETWORKS.filter(lambda each: "all" not in each),
                "retry_after": st.just("1h"),
            },
        )
        site |= {"maintenance": draw(st.just(value=True) | FOLDERS | closed)}
    return site  # type: ignore[no-any-return] # what a strategy of Any draws


_PLACES = st.sampled_from(["127.0.0.1:1883", "[::1]:53", "db_main:5432", "localhost:9", "unix:/run/x@y,z.sock"])


@st.composite
def streams(draw: st.DrawFn) -> Table:
    """
    One entry of `[streams]`, whose port and hosts are still to be numbered.
    """
    udp, secured = draw(FLAGS), draw(st.sampled_from(["off", "off", "local", "acme"]))
    some: dict[str, st.SearchStrategy[Any]] = {
        "timeout": TIMES,
        "connect_timeout": TIMES,
        "allow": NETWORKS,
        "deny": NETWORKS,
        "connections": st.integers(1, 99),
        "proxy_protocol": FLAGS,
        "balance": st.sampled_from(["round_robin", "least_conn", "hash:address"]),
        "snippet": st.sampled_from(["tcp_nodelay off;\n", "# };\n"]),
        "upstream_tls": FLAGS
        | st.fixed_dictionaries({}, optional={"verify": FLAGS, "name": st.just("api.example.com")}),
    }
    stream = {key: draw(some[key]) for key in draw(st.lists(st.sampled_from(sorted(some)), max_size=4, unique=True))}
    several = "balance" in stream or draw(FLAGS)
    stream |= {"upstream": draw(st.lists(_PLACES, min_size=2, max_size=3, unique=True) if several else _PLACES)}
    stream |= {"protocol": "udp"} if udp else {}
    stream |= {"udp_responses": draw(st.integers(0, 9))} if udp and draw(FLAGS) else {}
    if secured != "off" and not udp:
        return stream | {"tls": secured, "hosts": ["@N@.stream.example.com"]}
    if not udp and draw(FLAGS):
        names = st.sampled_from(
            ["@N@.named.example.com", "*.@N@.named.example.com", f"{'x' * 60}.@N@.named.example.com"]
        )
        stream |= {"by_name": draw(st.dictionaries(names, _PLACES, min_size=1, max_size=3))}
    return stream


LISTEN = st.fixed_dictionaries(
    {},
    optional={
        "tls_profile": st.sampled_from(["modern", "intermediate"]),
        "proxy_protocol": NETWORKS,
        "http3": FLAGS,
    },
).filter(lambda table: not (table.get("http3") and "proxy_protocol" in table))


def written(value: object) -> str:
    """
    Write a value as TOML, tables inline.
    """
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str():
            return f'"{"".join(map(_spelled, value))}"'
        case dict():
            return "{ " + ", ".join(f"{written(key)} = {written(inner)}" for key, inner in value.items()) + " }"
        case list():
            return f"[{', '.join(map(written, value))}]"
        case _:
            raise TypeError(value)


def _spelled(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08X}"
