"""
Prints docs/events.md: every event, its fields, and the kinds of trouble, out of the tables in `gatelodge.model.events`.

Nothing is said here of any event. `scripts/reference` runs it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gatelodge.model.events import COMMON, EVENTS, FIELDS, PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HEAD = """\
# Events

Made by `scripts/reference` from the tables in `gatelodge.model.events`; it is for this version. Names and fields are an interface.

What happens is written down as one JSON object a line, in `events.jsonl` in the state directory and on stderr: as lines for people, in
local time, when stderr is a terminal. Fields that have no value are `null` or left out.

`gatelodge events` shows them, also while the daemon does not run:

    gatelodge events -f                                          # the last ten, and what comes
    gatelodge events --since 2h --level warning                  # also --since 2026-11-01, --until, -n 50
    gatelodge events --site wiki.example.org                     # those that name it, its hosts, or a certificate that serves it
    gatelodge events --certificate home --event 'certificate.*'

With `--json` they are as they were written, one JSON object a line, for `jq`.

`-f` goes on when the daemon is started again. Who may not read the log, but may open the admin socket, is told by the daemon.
While the configuration has mistakes, the log that it names is shown all the same.

A day that is over, or a file that is large, is put aside as `events-DAY-ID.jsonl`, named after its last event; what is too old goes when
the next file begins. `[log]` ([reference](reference.md#log)) says how long events are kept (`keep`, 90 days) and how large they may be (`max_size`, 24 MiB, and
never more than a tenth of the file system), and what stderr gets (`format`, `level`).
"""

ERROR_TYPES = """\
`error.type` is the last part of the CA's problem type (RFC 8555 §6.7: `rateLimited`, `unauthorized`, `dns`, `caa`, …) or one of ours. `caa`
and `externalAccountRequired` are said by us, too, where a look before the order shows what the CA would say.
"""


def document() -> str:
    """
    Return docs/events.md.
    """
    events = (
        (_code([name]), ", ".join(event.levels), event.when, _code(event.fields)) for name, event in EVENTS.items()
    )
    fields = ((_code([name]), meaning) for name, meaning in (*COMMON.items(), *FIELDS.items()))
    problems = ((_code([name]), meaning) for name, meaning in PROBLEMS.items())
    parts = [
        HEAD,
        *_table(("event", "level", "when", "fields"), events),
        "\n## Fields\n\nEvery event has the first four.\n",
        *_table(("field", "what it is"), fields),
        f"\n## Kinds of trouble\n\n{ERROR_TYPES}",
        *_table(("`error.type`", "what it means"), problems),
    ]
    return "\n".join(parts) + "\n"


def _code(names: Iterable[str]) -> str:
    return " ".join(f"`{name}`" for name in names)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    sys.stdout.write(document())
