"""
Decides the text of a whole tree from what is desired and what is held. Pure: the same values give the same text.

It refuses nothing: a site that cannot be written, or that nginx refused before, answers 503 or stays at its last proven text,
and everybody else is served.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.core.observed import shown
from gatelodge.core.tree import Rendered
from gatelodge.model import INTERNAL_HOST, STREAM_PREFIX, BasicAuth, Listener, Secret, is_ip, is_wildcard
from gatelodge.nginx.certificates import paths, visits
from gatelodge.nginx.streams import place_streams, write_stream
from gatelodge.nginx.writing.entry import entry, stream_entry
from gatelodge.nginx.writing.ground import Ground, lay
from gatelodge.nginx.writing.guard import password_file, password_text
from gatelodge.nginx.writing.prelude import Doors, concrete, prelude
from gatelodge.nginx.writing.reading import digest, read
from gatelodge.nginx.writing.remembering import Remembering
from gatelodge.nginx.writing.site import HEADER, Files, refusing, serving
from gatelodge.nginx.writing.snippets import snippets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Held, Observed
    from gatelodge.core.tree import Served
    from gatelodge.model import Auth, NginxSettings, Site

#: How a refusal of a listener begins. A quarantined site's 503 leaves that listener alone.
CANNOT_LISTEN = "cannot listen on {listener}: "


#: What nginx says when two servers have one name. In an `http {}` that is shared, the other is its owner's, and stays.
_CLAIMED = "conflicting server name"


@dataclasses.dataclass(frozen=True, slots=True)
class _Placed:
    """
    A site's place in the tree: its text, its own digest, the certificates held for it, and whether the text shows those versions.
    `unwritten` says why it could not be written as it was asked for.
    """

    site: Site
    text: str
    fresh: str
    held: tuple[Held, ...]
    shown: bool = True
    unwritten: str = ""


def render(desired: Desired, observed: Observed) -> Rendered:
    """
    Write the tree that serves what is desired with what is held.

    Sites whose certificate is not held show the placeholder; before that is held, they are left out of TLS. A quarantined site is replaced
    while its own text is the one that was refused.
    """
    capabilities = observed.nginx.capabilities
    if capabilities is None:
        raise AssertionError("a tree is rendered for an nginx that was found")
    kept = [
        each.kept
        for part, each in observed.quarantines.items()
        if each.kept is not None and not part.startswith(STREAM_PREFIX)
    ]
    ground = lay(desired, capabilities, kept=[listener for text in kept for listener in read(text).asked])
    placed = [_place(site, observed, ground, desired.auth) for site in desired.sites]
    internal = observed.held.get(INTERNAL_HOST)
    doors = _doors(placed, ground, desired.nginx, internal=internal is not None)
    names = frozenset(host for each in placed for host in each.site.names)
    text = prelude(
        ground,
        capabilities,
        doors,
        internal=next(iter(paths((internal,) if internal else ())), None),
        settings=desired.nginx,
        names=names | {INTERNAL_HOST},
        resolver=desired.resolver,
        access_log=desired.access_log,
    )
    sites = {each.site.file_name: each.text for each in placed}
    streams = place_streams(desired, observed, ground, doors.plain + doors.tls)
    main = entry(desired, capabilities, sites, streams.texts if streams.live else ())
    beside = stream_entry(desired, streams.texts) if ground.shared else ""
    by_hand = snippets(desired, observed, ground) if ground.shared else {}
    return Rendered(
        digest=digest(main, text, *sites.values(), *by_hand.values(), *_beside(beside, streams.texts)),
        proof=_origin(doors),
        proof_proxied=bool(doors.proof and ground.terms(doors.proof).settings.proxy_protocol is not None),
        entry=main,
        prelude=text,
        sites=sites,
        fresh={**{each.site.file_name: each.fresh for each in placed}, **streams.fresh},
        references=read(text).references.union(
            *(read(each).references for each in (*sites.values(), *streams.texts.values(), *by_hand.values()))
        ),
        listeners=streams.listeners.union(doors.plain, doors.tls),
        served=(*_served(placed, ground), *streams.served),
        snippets=by_hand,
        whole=not ground.shared,
        passwords=_passwords(desired),
        unwritten={
            **{each.site.file_name: each.unwritten for each in placed if each.unwritten},
            **streams.unwritten,
        },
        streams=streams.texts,
        stream_entry=beside,
        without_streams=entry(desired, capabilities, sites) if streams.live and not ground.shared else "",
    )


class Renderer:
    """
    `render`, with the last tree remembered: an idle pass asks for the same one again. What only older trees held is forgotten.
    """

    def __init__(self) -> None:
        self._asked: tuple[object, ...] = ()
        self._rendered: Rendered | None = None

    def __call__(self, desired: Desired, observed: Observed) -> Rendered:
        """
        Write the tree, as `render` does.
        """
        # Everything that `render` reads. Compared by identity first, so that ten thousand certificates take a millisecond.
        asked = (desired, observed.nginx.capabilities, observed.held, observed.quarantines)
        if self._rendered is None or asked != self._asked:
            self._rendered, self._asked = render(desired, observed), asked
            for each in (_serve, write_stream, read):
                each.turn()
        return self._rendered


def _passwords(desired: Desired) -> dict[str, Secret]:
    named = {route.guard.auth for site in desired.sites for route in site.routes}
    kept = {name: auth for name, auth in desired.auth.items() if name in named}
    return {
        password_file(auth, name): Secret(password_text(auth))
        for name, auth in kept.items()
        if isinstance(auth, BasicAuth) and auth.file is None
    }


def _place(site: Site, observed: Observed, ground: Ground, auths: Mapping[str, Auth]) -> _Placed:
    held = shown(site.certificates, observed.held)
    files = paths(held)
    named = dict.fromkeys(route.guard.auth for route in site.routes if route.guard.auth)
    text, unwritten = _serve(site, files, ground, tuple((name, auths[name]) for name in named if name in auths))
    fresh = read(text).digest
    quarantine = observed.quarantines.get(site.file_name)
    if quarantine is None or quarantine.digest != fresh:
        return _Placed(site, text, fresh, held, unwritten=unwritten)
    if quarantine.kept is None and ground.shared and _CLAIMED in quarantine.error:
        return _Placed(site, f"{HEADER}# Left out: another server has its name.\n", fresh, held)
    if quarantine.kept is None:
        closed = frozenset(each for each in site.listeners if CANNOT_LISTEN.format(listener=each) in quarantine.error)
        return _Placed(site, refusing(site, files, ground, closed=closed), fresh, held)
    same = {(each.name, each.version) for each in held} <= read(quarantine.kept).references
    return _Placed(site, quarantine.kept, fresh, held, shown=same)


@Remembering
def _serve(
    site: Site, files: tuple[Files, ...], ground: Ground, auths: tuple[tuple[str, Auth], ...]
) -> tuple[str, str]:
    """
    Write a site, and say why it is not as it was asked for, if it is not.
    """
    try:
        return serving(site, files, ground, auths), ""
    except ValueError as error:
        why = "".join(each if each.isprintable() else "?" for each in str(error))
        return f"# Not served as asked: {why}\n{refusing(site, files, ground, closed=frozenset())}", why


def _beside(entry: str, texts: Mapping[str, str]) -> tuple[str, ...]:
    """
    Return what streams add to a tree's digest: nothing when there are none, so that older trees keep theirs.
    """
    return (entry, *(f"{name}\0{text}" for name, text in texts.items())) if texts else ()


def _doors(placed: Iterable[_Placed], ground: Ground, settings: NginxSettings, *, internal: bool) -> Doors:
    named = [(each, read(each.text)) for each in placed]
    plain = set(ground.reaching((ground.http,))) if ground.http else set()
    plain = plain.union(*(names.plain for _, names in named))
    tls: set[Listener] = set().union(*(names.tls for _, names in named))
    by_address: dict[Listener, tuple[Files, ...]] = {}
    for each, names in named:
        files = paths(each.held)
        if files and any(map(is_ip, each.site.hosts)):
            by_address = dict.fromkeys(names.tls, files) | by_address
    first_tls = next(
        (listener for each, names in named for listener in each.site.listeners if listener in names.tls), None
    )
    proof = next((way for way in (ground.http, first_tls if internal else None, *sorted(plain)) if way), None)
    return Doors(
        plain=tuple(sorted(plain)),
        tls=tuple(sorted(tls)),
        by_address=by_address,
        proof=proof,
        address=(proof.address if proof else "") or settings.address,
    )


def _origin(doors: Doors) -> str:
    """
    Return where the generation is told; nothing when there is no listener to tell it on.
    """
    if doors.proof is None:
        return ""
    scheme = "https" if doors.proof in doors.tls else "http"
    return f"{scheme}://{Listener(port=doors.proof.port, address=doors.address)}"


def _served(placed: Iterable[_Placed], ground: Ground) -> Iterator[Served]:
    """
    Yield one visit for each site, TLS listener and certificate, and one without a name for each listener that is visited by IP
    address.
    """
    nameless: set[Listener] = set()
    for each in placed:
        named = next(iter(sorted((host for host in each.site.names if not is_ip(host)), key=is_wildcard)), None)
        names = read(each.text)
        for listener in sorted(names.tls & names.asked) if each.held and each.shown else ():
            if named:
                yield from visits(each.held, listener, concrete(named), ground)
            if listener not in nameless and any(map(is_ip, each.site.hosts)):
                nameless.add(listener)
                yield from visits(each.held, listener, None, ground)
