"""A RabbitMQ of several nodes, as one cluster."""

import contextlib
import json
import os
import pathlib
import secrets
import subprocess

from conftest import wait_for

PROGRAMS = pathlib.Path("/usr/lib/rabbitmq/bin")
EPMD = 4369
PASSWORD = secrets.token_hex(16)
COOKIE = secrets.token_hex(16)


class Node:
    """One of so many; they find each other by their names."""

    def __init__(self, run, number, count):
        self.name = f"v2m-{number}@localhost"
        self.port = 5670 + number
        self.home = run / f"node-{number}"
        self.process = None
        self.home.mkdir()
        cookie = self.home / ".erlang.cookie"
        cookie.write_text(COOKIE)
        cookie.chmod(0o400)
        (self.home / "enabled_plugins").write_text("[].")
        nodes = "\n".join(
            f"cluster_formation.classic_config.nodes.{each} ="
            f" v2m-{each}@localhost" for each in range(1, count + 1))
        (self.home / "rabbitmq.conf").write_text(f"""
listeners.tcp.1 = 127.0.0.1:{self.port}
default_user = v2m
default_pass = {PASSWORD}
cluster_formation.peer_discovery_backend = classic_config
{nodes}
cluster_partition_handling = pause_minority
consumer_timeout = 86400000
vm_memory_high_watermark.absolute = 512MiB
disk_free_limit.absolute = 100MB
log.console = true
log.console.level = info
log.file = false
""")
        self.env = dict(
            os.environ, HOME=str(self.home), RUNNING_UNDER_SYSTEMD="true",
            RABBITMQ_NODENAME=self.name, RABBITMQ_CONF_ENV_FILE="/dev/null",
            RABBITMQ_CONFIG_FILE=str(self.home / "rabbitmq.conf"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(self.home / "enabled_plugins"),
            RABBITMQ_MNESIA_BASE=str(self.home / "mnesia"),
            RABBITMQ_LOG_BASE=str(self.home / "log"),
            RABBITMQ_PID_FILE=str(self.home / "pid"),
            RABBITMQ_DIST_PORT=str(self.port + 20000),
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel"
            " inet_dist_use_interface {127,0,0,1}",
            ERL_EPMD_PORT=str(EPMD), ERL_EPMD_ADDRESS="127.0.0.1")
        self.env.pop("NOTIFY_SOCKET", None)

    def start(self):
        with open(self.home / "log.txt", "ab") as log:
            self.process = subprocess.Popen(
                [str(PROGRAMS / "rabbitmq-server")], env=self.env, stdout=log,
                stderr=log, stdin=subprocess.DEVNULL)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ctl(self, *arguments, check=True):
        return subprocess.run(
            [str(PROGRAMS / "rabbitmqctl"), "-q", "-n", self.name, *arguments],
            env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=check)

    def runs(self):
        return self.ctl("await_startup", "--timeout", "1",
                        check=False).returncode == 0

    def await_start(self):
        wait_for(self.runs, 120, 0.5, what=f"{self.name}: see {self.home}")

    def queues(self):
        """{name: its description} of all queues."""
        rows = json.loads(self.ctl(
            "list_queues", "--formatter=json", "name", "type", "leader",
            "members", "online").stdout)
        return {row["name"]: row for row in rows}


@contextlib.contextmanager
def cluster(run, count=3):
    """The nodes, all of them up."""
    with open(run / "epmd.log", "wb") as log:
        epmd = subprocess.Popen(["epmd", "-port", str(EPMD)], stdout=log,
                                stderr=log, stdin=subprocess.DEVNULL)
    nodes = [Node(run, number, count) for number in range(1, count + 1)]
    try:
        # the first makes the cluster, the others join it
        for node in nodes:
            node.start()
            node.await_start()
        yield nodes
    finally:
        for node in nodes:
            if node.process is not None:
                node.process.terminate()
        for node in nodes:
            if node.process is not None:
                node.process.wait(60)
        epmd.terminate()
        epmd.wait(10)


def url(nodes):
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
    return f"amqp://v2m:{PASSWORD}@{hosts}/"
