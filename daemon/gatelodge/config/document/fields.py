"""
The fields of which tables are made: one for each key, with what an editor is told about it.
"""

import dataclasses
from typing import Any


def field(description: str) -> Any:
    """
    Make the field of a key that may be left out.
    """
    return dataclasses.field(default=None, metadata={"description": description})


def entries(description: str) -> Any:
    """
    Make the field of a table whose keys people choose.
    """
    return dataclasses.field(default_factory=dict, metadata={"description": description})


def given(table: object, *keys: str) -> dict[str, Any]:
    """
    Return those of a table's keys that the person wrote.
    """
    return {key: value for key in keys if (value := getattr(table, key)) is not None}
