"""
Counts what happens while the daemon lives: events of each level, tries at certificates, requests to CAs, reloads. Pure.

Plain numbers in memory, so that counting costs nothing where nobody asks for them; what they are called outside stands in `metrics`.
What is counted by name is forgotten with the name, so that it never grows beyond the configuration. It decides nothing.
"""

from __future__ import annotations

import bisect
import collections
import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

#: Upper bounds of the classes of durations: an answer on the same continent, around the world, from a CA that is busy. Seconds.
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

#: A request that no whole answer came to.
UNANSWERED = "none"

#: What became of a try at a certificate.
SUCCEEDED, FAILED = "succeeded", "failed"


class Durations:
    """
    How many lasted how long: `counts` has one number for each of `BOUNDS`, and one for what lasted longer. `total` is the sum in seconds.
    """

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """
        Count one.
        """
        self.counts[bisect.bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Measures:
    """
    The counts of one daemon. `events` are by level, `tries` by certificate and what became of it, `failures` by certificate and class;
    `requests` by CA, resource and class of status, `durations` by CA and resource; `told` counts events by their name.
    `config_refused` is set while the configuration that was read last is not in force.
    """

    def __init__(self) -> None:
        self.events: collections.Counter[str] = collections.Counter()
        self.told: collections.Counter[str] = collections.Counter()
        self.tries: collections.Counter[tuple[str, str]] = collections.Counter()
        self.failures: collections.Counter[tuple[str, str]] = collections.Counter()
        self.requests: collections.Counter[tuple[str, str, str]] = collections.Counter()
        self.durations: dict[tuple[str, str], Durations] = {}
        self.config_refused = False

    def event(self, event: str, level: str, fields: Mapping[str, object]) -> None:
        """
        Count an event.

        Args:
            fields: under the names by which they are emitted.
        """
        self.events[level] += 1
        self.told[event] += 1
        certificate = fields.get("certificate")
        if event in _OBTAINED:
            self.tries[str(certificate), SUCCEEDED] += 1
        elif event == "certificate.failed":
            self.tries[str(certificate), FAILED] += 1
            self.failures[str(certificate), str(fields.get("failure"))] += 1
        elif event in _CONFIG:
            self.config_refused = _CONFIG[event]

    def request(self, ca: str, resource: str, status: int | None, seconds: float) -> None:
        """
        Count a request to a CA.

        Args:
            status: of the answer; None when no whole one came.
        """
        self.requests[ca, resource, UNANSWERED if status is None else f"{status // 100}xx"] += 1
        self.durations.setdefault((ca, resource), Durations()).add(seconds)

    def copied(self) -> Measures:
        """
        Return the counts as they are now, to be read elsewhere while these go on.
        """
        return copy.deepcopy(self)

    def keep(self, *, certificates: Collection[str], cas: Collection[str]) -> None:
        """
        Forget all names but these.
        """
        for counts in (self.tries, self.failures):
            for certificate in [each for each in counts if each[0] not in certificates]:
                del counts[certificate]
        for request in [each for each in self.requests if each[0] not in cas]:
            del self.requests[request]
        for asked in [each for each in self.durations if each[0] not in cas]:
            del self.durations[asked]


#: Events that tell of a certificate that was got.
_OBTAINED = frozenset({"certificate.issued", "certificate.renewed"})

#: Events that tell whether a configuration that was read is in force: whether it was refused.
_CONFIG = {"config.loaded": False, "config.refused": True}
