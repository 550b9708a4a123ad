"""F9: a worker that is killed, at each point where that could matter, and at
any moment: one MP3, one mail, and nothing else is left."""

import datetime
import os
import random
import subprocess

import bson
import pytest

import checks
import points
from conftest import BUILD, wait_for
from test_converter import line, mp3  # noqa: F401
from notices import (  # noqa: F401
    hook_server, mail_server, make_job, message, notifier)


def test_a_release_has_no_points():
    """What ends a worker in a test is not in what users run."""
    sanitized = b"__asan_init" in (BUILD / "v2m-converter").read_bytes()
    for program in points.WORKERS:
        assert points.there(program) == sanitized


@points.needed
@pytest.mark.parametrize("point", [
    "started",    # before it fetches the video
    "converted",  # the MP3's chunks are stored, its files document is not
    "stored",     # the MP3 is stored, but not the job's
    "committed",  # the job is ready
    "publish",    # before the message to the notifier
    "settle",     # the message is out, the delivery is not acknowledged
])
def test_converter_at(line, point):  # noqa: F811
    first = line.converter(v2m_test_point=point)
    job_id = line.put()
    points.killed(first)

    line.converter()
    job = line.end(job_id)
    checks.check_mp3(mp3(line, job), 1, checks.CLIP)
    line.over(job)


# More of them take a minute: KILLS=50 make test PHASES=faults
KILLS = int(os.environ.get("KILLS", "10"))


def test_converter_at_any_moment(line):  # noqa: F811
    """Two of them, which die again and again."""
    chance = random.Random(9)
    settings = {"V2M_ATTEMPTS": 1000, "V2M_THREADS": 1}
    line.converter(**settings).stop()
    jobs = [line.put(checks.clip(5)) for _ in range(max(6, KILLS // 2))]

    def kill(program):
        deadline = chance.uniform(0.05, 2)
        try:
            program.process.wait(deadline)
        except subprocess.TimeoutExpired:
            program.kill()

    for _ in range(KILLS // 2):
        programs = [line.converter(wait=False, **settings) for _ in range(2)]
        for program in programs:
            kill(program)
    line.converter(**settings)

    ended = [line.end(job_id, timeout=300) for job_id in jobs]
    for job in ended:
        checks.check_mp3(mp3(line, job), 5, checks.CLIP)
    line.over(*ended)


@points.needed
@pytest.mark.parametrize("point, mails", [
    ("claimed", 1),  # before the mail
    ("sent", 2),     # the one window that SMTP leaves: the same mail again
    ("settle", 1),   # it is noted, the delivery is not acknowledged
])
def test_notifier_at(stack, notifier, queue, address, mail_server,  # noqa: F811
                     point, mails):
    server = mail_server()
    # a claim lasts for longer than these
    first = notifier(V2M_SMTP_URL=server.url, V2M_SMTP_TIMEOUT=1,
                     V2M_WEBHOOK_TIMEOUT=1, v2m_test_point=point)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    points.killed(first)

    notifier(V2M_SMTP_URL=server.url, V2M_SMTP_TIMEOUT=1)
    wait_for(lambda: stack.job(job_id)["notified"] == "sent", 40)
    wait_for(lambda: stack.depth(queue) == 0)
    ids = [row for mail in server.mails for row in mail.split(b"\r\n")
           if row.startswith(b"Message-ID:")]
    assert ids == [f"Message-ID: <{job_id}.mp3@localhost>".encode()] * mails


@points.needed
def test_webhook_at(stack, notifier, queue, address, hook_server):  # noqa: F811
    """The receiver took it, the record does not say so: called once more, with
    the same id, by which it tells them apart; and no mail."""
    server = hook_server()
    settings = {"V2M_SMTP_TIMEOUT": 1, "V2M_WEBHOOK_TIMEOUT": 1,
                "V2M_WEBHOOK_KEY": "key-for-webhooks-of-32-bytes-ok!",
                "V2M_WEBHOOK_HTTP": "allow", "V2M_WEBHOOK_ALLOW": "127.0.0.1"}
    first = notifier(v2m_test_point="sent", **settings)
    job_id = make_job(stack, address, webhook=server.url)
    stack.publish(queue, message(job_id, address))
    points.killed(first)
    assert stack.job(job_id)["notified"] == "none"

    second = notifier(**settings)
    wait_for(lambda: stack.job(job_id)["notified"] == "sent", 40)
    wait_for(lambda: stack.depth(queue) == 0)
    assert len(server.calls) == 2
    assert len({call.id for call in server.calls}) == 1
    assert second.log.count("webhook sent") == 1
    assert not stack.mails(address)


@points.needed
def test_given_up_by_the_broker(line, no_other_sweep):  # noqa: F811
    """Workers die over a message so often that the broker takes it away: the
    sweep brings the job to its end."""
    job_id = None
    for _ in range(3):
        program = line.converter(V2M_ATTEMPTS=2, v2m_test_point="started")
        job_id = job_id or line.put()
        points.killed(program)
    wait_for(lambda: line.stack.depth(f"{line.queue}.dead") == 1)
    assert line.job(job_id)["state"] == "converting"

    sweep(line, job_id)
    line.converter(V2M_ATTEMPTS=2)
    job = line.end(job_id)
    line.over(job)


@points.needed
def test_queue_is_purged(line, no_other_sweep):  # noqa: F811
    """A message that got lost after the broker had confirmed it."""
    first = line.converter(v2m_test_point="started")
    job_id = line.put()
    points.killed(first)
    wait_for(lambda: line.stack.depth(line.queue) == 1)
    assert line.stack.get(line.queue)

    sweep(line, job_id)
    line.converter()
    job = line.end(job_id)
    line.over(job)


def sweep(line, job_id):  # noqa: F811
    """As if an hour had passed: the sweep takes the job for lost, and then
    publishes it anew."""
    for _ in range(2):
        line.stack.jobs.update_one(
            {"_id": bson.ObjectId(job_id)},
            {"$set": {"updated": datetime.datetime.now(datetime.timezone.utc)
                      - datetime.timedelta(hours=1)}})
        program = line.spawn(
            "v2m-sweep", VIDEO_QUEUE=line.queue, MP3_QUEUE=line.replies,
            V2M_SWEEP_LOST="30m", V2M_SWEEP_UNPUBLISHED=1800,
            V2M_KEEP_VIDEO="forever")
        assert program.wait() == 0, program.log
    job = line.job(job_id)
    assert (job["state"], job["published"], job["requeued"]) \
        == ("queued", True, 1)
