"""F19: a backend moves to another address: under its name it is found again,
without a restart."""

import os
import subprocess
import urllib.parse

import pytest

from conftest import BUILD, Relay, wait_for
from notices import make_job, message

NAME = "v2m-backend"


def own_hosts_work():
    """Whether a program can have an /etc/hosts of its own."""
    return os.geteuid() == 0 and subprocess.run(
        ["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode == 0


pytestmark = pytest.mark.skipif(
    not own_hosts_work(),
    reason="only root can give a program names of its own")


class Moving:
    """A backend under a name, at one address of this machine or another."""

    def __init__(self, hosts, url):
        parts = urllib.parse.urlsplit(url)
        self.hosts = hosts
        self.target = (parts.hostname, parts.port)
        self.relays = [Relay(*self.target)]
        self.port = self.relays[0].port
        user = parts.netloc.rpartition("@")[0]
        self.url = urllib.parse.urlunsplit(parts._replace(
            netloc=f"{user}{'@' if user else ''}{NAME}:{self.port}"))
        self.name("127.0.0.1")

    def name(self, address):
        self.hosts.write_text(f"127.0.0.1 localhost\n{address} {NAME}\n")

    def move(self):
        self.relays.append(Relay(*self.target, at=("127.0.0.2", self.port)))
        self.name("127.0.0.2")
        self.relays[0].refuse()

    def moved(self):
        return self.relays[-1].carried["up"] > 0

    def close(self):
        for relay in self.relays:
            relay.close()


@pytest.fixture
def moving(tmp_path):
    made = []

    def start(url):
        made.append(Moving(tmp_path / "hosts", url))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.mark.parametrize("setting", ["V2M_AMQP_URL", "V2M_SMTP_URL",
                                     "V2M_MONGO_URI"])
def test_moves(stack, spawn, queue, address, moving, setting):
    backend = moving(stack.env[setting])
    program = spawn(
        "/usr/bin/unshare", "-m", "--propagation", "private", "sh", "-c",
        'mount --bind "$1" /etc/hosts && exec "$2"', "sh", backend.hosts,
        BUILD / "v2m-notifier", MP3_QUEUE=queue, V2M_SMTP_TIMEOUT=5,
        **{setting: backend.url})
    program.wait_log("connected, consuming")

    def send():
        job_id = make_job(stack, address)
        stack.publish(queue, message(job_id, address))
        wait_for(lambda: stack.job(job_id)["notified"] == "sent", 60)

    send()
    backend.move()
    send()
    assert backend.moved()
    assert len(stack.mails(address)) == 2
