"""The converter when things go wrong: it is killed, told to stop, loses its
child, its broker or its store, or gets messages twice or that make no sense.
Whatever happens, there is one result, one mail, and nothing else is left."""

import json
import os
import pathlib
import re
import signal
import struct
import zlib

import bson
import gridfs
import pytest

import channel
import checks
import media
from conftest import wait_for


class Line:
    """Converters and a notifier on queues of their own."""

    def __init__(self, stack, spawn, queue, replies, address):
        self.stack = stack
        self.spawn = spawn
        self.queue = queue
        self.replies = replies
        self.address = address
        self.videos = gridfs.GridFS(stack.mongo["videos"])
        self.mp3s = gridfs.GridFS(stack.mongo["mp3s"])
        self.before = checks.stored(stack)
        self.spawn("v2m-notifier", MP3_QUEUE=self.replies)

    def converter(self, wait=True, **settings):
        program = self.spawn("v2m-converter", VIDEO_QUEUE=self.queue,
                             MP3_QUEUE=self.replies, **settings)
        if wait:
            program.wait_log("consuming from queue")
        return program

    def send(self, job_id):
        self.stack.publish(self.queue, json.dumps({
            "video_fid": job_id, "mp3_fid": None, "username": self.address}))

    def put(self, path=None, times=1):
        """A video and its message; returns the job's id."""
        path = path or checks.clip()
        job_id = str(self.videos.put(path.read_bytes(), filename=path.name))
        for _ in range(times):
            self.send(job_id)
        return job_id

    def job(self, job_id):
        return self.stack.job(job_id) or {"state": None}

    def converting(self, job_id):
        """Until part of a long clip's MP3 is in the store."""
        wait_for(lambda: self.job(job_id).get("progress", 0) > 10, 60)
        assert self.job(job_id)["state"] == "converting"

    def end(self, job_id, state="ready", timeout=90):
        """Until all is done; what it must have come to."""
        wait_for(lambda: self.job(job_id).get("notified") == "sent", timeout)
        job = self.job(job_id)
        assert job["state"] == state, job
        mails = [mail for mail in self.stack.mails(self.address)
                 if job_id in mail["Message-ID"]]
        assert len(mails) == 1
        return job

    def over(self, *jobs):
        """Nothing is left but the MP3s of these jobs."""
        wait_for(lambda: self.stack.depth(self.queue) == 0)
        wait_for(lambda: self.stack.depth(self.replies) == 0)
        wait_for(lambda: self.left() == {
            str(job["mp3_fid"]) for job in jobs if "mp3_fid" in job}, 20, 0.5,
                 what="nothing to be left over")

    def delete(self):
        """The files, so that the store stays small: the embedded one reads
        all of it for some questions."""
        for job in self.stack.jobs.find({"username": self.address}):
            self.videos.delete(job["_id"])
            self.mp3s.delete(job.get("mp3_fid"))
        self.stack.jobs.delete_many({"username": self.address})

    def left(self):
        """The files that came into the store and are not those of jobs of
        others."""
        left = checks.stored(self.stack) - self.before
        for job in self.stack.jobs.find({"username": {"$ne": self.address}}):
            left -= set(map(str, job.get("attempts", [])))
        return left


@pytest.fixture
def line(stack, spawn, queue, replies, address):
    made = Line(stack, spawn, queue, replies, address)
    yield made
    made.delete()


def mp3(line, job):
    return line.mp3s.get(job["mp3_fid"]).read()


def child(program, timeout=20):
    """The id of the one v2m-transcode of a converter."""
    threads = pathlib.Path(f"/proc/{program.process.pid}/task")

    def find():
        found = [int(pid) for thread in threads.iterdir()
                 for pid in (thread / "children").read_text().split()]
        return [pid for pid in found if name(pid) == "v2m-transcode"]

    found = wait_for(find, timeout, 0.002, "a v2m-transcode")
    assert len(found) == 1
    return found[0]


def name(pid):
    """Of a process that runs, None when it does not."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return None
    return None if text.split()[-50] == "Z" else text.split("(")[1].split(
        ")")[0]


# What is MP3 already


@pytest.mark.parametrize("damaged", [False, True])
def test_mp3(line, damaged):
    """It is copied; when that turns out to be wrong, nothing is left of it."""
    line.converter()
    path = media.ffmpeg(
        "loud.mp3", *media.tones(media.STEREO, 60), "-c:a", "libmp3lame",
        "-b:a", "320k", "-write_xing", 0, "-id3v2_version", 0)
    data = bytearray(path.read_bytes())
    if damaged:
        data[2_000_000:2_005_000] = bytes(5000)
    job_id = str(line.videos.put(bytes(data), filename="loud.mp3"))
    line.send(job_id)
    job = line.end(job_id)
    made = media.Mp3(mp3(line, job))
    made.check()
    assert made.variable == damaged
    assert damaged or made.data.endswith(bytes(data)[-100_000:])
    line.over(job)


CHUNK = 255 * 1024


@pytest.mark.parametrize("header", [
    CHUNK - 100, pytest.param(CHUNK, marks=pytest.mark.release_only),
    pytest.param(3 * CHUNK - 1000, marks=pytest.mark.release_only)])
def test_header_beyond_the_first_chunk(line, header):
    """A large cover moves the Xing header, which is written last, to any
    place: here over the border of two chunks, at one, and further back."""
    line.converter()
    room = header - 2000

    picture = media.ffmpeg("cover.png", "-f", "lavfi", "-i",
                           "testsrc=s=32x32:d=1", "-frames:v", 1).read_bytes()

    def with_cover(size):
        # a chunk that nobody looks at, after the picture's header
        chunk = b"paDd" + bytes(size)
        chunk = (struct.pack(">I", size) + chunk
                 + struct.pack(">I", zlib.crc32(chunk)))
        data = picture[:33] + chunk + picture[33:]
        cover = media.cached("cover.png", lambda path: path.write_bytes(data),
                             size)
        return media.ffmpeg(
            "cover.m4a", *media.tones(media.STEREO, 60), "-i", cover, "-map",
            0, "-map", 1, "-c:a", "aac", "-c:v", "copy", "-disposition:v",
            "attached_pic")

    place = media.Mp3(channel.transcode(with_cover(room)).mp3).first.offset
    path = with_cover(room - (place - header))
    job_id = line.put(path)
    job = line.end(job_id)
    made = media.Mp3(mp3(line, job))
    made.check()
    assert made.first.offset == header
    assert made.data == channel.transcode(path).mp3
    line.over(job)


# Killed and told to stop


def test_killed_while_converting(line):
    """F9: one MP3, one mail, and nothing of the first attempt."""
    first = line.converter()
    job_id = line.put(checks.long_clip())
    line.converting(job_id)
    pid = child(first)
    first.kill()
    wait_for(lambda: name(pid) is None, what="the child to go with it")

    second = line.converter()
    job = line.end(job_id)
    checks.check_long(mp3(line, job))
    assert checks.attempts(second.log, job_id) == 1
    line.over(job)


def test_killed_before_it_could_tell(line, relay):
    """F9: the MP3 is made and in the record, but the broker knows nothing: it
    is not made again."""
    way = relay(line.stack.env["V2M_AMQP_URL"])
    first = line.converter(V2M_AMQP_URL=way.url)
    job_id = line.put(checks.long_clip())
    line.converting(job_id)
    way.freeze("up")
    wait_for(lambda: line.job(job_id)["state"] == "ready", 60)
    first.kill()
    way.refuse()

    second = line.converter()
    job = line.end(job_id)
    assert checks.attempts(second.log, job_id) == 0
    line.over(job)


def test_stopped_while_converting(line):
    """F18: it finishes what it is at, and takes nothing new."""
    first = line.converter(V2M_JOBS=1)
    job_id = line.put(checks.long_clip())
    line.converting(job_id)
    other_id = line.put()
    assert first.stop() == 0
    assert line.job(job_id)["state"] == "ready"
    assert checks.attempts(first.log, job_id) == 1
    assert checks.attempts(first.log, other_id) == 0

    line.converter()
    line.over(line.end(job_id), line.end(other_id))


def test_stopped_without_time(line):
    """F18: it gives back what it is at; a store too slow to clean up in time
    makes it fail."""
    first = line.converter(V2M_DRAIN=0)
    job_id = line.put(checks.long_clip())
    line.converting(job_id)
    assert first.stop() in (0, 1)
    assert line.job(job_id)["state"] == "converting"

    second = line.converter()
    job = line.end(job_id)
    assert "attempt 2" in second.log
    line.over(job)


# The child


def test_child_killed(line):
    converter = line.converter()
    job_id = line.put(checks.long_clip())
    line.converting(job_id)
    bad = child(converter)
    os.kill(bad, signal.SIGKILL)
    job = line.end(job_id)
    checks.check_long(mp3(line, job))
    assert checks.attempts(converter.log, job_id) == 2
    assert f"{job_id}: cannot convert yet: the transcoder was killed" in \
        converter.log
    line.over(job)


def test_child_killed_again_and_again(line):
    converter = line.converter(V2M_ATTEMPTS=2)
    job_id = line.put(checks.long_clip())
    for attempt in (1, 2):
        wait_for(lambda: checks.attempts(converter.log, job_id) == attempt)
        os.kill(child(converter), signal.SIGKILL)
        wait_for(lambda: converter.log.count("the transcoder was killed")
                 == attempt)

    job = line.end(job_id, "failed")
    assert "through no fault of the file" in job["reason"]
    wait_for(lambda: line.stack.depth(f"{line.queue}.dead") == 1)
    line.over()


@pytest.mark.parametrize("number, word", [
    (signal.SIGABRT, "crash"), (signal.SIGXCPU, "processor time")])
def test_child_crashes(line, number, word):
    """The file's fault: it is not tried again."""
    converter = line.converter(V2M_TIME_LIMIT=1000, V2M_THREADS=2)
    job_id = line.put(checks.long_clip())
    line.converting(job_id)
    assert line.job(job_id)["phase"] == "encoding"
    assert line.job(job_id)["remaining"] >= -1
    limits = pathlib.Path(f"/proc/{child(converter)}/limits").read_text()
    assert re.search(r"^Max cpu time +5000 +5001 ", limits, re.MULTILINE)
    os.kill(child(converter), number)
    job = line.end(job_id, "failed")
    assert checks.attempts(converter.log, job_id) == 1
    assert word in job["reason"]
    line.over()


def test_child_stands_still(line):
    converter = line.converter(V2M_STALL_LIMIT=2)
    job_id = line.put(checks.long_clip())
    line.converting(job_id)
    bad = child(converter)
    os.kill(bad, signal.SIGSTOP)
    job = line.end(job_id, "failed")
    assert job["reason"] == "the conversion stood still for 2 s"
    assert name(bad) is None
    assert checks.attempts(converter.log, job_id) == 1
    line.over()


def test_time_limit(line):
    """S19: however much there is to decode."""
    converter = line.converter(V2M_TIME_LIMIT=1, V2M_THREADS=1)
    job_id = line.put(checks.long_clip())
    bad = child(converter)
    job = line.end(job_id, "failed")
    assert "longer than the 1 s" in job["reason"]
    assert name(bad) is None
    line.over()


READS = """#!/usr/bin/python3
import socket, struct, time
channel = socket.socket(fileno=3)
def take():
    kind, length = struct.unpack(">II", channel.recv(8, socket.MSG_WAITALL))
    channel.recv(length, socket.MSG_WAITALL)
def send(kind, payload):
    channel.sendall(struct.pack(">II", kind, len(payload)) + payload)
take()
send({progress}, struct.pack(">ii", {phase}, 7))
while True:
    send({read}, struct.pack(">qi", 0, 1))
    take()
    time.sleep(0.2)
"""


def test_shows_that_it_lives(line, tmp_path):
    """A conversion that stays at one percent for long is not lost: the sweep
    would begin another one, and in the end fail the job."""
    transcoder = tmp_path / "reads"
    transcoder.write_text(READS.format(progress=channel.PROGRESS,
                                       read=channel.READ,
                                       phase=channel.MEASURING))
    transcoder.chmod(0o755)
    converter = line.converter(V2M_TRANSCODE=transcoder, V2M_DRAIN=0)
    job_id = line.put()
    wait_for(lambda: line.job(job_id).get("progress") == 7)
    before = line.job(job_id)["updated"]
    wait_for(lambda: line.job(job_id)["updated"] > before, 60)
    job = line.job(job_id)
    assert (job["state"], job["progress"], job["phase"]) \
        == ("converting", 7, "measuring")
    assert converter.stop() == 0


# The same message, more than once


def test_delivered_twice_to_two(line):
    """F10: one result."""
    first, second = (line.converter(V2M_JOBS=1) for _ in range(2))
    job_id = line.put(checks.long_clip(), times=2)
    job = line.end(job_id)
    for program in (first, second):
        wait_for(lambda: checks.attempts(program.log, job_id) == 1)
    checks.check_long(mp3(line, job))
    line.over(job)
    assert (first.log + second.log).count("counts for nothing") == 1
    line.end(job_id)


def test_delivered_twice_to_one(line):
    line.converter(V2M_JOBS=2)
    job_id = line.put(checks.long_clip(), times=2)
    line.over(line.end(job_id))
    line.end(job_id)


def test_delivered_again_later(line):
    converter = line.converter()
    job_id = line.put()
    job = line.end(job_id)
    line.send(job_id)
    line.over(job)
    line.end(job_id)
    assert line.job(job_id)["mp3_fid"] == job["mp3_fid"]
    assert checks.attempts(converter.log, job_id) == 1


def test_asleep_while_another_converts(line, relay):
    """F10: a converter whose connection broke while it was paused wakes up
    when the job is done: its MP3 is not taken, and does not stay."""
    way = relay(line.stack.env["V2M_AMQP_URL"])
    first = line.converter(V2M_AMQP_URL=way.url)
    job_id = line.put(checks.long_clip())
    line.converting(job_id)
    pid = child(first)
    first.signal(signal.SIGSTOP)
    os.kill(pid, signal.SIGSTOP)
    way.refuse()

    line.converter()
    job = line.end(job_id)
    os.kill(pid, signal.SIGCONT)
    first.signal(signal.SIGCONT)
    first.wait_log(f"{job_id}: the attempt counts for nothing", 60)
    line.over(job)
    assert line.job(job_id)["mp3_fid"] == job["mp3_fid"]
    line.end(job_id)
    way.serve()


# The broker and the store


def impatient(way):
    """A relayed MongoDB URI; who uses it notices soon that the store is
    away."""
    return f"{way.url}?serverSelectionTimeoutMS=500"


def test_broker_away_while_converting(line, relay):
    way = relay(line.stack.env["V2M_AMQP_URL"])
    converter = line.converter(V2M_AMQP_URL=way.url)
    job_id = line.put(checks.long_clip())
    line.converting(job_id)
    way.refuse()
    converter.wait_log("no connection to the broker")
    way.serve()
    job = line.end(job_id)
    checks.check_long(mp3(line, job))
    line.over(job)


def test_store_away_while_converting(line, relay):
    way = relay(line.stack.env["V2M_MONGO_URI"])
    converter = line.converter(V2M_MONGO_URI=impatient(way))
    job_id = line.put(checks.long_clip())
    line.converting(job_id)
    way.refuse()
    converter.wait_log(f"{job_id}: waiting for the store")
    assert f"{job_id}: cannot convert yet" in converter.log
    way.serve()
    job = line.end(job_id)
    checks.check_long(mp3(line, job))
    line.over(job)


def test_store_away_for_longer_than_all_attempts(line, relay):
    """An outage of the store uses up no attempts: it says nothing about the
    message."""
    way = relay(line.stack.env["V2M_MONGO_URI"])
    way.refuse()
    converter = line.converter(V2M_MONGO_URI=impatient(way), V2M_ATTEMPTS=1)
    job_id = line.put()
    converter.wait_log(f"{job_id}: waiting for the store")
    way.serve()
    line.over(line.end(job_id))
    assert not line.stack.depth(f"{line.queue}.dead")


def silent(way):
    """Until nothing more is asked."""
    asked = []

    def same():
        asked.append(way.carried["up"])
        return len(asked) > 1 and asked[-1] == asked[-2]

    wait_for(same, interval=0.3)


def test_store_away_when_it_fails(line, relay):
    """The reason is not lost when it cannot be recorded at once."""
    way = relay(line.stack.env["V2M_MONGO_URI"])
    converter = line.converter(V2M_MONGO_URI=impatient(way), V2M_ATTEMPTS=1,
                               V2M_STALL_LIMIT=3)
    job_id = line.put(checks.long_clip())
    line.converting(job_id)
    os.kill(child(converter), signal.SIGSTOP)
    silent(way)
    way.refuse()
    converter.wait_log(f"{job_id}: waiting for the store")
    way.serve()
    job = line.end(job_id, "failed")
    assert job["reason"] == "the conversion stood still for 3 s"
    line.over()


def test_answer_to_the_commit_lost(line, relay):
    """The MP3 is the job's, but the converter was not told so: it must not
    take its own work for another's."""
    way = relay(line.stack.env["V2M_MONGO_URI"])
    line.converter(V2M_MONGO_URI=way.url)
    job_id = line.put(checks.long_clip())
    line.converting(job_id)
    attempt, = line.job(job_id)["attempts"]
    files = line.stack.mongo["mp3s"]["fs.files"]
    wait_for(lambda: files.find_one({"_id": attempt}), 60, 0.001)
    way.freeze("down")
    silent(way)
    way.cut()
    way.thaw()
    job = line.end(job_id)
    checks.check_long(mp3(line, job))
    line.over(job)


def test_stopped_while_the_store_is_away(line, relay):
    way = relay(line.stack.env["V2M_MONGO_URI"])
    way.refuse()
    converter = line.converter(V2M_MONGO_URI=impatient(way))
    job_id = line.put()
    converter.wait_log(f"{job_id}: waiting for the store")
    assert converter.stop() == 0
    line.converter()
    line.over(line.end(job_id))


# Messages that make no sense


def test_dead_letters(line):
    """F11: the queue goes on."""
    line.converter()
    unknown = str(bson.ObjectId())
    bodies = ["no JSON", "[]", '{"video_fid": "x"}', json.dumps(
        {"video_fid": unknown, "mp3_fid": None, "username": line.address})]
    for body in bodies:
        line.stack.publish(line.queue, body)
    job_id = line.put()
    line.over(line.end(job_id))

    dead = f"{line.queue}.dead"
    wait_for(lambda: line.stack.depth(dead) == len(bodies))
    assert sorted(line.stack.get(dead).decode() for _ in bodies) == \
        sorted(bodies)
    assert line.stack.job(unknown) is None
