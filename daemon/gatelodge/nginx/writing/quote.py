r"""
Decides how a value is written in an nginx configuration, so that nginx reads back exactly that value and nothing else.

Directives are data; `write` is the only place that makes text of them. An argument is bare only when every character is of a
safe alphabet, else double-quoted with `\` and `"` escaped (ngx_conf_read_token, src/core/ngx_conf_file.c). What nginx would do
with a `$` depends on the directive, so each argument says what it is; a plain `str` may hold none. It knows no directive.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import TYPE_CHECKING, TypeAlias

from gatelodge.core.tree import GENERATION

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Every variable that an expression may use: nginx's own, and those that our own files define.
VARIABLES = frozenset(
    {
        *("host", "http3", "http_host", "http_upgrade", "remote_addr", "request_uri", "scheme", "1"),
        *("args", "binary_remote_addr", "content_length", "content_type", "document_uri", "fastcgi_path_info"),
        *("fastcgi_script_name", "https", "is_args", "query_string", "remote_port", "request_method", "server_addr"),
        *(
            "server_port",
            "server_protocol",
            "ssl_client_fingerprint",
            "ssl_client_s_dn",
            "ssl_client_verify",
            "ssl_preread_server_name",
            "upstream_status",
            "uri",
        ),
        *(f"gatelodge_{name}" for name in ("connection", "cookie", "default_port", "digits", "dollar", "elsewhere")),
        *(f"gatelodge_{name}" for name in ("frames", "generation", "login", "nosniff", "port", "port_suffix")),
        *(f"gatelodge_{name}" for name in ("referrer", "rest", "service", "unreachable", "upgrade", "upstream")),
        *(f"gatelodge_{name}" for name in ("cookie_first", "cookie_second", "cookie_split", "cookie_terms", "cookies")),
        *(f"gatelodge_{name}" for name in ("detour", "given", "silent")),
    }
)

#: Families of variables whose last part is a name: a request header's, a cookie's, an upstream's header's, and ours of one site or stream.
_FAMILY = re.compile(
    r"(?:http|cookie|upstream_http|upstream_cookie|gatelodge_as|gatelodge_closed|gatelodge_denied|gatelodge_stream)_[a-z0-9_]+"
)

#: A `$` that stands for itself, where nginx expands variables: one that holds it.
DOLLAR = "${gatelodge_dollar}"

#: nginx reads its configuration through a buffer of 4096 bytes, which must hold a whole argument as it is written.
LONGEST = 4000

_BARE = re.compile(r"[A-Za-z0-9_./:=,+*@%~()[\]^-]+")
_BARE_EXPRESSION = re.compile(r"[A-Za-z0-9_./:=,+*@%~()[\]^$-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w*))", re.ASCII)
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"})
_INDENT = "    "

#: Directives that are remembered as text: some more than any site has of its own.
_REMEMBERED = 2048
_NEWLINE = "\n"

#: What stands after a text of the user's own, before its remark.
END_OF = "end of "


@dataclasses.dataclass(frozen=True, slots=True)
class Expanding:
    """
    A literal where nginx expands variables: a `$` in it is written as a variable that holds one.
    """

    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Lines:
    """
    A literal as `Expanding`, of several lines: their ends and tabs are the control characters for which nginx has a spelling.
    """

    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Expression:
    """
    Text with variables, each of which must be one of `VARIABLES`.
    """

    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Verbatim:
    """
    A regular expression, or a value in which nginx expands nothing: `$` stands for itself.
    """

    text: str


Argument: TypeAlias = str | Expanding | Lines | Expression | Verbatim


@dataclasses.dataclass(frozen=True, slots=True)
class Directive:
    """
    A name and its arguments, and what stands between its braces, if it has any. `remark` is a comment above it: the key of the TOML
    that made it.
    """

    words: tuple[Argument, ...]
    block: tuple[Part, ...] | None = None
    remark: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Raw:
    """
    Text of the user's own, in which every brace and quote that opens closes again: `config.values.snippets` saw to that.
    """

    text: str
    remark: str = ""


Part: TypeAlias = "Directive | Raw"


def line(*words: Argument) -> Directive:
    """
    Return a directive that ends with `;`.
    """
    return Directive(words)


def block(*words: Argument, inside: Iterable[Part], remark: str = "") -> Directive:
    """
    Return a directive with braces.
    """
    return Directive(words, tuple(inside), remark)


def write(directives: Iterable[Part], *, depth: int = 0) -> str:
    """
    Write directives as text, one a line.

    Raises:
        ValueError: an argument cannot be written so that nginx would read it back.
    """
    lines = [_written(directive, _INDENT * depth, depth) for directive in directives]
    # A blank line before each outermost block, for the person who reads it.
    return "".join(f"\n{each}" if depth == 0 and each.endswith("}\n") else each for each in lines)


def _written(directive: Part, indent: str, depth: int) -> str:
    remark = f"{indent}# {_harmless(directive.remark)}\n" if directive.remark else ""
    if isinstance(directive, Raw):
        # Not indented: a quoted value may go over several lines.
        end = f"{indent}# {END_OF}{_harmless(directive.remark)}\n" if directive.remark else ""
        return f"{remark}{directive.text.strip(_NEWLINE)}\n{end}"
    head = f"{remark}{indent}{_head(directive.words)}"
    if directive.block is None:
        return f"{head};\n"
    return f"{head} {{\n{write(directive.block, depth=depth + 1)}{indent}}}\n"


@functools.lru_cache(maxsize=_REMEMBERED)
def _head(words: tuple[Argument, ...]) -> str:
    """
    Write a directive without its end. Most are the same in every site, and are written once.
    """
    return " ".join([quote(word) for word in words])


def quote(argument: Argument) -> str:
    """
    Write one argument.

    Raises:
        ValueError: it holds a control character, a `$` that cannot be expressed there or an unknown variable, or is too long.
    """
    text = _expressed(argument)
    # The one sequence with control characters that may pass is ours: the place of the generation's number.
    plain = text.replace(GENERATION, "0")
    if isinstance(argument, Lines):
        plain = plain.translate(_ESCAPED)
    if _CONTROL.search(plain):
        raise ValueError(f"{plain!r} has a control character, which no nginx directive can hold")
    bare = _BARE_EXPRESSION if isinstance(argument, Expression) else _BARE
    written = text if bare.fullmatch(plain) else f'"{text.translate(_ESCAPED)}"'
    if len(written) * 4 > LONGEST and len(written.encode()) > LONGEST:
        raise ValueError(f"{plain[:40]!r}… is longer than the {LONGEST} bytes that nginx can read as one argument")
    return written


def _harmless(remark: str) -> str:
    return _CONTROL.sub("?", remark)


def spell_path(path: str) -> str:
    """
    Return a path as it stands inside a quoted or bare argument.
    """
    return path.translate(_ESCAPED)


def spell_dollar(text: str) -> str:
    """
    Return a literal for use inside an `Expression`: its `$` become variables that hold one.
    """
    return text.replace("$", DOLLAR)


def _expressed(argument: Argument) -> str:
    match argument:
        case str():
            if "$" in argument:
                raise ValueError(f"{argument!r} has a $, which cannot be written here")
            return argument
        case Expanding(text) | Lines(text):
            return spell_dollar(text)
        case Verbatim(text):
            return text
        case Expression(text):
            for braced, bare in _VARIABLE.findall(text):
                if (braced or bare) not in VARIABLES and not _FAMILY.fullmatch(braced or bare):
                    raise ValueError(f"{text!r} uses ${braced or bare}, which is not a variable of ours")
            return text
