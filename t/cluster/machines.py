"""Machines that are network namespaces of this one, on a bridge: what runs in
one reaches the others by their addresses alone, and may have a part of a core.

10.0.0.1 is here, where the servers are; a way to one of them takes its time."""

import asyncio
import contextlib
import os
import pathlib
import subprocess

from conftest import Relay

HERE = "10.0.0.1"
CGROUPS = pathlib.Path("/sys/fs/cgroup")
PERIOD_US = 100000


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def make_bridge():
    ip("link", "add", "machines", "type", "bridge")
    ip("addr", "add", f"{HERE}/24", "dev", "machines")
    ip("link", "set", "machines", "up")


class Share:
    """A control group that gets so many cores at most."""

    def __init__(self, name, cores):
        self.old = (CGROUPS / "cpu" / "cpu.cfs_quota_us").parent.is_dir()
        parent = CGROUPS / "cpu" if self.old else CGROUPS
        self.path = parent / f"v2m-cluster-{os.getpid()}-{name}"
        self.path.mkdir()
        quota = int(cores * PERIOD_US)
        if self.old:
            (self.path / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (self.path / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (self.path / "cpu.max").write_text(f"{quota} {PERIOD_US}")

    def throttled(self):
        """Of its periods so many that had something to do, and of these so
        many in which it got less than it wanted."""
        stat = dict(line.split() for line in
                    (self.path / "cpu.stat").read_text().splitlines())
        return int(stat["nr_periods"]), int(stat["nr_throttled"])

    def remove(self):
        with contextlib.suppress(OSError):
            self.path.rmdir()


class Machine:
    def __init__(self, name, number, cores=None):
        self.name = name
        self.address = f"10.0.0.{number}"
        self.share = Share(name, cores) if cores else None
        self.processes = []
        outside = f"to-{number}"
        ip("netns", "add", name)
        ip("link", "add", outside, "type", "veth", "peer", "name", "eth0",
           "netns", name)
        ip("link", "set", outside, "master", "machines", "up")
        ip("-n", name, "addr", "add", f"{self.address}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "link", "set", "lo", "up")

    def start(self, log, *command, **environment):
        """Runs a program on this machine."""
        # nsenter: "ip netns exec" mounts another /sys, without the groups
        words = ["nsenter", f"--net=/run/netns/{self.name}"]
        if self.share:
            words += ["sh", "-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"',
                      str(self.share.path)]
        with open(log, "ab") as output:
            process = subprocess.Popen(
                words + [str(word) for word in command],
                env=dict(os.environ, **environment), stdout=output,
                stderr=output, stdin=subprocess.DEVNULL,
                start_new_session=True)
        self.processes.append(process)
        return process

    def stop(self):
        """Ends what runs on it."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            process.wait(60)
        self.processes.clear()

    def remove(self):
        self.stop()
        ip("netns", "del", self.name)
        if self.share:
            self.share.remove()


class Distant(Relay):
    """A way to a server of this machine, under the bridge's address, on which
    each byte travels for so many seconds."""

    def __init__(self, port, delay):
        self.delay = delay
        super().__init__("127.0.0.1", port, at=(HERE, port))

    async def _carry(self, direction, reader, writer):
        line = asyncio.Queue(64)
        tasks = [self._task(self._take(reader, line)),
                 self._task(self._give(direction, line, writer))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _take(self, reader, line):
        data = True
        while data:
            data = await reader.read(65536)
            await line.put((self._loop.time() + self.delay, data))

    async def _give(self, direction, line, writer):
        while True:
            due, data = await line.get()
            await asyncio.sleep(due - self._loop.time())
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            self.carried[direction] += len(data)
            await writer.drain()
