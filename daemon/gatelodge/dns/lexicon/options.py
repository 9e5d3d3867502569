"""
Says which options a service of dns-lexicon takes, and finds mistakes in those that are given.

dns-lexicon is imported only when a service of it is named. No value is ever repeated here: it may be a secret in the wrong place.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import re
from typing import TYPE_CHECKING, Any

from gatelodge.config.keys import quoted
from gatelodge.config.suggest import choices, nearest
from gatelodge.model import SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

_INSTALL = "pip install 'gatelodge[lexicon]'"

#: Services that cannot be used here: why, and what instead.
_UNFIT: Mapping[str, tuple[str, str]] = {
    "auto": ("only guesses at another service", "name that service itself"),
    "duckdns": (
        "keeps one value for a domain, and overwrites what somebody else put there",
        'let a program of yours do that: provider = "exec" (docs/exec.md)',
    ),
    "ddns": ("does not notice when the server refuses a change", 'write provider = "rfc2136", which does'),
}

#: They find credentials without any option: in the machine's role, or in a file of their own.
_NEED_NOTHING = frozenset({"oci", "route53"})

#: What the code of a service was seen to insist on, where no rule tells.
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "cloudflare": ("auth_token",),
    "powerdns": ("pdns_server", "auth_token"),
}

#: dns-lexicon's own settings, which are not for a service, and what says the same here.
_ELSEWHERE: Mapping[str, str] = {
    "ttl": 'write ttl = "…" beside `options`',
    "domain": 'write zone = "…" beside `options`',
    "delegated": 'write zone = "…" beside `options`',
    "resolve_zone_name": "leave it out: Gatelodge finds the zone itself",
}

#: How a service of dns-lexicon is told to read a file itself.
_BY_ITSELF = "file::"

_SECRET = re.compile(r"(?:^|_)(?:token|secret|pass|password|psw|phrase|content|key|account_info)$")
_READ = re.compile(r"_get_provider_option\(\s*[\"']([\w-]+)[\"']")


class Unusable(Exception):
    """
    A service cannot be used; it says what helps.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Takes:
    """
    What an option takes. A switch takes true or false; others take text, which `read` makes what the service wants. `stated` says
    that it is an option of the command line too.
    """

    switch: bool = False
    stated: bool = False
    choices: tuple[str, ...] = ()
    default: object = None
    read: Callable[[str], object] = str


def is_secret(option: str) -> bool:
    """
    Tell whether an option by its name holds what nobody may see.
    """
    return _SECRET.search(option) is not None


def load(service: str) -> tuple[ModuleType, Mapping[str, Takes]]:
    """
    Return the module of a service, and the options that it takes.

    Raises:
        Unusable: there is no such service here.
    """
    if importlib.util.find_spec("lexicon") is None:
        raise Unusable("dns-lexicon is not installed", f"install it: {_INSTALL}")
    return _loaded(service)


@functools.cache
def _loaded(service: str) -> tuple[ModuleType, Mapping[str, Takes]]:
    try:
        discovery: Any = importlib.import_module("lexicon._private.discovery")
        known: dict[str, bool] = discovery.find_providers()
    except (ImportError, AttributeError):
        raise Unusable("this version of dns-lexicon is not known here", f"install one that is: {_INSTALL}") from None
    if service not in known:
        meant = nearest(service, known)
        remedy = f"did you mean {quoted(meant)}?" if meant else "see `lexicon --help`, or docs/lexicon.md"
        raise Unusable(f"dns-lexicon has no service {quoted(service)}", remedy)
    if service in _UNFIT:
        problem, remedy = _UNFIT[service]
        raise Unusable(f"dns-lexicon's {service} {problem}", remedy)
    if not known[service]:
        raise Unusable(
            f"dns-lexicon's {service} needs more packages", f"install them: pip install 'dns-lexicon[{service}]'"
        )
    try:
        module = discovery.load_provider_module(service)
    except ImportError as error:
        raise Unusable(f"dns-lexicon's {service} lacks the package {error.name}", f"pip install {error.name}") from None
    return module, _takes(module)


def check(options: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """
    Say what is wrong: each as key, problem and remedy.
    """
    service, given = options.get("service"), options.get("options")
    if not isinstance(service, str):
        return
    try:
        _, takes = load(service)
    except Unusable as unusable:
        yield "service", unusable.problem, unusable.remedy
        return
    table: dict[str, object] = given if isinstance(given, dict) else {}
    for key, value in table.items():
        found = _wrong(service, spelled(key), value, takes)
        if found is not None:
            yield f"options.{key}", *found
    here = {spelled(key) for key in table}
    for name in _needed(service, takes):
        if name not in here:
            yield "options", f"{service} cannot do without {name}", f"write {_written(name)} in it"
    if not table and not _needed(service, takes) and service not in _NEED_NOTHING:
        some = ", ".join(_written(name) for name, each in takes.items() if each.stated and not each.switch)
        yield "options", f"{service} cannot do without options", f"write what it needs of {some}"


def spelled(option: str) -> str:
    """
    Return an option as dns-lexicon has it in its files: its command line has dashes.
    """
    return option.strip().lstrip("-").replace("-", "_")


def _written(name: str) -> str:
    return f'{name} = {{ file = "/…" }}' if is_secret(name) else f'{name} = "…"'


def _takes(module: ModuleType) -> Mapping[str, Takes]:
    """
    Return what a service's command line takes, and what only its code asks for.
    """
    parser = _Recorder(add_help=False)
    module.Provider.configure_parser(parser)
    stated = {
        action.dest: Takes(
            stated=True,
            switch=action.nargs == 0,
            choices=tuple(map(str, action.choices or ())),
            default=action.default,
            read=action.type if callable(action.type) else str,
        )
        for action in parser.seen
    }
    read = {spelled(name): Takes() for name in _READ.findall(inspect.getsource(module))}
    return {**read, **stated}


class _Recorder(argparse.ArgumentParser):
    """
    Remembers which options were stated.
    """

    def __init__(self, **settings: Any) -> None:
        self.seen: list[argparse.Action] = []
        super().__init__(**settings)

    def add_argument(self, *flags: Any, **settings: Any) -> argparse.Action:
        """
        State an option.
        """
        action = super().add_argument(*flags, **settings)
        self.seen.append(action)
        return action


def _wrong(service: str, name: str, value: object, takes: Mapping[str, Takes]) -> tuple[str, str] | None:
    taken = takes.get(name)
    if name in _ELSEWHERE:
        return f"it is no option of {service}", _ELSEWHERE[name]
    if taken is None:
        meant = nearest(name, takes)
        remedy = f"did you mean {meant}?" if meant else f"known here: {', '.join(sorted(takes)) or 'none'}"
        return f"{service} has no such option", remedy
    if isinstance(value, bool) or taken.switch:
        if isinstance(value, bool) and taken.switch:
            return None
        return ("it is a switch", "write true or false") if taken.switch else ("it takes text", "write text in quotes")
    if isinstance(value, SecretRef):
        return None
    if not str(value).strip():
        return "it is empty", "write its value, or leave it out"
    if is_secret(name) and not str(value).startswith(_BY_ITSELF):
        return "a secret stands in it", f'write {name} = {{ file = "/…" }} or {{ env = "NAME" }}'
    if taken.choices and str(value) not in taken.choices:
        return f"{service} does not know that value", f"write {choices(taken.choices)}"
    try:
        taken.read(str(value))
    except ValueError:
        return "it is not a number", "write a number"
    return None


def _needed(service: str, takes: Mapping[str, Takes]) -> tuple[str, ...]:
    """
    Return what a service surely cannot do without: its only option, or the only two when both are credentials.
    """
    if service in _NEED_NOTHING:
        return ()
    bare = tuple(
        name
        for name, each in takes.items()
        if each.stated and not each.switch and not each.choices and each.default is None
    )
    if len(bare) == 1 or (len(bare) == 2 and all(name.startswith("auth_") for name in bare)):  # noqa: PLR2004 - a pair
        return bare
    return _NEEDED.get(service, ())
