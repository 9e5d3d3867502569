"""
The kinds of value that `[auth.NAME]` has. No password, and no hash of one, is ever repeated.
"""

import enum
import re
from typing import Annotated, TypeAlias

from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.values import texts, upstream_urls, urls
from gatelodge.config.values.leaf import Leaf, choice, text
from gatelodge.model import Secret, Upstream


class Kind(enum.StrEnum):
    """
    Who can be asked.
    """

    BASIC = "basic"
    AUTHELIA = "authelia"
    AUTHENTIK = "authentik"
    TINYAUTH = "tinyauth"
    OAUTH2_PROXY = "oauth2-proxy"


#: What crypt(3) and nginx know (https://nginx.org/en/docs/http/ngx_http_auth_basic_module.html): bcrypt, SHA-256, SHA-512, Apache's
#: MD5, salted SHA-1.
_HASHES = re.compile(
    r"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}"
    r"|\$5\$(?:rounds=[0-9]{1,9}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43}"
    r"|\$6\$(?:rounds=[0-9]{1,9}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}"
    r"|\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}"
    r"|\{SSHA\}[A-Za-z0-9+/]{32,}={0,2}"
)

_LONGEST_NAME = 200

_PRINT_ONE = "write what `gatelodge hash` prints for it"


def _hash(given: str) -> Secret:
    if given.startswith(("{PLAIN}", "{SHA}")):
        raise Unreadable("it can be read, or guessed quickly, by whoever sees it", _PRINT_ONE)
    if not _HASHES.fullmatch(given):
        raise Unreadable("it is not the hash of a password, in a form that nginx knows", _PRINT_ONE)
    return Secret(given)


def _user(given: str) -> str:
    """
    Read a user's name as it can stand in a password file (RFC 7617 §2 allows no colon).
    """
    if (
        not given.isprintable()
        or not given.strip()
        or ":" in given
        or given.startswith("#")
        or len(given.encode()) > _LONGEST_NAME
    ):
        raise Unreadable(
            f"{quoted(given)} cannot be the name of a user", 'leave out ":", a leading "#" and what cannot be printed'
        )
    return given


Provider: TypeAlias = Annotated[
    Kind,
    choice(
        Kind,
        oauth2_proxy=("is not how it is called", 'write "oauth2-proxy"'),
        oauth2proxy=("is not how it is called", 'write "oauth2-proxy"'),
        htpasswd=("is no provider", 'write provider = "basic" and users_file = "/path"'),
        ldap=("is not asked by nginx itself", "put Authelia or Authentik before it"),
    ),
]
UserName: TypeAlias = Annotated[str, text(_user, "a name")]
PasswordHash: TypeAlias = Annotated[
    Secret,
    Leaf(
        takes=(str,),
        read=_hash,
        wanted="the hash of a password in quotes: `gatelodge hash` prints one",
        schema={"type": "string", "pattern": r"^(\$2[aby]\$|\$5\$|\$6\$|\$apr1\$|\{SSHA\})"},
        blind=True,
    ),
]
Realm: TypeAlias = Annotated[str, text(lambda given: texts.value(given, longest=200), "text")]
ServiceUrl: TypeAlias = Annotated[
    Upstream,
    text(
        upstream_urls.asked,
        'a URL such as "http://authelia:9091"',
        pattern="^[Hh][Tt][Tt][Pp][Ss]?://",
        examples=["http://authelia:9091"],
    ),
]
PageUrl: TypeAlias = Annotated[
    str, text(urls.page, "a URL", pattern="^[Hh][Tt][Tt][Pp][Ss]?://", examples=["https://auth.example.com"])
]
