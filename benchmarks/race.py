"""
The whole race in one run: issuance with all peers, proxy, reload, scale, start, one after the other; within each, those who are compared
take turns. One report comes of it: tables, JSON, Markdown, a picture.

A part that fails is told of, and is missing from the report; the others go on. The exit status is 1 then.

    python -m benchmarks.race [--quick] [--parts PART…] [--json] [--out FOLDER]
"""

from __future__ import annotations

import dataclasses
import sys
import traceback
from typing import TYPE_CHECKING

from benchmarks import gates, issuance, proxy, reload, scale, show, start, surroundings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.tables import Table


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """
    A part of the race: what reads its arguments and what measures, with the arguments of the race that counts and of a quick one, which
    shows that all works and says little.
    """

    parser: Callable[[], argparse.ArgumentParser]
    tables: Callable[[argparse.Namespace], Sequence[Table]]
    whole: tuple[str, ...]
    quick: tuple[str, ...]

    def measure(self, *, quick: bool) -> Sequence[Table]:
        """
        Measure it.
        """
        return self.tables(self.parser().parse_args(self.quick if quick else self.whole))


PARTS: dict[str, Part] = {
    "issuance": Part(
        parser=issuance.parser,
        tables=issuance.tables,
        whole=("--peers",),
        quick=("--peers", "--runs", "1", "1", "5"),
    ),
    "proxy": Part(
        parser=proxy.parser,
        tables=proxy.tables,
        whole=(),
        quick=("--rounds", "1", "--seconds", "0.5", "--workloads", "h1", "h2-x10"),
    ),
    "reload": Part(
        parser=reload.parser,
        tables=reload.tables,
        whole=(),
        quick=("--reloads", "2"),
    ),
    "scale": Part(
        parser=scale.parser,
        tables=scale.tables,
        whole=(),
        quick=("--runs", "1", "--sizes", "100", "1000"),
    ),
    "start": Part(
        parser=start.parser,
        tables=start.tables,
        whole=(),
        quick=("--runs", "1", "--sites", "10"),
    ),
}


def run(parts: Mapping[str, Part], *, quick: bool) -> tuple[list[Table], dict[str, str]]:
    """
    Measure parts. Returns their tables, and by its name why a part has none.
    """
    tables: list[Table] = []
    missing: dict[str, str] = {}
    for name, part in parts.items():
        show.tell(f"== {name}")
        try:
            tables += part.measure(quick=quick)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the other parts are measured all the same
            missing[name] = str(failure) or repr(failure)
            show.tell("".join(traceback.format_exception(failure)))
    return tables, missing


def parser() -> argparse.ArgumentParser:
    """
    Return what reads the command line.
    """
    arguments = show.parser("scripts/bench race")
    arguments.add_argument(
        "--quick", action="store_true", help="little of everything, in a few minutes: to see that it works"
    )
    arguments.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    return arguments


def main() -> None:
    """
    Race and present.
    """
    given = parser().parse_args()
    show.find_servers()
    gates.end_well()
    began = surroundings.look()
    found, missing = run({name: PARTS[name] for name in given.parts}, quick=given.quick)
    show.present(found, given, began=began, missing=missing)
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
