#!/usr/bin/python3
"""Drives uploads, aborts and downloads for some minutes while servers and
programs are killed, stopped and frozen at random; then lets everything work
and accounts for every upload that was answered with 201: one end, one mail,
an MP3 that is right, and nothing else in the store or the queues; and looks
whether programs that lived on grew.

t/faults/soak.py [MINUTES [SEED]]; the programs are those of V2M_BUILD, and the
stack, with its logs, is in V2M_RUN (run/soak), removed first."""

import http.client
import os
import pathlib
import random
import shutil
import signal
import socket
import sys
import threading
import time
import traceback
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import checks  # noqa: E402
from client import add_user  # noqa: E402
from conftest import ROOT  # noqa: E402
from local import local_stack  # noqa: E402

CLIENTS = 3
SERVERS = ("mongo", "rabbitmq", "smtp", "mariadb")
WORKERS = ("converter", "notifier")
QUEUES = ("video", "mp3", "video.dead", "mp3.dead")

# So many jobs may wait for the converter; clients wait for it as well then.
BACKLOG = 30

# How long all may take to end once everything works again.
PATIENCE = 600

# A program's memory counts as flat when it grew by so many MiB at most since it
# was so many seconds old.
GROWTH, WARM = 8, 60

SETTINGS = {
    "V2M_SWEEP_UNPUBLISHED": "2", "V2M_SWEEP_LOST": "30s",
    "V2M_SWEEP_UPLOADS": "60", "V2M_SWEEP_REPUBLISH": "20",
    "V2M_SMTP_TIMEOUT": "5", "V2M_ATTEMPTS": "20", "V2M_THREADS": "1",
}


def say(text):
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


class Memory:
    """What each process has resident, since it was warm."""

    def __init__(self, stack):
        self.stack = stack
        self.samples = {}  # process id: (name, when first seen, [MiB])

    def look(self):
        for name, pid in self.processes():
            try:
                pages = pathlib.Path(f"/proc/{pid}/statm").read_text().split()
            except OSError:
                continue
            now = time.monotonic()
            _, first, sizes = self.samples.setdefault(pid, (name, now, []))
            if now - first >= WARM:
                sizes.append(int(pages[1]) * os.sysconf("SC_PAGE_SIZE")
                             / 2**20)

    def processes(self):
        for name in WORKERS + ("sweep",):
            yield name, self.stack.pid(name)
        for pid in gateway_processes(self.stack):
            yield "gateway", pid

    def account(self):
        """What grew, a line each."""
        wrong = []
        for name in ("gateway",) + WORKERS + ("sweep",):
            seen = [sizes for other, _, sizes in self.samples.values()
                    if other == name and sizes]
            say(f"memory of {name}, MiB: " + (", ".join(
                f"{sizes[0]:.1f} to {sizes[-1]:.1f}" for sizes in seen)
                or "none lived for long enough"))
            wrong += [f"a {name} grew from {sizes[0]:.1f} to {sizes[-1]:.1f}"
                      " MiB" for sizes in seen
                      if sizes[-1] - sizes[0] > GROWTH]
        return wrong


def gateway_processes(stack):
    pid = stack.pid("gateway")
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in children.read_text().split()]


class Soak:
    def __init__(self, stack, seed, minutes):
        self.stack = stack
        self.chance = random.Random(seed)
        self.until = time.monotonic() + minutes * 60
        self.lock = threading.Lock()
        self.accepted = {}  # id: the seconds that its MP3 must have
        self.refused = self.aborted = self.faults = 0
        self.clips = {seconds: checks.clip(seconds) for seconds in (1, 3)}
        self.broken = []
        self.full = False  # BACKLOG is reached
        self.memory = Memory(stack)
        self.user = self.make_user()

    def make_user(self):
        return add_user(self.stack, "soak@example.org")

    def going_on(self):
        return time.monotonic() < self.until

    # what clients do

    def client(self, seed):
        chance = random.Random(seed)
        try:
            while self.going_on():
                seconds = chance.choice(list(self.clips))
                if self.full:
                    time.sleep(0.2)
                    continue
                if chance.random() < 0.25:
                    self.abort(self.clips[seconds].read_bytes(), chance)
                else:
                    self.upload(seconds)
                time.sleep(chance.uniform(0, 1))
        except Exception:
            with self.lock:
                self.broken.append(traceback.format_exc())

    def upload(self, seconds, user=None):
        """Whether it was accepted."""
        try:
            answer = (user or self.user).post(self.clips[seconds])
        except (OSError, http.client.HTTPException):
            answer = None  # its gateway process was killed
        with self.lock:
            if answer is not None and answer.status == 201:
                self.accepted[answer.json()["id"]] = seconds
                return True
            self.refused += 1
            return False

    def abort(self, data, chance):
        """An upload whose client goes away in the middle."""
        address = urllib.parse.urlsplit(self.stack.url)
        head = (f"POST /upload HTTP/1.1\r\nHost: {address.netloc}\r\n"
                f"Authorization: Bearer {self.user.token}\r\n"
                f"Content-Length: {len(data)}\r\n\r\n").encode()
        try:
            with socket.create_connection((address.hostname, address.port),
                                          10) as connection:
                connection.sendall(
                    head + data[:chance.randrange(len(data))])
        except OSError:
            pass
        with self.lock:
            self.aborted += 1

    # what goes wrong

    def fault(self):
        self.faults += 1
        kind = self.chance.choice(
            ["kill"] * 3 + ["freeze"] * 2 + ["away"] * 2 + ["gateway"])
        length = self.chance.uniform(0.5, 6)

        if kind == "kill":
            name = self.chance.choice(WORKERS)
            say(f"kill {name}")
            os.kill(self.stack.pid(name), signal.SIGKILL)
            self.stack.start(name)

        elif kind == "freeze":
            name = self.chance.choice(WORKERS + SERVERS[:3])
            say(f"freeze {name} for {length:.1f} s")
            pid = self.stack.pid(name)
            os.kill(pid, signal.SIGSTOP)
            time.sleep(length)
            os.kill(pid, signal.SIGCONT)

        elif kind == "away":
            name = self.chance.choice(SERVERS)
            say(f"stop {name} for {length:.1f} s")
            self.stack.stop(name)
            time.sleep(length)
            self.stack.start(name)

        else:
            say("kill a process of the gateway")
            os.kill(self.chance.choice(gateway_processes(self.stack)),
                    signal.SIGKILL)

    def run(self):
        threads = [threading.Thread(target=self.client,
                                    args=(self.chance.random(),))
                   for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            while self.going_on():
                time.sleep(self.chance.uniform(1, 5))
                self.fault()
                self.full = self.stack.jobs.count_documents(
                    {"state": {"$in": ["queued", "converting"]}}) > BACKLOG
                self.memory.look()
        finally:
            self.until = 0
            for thread in threads:
                thread.join()
        say(f"{len(self.accepted)} uploads accepted, {self.refused} refused,"
            f" {self.aborted} aborted, {self.faults} faults")

    # the account

    def await_end(self):
        """The jobs that did not come to their end, and a mail."""
        until = time.monotonic() + PATIENCE
        told = None
        while True:
            waiting = [job for job in self.accepted
                       if (self.stack.job(job) or {}).get("notified")
                       not in ("sent", "failed")]
            if not waiting or time.monotonic() > until:
                return waiting
            if told != len(waiting):
                told = len(waiting)
                say(f"{told} not at their end yet")
            time.sleep(2)

    def account(self):
        """What is wrong, a line each."""
        wrong = [f"a client broke: {text}" for text in self.broken]
        wrong += [f"{job}: has not come to its end: {self.stack.job(job)}"
                  for job in self.await_end()]

        mails = {}
        for mail in self.stack.mails():
            job = mail["Message-ID"].strip("<>").partition(".")[0]
            mails[job] = mails.get(job, 0) + 1

        ready = again = 0
        for job, seconds in self.accepted.items():
            record = self.stack.job(job) or {}
            if record.get("state") != "ready":
                wrong.append(f"{job}: {record.get('state')}:"
                             f" {record.get('reason')}")
                continue
            ready += 1
            if record["notified"] == "sent" and job not in mails:
                wrong.append(f"{job}: no mail")
            if record["notified"] == "failed":
                wrong.append(f"{job}: its mail was given up")
            again += mails.get(job, 1) - 1
            try:
                checks.check_mp3(self.user.mp3(job), seconds, checks.CLIP)
            except AssertionError as error:
                wrong.append(f"{job}: {error}")

        say(f"{ready} of {len(self.accepted)} are ready, with an MP3 that is"
            f" right; {again} mails were sent once more, with the same"
            " Message-ID")
        self.memory.look()
        return wrong + self.leftovers() + self.messages() \
            + self.memory.account()

    def messages(self):
        """The queues that are not empty."""
        depths = {queue: self.stack.depth(queue) for queue in QUEUES}
        say("messages left: " + ", ".join(
            f"{depth or 0} in {queue}" for queue, depth in depths.items()))
        return [f"{depth} messages left in {queue}"
                for queue, depth in depths.items() if depth]

    def leftovers(self):
        """What is in the store and belongs to no job, once the sweep had
        time."""
        until = time.monotonic() + 180
        while True:
            records = list(self.stack.jobs.find({}))
            videos = checks.stored(self.stack, "videos") - {
                str(record["_id"]) for record in records
                if record["state"] != "uploading"}
            mp3s = checks.stored(self.stack) - {
                str(record.get("mp3_fid")) for record in records}
            if not videos and not mp3s:
                return []
            if time.monotonic() > until:
                return [f"left in videos: {each}" for each in videos] \
                    + [f"left in mp3s: {each}" for each in mp3s]
            time.sleep(3)


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    say(f"{minutes:g} minutes, seed {seed}")

    run = pathlib.Path(os.environ.get("V2M_RUN") or ROOT / "run" / "soak")
    shutil.rmtree(run, ignore_errors=True)

    with local_stack(run.resolve(), **SETTINGS) as stack:
        soak = Soak(stack, seed, minutes)
        soak.run()
        wrong = soak.account()

    for line in wrong:
        say(f"WRONG  {line}")
    say("all accounted for" if not wrong else f"{len(wrong)} things are wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
