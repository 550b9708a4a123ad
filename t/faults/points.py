"""The named points at which a build for tests ends or freezes a worker."""

import signal

import pytest

from conftest import BUILD, wait_for

NAME = b"v2m_test_point"

WORKERS = ("v2m-converter", "v2m-notifier")


def there(program):
    return NAME in (BUILD / program).read_bytes()


needed = pytest.mark.skipif(
    not there(WORKERS[0]), reason="only the build with sanitizers has points")


def killed(program):
    """Until it has passed its point."""
    wait_for(lambda: program.process.poll() is not None, 60,
             what="the worker to reach its point")
    assert program.process.returncode == -signal.SIGKILL, program.log


def stopped(program):
    """Until it stands still at its point."""
    def state():
        with open(f"/proc/{program.process.pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    wait_for(lambda: state() == "T", 60,
             what="the worker to stand still at its point")
