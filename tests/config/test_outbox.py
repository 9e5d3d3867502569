"""
What `[[notify]]` and `[[hook]]` may say.
"""

from __future__ import annotations

import datetime as dt

import pytest

from gatelodge.config.read import read
from gatelodge.core.desired import desired
from gatelodge.errors import ConfigError
from gatelodge.model import Hook, Notify, SecretRef, matches
from gatelodge.model.log import Level

HEAD = '[acme]\nagree_tos = true\n[sites]\n"www.example.org" = "http://127.0.0.1:1"\n'


def test_targets_and_hooks() -> None:
    """
    What is not said is as usual; who has no name is called by his number.
    """
    text = (
        '[[notify]]\nurl = { env = "URL" }\n'
        '[[notify]]\nname = "mail"\nurl = { file = "/url" }\nevents = ["nginx.*"]\nlevel = "error"\n'
        '[[hook]]\nevents = ["*"]\ncommand = ["/bin/true", "x"]\ntimeout = "5s"\n'
    )
    found = desired(read(HEAD + text))

    assert found.notify == (
        Notify(name="1", url=SecretRef(env="URL")),
        Notify(name="mail", url=SecretRef(file="/url"), events=("nginx.*",), level=Level.ERROR),
    )
    assert found.hooks == (Hook(name="1", events=("*",), command=("/bin/true", "x"), timeout=dt.timedelta(seconds=5)),)


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("[[notify]]\n", "notify[0]", "does not say where messages are sent"),
        ("[[notify]]\nurl = 5\n", "notify[0].url", "it is a number"),
        ('[[notify]]\nurl = "json://hunter2"\nevents = []\n', "notify[0].events", "it is empty"),
        ('[[notify]]\nurl = "json://hunter2"\nevents = ["certificate.renewd"]\n', "notify[0].events[0]", "is no event"),
        ('[[notify]]\nurl = "json://hunter2"\nlevel = "fatal"\n', "notify[0].level", "is not one of"),
        ('[[notify]]\nurl = "json://hunter2"\nname = "a b"\n', "notify[0].name", "cannot be a name"),
        ('[[notify]]\nurl = "x"\nname = "2"\n[[notify]]\nurl = "y"\n', "notify[1]", "called 2 already"),
        ('[[hook]]\ncommand = ["/bin/true"]\n', "hook[0]", "it has no events"),
        ('[[hook]]\nevents = ["*"]\n', "hook[0]", "it has no command"),
        ('[[hook]]\nevents = ["*"]\ncommand = "/bin/true"\n', "hook[0].command", "it is text in quotes"),
    ],
)
def test_a_mistake_is_told(text: str, path: str, words: str) -> None:
    """
    At its key, in words, and without the URL.
    """
    with pytest.raises(ConfigError) as raised:
        read(HEAD + text)
    (mistake,) = raised.value.mistakes

    assert mistake.path == path
    assert words in mistake.problem
    assert mistake.line is not None
    assert "hunter2" not in str(raised.value)


def test_a_url_in_the_file_is_a_secret_there() -> None:
    """
    Its key is told, so that it is warned of when others may read the file; it shows itself nowhere.
    """
    config = read(f'{HEAD}[[notify]]\nurl = "json://hunter2"\n')

    assert config.exposed == ("notify[0].url",)
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(
    ("event", "patterns", "is_one"),
    [
        ("certificate.renewed", ("certificate.*",), True),
        ("certificate.export.failed", ("certificate.*",), True),
        ("certificate.renewed", ("certificate.renewed",), True),
        ("certificates", ("certificate.*",), False),
        ("nginx.started", ("*",), True),
        ("nginx.started", ("certificate.*", "nginx.reloaded"), False),
    ],
)
def test_patterns(event: str, patterns: tuple[str, ...], *, is_one: bool) -> None:
    """
    A name in full, the beginning of one, or all.
    """
    assert matches(event, patterns) is is_one
