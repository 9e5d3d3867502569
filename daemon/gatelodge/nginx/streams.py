"""
Decides which streams are in a tree and as which text: as they are asked for, as they were proven last, or not at all.

A stream that cannot be served is left out, and harms nobody: neither another stream nor a site. The user's own text for `stream {}` is
a part like them, and can be left out alone too.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import TYPE_CHECKING

from gatelodge.core.observed import shown
from gatelodge.core.parts import STREAM_SNIPPET
from gatelodge.core.tree import Served
from gatelodge.model import is_ip, is_wildcard
from gatelodge.nginx.certificates import paths, visits
from gatelodge.nginx.writing.prelude import concrete
from gatelodge.nginx.writing.quote import Raw, write
from gatelodge.nginx.writing.reading import read
from gatelodge.nginx.writing.remembering import Remembering
from gatelodge.nginx.writing.site import HEADER
from gatelodge.nginx.writing.stream import left_out, streaming

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Held, Observed
    from gatelodge.core.tree import Capabilities, Quarantine
    from gatelodge.model import Listener, Stream
    from gatelodge.nginx.writing.ground import Ground
    from gatelodge.nginx.writing.site import Files

_MISSING = (
    "this nginx has no stream module, by which TCP and UDP are passed on: install it (Debian: apt install libnginx-mod-stream), "
    "or use an nginx that has it"
)


_HELD = "{listener} is held by a site that stays as it was proven last; this waits until that is mended"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """
    The streams of a tree: the text of each part by its name, in order; the digest of each part's own text before anything took its
    place; why some are not written as they were asked for; what they open, and what the proof reads back.
    """

    texts: Mapping[str, str]
    fresh: Mapping[str, str]
    unwritten: Mapping[str, str]
    listeners: frozenset[Listener]
    served: tuple[Served, ...]

    @property
    def live(self) -> bool:
        """
        True when nginx must know what a stream is.
        """
        return bool(self.listeners)


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """
    A part as it was asked for: its name, its text, and why it could not be written, if it could not.
    """

    name: str
    text: str
    unwritten: str = ""
    stream: Stream | None = None
    held: tuple[Held, ...] = ()


def place_streams(desired: Desired, observed: Observed, ground: Ground, taken: Iterable[Listener]) -> Streams:
    """
    Say which streams are in a tree.

    Args:
        taken: what sites listen on, in this very tree.
    """
    capabilities = observed.nginx.capabilities
    if capabilities is None:
        raise AssertionError("a tree is rendered for an nginx that was found")
    parts = list(_asked(desired, observed, ground, capabilities))
    before = frozenset(taken)
    opened = set(before)
    texts = {part.name: part.text for part in parts}
    unwritten = {part.name: part.unwritten for part in parts if part.unwritten}
    back = {part.name: found for part in parts if (found := _kept_back(part, observed.quarantines))}
    # What is asked for goes before what is only kept.
    for part in sorted(parts, key=lambda part: part.name in back):
        quarantine = back.get(part.name)
        text = (quarantine.kept or left_out(quarantine.error)) if quarantine else part.text
        named = read(text)
        clash = _clash(named.plain | named.tls, opened)
        if clash is None:
            texts[part.name] = text
            opened |= named.plain | named.tls
        elif quarantine is not None:
            texts[part.name] = left_out(quarantine.error)
        else:
            unwritten[part.name] = _HELD.format(listener=clash)
            texts[part.name] = left_out(unwritten[part.name])
    return Streams(
        texts={part.name: texts[part.name] for part in parts},
        fresh={part.name: read(part.text).digest for part in parts},
        unwritten=unwritten,
        listeners=frozenset(opened - before),
        served=tuple(
            visit
            for part in parts
            if part.stream is not None
            for visit in _served(part.stream, part.held, texts[part.name], desired, ground)
        ),
    )


def _asked(desired: Desired, observed: Observed, ground: Ground, capabilities: Capabilities) -> Iterator[_Part]:
    """
    Yield the parts as they are asked for.
    """
    missing = "" if ground.shared or has_streams(capabilities) else _MISSING
    if desired.nginx.stream_snippet and desired.streams:
        snippet = Raw(desired.nginx.stream_snippet, "nginx.stream_snippet")
        yield _Part(STREAM_SNIPPET, HEADER + write([snippet]))
    for stream in desired.streams:
        held = shown(stream.certificates, observed.held)
        text, why = write_stream(stream, paths(held), ground)
        yield _Part(stream.part, left_out(missing) if missing else text, missing or why, stream, held)


def has_streams(capabilities: Capabilities) -> bool:
    """
    Tell whether an nginx can have a `stream {}`.
    """
    return "stream" in capabilities.modules or "stream" in capabilities.dynamic


@Remembering
def write_stream(stream: Stream, shows: tuple[Files, ...], ground: Ground) -> tuple[str, str]:
    """
    Write a stream, and say why it cannot be, if it cannot.
    """
    try:
        return streaming(stream, shows, ground), ""
    except ValueError as error:
        why = "".join(each if each.isprintable() else "?" for each in str(error))
        return left_out(why), why


def _kept_back(part: _Part, quarantines: Mapping[str, Quarantine]) -> Quarantine | None:
    found = quarantines.get(part.name)
    return found if found is not None and found.digest == read(part.text).digest else None


def _clash(wanted: frozenset[Listener], opened: set[Listener]) -> Listener | None:
    """
    Return a listener that cannot be opened beside others: http and stream are strangers to one another in nginx, and a place is one
    stream's alone.
    """
    return next((mine for mine in sorted(wanted) if any(mine.overlaps(each) for each in opened)), None)


def _served(stream: Stream, held: tuple[Held, ...], text: str, desired: Desired, ground: Ground) -> Iterator[Served]:
    """
    Yield the visits that show that a stream is served. Certificates are not looked at where we are kept out, or do not know what the
    user wrote.
    """
    named = read(text)
    hosts = sorted((host for host in stream.hosts if not is_ip(host)), key=is_wildcard)
    name = concrete(hosts[0]) if hosts else None
    known = not stream.snippet and {(each.name, each.version) for each in held} <= named.references
    for listener in sorted(named.plain | named.tls):
        if listener in named.tls and known and _may_come(stream, listener.address or desired.nginx.address, ground):
            yield from visits(held, listener, name, ground)
        elif ground.shared and not listener.udp:
            # Only so is it seen that somebody else's `stream {}` has our line.
            yield Served(listener=listener, server_name=None, certificate="", fingerprint="")


def _may_come(stream: Stream, address: str, ground: Ground) -> bool:
    """
    Tell whether the daemon may come to a listener: from the very address that it goes to, when nginx is on this machine.
    """
    if not stream.allow and not stream.deny:
        return True
    ours = ipaddress.ip_address(address)
    if ground.shared or ours.is_unspecified:
        return False
    denied, allowed = (any(_is_in(ours, each) for each in rule) for rule in (stream.deny, stream.allow))
    return not denied and (allowed or not stream.allow)


def _is_in(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str) -> bool:
    return address in ipaddress.ip_network(network)
