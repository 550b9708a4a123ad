"""Our programs beside those of the well-known Python tutorial stack: each of
its services works with the rest of ours, through the same queues, the same
GridFS buckets, the same tokens.

What it does is written here as its own code does it, with gridfs and pika.
"""

import base64
import datetime
import hashlib
import hmac
import json
import subprocess
import tempfile
import uuid

import bson
import gridfs
import pika
import pytest

import checks
from client import Client, add_user
from conftest import wait_for
from local import local_stack

pytestmark = pytest.mark.both


class Queues:
    """A pair of queues as the tutorial has them made: durable, classic,
    without arguments."""

    def __init__(self, stack):
        self.stack = stack
        self.video = f"video-{uuid.uuid4().hex[:12]}"
        self.mp3 = f"mp3-{uuid.uuid4().hex[:12]}"
        with stack.amqp() as connection:
            channel = connection.channel()
            channel.queue_declare(queue=self.video, durable=True)
            channel.queue_declare(queue=self.mp3, durable=True)

    @property
    def settings(self):
        return {"VIDEO_QUEUE": self.video, "MP3_QUEUE": self.mp3}

    def delete(self):
        for name in (self.video, self.mp3):
            self.stack.delete(name)
            self.stack.delete(f"{name}.dead")


@pytest.fixture(scope="module")
def queues(stack):
    made = Queues(stack)
    yield made
    made.delete()


@pytest.fixture(scope="module")
def gateway(stack, queues, tmp_path_factory):
    """A gateway of ours that publishes to these queues, for the same store
    and users as the stack's; a client of it."""
    names = ("V2M_MONGO_URI", "V2M_AMQP_URL", "MYSQL_HOST", "MYSQL_PORT",
             "MYSQL_USER", "MYSQL_PASSWORD", "MYSQL_DB", "JWT_SECRET_FILE")
    settings = {name: stack.env[name] for name in names}
    with local_stack(tmp_path_factory.mktemp("gateway"), "gateway",
                     **settings, **queues.settings) as started:
        user = add_user(stack, f"{uuid.uuid4().hex[:12]}@example.org")
        yield Client(started.url, user.user, user.password, user.token)
        user.delete_all()


@pytest.fixture
def converter(spawn, queues):
    return spawn("v2m-converter", **queues.settings)


@pytest.fixture
def notifier(spawn, queues):
    return spawn("v2m-notifier", **queues.settings)


# The tutorial's programs


class Tutorial:
    def __init__(self, stack, queues):
        self.stack = stack
        self.queues = queues
        self.videos = gridfs.GridFS(stack.mongo["videos"])
        self.mp3s = gridfs.GridFS(stack.mongo["mp3s"])

    def publish(self, queue, message):
        with self.stack.amqp() as connection:
            connection.channel().basic_publish(
                exchange="", routing_key=queue, body=json.dumps(message),
                properties=pika.BasicProperties(
                    delivery_mode=pika.spec.PERSISTENT_DELIVERY_MODE))

    def upload(self, file, username, **arguments):
        """Its gateway, in upload()."""
        fid = self.videos.put(file, **arguments)
        self.publish(self.queues.video, {
            "video_fid": str(fid), "mp3_fid": None, "username": username})
        return str(fid)

    def consume(self, queue, callback):
        """One message, as its converter and its notifier take it."""
        with self.stack.amqp() as connection:
            channel = connection.channel()
            for method, _, body in channel.consume(queue,
                                                   inactivity_timeout=20):
                assert method is not None, f"no message in {queue}"
                result = callback(body)
                channel.basic_ack(delivery_tag=method.delivery_tag)
                return result

    def convert(self, body):
        """Its converter, in to_mp3.start()."""
        message = json.loads(body)
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.videos.get(
                bson.ObjectId(message["video_fid"])).read())
            file.flush()
            mp3 = subprocess.run(
                ["ffmpeg", "-v", "error", "-i", file.name, "-f", "mp3", "-"],
                check=True, stdout=subprocess.PIPE).stdout
        fid = self.mp3s.put(mp3)
        message["mp3_fid"] = str(fid)
        self.publish(self.queues.mp3, message)
        return message, mp3

    def notify(self, body):
        """Its notifier, in email.notification(); returns what it reads."""
        message = json.loads(body)
        return message["mp3_fid"], message["username"], message


@pytest.fixture(scope="module")
def tutorial(stack, queues):
    return Tutorial(stack, queues)


def mail_of(stack, job_id, address):
    wait_for(lambda: stack.job(job_id)["notified"] == "sent")
    mail, = [mail for mail in stack.mails(address)
             if job_id in mail["Message-ID"]]
    return mail


# Each of its services among ours


@pytest.mark.parametrize("size", [None, 1000, 65537, 1024 * 1024,
                                  8 * 1024 * 1024])
def test_its_gateway(stack, tutorial, gateway, converter, notifier, size):
    arguments = {} if size is None else {"chunkSize": size}
    with open(checks.clip(), "rb") as file:
        fid = tutorial.upload(file, gateway.user, **arguments)

    wait_for(lambda: fid in [job["id"] for job in gateway.jobs()])
    job = gateway.ready(fid)
    checks.check_mp3(gateway.mp3(fid), 1, checks.CLIP)
    assert abs(job["duration"] - 1) <= 0.030
    assert fid in [entry["id"] for entry in gateway.jobs()]

    mail = mail_of(stack, fid, gateway.user)
    assert mail["Subject"].startswith("Your MP3 is ready")
    assert f"/download?fid={fid}" in mail.get_body(("plain",)).get_content()

    # which its download() hands out
    assert tutorial.mp3s.get(bson.ObjectId(job["mp3_fid"])).read() == \
        gateway.mp3(fid)


def test_its_gateway_with_a_name(tutorial, gateway, converter, notifier):
    fid = tutorial.upload(checks.clip().read_bytes(), gateway.user,
                          filename="Holiday.mp4")
    wait_for(lambda: fid in [job["id"] for job in gateway.jobs()])
    assert gateway.ready(fid)["name"] == "Holiday.mp4"
    assert gateway.download(fid).headers["Content-Disposition"] == \
        'attachment; filename="Holiday.mp3"'


def test_a_gateway_of_a_later_release(stack, tutorial, gateway, converter,
                                      notifier):
    """Fields that nobody here knows, in the record and in the message, are no
    reason not to convert, and those of the record stay."""
    now = datetime.datetime.now(datetime.timezone.utc)
    with open(checks.clip(), "rb") as file:
        video = tutorial.videos.put(file, later="field")
    later = {"version": 99, "later": {"list": [1, None, {"word": "kept"}]}}
    stack.mongo["v2m"]["jobs"].insert_one({
        "_id": video, "username": gateway.user, "state": "queued",
        "notified": "none", "published": True, "created": now, "updated": now,
        "options": {"bitrate": 64, "later": True}, **later})
    tutorial.publish(tutorial.queues.video, {
        "video_fid": str(video), "mp3_fid": None, "username": gateway.user,
        "name": "a.mp4", **later})

    fid = str(video)
    wait_for(lambda: fid in [job["id"] for job in gateway.jobs()])
    assert gateway.ready(fid)["options"]["bitrate"] == 64
    checks.check_mp3(gateway.mp3(fid), 1, checks.CLIP)
    mail_of(stack, fid, gateway.user)

    record = stack.job(fid)
    assert {name: record[name] for name in later} == later
    assert record["options"]["later"] is True


def test_its_gateway_with_no_video(stack, tutorial, gateway, converter,
                                   notifier):
    fid = tutorial.upload(b"no video at all", gateway.user)
    wait_for(lambda: fid in [job["id"] for job in gateway.jobs()])
    job = gateway.wait(fid, "failed")
    mail = mail_of(stack, fid, gateway.user)
    assert job["reason"] in " ".join(
        mail.get_body(("plain",)).get_content().split())


def test_its_gateway_deletes(stack, tutorial, gateway, converter, notifier):
    """A job of its gateway is deleted like one of ours."""
    fid = tutorial.upload(checks.clip().read_bytes(), gateway.user)
    wait_for(lambda: fid in [job["id"] for job in gateway.jobs()])
    job = gateway.ready(fid)
    gateway.delete(fid).expect(204)
    assert not tutorial.videos.exists(bson.ObjectId(fid))
    assert not tutorial.mp3s.exists(bson.ObjectId(job["mp3_fid"]))


def test_its_messages_that_lead_nowhere(stack, tutorial, gateway, converter,
                                        notifier):
    """In a queue without dead letters they are dropped, and the queue goes
    on."""
    tutorial.publish(tutorial.queues.video, "no object")
    tutorial.publish(tutorial.queues.video, {
        "video_fid": str(bson.ObjectId()), "mp3_fid": None,
        "username": gateway.user})
    fid = tutorial.upload(checks.clip().read_bytes(), gateway.user)
    wait_for(lambda: fid in [job["id"] for job in gateway.jobs()])
    gateway.ready(fid)
    wait_for(lambda: stack.depth(tutorial.queues.video) == 0)


@pytest.mark.parametrize("multipart", [True, False])
def test_its_converter(stack, tutorial, gateway, notifier, multipart):
    video = checks.clip()
    job = gateway.upload(video, multipart=multipart)
    message, mp3 = tutorial.consume(tutorial.queues.video, tutorial.convert)
    assert message["video_fid"] == job["id"]
    assert message["username"] == gateway.user
    assert tutorial.videos.get(bson.ObjectId(job["id"])).read() == \
        video.read_bytes()

    job = gateway.ready(job["id"])
    assert job["mp3_fid"] == message["mp3_fid"]
    assert job["mp3_size"] == len(mp3)
    assert job["duration"] is None
    assert gateway.mp3(job["id"]) == mp3
    assert gateway.mp3(job["mp3_fid"]) == mp3
    part = gateway.download(job["id"], {"Range": "bytes=100-199"}).expect(206)
    assert part.body == mp3[100:200]
    assert mail_of(stack, job["id"], gateway.user)["Subject"].endswith(
        video.name)


def test_its_notifier(stack, tutorial, gateway, converter):
    job = gateway.upload(checks.clip())
    fid, username, message = tutorial.consume(tutorial.queues.mp3,
                                              tutorial.notify)
    assert username == gateway.user
    assert message["video_fid"] == job["id"]
    mp3 = tutorial.mp3s.get(bson.ObjectId(fid)).read()
    checks.check_mp3(mp3, 1, checks.CLIP)
    assert gateway.ready(job["id"])["mp3_fid"] == fid
    assert gateway.mp3(fid) == mp3


def test_its_gateway_asks_us_who_is_who(stack, gateway):
    """auth_svc/access.py and auth/validate.py."""
    user = Client(stack.url, gateway.user, gateway.password)

    def login():
        answer = user.request("POST", "/login", headers=user.basic())
        return None if answer.status == 429 else answer

    answer = wait_for(login, 30, 0.5)
    assert answer.status == 200
    token = answer.body.decode()

    answer = user.request("POST", "/validate", headers={
        "Authorization": f"Bearer {token}"})
    assert answer.status == 200
    access = json.loads(answer.body)
    assert access["username"] == gateway.user
    assert access["admin"] is False

    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        assert user.request("POST", "/validate",
                            headers=headers).status == 401


def test_a_token_of_its_auth_service(stack, gateway):
    """createJWT(): PyJWT, HS256, the shared secret."""
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    now = datetime.datetime.now(tz=datetime.timezone.utc)
    with open(stack.env["JWT_SECRET_FILE"], "rb") as file:
        secret = file.read().strip()
    text = b".".join((
        part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()),
        part(json.dumps({
            "username": gateway.user,
            "exp": int((now + datetime.timedelta(days=1)).timestamp()),
            "iat": int(now.timestamp()),
            "admin": True,
        }).encode())))
    token = b".".join((text, part(hmac.digest(secret, text, hashlib.sha256))))

    user = Client(gateway.url, token=token.decode())
    job = user.upload(checks.clip())
    assert job["id"] in [entry["id"] for entry in gateway.jobs()]
    assert user.request("POST", "/validate").expect(200).json()["admin"]
