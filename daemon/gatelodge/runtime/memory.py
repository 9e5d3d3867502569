"""
Has memory that is free go back to the machine.

glibc takes large blocks from the kernel one by one and gives them back at once; but each one that is freed raises the size from which it does so,
up to 32 MiB (mallopt(3), M_MMAP_THRESHOLD). After the first TLS connections, each with a buffer of 256 KiB (asyncio/sslproto.py), they come from
the heap, which is left full of holes: a daemon grew from 60 to 90 MB over 130 changes, and to 64 with the size kept where it begins.
"""

from __future__ import annotations

import contextlib
import ctypes

#: malloc.h, and the size that glibc begins with on 64 bits.
_M_MMAP_THRESHOLD = -3
_BEGINS_WITH = 128 * 1024


def give_back_large_blocks() -> None:
    """
    Keep the size from which blocks are given back where it begins. Nothing happens with another C library: musl does so of its own accord.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _BEGINS_WITH)
