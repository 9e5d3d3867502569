"""
Reads `[dns.NAME]` and `[ddns]`: each provider has keys of its own, which the catalog tells.

A value is never repeated in a mistake here: it may be a secret in the wrong place.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gatelodge.config.catalog import Option
from gatelodge.config.keys import kind, quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.suggest import choices, nearest
from gatelodge.config.values import options, texts
from gatelodge.model import NO_SOURCE, AddressSource, DdnsSettings, DnsSettings, SecretRef, is_ip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.config.catalog import Catalog, ProviderKind
    from gatelodge.config.document.tables import DdnsTable
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.model import Name

#: What a `[dns.NAME]` may hold beside its provider's own keys: all of them the first, others as they heed them.
_ALWAYS: Mapping[str, Option] = {
    "provider": Option(leaf=options.TEXT, description="The kind of provider."),
    "wait": Option(
        leaf=options.WAIT,
        description="How long a record may take to be at all name servers, which are asked; where none can be, that long is waited. "
        "Default: 2m.",
    ),
}
_HEEDED: Mapping[str, Option] = {
    "endpoint": Option(leaf=options.URL, description="The URL of the provider's API, when it is not the usual one."),
    "ca_file": Option(
        leaf=options.FILE, description="The PEM file with the root by which the endpoint's HTTPS is trusted."
    ),
    "ttl": Option(leaf=options.TTL, description="How long resolvers may keep a record. Default: the provider's least."),
}


def keys(kind: ProviderKind) -> Mapping[str, Option]:
    """
    Return all keys that a `[dns.NAME]` of a kind may hold.
    """
    heeded = {key: option for key, option in _HEEDED.items() if key in kind.heeds}
    return {**_ALWAYS, **heeded, **kind.options}


#: No secret is shorter; a shorter word may be a part of ours.
_LEAST_SECRET = 8


def dns(entries: Mapping[str, Mapping[str, object]], catalog: Catalog, found: Mistakes) -> dict[str, DnsSettings]:
    """
    Return the DNS providers by NAME, as far as they could be read.
    """
    read: dict[str, DnsSettings] = {}
    for name, entry in entries.items():
        path: Path = ("dns", name)
        if not texts.NAME.fullmatch(name) or ":" in name or name.startswith("*"):
            found.add_unread(path, "it cannot be a NAME", 'use letters, digits, ".", "-" and "_"')
            continue
        word = _provider(path, entry, catalog, found)
        if word is not None:
            read[name] = _settings(path, word, entry, catalog, found)
    return read


def exposed(settings: Mapping[str, DnsSettings]) -> tuple[str, ...]:
    """
    Return the keys under which secrets stand in the configuration itself.
    """
    return tuple(f"dns.{name}.{key}" for name, each in settings.items() for key in _literals(each.options))


def ddns(
    table: DdnsTable | None, known: Mapping[str, DnsSettings], catalog: Catalog, found: Mistakes
) -> DdnsSettings | None:
    """
    Fill in `[ddns]`: None when it is not there, or names no provider that can be used.
    """
    if table is None:
        return None
    path: Path = ("ddns",)
    name = _keeper(table.dns, known, catalog, found)
    for position, host in enumerate(table.hosts or ()):
        if is_ip(host):
            found.add((*path, "hosts", position), f"{host} is an address, which has no record", "write host names")
    if table.hosts == ():
        found.add((*path, "hosts"), "it is empty", "write host names, or leave it out for those of all sites")
    ipv4 = table.ipv4 if table.ipv4 is not None else AddressSource()
    ipv6 = table.ipv6 if table.ipv6 is not None else NO_SOURCE
    if ipv4 == NO_SOURCE and ipv6 == NO_SOURCE and not found.unread((*path, "ipv4"), (*path, "ipv6")):
        found.add(path, "it keeps neither IPv4 nor IPv6 addresses", "write ipv4 = true or ipv6 = true")
    if name is None:
        return None
    return DdnsSettings(
        dns=name,
        hosts=table.hosts or (),
        ipv4=None if ipv4 == NO_SOURCE else ipv4,
        ipv6=None if ipv6 == NO_SOURCE else ipv6,
        every=table.every or dt.timedelta(minutes=5),
    )


def hosts_left(settings: DdnsSettings | None, hosts: tuple[Name, ...], found: Mistakes) -> None:
    """
    Note a `[ddns]` that has no host to keep.
    """
    if settings is not None and not hosts and not found.unread(("ddns",), ("sites",)):
        found.add(("ddns",), "no site has a public host name to keep", 'write hosts = ["home.example.com"]')


def challenges(
    entries: Mapping[Path, tuple[str, ...] | None], known: Mapping[str, DnsSettings], found: Mistakes
) -> None:
    """
    Note challenges that name no provider, are there twice, or are none.
    """
    for path, given in entries.items():
        if given is None or found.unread(path):
            continue
        if not given:
            found.add(path, "it is empty", 'write "http-01" or "dns:NAME", or leave it out')
        for challenge in dict.fromkeys(given):
            name = challenge.partition(":")[2]
            if given.count(challenge) > 1:
                found.add(path, f"{quoted(challenge)} is there twice", "leave one of them out")
            if name and name not in known and not found.unread(("dns", name)):
                found.add(path, f"there is no [dns.{name}]", _instead(name, known, prefix="dns:"))


def _provider(path: Path, entry: Mapping[str, object], catalog: Catalog, found: Mistakes) -> str | None:
    words = list(catalog.providers) or ["…"]
    word = entry.get("provider")
    if word is None:
        found.add_unread(path, "it has no provider", f"write provider = {choices(words)}")
    elif not isinstance(word, str) or word not in words:
        said = f"{quoted(word)} is no provider" if isinstance(word, str) else f"it is {kind(word)}"
        meant = nearest(word, words) if isinstance(word, str) else None
        remedy = f"did you mean {quoted(meant)}?" if meant else f"write {choices(words)}; lexicon has a hundred more"
        found.add_unread((*path, "provider"), said, remedy)
    else:
        return word
    return None


def _settings(path: Path, word: str, entry: Mapping[str, object], catalog: Catalog, found: Mistakes) -> DnsSettings:
    own = catalog.providers[word]
    known = keys(own)
    values: dict[str, Any] = {}
    for key, value in entry.items():
        place = (*path, key)
        if key not in known:
            _unknown(place, word, known, catalog, found)
            continue
        try:
            values[key] = _value(known[key], value)
        except Unreadable as error:
            found.add_unread(place, _unquoted(error.problem, value), _unquoted(error.remedy, value))
    _needs(path, word, own, entry, found)
    mine = {key: value for key, value in values.items() if key in own.options}
    if all(key in values for key in entry):
        for key, problem, remedy in own.check(mine):
            found.add((*path, *key.split(".")), problem, remedy)
    ttl: dt.timedelta | None = values.get("ttl")
    given = {key: values[key] for key in ("endpoint", "ca_file", "wait") if key in values}
    return DnsSettings(
        name=str(path[-1]), provider=word, options=mine, ttl=int(ttl.total_seconds()) if ttl else None, **given
    )


def _value(option: Option, value: object) -> Any:
    leaf = option.leaf
    if type(value) not in leaf.takes:
        raise Unreadable(f"it is {kind(value)}", f"write {leaf.wanted}")
    return leaf.read(value)


def _unquoted(text: str, value: object) -> str:
    """
    Take a value out of a text about it: it may be a secret that stands in the wrong place.
    """
    for word in value if isinstance(value, list) else [value]:
        if isinstance(word, str) and word.strip():
            text = text.replace(quoted(word), "it")
            text = text.replace(word, "…") if len(word) >= _LEAST_SECRET else text
    return text


def _unknown(path: Path, word: str, known: Mapping[str, Option], catalog: Catalog, found: Mistakes) -> None:
    key = str(path[-1])
    others = [other for other, each in catalog.providers.items() if key in keys(each)]
    meant = nearest(key, known)
    if others:
        remedy = f"it is a key of {choices(others)}; {word} has {', '.join(sorted(known))}"
    else:
        remedy = f"did you mean {meant}?" if meant else f"known here: {', '.join(sorted(known))}"
    found.add_unread(path, f"{word} has no such key", remedy, meant=(*path[:-1], meant) if meant else None)


def _needs(path: Path, word: str, own: ProviderKind, entry: Mapping[str, object], found: Mistakes) -> None:
    """
    Note what a provider cannot do without, and keys that exclude one another.
    """
    if not own.needs:
        return
    begun = [group for group in own.needs if any(key in entry for key in group)]
    if len(begun) > 1:
        first, second = begun[:2]
        found.add(path, f"it has both {' and '.join(first)}, and {' and '.join(second)}", "leave one of the two out")
        return
    group = begun[0] if begun else None
    lacking = [key for key in group if key not in entry] if group else []
    if group is None:
        ways = "; or ".join(" and ".join(each) for each in own.needs)
        found.add(path, f"{word} cannot do without more", f"write {ways}")
    elif lacking:
        found.add(path, f"{word} cannot do without {' and '.join(lacking)}", f"write {lacking[0]} = …")


def _keeper(given: str | None, known: Mapping[str, DnsSettings], catalog: Catalog, found: Mistakes) -> str | None:
    """
    Return the NAME of the provider that keeps addresses.
    """
    path: Path = ("ddns", "dns")
    if given is None:
        if len(known) != 1 and not found.unread(("dns",)):
            problem = "it does not say which of the providers has the hosts" if known else "there is no [dns.NAME]"
            found.add(("ddns",), problem, f"write dns = {choices(known)}" if known else "add a DNS provider")
        name = next(iter(known)) if len(known) == 1 else None
    else:
        name = given
        if name not in known:
            if not found.unread(("dns", name)):
                found.add(path, f"there is no [dns.{name}]", _instead(name, known))
            return None
    if name is not None and not catalog.providers[known[name].provider].addresses:
        able = [word for word, each in catalog.providers.items() if each.addresses]
        found.add(
            ("ddns",) if given is None else path,
            f"[dns.{name}] is {known[name].provider}, which keeps no addresses",
            f"name a provider of the kind {choices(able)}",
        )
    return name


def _instead(name: str, known: Mapping[str, DnsSettings], prefix: str = "") -> str:
    meant = nearest(name, known)
    if meant:
        return f"did you mean {quoted(prefix + meant)}?"
    return f"write {choices([prefix + each for each in known])}" if known else f"add [dns.{name}] with its provider"


def _literals(values: Mapping[str, object]) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, SecretRef) and value.literal is not None:
            yield key
        if isinstance(value, Mapping):
            yield from (f"{key}.{inner}" for inner in _literals(value))
