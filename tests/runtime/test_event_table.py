"""
The table of events is what the code emits, no more and no less, and the document is what the table says.
"""

from __future__ import annotations

import ast
import collections
import re
import runpy
from pathlib import Path

import pytest
from tests.support.documented import undocumented
from tests.support.event_names import UnclearError, emitted

from gatelodge.core.failures import ROWS
from gatelodge.model.events import COMMON, EVENTS, FIELDS, LOG_ERROR, PROBLEMS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "daemon" / "gatelodge"

#: A row of the classes of failures with such a source is about a type that a CA says, not we.
_OF_CAS = re.compile(r"RFC|Boulder|draft")


def test_every_event_of_the_code_is_in_the_table() -> None:
    """
    Each call of `emit` has its row, with these levels and fields.
    """
    wrong = [
        f"{each.where}: {told}"
        for each in emitted(PACKAGE)
        for level in each.levels
        if (told := undocumented(each.name, level, set(each.fields)))
    ]

    assert wrong == []


def test_nothing_in_the_table_is_emitted_by_nobody() -> None:
    """
    No row, level or field is left of something that is gone.
    """
    levels: dict[str, set[str]] = collections.defaultdict(set)
    fields: dict[str, set[str]] = collections.defaultdict(set)
    for each in emitted(PACKAGE):
        levels[each.name] |= each.levels
        fields[each.name] |= each.fields

    assert {name: set(event.levels) for name, event in EVENTS.items()} == levels
    assert {name: set(event.fields) for name, event in EVENTS.items()} == fields


def test_every_field_is_explained_once() -> None:
    """
    The glossary holds the fields of all events, in order, and no other.
    """
    used = {field for event in EVENTS.values() for field in event.fields}

    assert list(FIELDS) == sorted(used)
    assert not used & {*COMMON, LOG_ERROR}


def test_lines_for_people_name_fields_that_are_there() -> None:
    """
    A line is made of the event's own fields; what needs not be there stands in brackets.
    """
    for name, event in EVENTS.items():
        assert set(re.findall(r"\{([^}]*)\}", event.line)) <= set(event.fields), name


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def f(events, name):\n    events.emit(name)", "cannot be read off"),
        ("def f(events, more):\n    events.emit('a.b', **more())", "unknown names"),
        ("def f(events):\n    return events.emit", "handed on"),
    ],
)
def test_a_call_that_hides_its_event_is_found(tmp_path: Path, code: str, told: str) -> None:
    """
    Nobody gets round the table by being indirect.
    """
    (tmp_path / "module.py").write_text(code)

    with pytest.raises(UnclearError, match=told):
        list(emitted(tmp_path))


def test_indirect_calls_are_read(tmp_path: Path) -> None:
    """
    Names out of a table, fields that go with them, and fields that are there sometimes.
    """
    (tmp_path / "module.py").write_text(
        "_T = {'x': 'a.one', 'y': 'a.two'}\n"
        "def f(events, kind, level):\n"
        "    if kind:\n"
        "        event, fields = _T.get(kind, 'a.three'), {'ca': 1}\n"
        "    else:\n"
        "        event, fields = 'a.four', {}\n"
        "    events.emit(event, level='error', **fields, error__type=1)\n"
        "async def g(events, at):\n"
        "    more = {'retry_at': at} if at else {}\n"
        "    events.emit('b.one' if at else 'b.two', level='error' if at else 'warning', **more)\n"
    )
    found = {each.name: (set(each.levels), set(each.fields)) for each in emitted(tmp_path)}

    assert found == {
        **dict.fromkeys(("a.one", "a.two", "a.three"), ({"error"}, {"ca", "error.type"})),
        "a.four": ({"error"}, {"error.type"}),
        **dict.fromkeys(("b.one", "b.two"), ({"error", "warning"}, {"retry_at"})),
    }


@pytest.mark.parametrize(
    ("name", "level", "fields"),
    [
        ("certificate.burnt", "info", set()),
        ("certificate.deleted", "error", {"certificate"}),
        ("certificate.deleted", "info", {"certificate", "colour"}),
    ],
)
def test_what_is_not_in_the_table_is_told(name: str, level: str, fields: set[str]) -> None:
    """
    An unknown event, level or field.
    """
    assert name in (undocumented(name, level, fields) or "")
    assert undocumented("certificate.deleted", "info", {"certificate", "id", "time"}) is None


def test_the_kinds_of_trouble_are_those_of_the_code() -> None:
    """
    Every type that a problem of ours has is listed, or is one that CAs say; none is listed that nobody has.
    """
    of_cas = {row.type for row in ROWS if _OF_CAS.search(row.source)}
    made: set[str] = set()
    written: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name in {"failures.py", "events.py"}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                written.add(node.value)
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {"Problem", "Subproblem"}
            ):
                made |= {
                    word.value.value
                    for word in node.keywords
                    if word.arg == "type" and isinstance(word.value, ast.Constant)
                }

    assert made - of_cas <= set(PROBLEMS)
    assert {text for text in written if re.fullmatch(r"dns[A-Z][a-z]+", text)} <= set(PROBLEMS)
    assert set(PROBLEMS) <= written
    assert {row.type for row in ROWS} - of_cas <= set(PROBLEMS)


def test_the_document_is_up_to_date() -> None:
    """
    docs/events.md is what `scripts/reference` makes of the table.
    """
    made = runpy.run_path(str(ROOT / "scripts" / "events.py"))["document"]()

    assert (ROOT / "docs" / "events.md").read_text(encoding="utf-8") == made, "run scripts/reference"
