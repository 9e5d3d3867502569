"""
Decides which texts may stand for paths, programs, users, e-mail addresses and names of things.

What ends in nginx's files, or on a terminal, holds no control characters. A path that nginx reads holds no `$` either: nginx
would take it for a variable, and its workers cannot read a certificate by one.
"""

from __future__ import annotations

import re
import unicodedata

from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.values import names
from gatelodge.model import HTTP_01

#: With what is appended to it, this stays below PATH_MAX and the 4096 bytes of nginx's own buffer.
_LONGEST = 1000

#: `sun_path` of a unix socket holds 108 bytes with its final zero (unix(7)).
LONGEST_SOCKET = 107

NAME = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,198}[A-Za-z0-9])?")
_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_PROFILE = re.compile(r"[\x21-\x7e]{1,64}")

#: RFC 9110 §5.6.2, less the `$` that nginx would take for a variable.
_TOKEN = re.compile(r"[A-Za-z0-9!#%&'*+.^_`|~-]+")
_MEDIA_TYPE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9!#&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#&^_.+-]*(?:; ?[A-Za-z0-9_-]+=[A-Za-z0-9._-]+)*"
)
_LONGEST_NAME = 200

#: What fits into nginx's tables of header names, whose buckets hold 64 bytes (`proxy_headers_hash_bucket_size`).
_LONGEST_HEADER = 46

#: nginx reads its configuration through a buffer of 4096 bytes, which must hold a whole argument as it is written, and we leave
#: some for what stands beside a text in it. A `$` is written as `${gatelodge_dollar}`.
LONGEST_WRITTEN = 3900
_DOLLAR = len("${gatelodge_dollar}") - 1

#: RFC 5322 §3.2.3 atoms and dots, less what has a meaning of its own in a `mailto:` URL (RFC 6068 §2; RFC 8555 §7.3 takes
#: one address and no header fields).
_MAILBOX = re.compile(r"[A-Za-z0-9!#$'*+/=^_`{|}~-]+(?:\.[A-Za-z0-9!#$'*+/=^_`{|}~-]+)*")


def path(text: str) -> str:
    """
    Read an absolute path; doubled and final slashes are dropped.

    Raises:
        Unreadable: it is relative, or holds what no path of ours may.
    """
    found = re.sub(r"/{2,}", "/", _plain(text)).removesuffix("/")
    if not found.startswith("/"):
        raise Unreadable(f"{quoted(text)} is not an absolute path below the root", 'write it as "/…"')
    return found


def nginx_path(text: str) -> str:
    """
    Read an absolute path that nginx will read too.

    Raises:
        Unreadable: it is relative, or holds what nginx would not take as it stands.
    """
    found = path(text)
    if "$" in found:
        raise Unreadable(f"{quoted(text)} holds a $, which nginx takes for a variable", "choose a path without it")
    return found


def socket(text: str) -> str:
    """
    Read the path of a unix socket.

    Raises:
        Unreadable: it is relative, or longer than the system takes.
    """
    found = path(text)
    if len(found.encode()) > LONGEST_SOCKET:
        raise Unreadable(f"{quoted(text)} is longer than {LONGEST_SOCKET} bytes, the most for a socket", "shorten it")
    return found


def program(text: str) -> str:
    """
    Read a program: its name, or its absolute path.

    Raises:
        Unreadable: it is neither.
    """
    return text if _PROGRAM.fullmatch(text) else path(text)


def access_log(text: str) -> str:
    """
    Read where visits are logged: "off", "stdout" or a path.

    Raises:
        Unreadable: it is neither.
    """
    return text if text in {"off", "stdout"} else nginx_path(text)


def user(text: str) -> str:
    """
    Read the name of a system user (useradd(8)).

    Raises:
        Unreadable: it is not one.
    """
    if not _USER.fullmatch(text):
        raise Unreadable(f"{quoted(text)} is not the name of a user", 'write one such as "www-data"')
    return text


def email(text: str) -> str:
    """
    Read an e-mail address.

    Raises:
        Unreadable: it is not one.
    """
    mailbox, at, domain = text.rpartition("@")
    if not at or not _MAILBOX.fullmatch(mailbox):
        raise Unreadable(f"{quoted(text)} is not an e-mail address", 'write one such as "you@example.com"')
    return f"{mailbox}@{names.domain(domain)}"


def command(words: list[object]) -> tuple[str, ...]:
    """
    Read a program with its arguments; no shell takes part.

    Raises:
        Unreadable: it is not one.
    """
    listed = [word for word in words if isinstance(word, str) and "\0" not in word]
    if not listed or len(listed) != len(words):
        raise Unreadable("it is no list of words", 'write ["/path/to/program", "argument"]')
    return (program(listed[0]), *listed[1:])


def challenge(text: str) -> str:
    """
    Read a way to prove a name: `http-01`, or `dns:NAME` for dns-01 through `[dns.NAME]`.

    Raises:
        Unreadable: it is neither.
    """
    kind, colon, name = text.partition(":")
    if text == HTTP_01 or (kind == "dns" and NAME.fullmatch(name)):
        return text
    if kind in {"dns", "dns-01"}:
        problem = (
            f"{quoted(text)} says not by which DNS provider" if not (colon and name) else f"{quoted(text)} is no way"
        )
        raise Unreadable(problem, 'write "dns:NAME", where [dns.NAME] is the provider')
    if kind == "tls-alpn-01":
        raise Unreadable(f"{quoted(text)}, proof by TLS, is not in this release yet", 'write "http-01" or "dns:NAME"')
    raise Unreadable(f'{quoted(text)} is neither "http-01" nor "dns:NAME"', 'write "http-01" or "dns:NAME"')


def profile(text: str) -> str:
    """
    Read the name of a CA's certificate profile.

    Raises:
        Unreadable: it is not one.
    """
    if not _PROFILE.fullmatch(text):
        raise Unreadable(
            f"{quoted(text)} is not the name of a profile", 'write one that the CA offers, such as "shortlived"'
        )
    return text


def route(text: str) -> str:
    """
    Read the path prefix of a route, in the form in which nginx compares it: decoded, slashes merged, dots resolved.

    Raises:
        Unreadable: it is none, or nothing could ever match it.
    """
    for pattern, problem, remedy in _NOT_ROUTES:
        if pattern.search(_plain(text)):
            raise Unreadable(f"{quoted(text)} {problem}", remedy)
    # It may be written as it is, as a literal, and as a part of a regular expression.
    if max(as_written(text), as_written(re.escape(text).replace("$", ""))) > LONGEST_WRITTEN:
        raise Unreadable(f"{quoted(text)} is longer than nginx takes once its signs are escaped", "shorten it")
    return text


#: nginx compares a location with the decoded and normalised path, without the query
#: (https://nginx.org/en/docs/http/ngx_http_core_module.html#location).
_NOT_ROUTES = (
    (re.compile(r"\A[^/]"), 'does not begin with "/"', 'write it as visitors see it: "/path/"'),
    (
        re.compile(r"[?#]"),
        "holds a query or a fragment, by which nginx does not choose",
        'end it before the "?" or "#"',
    ),
    (re.compile(r"%[0-9A-Fa-f]{2}"), "holds an escape, and nginx compares decoded paths", "write the character itself"),
    (
        re.compile(r"//|/\.\.?(?:/|\Z)"),
        'holds "//", "/./" or "/../", which nginx resolves before',
        "write what is left",
    ),
    (
        re.compile(r"\A/\.well-known/acme-challenge(?:/|\Z)"),
        "is where the CA looks for its proof",
        "leave it to Gatelodge, or choose another path",
    ),
)


def file_name(text: str) -> str:
    """
    Read the name of a file within a folder that nginx serves.

    Raises:
        Unreadable: it is none, or nginx would take it for a variable.
    """
    if "$" in _plain(text) or text.startswith("/"):
        raise Unreadable(f"{quoted(text)} is not the name of a file", 'write one such as "index.html"')
    return text


def header_name(text: str) -> str:
    """
    Read the name of a header (RFC 9110 §5.1, §5.6.2).

    Raises:
        Unreadable: it is none.
    """
    if not _TOKEN.fullmatch(text):
        raise Unreadable(f"{quoted(text)} is not the name of a header", 'write one such as "X-Frame-Options"')
    if len(text) > _LONGEST_HEADER:
        raise Unreadable(
            f"{quoted(text)} is longer than {_LONGEST_HEADER} characters, the most for nginx", "shorten it"
        )
    return text


def real_ip_header(text: str) -> str:
    """
    Read the name of the header in which a proxy says who the visitor is.

    Raises:
        Unreadable: it is none.
    """
    if text == "proxy_protocol":
        raise Unreadable("a PROXY header is no header of HTTP", 'write [listen.443] proxy_protocol = ["lan"] for it')
    return header_name(text)


def attribute(text: str, longest: int) -> str:
    """
    Read a part of a CA's name, of at most so many characters (the upper bounds of RFC 5280, Appendix A.1).

    Raises:
        Unreadable: it is empty, too long, or cannot be printed.
    """
    if not text.strip() or not text.isprintable():
        raise Unreadable(f"{quoted(text)} is empty or cannot be printed", "write text, or leave the key out")
    if len(text) > longest:
        raise Unreadable(f"{quoted(text)} is longer than {longest} characters", "shorten it")
    return text


def common_name(text: str) -> str:
    """
    Read the name of a CA. Of this one the library counts the bytes that it is written in.

    Raises:
        Unreadable: as `attribute`, or it is longer than 64 bytes in UTF-8.
    """
    if len(attribute(text, 64).encode()) > 64:  # noqa: PLR2004 - ub-common-name, RFC 5280 Appendix A.1
        raise Unreadable(f"{quoted(text)} takes more than 64 bytes", "shorten it: a Chinese character takes three")
    return text


def country(text: str) -> str:
    """
    Read the two letters of a country (ISO 3166-1, as X.520 wants them).

    Raises:
        Unreadable: it is something else.
    """
    if not re.fullmatch(r"[A-Za-z]{2}", text):
        raise Unreadable(f"{quoted(text)} are not the two letters of a country", 'write them as in "DE" or "CN"')
    return text.upper()


def value(text: str, *, longest: int = 2000) -> str:
    """
    Read text that nginx sends: any, as long as it stays one line.

    Raises:
        Unreadable: it holds a control character, or is too long.
    """
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise Unreadable("it holds a control character", "leave it out")
    return fitting(text, longest)


def lines(text: str, *, longest: int) -> str:
    """
    Read text of several lines that nginx sends.

    Raises:
        Unreadable: it holds another control character than those between lines, or is too long.
    """
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text if character not in "\n\r\t"):
        raise Unreadable("it holds a control character that no line ends with", "leave it out")
    return fitting(text, longest)


def fitting(text: str, longest: int) -> str:
    """
    Read text of any kind that is not too long, neither as it is nor as nginx must be told it.

    Raises:
        Unreadable: it is.
    """
    if len(text.encode(errors="surrogatepass")) > longest:
        raise Unreadable(f"it is longer than {longest} bytes", "shorten it")
    if as_written(text) > LONGEST_WRITTEN:
        raise Unreadable(
            f'with each $, " and end of a line in it spelled out it would be longer than {LONGEST_WRITTEN} bytes, the most for nginx',
            "shorten it",
        )
    return text


def as_written(text: str) -> int:
    """
    Return how many bytes a text takes in nginx's files, where quotes, backslashes and ends of lines are escaped, and a `$` is a variable
    of ours.
    """
    escaped = sum(map(text.count, '"\\\n\r\t'))
    return len(text.encode(errors="surrogatepass")) + escaped + _DOLLAR * text.count("$")


def media_type(text: str) -> str:
    """
    Read a media type (RFC 9110 §8.3.1).

    Raises:
        Unreadable: it is none.
    """
    if not _MEDIA_TYPE.fullmatch(text) or len(text) > _LONGEST_NAME:
        raise Unreadable(f"{quoted(text)} is not a media type", 'write one such as "text/plain" or "application/json"')
    return text


def _plain(text: str) -> str:
    if not text:
        raise Unreadable("it is empty", "write something, or leave the key out")
    if len(text.encode(errors="surrogatepass")) > _LONGEST:
        raise Unreadable(f"{quoted(text)} is longer than {_LONGEST} bytes", "shorten it")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise Unreadable(f"{quoted(text)} holds a control character", "leave it out")
    return text
