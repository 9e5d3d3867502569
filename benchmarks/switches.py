"""
What single directives cost: the nginx configuration that Gatelodge renders, beside copies of it with one thing switched.

A copy is the text that is served, in one file and on ports of its own, run by the same nginx. All run at once and take turns under
load; ratios are medians of those to the unchanged copy in the same round. The copy `again` is unchanged too: what it differs by is
noise. A switch for which there is nothing to switch, or that nginx refuses, is left out.

    python -m benchmarks.switches [SWITCH …] [--rounds N] [--seconds S] [--clients C] [--nginx debian|newest|PATH] [--workloads …] [--json] [--out FOLDER]
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from benchmarks import gates, h2load, proxy, scratch, show, turns
from benchmarks.measure import Failed
from benchmarks.tables import Table

from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from pathlib import Path

_BASE = "as rendered"


class _Nothing(Exception):
    """
    A configuration has nothing that a switch could switch.
    """

    def __str__(self) -> str:
        return f"the configuration has no {super().__str__()}"


def _replace(pattern: str, by: str) -> Callable[[str], str]:
    """
    Return what replaces whatever matches, `^` and `$` being those of lines.
    """

    def switch(text: str) -> str:
        text, count = re.subn(f"(?m){pattern}", by, text)
        if not count:
            raise _Nothing(pattern)
        return text

    return switch


def _without(*names: str) -> Callable[[str], str]:
    """
    Return what takes directives away, wherever they stand.
    """
    return _replace(rf"^ *({'|'.join(names)}) [^;{{]*;\n", "")


def _in(block: str, *lines: str) -> Callable[[str], str]:
    """
    Return what says directives at the head of all blocks of a kind, or of the whole, and nowhere else.
    """
    added = "".join(f"{line};\n" for line in lines)
    elsewhere = rf"(?m)^ *({'|'.join({line.partition(' ')[0] for line in lines})}) [^;{{]*;\n"
    say = _replace(r"\A", added) if block == "main" else _replace(rf"^( *{block}\b[^{{\n]*{{)\n", rf"\1\n{added}")
    return lambda text: say(re.sub(elsewhere, "", text))


def _all(*switches: Callable[[str], str]) -> Callable[[str], str]:
    """
    Return what does several things in a row.
    """

    def switch(text: str) -> str:
        for each in switches:
            text = each(text)
        return text

    return switch


def _keepalive(number: int) -> Callable[[str], str]:
    return _replace(r"^( *)keepalive \d+;", rf"\1keepalive {number};")


_FEW_HEADERS = _in(
    "http",
    *("proxy_set_header Host $host", 'proxy_set_header Connection ""', "proxy_set_header X-Real-IP $remote_addr"),
    *("proxy_set_header X-Forwarded-For $remote_addr", "proxy_set_header X-Forwarded-Proto $scheme"),
)
_OWN_BUFFERS = _without("proxy_buffer_size", "proxy_buffers", "proxy_busy_buffers_size")
_KEPT_LONG = _all(_in("http", "keepalive_requests 1000000"), _in("upstream", "keepalive_requests 1000000"))

SWITCHES: dict[str, Callable[[str], str]] = {
    "again": lambda text: text,
    **{f"keepalive {number}": _keepalive(number) for number in (16, 32, 64, 128, 256, 512, 1024)},
    "upstream zone": _in("upstream", "zone service 64k"),
    "upstream keepalive_timeout 60s": _replace(
        r"^( *keepalive \d+;\n) *keepalive_timeout .*;", r"\1keepalive_timeout 60s;"
    ),
    "upstream keepalive_requests 1000000": _in("upstream", "keepalive_requests 1000000"),
    "keepalive_requests 1000000": _in("http", "keepalive_requests 1000000"),
    "multi_accept on": _in("events", "multi_accept on"),
    "accept_mutex on": _in("events", "accept_mutex on"),
    "reuseport": _replace(r"^( *listen \S+ ssl.* default_server);", r"\1 reuseport;"),
    "no IPv6": _replace(r"^ *listen \[::\].*;\n", ""),
    "worker_cpu_affinity auto": _in("main", "worker_cpu_affinity auto"),
    "pcre_jit on": _in("main", "pcre_jit on"),
    "timer_resolution 100ms": _in("main", "timer_resolution 100ms"),
    "log": _in("http", "access_log {folder}/visits.log combined"),
    "log, buffer=64k flush=5s": _in("http", "access_log {folder}/visits.log combined buffer=64k flush=5s"),
    "ssl_buffer_size 4k": _in("http", "ssl_buffer_size 4k"),
    "ssl_session_tickets on": _without("ssl_session_tickets"),
    "ssl_session_cache off": _in("http", "ssl_session_cache off"),
    "ssl_ciphers of nginx": _without("ssl_ciphers"),
    "proxy_buffers of nginx": _OWN_BUFFERS,
    "proxy_buffering off": _in("http", "proxy_buffering off"),
    "sendfile off, tcp_nopush off": _in("http", "sendfile off", "tcp_nopush off"),
    "sendfile on, tcp_nopush on": _in("http", "sendfile on", "tcp_nopush on"),
    "tcp_nodelay off": _in("http", "tcp_nodelay off"),
    "Host without a port": _replace(r"\$host\$gatelodge_port_suffix;", "$host;"),
    "no websockets": _all(
        _replace(r"proxy_set_header Upgrade .*;", 'proxy_set_header Upgrade "";'),
        _replace(r"proxy_set_header Connection .*;", 'proxy_set_header Connection "";'),
    ),
    "few headers": _FEW_HEADERS,
    "no proxy_redirect": _without("proxy_redirect"),
    "all that helps": _all(
        _FEW_HEADERS,
        _OWN_BUFFERS,
        _KEPT_LONG,
        _keepalive(1024),
        _in("events", "multi_accept on"),
        _in("main", "pcre_jit on"),
    ),
}


def _flat(path: Path) -> str:
    """
    Return a configuration with its includes in place. Ours are paths of single files.
    """
    return re.sub(r"(?m)^ *include (\S+);\n", lambda found: _flat(path.parent / found[1]), path.read_text())


def _copier(folder: Path, ours: gates.Gate) -> Callable[[str, int, int], str]:
    """
    Return what makes a copy of the configuration that our gate serves: under another name, on two other ports.
    """
    served = re.sub(
        r"(?m)^(daemon|pid|error_log) .*\n", "", _flat(folder / "state" / "nginx" / "current" / "nginx.conf")
    )
    plain = re.search(r"(?m)^ *listen (\d+) default_server;", served)
    assert plain is not None, served

    def copy(name: str, http: int, https: int) -> str:
        text = re.sub(rf"\b{ours.port}\b", str(https), re.sub(rf"\b{plain[1]}\b", str(http), served))
        return f"pid {folder}/{name}.pid;\nerror_log {folder}/{name}.log;\n{text}"

    return copy


@contextlib.contextmanager
def copies(names: list[str], nginx: Path, folder: Path) -> Iterator[list[gates.Gate]]:
    """
    Run our gate, an unchanged copy, and one for each switch, inside the context. Yields the copies.
    """
    with contextlib.ExitStack() as stack:
        ours, place = stack.enter_context(gates.ours(nginx, folder))
        copy = _copier(folder, ours)

        def command(switch: Callable[[str], str]) -> Callable[[gates.Place, int], list[str]]:
            def make(place: gates.Place, port: int) -> list[str]:
                (http,) = free_ports(1)
                file = f"copy-{port}"
                text = switch(copy(file, http, port)).replace("{folder}", str(folder))
                return gates.nginx_command(place, file, text)

            return make

        found = [stack.enter_context(gates.running(_BASE, command(lambda text: text), place))]
        for name in names:
            try:
                found.append(stack.enter_context(gates.running(name, command(SWITCHES[name]), place)))
            except (_Nothing, Failed) as failure:
                show.tell(f"{name} is left out: {failure}")
        yield found


def rows(workload: str, found: dict[str, list[turns.Turn]]) -> list[dict[str, Any]]:
    """
    Return a table's rows for what all copies did under one load.
    """
    each = {name: turns.summary(took, found[_BASE]) for name, took in found.items()}
    return [
        {
            "load": workload,
            "switch": name,
            "requests/s": round(summary.rate),
            "of rendered": round(summary.rate_ratio, 3),
            "quartiles": f"{summary.low:.2f}-{summary.high:.2f}",
            "µs": round(summary.cost, 1),
            "times µs": round(summary.cost_ratio, 3),
            "failed": summary.failed,
        }
        for name, summary in each.items()
    ]


def measure(given: argparse.Namespace) -> list[dict[str, Any]]:
    """
    Run the copies, and return the rows of all loads.
    """
    made: list[dict[str, Any]] = []
    with scratch.folder() as folder, copies(given.switches, gates.find_nginx(given.nginx), folder) as found:
        for workload in given.workloads:
            took = turns.take(found, workload, clients=given.clients, rounds=given.rounds, seconds=given.seconds)
            made += rows(workload, took)
    return made


def parser() -> argparse.ArgumentParser:
    """
    Return what reads the command line.
    """
    made = proxy.arguments("switches", rounds=8, seconds=0.5)
    made.add_argument("switches", nargs="*", metavar="SWITCH", help=f"of: {', '.join(SWITCHES)}")
    return made


def tables(given: argparse.Namespace) -> list[Table]:
    """
    Measure.

    Raises:
        Failed: there is no such switch, or nothing could be measured.
    """
    given.switches = given.switches or list(SWITCHES)
    if unknown := set(given.switches) - set(SWITCHES):
        raise Failed(f"there is no switch {', '.join(sorted(unknown))}")
    h2load.required()
    gates.end_well()
    note = f"{given.nginx} nginx, {given.clients} clients, medians of {given.rounds} turns of {given.seconds:g} s"
    return [Table(title="switches", note=note, rows=tuple(measure(given)))]


if __name__ == "__main__":
    show.run(parser(), tables)
