"""How the number of conversions a minute grows with the number of converters.

Each converter is a machine of its own with a quarter of a core, so that some
of them fit on the two cores of a laptop; two gateways behind a balancer take
the uploads.  The store is the benchmarks' in-memory one: the embedded store
serves one update at a time and reads all chunks from one file, and would be
the limit at once."""

import json
import os
import sys
import threading
import time

import checks
from client import Client, add_user
from conftest import ROOT
from installation import site

sys.path.insert(0, str(ROOT / "bench"))

import memory_store  # noqa: E402

STORE = ROOT / "run" / "bench" / "memory-store"
CORES = 0.25          # of each converter
COUNTS = (1, 2, 3, 4, 6, 8)
SECONDS = 20          # of each video
WARM, MEASURED = 4, 18
CLIENTS = 4

# So many jobs wait for each converter; clients wait for it as well then.
BACKLOG = 3

SERVERS = ("mariadb", "rabbitmq", "smtp")
TICK = os.sysconf("SC_CLK_TCK")


class Load:
    """Clients that keep the queue filled, and delete what is ready."""

    def __init__(self, stack, url, user, converters):
        self.stack = stack
        self.client = Client(url, user.user, user.password, user.token)
        self.converters = converters
        self.clip = checks.clip(SECONDS)
        self.going_on = True
        self.uploaded = []
        self.errors = []

    def upload(self):
        data = self.clip.read_bytes()
        while self.going_on:
            if self.waiting() >= BACKLOG * self.converters:
                time.sleep(0.05)
                continue
            try:
                answer = self.client.post(data, "clip.mp4").expect(201)
                self.uploaded.append(answer.json()["id"])
            except Exception as error:
                self.errors.append(repr(error))
                return

    def waiting(self):
        return self.stack.jobs.count_documents(
            {"state": {"$in": ["queued", "converting"]}})

    def ready(self):
        """When the conversions ended, in seconds; nothing else changes such a
        record, as there is no notifier."""
        return sorted(job["updated"].timestamp() for job in
                      self.stack.jobs.find({"state": "ready"}, {"updated": 1}))

    def __enter__(self):
        self.threads = [threading.Thread(target=self.upload)
                        for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.going_on = False
        for thread in self.threads:
            thread.join()


def busy():
    """Seconds that this machine's cores have worked, and could have."""
    with open("/proc/stat") as stat:
        ticks = [int(field) for field in stat.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICK, sum(ticks) / TICK


def measure(place, user, count):
    """Conversions a minute with so many converters, which run."""
    throttled = [machine.share.throttled() for machine in place.converters]
    with Load(place.stack, place.url, user, count) as load:
        time.sleep(WARM)
        ready, (worked, could) = len(load.ready()), busy()
        time.sleep(MEASURED)
        worked, could = (after - before for after, before in
                         zip(busy(), (worked, could)))
        ends = load.ready()[ready:]
    assert not load.errors, load.errors[:3]
    shares = [(after[1] - before[1]) / max(1, after[0] - before[0])
              for after, before in
              zip([machine.share.throttled() for machine in place.converters],
                  throttled)]
    rate = (len(ends) - 1) * 60 / (ends[-1] - ends[0])
    return {"converters": count, "per_minute": round(rate, 1),
            "machine_busy": round(worked / could, 3),
            "throttled": round(sum(shares) / len(shares), 3)}


def forget(place):
    """What was converted, so that the store's memory lasts."""
    for database in ("videos", "mp3s"):
        for name in ("fs.files", "fs.chunks"):
            place.stack.mongo[database][name].delete_many({})
    place.stack.jobs.delete_many({})


def finish(place, timeout=120):
    until = time.monotonic() + timeout
    while place.stack.jobs.count_documents(
            {"state": {"$in": ["queued", "converting"]}}):
        if time.monotonic() > until:
            raise TimeoutError("conversions did not end")
        time.sleep(0.1)


def main(tap, run, *counts):
    counts = [int(count) for count in counts] or COUNTS
    results = []
    with memory_store.running(STORE):
        uri = f"mongodb://127.0.0.1:{memory_store.PORT}/"
        with site(run, *SERVERS, V2M_MONGO_URI=uri) as place:
            place.start_gateways()
            place.stack.url = place.gateways[0].url
            user = add_user(place.stack, "ann@example.org")
            user.login()
            for count in counts:
                while len(place.converters) < count:
                    place.start_converter(CORES, V2M_JOBS="1", V2M_THREADS="1")
                results.append(measure(place, user, count))
                tap.note("{converters} converters: {per_minute} a minute,"
                         " machine {machine_busy:.0%} busy, converters held"
                         " back in {throttled:.0%} of the periods"
                         .format(**results[-1]))
                finish(place)
                states = place.stack.jobs.distinct("state")
                tap.ok(states == ["ready"],
                       f"all conversions of {count} converters succeeded",
                       states)
                forget(place)

    path = run.parent / "scale.json"
    rounds = json.loads(path.read_text()) if path.exists() else []
    rounds.append(results)
    path.write_text(json.dumps(rounds, indent=1) + "\n")
    tap.note(f"written to {path}, round {len(rounds)}")
    rates = {result["converters"]: result["per_minute"] for result in results}
    if {1, 4} <= set(rates):
        tap.ok(rates[4] >= 2.5 * rates[1], "four converters do at least 2.5"
               " times as much as one", rates)
