"""
Reads what SWAG was told: `.donoteditthisfile.conf`, and which names its certificate has.

The file is shell; it is taken apart by the shell's rules for quotes and never run.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TRUE = "true"
_WILDCARD = "wildcard"
_VARIABLE = re.compile(r"ORIG([A-Z_]+)=(.*)", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    SWAG's variables, lower-cased and without quotes as it makes them itself.
    """

    values: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "").replace('"', "").strip().lower()

    def words(self, name: str) -> tuple[str, ...]:
        """
        Return a variable that holds a list.
        """
        return tuple(self[name].replace(",", " ").split())

    @property
    def plugin(self) -> str | None:
        """
        The DNS plugin, None when names are proven by HTTP.
        """
        match self["VALIDATION"]:
            case "dns":
                return self["DNSPLUGIN"] or "none"
            case "duckdns":
                return "duckdns"
            case _:
                return None

    @property
    def subdomains(self) -> tuple[str, ...]:
        """
        The names below URL.
        """
        url = self["URL"]
        if self["SUBDOMAINS"] == _WILDCARD:
            return (f"*.{url}",)
        return () if self.plugin == "duckdns" else tuple(f"{each}.{url}" for each in self.words("SUBDOMAINS"))

    @property
    def only_subdomains(self) -> bool:
        """
        True when URL itself is left out.
        """
        duck = self.plugin == "duckdns" and self["SUBDOMAINS"] == _WILDCARD
        return bool(self.subdomains) and (duck or self["ONLY_SUBDOMAINS"] == _TRUE)

    @property
    def extra(self) -> tuple[str, ...]:
        """
        Names elsewhere.
        """
        return () if self.plugin == "duckdns" else self.words("EXTRA_DOMAINS")

    @property
    def names(self) -> tuple[str, ...]:
        """
        The names of the certificate, URL first.
        """
        own = () if self.only_subdomains else (self["URL"],)
        return (*own, *self.subdomains, *self.extra)

    @property
    def lineage(self) -> str:
        """
        What certbot calls the certificate.
        """
        first = self.subdomains[:1] if self.only_subdomains and self["SUBDOMAINS"] != _WILDCARD else ()
        return first[0] if first else self["URL"]

    @property
    def staging(self) -> bool:
        """
        True for certificates of Let's Encrypt's test CA.
        """
        return self["STAGING"] == _TRUE and not self.zerossl

    @property
    def zerossl(self) -> bool:
        """
        True when ZeroSSL was the CA.
        """
        return self["CERTPROVIDER"] == "zerossl"


def read(text: str) -> Settings | None:
    """
    Return what the file says, None when it is damaged or names no URL.
    """
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        return None
    settings = Settings(values={found[1]: found[2] for word in words if (found := _VARIABLE.fullmatch(word))})
    return settings if settings["URL"] else None
