"""
Starts an nginx that daemonises itself: when its first process ends well, it listens. Blocks.
"""

from __future__ import annotations

import dataclasses
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

from gatelodge.errors import NginxMissing, NginxRefused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gatelodge.core.tree import Capabilities
    from gatelodge.nginx.process import Process

_START_SECONDS = 60
_PID_SECONDS = 5
_POLL_SECONDS = 0.01


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """
    One start: of which nginx, with which configuration, and how its master is found.
    """

    found: Capabilities
    entry: Path
    log: Path
    master: Callable[[], Process | None]

    def run(self) -> None:
        """
        Start nginx, and return once its master is there.

        Raises:
            NginxRefused: it did not start.
            NginxMissing: the program cannot be run.
        """
        prefix = self.entry.parent.parent
        # `-c` comes first: nginx cuts its title when the environment is short, and is known by this path in it.
        words = [self.found.binary, "-c", str(self.entry), "-p", f"{prefix}/"]
        words += ["-e", str(self.log)] if self.found.at_least(1, 19, 5) else []
        # Into a file, never a pipe: the master keeps what it was started with.
        with tempfile.TemporaryFile(dir=prefix) as said:
            try:
                done = subprocess.run(  # noqa: S603 - the program that the configuration names
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    timeout=_START_SECONDS,
                    check=False,
                    cwd="/",
                )
            except subprocess.TimeoutExpired as error:
                raise NginxRefused(f"nginx did not start within {_START_SECONDS} s") from error
            except OSError as error:
                raise NginxMissing(self.found.binary, error.strerror or str(error)) from error
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            output = "\n".join(line.removeprefix("nginx: ") for line in lines)
        if done.returncode != 0:
            raise NginxRefused(output or f"nginx ended with {done.returncode} and said nothing")
        deadline = time.monotonic() + _PID_SECONDS
        while self.master() is None:
            if time.monotonic() > deadline:
                raise NginxRefused(f"nginx started and ended at once; {self.log} may say why")
            time.sleep(_POLL_SECONDS)
