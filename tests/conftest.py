"""
What holds for every test: it is watched for secrets that get out, and for events that are in no table; and what it starts can be interrupted,
also where the tests run in a shell's background.
"""

import signal

from tests.support.watching import pytest_configure, pytest_runtest_makereport, pytest_runtest_protocol

__all__ = ["pytest_configure", "pytest_runtest_makereport", "pytest_runtest_protocol"]

# A shell has its background jobs ignore Ctrl-C (POSIX, Shell Command Language, 2.11), and whatever they start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
