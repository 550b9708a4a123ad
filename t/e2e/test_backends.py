"""Each backend away, at the start or later: what still works, what is told,
and that all works again without a restart.  A stack of its own is used, so
that its servers can be stopped."""

import concurrent.futures
import contextlib
import os
import uuid

import pytest

import checks
from client import Client, add_user
from conftest import wait_for
from local import local_stack

# half of it is the servers' start
pytestmark = pytest.mark.release_only

SERVICES = ("gateway", "converter", "notifier", "sweep")
SERVERS = ("mongo", "rabbitmq", "mariadb", "smtp")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with local_stack(tmp_path_factory.mktemp("backends"),
                     V2M_SWEEP_UNPUBLISHED="2") as started:
        yield started


@pytest.fixture(scope="module")
def user(own):
    return add_user(own, f"{uuid.uuid4().hex[:12]}@example.org")


@contextlib.contextmanager
def away(own, *names):
    """The programs must be the same afterwards as before."""
    before = [own.pid(name) for name in SERVICES]
    own.ctl("stop", *names)
    try:
        yield
    finally:
        own.ctl("start", *names)
    assert [own.pid(name) for name in SERVICES] == before
    assert own.ctl("status").returncode == 0


@pytest.fixture
def log(own):
    """log(NAME): what the program said since the test began."""
    def path(name):
        return own.run / "logs" / f"{name}.log"

    begin = {name: path(name).stat().st_size for name in SERVICES}

    def read(name):
        return checks.untraced(path(name).read_bytes()[begin[name]:].decode(
            errors="replace"))

    return read


def unavailable(answer):
    answer.expect(503)
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.detail


def readiness(client):
    answer = client.request("GET", "/readyz")
    return answer.status, answer.json()["status"]


def works(own, user):
    """The whole way of a video, the mail included."""
    job = user.ready(user.upload(checks.clip())["id"])
    checks.check_mp3(user.mp3(job["id"]), 1, checks.CLIP)
    told_once(own, job["id"])
    # each process of nginx finds the broker again for itself
    wait_for(lambda: readiness(user) == (200, "ready"), 30,
             what="all to be ready")
    return job


def told_once(own, job_id, timeout=60):
    wait_for(lambda: own.job(job_id)["notified"] == "sent", timeout,
             what="the mail")
    assert len([mail for mail in own.mails()
                if job_id in mail["Message-ID"]]) == 1


def test_store_away(own, user, log):
    """F6: 503, and all works again by itself."""
    job = works(own, user)
    with away(own, "mongo"):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answers = [
                pool.submit(user.request, "GET", "/jobs"),
                pool.submit(user.request, "GET", f"/jobs/{job['id']}"),
                pool.submit(user.delete, job["id"]),
                pool.submit(user.download, job["id"]),
                pool.submit(user.post, checks.clip()),
                pool.submit(user.post, checks.clip(), multipart=True),
            ]
        for answer in answers:
            unavailable(answer.result())
        assert readiness(user) == (503, "unavailable")
        user.request("GET", "/healthz").expect(200)
        Client(own.url, user.user, user.password).login()
        assert "MongoDB" in log("gateway")

    wait_for(lambda: user.request("GET", "/jobs").status == 200, 30)
    assert user.mp3(job["id"])
    works(own, user)


def test_store_dies_while_uploading(own, user, spawn):
    """F5: nothing of it is left once the sweep has passed."""
    data = os.urandom(4 * 1024 * 1024)
    before = checks.stored(own, "videos")

    def left():
        return checks.stored(own, "videos") - before

    def body():
        yield data[:len(data) // 2]
        wait_for(left, what="the first chunks")
        own.stop("mongo")
        yield data[len(data) // 2:]

    try:
        unavailable(user.request("POST", "/upload", body(), {
            "Content-Length": str(len(data))}))
    finally:
        own.start("mongo")

    for job_id in left():
        assert own.count("videos", job_id)[0] == 0
        record = own.job(job_id)
        assert record is None or record["state"] == "uploading"

    # the gateway itself may be just about to
    sweep = spawn("v2m-sweep", **own.env, V2M_SWEEP_UPLOADS=0)
    assert sweep.wait() == 0
    wait_for(lambda: not left())
    assert own.jobs.count_documents({"state": "uploading"}) == 0
    works(own, user)


def test_broker_away(own, user, log):
    """F1: the upload is accepted, and published when the broker is back."""
    with away(own, "rabbitmq"):
        job = user.upload(checks.clip())
        record = own.job(job["id"])
        assert record["state"] == "queued" and not record["published"]
        assert readiness(user) == (200, "degraded")
        assert user.job(job["id"])["state"] == "queued"
        assert "RabbitMQ takes no messages" in log("gateway")
        assert "no connection to the broker" in log("converter")
        assert "no connection to the broker" in log("notifier")

    user.ready(job["id"], 60)
    assert own.job(job["id"])["published"]
    told_once(own, job["id"])
    wait_for(lambda: readiness(user) == (200, "ready"), 30)
    works(own, user)
    assert log("converter").count("the broker is back") == 1
    assert log("notifier").count("the broker is back") == 1


def test_users_away(own, user, log):
    """F17: no login, but tokens are good."""
    with away(own, "mariadb"):
        guest = Client(own.url, user.user, user.password)

        def login():
            answer = guest.request("POST", "/login", headers=guest.basic())
            return None if answer.status == 429 else answer

        unavailable(wait_for(login, 30, 0.5))
        assert readiness(user) == (200, "degraded")
        user.request("POST", "/validate").expect(200)
        job = user.ready(user.upload(checks.clip())["id"])
        told_once(own, job["id"])
        assert "MariaDB" in log("gateway") or "MySQL" in log("gateway")

    Client(own.url, user.user, user.password).login()
    works(own, user)


def test_mail_server_away(own, user, log):
    """F15: the job is done meanwhile, and its mail comes later."""
    with away(own, "smtp"):
        job = user.ready(user.upload(checks.clip())["id"])
        wait_for(lambda: f"{job['id']}: mail not sent yet" in log("notifier"))
        assert user.job(job["id"])["notified"] == "none"
        assert readiness(user) == (200, "ready")
    told_once(own, job["id"])
    works(own, user)


def test_everything_away(own, user):
    with away(own, *SERVERS):
        assert readiness(user) == (503, "unavailable")
        user.request("GET", "/healthz").expect(200)
    wait_for(lambda: readiness(user) == (200, "ready"), 60)
    works(own, user)


def test_programs_before_their_servers(own, user, tmp_path):
    """F21: whoever is first waits for the others."""
    settings = {name: own.env[name] for name in (
        "V2M_MONGO_URI", "V2M_AMQP_URL", "V2M_SMTP_URL", "V2M_MAILDIR",
        "MYSQL_HOST", "MYSQL_PORT", "MYSQL_USER", "MYSQL_PASSWORD",
        "MYSQL_DB", "JWT_SECRET_FILE")}
    own.ctl("stop", *SERVICES, *SERVERS)
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            later = pool.submit(start_servers, own, tmp_path / "logs")
            with local_stack(tmp_path, *SERVICES, **settings) as started:
                later.result()
                works(own, Client(started.url, token=user.token))
    finally:
        own.ctl("start", *SERVERS, *SERVICES)
    works(own, user)


def start_servers(own, logs):
    """Once the programs have said that they wait."""
    def told():
        return all(
            words in path.read_text() for path, words in (
                (logs / "gateway.log", "RabbitMQ takes no messages"),
                (logs / "converter.log", "no connection to the broker"),
                (logs / "notifier.log", "no connection to the broker"))
            if path.exists())

    wait_for(lambda: (logs / "notifier.log").exists() and told(), 60)
    own.ctl("start", *SERVERS)
