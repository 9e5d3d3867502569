"""
Runs worlds, one a seed, and says what came of them: a table for people, JSON for programs, and the story of each seed that failed.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import gc
import json
import logging
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.simulation.faults import CUT_SHORT, FAULTS, INTENSE, MISHAPS, NOT_SYNCED, SPELLS
from tests.simulation.world import Parts, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

#: Memory is the quickest disk, where there is one that is a file system.
_MEMORY = Path("/dev/shm")

#: A world leaves little behind: how often the garbage collector looks for it.
_SELDOM = (50_000, 20, 50)

#: Lines of a story that are printed of a seed among many; all of them with --seed.
_LAST = 60


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    What came of a seed.
    """

    seed: int
    years: float
    sites: int
    breaches: tuple[str, ...]
    lapses: int
    counts: Mapping[str, int]
    digest: str
    story: tuple[str, ...]
    seconds: float


def simulate(
    seed: int, *, years: float, sites: int, parts: Parts | None = None, climate: Mapping[str, float] | None = None
) -> Outcome:
    """
    Live through one world.
    """
    began = time.perf_counter()
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    gc.set_threshold(*_SELDOM)
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None, prefix="simulation-") as folder:
        world = World(Path(folder), seed=seed, years=years, sites=sites, parts=parts, climate=climate or {})
        world.run()
        return Outcome(
            seed=seed,
            years=world.loop.time() / (365 * 86400),
            sites=sites,
            breaches=tuple(world.breaches),
            lapses=world.memory.lapses,
            counts=dict(sorted(world.story.counts.items())),
            digest=world.story.digest(),
            story=tuple(world.story.lines),
            seconds=time.perf_counter() - began,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run what the command line says. Returns 1 when something was that must never be.
    """
    asked = parsed(arguments)
    seeds = [asked.seed] if asked.seed is not None else range(asked.first_seed, asked.first_seed + asked.seeds)
    began = time.perf_counter()
    outcomes = []
    # Whoever breaks it off wants to know what came of it so far, also where a shell started it in its background.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        for outcome in _outcomes(seeds, asked):
            outcomes.append(outcome)
            _tell(outcome, len(outcomes), len(seeds), whole=asked.seed is not None, asked=asked)
    summary = _summary(outcomes, time.perf_counter() - began)
    print(json.dumps(summary) if asked.json else _table(summary))
    return 1 if summary["breaches"] else 0


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """
    Read a command line.
    """
    parser = argparse.ArgumentParser(
        prog="scripts/simulate",
        description="Lets the daemon live for years in a world that is made up and unkind, once for each seed, and looks at what must "
        "always be. A seed that fails prints its story, and --seed tells the same story again.",
    )
    parser.add_argument("--years", type=float, default=1.0, help="how long each world lasts (default 1)")
    parser.add_argument("--sites", type=int, default=6, help="how many sites it begins with (default 6)")
    parser.add_argument("--seeds", type=int, default=10, help="how many worlds (default 10)")
    parser.add_argument("--first-seed", type=int, default=1, metavar="N", help="the first of them (default 1)")
    parser.add_argument("--seed", type=int, metavar="N", help="this one alone, with its whole story")
    parser.add_argument(
        "--intense", action="store_true", help="rough weather all the time, for short worlds: --years 0.06"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many at once (default 1)")
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    return parser.parse_args(arguments)


def _outcomes(seeds: Sequence[int], asked: argparse.Namespace) -> Iterator[Outcome]:
    climate = INTENSE if asked.intense else {}
    work = functools.partial(simulate, years=asked.years, sites=asked.sites, climate=dict(climate))
    if asked.jobs == 1:
        yield from map(work, seeds)
        return
    with concurrent.futures.ProcessPoolExecutor(max_workers=asked.jobs) as workers:
        for done in concurrent.futures.as_completed([workers.submit(work, seed) for seed in seeds]):
            yield done.result()


def _tell(outcome: Outcome, number: int, of: int, *, whole: bool, asked: argparse.Namespace) -> None:
    faults = sum(count for what, count in outcome.counts.items() if what.startswith(("fault", "spell")))
    print(
        f"{number}/{of}  seed {outcome.seed}: {outcome.years:.2f} years, {faults} faults, "
        f"{outcome.counts.get('certificates signed', 0)} certificates, {outcome.lapses} lapses, {len(outcome.breaches)} breaches, "
        f"{outcome.seconds:.1f} s, story {outcome.digest}",
        file=sys.stderr,
        flush=True,
    )
    # Programs read one JSON object.
    to = sys.stderr if asked.json else sys.stdout
    if whole or outcome.breaches:
        print("\n".join(outcome.story if whole else outcome.story[-_LAST:]), file=to, flush=True)
    if outcome.breaches and not whole:
        more = " --intense" if asked.intense else ""
        print(
            f"again: scripts/simulate --years {asked.years:g} --sites {asked.sites} --seed {outcome.seed}{more}\n",
            file=to,
            flush=True,
        )


def _summary(outcomes: Iterable[Outcome], seconds: float) -> dict[str, object]:
    counts: collections.Counter[str] = collections.Counter()
    breaches: dict[str, list[str]] = {}
    found = sorted(outcomes, key=lambda outcome: outcome.seed)
    for outcome in found:
        counts.update(outcome.counts)
        if outcome.breaches:
            breaches[str(outcome.seed)] = list(outcome.breaches)

    def named(prefix: str, every: tuple[str, ...] = ()) -> dict[str, int]:
        met = {what.removeprefix(prefix): count for what, count in sorted(counts.items()) if what.startswith(prefix)}
        return {what: met.get(what, 0) for what in (*every, *(what for what in met if what not in set(every)))}

    mishaps = named("fault: ", (*(each.kind for each in MISHAPS), CUT_SHORT, NOT_SYNCED))
    spells = named("spell: ", tuple(each.kind for each in SPELLS))
    return {
        "seeds": len(found),
        "years": round(sum(outcome.years for outcome in found), 2),
        "site_years": round(sum(outcome.years * outcome.sites for outcome in found), 1),
        "faults": {
            name: sum(mishaps.get(kind, 0) + spells.get(kind, 0) for kind in kinds) for name, kinds in FAULTS.items()
        },
        "mishaps": mishaps,
        "spells": spells,
        "daemon_starts": counts["daemon starts"],
        "orders": counts["orders"],
        "certificates": counts["certificates signed"],
        "lapses": sum(outcome.lapses for outcome in found),
        "excused": named("lapse: "),
        "breaches": breaches,
        "seconds": round(seconds, 1),
    }


def _table(summary: Mapping[str, object]) -> str:
    rows = [(name.replace("_", " "), str(value)) for name, value in summary.items() if not isinstance(value, dict)]
    for group in ("excused", "faults", "mishaps", "spells"):
        kinds = summary[group]
        assert isinstance(kinds, dict)
        rows += [
            ("lapses excused, since" if group == "excused" else f"{group}, all", str(sum(kinds.values()))),
            *((f"  {kind}", str(count)) for kind, count in kinds.items()),
        ]
    breaches = summary["breaches"]
    assert isinstance(breaches, dict)
    rows += [
        ("breaches", str(len(breaches))),
        *((f"  seed {seed}", "; ".join(what)) for seed, what in breaches.items()),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


if __name__ == "__main__":
    sys.exit(main())
