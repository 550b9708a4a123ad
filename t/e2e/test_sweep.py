"""The sweep over a real broker and store."""

import datetime
import json
import signal

import bson
import gridfs
import pytest

from conftest import wait_for

pytestmark = pytest.mark.usefixtures("no_other_sweep")


def make_jobs(stack, count, state, age, **fields):
    """Job records that were last changed so many seconds ago; their ids."""
    when = (datetime.datetime.now(datetime.timezone.utc)
            - datetime.timedelta(seconds=age))
    records = [{
        "_id": bson.ObjectId(), "version": 1, "username": "sweep@example.org",
        "name": "a b.mp4", "state": state, "notified": "none",
        "published": False, "created": when, "updated": when, **fields,
    } for _ in range(count)]
    stack.jobs.insert_many(records)
    return [str(record["_id"]) for record in records]


def make_job(stack, state, age, **fields):
    return make_jobs(stack, 1, state, age, **fields)[0]


def make_chunks(stack, job_id, count):
    stack.mongo["videos"]["fs.chunks"].insert_many([
        {"files_id": bson.ObjectId(job_id), "n": n, "data": b"x" * 1000}
        for n in range(count)
    ])


@pytest.fixture
def sweep(stack, spawn, queue):
    """Runs a sweep that takes nothing for lost or old, unless told to."""
    def run(*arguments, status=0, **settings):
        program = spawn("v2m-sweep", *arguments, **{
            "VIDEO_QUEUE": queue, "MP3_QUEUE": f"{queue}-mp3",
            "V2M_SWEEP_LOST": "0", "V2M_KEEP_VIDEO": "forever", **settings})
        assert program.wait(60) == status, program.log
        return program.log

    yield run
    for name in (f"{queue}-mp3", f"{queue}-mp3.dead"):
        stack.delete(name)


def drain(stack, queue):
    bodies = []
    with stack.amqp() as connection:
        channel = connection.channel()
        while (body := channel.basic_get(queue, auto_ack=True)[2]) is not None:
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
    jobs = set(make_jobs(stack, 210, "queued", 60))
    sweep()
    assert stack.depth(queue) >= 210
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


def test_goes_on_with_a_removal(stack, sweep):
    """What a sweep that was cut short had begun."""
    upload = make_job(stack, "uploading", 7200, abandoned=True)
    make_chunks(stack, upload, 3)
    sweep()
    assert stack.job(upload) is None
    assert stack.count("videos", upload) == (0, 0)


def test_leaves_what_is_gone_on_with(stack, sweep, spawn, queue):
    """An upload of hours that was just continued, and one that was finished
    at the last moment."""
    continued = make_job(stack, "uploading", 7200)
    stack.jobs.update_one(
        {"_id": bson.ObjectId(continued)},
        {"$set": {"updated": datetime.datetime.now(datetime.timezone.utc)}})
    finished = make_job(stack, "queued", 7200, published=True)
    for upload in continued, finished:
        make_chunks(stack, upload, 3)

    sweep(V2M_SWEEP_UPLOADS=60)
    assert stack.job(continued)["state"] == "uploading"
    assert "abandoned" not in stack.job(continued)
    assert stack.job(finished)["state"] == "queued"
    for upload in continued, finished:
        assert stack.count("videos", upload) == (0, 3)


def test_several_at_once(stack, spawn, queue):
    """Sweeps that get into each other's way: a message may come twice, but
    none is missing, and nobody fails."""
    stack.declare(queue)
    jobs = set(make_jobs(stack, 50, "queued", 60))
    uploads = make_jobs(stack, 8, "uploading", 7200)
    for upload in uploads:
        make_chunks(stack, upload, 5)

    programs = [spawn("v2m-sweep", VIDEO_QUEUE=queue, V2M_SWEEP_LOST=0)
                for _ in range(2)]
    for program in programs:
        assert program.wait(60) == 0, program.log
    published = [entry["video_fid"] for entry in drain(stack, queue)]
    assert jobs <= set(published)
    assert all(stack.job(job_id)["published"] for job_id in jobs)
    for upload in uploads:
        assert stack.job(upload) is None
        assert stack.count("videos", upload) == (0, 0)
        removed = sum(program.log.count(f"{upload}: removed")
                      for program in programs)
        assert removed == 1


LOST = {"V2M_SWEEP_LOST": "10m", "V2M_SWEEP_UNPUBLISHED": "0"}


def of(messages, job_id):
    return [entry for entry in messages if entry["video_fid"] == job_id]


def test_lost_conversion(stack, sweep, queue):
    """What the broker gave up, or lost, is published anew; a conversion whose
    worker shows that it lives is left alone."""
    lost = make_job(stack, "converting", 3600, published=True)
    alive = make_job(stack, "converting", 300, published=True)

    log = sweep(**LOST)
    assert f"{lost}: to be published anew: it was converting" in log
    sweep(**LOST)
    messages = drain(stack, queue)
    assert len(of(messages, lost)) == 1
    assert not of(messages, alive)
    job = stack.job(lost)
    assert (job["state"], job["published"], job["requeued"]) \
        == ("queued", True, 1)
    assert stack.job(alive)["state"] == "converting"


def test_lost_in_the_queue(stack, sweep, queue):
    """A queued job may only wait: not when its queue is empty."""
    lost = make_job(stack, "queued", 3600, published=True)
    stack.declare(queue)
    stack.publish(queue, json.dumps({"video_fid": "another"}))

    sweep(**LOST)
    assert "requeued" not in stack.job(lost)
    drain(stack, queue)
    sweep(**LOST)
    sweep(**LOST)
    assert stack.job(lost)["requeued"] == 1
    assert len(of(drain(stack, queue), lost)) == 1


def test_lost_too_often(stack, sweep, queue):
    """It comes to an end, and its owner is told."""
    attempt = gridfs.GridFS(stack.mongo["mp3s"]).put(b"half of an MP3")
    lost = make_job(stack, "converting", 3600, published=True, requeued=3,
                    attempts=[attempt])
    assert f"{lost}: failed: it was published anew 3 times" in sweep(**LOST)

    job = stack.job(lost)
    assert job["state"] == "failed"
    assert "upload the video again" in job["reason"]
    assert stack.count("mp3s", attempt) == (0, 0)
    told = of(drain(stack, f"{queue}-mp3"), lost)
    assert [entry["error"] for entry in told] == [job["reason"]]
    assert told[0]["mp3_fid"] is None


def test_lost_mail(stack, sweep, queue):
    mp3 = bson.ObjectId()
    lost = make_job(stack, "ready", 3600, mp3_fid=mp3)
    fresh = make_job(stack, "ready", 60)
    sent = make_job(stack, "ready", 3600, notified="sent")
    given_up = make_job(stack, "failed", 3600, mail_requeued=3)
    stack.declare(f"{queue}-mp3")
    stack.publish(f"{queue}-mp3", json.dumps({"video_fid": "another"}))

    sweep(**LOST)
    assert "mail_requeued" not in stack.job(lost)
    drain(stack, f"{queue}-mp3")
    log = sweep(**LOST)
    messages = drain(stack, f"{queue}-mp3")
    assert [entry["mp3_fid"] for entry in of(messages, lost)] == [str(mp3)]
    assert not any(of(messages, job) for job in (fresh, sent, given_up))
    assert stack.job(lost)["mail_requeued"] == 1
    assert f"{given_up}: no mail" in log
    assert stack.job(given_up)["notified"] == "failed"

    sweep(**LOST)
    assert not of(drain(stack, f"{queue}-mp3"), lost)


def test_lost_is_turned_off(stack, sweep, queue):
    """For those who let other programs convert or notify."""
    converting = make_job(stack, "converting", 864000)
    ready = make_job(stack, "ready", 864000)
    sweep()
    assert stack.job(converting)["state"] == "converting"
    assert "mail_requeued" not in stack.job(ready)


def make_old(stack, state, age, **fields):
    """A job that came to its end so many seconds ago, with its blobs."""
    files = gridfs.GridFS(stack.mongo["mp3s"])
    job = make_job(stack, state, age, notified="sent", mp3_fid=files.put(b"x"),
                   finished=datetime.datetime.now(datetime.timezone.utc)
                   - datetime.timedelta(seconds=age), **fields)
    gridfs.GridFS(stack.mongo["videos"]).put(b"x", _id=bson.ObjectId(job))
    return job


def test_keeps_videos_for_a_time(stack, sweep):
    old = make_old(stack, "ready", 90000)
    failed = make_old(stack, "failed", 90000)
    cut_short = make_old(stack, "ready", 90000, video_removed=False)
    fresh = make_old(stack, "ready", 80000)
    mp3 = stack.job(old)["mp3_fid"]

    log = sweep("--dry-run", V2M_KEEP_VIDEO="1d")
    assert f"{old}: would be without its video: that is old" in log
    assert stack.count("videos", old) == (1, 1)

    sweep(V2M_KEEP_VIDEO="1d")
    for job in old, failed, cut_short:
        assert stack.count("videos", job) == (0, 0)
        assert stack.job(job)["video_removed"] is True
    assert stack.count("videos", fresh) == (1, 1)
    assert stack.count("mp3s", mp3) == (1, 1)
    assert stack.job(old)["state"] == "ready"
    assert old not in sweep("--dry-run", V2M_KEEP_VIDEO="1d")


def test_keeps_jobs_for_a_time(stack, sweep):
    old = make_old(stack, "ready", 90000)
    cut_short = make_old(stack, "failed", 90000, expired=True)
    fresh = make_old(stack, "ready", 80000)
    waiting = make_old(stack, "ready", 90000)
    stack.jobs.update_one(
        {"_id": bson.ObjectId(waiting)},
        {"$set": {"notified": "none", "mail_due": datetime.datetime(
            2100, 1, 1)}})
    mp3 = stack.job(old)["mp3_fid"]

    log = sweep("--dry-run", V2M_KEEP_MP3="1d")
    assert f"{old}: would be removed with its files: it is old" in log
    assert stack.job(old)

    sweep(V2M_KEEP_MP3="1d")
    for job in old, cut_short:
        assert stack.job(job) is None
        assert stack.count("videos", job) == (0, 0)
    assert stack.count("mp3s", mp3) == (0, 0)
    for job in fresh, waiting:
        assert stack.count("videos", job) == (1, 1)
        assert stack.count("mp3s", stack.job(job)["mp3_fid"]) == (1, 1)


def test_forgets_keys(stack, sweep):
    """Those of uploads of yesterday."""
    requests = stack.mongo["v2m"]["requests"]
    now = datetime.datetime.now(datetime.timezone.utc)
    for name, hours in (("old", 25), ("new", 23)):
        requests.insert_one({
            "_id": f"{name}-key\nsweep@example.com", "job": bson.ObjectId(),
            "created": now - datetime.timedelta(hours=hours)})

    sweep("--dry-run")
    assert requests.count_documents({"_id": {"$regex": "^old-key"}}) == 1
    sweep()
    assert requests.count_documents({"_id": {"$regex": "^old-key"}}) == 0
    assert requests.count_documents({"_id": {"$regex": "^new-key"}}) == 1
    requests.delete_many({"_id": {"$regex": "-key\nsweep"}})


def test_several_remove_what_is_old(stack, spawn, queue):
    jobs = [make_old(stack, "ready", 90000) for _ in range(12)]
    programs = [spawn("v2m-sweep", VIDEO_QUEUE=queue, V2M_SWEEP_LOST=0,
                      V2M_KEEP_MP3="1d") for _ in range(2)]
    for program in programs:
        assert program.wait(60) == 0, program.log
    for job in jobs:
        assert stack.job(job) is None
        assert stack.count("videos", job) == (0, 0)
        assert 1 <= sum(program.log.count(f"{job}: the job was removed")
                        for program in programs) <= 1


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


def test_broker_away(stack, sweep, queue, relay):
    """Once: says so and fails, but still removes uploads."""
    way = relay(stack.env["V2M_AMQP_URL"])
    way.refuse()
    job_id = make_job(stack, "queued", 60)
    upload = make_job(stack, "uploading", 7200)
    log = sweep(status=1, V2M_AMQP_URL=way.url)
    assert " error v2m-sweep: cannot connect to RabbitMQ" in log
    assert stack.job(job_id)["published"] is False
    assert stack.job(upload) is None
    sweep()
    assert stack.job(job_id)["published"] is True


def test_broker_hangs(stack, spawn, queue, relay):
    """What was not confirmed stays to be published."""
    way = relay(stack.env["V2M_AMQP_URL"])
    job_id = make_job(stack, "queued", 60)
    way.freeze("down")
    program = spawn("v2m-sweep", VIDEO_QUEUE=queue, V2M_AMQP_URL=way.url)
    assert program.wait(40) == 1
    assert stack.job(job_id)["published"] is False


def test_messages_refused(stack, sweep, queue):
    with stack.amqp() as connection:
        channel = connection.channel()
        channel.queue_declare(queue, arguments={
            "x-max-length": 1, "x-overflow": "reject-publish"})
        channel.basic_publish("", queue, b"first")
    wait_for(lambda: stack.depth(queue) == 1)
    job_id = make_job(stack, "queued", 60)
    assert "the broker did not take the message" in sweep(status=1)
    assert stack.job(job_id)["published"] is False


def test_store_away(stack, sweep, relay):
    way = relay(stack.env["V2M_MONGO_URI"])
    way.refuse()
    assert " error v2m-sweep: " in sweep(status=1, V2M_MONGO_URI=way.url)


def test_every(stack, spawn, queue, relay):
    """Goes on through an outage, and ends at once when told to."""
    way = relay(stack.env["V2M_AMQP_URL"])
    program = spawn("v2m-sweep", "--every", "1", VIDEO_QUEUE=queue,
                    V2M_AMQP_URL=way.url)
    first = make_job(stack, "queued", 60)
    wait_for(lambda: stack.job(first)["published"])

    way.refuse()
    second = make_job(stack, "queued", 60)
    program.wait_log("not done, trying again")
    way.serve()
    wait_for(lambda: stack.job(second)["published"])
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
