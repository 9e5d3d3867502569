"""
What every store of small documents must do.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatelodge.stores.documents import DirectoryDocuments
from gatelodge.stores.memory import MemoryDocuments

if TYPE_CHECKING:
    from pathlib import Path

    from gatelodge.ports import Documents

ATTEMPTS = "journal/attempts"

KEYS = [
    "wiki.example.com",
    "*.example.com",
    "wildcard.example.com",
    "https://acme.example/acct/1?x=1#y",
    "2001:db8::1",
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a b",
    "%2A.example.com",
    "%",
    "ключ",
    "门",
    "x" * 255,
    "x" * 256,
    "门" * 100,
]


@pytest.fixture(params=["directory", "memory"])
def documents(request: pytest.FixtureRequest, tmp_path: Path) -> Documents:
    """
    Each implementation in turn, empty.
    """
    return MemoryDocuments() if request.param == "memory" else DirectoryDocuments(directory=str(tmp_path / "state"))


async def test_nothing_there(documents: Documents) -> None:
    """
    What was never written is None, an empty listing, and no mistake to remove.
    """
    await documents.delete(ATTEMPTS, "wiki")
    assert await documents.get(ATTEMPTS, "wiki") is None
    assert await documents.list(ATTEMPTS) == {}


async def test_put_and_get(documents: Documents) -> None:
    """
    A document is read back as it was written, whatever JSON it holds.
    """
    document = {
        "failures": 3,
        "problem": {"type": "dns", "status": None},
        "names": ["ü", "门"],
        "share": 0.5,
        "on": True,
    }
    await documents.put(ATTEMPTS, "wiki", document)
    assert await documents.get(ATTEMPTS, "wiki") == document
    assert await documents.list(ATTEMPTS) == {"wiki": document}


async def test_put_replaces(documents: Documents) -> None:
    """
    Writing a key again replaces its document.
    """
    await documents.put(ATTEMPTS, "wiki", {"failures": 1})
    await documents.put(ATTEMPTS, "wiki", {"failures": 2})
    assert await documents.get(ATTEMPTS, "wiki") == {"failures": 2}


async def test_delete(documents: Documents) -> None:
    """
    A removed document is gone; others stay.
    """
    await documents.put(ATTEMPTS, "wiki", {"failures": 1})
    await documents.put(ATTEMPTS, "cloud", {"failures": 2})
    await documents.delete(ATTEMPTS, "wiki")
    await documents.delete(ATTEMPTS, "wiki")
    assert await documents.get(ATTEMPTS, "wiki") is None
    assert await documents.list(ATTEMPTS) == {"cloud": {"failures": 2}}


async def test_kinds_are_apart(documents: Documents) -> None:
    """
    The same key in two kinds is two documents, also when one kind lies below the other.
    """
    await documents.put("journal", "orders", {"kind": 1})
    await documents.put("journal/orders", "orders", {"kind": 2})
    assert await documents.list("journal") == {"orders": {"kind": 1}}
    assert await documents.list("journal/orders") == {"orders": {"kind": 2}}


async def test_keys_are_apart(documents: Documents) -> None:
    """
    Any two keys are two documents, also when their file names need quoting or cutting.
    """
    for number, key in enumerate(KEYS):
        await documents.put(ATTEMPTS, key, {"number": number})
    assert await documents.list(ATTEMPTS) == {key: {"number": number} for number, key in enumerate(KEYS)}
    for number, key in enumerate(KEYS):
        assert await documents.get(ATTEMPTS, key) == {"number": number}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(key=st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=300))
def test_any_key(tmp_path: Path, key: str) -> None:
    """
    Any text without control characters is a key, and its file lies in the folder of its kind.
    """

    async def round_trip() -> None:
        documents = DirectoryDocuments(directory=str(tmp_path))
        await documents.put(ATTEMPTS, key, {"key": key})
        assert await documents.get(ATTEMPTS, key) == {"key": key}
        await documents.delete(ATTEMPTS, key)

    asyncio.run(round_trip())
    assert [each.name for each in tmp_path.rglob("*") if not each.is_dir()] == []


@pytest.mark.parametrize("key", ["a\nb", "\0", "\x7f", "\x9b", "\ud800"])
async def test_keys_that_are_refused(documents: Documents, key: str) -> None:
    """
    Control characters, and what is no text, are no key.
    """
    with pytest.raises(ValueError, match=r"control character|surrogates"):
        await documents.put(ATTEMPTS, key, {})


@pytest.mark.parametrize("kind", ["", "/", "../x", "journal/..", "Journal", "journal//orders", "/journal", "journal/"])
async def test_kinds_that_are_refused(documents: Documents, kind: str) -> None:
    """
    A kind is a word of ours; a path that leads elsewhere is none.
    """
    with pytest.raises(ValueError, match="no kind"):
        await documents.put(kind, "wiki", {})
    with pytest.raises(ValueError, match="no kind"):
        await documents.list(kind)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"bytes", object()])
async def test_what_is_not_json(documents: Documents, value: object) -> None:
    """
    What JSON cannot say is refused when it is written, and what was there stays.
    """
    await documents.put(ATTEMPTS, "wiki", {"failures": 1})
    with pytest.raises((TypeError, ValueError)):
        await documents.put(ATTEMPTS, "wiki", {"value": value})
    assert await documents.get(ATTEMPTS, "wiki") == {"failures": 1}


async def test_documents_are_copies(documents: Documents) -> None:
    """
    Nobody who holds a document changes the stored one with it.
    """
    document = {"names": ["a"]}
    await documents.put(ATTEMPTS, "wiki", document)
    document["names"].append("b")
    read = await documents.get(ATTEMPTS, "wiki")
    assert read == {"names": ["a"]}
    json.dumps(read)
    dict(read)["names"].append("c")
    assert await documents.get(ATTEMPTS, "wiki") == {"names": ["a"]}


async def test_many_at_once(documents: Documents) -> None:
    """
    Documents written at the same time are all there, and one written by many is one of theirs.
    """
    async with asyncio.TaskGroup() as group:
        for number in range(30):
            group.create_task(documents.put(ATTEMPTS, f"{number}", {"number": number}))
            group.create_task(documents.put(ATTEMPTS, "same", {"number": number}))
    found = await documents.list(ATTEMPTS)
    assert found.pop("same")["number"] in range(30)
    assert found == {f"{number}": {"number": number} for number in range(30)}
