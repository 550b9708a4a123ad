"""What is counted, and the trace of a request through all programs."""

import datetime
import json
import re
import secrets
import urllib.request

import bson
import gridfs
import pytest

import checks
from client import Client
from conftest import free_ports, wait_for
from test_health import check_metrics


def metrics(url):
    """(values by name and labels, the text)."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/metrics", timeout=40) as answer:
        assert answer.headers["Content-Type"].startswith(
            "text/plain; version=0.0.4")
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(
        r"^([^#\n]+) (\S+)$", text, re.MULTILINE)}, text


class Counts:
    """By how much counters moved since this was made."""

    def __init__(self, url):
        self.url = url
        self.before, _ = metrics(url)

    def moved(self, *names):
        now, _ = metrics(self.url)
        return [now.get(name, 0) - self.before.get(name, 0) for name in names]

    def by(self, **expected):
        """A request is counted after its answer was sent."""
        names = {"uploads": 'v2m_http_requests_total{endpoint="upload",'
                            'code="201"}',
                 "uploaded": "v2m_upload_bytes_total",
                 "confirmed": 'v2m_publishes_total{result="confirmed"}',
                 "downloads": 'v2m_http_requests_total{endpoint="download",'
                              'code="200"}',
                 "parts": 'v2m_http_requests_total{endpoint="download",'
                          'code="206"}',
                 "downloaded": "v2m_download_bytes_total",
                 "wrong": 'v2m_logins_total{result="wrong"}',
                 "refused": 'v2m_http_requests_total{endpoint="login",'
                            'code="401"}'}
        wanted = [expected.get(key, 0) for key in names]
        wait_for(lambda: self.moved(*names.values()) == wanted,
                 what=f"{names} to move by {expected}: "
                      f"{self.moved(*names.values())}")


@pytest.fixture
def user(stack):
    client = Client(stack.url, stack.user, stack.password).login()
    yield client
    client.delete_all()


def test_gateway(stack, user):
    """Exactly what was done is counted."""
    counts = Counts(stack.url)
    video = checks.clip().read_bytes()
    job = user.upload(video, "clip.mp4")["id"]
    counts.by(uploads=1, uploaded=len(video), confirmed=1)

    user.ready(job)
    mp3 = user.mp3(job)
    user.download(job, {"Range": "bytes=100-299"}).expect(206)
    stranger = Client(stack.url, f"{secrets.token_hex(8)}@example.org", "no")
    assert stranger.request("POST", "/login",
                            headers=stranger.basic()).status == 401
    counts.by(uploads=1, uploaded=len(video), confirmed=1, downloads=1,
              parts=1, downloaded=len(mp3) + 200, wrong=1, refused=1)
    check_metrics(metrics(stack.url)[1])


def test_workers(stack, spawn, queue, replies, address):
    """Jobs by result and reason; where the time went."""
    ports = free_ports(2)
    converter, notifier = (f"http://127.0.0.1:{ports + i}" for i in range(2))
    for name, port in ("v2m-converter", ports), ("v2m-notifier", ports + 1):
        spawn(name, VIDEO_QUEUE=queue, MP3_QUEUE=replies,
              V2M_HEALTH_LISTEN=port).wait_log("consuming")

    videos = gridfs.GridFS(stack.mongo["videos"])
    jobs = [str(videos.put(data, filename="clip.mp4"))
            for data in (checks.clip().read_bytes(), b"no video" * 1000)]
    for job in jobs:
        stack.publish(queue, json.dumps(
            {"video_fid": job, "mp3_fid": None, "username": address}))
    for job in jobs:
        wait_for(lambda job=job: (stack.job(job) or {}).get("notified")
                 == "sent", 60)

    wait_for(lambda: metrics(converter)[0]["v2m_deliveries_in_flight"] == 0)
    values, text = metrics(converter)
    check_metrics(text)
    assert values['v2m_jobs_total{result="ready"}'] == 1
    assert values['v2m_jobs_total{result="failed"}'] == 1
    assert {name: value for name, value in values.items()
            if name.startswith("v2m_jobs_failed_total") and value} == {
                'v2m_jobs_failed_total{reason="file"}': 1}
    assert values["v2m_conversion_duration_seconds_count"] == 1
    parts = [values["v2m_conversion_phase_duration_seconds_sum"
                    f'{{phase="{phase}"}}']
             for phase in ("fetch", "encode", "store")]
    assert all(part > 0 for part in parts)
    assert sum(parts) == pytest.approx(
        values["v2m_conversion_duration_seconds_sum"], abs=1e-5)

    # the broker tells the notifier when the converter published
    values, text = metrics(notifier)
    check_metrics(text)
    assert values['v2m_mails_total{result="sent"}'] == 2
    assert values["v2m_queue_duration_seconds_count"] == 2
    assert values["v2m_queue_duration_seconds_sum"] < 30
    assert values["v2m_mail_duration_seconds_count"] == 2

    for job in stack.jobs.find({"username": address}):
        videos.delete(job["_id"])
        gridfs.GridFS(stack.mongo["mp3s"]).delete(job.get("mp3_fid"))
    stack.jobs.delete_many({"username": address})


def traced(lines, trace, count):
    """Converter and notifier have told of it so often, with that trace."""
    for name, text in ("converter.log", "ready:"), ("notifier.log",
                                                   "mail sent"):
        found = wait_for(lambda: len(lines(name, text)) >= count
                         and lines(name, text))
        assert [f"trace={trace}" in line for line in found] == [True] * count


@pytest.mark.parametrize("given", [True, False])
def test_trace(stack, user, spawn, given):
    """One trace, that of the request or a new one, from the upload to the
    mail."""
    trace = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
    answer = user.request("POST", "/upload?name=clip.mp4",
                          checks.clip().read_bytes(),
                          headers if given else {}).expect(201)
    job = answer.json()["id"]
    wait_for(lambda: stack.job(job)["notified"] == "sent", 60)

    def lines(name, what):
        text = (stack.run / "logs" / name).read_text(errors="replace")
        return [line for line in text.splitlines()
                if job in line and what in line]

    access, = wait_for(lambda: lines("access.log", "POST /upload"))
    found = re.search(r" trace=([0-9a-f]{32}) ", access)[1]
    assert (found == trace) == given
    traced(lines, found, 1)

    # a message that the sweep sends anew goes on with it
    stack.jobs.update_one({"_id": bson.ObjectId(job)}, {
        "$set": {"state": "queued", "published": False, "notified": "none",
                 "updated": datetime.datetime(2020, 1, 1)},
        "$unset": {"mp3_fid": 1, "mp3_size": 1}})
    sweep = spawn("v2m-sweep", V2M_SWEEP_LOST="0", V2M_KEEP_VIDEO="forever")
    assert sweep.wait() == 0
    wait_for(lambda: stack.job(job)["notified"] == "sent", 60)
    traced(lines, found, 2)
