"""The sweep over a real broker and store."""

import datetime
import json
import signal

import bson
import pytest

from conftest import wait_for


def make_job(stack, state, age, **fields):
    """A job record that was last changed so many seconds ago."""
    job_id = bson.ObjectId()
    when = (datetime.datetime.now(datetime.timezone.utc)
            - datetime.timedelta(seconds=age))
    stack.jobs.insert_one({
        "_id": job_id, "version": 1, "username": "sweep@example.org",
        "name": "a b.mp4", "state": state, "notified": "none",
        "published": False, "created": when, "updated": when, **fields,
    })
    return str(job_id)


def make_chunks(stack, job_id, count):
    stack.mongo["videos"]["fs.chunks"].insert_many([
        {"files_id": bson.ObjectId(job_id), "n": n, "data": b"x" * 1000}
        for n in range(count)
    ])


@pytest.fixture
def sweep(spawn, queue):
    def run(*arguments, status=0, **settings):
        program = spawn("v2m-sweep", *arguments, VIDEO_QUEUE=queue, **settings)
        assert program.wait(60) == status, program.log
        return program.log
    return run


def drain(stack, queue):
    bodies = []
    while (body := stack.get(queue)) is not None:
        bodies.append(json.loads(body))
    return bodies


def test_publishes(stack, sweep, queue):
    old = make_job(stack, "queued", 60)
    fresh = make_job(stack, "queued", 0)
    done = make_job(stack, "queued", 60, published=True)
    converting = make_job(stack, "converting", 60)

    log = sweep()
    messages = {entry["video_fid"]: entry for entry in drain(stack, queue)}
    assert old in messages
    assert messages[old]["mp3_fid"] is None
    assert messages[old]["username"] == "sweep@example.org"
    assert messages[old]["name"] == "a b.mp4"
    assert not {fresh, done, converting} & set(messages)
    assert stack.job(old)["published"] is True
    assert stack.job(old)["state"] == "queued"
    assert stack.job(fresh)["published"] is False
    assert f'published to queue "{queue}"' in log

    sweep()
    assert old not in [entry["video_fid"] for entry in drain(stack, queue)]


def test_publishes_many(stack, sweep, queue):
    jobs = {make_job(stack, "queued", 60) for _ in range(250)}
    sweep()
    assert stack.depth(queue) >= 250
    published = [entry["video_fid"] for entry in drain(stack, queue)]
    assert jobs <= set(published)
    assert len(published) == len(set(published))


def test_removes_uploads(stack, sweep):
    old = make_job(stack, "uploading", 7200)
    make_chunks(stack, old, 30)
    fresh = make_job(stack, "uploading", 60)
    make_chunks(stack, fresh, 3)
    queued = make_job(stack, "queued", 7200, published=True)
    make_chunks(stack, queued, 3)

    log = sweep()
    assert stack.job(old) is None
    assert stack.count("videos", old) == (0, 0)
    assert stack.job(fresh)["state"] == "uploading"
    assert stack.count("videos", fresh) == (0, 3)
    assert stack.count("videos", queued) == (0, 3)
    assert f"{old}: removed" in log

    sweep(V2M_SWEEP_UPLOADS=30)
    assert stack.job(fresh) is None
    assert stack.count("videos", fresh) == (0, 0)


def test_dry_run(stack, sweep, queue):
    unpublished = make_job(stack, "queued", 60)
    upload = make_job(stack, "uploading", 7200)
    make_chunks(stack, upload, 3)

    log = sweep("--dry-run")
    assert f"{unpublished}: would be published" in log
    assert f"{upload}: would be removed" in log
    assert stack.job(unpublished)["published"] is False
    assert stack.count("videos", upload) == (0, 3)
    assert stack.depth(queue) is None


def test_makes_indexes(stack, sweep):
    sweep()
    assert any(
        index["key"] == {"files_id": 1, "n": 1} and index["unique"]
        for index in stack.mongo["videos"]["fs.chunks"].list_indexes())
    assert len(list(stack.jobs.list_indexes())) > 1


def test_broker_away(stack, sweep, queue):
    """Once: says so and fails, but still removes uploads."""
    job_id = make_job(stack, "queued", 60)
    upload = make_job(stack, "uploading", 7200)
    stack.stop("rabbitmq")
    try:
        log = sweep(status=1)
    finally:
        stack.start("rabbitmq")
    assert " error v2m-sweep: " in log
    assert stack.job(job_id)["published"] is False
    assert stack.job(upload) is None
    sweep()
    assert stack.job(job_id)["published"] is True


def test_store_away(stack, sweep):
    stack.stop("mongo")
    try:
        log = sweep(status=1)
    finally:
        stack.start("mongo")
    assert " error v2m-sweep: " in log


def test_every(stack, spawn, queue):
    """Goes on through an outage, and ends at once when told to."""
    program = spawn("v2m-sweep", "--every", "1", VIDEO_QUEUE=queue)
    first = make_job(stack, "queued", 60)
    wait_for(lambda: stack.job(first)["published"])

    stack.stop("rabbitmq")
    try:
        second = make_job(stack, "queued", 60)
        program.wait_log("not done, trying again")
    finally:
        stack.start("rabbitmq")
    wait_for(lambda: stack.job(second)["published"], 60)
    program.wait_log("works again")
    assert program.log.count("not done") == 1

    program.signal(signal.SIGTERM)
    assert program.wait(2) == 0


@pytest.mark.parametrize("arguments, status", [
    (["--help"], 0), (["--every"], 2), (["--every", "0"], 2),
    (["--every", "soon"], 2), (["--unknown"], 2), (["more"], 2),
])
def test_arguments(spawn, arguments, status):
    program = spawn("v2m-sweep", *arguments)
    assert program.wait(10) == status
    assert "--every" in program.log


def test_missing_setting(spawn):
    program = spawn("v2m-sweep", V2M_MONGO_URI="")
    assert program.wait(10) == 1
    assert "V2M_MONGO_URI is not set" in program.log
