"""v2m-jobs over a real broker and store."""

import datetime
import json
import uuid

import bson
import gridfs
import pytest

from conftest import wait_for


def make_job(stack, user, state, **fields):
    now = datetime.datetime.now(datetime.timezone.utc)
    record = {
        "_id": bson.ObjectId(), "version": 1, "username": user,
        "name": "a b.mp4", "state": state, "notified": "none",
        "published": True, "created": now, "updated": now, **fields}
    stack.jobs.insert_one(record)
    return str(record["_id"])


def as_json(text):
    """Of what was printed: libraries may have said something before."""
    return json.loads(text.splitlines()[-1])


def message(job_id, user, **fields):
    return json.dumps({"video_fid": job_id, "mp3_fid": None, "username": user,
                       "version": 1, **fields})


@pytest.fixture
def user():
    return f"{uuid.uuid4().hex}@example.org"


@pytest.fixture
def tool(spawn, queue, replies):
    """Runs v2m-jobs; returns what it printed."""
    def run(*arguments, status=0, **settings):
        program = spawn("v2m-jobs", *arguments, VIDEO_QUEUE=queue,
                        MP3_QUEUE=replies, **settings)
        assert program.wait(60) == status, program.log
        return program.log
    return run


def test_list(stack, tool, user):
    jobs = [make_job(stack, user, state)
            for state in ("ready", "failed", "queued")]
    text = tool("list", "--user", user)
    lines = text.splitlines()
    assert lines[0].split() == ["ID", "STATE", "MAIL", "UPDATED", "USER",
                                "NAME"]
    assert [line.split()[0] for line in lines[1:]] == jobs[::-1]
    assert lines[1].split()[1:3] == ["queued", "none"]
    assert lines[1].endswith("a b.mp4")

    page = as_json(tool("list", "--user", user, "--limit", 2, "--json"))
    assert [job["id"] for job in page["jobs"]] == jobs[:0:-1]
    assert page["jobs"][1]["username"] == user
    assert page["next"] == jobs[1]
    rest = as_json(tool("list", "--user", user, "--json", "--after",
                           page["next"]))
    assert [job["id"] for job in rest["jobs"]] == jobs[:1]
    assert rest["next"] is None
    failed = as_json(tool("list", "--user", user, "--state", "failed",
                             "--json"))
    assert [job["id"] for job in failed["jobs"]] == [jobs[1]]


def test_show(stack, tool, user):
    mp3 = bson.ObjectId()
    job_id = make_job(stack, user, "ready", mp3_fid=mp3, mp3_size=7,
                      name="a\x1b[31m\x9b.mp4", mail_tries=3, requeued=2)
    text = tool("show", job_id)
    assert f"id            {job_id}\n" in text
    assert "mail put off  3\n" in text
    assert "\x1b" not in text and "\x9b" not in text
    assert tool("show", mp3) == text

    job = as_json(tool("show", job_id, "--json"))
    assert job["state"] == "ready" and job["requeued"] == 2
    assert job["mail"]["tries"] == 3 and job["published"] is True

    unknown = str(bson.ObjectId())
    assert f"there is no job {unknown}" in tool("show", unknown, status=3)
    assert "is no id" in tool("show", "nonsense", status=3)
    # the others are shown all the same
    assert job_id in tool("show", unknown, job_id, status=3)


def test_retry(stack, tool, queue, user):
    job_id = make_job(stack, user, "failed", reason="why", notified="sent",
                      published=True)
    tool("retry", job_id)
    job = stack.job(job_id)
    assert (job["state"], job["notified"], job["published"]) \
        == ("queued", "none", True)
    assert "reason" not in job
    assert json.loads(stack.get(queue))["video_fid"] == job_id

    assert f"job {job_id} is queued, not failed" \
        in tool("retry", job_id, status=4)
    gone = make_job(stack, user, "failed", video_removed=True)
    assert "was removed" in tool("retry", gone, status=4)
    assert stack.depth(queue) == 0


def test_retry_without_a_broker(stack, tool, queue, user, relay):
    """The record is the outbox: the sweep does the rest."""
    way = relay(stack.env["V2M_AMQP_URL"])
    way.refuse()
    job_id = make_job(stack, user, "failed", reason="why")
    assert "left to the sweep" in tool("retry", job_id, V2M_AMQP_URL=way.url)
    job = stack.job(job_id)
    assert (job["state"], job["published"]) == ("queued", False)


def test_retry_is_converted(stack, tool, spawn, queue, replies, user):
    """Of a real job, by a real converter: here to the same end."""
    video = gridfs.GridFS(stack.mongo["videos"]).put(b"no video")
    job_id = make_job(stack, user, "failed", _id=video, reason="why",
                      notified="sent")
    spawn("v2m-converter", VIDEO_QUEUE=queue, MP3_QUEUE=replies).wait_log(
        "connected, consuming")
    tool("retry", job_id)
    wait_for(lambda: stack.job(job_id)["state"] == "failed"
             and stack.job(job_id)["reason"] != "why")
    wait_for(lambda: stack.depth(replies) == 1)


def test_mail(stack, no_other_sweep, tool, replies, user):
    job_id = make_job(stack, user, "ready", notified="failed", mail_tries=9)
    tool("mail", job_id)
    job = stack.job(job_id)
    assert job["notified"] == "none"
    assert "mail_tries" not in job and "mail_due" not in job
    assert json.loads(stack.get(replies))["video_fid"] == job_id
    assert "is none, not failed" in tool("mail", job_id, status=4)


def test_drop(stack, tool, user):
    mp3, attempt = (gridfs.GridFS(stack.mongo["mp3s"]).put(b"x")
                    for _ in range(2))
    video = gridfs.GridFS(stack.mongo["videos"]).put(b"x")
    ready = make_job(stack, user, "ready", _id=video, mp3_fid=mp3,
                     attempts=[mp3, attempt])
    converting = make_job(stack, user, "converting")
    uploading = make_job(stack, user, "uploading")
    tool("drop", ready, converting)
    assert stack.job(ready) is None and stack.job(converting) is None
    assert stack.count("videos", video) == (0, 0)
    assert stack.count("mp3s", mp3) == stack.count("mp3s", attempt) == (0, 0)

    assert "still under way" in tool("drop", uploading, status=4)
    assert stack.job(uploading)
    tool("drop", ready, status=3)


def fill(stack, tool, queue, bodies):
    """Makes the queues, and puts letters among the dead ones."""
    tool("dead", "list")
    for body in bodies:
        stack.publish(f"{queue}.dead", body)
    wait_for(lambda: stack.depth(f"{queue}.dead") == len(bodies))


def test_dead_letters(stack, tool, queue, user):
    failed = make_job(stack, user, "failed", reason="why", notified="sent")
    foreign = str(bson.ObjectId())
    fill(stack, tool, queue, [message(failed, user), message(foreign, user),
                              "no json"])

    letters = as_json(tool("dead", "list", "--json"))["letters"]
    assert sorted(letter["id"] or "" for letter in letters) \
        == sorted([failed, foreign, ""])
    text = tool("dead", "list", "video")
    assert failed in text and "no json" in text
    wait_for(lambda: stack.depth(f"{queue}.dead") == 3)

    # a job that failed is tried anew, and the other letter stays
    tool("dead", "retry", "video", failed)
    assert stack.job(failed)["state"] == "queued"
    assert json.loads(stack.get(queue))["video_fid"] == failed
    wait_for(lambda: stack.depth(f"{queue}.dead") == 2)
    tool("dead", "retry", "video", failed, status=3)

    tool("dead", "drop", "video", foreign)
    wait_for(lambda: stack.depth(f"{queue}.dead") == 1)
    tool("dead", "retry", "video", "--all")
    assert stack.get(queue) == b"no json"
    wait_for(lambda: stack.depth(f"{queue}.dead") == 0)


def test_dead_mails(stack, no_other_sweep, tool, replies, user):
    jobs = [make_job(stack, user, "ready", notified="failed")
            for _ in range(2)]
    fill(stack, tool, replies, [message(job, user) for job in jobs])
    tool("dead", "retry", "mp3", "--all")
    assert {json.loads(stack.get(replies))["video_fid"] for _ in jobs} \
        == set(jobs)
    assert {stack.job(job)["notified"] for job in jobs} == {"none"}
    wait_for(lambda: stack.depth(f"{replies}.dead") == 0)


def test_away(stack, tool, relay):
    way = relay(stack.env["V2M_MONGO_URI"])
    way.refuse()
    tool("list", V2M_MONGO_URI=way.url, status=1)
    broker = relay(stack.env["V2M_AMQP_URL"])
    broker.refuse()
    tool("dead", "list", V2M_AMQP_URL=broker.url, status=1)


@pytest.mark.parametrize("arguments, status", [
    (["--help"], 0), ([], 2), (["nothing"], 2), (["list", "more"], 2),
    (["list", "--state", "odd"], 2), (["list", "--limit", "0"], 2),
    (["list", "--after", "x"], 2), (["show"], 2), (["retry"], 2),
    (["dead"], 2), (["dead", "list", "other"], 2), (["dead", "retry"], 2),
    (["dead", "retry", "video"], 2), (["dead", "look", "video", "x"], 2),
    (["dead", "drop", "mp3", "x", "--all"], 2),
])
def test_arguments(tool, arguments, status):
    assert tool(*arguments, status=status)
