"""
Prints docs/reference.md: every key of the configuration, out of the JSON Schema that `gatelodge schema` prints and of docs/examples/.

Nothing is said here of any key: words, kinds and defaults stand where the key is read. `scripts/reference` runs it.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelodge.config.schema import schema
from gatelodge.importing.toml_text import key as key_text
from gatelodge.importing.toml_text import string
from gatelodge.offers import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"

HEAD = """\
# Reference: every key

Made by `scripts/reference` from what `gatelodge schema` prints; it is for this version. `gatelodge check` refuses what is not here, and
names the nearest key. The examples are lines of whole configurations in [examples/](examples), which `gatelodge check` takes.

- A **duration** is `"90s"`, `"12h"`, `"1d"`, `"1h30m"`; a **size** is `"10m"`, `"1g"`.
- Where a list may hold one thing, that may stand without the brackets.
- A **secret** is `{ file = "/…" }`, `{ env = "NAME" }`, or text in quotes.
- NAME is a word of your choice, HOST a host name in quotes, PATH the path of a URL in quotes.
"""

#: What people write in place of a key that they choose.
PLACES: Mapping[str, str] = {
    "acme.cas": "NAME",
    "certificates": "NAME",
    "dns": "NAME",
    "sites": "HOST",
    "sites.HOST.routes": "PATH",
    "streams": "NAME",
    "streams.NAME.by_name": "HOST",
    "auth": "NAME",
    "listen": "PORT",
}

#: Texts longer than that are not repeated in a table.
_LONGEST = 70


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """
    One table of the configuration: where it stands first, what it is, its keys as the schema has them, what it is only if (a provider),
    and all places where it stands.
    """

    path: tuple[str, ...]
    description: str
    keys: Mapping[str, Any]
    only: tuple[str, str] | None = None
    places: list[tuple[str, ...]] = dataclasses.field(default_factory=list)

    @property
    def title(self) -> str:
        """
        What people write as its header.
        """
        if not self.path:
            return "At the top"
        words = f"[{'.'.join(self.path)}]"
        return f"{words} with {self.only[0]} = {string(self.only[1])}" if self.only else words

    @property
    def anchor(self) -> str:
        """
        How Markdown calls its heading.
        """
        return re.sub(r"[^a-z0-9 _-]", "", self.title.lower()).replace(" ", "-")


def tables(document: Mapping[str, Any]) -> list[Table]:
    """
    Return every table once, the outer before the inner; one that stands at several places where it stands first.
    """
    found: list[Table] = []
    _collect(document, (), document.get("description", ""), found)
    return found


def _collect(node: Mapping[str, Any], path: tuple[str, ...], description: str, found: list[Table]) -> None:
    for keys, only in _merged(_with_keys(node)):
        own = next((str(each["description"]) for each in _with_keys(node)[:1] if "description" in each), description)
        table = Table(path=path, description=own, keys=keys, only=only)
        known = next((other for other in found if _alike(table, other)), table)
        known.places.append(path)
        if known is table:
            found.append(table)
        for key, inner in keys.items():
            _collect(inner, (*path, key), inner.get("description", ""), found)
    for entry in _entries(node):
        place = PLACES.get(".".join(path))
        _collect(entry, (*path, place) if place else path, description, found)


def _with_keys(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """
    Return the tables that may stand somewhere: themselves, else those in a list.
    """
    if "properties" in node:
        return [node]
    direct = [each for each in node.get("anyOf", ()) if "properties" in each]
    within = [*node.get("anyOf", ()), *([node["items"]] if "items" in node else [])]
    return direct or next(filter(None, map(_with_keys, within)), [])


def _merged(alternatives: list[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], tuple[str, str] | None]]:
    """
    Yield the keys of alternatives: each by itself where a key says which it is (the provider), else all together.
    """
    told = [
        (each, next(((key, inner["const"]) for key, inner in each["properties"].items() if "const" in inner), None))
        for each in alternatives
    ]
    if any(only for _, only in told):
        yield from ((each["properties"], only) for each, only in told)
    elif alternatives:
        yield {key: inner for each in alternatives for key, inner in each["properties"].items()}, None


def _entries(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "anyOf" in node:
        for each in node["anyOf"]:
            yield from _entries(each)
    if isinstance(node.get("additionalProperties"), dict):
        yield node["additionalProperties"]
    yield from node.get("patternProperties", {}).values()


def _alike(one: Table, other: Table) -> bool:
    """
    Tell whether two tables hold the same keys with the same meaning, wherever they stand.
    """
    return one.only == other.only and _meaning(one) == _meaning(other)


def _meaning(table: Table) -> dict[str, str]:
    return {key: inner.get("description", "") for key, inner in table.keys.items()}


def kind(node: Mapping[str, Any], where: Mapping[int, str]) -> str:
    """
    Say in words what a key may hold.
    """
    if id(node) in where:
        return where[id(node)]
    if "title" in node:
        return str(node["title"])
    if "const" in node:
        return string(str(node["const"]))
    if "anyOf" in node:
        words = [kind(each, where) for each in node["anyOf"] if each.get("items") not in node["anyOf"]]
        listed = ", or a list of such" if any(each.get("items") in node["anyOf"] for each in node["anyOf"]) else ""
        return " or ".join(dict.fromkeys(filter(None, words))) + listed
    match node.get("type"):
        case "array":
            return f"a list; each is {kind(node['items'], where)}"
        case "object":
            return "a table"
        case "string":
            return "a text"
        case other:
            return str(other or "")


def default(description: str) -> tuple[str, str]:
    """
    Take a description apart: what the key means, and what holds when it is left out.
    """
    meaning, mark, value = description.partition("Default: ")
    if mark:
        return meaning.strip(), value.rstrip(".")
    named = re.search(r"([\w.-]+) \(default\b", description)
    return description, named[1] if named else ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """
    A whole configuration that shows some keys.
    """

    name: str
    mapping: Mapping[str, Any]


def examples(folder: Path = EXAMPLES) -> list[Example]:
    """
    Read all examples.
    """
    return [
        Example(name=path.stem, mapping=tomllib.loads(path.read_text(encoding="utf-8")))
        for path in sorted(folder.glob("*.toml"))
    ]


def shown(table: Table, key: str, given: list[Example]) -> tuple[str, str] | None:
    """
    Return the shortest line that shows a key of a table, and the name of the example that has it; None when none has.
    """
    lines = [
        (f"{key_text(key)} = {_value(holder[key])}", example.name)
        for example in given
        for place in dict.fromkeys(table.places)
        for holder in _at(example.mapping, place)
        if key in holder and (table.only is None or holder.get(table.only[0]) == table.only[1])
    ]
    return min(lines, key=lambda line: (len(line[0]) > _LONGEST, line[1])) if lines else None


def _at(value: Any, path: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    """
    Yield all tables at a path; a place for a name stands for any name, and a list for each of its tables.
    """
    if isinstance(value, list):
        for each in value:
            yield from _at(each, path)
    elif isinstance(value, dict):
        if not path:
            yield value
        elif path[0] in PLACES.values():
            for each in value.values():
                yield from _at(each, path[1:])
        else:
            yield from _at(value.get(path[0]), path[1:])


def _value(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case str():
            return string(value)
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            return f"{{ {', '.join(f'{key_text(name)} = {_value(each)}' for name, each in value.items())} }}"
    raise AssertionError("no date stands in a configuration")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _code(text: str) -> str:
    line = text if len(text) <= _LONGEST else f"{text[: text.index(' = ')]} = …"
    line = line.replace("\n", " ")
    fence = "``" if "`" in line else "`"
    return f"{fence}{line}{fence}".replace("|", "\\|")


def reference(folder: Path = EXAMPLES) -> str:
    """
    Return docs/reference.md.
    """
    document: Mapping[str, Any] = schema(CATALOG)
    found, given = tables(document), examples(folder)
    rows = [HEAD]
    for table in found:
        rows += [f"## {table.title}", ""]
        if table.description:
            rows += [table.description, ""]
        common = _inherited(table, found)
        if common:
            listed = ", ".join(f"`{key}`" for key in table.keys if key in common.keys)
            rows += [
                f"Of [`{common.title}`](#{common.anchor}) a route may have, in place of what the site says: {listed}. And:",
                "",
            ]
        rows += ["| key | holds | default | meaning | example |", "|---|---|---|---|---|"]
        for key, inner in own(table, found).items():
            meaning, value = default(inner.get("description", ""))
            line = shown(table, key, given)
            example = f"{_code(line[0])} [{line[1]}](examples/{line[1]}.toml)" if line else ""
            holds = _linked(inner, (*table.path, key), found)
            rows.append(f"| `{key}` | {_cell(holds)} | {_cell(value)} | {_cell(meaning)} | {example} |")
        rows.append("")
    return "\n".join(rows).rstrip("\n") + "\n"


def own(table: Table, found: list[Table]) -> dict[str, Any]:
    """
    Return the keys that a table does not share with the one that it inherits from.
    """
    common = _inherited(table, found)
    return {key: inner for key, inner in table.keys.items() if not (common and key in common.keys)}


def _inherited(table: Table, found: list[Table]) -> Table | None:
    """
    Return the table of which a table repeats most keys: a route those of its site.
    """
    if table.path[-2:-1] != ("routes",):
        return None
    return next(other for other in found if other.path == table.path[:-2])


def _linked(node: Mapping[str, Any], path: tuple[str, ...], found: list[Table]) -> str:
    """
    Say what a key holds, with a link to where its tables are explained.
    """
    where: dict[int, str] = {}
    for each in _with_keys(node):
        probe = Table(path=path, description="", keys=each["properties"])
        table = next((other for other in found if _meaning(probe).items() <= _meaning(other).items()), None)
        if table:
            where[id(each)] = f"[table](#{table.anchor})"
    return kind(node, where)


if __name__ == "__main__":
    sys.stdout.write(reference())
