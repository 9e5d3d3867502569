"""
What the benchmarks have in common at a terminal: the arguments of every one, what goes on meanwhile (on stderr), and what came of it (on
stdout, and in files where they are wanted).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import surroundings
from benchmarks.measure import Failed
from benchmarks.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.tables import Table


def tell(text: str) -> None:
    """
    Say on stderr what goes on.
    """
    print(text, file=sys.stderr, flush=True)


def parser(program: str) -> argparse.ArgumentParser:
    """
    Return a parser of the arguments that every benchmark has.

    Args:
        program: as it is typed (`scripts/bench proxy`); its last word names the files.
    """
    made = argparse.ArgumentParser(prog=program)
    made.add_argument("--json", action="store_true", help="print one JSON object in place of tables")
    made.add_argument(
        "--out", type=Path, metavar="FOLDER", help="write it there too: as JSON, as Markdown and as a picture"
    )
    made.set_defaults(name=program.replace("/", " ").rpartition(" ")[2])
    return made


def present(
    tables: Sequence[Table],
    given: argparse.Namespace,
    *,
    began: surroundings.Surroundings,
    missing: Mapping[str, str] | None = None,
) -> None:
    """
    Print what was found, as `given` says, and write it where it says.

    Args:
        began: what was around before the work.
        missing: why there is no table of a part, by its name.
    """
    report = Report(name=given.name, surroundings=began, tables=tables, missing=missing or {})
    if given.out is not None:
        report.write(given.out)
    if given.json:
        print(json.dumps(report.document()))
    else:
        print(f"\n{report.text()}", end="")


def run(parse: argparse.ArgumentParser, measure: Callable[[argparse.Namespace], Sequence[Table]]) -> None:
    """
    Read the command line, measure, and present. Ends the program when nothing could be measured.
    """
    given = parse.parse_args()
    find_servers()
    began = surroundings.look()
    try:
        found = measure(given)
    except Failed as failure:
        sys.exit(f"{parse.prog}: {failure}")
    present(found, given, began=began)


def find_servers() -> None:
    """
    Look for programs also where Debian keeps servers.
    """
    os.environ["PATH"] += ":/usr/sbin"
