"""
Makes the JSON Schema of the TOML out of the very tables by which it is read, so that editors complete and explain its keys.

It tells what each key may hold. What fits together is `check`'s to say.
"""

import dataclasses
import types
import typing
from typing import Any

from gatelodge.config.catalog import BUILT_IN, Catalog, ProviderKind
from gatelodge.config.document.tables import Document
from gatelodge.config.sections.providers import keys
from gatelodge.config.values.leaf import Leaf, OneOrMore, Or, Shorthand


def schema(catalog: Catalog = BUILT_IN) -> dict[str, object]:
    """
    Return the schema of the whole document (https://json-schema.org/draft/2020-12).
    """
    document = _table(Document)
    document["properties"]["dns"]["additionalProperties"] = (
        {"anyOf": [_provider(word, kind) for word, kind in catalog.providers.items()]} if catalog.providers else True
    )
    site = document["properties"]["sites"]["additionalProperties"]["anyOf"][-1]["properties"]
    site["routes"] = _routes(site["routes"])
    if catalog.presets:
        site["preset"] = {**site["preset"], "enum": list(catalog.presets)}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "gatelodge.toml", **document}


def _routes(described: dict[str, Any]) -> dict[str, object]:
    """
    Describe routes by their keys: a key that is no path is a regular expression, and says so.
    """
    route = described.pop("additionalProperties")
    table = route["anyOf"][-1]
    match = {**table["properties"]["match"], "enum": ["regex"]}
    regex = {**table, "properties": {**table["properties"], "match": match}, "required": ["match"]}
    return {**described, "patternProperties": {"^/": route}, "additionalProperties": regex}


def _provider(word: str, kind: ProviderKind) -> dict[str, object]:
    """
    Describe `[dns.NAME]` with one provider.
    """
    options = {
        key: {"title": option.leaf.wanted, **option.leaf.schema, "description": option.description}
        for key, option in keys(kind).items()
    }
    return {
        "type": "object",
        "properties": {**options, "provider": {**options["provider"], "const": word}},
        "required": ["provider"],
        "additionalProperties": False,
    }


def _of(annotation: Any) -> dict[str, object]:
    """
    Describe one annotation of a table.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    for mark in getattr(annotation, "__metadata__", ()):
        return _marked(arguments[0], mark)
    if origin in {typing.Union, types.UnionType}:
        return _of(next(argument for argument in arguments if argument is not type(None)))
    if origin is tuple:
        return {"type": "array", "items": _of(arguments[0])}
    if origin is dict:
        key = {} if arguments[0] is str else {"propertyNames": _of(arguments[0])}
        return {"type": "object", **key, "additionalProperties": _of(arguments[1])}
    return _table(annotation)


def _marked(inner: Any, mark: Any) -> dict[str, object]:
    if isinstance(mark, Leaf):
        return {"title": mark.wanted, **mark.schema}
    if isinstance(mark, OneOrMore):
        listed = _of(inner)
        return {"anyOf": [listed["items"], listed]}
    if isinstance(mark, Shorthand):
        return {"anyOf": [_of(_hints(inner)[mark.key]), _of(inner)]}
    if isinstance(mark, Or):
        return {"anyOf": [_of(mark.other), _of(mark.table)]}
    raise AssertionError("every mark of a table is described here")


def _table(table: Any) -> dict[str, Any]:
    hints = _hints(table)
    return {
        "type": "object",
        "description": " ".join((table.__doc__ or "").split()),
        "properties": {
            field.name: _of(hints[field.name]) | {"description": field.metadata["description"]}
            for field in dataclasses.fields(table)
        },
        "additionalProperties": False,
    }


def _hints(table: Any) -> dict[str, Any]:
    return typing.get_type_hints(table, include_extras=True)
