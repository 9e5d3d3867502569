"""
Decides what is a regular expression that nginx can be given, for hosts and for routes.

nginx compiles it with PCRE, and says so when it cannot; what surely is none in any dialect is told here already.
"""

from __future__ import annotations

import re
import unicodedata
import warnings

from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.values import names, texts
from gatelodge.model import Name, is_pattern

_LONGEST = 1000

_NAMED = re.compile(r"\(\?(?:P?<|')([A-Za-z_]\w*)", re.ASCII)

#: What Python's own compiler says of expressions that are none for PCRE either.
_SURELY_NONE = (
    "missing ), unterminated subpattern",
    "unbalanced parenthesis",
    "unterminated character set",
    "nothing to repeat",
    "bad character range",
    "bad escape (end of pattern)",
    "min repeat greater than max repeat",
)

#: What Python's compiler says of a group that is not there; PCRE lets it come later. With more digits it may be a character's number.
_NO_GROUP = re.compile("invalid group reference ([1-9])")

#: Escapes that only other dialects have (pcre2pattern(3), "Unsupported escape sequences"), unless they stand in a quotation.
_OTHERS_ESCAPES = re.compile(r"(?<!\\)(?:\\\\)*(\\(?:[LUlu]|N\{(?![0-9,]+\})))")
_QUOTED = r"\Q"

#: Variables that nginx will not have set by a capture (https://nginx.org/en/docs/http/ngx_http_core_module.html#variables).
_NGINXS_OWN = frozenset(
    {
        *(
            "binary_remote_addr",
            "body_bytes_sent",
            "bytes_sent",
            "connection",
            "connection_requests",
            "connection_time",
        ),
        *("content_length", "content_type", "document_root", "document_uri", "host", "hostname", "https", "is_args"),
        *("is_request_port", "msec", "nginx_version", "pid", "pipe", "proxy_protocol_addr", "proxy_protocol_port"),
        *("proxy_protocol_server_addr", "proxy_protocol_server_port", "query_string", "realpath_root", "remote_addr"),
        *("remote_port", "remote_user", "request", "request_body", "request_body_file", "request_completion"),
        *("request_filename", "request_id", "request_length", "request_method", "request_port", "request_time"),
        *("request_uri", "scheme", "sent_http_connection", "server_addr", "server_name", "server_port"),
        *("server_protocol", "status", "tcpinfo_rtt", "tcpinfo_rttvar", "tcpinfo_snd_cwnd", "tcpinfo_rcv_space"),
        *("time_iso8601", "time_local", "uri"),
    }
)

_FAMILIES = ("gatelodge_", "arg_", "cookie_", "http_", "sent_http_", "sent_trailer_", "upstream_", "ssl_", "proxy_")


def host(text: str) -> Name:
    """
    Read a host, or a regular expression of hosts, which begins with `~`.

    Raises:
        Unreadable: it is neither.
    """
    return Name(f"~{expression(text[1:])}") if is_pattern(text) else names.host(text)


def expression(text: str) -> str:
    """
    Read a regular expression.

    Raises:
        Unreadable: it is none, or takes a variable that is not its own.
    """
    if not text:
        raise Unreadable("it is an empty regular expression", "write what it is to match")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise Unreadable(f"{quoted(text)} holds a control character", r"leave it out, or write it as \xHH")
    if len(text.encode()) > _LONGEST or texts.as_written(text.replace("$", "")) > _LONGEST * 3:
        raise Unreadable(f"{quoted(text)} is longer than {_LONGEST} bytes", "shorten it")
    for name in _NAMED.findall(text):
        if name.startswith(_FAMILIES) or name in _NGINXS_OWN:
            whose = "Gatelodge's" if name.startswith("gatelodge_") else "nginx's"
            raise Unreadable(f"${name}, which {quoted(text)} captures, is a variable of {whose}", "name it otherwise")
    problem = _problem(text)
    if problem:
        raise Unreadable(f"{quoted(text)} is no regular expression: {problem}", "mend it")
    return text


def _problem(text: str) -> str | None:
    """
    Say what surely is wrong with an expression. What Python does not know, PCRE may.
    """
    dialect = re.sub(r"\(\?(?:<(?=[A-Za-z_])|')([A-Za-z_]\w*)[>']", r"(?P<\1>", text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(dialect)
    except re.error as error:
        # `[\w-]` and the like are ranges to Python alone.
        sure = error.msg.startswith(_SURELY_NONE) and not ("range" in error.msg and "\\" in error.msg)
        missing = _NO_GROUP.fullmatch(error.msg)
        if sure or (missing and int(missing[1]) > text.count("(")):
            return error.msg
    except (RecursionError, OverflowError):
        return None
    strange = _OTHERS_ESCAPES.search(text) if _QUOTED not in text else None
    return f"nginx knows no {strange[1]}" if strange else None
