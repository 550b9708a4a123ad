"""Stacks of a test's own, so that it can stop their parts."""

import contextlib
import os
import subprocess

from conftest import ROOT, Stack, free_ports, read_env


@contextlib.contextmanager
def local_stack(run, *names, **settings):
    """./v2mctl up NAMES with these settings; taken down at the end."""
    ports = free_ports(8)
    environment = dict(os.environ, **settings, V2M_RUN=str(run),
                       V2M_PORT_BASE=str(ports))

    def ctl(*arguments):
        return subprocess.run(
            [str(ROOT / "v2mctl"), *arguments], cwd=ROOT, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    try:
        up = ctl("up", *names)
        assert up.returncode == 0, up.stdout
        yield Stack(read_env(run / "env"), run, ports)
    finally:
        ctl("down")
