"""
Memory that is free goes back to the machine: seen in a process of its own, since it holds for all that a process does.
"""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_SEEN = """
import ctypes
import sys

from gatelodge.runtime.memory import give_back_large_blocks

if "kept" in sys.argv:
    give_back_large_blocks()


class Seen(ctypes.Structure):
    _fields_ = [(field, ctypes.c_size_t) for field in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks")]
    _fields_ += [(field, ctypes.c_size_t) for field in ("fsmblks", "uordblks", "fordblks", "keepcost")]


mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Seen
first = bytearray(1 << 20)
del first
before = mallinfo().hblkhd
second = bytearray(1 << 18)
print(mallinfo().hblkhd - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no such size")
@pytest.mark.parametrize(("word", "apart"), [("", False), ("kept", True)])
def test_a_large_block_is_one_of_its_own_also_after_a_larger_one(word: str, *, apart: bool) -> None:
    """
    As glibc has it, it is not: then it comes from the heap.
    """
    done = subprocess.run([sys.executable, "-c", _SEEN, word], capture_output=True, text=True, check=True)

    assert (int(done.stdout) >= 1 << 18) is apart
