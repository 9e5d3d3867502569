"""
What is read of the machine: its name servers, nginx's arguments, its log, its refusals to open a port.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
from pathlib import Path

import pytest

from gatelodge.errors import NginxMissing
from gatelodge.model import Listener, NginxSettings
from gatelodge.nginx import binary, listening, log, process
from gatelodge.nginx.log import ErrorLog, put_aside


def test_name_servers_are_written_as_nginx_wants_them(tmp_path: Path) -> None:
    """
    IPv6 in brackets, those with an interface left out, none twice; a missing file names none.
    """
    file = tmp_path / "resolv.conf"
    file.write_text(
        "# nameserver 192.0.2.1\nsearch lan\nnameserver 127.0.0.11\nnameserver fd00::53\n"
        "nameserver fe80::1%eth0\nnameserver 127.0.0.11\nnameserver nonsense\nnameserver\n"
    )
    assert binary.resolvers(file) == ("127.0.0.11", "[fd00::53]")
    assert binary.resolvers(tmp_path / "none") == ()


def program(folder: Path, said: str, *, code: int = 0) -> NginxSettings:
    """
    Return settings that name a program which says this when it is asked for its version.
    """
    file = folder / "nginx"
    file.write_text(f"#!{sys.executable}\nimport sys\nsys.stderr.write({said!r})\nsys.exit({code})\n")
    file.chmod(0o755)
    return NginxSettings(binary=str(file))


def test_modules_are_told_apart(tmp_path: Path) -> None:
    """
    Built in, dynamic and there, dynamic and not there, left out; OpenResty's version is a version too.
    """
    (tmp_path / "ngx_stream_module.so").touch()
    said = (
        "nginx version: openresty/1.25.3\nconfigure arguments: --with-cc-opt='-O2 -g' --with-http_ssl_module "
        f"--modules-path={tmp_path} --with-stream=dynamic --with-http_geoip_module=dynamic --without-http_scgi_module\n"
    )
    found = binary.capabilities(program(tmp_path, said))
    assert found.version == (1, 25, 3)
    assert found.modules == {"http_ssl_module"}
    assert found.dynamic == {"stream": f"{tmp_path}/ngx_stream_module.so"}
    assert found.without == {"http_scgi_module"}


def test_a_replaced_program_is_asked_again(tmp_path: Path) -> None:
    """
    An upgrade is noticed without a restart of the daemon.
    """
    assert binary.capabilities(program(tmp_path, "nginx version: nginx/1.22.1\n")).version == (1, 22, 1)
    (tmp_path / "nginx").unlink()
    assert binary.capabilities(program(tmp_path, "nginx version: nginx/1.28.0\n")).version == (1, 28, 0)


@pytest.mark.parametrize(("said", "code"), [("", 0), ("nginx version: nginx/1.22.1\n", 1), ("hello\n", 0)])
def test_a_program_that_does_not_answer_as_nginx_is_none(tmp_path: Path, said: str, code: int) -> None:
    """
    With a sentence that names it.
    """
    with pytest.raises(NginxMissing, match=str(tmp_path)):
        binary.capabilities(program(tmp_path, said, code=code))


def test_emergencies_are_read_from_a_place_on_and_each_once(tmp_path: Path) -> None:
    """
    Only nginx's refusals, without its numbers.
    """
    file = tmp_path / "error.log"
    file.write_text("2026/01/01 00:00:00 [emerg] 1#1: before\n")
    error_log = ErrorLog(file)
    offset = error_log.end()
    with file.open("a") as opened:
        opened.write("2026/01/01 00:00:01 [error] 2#2: *1 connect() failed\n")
        opened.write("2026/01/01 00:00:01 [emerg] 2#2: bind() to 0.0.0.0:80 failed\n" * 5)
    assert error_log.emergencies(offset) == "[emerg] bind() to 0.0.0.0:80 failed"
    assert ErrorLog(tmp_path / "none").emergencies(0) == ""
    assert ErrorLog(tmp_path / "none").end() == 0


def test_only_a_large_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    And the one that was put aside before is replaced.
    """
    monkeypatch.setattr(log, "LARGEST", 10)
    file = tmp_path / "error.log"
    file.write_text("small")
    assert not put_aside(file)
    file.write_text("rather large")
    (tmp_path / "error.log.1").write_text("older")
    assert put_aside(file)
    assert not file.exists()
    assert (tmp_path / "error.log.1").read_text() == "rather large"
    assert not put_aside(file)


@pytest.mark.parametrize(
    ("number", "port", "said"),
    [
        (errno.EACCES, 443, "CAP_NET_BIND_SERVICE"),
        (errno.EACCES, 8443, "Permission denied"),
        (errno.EADDRNOTAVAIL, 443, "192.0.2.1 is not an address of this machine"),
        (errno.EADDRINUSE, 1, "held by another program"),
    ],
)
def test_a_closed_port_is_explained(number: int, port: int, said: str) -> None:
    """
    What happened and what to do, for each reason that people meet.
    """
    listener = Listener(port=port, address="192.0.2.1")
    assert said in listening._explained(listener, OSError(number, os.strerror(number)))


def test_what_nginx_holds_is_not_tried() -> None:
    """
    Nor is an address whose port is opened without one.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        wide, narrow = Listener(port=port), Listener(port=port, address="127.0.0.1")
        assert set(listening.find_closed([wide], ipv6=True)) == {wide}
        assert set(listening.find_closed([narrow], ipv6=True)) == {narrow}
        assert set(listening.find_closed([wide, narrow], ipv6=True)) == {wide}
        held = listening.sockets([wide], ipv6=True)
        assert listening.find_closed([wide], held=held, ipv6=True) == {}


@pytest.mark.parametrize("shared", [False, True])
def test_a_udp_port_is_tried_too(shared: bool) -> None:  # noqa: FBT001 - as the kernel has it
    """
    Also where whoever has it would let nginx have it beside himself, and half of what comes.
    """
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        if shared:
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                taken.setsockopt(socket.SOL_SOCKET, option, 1)
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        wide, narrow = Listener(port=port, udp=True), Listener(port=port, address="127.0.0.1", udp=True)
        for listener in (wide, narrow):
            [why] = listening.find_closed([listener], ipv6=True).values()
            assert f"cannot listen on {listener}: port {port}/udp is held by" in why
            assert f"(pid {os.getpid()})" in why
        held = listening.sockets([wide], ipv6=True)
        assert listening.find_closed([wide], held=held, ipv6=True) == {}


ANYWHERE, HERE, THERE = Listener(port=443), Listener(port=443, address="127.0.0.1"), Listener(port=443, address="::1")


@pytest.mark.parametrize(
    ("held", "wanted", "clash"),
    [
        ((), (ANYWHERE, HERE), False),
        ((ANYWHERE,), (ANYWHERE, HERE, THERE), False),
        ((ANYWHERE, HERE), (ANYWHERE,), False),
        ((HERE,), (HERE, THERE), False),
        ((ANYWHERE,), (Listener(port=8443, address="127.0.0.1"),), False),
        ((Listener(port=443, address="0.0.0.0"),), (Listener(port=443, address="0.0.0.0"), THERE), False),
        ((ANYWHERE,), (HERE,), True),
        ((HERE,), (ANYWHERE,), True),
        ((THERE,), (ANYWHERE,), True),
        ((HERE,), (HERE, ANYWHERE), True),
        ((Listener(port=443, address="0.0.0.0"),), (HERE,), True),
        ((Listener(port=443, udp=True),), (ANYWHERE, HERE), False),
        ((Listener(port=443, udp=True),), (Listener(port=443, address="127.0.0.1", udp=True),), True),
    ],
)
def test_nginx_cannot_open_a_port_beside_the_same_in_another_shape(
    held: tuple[Listener, ...],
    wanted: tuple[Listener, ...],
    clash: bool,  # noqa: FBT001 - what is expected
) -> None:
    """
    One socket of a port stands for all addresses of a family, and the kernel lets no other be opened beside it.
    """
    opened, asked = listening.sockets(held, ipv6=True), listening.sockets(wanted, ipv6=True)
    assert bool(listening.find_clashes(asked, opened)) is clash


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_the_kernel_says_on_which_sockets_a_process_listens(address: str, udp: bool) -> None:  # noqa: FBT001 - which
    """
    By address, port and protocol, as they are compared with what is wanted.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as server:
        server.bind((address, 0))
        if not udp:
            server.listen()
        number = server.getsockname()[1]
        me = process.Process(pid=os.getpid(), started=0)
        assert (ipaddress.ip_address(address), number, udp) in process.sockets(me)
        name = f"{Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})"
        assert process.holder(number, udp=udp) == name
        assert process.holder(number, udp=udp, besides=me) is None
        assert process.holder(number, udp=not udp) is None
        everywhere = address in {"0.0.0.0", "::"}
        assert (process.holder(number, address="127.0.0.9", udp=udp) == name) == everywhere
        assert process.holder(number, address=address, udp=udp) == name
