"""
`[log]`: what each key means, and what `check` says of mistakes.
"""

from __future__ import annotations

import datetime as dt
import tomllib

import jsonschema
import pytest

from gatelodge.config.read import read
from gatelodge.config.schema import schema
from gatelodge.errors import ConfigError
from gatelodge.model.log import Level, LogFormat, LogSettings
from gatelodge.offers import CATALOG


def test_each_key_is_read() -> None:
    """
    As the schema describes it.
    """
    text = '[log]\nformat = "text"\nlevel = "error"\nkeep = "1d"\nmax_size = "1m"\n'
    jsonschema.validate(tomllib.loads(text), schema(CATALOG))

    assert read(text, "gatelodge.toml", CATALOG).log == LogSettings(
        format=LogFormat.TEXT, level=Level.ERROR, keep=dt.timedelta(days=1), max_size=1 << 20
    )


def test_without_it_all_is_kept_for_ninety_days() -> None:
    """
    Each key has a default of its own.
    """
    assert read("", "gatelodge.toml", CATALOG).log == LogSettings()
    assert read('[log]\nkeep = "1d"\n', "gatelodge.toml", CATALOG).log == LogSettings(keep=dt.timedelta(days=1))
    assert (LogSettings().keep, LogSettings().max_size) == (dt.timedelta(days=90), 24 << 20)


@pytest.mark.parametrize(
    ("line", "key", "problem", "remedy"),
    [
        ('level = "warn"', "log.level", "warn", 'write "warning"'),
        ('level = "debug"', "log.level", "debug", 'write "info"'),
        ('level = "eror"', "log.level", "eror", 'write "error"'),
        ('format = "pretty"', "log.format", "pretty", '"auto"'),
        ('keep = "12h"', "log.keep", "too short", '"1d"'),
        ('keep = "0"', "log.keep", "not a duration", "unit"),
        ("keep = 90", "log.keep", "90", '"1d"'),
        ('max_size = "0"', "log.max_size", "too small", '"64k"'),
        ('max_size = "24 MB"', "log.max_size", "not a size", '"10m"'),
        ('path = "/var/log/x"', "log.path", "no such key", "keep"),
    ],
)
def test_a_mistake_is_told(line: str, key: str, problem: str, remedy: str) -> None:
    """
    With its key, its line and what to write.
    """
    with pytest.raises(ConfigError) as caught:
        read(f"[log]\n{line}\n", "gatelodge.toml", CATALOG)
    (found,) = caught.value.mistakes

    assert (found.path, found.line) == (key, 2)
    assert problem in found.problem
    assert remedy in found.remedy
