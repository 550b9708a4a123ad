"""Resumable uploads by the clients that people use, through cuts and restarts.

TUS_SEED (1) draws where connections are cut.
"""

import base64
import concurrent.futures
import datetime
import hashlib
import http.client
import json
import os
import random
import shutil
import subprocess
import urllib.parse
import uuid

import bson
import gridfs
import pytest

import checks
from client import add_user
from conftest import ROOT, wait_for
from test_page import browser  # noqa: F401

# t/tus.t runs with the sanitizers
pytestmark = pytest.mark.release_only

SIZE = 2_500_000
PIECE = {"Tus-Resumable": "1.0.0",
         "Content-Type": "application/offset+octet-stream"}
TUSPY, = (ROOT / "build" / "resumable").glob("bin/python")
TUS_JS = ROOT / "t" / "e2e" / "assets" / "tus.min.js"


@pytest.fixture(scope="module")
def user(stack):
    return add_user(stack, f"{uuid.uuid4().hex[:12]}@example.org")


@pytest.fixture
def chance():
    return random.Random(int(os.environ.get("TUS_SEED", "1")))


@pytest.fixture
def file(tmp_path, chance):
    path = tmp_path / "talk.mp4"
    path.write_bytes(chance.randbytes(SIZE))
    return path


def create(user, length, **headers):
    answer = user.request("POST", "/tus/", headers={
        **PIECE, "Upload-Length": str(length), **headers}, body=b"")
    return answer.expect(201).headers["Location"]


def head(user, path):
    return user.request("HEAD", path, headers=PIECE)


def offset(user, path):
    return int(head(user, path).expect(200).headers["Upload-Offset"])


def send(user, path, at, body, **headers):
    return user.request("PATCH", path, body, {
        **PIECE, "Upload-Offset": str(at), **headers})


def begin(user, path, at, length, body):
    """A PATCH of that length, of which only so much is sent yet."""
    address = urllib.parse.urlsplit(user.url)
    connection = http.client.HTTPConnection(address.hostname, address.port,
                                            timeout=60)
    connection.putrequest("PATCH", path)
    for name, value in {**PIECE, "Upload-Offset": at, "Content-Length": length,
                        "Authorization": f"Bearer {user.token}"}.items():
        connection.putheader(name, str(value))
    connection.endheaders()
    connection.send(body)
    return connection


def is_stored(stack, job_id, content):
    """The file is as GridFS has it, and nothing else is left of the upload."""
    found = gridfs.GridFS(stack.mongo["videos"]).get(bson.ObjectId(job_id))
    assert found.length == len(content)
    assert hashlib.sha256(found.read()).digest() == \
        hashlib.sha256(content).digest()
    chunks = -(-len(content) // found.chunk_size)
    assert stack.count("videos", job_id) == (1, chunks)
    assert stack.count("videos", str(stack.job(job_id)["tus_tails"])) == (0, 0)


class Tuspy:
    """A program that uploads, and goes on when it is cut."""

    def __init__(self, user, file, chunk, checksum=False, upload=None,
                 url=None):
        self.process = subprocess.Popen(
            [TUSPY, ROOT / "t" / "e2e" / "resumable.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "no_proxy": "*"}, text=True)
        json.dump({"address": f"{url or user.url}/tus/", "token": user.token,
                   "file": str(file), "chunk": chunk, "checksum": checksum,
                   "upload": upload, "metadata": {"filename": file.name}},
                  self.process.stdin)
        self.process.stdin.close()
        self.upload = self.process.stdout.readline().strip()
        self.id = self.upload.rpartition("/")[2]

    def done(self):
        with self.process:
            assert self.process.wait(60) == 0


@pytest.fixture
def gateway(stack, relay):
    """A way to the gateway that can be cut, and its address."""
    way = relay(stack.url)
    return way, way.url


def test_a_video(stack, user, tmp_path):
    """The whole way, by tuspy."""
    path = tmp_path / "a b.mp4"
    shutil.copy(checks.clip(), path)
    upload = Tuspy(user, path, 10_000, checksum=True)
    upload.done()
    job = user.ready(upload.id)
    assert job["name"] == "a b.mp4"
    checks.check_mp3(user.mp3(job["id"]), 1, checks.CLIP)


@pytest.mark.parametrize("checksum", [False, True])
def test_cut_at_random_bytes(stack, user, file, chance, gateway, checksum):
    """F7: tuspy goes on each time, and the file is as it was."""
    way, url = gateway
    cuts = sorted(chance.randrange(1, SIZE) for _ in range(4))
    upload = Tuspy(user, file, 800_000, checksum, url=url)
    base = way.carried["up"]
    for cut in cuts:
        wait_for(lambda: way.carried["up"] - base >= cut
                 or upload.process.poll() is not None, 30, 0.001)
        way.cut()
    upload.done()
    assert head(user, f"/tus/{upload.id}").headers["V2M-Job"] == upload.id
    is_stored(stack, upload.id, file.read_bytes())


def test_restarts(stack, user, file):
    """F5, F6, F8: what is told as stored survives the gateway and the store."""
    content = file.read_bytes()
    path = create(user, SIZE)
    job = path.rpartition("/")[2]

    connection = begin(user, path, 0, SIZE, content[:1_000_000])
    known = wait_for(lambda: offset(user, path), what="some bytes to be noted")
    stack.ctl("stop", "mongo")
    try:
        connection.send(content[1_000_000:2_000_000])
        assert connection.getresponse().status == 503
    finally:
        connection.close()
        stack.ctl("start", "mongo")
    wait_for(lambda: head(user, path).status == 200, 30, what="the store")
    assert known <= offset(user, path) <= 2_000_000

    def taken():
        at = offset(user, path)
        answer = send(user, path, at, content[at:at + 300_001])
        return answer.status == 204

    wait_for(taken, 30, 0.5, what="the lease to run out")
    known = offset(user, path)
    connection = begin(user, path, known, SIZE - known,
                       content[known:known + 500_000])
    wait_for(lambda: offset(user, path) > known, what="a note")
    known = offset(user, path)
    stack.ctl("restart", "gateway")
    connection.close()
    assert known <= offset(user, path) <= known + 500_000

    upload = Tuspy(user, file, 400_000, upload=user.url + path)
    upload.done()
    is_stored(stack, job, content)


def test_two_at_once(stack, user, chance):
    """One of them; its bytes are not mixed with the other's."""
    both = [chance.randbytes(SIZE // 3) for _ in range(2)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for _ in range(3):
            path = create(user, len(both[0]))
            answers = [pool.submit(send, user, path, 0, body) for body in both]
            answers = [answer.result() for answer in answers]
            won, = [i for i, answer in enumerate(answers)
                    if answer.status == 204]
            assert answers[1 - won].status in (409, 423)
            is_stored(stack, answers[won].headers["V2M-Job"], both[won])


def test_wrong_checksum(stack, user, file):
    content = file.read_bytes()
    path = create(user, SIZE)
    right = base64.b64encode(hashlib.sha256(content).digest()).decode()
    for wrong in (content[:-1] + b"x", bytes(SIZE)):
        answer = send(user, path, 0, wrong,
                      **{"Upload-Checksum": f"sha256 {right}"})
        assert "discarded" in answer.expect(460).detail
        assert offset(user, path) == 0
        assert stack.count("videos", path.rpartition("/")[2]) == (0, 0)
    answer = send(user, path, 0, content,
                  **{"Upload-Checksum": f"sha256 {right}"})
    is_stored(stack, answer.expect(204).headers["V2M-Job"], content)


def test_expired(stack, user, file, spawn, queue, no_other_sweep):
    """The sweep removes it then, and not before, however old it is."""
    content = file.read_bytes()
    path = create(user, SIZE)
    job = path.rpartition("/")[2]
    send(user, path, 0, content[:1_000_000]).expect(204)
    tails = str(stack.job(job)["tus_tails"])
    now = datetime.datetime.now(datetime.timezone.utc)

    def change(field, hours):
        stack.jobs.update_one({"_id": bson.ObjectId(job)}, {
            "$set": {field: now - datetime.timedelta(hours=hours)}})

    def sweep(*arguments):
        program = spawn("v2m-sweep", *arguments, **{
            "VIDEO_QUEUE": queue, "V2M_SWEEP_LOST": "0",
            "V2M_SWEEP_UPLOADS": "1", "V2M_KEEP_VIDEO": "forever"})
        assert program.wait(60) == 0, program.log
        return program.log

    change("created", 23)
    change("updated", 23)
    assert job not in sweep()
    assert offset(user, path) == 1_000_000

    change("tus_expires", 1)
    assert head(user, path).status == 404
    assert f"{job}: would be removed" in sweep("--dry-run")
    assert stack.count("videos", tails) == (0, 1)
    assert f"{job}: removed: a resumable upload" in sweep()
    assert stack.job(job) is None
    assert stack.count("videos", job) == (0, 0)
    assert stack.count("videos", tails) == (0, 0)


def test_of_someone_else(stack, user, address):
    """S12"""
    other = add_user(stack, address)
    path = create(user, 10)
    assert head(other, path).status == 404
    assert send(other, path, 0, b"x").status == 404
    assert other.request("DELETE", path, headers=PIECE).status == 404
    assert offset(user, path) == 0
    user.request("DELETE", path, headers=PIECE).expect(204)
    assert head(user, path).status == 404


def test_in_a_browser(stack, user, chance, browser):  # noqa: F811
    """tus-js-client, over a connection that is lost for a while."""
    def network(offline, upload=-1):
        browser.execute_cdp_cmd("Network.enable", {})
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", {
            "offline": offline, "latency": 0, "downloadThroughput": -1,
            "uploadThroughput": upload})

    network(False)
    browser.get(stack.url + "/healthz")
    # CSP is no matter here: the script comes from the test
    browser.execute_script(TUS_JS.read_text() + ";window.tus = this.tus || tus")
    network(False, 800_000)
    browser.execute_script("""
        const [token, endpoint] = arguments;
        const bytes = new Uint8Array(2000000).map((_, i) => i * 7 + (i >> 8));
        window.told = {};
        const upload = new tus.Upload(new Blob([bytes]), {
            endpoint, chunkSize: 700000, uploadDataDuringCreation: true,
            retryDelays: [0, 500, 500, 1000, 1000, 1000, 1000, 2000, 2000],
            headers: { Authorization: `Bearer ${token}` },
            metadata: { filename: "js.mp4" },
            onProgress: sent => { window.told.sent = sent; },
            onError: error => { window.told.error = String(error); },
            onSuccess: () => { window.told.url = upload.url; },
        });
        upload.start();
    """, user.token, stack.url + "/tus/")

    def told(name):
        return browser.execute_script("return window.told[arguments[0]]", name)

    wait_for(lambda: (told("sent") or 0) > 900_000, 30)
    network(True)
    network(False)
    upload = wait_for(lambda: told("url") or told("error"), 40)
    assert upload.startswith(stack.url), upload

    job = upload.rpartition("/")[2]
    assert user.job(job)["name"] == "js.mp4"
    is_stored(stack, job, bytes((i * 7 + (i >> 8)) & 255
                                for i in range(2_000_000)))
