"""From the programs of an older commit to these, as operations.md tells it:
first the users' table, then new programs beside the old ones, then the old
ones are ended one by one; uploads run all the time, and each of them is
accepted, and ends once."""

import collections
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

from client import Client
from conftest import BUILD, ROOT, Stack, read_env, wait_for
from soak import SETTINGS, Soak, say

OLD_PORTS, NEW_PORTS = 8100, 8200
SERVICES = ("gateway", "converter", "notifier", "sweep")

# Seconds between two steps.
BETWEEN = 4


def build_old(run, commit):
    """A tree of that commit, built; kept for the next time, by its id."""
    full = subprocess.run(
        ["git", "rev-parse", "--verify", "--end-of-options",
         f"{commit}^{{commit}}"], cwd=ROOT, check=True,
        stdout=subprocess.PIPE, text=True).stdout.strip()
    tree = ROOT / "build" / "old" / full[:12]
    if not tree.exists():
        tree.mkdir(parents=True)
        archive = subprocess.Popen(["git", "archive", full], cwd=ROOT,
                                   stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", str(tree)], stdin=archive.stdout,
                       check=True)
        assert archive.wait() == 0
    with open(run / "build.log", "wb") as log:
        subprocess.run(["make", "-f", "build.mk", f"-j{os.cpu_count()}",
                        "programs"], cwd=tree, check=True, stdout=log,
                       stderr=log)
    # the store is no part of this: the same for both, and not built again
    store = ROOT / "build" / "v2m-mongo"
    if store.exists():
        shutil.copy(store, tree / "build" / "v2m-mongo")
        (tree / "build" / "v2m-mongo").touch()
    return tree, full[:12]


class Side:
    """The programs of one tree, by its own v2mctl."""

    def __init__(self, tree, run, ports, build, env=None):
        self.tree = tree
        self.run = run
        self.env = dict(os.environ, **SETTINGS, V2M_RUN=str(run),
                        V2M_PORT_BASE=str(ports), V2M_BUILD=str(build))
        for name in ("V2M_MONGO_URI", "V2M_AMQP_URL", "V2M_SMTP_URL",
                     "MYSQL_HOST"):
            self.env.pop(name, None)
        self.env.update(env or {})
        self.url = f"http://127.0.0.1:{ports}"

    def ctl(self, *arguments, check=True, said=""):
        result = subprocess.run(
            [str(self.tree / "v2mctl"), *arguments], cwd=self.tree,
            env=self.env, input=said, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        assert not check or result.returncode == 0, result.stdout
        return result.stdout

    def end(self, name):
        """As its unit or pod is ended: a gateway lets uploads finish."""
        pid = int((self.run / "pids" / name).read_text())
        os.kill(pid, signal.SIGQUIT if name == "gateway" else signal.SIGTERM)
        wait_for(lambda: not self.runs(name, pid), 120, what=f"end of {name}")

    def runs(self, name, pid):
        """Whether it is there, and not only not waited for yet."""
        try:
            return pathlib.Path(f"/proc/{pid}/fd/1").readlink().name \
                == f"{name}.log"
        except OSError:
            return False


class Both(Stack):
    """The stack of the old side, of which programs come from either."""

    def __init__(self, old):
        super().__init__(read_env(old.run / "env"), old.run,
                         old.env["V2M_PORT_BASE"])
        self.side = dict.fromkeys(SERVICES, old)

    def pid(self, name):
        run = self.side[name].run if name in self.side else self.run
        return int((run / "pids" / name).read_text())


class Upgrade(Soak):
    def __init__(self, stack, old, new):
        super().__init__(stack, 1, 60)
        self.old = old
        self.new = new
        self.urls = [old.url]
        self.steps = self.replace()
        self.by = collections.Counter()

    def make_user(self):
        """By the old side's program, as the table may still be an old one; not
        the demo user, whose password v2mctl sets anew."""
        address, password = "soak@example.org", "correct horse battery"
        self.stack.side["gateway"].ctl("user", "add", address,
                                       said=password + "\n")
        return Client(self.stack.url, address, password).login()

    def upload(self, seconds, user=None):
        """By one of the gateways, as a balancer has them."""
        url = random.choice(self.urls)
        accepted = super().upload(seconds, Client(url, token=self.user.token))
        self.by[url] += accepted
        return accepted

    def abort(self, data, chance):
        """Not here: every upload counts."""

    def fault(self):
        time.sleep(BETWEEN)
        if next(self.steps, None) is None:
            self.until = 0

    def replace(self):
        say("the users' table")
        # the new tree's v2mctl on the old side's database
        table = Side(ROOT, self.old.run, OLD_PORTS, BUILD)
        table.ctl("up", "mariadb")
        yield "table"

        for name in ("sweep", "notifier", "converter", "gateway"):
            say(f"a new {name} beside the old one")
            self.new.ctl("up", name)
            if name == "gateway":
                self.urls = [self.old.url, self.new.url]
            yield name

        for name in ("gateway", "converter", "notifier", "sweep"):
            if name == "gateway":
                self.urls = [self.new.url]
            say(f"end the old {name}")
            self.old.end(name)
            self.stack.side[name] = self.new
            if name == "gateway":
                self.user.url = self.new.url
            yield name


def main(tap, run, commit):
    tree, name = build_old(run, commit)
    old = Side(tree, run / "old", OLD_PORTS, tree / "build" / "release")
    new = None
    try:
        old.ctl("up")
        env = read_env(run / "old" / "env")
        new = Side(ROOT, run / "new", NEW_PORTS, BUILD, {
            key: env[key] for key in (
                "V2M_MONGO_URI", "V2M_AMQP_URL", "V2M_SMTP_URL",
                "V2M_MAILDIR", "MYSQL_HOST", "MYSQL_PORT", "MYSQL_USER",
                "MYSQL_PASSWORD", "MYSQL_DB", "JWT_SECRET_FILE")})
        soak = Upgrade(Both(old), old, new)
        soak.run()
        wrong = soak.account()
        mails = collections.Counter(
            mail["Message-ID"] for mail in soak.stack.mails())
        done = {side: {service: finished(side.run, service)
                       for service in ("converter", "notifier")}
                for side in (old, new)}
    finally:
        if new is not None:
            new.ctl("down", check=False)
        old.ctl("down", check=False)

    tap.note(f"{name}: " + ", ".join(
        f"{side} gateway {soak.by[each.url]} uploads, "
        + ", ".join(f"{service} {count} jobs"
                    for service, count in done[each].items())
        for side, each in (("old", old), ("new", new))))
    tap.ok(soak.refused == 0, f"while {name} is replaced no upload is refused",
           soak.refused)
    tap.ok(all(soak.by[side.url] and all(done[side].values())
               for side in (old, new)),
           "programs of both worked on the same jobs", soak.by, done)
    tap.nothing(wrong, f"all of {len(soak.accepted)} accepted uploads ended"
                       " once, and nothing is left of anything")
    twice = [message for message, count in mails.items() if count > 1]
    tap.ok(len(mails) == len(soak.accepted) and not twice,
           "with one mail each", len(mails), twice)


def finished(run, service):
    """How many jobs a program's log tells of."""
    text = (run / "logs" / f"{service}.log").read_text()
    return text.count({"converter": ": ready:", "notifier": ": mail sent"}[service])
