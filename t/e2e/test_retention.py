"""What users see of videos and jobs that are kept for a time only."""

import datetime

import bson
import pytest

import checks
from client import add_user
from conftest import wait_for


@pytest.fixture
def user(stack, address):
    made = add_user(stack, address)
    yield made
    made.delete_all()


def make_old(stack, job_id):
    """Older than whatever else is in the store."""
    stack.jobs.update_one(
        {"_id": bson.ObjectId(job_id)},
        {"$set": {"finished": datetime.datetime(2000, 1, 1)}})


def sweep(spawn, **settings):
    program = spawn("v2m-sweep", **{
        "V2M_SWEEP_LOST": 0, "V2M_KEEP_VIDEO": "forever", **settings})
    assert program.wait(60) == 0, program.log


def test_old_video(stack, no_other_sweep, spawn, user):
    """The MP3 stays, and so does all that users know of the job."""
    job = user.ready(user.upload(checks.clip())["id"])
    make_old(stack, job["id"])
    sweep(spawn, V2M_KEEP_VIDEO="3000d")

    assert stack.count("videos", job["id"]) == (0, 0)
    checks.check_mp3(user.mp3(job["id"]), 1, checks.CLIP)
    now = user.job(job["id"])
    assert {name: now[name] for name in ("state", "name", "size", "mp3_fid")} \
        == {name: job[name] for name in ("state", "name", "size", "mp3_fid")}
    user.delete(job["id"]).expect(204)
    assert stack.count("mp3s", job["mp3_fid"]) == (0, 0)


def test_owner_is_told_first(stack, no_other_sweep, spawn, user):
    """An MP3 whose mail could not be sent yet is not removed, and then it is
    kept for as long as any other."""
    settings = {"V2M_SWEEP_LOST": "15m", "V2M_KEEP_MP3": "3000d"}
    stack.stop("notifier")
    try:
        job = user.ready(user.upload(checks.clip())["id"])
        make_old(stack, job["id"])
        sweep(spawn, **settings)
        assert user.job(job["id"])["notified"] == "none"
    finally:
        stack.start("notifier")

    assert job["id"] in str(stack.wait_mail(user.user))
    wait_for(lambda: user.job(job["id"])["notified"] == "sent")
    sweep(spawn, **settings)
    checks.check_mp3(user.mp3(job["id"]), 1, checks.CLIP)

    stack.jobs.update_one(
        {"_id": bson.ObjectId(job["id"])},
        {"$set": {"updated": datetime.datetime(2000, 1, 1)}})
    sweep(spawn, **settings)
    user.request("GET", f"/jobs/{job['id']}").expect(404)


def test_old_mp3(stack, no_other_sweep, spawn, user):
    """Gone with its job, as if it had been deleted."""
    job = user.ready(user.upload(checks.clip())["id"])
    kept = user.ready(user.upload(checks.clip())["id"])
    user.wait(job["id"], "ready")
    stack.wait_mail(user.user)
    make_old(stack, job["id"])
    sweep(spawn, V2M_KEEP_MP3="3000d")

    user.request("GET", f"/jobs/{job['id']}").expect(404)
    for fid in job["id"], job["mp3_fid"]:
        assert user.download(fid).status == 404
    user.delete(job["id"]).expect(404)
    assert [each["id"] for each in user.jobs()] == [kept["id"]]
    assert stack.count("videos", job["id"]) == (0, 0)
    assert stack.count("mp3s", job["mp3_fid"]) == (0, 0)
    assert user.mp3(kept["id"])
