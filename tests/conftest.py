"""
What holds for every test: it is watched for secrets that get out, and for events that are in no table.
"""

from tests.support.watching import pytest_configure, pytest_runtest_makereport, pytest_runtest_protocol

__all__ = ["pytest_configure", "pytest_runtest_makereport", "pytest_runtest_protocol"]
