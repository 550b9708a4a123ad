"""Rows 7 to 10: conversions beside the ffmpeg command."""

import json
import pathlib
import statistics
import threading
import time

import memory_store
from bench import RUN, Stack, cpu, in_turn, run, timed

PARTS = ("mongo", "mariadb", "rabbitmq", "smtp", "gateway", "converter")
RATE = ("-c:a", "libmp3lame", "-q:a", "2")


def make_video(name, seconds, size="320x240", audio="5.1"):
    """A video with something to hear: moving tones and noise."""
    path = RUN / name
    if not path.exists():
        layout = {"5.1": 6, "stereo": 2}[audio]
        tones = "|".join(
            f"0.2*sin(2*PI*({220 + 70 * n}+55*floor(mod(t*{n + 2},5)))*t)"
            f"*exp(-2*mod(t,0.{3 + n}))+0.02*(random({n})-0.5)"
            for n in range(layout))
        run("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i",
            f"testsrc2=s={size}:r=25", "-f", "lavfi", "-i",
            f"aevalsrc='{tones}':s=48000:c={audio}", "-t", str(seconds),
            "-c:v", "mpeg4", "-b:v", "1500k", "-c:a", "aac", "-b:a", "256k",
            "-movflags", "+faststart", path)
    return path


def ffmpeg(path, output):
    run("ffmpeg", "-v", "error", "-nostdin", "-y", "-i", path, "-vn", *RATE,
        output)


# Asking how far a job is takes its part of the machine, so it is done often
# only when the end is near.
OFTEN, SELDOM = 0.005, 0.25


def convert(stack, path, near=0):
    """Seconds from the end of the upload until the job is ready; near: the
    percent from which on to ask often."""
    job = stack.upload(path)
    began = time.monotonic()
    finish(stack, [job], near)
    return time.monotonic() - began


def finish(stack, jobs, near=0):
    """Waits until all are ready, over one connection."""
    connection = stack.connection()
    for job in jobs:
        while True:
            connection.request("GET", f"/jobs/{job}", headers={
                "Authorization": f"Bearer {stack.token}"})
            state = json.loads(connection.getresponse().read())
            if state["state"] == "ready":
                break
            if state["state"] == "failed":
                raise SystemExit(f"a job failed: {state['reason']}")
            time.sleep(OFTEN if (state["progress"] or 0) >= near else SELDOM)


def long_pairs(stack, runs, costs=None):
    """A 10-minute video and ffmpeg on it.  costs: gets the seconds of
    processor time that the store took for each conversion."""
    path = make_video("ten-minutes.mp4", 600)

    def ours():
        before = cpu([stack.pid("mongo")]) if costs is not None else 0
        seconds = convert(stack, path, near=90)
        if costs is not None:
            costs.append(cpu([stack.pid("mongo")]) - before)
        return seconds

    return in_turn(runs, ours,
                   lambda: timed(lambda: ffmpeg(path, RUN / "rival.mp3")))


def long_video(report, runs):
    """Row 7."""
    costs = []
    with Stack(*PARTS) as stack:
        pairs = long_pairs(stack, runs, costs)
    report.ratio("7", "a 10-minute video, everything included",
                 "ffmpeg -vn, file to file", pairs, 0.6, larger=False,
                 unit="s")
    report.remark("processor time of the store: "
                  f"{statistics.median(costs):.2f} s")


def long_video_in_memory(report, runs):
    """Row 7b: on a store that costs little."""
    with memory_store.running(RUN / "memory-store"):
        with memory_store.stack(*PARTS[1:]) as stack:
            pairs = long_pairs(stack, runs)
    report.ratio("7b", "a 10-minute video, in-memory store",
                 "ffmpeg -vn, file to file", pairs, 0.6, larger=False,
                 unit="s")


def many_pairs(stack, runs, count):
    """So many videos of half a minute and ffmpeg on them, two at a time.  The
    queue is filled first, then the converter is started."""
    path = make_video("half-minute.mp4", 30)

    def ours():
        stack.ctl("stop", "converter")
        jobs = [stack.upload(path) for _ in range(count)]
        began = time.monotonic()
        stack.ctl("start", "converter")
        finish(stack, jobs, near=90)
        return time.monotonic() - began

    def rival():
        def work(number):
            for n in range(number, count, 2):
                ffmpeg(path, RUN / f"rival-{number}.mp3")

        threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]

        def both():
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return timed(both)

    return in_turn(runs, ours, rival)


def many_videos(report, runs, count=20):
    """Row 8."""
    with Stack(*PARTS) as stack:
        pairs = many_pairs(stack, runs, count)
    report.ratio("8", f"{count} short videos, two at a time", "ffmpeg on each",
                 pairs, 1.1, larger=False, unit="s")


def many_videos_in_memory(report, runs, count=20):
    """Row 8b: on a store that costs little."""
    with memory_store.running(RUN / "memory-store"):
        with memory_store.stack(*PARTS[1:]) as stack:
            pairs = many_pairs(stack, runs, count)
    report.ratio("8b", f"{count} short videos, in-memory store",
                 "ffmpeg on each", pairs, 1.1, larger=False, unit="s")


def peak_memory(report, _, sizes=(10, 100, 1000, 4000)):
    """Row 9: parent and child together, on videos of so many MB."""
    peaks = []
    with Stack(*PARTS) as stack:
        stack.ctl("restart", "converter")
        for size in sizes:
            path = padded_video(size)
            job = stack.upload(path)
            watch = Watch(stack.pid("converter"))
            watch.start()
            finish(stack, [job], near=90)
            peaks.append(watch.stop() / 1024)
            stack.forget("videos", job)
            if size > 1000:
                path.unlink()
    for size, peak in zip(sizes, peaks):
        report.value("9", f"converter memory, {size} MB video", [peak], 96,
                     "MiB")


def padded_video(megabytes):
    """Real media of about that size: uncompressed pictures, a little audio."""
    path = RUN / f"{megabytes}mb.mkv"
    if not path.exists():
        seconds = max(2, megabytes // 20)
        run("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i",
            "testsrc=s=640x360:r=30", "-f", "lavfi", "-i",
            "sine=440:r=48000", "-t", str(seconds), "-c:v", "rawvideo",
            "-pix_fmt", "yuv420p", "-c:a", "aac", "-fs",
            str(megabytes * 1000 * 1000), path)
    return path


class Watch(threading.Thread):
    """The most memory that a process and its children have at one time."""

    def __init__(self, pid):
        super().__init__()
        self.pid = pid
        self.peak = 0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.05):
            total = 0
            for pid in [self.pid] + self.children():
                try:
                    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
                except OSError:
                    continue
                total += int(text.split("Pss:")[1].split()[0])
            self.peak = max(self.peak, total)

    def children(self):
        found = []
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                found += (task / "children").read_text().split()
            except OSError:
                pass
        return found

    def stop(self):
        self.ended.set()
        self.join()
        return self.peak


def latency(report, runs):
    """Row 10: a clip of five seconds."""
    path = make_video("clip.mp4", 5, audio="stereo")
    with Stack(*PARTS) as stack:
        convert(stack, path)
        values = [convert(stack, path) * 1000
                  for _ in range(runs * 3)]
    report.value("10", "from the last byte of a 5-second clip to ready",
                 values, 250, "ms")
