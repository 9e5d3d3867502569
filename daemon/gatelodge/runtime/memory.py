"""
Has memory that is free go back to the machine.

glibc takes large blocks from the kernel one by one and gives them back at once; but each one that is freed raises the size from which it does so,
up to 32 MiB (mallopt(3), M_MMAP_THRESHOLD). After that they come from the heap, as the buffers of 256 KiB that each TLS connection has
(asyncio/sslproto.py), and leave it full of holes: a daemon grew from 60 to 90 MB over 130 changes.
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
