"""
What a piece of work left behind in this process: tasks of the daemon's code, and sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path


def tasks(room: str) -> list[asyncio.Task[object]]:
    """
    Return the tasks that run code of a room of the daemon, `dns` for one.
    """
    return [
        task
        for task in asyncio.all_tasks()
        if f"gatelodge/{room}/" in getattr(getattr(task.get_coro(), "cr_code", None), "co_filename", "")
    ]


def asking_sockets() -> int:
    """
    Count this process's UDP sockets that are connected to somewhere.
    """
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(each.name))) as copy:
            if copy.type == socket.SOCK_DGRAM and copy.family in {socket.AF_INET, socket.AF_INET6}:
                copy.getpeername()
                found += 1
    return found
