"""
What goes wrong, how often and for how long: three literal tables, and the weather that draws from them.

Mishaps happen at an await of a port, while the weather is rough; spells begin by themselves and last. Both are drawn from the seed
alone. The weather also remembers when whom it troubled, so that it can be told afterwards whether something had a fair chance.
"""

from __future__ import annotations

import collections
import dataclasses
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Mapping

HOUR = 3600.0
DAY = 86400.0
YEAR = 365 * DAY


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """
    What may happen at an await of one of these ports, and its share of them in rough weather.
    """

    kind: str
    ports: frozenset[str]
    share: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """
    What begins by itself so often a year, lasts from the one to the other time (seconds), and whom it troubles: something that is
    in `troubles` does not work while it lasts.
    """

    kind: str
    yearly: float
    lasts: tuple[float, float]
    troubles: tuple[str, ...] = ()


ALL = frozenset({"ca", "web", "dns", "provider", "nginx", "disk"})
NET = frozenset({"ca", "web"})

#: What a loss of power does to a file that was not synced: a part of it stays, or what was there before comes back.
CUT_SHORT = "file cut short by a loss of power"
NOT_SYNCED = "change lost that was not synced"

#: At an await.
MISHAPS = (
    Mishap(kind="daemon killed", ports=ALL, share=0.002),
    Mishap(kind="power lost", ports=ALL, share=0.0006),
    Mishap(kind="daemon told to stop", ports=ALL - {"disk"}, share=0.001),
    Mishap(kind="configuration edited", ports=ALL - {"disk"}, share=0.001),
    Mishap(kind="delay", ports=ALL, share=0.02),
    Mishap(kind="hang", ports=ALL, share=0.003),
    Mishap(kind="not reached", ports=NET, share=0.01),
    Mishap(kind="answer lost", ports=NET, share=0.01),
    Mishap(kind="500", ports=frozenset({"ca"}), share=0.006),
    Mishap(kind="HTML", ports=frozenset({"ca"}), share=0.003),
    Mishap(kind="bad JSON", ports=frozenset({"ca"}), share=0.002),
    Mishap(kind="wrong nonce", ports=frozenset({"ca"}), share=0.02),
    Mishap(kind="wrong certificate", ports=frozenset({"ca"}), share=0.002),
    Mishap(kind="wrong DNS answer", ports=frozenset({"dns"}), share=0.004),
    Mishap(kind="refused", ports=frozenset({"provider", "dns"}), share=0.01),
    Mishap(kind="done late", ports=frozenset({"provider"}), share=0.01),
    Mishap(kind="nginx refuses", ports=frozenset({"nginx"}), share=0.004),
    Mishap(kind="nginx refuses a site", ports=frozenset({"nginx"}), share=0.006),
    Mishap(kind="not proven", ports=frozenset({"nginx"}), share=0.004),
    Mishap(kind="disk error", ports=frozenset({"disk"}), share=0.0015),
    Mishap(kind="partial write", ports=frozenset({"disk"}), share=0.002),
)

#: By themselves.
SPELLS = (
    Spell(kind="rough weather", yearly=20, lasts=(2 * HOUR, 12 * DAY)),
    Spell(kind="first CA down", yearly=5, lasts=(HOUR, 6 * DAY), troubles=("letsencrypt",)),
    Spell(kind="second CA down", yearly=5, lasts=(HOUR, 6 * DAY), troubles=("google",)),
    Spell(kind="first CA hangs", yearly=2, lasts=(HOUR, 2 * DAY), troubles=("letsencrypt",)),
    Spell(kind="first CA sends wrong certificates", yearly=1, lasts=(HOUR, 12 * DAY), troubles=("letsencrypt",)),
    Spell(kind="limit used up by others", yearly=2, lasts=(HOUR, 3 * DAY), troubles=("letsencrypt",)),
    Spell(kind="name servers silent", yearly=3, lasts=(HOUR, 3 * DAY), troubles=("dns",)),
    Spell(kind="DNS lags", yearly=6, lasts=(HOUR, 3 * DAY), troubles=("dns",)),
    Spell(kind="credentials expired", yearly=1, lasts=(HOUR, 8 * DAY), troubles=("dns",)),
    Spell(kind="disk full", yearly=2, lasts=(HOUR, 2 * DAY), troubles=("machine",)),
    Spell(kind="nginx refuses everything", yearly=2, lasts=(HOUR, 2 * DAY), troubles=("machine",)),
    Spell(kind="nginx refuses the first site", yearly=2, lasts=(HOUR, 4 * DAY), troubles=("machine",)),
    Spell(kind="nginx dies", yearly=8, lasts=(0, 0)),
    Spell(kind="clock ahead", yearly=1, lasts=(60, 9 * HOUR), troubles=("machine",)),
    Spell(kind="clock behind", yearly=1, lasts=(60, 9 * HOUR), troubles=("machine",)),
    Spell(kind="clock dead", yearly=1, lasts=(60, 9 * HOUR), troubles=("machine",)),
    Spell(kind="clock a little off", yearly=2, lasts=(HOUR, 20 * DAY)),
    Spell(kind="configuration edited", yearly=12, lasts=(0, 0)),
    Spell(kind="machine restarted", yearly=4, lasts=(0, 0)),
)


#: What people call it, and what of the tables it is; the last two are what a loss of power did to what was not synced.
FAULTS: Mapping[str, frozenset[str]] = types.MappingProxyType(
    {
        "crash": frozenset({"daemon killed", "power lost", "machine restarted", "clock dead"}),
        "stop": frozenset({"daemon told to stop"}),
        "hang": frozenset({"hang", "first CA hangs"}),
        "error": frozenset({"500", "refused", "disk error", "not reached", "answer lost", "name servers silent"}),
        "delay": frozenset({"delay", "done late"}),
        "clock jump": frozenset({"clock ahead", "clock behind", "clock dead", "clock a little off"}),
        "CA outage": frozenset({"first CA down", "second CA down"}),
        "rate limit": frozenset({"limit used up by others"}),
        "DNS lag": frozenset({"DNS lags"}),
        "wrong answer": frozenset(
            {
                "HTML",
                "bad JSON",
                "wrong nonce",
                "wrong certificate",
                "first CA sends wrong certificates",
                "wrong DNS answer",
            }
        ),
        "credentials expired": frozenset({"credentials expired"}),
        "disk full": frozenset({"disk full"}),
        "nginx refuses": frozenset(
            {
                "nginx refuses",
                "nginx refuses a site",
                "not proven",
                "nginx refuses everything",
                "nginx refuses the first site",
            }
        ),
        "nginx dies": frozenset({"nginx dies"}),
        "configuration edited": frozenset({"configuration edited"}),
        "partial write": frozenset({"partial write", CUT_SHORT}),
        "lost fsync": frozenset({NOT_SYNCED}),
    }
)

#: Trouble that lasts shorter than this is a hiccup.
_HICCUP = HOUR

#: How often things go wrong in one world, beside the tables.
_CLIMATE = (0.0, 1.0, 1.0, 4.0)


#: The climate of short worlds in which most is found: rough all the time, with deaths, stops and edits in the middle of everything.
INTENSE: Mapping[str, float] = types.MappingProxyType(
    {
        "rough weather": 20.0,
        "daemon killed": 5.0,
        "power lost": 5.0,
        "daemon told to stop": 8.0,
        "configuration edited": 8.0,
    }
)


class Troubles:
    """
    When whom something troubled.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._past: dict[str, list[tuple[float, float]]] = collections.defaultdict(list)
        self._since: dict[tuple[str, str], float] = {}

    def mark(self, whom: str) -> None:
        """
        Note a moment's trouble.
        """
        self._past[whom].append((self._now(), self._now()))

    def begin(self, whom: str, kind: str) -> None:
        """
        Note that trouble began; what goes on already began before.
        """
        self._since.setdefault((whom, kind), self._now())

    def end(self, whom: str, kind: str) -> None:
        """
        Note that it ended.
        """
        since = self._since.pop((whom, kind), None)
        if since is not None:
            self._past[whom].append((since, self._now()))

    def longest_peace(self, whom: Iterable[str], begin: float, end: float, *, hiccups: int = 0) -> float:
        """
        Return for how many seconds at a stretch none of these had trouble within a time.

        Args:
            hiccups: so many short troubles do not end a stretch.
        """
        wanted = frozenset(whom)
        spans = [span for each in sorted(wanted) for span in self._past[each]]
        spans += [(since, self._now()) for (each, _), since in self._since.items() if each in wanted]
        # Where stretches begin that are still going on: each one that met fewer hiccups begins later.
        longest, since = 0.0, collections.deque([begin] * (hiccups + 1), maxlen=hiccups + 1)
        for started, ended in sorted(spans):
            if ended < begin or started > end:
                continue
            longest = max(longest, min(started, end) - since[0])
            after = max(since[-1], ended)
            since.extend([after] * (1 if ended - started < _HICCUP else hiccups + 1))
        return max(longest, end - since[0])


class Weather:
    """
    Draws what goes wrong. Each world has a climate of its own: some kinds are left out, some come more often, so that many worlds meet more
    than many like one another (swarm testing, Groce et al. 2012). Nothing is drawn once it is `over`.
    """

    def __init__(self, chance: random.Random, *, climate: Mapping[str, float]) -> None:
        """
        Args:
            climate: how often some kinds come, where chance is not to say it: a factor to the tables.
        """
        self.chance = chance
        self.lasting: collections.Counter[str] = collections.Counter()
        self.over = False
        drawn = {each.kind: chance.choice(_CLIMATE) for each in (*MISHAPS, *SPELLS)} | dict(climate)
        shares = {mishap.kind: mishap.share * drawn[mishap.kind] for mishap in MISHAPS}
        self._yearly = [spell.yearly * drawn[spell.kind] for spell in SPELLS]
        self._by_port = {
            port: tuple((each.kind, shares[each.kind]) for each in MISHAPS if port in each.ports)
            for port in sorted(ALL)
        }

    def mishap(self, port: str) -> str | None:
        """
        Return what goes wrong at an await, if anything does.
        """
        if self.over or not self.lasting["rough weather"]:
            return None
        left = self.chance.random()
        for kind, share in self._by_port[port]:
            if left < share:
                return kind
            left -= share
        return None

    def next_spell(self) -> tuple[float, Spell, float]:
        """
        Return in how many seconds which spell begins next, and how long it lasts.
        """
        wait = self.chance.expovariate(max(sum(self._yearly), 1) / YEAR)
        (spell,) = self.chance.choices(SPELLS, weights=[yearly + 1e-6 for yearly in self._yearly])
        shortest, longest = spell.lasts
        # Most are short.
        return wait, spell, shortest + (longest - shortest) * self.chance.random() ** 2
