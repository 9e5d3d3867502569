"""
The watch over all tests fails those after which a secret is where it must never be, says where, and never says it. Shown on tests that leak
on purpose, in a pytest of their own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.leaks import SECRET_KEYS, Watch

ROOT = Path(__file__).parents[1]

#: Put together here, so that no failure of this very test shows it whole.
SECRET = "made-up-never-to-be-seen"

HEAD = f"""
import io, subprocess, sys, tempfile
from pathlib import Path
import gatelodge, pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gatelodge.errors import HttpUnreachable, StateError
from gatelodge.model import Secret
from gatelodge.runtime.events.log import EventLog
from gatelodge.runtime.system import SystemClock

SECRET = "-".join({SECRET.split("-")!r})

def key():
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()

def log(folder):
    return EventLog(directory=str(folder), clock=SystemClock(), stream=io.StringIO())

def raising(text):
    # as if the code raised it, not a test
    exec(compile("raise StateError(text, 'x', 'y')", gatelodge.__file__, "exec"), {{"text": text, "StateError": StateError}})

def written(folder):
    (folder / "gatelodge.toml").write_text('[dns.home]\\nprovider = "acme-dns"\\npassword = "' + SECRET + '"\\n')
"""

#: Tests that leak, and what must be said of each.
LEAKS = {
    "test_event(tmp_path)": (
        'Secret(SECRET); log(tmp_path).emit("state.warning", level="warning", error__detail=f"it is {SECRET}")',
        "a Secret is in the event state.warning",
    ),
    "test_event_list(tmp_path)": (
        'Secret(SECRET); log(tmp_path).emit("config.refused", level="error", mistakes=[f"it is {SECRET}"])',
        "a Secret is in the event config.refused",
    ),
    "test_error()": (
        "Secret(SECRET)\n    with pytest.raises(StateError):\n        raising(f'not {SECRET}')",
        "a Secret is in what StateError says",
    ),
    "test_printed()": ("Secret(SECRET); print('so', SECRET)", "a Secret is in “Captured stdout call”"),
    "test_logged()": (
        "import logging; Secret(SECRET); logging.getLogger('x').error(SECRET)",
        "a Secret is in “Captured log call”",
    ),
    "test_read(capsys)": ("Secret(SECRET); print(SECRET, file=sys.stderr); capsys.readouterr()", "a Secret is in stderr"),
    "test_failed()": ("value = SECRET; Secret(SECRET); assert value == 'x'", "a Secret is in why the test failed"),
    "test_in_a_url()": (
        "Secret('a b/c d:e f'); print('https://x/?p=a%20b%2Fc%20d%3Ae%20f')",
        "a Secret is in “Captured stdout call”",
    ),
    "test_key_line(tmp_path)": (
        "text = key(); Secret(text)\n    log(tmp_path).emit('state.warning', level='warning', error__detail=text.splitlines()[1])",
        "a line of a private key is in the event state.warning",
    ),
    "test_any_key()": ("print(key())", "a private key is in “Captured stdout call”"),
    "test_folder()": (
        "with tempfile.TemporaryDirectory() as name:\n        written(Path(name)); (Path(name) / 'daemon.log').write_text(SECRET)",
        "the value of password is in daemon.log",
    ),
    "test_tmp_path(tmp_path)": (
        "written(tmp_path); (tmp_path / 'state').mkdir(); (tmp_path / 'state' / 'events.jsonl').write_text(SECRET)",
        "the value of password is in events.jsonl",
    ),
    "test_key_in_a_folder(tmp_path)": (
        "text = key(); (tmp_path / 'privkey.pem').write_text(text); (tmp_path / 'x.log').write_text(text.splitlines()[1])",
        "a line of a private key is in x.log",
    ),
    "test_secret_file(tmp_path)": (
        ("(tmp_path / 'token').write_text(SECRET + '\\n')\n"
        "    (tmp_path / 'g.toml').write_text(f'[dns.home]\\npassword = {{ file = \"{tmp_path}/token\" }}\\n')\n"
        "    (tmp_path / 'stderr').write_text(SECRET)"),
        "the value of password is in stderr",
    ),
    "test_ini(tmp_path)": (
        "(tmp_path / 'a.ini').write_text('dns_aliyun_secret = ' + SECRET + '\\n'); (tmp_path / 'said').write_text(SECRET)",
        "a secret of a.ini is in said",
    ),
    "test_process()": (
        "subprocess.run([sys.executable, '-c', 'import os; print(os.environ[\"X_TOKEN\"]) # gatelodge'], env={'X_TOKEN': SECRET}, capture_output=True)",
        "$X_TOKEN is in what `gatelodge` printed",
    ),
    "test_unknown_event(tmp_path)": (
        "log(tmp_path).emit('gate.burning')",
        "gate.burning is not in model/events.py",
    ),
    "test_unknown_event_of_a_daemon()": (
        ("with tempfile.TemporaryDirectory() as name:\n"
        "        (Path(name) / 'events.jsonl').write_text('{\"id\": 1, \"event\": \"gate.burning\", \"level\": \"info\"}\\n')"),
        "gate.burning is not in model/events.py",
    ),
}  # fmt: skip

#: Tests that do as they should.
GOOD = {
    "test_good_event(tmp_path)": 'Secret(SECRET); log(tmp_path).emit("state.warning", level="warning", error__detail="nothing")',
    "test_good_repr()": "print(repr(Secret(SECRET)))",
    "test_short()": "Secret('hush'); print('hush')",
    "test_of_another()": "print('a b/c d:e f')",
    "test_fake_error()": "Secret(SECRET)\n    with pytest.raises(HttpUnreachable):\n        raise HttpUnreachable(SECRET)",
    "test_other_program()": "Secret(SECRET); subprocess.run(['echo', SECRET], capture_output=True)",
    "test_certificate()": "print('-----BEGIN CERTIFICATE-----')",
    "test_ca(tmp_path)": "written(tmp_path); (tmp_path / 'pebble.log').write_text(SECRET)",
}


@pytest.mark.parametrize("workers", [0, 2])
def test_what_leaks_fails_and_is_not_shown(tmp_path: Path, workers: int) -> None:
    """
    Each leak is told with its place; what does not leak passes, in whatever order and process; nowhere is the secret itself.
    """
    tests = {**{name: body for name, (body, _) in LEAKS.items()}, **GOOD}
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "test_it.py").write_text(HEAD + "".join(f"\ndef {name}:\n    {body}\n" for name, body in tests.items()))
    (inner / "pytest.ini").write_text("[pytest]\n")
    (inner / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "--tb=short", f"-n{workers}",
            "--import-mode=importlib", f"--basetemp={inner / 'base'}", "-c", "pytest.ini", "test_it.py",
        ],
        check=False, capture_output=True, text=True, cwd=inner,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'daemon'}:{ROOT}"},
    )  # fmt: skip
    shutil.rmtree(inner)  # it holds leaks, and this test is watched too
    said = done.stdout
    bad = set(re.findall(r"^(?:FAILED|ERROR) test_it\.py::(\w+)", said, re.MULTILINE))
    passed = set(re.findall(r"^PASSED test_it\.py::(\w+)", said, re.MULTILINE))
    source = {name.partition("(")[0]: told for name, (_, told) in LEAKS.items()}

    # Compared in pieces: said is not shown when this fails.
    assert bad == set(source), said if SECRET not in said else "(it shows the secret)"
    assert {name.partition("(")[0] for name in GOOD} <= passed
    lacking = [told for told in source.values() if told not in said]
    assert lacking == []
    shown = SECRET in said + done.stderr
    assert not shown, "the secret is shown"
    assert "-----BEGIN PRIVATE KEY" not in said


def test_the_keys_of_secrets_are_those_of_the_schema() -> None:
    """
    A new option that holds a secret is watched without anybody's doing.
    """
    assert {"hmac_key", "access_key_secret", "key_secret", "password", "token"} <= SECRET_KEYS
    assert not SECRET_KEYS & {"names", "provider", "upstream"}


def test_a_secret_of_one_test_is_a_word_of_another() -> None:
    """
    Only keys are known for longer than a test.
    """
    watch = Watch()
    watch.learn("longenough", "a Secret")
    assert watch.look("so longenough it is", "here")
    assert watch.told() == ["a Secret is in here"]
    watch.begin()
    assert not watch.look("so longenough it is", "here")
    assert watch.told() == []
