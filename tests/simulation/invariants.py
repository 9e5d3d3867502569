"""
What must always be, as a literal table of small functions: each looks at the world in a calm moment and says what is wrong, if anything is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import stat
from typing import TYPE_CHECKING

from tests.simulation import nginx
from tests.simulation.faults import DAY, HOUR
from tests.support.clock import START

from gatelodge.core import renewal
from gatelodge.core.actions import certificate_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tests.simulation.nginx import Loaded
    from tests.simulation.sites import Wanted
    from tests.simulation.world import World

#: So long must a CA and the DNS have worked at a stretch, within the last third of a certificate's life, to be a fair chance.
FAIR = 48 * HOUR

#: And so long with one short trouble in between: a refused name is tried once a day, so each of two tries may wait for more than a day.
FAIR_WITH_A_HICCUP = 66 * HOUR

#: So long after the last fault everything is as it is asked for: a refused name is tried once a day, and its wait may be a fifth longer.
BOUND = 3 * DAY

#: The documents that hold keys, by the name of their folder.
_WITH_KEYS = {"accounts": "accounts", "orders": "journal/orders"}

#: So long after the last fault the last token is gone: those that a killed process left are nobody's after a day.
TOKENS = 5 * DAY


@dataclasses.dataclass(frozen=True, slots=True)
class Invariant:
    """
    What must always be, by its name.
    """

    name: str
    breaches: Callable[[World], Iterator[str]]


class Memory:
    """
    What was seen before, where an invariant is about more than one moment, and what it was made of, so that nothing is looked at twice.
    """

    def __init__(self) -> None:
        self.certified: dict[str, Loaded] = {}
        self.lapsed: set[tuple[str, float]] = set()
        self.lapses = 0
        self.looked_at: set[tuple[Path, int]] = set()
        self._seen: dict[str, tuple[object, ...]] = {}
        self.lapse_at = 0.0
        self.converged = False

    def is_new(self, about: str, *seen: object) -> bool:
        """
        Tell whether any of these is another one than when this was asked before.
        """
        before = self._seen.get(about)
        self._seen[about] = seen
        return before is None or not all(
            one is other or (isinstance(one, int) and one == other) for one, other in zip(before, seen, strict=True)
        )


def lapse(world: World) -> Iterator[str]:
    """
    No certificate lapses while one of its CAs, what proves its names, and this machine worked for 48 h at a stretch between when it was due and
    its end: the last third of its life, or half where that is short. (This machine: the daemon ran, its clock was right, its disk had room,
    nginx took what it was given.) Somewhat longer, and one hiccup is no excuse either. Each lapse that is excused is counted, by its excuse.
    """
    memory, shows = world.memory, world.nginx.shows
    if memory.is_new("lapse", shows, world.wanted_since):
        memory.lapse_at = 0.0
    if world.loop.time() < memory.lapse_at:
        return
    now = world.true_clock.now()
    for name, shown in sorted(shows.items()):
        site = world.sites.wanted.get(name)
        if site is None or shown.not_after > now or (name, shown.not_after.timestamp()) in memory.lapsed:
            continue
        memory.lapsed.add((name, shown.not_after.timestamp()))
        memory.lapses += 1
        world.story.tell("world", f"the certificate of {name} lapses")
        begin = (renewal.renew_at(not_before=shown.not_before, not_after=shown.not_after) - START).total_seconds()
        begin, end = max(begin, world.wanted_since[name]), (shown.not_after - START).total_seconds()
        for ca in site.cas:
            peace = _fair(world, {ca, *site.troubles}, begin, end)
            if peace is not None:
                yield f"the certificate of {name} lapsed, though {ca} and all else worked for {peace / HOUR:.0f} h"
                break
        else:
            world.story.count(f"lapse: {_excuse(world, site, begin, end)}")
    ends = [(shown.not_after - START).total_seconds() for shown in shows.values() if shown.not_after > now]
    memory.lapse_at = min(ends, default=math.inf)


def _fair(world: World, whom: Iterable[str], begin: float, end: float) -> float | None:
    """
    Return for how long all of them worked at a stretch, where that was a fair chance.
    """
    whom = frozenset(whom)
    peace = world.troubles.longest_peace(whom, begin, end)
    rough = world.troubles.longest_peace(whom, begin, end, hiccups=1)
    return peace if peace >= FAIR else rough if rough >= FAIR_WITH_A_HICCUP else None


def _excuse(world: World, site: Wanted, begin: float, end: float) -> str:
    """
    Say what kept a certificate from being renewed, the whole of it first.
    """
    if end - begin < FAIR:
        return "asked for anew within the last two days"
    if all(_fair(world, {ca}, begin, end) is None for ca in site.cas):
        return "the CA was down"
    if "dns" in site.troubles and _fair(world, {"dns"}, begin, end) is None:
        return "the DNS was down"
    if _fair(world, {"machine"}, begin, end) is None:
        return "the machine was in trouble"
    return "never all at once worked for two days"


def tree(world: World) -> Iterator[str]:
    """
    No tree is ever given to nginx that names a file which is not there, or a key and a certificate that do not fit.
    """
    yield from world.nginx.wrong


def limits(world: World) -> Iterator[str]:
    """
    We never ask a CA for more than it allows: by its own count, it has never to refuse us for what we did. (What others use up is
    another matter, and what they are refused for is not counted.)
    """
    for ca in world.cas.values():
        for overrun in ca.overrun:
            yield f"{ca.name} had to refuse us: {overrun}"


def one_order(world: World) -> Iterator[str]:
    """
    Never two orders at once for one certificate, at whatever CAs.
    """
    for name in world.doubled:
        yield f"two orders at once for {name}"


def ledger(world: World) -> Iterator[str]:
    """
    Every DNS record that is published is written down on the disk, so that it can be taken away after any crash.
    """
    if not world.dns.records or not world.lives:
        return
    if not world.memory.is_new("ledger", world.dns.changes, world.disk.changes["dns"], world.disk.moves, world.lives):
        return
    written = set()
    for path in (world.disk.state / "journal" / "dns").glob("*.json"):
        with contextlib.suppress(ValueError, KeyError):
            document = json.loads(path.read_bytes())["document"]
            written.add((document["name"], document["value"]))
    for record in sorted(world.dns.records, key=lambda each: (each.name, each.value)):
        if (record.name, record.value) not in written:
            yield f"a record of {record.name} is published, and nothing on the disk says so"


def keys(world: World) -> Iterator[str]:
    """
    No key is lost: a CA never signs for a key that is not on the disk, each version that is stored has its own, and so has each account that a
    CA has. Nobody else may read one.
    """
    for ca in world.cas.values():
        for names in ca.keyless:
            yield f"{ca.name} signed for {names} with a key that is on no disk"
    changes, moves = world.disk.changes, world.disk.moves
    if world.memory.is_new(
        "accounts", changes["accounts"], moves, sum(len(ca.account_keys) for ca in world.cas.values())
    ):
        held = world.keys_in("accounts")
        for ca in world.cas.values():
            yield from (f"the key of {kid} is on no disk" for kid, key in ca.account_keys.items() if key not in held)
    for folder in ("accounts", "orders"):
        if world.memory.is_new(f"modes of {folder}", changes[folder], moves):
            yield from _open_to_others(world.disk.state / _WITH_KEYS[folder])
    for path in _versions(world.disk.state, world.disk.moved):
        try:
            key = (path / "privkey.pem").stat()
        except FileNotFoundError:
            yield f"{_short(path)} has no key"
            continue
        if key.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield f"{_short(path)} has a key that others may read"
        if (path, key.st_ino) not in world.memory.looked_at:
            world.memory.looked_at.add((path, key.st_ino))
            if not world.fits((path / "fullchain.pem").read_bytes(), (path / "privkey.pem").read_bytes()):
                yield f"{_short(path)} has a key that does not fit"


def nothing_destroyed(world: World) -> Iterator[str]:
    """
    Nothing is destroyed before its replacement is stored: what is asked for and was shown with a CA's certificate by a proven tree has one on
    the disk ever after, and nginx, while it runs, never shows the placeholder for it again.
    """
    if not world.nginx.proven:
        return
    wanted, certified = world.sites.wanted, world.memory.certified
    if not world.memory.is_new("destroyed", world.nginx.shows, world.wanted_since, world.disk.moves):
        return
    for name in tuple(certified):
        if name not in wanted:
            del certified[name]
    certified.update({name: shown for name, shown in world.nginx.shows.items() if name in wanted})
    yield from (f"{name} fell back to the placeholder" for name in sorted(certified.keys() & world.nginx.stand_ins))
    for name in sorted(certified):
        if not _numbers(world.disk.state / "certificates" / name):
            yield f"the certificate of {name} is gone"


def no_defect(world: World) -> Iterator[str]:
    """
    Nothing fails for a reason of our own: no job with an `internal` error, and the daemon ends only when it is killed or its state
    directory cannot be used.
    """
    yield from world.internal
    yield from (f"the daemon ended by itself: {why}" for why in world.died)


def nothing_left(world: World) -> Iterator[str]:
    """
    Every record and token that was published is gone in the end: of those from before the last fault the records within three days, the
    tokens within five.
    """
    if not world.at_rest:
        return
    time, calm = world.loop.time(), world.calm_since
    over = time >= world.ends - 1
    if over or time > calm + BOUND:
        for record, seen in sorted(world.dns.records.items(), key=lambda each: (each[0].name, each[0].value)):
            if over or min(seen.values()) < calm:
                yield f"a record of {record.name} is left"
    if over or time > calm + TOKENS:
        folder = world.webroot / nginx.TOKENS
        for name in _entries(folder):
            if over or (folder / name).stat().st_mtime - START.timestamp() < calm:
                yield f"a token is left: {name}"


def convergence(world: World) -> Iterator[str]:
    """
    Within three days of the last fault everything is as it is asked for, and it is so in the end: each site shows a good certificate for its
    names, no order is begun, nothing waits.
    """
    if not world.at_rest:
        return
    time, memory = world.loop.time(), world.memory
    if memory.converged and time < world.ends - 1:
        return
    wrong = list(_unlike(world))
    memory.converged = memory.converged or not wrong
    if time >= world.ends - 1 or time > world.calm_since + BOUND:
        yield from wrong


def _unlike(world: World) -> Iterator[str]:
    """
    Say what is not as it is asked for.
    """
    for name, site in world.sites.wanted.items():
        shown = world.nginx.shows.get(name)
        if shown is None or "placeholder" in shown.issuer or shown.not_after <= world.true_clock.now():
            yield f"{name} has no good certificate"
        elif shown.names != frozenset(site.names):
            yield f"{name} shows a certificate for other names: {', '.join(sorted(shown.names))}"
    if world.reconciler is None or world.reconciler.latest is None:
        yield "no daemon runs"
        return
    if not world.reconciler.latest.served:
        yield "nginx does not serve what is asked for"
    if world.journal.in_flight:
        yield f"orders are begun still: {', '.join(sorted(world.journal.in_flight))}"
    if kept_back := world.reconciler.latest.kept_back:
        yield f"kept back still: {', '.join(sorted(kept_back))}"
    standing = world.journal.standing_attempts(nginx_runs=True)
    wanted = {certificate_key(name) for name in world.sites.wanted}
    if failed := [
        tries for tries in standing if not tries.startswith(certificate_key("")) or tries.split("/")[0] in wanted
    ]:
        yield f"something still failed: {', '.join(sorted(failed))}"


INVARIANTS = (
    Invariant("no lapse", lapse),
    Invariant("sound trees", tree),
    Invariant("limits kept", limits),
    Invariant("one order at once", one_order),
    Invariant("records written down", ledger),
    Invariant("keys kept", keys),
    Invariant("nothing destroyed", nothing_destroyed),
    Invariant("no defect", no_defect),
    Invariant("nothing left behind", nothing_left),
    Invariant("convergence", convergence),
)


def look(world: World) -> None:
    """
    Look at everything, in a calm moment; but for what time alone changes, only when something is not as it was.
    """
    if not world.memory.is_new("all", *_everything(world)):
        return
    for invariant in INVARIANTS:
        for what in invariant.breaches(world):
            world.breach(f"{invariant.name}: {what}")


def _everything(world: World) -> tuple[object, ...]:
    """
    Return what the world is made of, as far as somebody here looks at it: objects that are made anew when they change, and numbers.
    """
    cas = world.cas.values()
    time = world.loop.time()
    return (
        world.nginx.shows,
        world.nginx.proven,
        world.wanted_since,
        world.disk.touched,
        world.dns.changes,
        world.lives,
        world.at_rest and (time >= world.ends - 1 or int(time / HOUR)),
        time >= world.memory.lapse_at and int(time),
        sum(len(ca.overrun) + len(ca.keyless) + len(ca.account_keys) for ca in cas),
        len(world.nginx.wrong) + len(world.doubled) + len(world.internal) + len(world.died),
    )


def _open_to_others(folder: Path) -> Iterator[str]:
    for name in _entries(folder):
        with contextlib.suppress(FileNotFoundError):
            if (folder / name).stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                yield f"{_short(folder / name)} holds a key that others may read"


def _versions(state: Path, moved: set[str]) -> Iterator[Path]:
    """
    Yield the folder of each version of the certificates that changed, all where anything may have, and take them off the list.
    """
    folder, changed = state / "certificates", sorted(moved)
    moved.clear()
    for name in _entries(folder) if "" in changed else changed:
        for number in _numbers(folder / name):
            yield folder / name / "versions" / number


def _numbers(certificate: Path) -> list[str]:
    return [name for name in _entries(certificate / "versions") if name.isdigit()]


def _entries(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return sorted(each.name for each in found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _short(path: Path) -> str:
    return "/".join(path.parts[-3:])
