"""What the rows share: measuring in turn, the stack, processes, the report."""

import http.client
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time

import bson
import pymongo

ROOT = pathlib.Path(__file__).resolve().parents[1]
RUN = pathlib.Path(os.environ.get("V2M_RUN") or ROOT / "run" / "bench")
PORT = int(os.environ.get("V2M_PORT_BASE") or 18400)
BUILD = ROOT / (os.environ.get("V2M_BUILD") or "build/release")
BUCKET = BUILD / "bench" / "gridfs-bucket"
TICK = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024


def run(*arguments, **options):
    """Runs a command and returns what it printed; a failure ends the bench."""
    options.setdefault("stderr", subprocess.PIPE)
    result = subprocess.run([str(argument) for argument in arguments],
                            stdout=subprocess.PIPE, text=True, **options)
    if result.returncode != 0:
        sys.exit(f"{arguments[0]} failed ({result.returncode}):\n"
                 f"{result.stdout}{result.stderr or ''}")
    return result.stdout


def timed(action):
    began = time.monotonic()
    action()
    return time.monotonic() - began


def wait_for(predicate, seconds, what):
    until = time.monotonic() + seconds
    while not (value := predicate()):
        if time.monotonic() > until:
            sys.exit(f"waited {seconds} s for {what}")
        time.sleep(0.02)
    return value


def in_turn(runs, ours, rival):
    """[(ours, rival)] of so many runs, one after the other, after one of each
    that does not count."""
    ours(), rival()
    return [(settled(ours), settled(rival)) for _ in range(runs)]


def settled(work):
    """Calls it when what was written before is on the disk, so that nobody
    pays for the pages of another."""
    os.sync()
    return work()


class Server:
    """What has a port on this machine."""

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port)


class Nginx(Server):
    """An nginx of the benchmark's own; a subclass gives the text of its
    configuration with conf()."""

    def __init__(self, name, port, **environment):
        self.run = RUN / name
        self.port = port
        self.environment = dict(os.environ, **environment)

    def __enter__(self):
        self.run.mkdir(parents=True, exist_ok=True)
        conf = self.run / "nginx.conf"
        conf.write_text(self.conf())
        with open(self.run / "error.log", "wb") as log:
            self.process = subprocess.Popen(
                ["nginx", "-p", str(self.run), "-c", str(conf), "-e",
                 "stderr"], stderr=log, env=self.environment)
        wait_for(self.answers, 10, "nginx")
        return self

    def answers(self):
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)


class Stack(Server):
    """A local stack for one row: only what the row needs."""

    def __init__(self, *parts, name="stack", port=PORT, **settings):
        self.run = RUN / name
        self.environment = dict(
            os.environ, V2M_RUN=str(self.run), V2M_PORT_BASE=str(port),
            V2M_BUILD=str(BUILD), **settings)
        self.parts = parts
        self.port = port

    def ctl(self, *arguments):
        return run(ROOT / "v2mctl", *arguments, env=self.environment)

    def __enter__(self):
        self.ctl("up", *self.parts)
        lines = run("env", "-i", "sh", "-c", 'set -a; . "$1"; exec env -0',
                    "sh", self.run / "env").split("\0")
        self.env = dict(line.split("=", 1) for line in lines if line)
        self.url = self.env["V2M_URL"]
        self.token = run("curl", "-sSf", "-X", "POST", "-u",
                         f"{self.env['V2M_USER']}:{self.env['V2M_PASSWORD']}",
                         self.url + "/login")
        return self

    def __exit__(self, *_):
        self.ctl("down")

    @property
    def bearer(self):
        return f"Authorization: Bearer {self.token}"

    def pid(self, name):
        return int((self.run / "pids" / name).read_text())

    def mongo(self):
        return pymongo.MongoClient(self.env["V2M_MONGO_URI"])

    def upload(self, path, query=""):
        return json.loads(run(
            "curl", "-sSf", "-H", self.bearer, "-H", "Expect:", "-T", path,
            f"{self.url}/upload/{query}"))["id"]

    def state(self, job):
        return json.loads(run("curl", "-sSf", "-H", self.bearer,
                              f"{self.url}/jobs/{job}"))

    def forget(self, database, identifier):
        """Deletes a file of GridFS, and its job."""
        client = self.mongo()
        identifier = bson.ObjectId(identifier)
        client[database]["fs.files"].delete_one({"_id": identifier})
        client[database]["fs.chunks"].delete_many({"files_id": identifier})
        client["v2m"]["jobs"].delete_one({"_id": identifier})
        client.close()


def children(pid):
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]


def cpu(pids):
    """Seconds of processor time that the processes used so far."""
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text()
        fields = fields.rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


def memory(pids):
    """Resident KiB of the processes."""
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().split("\n"):
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total


def random_file(name, size):
    path = RUN / name
    if not path.exists() or path.stat().st_size != size:
        with open("/dev/urandom", "rb") as source, open(path, "wb") as target:
            for offset in range(0, size, MIB):
                target.write(source.read(min(MIB, size - offset)))
    return path


class Report:
    def __init__(self):
        self.rows = []

    def ratio(self, row, what, rival, pairs, target, larger=True, unit=""):
        """pairs: of throughputs where larger is better, else of costs."""
        ratios = [ours / other for ours, other in pairs]
        self.add(row, what, rival, statistics.median(ratios), min(ratios),
                 max(ratios), target, larger, "x",
                 ours=statistics.median(ours for ours, _ in pairs),
                 theirs=statistics.median(other for _, other in pairs),
                 measured=unit)

    def value(self, row, what, values, target, unit):
        self.add(row, what, None, statistics.median(values), min(values),
                 max(values), target, False, unit)

    def add(self, row, what, rival, median, low, high, target, larger, unit,
            **more):
        met = median >= target if larger else median <= target
        self.rows.append(dict(row=row, what=what, rival=rival, median=median,
                              low=low, high=high, target=target, met=met,
                              larger_is_better=larger, in_unit=unit, **more))
        line = (f"row {row:<3} {what}: {median:.2f} {unit} "
                f"({low:.2f} to {high:.2f}), target "
                f"{'at least' if larger else 'at most'} {target} {unit}: "
                f"{'met' if met else 'MISSED'}")
        if rival:
            line += (f"\n        {more['ours']:.2f} {more['measured']} beside "
                     f"{more['theirs']:.2f} {more['measured']} of {rival}")
        print(line, flush=True)

    @staticmethod
    def remark(text):
        """On the row before."""
        print(f"        {text}", flush=True)

    def write(self, path):
        path.write_text(json.dumps(self.rows, indent=2) + "\n")
