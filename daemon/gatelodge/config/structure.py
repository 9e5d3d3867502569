"""
Turns the mapping that tomllib made into tables, and tells every value that is not what its key wants.

Nothing is converted out of kindness: text is not a list of letters, `"false"` is not true. What could not be read is left out,
so that the rest can still be compared; `Mistakes.unread` knows where.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cattrs
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError
from cattrs.gen import make_dict_structure_fn

from gatelodge.config.document.site_tables import SiteTable
from gatelodge.config.document.stream_tables import StreamServerTable
from gatelodge.config.document.tables import AuthorityTable, CertificateTable, Document
from gatelodge.config.keys import kind, quoted, shown
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.suggest import nearest
from gatelodge.config.values.leaf import Leaf, OneOrMore, Or, Shorthand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes

#: Tables whose key is a name with dots, which TOML takes apart when it stands without quotes.
_NAMED: tuple[type, ...] = (SiteTable, CertificateTable, AuthorityTable, StreamServerTable)

#: Keys that end in another table when they stand below its header.
_TOP = frozenset(field.name for field in dataclasses.fields(Document))

#: Names that were taken apart are put together again to be shown: so many labels at most, so many names.
_LABELS = 20
_SHOWN = 3


def structure(mapping: Mapping[str, object], found: Mistakes) -> Document:
    """
    Read every value of a document, noting the mistakes.
    """
    sound: Any = mapping
    while True:
        try:
            return _CONVERTER.structure(sound, Document)
        except ClassValidationError as error:
            sound = _without(sound, {_note(path, wrong, sound, found) for path, wrong in _leaves_of(error, ())})


def _leaves_of(error: Exception, path: Path) -> Iterator[tuple[Path, Exception]]:
    """
    Take cattrs' tree of errors apart: each mistake with its key path.
    """
    if not isinstance(error, ClassValidationError | IterableValidationError):
        yield path, error
        return
    placed, others = error.group_exceptions()
    for each, note in placed:
        yield from _leaves_of(each, (*path, note.name if hasattr(note, "name") else note.index))
    for each in others:
        if isinstance(each, ForbiddenExtraKeysError):
            for key in sorted(each.extra_fields):
                yield (*path, key), each
        else:
            yield path, each


def _note(path: Path, error: Exception, document: Any, found: Mistakes) -> Path:
    """
    Note a mistake, and return the path of what has to be left out.
    """
    if isinstance(error, Unreadable):
        found.add_unread(path, error.problem, error.remedy)
        return path
    if isinstance(error, ForbiddenExtraKeysError):
        return _note_unknown(path, error.cl, document, found)
    raise error


def _note_unknown(path: Path, table: type, document: Any, found: Mistakes) -> Path:
    known = [field.name for field in dataclasses.fields(table)]
    *above, key = path
    around = _at(document, above)
    if table in _NAMED and not any(name in known for name in around):
        whole = _unquoted(tuple(above), around, known)
        if whole:
            found.add_unread(
                tuple(above),
                "TOML takes a name with dots for tables within tables when it stands without quotes",
                f"put quotes around it: {', '.join(whole)}",
            )
            return tuple(above)
    meant = nearest(str(key), known)
    if key in _TOP:
        remedy = f"it belongs at the top: under a header [{key}], or above all headers"
    else:
        remedy = f"did you mean {meant}?" if meant else f"known here: {', '.join(known)}"
    found.add_unread(path, "there is no such key", remedy, meant=(*above, meant) if meant else None)
    return path


def _unquoted(path: Path, table: Mapping[str, Any], known: list[str]) -> list[str]:
    """
    Return the quoted names that a table was probably meant to be, none when it looks like a table with mistyped keys.
    """
    if any(
        not isinstance(value, Mapping) and (not isinstance(value, str) or nearest(key, known))
        for key, value in table.items()
    ):
        return []
    names: list[str] = []
    waiting: collections.deque[tuple[str, Any, int]] = collections.deque([(str(path[-1]), table, 1)])
    while waiting and len(names) < _SHOWN:
        name, value, labels = waiting.popleft()
        if isinstance(value, Mapping) and value and labels < _LABELS and not any(key in known for key in value):
            waiting.extend((f"{name}.{key}", inner, labels + 1) for key, inner in value.items())
        else:
            names.append(quoted(name))
    return names


def _at(document: Any, path: Iterable[str | int]) -> Any:
    for part in path:
        document = document[part]
    return document


def _without(value: Any, paths: set[Path]) -> Any:
    """
    Copy a document without what stands at these paths.
    """
    gone = {path[0] for path in paths if len(path) == 1}
    deeper: dict[str | int, set[Path]] = collections.defaultdict(set)
    for path in paths:
        if path[0] not in gone:
            deeper[path[0]].add(path[1:])
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    kept = [(key, _without(inner, deeper[key]) if key in deeper else inner) for key, inner in pairs if key not in gone]
    return dict(kept) if isinstance(value, Mapping) else [inner for _, inner in kept]


def _mark(annotation: Any, kind_of_mark: type) -> Any:
    """
    Return an annotation's mark of one kind, None when it has none.
    """
    return next((mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, kind_of_mark)), None)


def _read_leaf(value: Any, annotation: Any) -> Any:
    leaf: Leaf = _mark(annotation, Leaf)
    if type(value) not in leaf.takes:
        told = f"it is {kind(value)}" if leaf.blind else _misplaced(value)
        raise Unreadable(told, f"write {leaf.wanted}")
    try:
        return leaf.read(value)
    except Unreadable as error:
        told = error.problem if isinstance(value, str) or leaf.blind else f"{shown(value)}: {error.problem}"
        raise Unreadable(told, error.remedy) from None


def _misplaced(value: object) -> str:
    """
    Say of a value that it is of the wrong type. Text is not repeated: it may be a secret in the wrong place.
    """
    if isinstance(value, str):
        return "it is text in quotes"
    if isinstance(value, bool):
        return f"it is {shown(value)}"
    return f"it is {kind(value)}" if shown(value) == kind(value) else f"it is {kind(value)}, {shown(value)}"


def _one_or_more(value: Any, annotation: Any) -> Any:
    whole = typing.get_args(annotation)[0]
    if not isinstance(value, str | Mapping):
        return _CONVERTER.structure(value, whole)
    listed = next(each for each in (whole, *typing.get_args(whole)) if _is_of(each, tuple))
    return (_CONVERTER.structure(value, typing.get_args(listed)[0]),)


def _short(value: Any, annotation: Any) -> Any:
    table = typing.get_args(annotation)[0]
    key = _mark(annotation, Shorthand).key
    if isinstance(value, str):
        return table(**{key: _CONVERTER.structure(value, _hints(table)[key])})
    if not isinstance(value, Mapping):
        raise Unreadable(_misplaced(value), f"write a table, or its {key} alone")
    return _CONVERTER.structure(value, table)


def _or(value: Any, annotation: Any) -> Any:
    mark = _mark(annotation, Or)
    return _CONVERTER.structure(value, mark.table if isinstance(value, Mapping) else mark.other)


def _is_of(annotation: Any, origin: type) -> bool:
    return bool(typing.get_origin(annotation) == origin)


@functools.cache
def _hints(table: type) -> Mapping[str, Any]:
    return typing.get_type_hints(table, include_extras=True)


def _listed(value: Any, annotation: Any) -> Any:
    if not isinstance(value, list):
        raise Unreadable(_misplaced(value), "write a list: [ … ]")
    whole: Any = list[typing.get_args(annotation)[0]]  # type: ignore[misc] # a type made at run time
    return tuple(_CONVERTER.structure(value, whole))


def _entries(value: Any, annotation: Any) -> Any:
    if not isinstance(value, Mapping):
        raise Unreadable(_misplaced(value), "write a table")
    whole: Any = Mapping[typing.get_args(annotation)]  # type: ignore[misc] # a type made at run time
    return _CONVERTER.structure(value, whole)


def _table(table: Any) -> Callable[[Any, Any], Any]:
    """
    Make the hook of one table: cattrs' own, which tells unknown keys, behind a look at the type.
    """
    structured = make_dict_structure_fn(table, _CONVERTER)

    def hook(value: Any, target: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Unreadable(_misplaced(value), "write a table")
        return structured(value, target)

    return hook


#: Knows only our annotations. cattrs asks the hook registered last first.
_CONVERTER = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
_CONVERTER.register_structure_hook_factory(dataclasses.is_dataclass, _table)
_CONVERTER.register_structure_hook_func(lambda annotation: _is_of(annotation, tuple), _listed)
_CONVERTER.register_structure_hook_func(lambda annotation: _is_of(annotation, dict), _entries)
_CONVERTER.register_structure_hook_func(lambda annotation: _mark(annotation, Leaf) is not None, _read_leaf)
_CONVERTER.register_structure_hook_func(lambda annotation: _mark(annotation, OneOrMore) is not None, _one_or_more)
_CONVERTER.register_structure_hook_func(lambda annotation: _mark(annotation, Shorthand) is not None, _short)
_CONVERTER.register_structure_hook_func(lambda annotation: _mark(annotation, Or) is not None, _or)
