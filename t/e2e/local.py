"""Stacks of a test's own, so that it can stop their parts."""

import contextlib
import os
import subprocess

from conftest import ROOT, Stack, free_ports, read_env


# servers that v2mctl would use instead of starting some
ELSEWHERE = ("V2M_MONGO_URI", "V2M_AMQP_URL", "V2M_SMTP_URL", "MYSQL_HOST")


@contextlib.contextmanager
def local_stack(run, *names, **settings):
    """./v2mctl up NAMES with these settings; taken down at the end.  Its
    servers are its own, but for those that the settings tell."""
    ports = free_ports(8)
    environment = {name: value for name, value in os.environ.items()
                   if name.removesuffix("_FILE") not in ELSEWHERE}
    environment.update(settings, V2M_RUN=str(run), V2M_PORT_BASE=str(ports))

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
