"""
Stands in for programs that want a whole machine: an engine, systemd, root, a package manager. Called by their names.

Each looks whether what it is asked for makes sense with what this repository ships (units, compose files, build arguments, packages), and
does the part that can be done: what would run in a container runs here. What it does not know it refuses, so that a page's new command
is looked at.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

import gatelodge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).parents[2]

#: Where the folder lies that is the machine's `/`.
MACHINE = Path(os.environ.get("MACHINE", "/"))

#: Units of others that pages speak of.
_OTHERS = ("nginx", "certbot.timer")

_SYSTEMCTL = (
    "start", "stop", "restart", "reload", "status", "enable", "disable", "kill", "daemon-reload", "edit", "is-active",
)  # fmt: skip


class Unknown(Exception):
    """
    What is asked for is nothing that this repository ships.
    """


def _require(holds: object, what: str) -> None:
    if not holds:
        raise Unknown(what)


def _run(words: list[str]) -> int:
    """
    Do for real what a stand-in was asked to have done.
    """
    return subprocess.run(words, check=False).returncode


def _options(words: list[str], *with_value: str) -> tuple[dict[str, str], list[str]]:
    """
    Take options off the front of words; those named have a value.
    """
    found: dict[str, str] = {}
    while words and words[0].startswith("-") and words[0] != "--":
        name, mark, value = words.pop(0).partition("=")
        found[name] = value if mark else words.pop(0) if name in with_value else ""
    return found, words[1:] if words[:1] == ["--"] else words


def shipped_units() -> set[str]:
    """
    Return the names of the units in systemd/, also without their ending.
    """
    names = {path.name for path in (ROOT / "systemd").iterdir() if path.is_file()}
    return names | {name.removesuffix(".service") for name in names}


def _systemctl(words: list[str]) -> int:
    options, rest = _options(words, "-s", "-n")
    del options
    verb, *units = rest
    _require(verb in _SYSTEMCTL, f"systemctl {verb}")
    more, units = [unit for unit in units if unit.startswith("-")], [unit for unit in units if not unit.startswith("-")]
    if verb == "kill":
        _require(units[:1] in (["USR1"], ["QUIT"]) or not more, "a signal that the daemon or nginx knows")
        units = [unit for unit in units if unit not in ("USR1", "QUIT")]
    for unit in units:
        _require(unit in shipped_units() or unit.removesuffix(".service") in _OTHERS, f"the unit {unit}")
    return 0


def _journalctl(words: list[str]) -> int:
    units = [words[at + 1] for at, word in enumerate(words) if word == "-u"]
    _require(units and all(unit in shipped_units() for unit in units), f"units of ours in {words}")
    return 0


def _as_another(words: list[str]) -> int:
    _, rest = _options(words, "-u")
    return _run(rest)


def _group(words: list[str]) -> int:
    _require("gatelodge" in words, "our group")
    return 0


def _install(words: list[str]) -> int:
    """
    Install without giving anything away: the owner is somebody of the real machine.
    """
    kept = []
    while words:
        word = words.pop(0)
        if word in ("-o", "-g"):
            words.pop(0)
        else:
            kept.append(word)
    return _run(["/usr/bin/install", *kept])


def _chown(words: list[str]) -> int:
    _, (owner, *files) = _options(words)
    _require(re.fullmatch(r"(\w+)?(:\w+)?", owner), f"the owner {owner}")
    return 0 if all(Path(file).exists() for file in files) else 1


def _pip(words: list[str]) -> int:
    """
    Look whether what is to be installed is what this project needs or offers; nothing is fetched.
    """
    _require(words[:1] in (["install"], ["download"]), f"pip {words}")
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    _, wanted = _options(words[1:], "-i", "--index-url", "-c", "-r")
    for each in wanted:
        extra = re.fullmatch(r"(?:gatelodge|\.|.*/)\[(\w+)\]", each)
        name = re.match(r"[\w.-]*", each)
        known = (
            f"\n{extra[1]} = [" in text
            if extra
            else each in (".", "gatelodge", "pip")
            or each.endswith(".whl")
            or (name is not None and f'"{name[0]}' in text)
        )
        _require(known, f"the package {each}")
    return 0


def _apt(words: list[str]) -> int:
    _require(words[0] in ("install", "update"), f"apt {words[0]}")
    _, packages = _options(words[1:])
    known = (ROOT / "scripts" / "setup").read_text(encoding="utf-8") + (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for each in packages:
        _require(each in known or each in _PACKAGES, f"the package {each}")
    return 0


#: Debian packages that pages name beside those of scripts/setup and the Dockerfile.
_PACKAGES = ("git", "python3-venv", "docker.io", "docker-compose-v2")


def _compose(words: list[str]) -> int:
    options, (verb, *rest) = _options(words, "-f")
    file = Path(options.get("-f", "compose.yaml"))
    _require(file.exists() or (ROOT / "docs" / "compose" / file.name).exists(), f"the compose file {file}")
    text = (file if file.exists() else ROOT / "docs" / "compose" / file.name).read_text(encoding="utf-8")
    services: Mapping[str, Any] = yaml.safe_load(text)["services"]
    if verb in ("up", "down", "pull", "build", "restart", "stop", "start", "logs", "ps"):
        _, named = _options(rest, "--tail")
        _require(set(named) <= set(services), f"the services {named}")
        return 0
    if verb in ("exec", "run"):
        _, (service, *command) = _options(rest, "-u", "--entrypoint")
        _require(service in services, f"the service {service}")
        return _run(command if verb == "exec" else ["gatelodge", *command])
    raise Unknown(f"docker compose {verb}")


def _docker(words: list[str]) -> int:
    verb, *rest = words
    if verb == "compose":
        return _compose(rest)
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    if verb == "build":
        for each in re.findall(r"--build-arg (\w+)=", " ".join(rest)):
            _require(re.search(rf"^ARG {each}\b", dockerfile, re.MULTILINE), f"the build argument {each}")
        return 0 if rest[-1] == "." else 1
    if verb == "run":
        options, (image, *command) = _options(rest, "-v", "--entrypoint", "--name", "-e", "-u", "--network")
        _require(image in ("gatelodge", f"gatelodge:{gatelodge.__version__}"), f"the image {image}")
        if options.get("--entrypoint") == "cat":
            inside = command[0].removeprefix(str(MACHINE))
            name = Path(inside).name
            _require(
                re.search(rf"COPY .*\b{re.escape(name)}\b.* {re.escape(str(Path(inside).parent))}", dockerfile),
                f"{inside} in the image",
            )
            return _run(["cat", str(ROOT / name)])
        mounted = options.get("-v", "").split(":")[:2]
        return _run(["gatelodge", *command, *mounted[:1]] if "init" in command and mounted else ["gatelodge", *command])
    if verb in ("pull", "stop", "start", "restart", "logs", "exec", "tag", "push", "save", "load", "image"):
        return 0
    raise Unknown(f"docker {verb}")


def _editor(words: list[str]) -> int:
    """
    Write what a person would: a configuration, which is that of the gate, or a key.
    """
    file = Path(words[0])
    gate = Path(os.environ["GATELODGE_CONFIG"])
    file.write_text(gate.read_text(encoding="utf-8") if file.name == gate.name else "key = secret\n", encoding="utf-8")
    return 0


def _git(words: list[str]) -> int:
    """
    Look whether the tag is one by which scripts/release knows a release; nothing is committed.
    """
    verb, *rest = words
    _require(verb in ("commit", "tag", "push", "clone", "pull"), f"git {verb}")
    if verb == "tag":
        _require(f"v{gatelodge.__version__}" in rest, f"the tag in {rest}")
    return 0


def _gpg(words: list[str]) -> int:
    options, files = _options(words)
    known = {"--armor", "--detach-sign", "--verify"}
    _require(set(options) <= known and all("SHA256SUMS" in file for file in files), f"gpg {words}")
    return 0


def _python(words: list[str]) -> int:
    """
    Make an environment whose programs are those of the PATH; a real one takes seconds, and is made by the test of a release.
    """
    _require(words[:2] == ["-m", "venv"], f"python3 {words}")
    folder = Path(words[2]) / "bin"
    folder.mkdir(parents=True)
    for name in ("pip", "gatelodge", "python"):
        (folder / name).write_text(f'#!/bin/sh\nexec {name} "$@"\n', encoding="utf-8")
        (folder / name).chmod(0o755)
    return 0


PROGRAMS: Mapping[str, Callable[[list[str]], int]] = {
    "docker": _docker,
    "podman": _docker,
    "systemctl": _systemctl,
    "journalctl": _journalctl,
    "sudo": _as_another,
    "runuser": _as_another,
    "usermod": _group,
    "install": _install,
    "chown": _chown,
    "pip": _pip,
    "python3": _python,
    "git": _git,
    "gpg": _gpg,
    "apt": _apt,
    "apt-get": _apt,
    "editor": _editor,
}


def main() -> NoReturn:
    """
    Be the program by whose name this was called.
    """
    name, words = sys.argv[1], sys.argv[2:]
    try:
        code = PROGRAMS[name](words)
    except Unknown as error:
        sys.stderr.write(f"{name}: there is no such thing: {error}\n")
        code = 64
    sys.exit(code)


if __name__ == "__main__":
    main()
