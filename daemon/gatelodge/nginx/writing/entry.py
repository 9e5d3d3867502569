"""
Decides what nginx.conf says: the process, where it writes, and which files of its tree it includes. Of somebody else's nginx it
says the last alone, inside his `http {}` and his `stream {}`.

Every path is absolute. What nginx's workers write lies outside of the tree, so that a generation can be replaced under them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.core.parts import place
from gatelodge.core.tree import GENERATION
from gatelodge.nginx.writing.quote import Directive, Expression, block, line, write
from gatelodge.nginx.writing.site import HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gatelodge.core.desired import Desired
    from gatelodge.core.tree import Capabilities

#: A connection that is proxied takes two descriptors; some more are for logs and files.
_MORE_FILES = 64

#: Modules that write into folders, by the name under which nginx can be built without them.
_TEMPORARY = (("http_proxy", "proxy"), ("http_fastcgi", "fastcgi"), ("http_uwsgi", "uwsgi"), ("http_scgi", "scgi"))


#: The module that passes TCP and UDP on, where nginx was built to load it.
_STREAM = "stream"

#: Names by which a stream passes visitors on are at most 253 bytes long, and a bucket must hold one with a length and two pointers.
_MAP_BUCKET = "512"


def entry(desired: Desired, capabilities: Capabilities, sites: Iterable[str], streams: Iterable[str] = ()) -> str:
    """
    Write the entry, which includes the prelude and then these sites and streams by the names of their parts, in order.
    """
    state = desired.state_directory
    passing = _streams(state, streams)
    loaded = capabilities.dynamic.get(_STREAM) if passing and _STREAM not in capabilities.modules else None
    if desired.nginx.reload is not None:
        return HEADER + write([_number(), *_includes(state, sites)])
    user = [word for word in (capabilities.user, capabilities.group) if word]
    drain = max(1, int(desired.nginx.drain.total_seconds()))
    return HEADER + write(
        [
            *([line("load_module", loaded)] if loaded else []),
            line("daemon", "on"),
            *([line("user", *user)] if capabilities.user else []),
            *([line("pcre_jit", "on")] if "pcre-jit" in capabilities.modules else []),
            line("worker_processes", str(capabilities.cpus)),
            line("worker_rlimit_nofile", str(2 * capabilities.connections + _MORE_FILES)),
            line("worker_shutdown_timeout", f"{drain}s"),
            line("pid", f"{state}/nginx/nginx.pid"),
            line("error_log", f"{state}/log/error.log", "warn"),
            block("events", inside=[line("worker_connections", str(capabilities.connections))]),
            block("http", inside=_http(state, capabilities, sites)),
            *([block("stream", inside=[line("map_hash_bucket_size", _MAP_BUCKET), *passing])] if passing else []),
        ]
    )


def stream_entry(desired: Desired, streams: Iterable[str]) -> str:
    """
    Write what stands in somebody else's `stream {}`; nothing when there are no streams.
    """
    passing = _streams(desired.state_directory, streams)
    return HEADER + write(passing) if passing else ""


def _http(state: str, capabilities: Capabilities, sites: Iterable[str]) -> list[Directive]:
    present = [folder for module, folder in _TEMPORARY if f"{module}_module" not in capabilities.without]
    temporary = f"{state}/tmp"  # noqa: S108 - a folder of the state directory, not the machine's
    return [
        _number(),
        line("client_body_temp_path", f"{temporary}/body"),
        *(line(f"{folder}_temp_path", f"{temporary}/{folder}") for folder in present),
        *_includes(state, sites),
    ]


def _number() -> Directive:
    return block("geo", Expression("$gatelodge_generation"), inside=[line("default", GENERATION)])


def _includes(state: str, sites: Iterable[str]) -> list[Directive]:
    tree = f"{state}/nginx/generations/{GENERATION}"
    return [
        line("include", _unglobbed(f"{tree}/prelude.conf")),
        *(line("include", _unglobbed(f"{tree}/sites/{site}.conf")) for site in sites),
    ]


def _streams(state: str, streams: Iterable[str]) -> list[Directive]:
    tree = f"{state}/nginx/generations/{GENERATION}"
    return [line("include", _unglobbed(f"{tree}/{place(stream)}")) for stream in streams]


def _unglobbed(path: str) -> str:
    """
    Keep nginx from taking a path for a pattern, which it does when it finds one of `*?[` in it (ngx_conf_include).
    """
    if not any(character in path for character in "*?["):
        return path
    return "".join(f"\\{character}" if character in "*?[\\" else character for character in path)
