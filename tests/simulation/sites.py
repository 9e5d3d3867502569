"""
What people ask for in the simulated world: a configuration with sites of several kinds, and its edits.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from pathlib import Path

_HEAD = """
state_directory = "{state}"

[acme]
agree_tos = true
email = "me@example.com"
ca = ["letsencrypt", "google"]
allow_ephemeral_state = true

[acme.cas.google]
eab = {{ kid = "kid", hmac_key = "{hmac}" }}

[dns.home]
provider = "aliyun"
access_key_id = "LTAI-made-up"
access_key_secret = "made-up"

[sites]
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    A site: its names, how they are proven, and of which CAs its certificate is asked.
    """

    names: tuple[str, ...]
    challenge: str
    cas: tuple[str, ...]

    @property
    def troubles(self) -> frozenset[str]:
        """
        Who must work for it, the CA aside.
        """
        return frozenset({"machine", *(("dns",) if self.challenge.startswith("dns") else ())})


class Sites:
    """
    The sites that are asked for now, by the NAME of their certificate, and those that were before.
    """

    def __init__(self, chance: random.Random, *, number: int) -> None:
        self.wanted: dict[str, Wanted] = {}
        self._chance = chance
        self._before: dict[str, Wanted] = {}
        self._numbers = itertools.count(1)
        for _ in range(number):
            self._add()

    def edit(self) -> str:
        """
        Change something, and say what.
        """
        chance, edits = self._chance, [self._add]
        if len(self.wanted) > 1:
            edits += [self._remove, self._change]
        if self._before:
            edits.append(self._bring_back)
        return chance.choice(edits)()

    def text(self, state: Path, hmac: str) -> str:
        """
        Write the configuration.
        """
        rows = [
            f'"{site.names[0]}" = {{ upstream = "http://127.0.0.1:3000", '
            f'hosts = [{_quoted(site.names[1:])}], certificate = "{name}" }}'
            for name, site in self.wanted.items()
        ]
        certificates = [
            f'[certificates."{name}"]\nnames = [{_quoted(site.names)}]\nchallenge = "{site.challenge}"\nca = [{_quoted(site.cas)}]'
            for name, site in self.wanted.items()
        ]
        return "\n".join([_HEAD.format(state=state, hmac=hmac), *rows, "", *certificates])

    def _add(self) -> str:
        name = f"s{next(self._numbers):02}.example.com"
        self.wanted[name] = self._drawn(name)
        return f"{name} is added: {self.wanted[name].challenge}, {' then '.join(self.wanted[name].cas)}"

    def _drawn(self, name: str) -> Wanted:
        chance = self._chance
        more = (f"www.{name}",) if chance.random() < 0.2 else ()
        dns = chance.random() < 0.5
        if dns and chance.random() < 0.2:
            more = (f"*.{name}",)
        cas = chance.choice((("letsencrypt",), ("letsencrypt", "google"), ("letsencrypt", "google"), ("google",)))
        return Wanted(names=(name, *more), challenge="dns:home" if dns else "http-01", cas=cas)

    def _remove(self) -> str:
        name = self._chance.choice(sorted(self.wanted))
        self._before[name] = self.wanted.pop(name)
        return f"{name} is taken out"

    def _bring_back(self) -> str:
        name = self._chance.choice(sorted(self._before))
        self.wanted[name] = self._before.pop(name)
        return f"{name} comes back"

    def _change(self) -> str:
        name = self._chance.choice(sorted(self.wanted))
        self.wanted[name] = self._drawn(name)
        site = self.wanted[name]
        return f"{name} is changed: {', '.join(site.names)}, {site.challenge}, {' then '.join(site.cas)}"


def _quoted(values: tuple[str, ...]) -> str:
    return ", ".join(f'"{value}"' for value in values)
