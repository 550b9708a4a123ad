"""Rows 1, 2 and 2b: uploads and downloads beside libmongoc's own bucket."""

import datetime
import time

import bson

import memory_store
from bench import BUCKET, MIB, RUN, Stack, in_turn, random_file, run, timed


def pairs(stack, runs, size, read_size):
    """Files of so many MiB, written and read."""
    path = random_file(f"{size}.bin", size * MIB)
    read_path = random_file(f"{read_size}.bin", read_size * MIB)
    uri = stack.env["V2M_MONGO_URI"]

    def upload():
        began = time.monotonic()
        job = stack.upload(path)
        seconds = time.monotonic() - began
        stack.forget("videos", job)
        return size / seconds

    def bucket_put():
        began = time.monotonic()
        file_id = run(BUCKET, "put", uri, "bench", path).strip()
        seconds = time.monotonic() - began
        stack.forget("bench", file_id)
        return size / seconds

    uploads = in_turn(runs, upload, bucket_put)

    file_id = run(BUCKET, "put", uri, "mp3s", read_path).strip()
    make_ready(stack, file_id)

    def download():
        return read_size / timed(lambda: run(
            "curl", "-sSf", "-o", "/dev/null", "-H", stack.bearer,
            f"{stack.url}/download?fid={file_id}"))

    def bucket_get():
        return read_size / timed(lambda: run(BUCKET, "get", uri, "mp3s", file_id))

    downloads = in_turn(runs, download, bucket_get)
    stack.forget("mp3s", file_id)

    return uploads, downloads


def make_ready(stack, file_id):
    """A job whose MP3 is the file."""
    client = stack.mongo()
    now = datetime.datetime.now(datetime.timezone.utc)
    client["v2m"]["jobs"].insert_one({
        "_id": bson.ObjectId(file_id), "version": 1,
        "username": stack.env["V2M_USER"], "state": "ready",
        "notified": "sent", "published": True, "created": now, "updated": now,
        "mp3_fid": bson.ObjectId(file_id), "name": "bench.mp4"})
    client.close()


def report_pairs(report, names, uploads, downloads, targets, store):
    report.ratio(names[0], f"upload, {store}", "libmongoc's bucket", uploads,
                 targets[0], unit="MiB/s")
    report.ratio(names[1], f"download, {store}", "libmongoc's bucket",
                 downloads, targets[1], unit="MiB/s")


def usual(report, runs):
    """Rows 1 and 2."""
    with Stack("mongo", "mariadb", "rabbitmq", "gateway") as stack:
        uploads, downloads = pairs(stack, runs, 128, 128)
    report_pairs(report, ("1", "2"), uploads, downloads, (1.3, 1.0),
                 "the local stack's store")


def in_memory(report, runs):
    """Row 2b: on a store that is so fast that the gateway is the limit."""
    with memory_store.running(RUN / "memory-store"):
        with memory_store.stack("mariadb", "rabbitmq", "gateway") as stack:
            # the store answers the bucket with the whole file in one message,
            # and libmongoc takes 48 MB at most
            uploads, downloads = pairs(stack, runs, 256, 40)
    report_pairs(report, ("2b", "2b"), uploads, downloads, (1.0, 1.0),
                 "in-memory store")
