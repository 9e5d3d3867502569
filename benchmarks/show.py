"""
Prints what was measured, as a small table or as one JSON object a line, and tells on stderr what goes on meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


def tell(text: str) -> None:
    """
    Say on stderr what goes on.
    """
    print(text, file=sys.stderr, flush=True)


def table(title: str, rows: Sequence[Mapping[str, Any]], *, note: str, as_json: bool) -> None:
    """
    Print rows that have the same fields.
    """
    if as_json:
        print(json.dumps({"benchmark": title, "note": note, "processors": os.cpu_count(), "rows": list(rows)}))
        return
    heads = list(rows[0])
    lines = [heads, *([str(row[head]) for head in heads] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    print(f"\n{title} ({note})\n")
    for line in lines:
        cells = (
            cell.rjust(width) if _is_number(lines[1][column]) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  " + "  ".join(cells).rstrip())


def _is_number(text: str) -> bool:
    return text.replace(".", "").replace("-", "").isdigit()


@contextlib.contextmanager
def serving(folder: Path, port: int) -> Iterator[None]:
    """
    Serve a folder's files over HTTP inside the context.
    """
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(0.5)
        yield
    finally:
        server.terminate()
        server.wait()
