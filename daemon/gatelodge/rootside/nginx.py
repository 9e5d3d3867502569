"""
Runs root's nginx: tests its whole configuration, tells it to reload, and says what it is. It decides nothing.

What nginx prints of its configuration may hold others' secrets; only where servers listen is taken from it.
"""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

from gatelodge.nginx.others import listening

#: A test of 1 000 TLS sites takes a second on a fast machine, ten on a small one. The daemon waits longer than both together.
_SECONDS = 45
_MOST_SAID = 64 * 1024

_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """
    How a run of nginx ended: whether it was content, what it said, and what it printed.
    """

    content: bool
    said: str
    printed: str = ""


class Nginx:
    """
    nginx, by the name or path of its program.
    """

    def __init__(self, program: str, *, ours: str) -> None:
        """
        Args:
            ours: the folder whose files are ours.
        """
        self._program = program
        self._ours = ours

    def test(self) -> Said:
        """
        Have nginx test its whole configuration; what it printed is that.

        Raises:
            OSError: it cannot be run, or does not end.
        """
        return self._run("-T")

    def reload(self) -> Said:
        """
        Tell the nginx that runs to take up its configuration.

        Raises:
            OSError: it cannot be run, or does not end.
        """
        return self._run("-s", "reload")

    def about(self, dump: str) -> str:
        """
        Say what this nginx is, and its machine, in lines as `mailbox.sh` writes them.

        Args:
            dump: its configuration, as it printed it.

        Raises:
            OSError: it cannot be run, or does not end.
        """
        rows = [f"ipv6 {'yes' if _speaks_ipv6() else 'no'}"]
        rows += [f"ca-bundle {bundle}" for bundle in _BUNDLES if Path(bundle).is_file()][:1]
        rows += [row for row in _text("/etc/resolv.conf").splitlines() if row.split()[:1] == ["nameserver"]]
        rows += [f"listen {place}" for place in sorted(listening(dump, ours=self._ours))]
        return "\n".join([*rows, "version", self._run("-V").said])

    def _run(self, *words: str) -> Said:
        try:
            done = subprocess.run(  # noqa: S603 - the program that root named
                [self._program, *words],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False, cwd="/", env=_ENVIRONMENT,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self._program} {' '.join(words)} did not end within {_SECONDS} s") from None
        return Said(
            content=done.returncode == 0,
            said=done.stderr[-_MOST_SAID:].decode(errors="replace").strip(),
            printed=done.stdout.decode(errors="replace"),
        )


def _speaks_ipv6() -> bool:
    return _text("/proc/self/net/if_inet6") != ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
