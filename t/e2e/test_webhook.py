"""Webhooks: what a receiver gets, what the notifier does when it does not
take it, and that only public addresses are called."""

import base64
import hashlib
import hmac
import socket
import time

import pytest

import media
from client import Client
from conftest import wait_for
from notices import (  # noqa: F401, the fixtures
    hook_server, make_job, message, notifier, now)

# they wait, mostly; once is enough
KEY = "key-for-webhooks-of-32-bytes-ok!"
OLD_KEY = "the-key-before-it-of-32-bytes-ok"

LOOPBACK = {"V2M_WEBHOOK_KEY": KEY, "V2M_WEBHOOK_HTTP": "allow",
            "V2M_WEBHOOK_ALLOW": "127.0.0.1"}


def secret_of(user, key=KEY):
    digest = hmac.new(key.encode(), f"v2m webhook {user}".encode(),
                      hashlib.sha256).digest()
    return "whsec_" + base64.b64encode(digest).decode()


@pytest.fixture
def hooked(stack, notifier, queue, address):  # noqa: F811
    """hooked(URL, SETTING=...): a job whose webhook that is, and the notifier
    that is to call it."""
    def start(url, fields=(), **settings):
        own = {name: value for name, value in {
            **LOOPBACK, "V2M_WEBHOOK_KEY_FILE": "", **settings}.items()
            if value is not None}
        program = notifier(**own)
        job_id = make_job(stack, address, webhook=url, finished=now(),
                          **dict(fields))
        stack.publish(queue, message(job_id, address))
        return job_id, program

    yield start
    # in place of a mail, never beside it
    assert not stack.mails(address)


def notified(stack, job_id, state="sent", timeout=30):
    wait_for(lambda: stack.job(job_id)["notified"] == state, timeout,
             what=f"notified: {state}")
    return stack.job(job_id)


def test_whole_way(stack, hook_server, address):
    """From the option of the upload, with the secret that the gateway tells."""
    client = Client(stack.url, stack.user, stack.password).login()
    server = hook_server()
    secret = client.request("GET", "/webhooks/secret").expect(200)
    assert secret.headers["Cache-Control"] == "no-store"
    video = media.ffmpeg("hooked.mp4", *media.picture(1),
                         *media.tones(media.MONO, 1))
    mails = len(stack.mails(stack.user))

    job = client.upload(video, webhook=server.url)
    assert job["webhook"] == server.url
    wait_for(lambda: server.calls, 60)
    event = server.calls[0].verify(secret.json()["secret"])
    wait_for(lambda: client.job(job["id"])["notified"] == "sent")

    seen = client.job(job["id"])
    assert event["type"] == "job.ready"
    assert event["timestamp"].endswith("Z")
    for name in ("notified", "updated"):
        seen.pop(name), event["data"].pop(name)
    assert event["data"] == seen
    assert len(server.calls) == 1
    assert len(stack.mails(stack.user)) == mails


def test_call(stack, hooked, hook_server, address):
    server = hook_server()
    job_id, program = hooked(server.url)
    notified(stack, job_id)

    call, = server.calls
    call.verify(secret_of(address))
    assert call.path == "/hook?key=s3cret"
    assert call.headers["Content-Type"] == "application/json"
    assert call.headers["User-Agent"] == "v2m"
    assert call.id.startswith(f"msg_{job_id}_")
    assert "." not in call.id
    program.wait_log("webhook sent: the job is ready")
    # S21: neither the key nor what may be a secret in the URL
    for text in ("s3cret", KEY, secret_of(address)):
        assert text not in program.log


def test_failed_job(stack, hooked, hook_server):
    server = hook_server(lambda call: 200)
    job_id, _ = hooked(server.url, {"state": "failed", "mp3_fid": None,
                                    "reason": "the video has no sound"})
    notified(stack, job_id)
    event = server.calls[0].event
    assert event["type"] == "job.failed"
    assert event["data"]["id"] == job_id
    assert event["data"]["reason"] == "the video has no sound"


def test_key_is_changed(stack, hooked, hook_server, address):
    """While both keys are there a receiver may have either secret."""
    server = hook_server()
    job_id, _ = hooked(server.url, V2M_WEBHOOK_KEY=f"{KEY}\n{OLD_KEY}")
    notified(stack, job_id)
    server.calls[0].verify(secret_of(address))
    server.calls[0].verify(secret_of(address, OLD_KEY))
    with pytest.raises(Exception, match="No matching signature"):
        server.calls[0].verify(secret_of("someone@example.com"))


def test_over_tls(stack, hooked, hook_server, server_tls, certificate):
    """https alone, by default."""
    server = hook_server(tls=server_tls)
    job_id, _ = hooked(server.url, V2M_WEBHOOK_CA_FILE=certificate[0],
                       V2M_WEBHOOK_HTTP=None)
    notified(stack, job_id)
    assert len(server.calls) == 1


def test_unknown_authority(stack, hooked, hook_server, server_tls):
    server = hook_server(tls=server_tls)
    job_id, program = hooked(server.url)
    program.wait_log("webhook not sent yet")
    assert stack.job(job_id)["notified"] == "none"
    assert not server.calls


@pytest.mark.parametrize("trouble", [
    500, 503, (429, {"Retry-After": "2"}), "hang",
], ids=["500", "503", "429", "hang"])
def test_tried_again(stack, hooked, hook_server, address, trouble):
    """With the same id and a signature of its own, until it is taken."""
    answers = iter([trouble])
    times = []

    def answer(call):
        times.append(time.monotonic())
        return next(answers, 204)

    server = hook_server(answer)
    job_id, program = hooked(server.url, V2M_WEBHOOK_TIMEOUT=1)
    notified(stack, job_id)

    first, second = server.calls
    assert first.id == second.id
    for call in server.calls:
        call.verify(secret_of(address))
    assert program.log.count("webhook not sent yet") == 1
    assert program.log.count("webhook sent") == 1
    if isinstance(trouble, tuple):
        assert times[1] - times[0] >= 2


def test_receiver_away(stack, hooked, hook_server):
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    job_id, program = hooked(f"http://127.0.0.1:{port}/")
    program.wait_log("webhook not sent yet")
    server = hook_server(port=port)
    notified(stack, job_id)
    assert len(server.calls) == 1


@pytest.mark.parametrize("answer, reason", [
    (410, "it answered 410"),
    (400, "it answered 400"),
    (404, "it answered 404"),
    ((302, {"Location": "/elsewhere"}), "redirects are not followed"),
    ((307, {"Location": "/elsewhere"}), "redirects are not followed"),
], ids=["410", "400", "404", "302", "307"])
def test_refused(stack, hooked, hook_server, queue, answer, reason):
    """For good: the owner reads why."""
    server = hook_server(lambda call: answer)
    job_id, program = hooked(server.url)
    job = notified(stack, job_id, "failed")
    assert reason in job["notify_reason"]
    assert f"127.0.0.1:{server.port}" in job["notify_reason"]
    assert "s3cret" not in job["notify_reason"] + program.log
    wait_for(lambda: stack.depth(f"{queue}.dead") == 1)
    assert len(server.calls) == 1
    assert server.gets == 0


def test_patience(stack, hooked, hook_server, queue):
    server = hook_server(lambda call: 500)
    job_id, _ = hooked(server.url, V2M_WEBHOOK_PATIENCE="2s")
    assert "it answered 500" in notified(stack, job_id,
                                         "failed")["notify_reason"]
    wait_for(lambda: stack.depth(f"{queue}.dead") == 1)
    assert len(server.calls) >= 2
    assert len({call.id for call in server.calls}) == 1


def test_put_aside(stack, hooked, hook_server, queue):
    """For as long as the receiver asks for, without holding a message."""
    server = hook_server(lambda call: (503, {"Retry-After": "3600"}))
    job_id, _ = hooked(server.url)
    wait_for(lambda: "mail_due" in stack.job(job_id))
    due = stack.job(job_id)["mail_due"].timestamp()
    assert 3400 < due - now().replace(tzinfo=None).timestamp() < 3700
    wait_for(lambda: stack.depth(queue) == 0)


def test_no_http(stack, hooked, queue):
    """Whatever answers may be replaced by what speaks HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        job_id, program = hooked(f"http://127.0.0.1:{place.getsockname()[1]}/")
        connection, _ = place.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"220 mail.example.org ESMTP\r\n")
    program.wait_log("what answered there was not HTTP, next in")
    assert stack.job(job_id)["notified"] == "none"


def test_absurd_retry_after(stack, hooked, hook_server):
    """A number that no time can have: when the patience ends, or in six hours,
    which is as much as newer versions of libcurl give."""
    server = hook_server(lambda call: (503, {"Retry-After": str(2**63 - 1)}))
    job_id, _ = hooked(server.url, V2M_WEBHOOK_PATIENCE="1d")
    wait_for(lambda: "mail_due" in stack.job(job_id))
    due = stack.job(job_id)["mail_due"].timestamp()
    assert 6 * 3600 - 100 < due - now().replace(tzinfo=None).timestamp() < 86500
    assert len(server.calls) == 1


def test_receivers_that_hang(stack, hooked, hook_server, queue, address):
    """They keep no one else waiting for longer than one call takes."""
    server = hook_server(lambda call: "hang")
    _, program = hooked(server.url, V2M_WEBHOOK_TIMEOUT=2, V2M_JOBS=2)
    wait_for(lambda: server.calls)
    for _ in range(5):
        other = make_job(stack, address, webhook=server.url, finished=now())
        stack.publish(queue, message(other, address))
    someone = f"{queue}@example.org"
    mailed = make_job(stack, someone)
    stack.publish(queue, message(mailed, someone))

    notified(stack, mailed)
    assert len(server.calls) <= 2
    assert "calls of the same user took long" in program.log


def test_large_answer(stack, hooked, hook_server):
    """Nobody reads it."""
    server = hook_server(lambda call: (200, {}, b"x" * 10_000_000))
    job_id, _ = hooked(server.url)
    notified(stack, job_id)
    assert len(server.calls) == 1


@pytest.mark.parametrize("host, allowed", [
    ("127.0.0.1", ""),
    ("127.0.0.1", "10.0.0.0/8, ::1"),
    ("localhost", ""),
    ("2130706433", ""),
    ("0x7f.1", ""),
    ("[::ffff:127.0.0.1]", "::1"),
    ("0.0.0.0", "10.0.0.0/8"),
])
def test_private_address(stack, hooked, hook_server, queue, host, allowed):
    """S18: however it is written, nothing on a private address is called."""
    server = hook_server()
    job_id, _ = hooked(f"http://{host}:{server.port}/",
                       V2M_WEBHOOK_ALLOW=allowed)
    job = notified(stack, job_id, "failed")
    assert "private and special addresses are refused" in job["notify_reason"]
    assert "127.0.0.1 " not in job["notify_reason"]
    wait_for(lambda: stack.depth(f"{queue}.dead") == 1)
    assert not server.calls


@pytest.mark.parametrize("url", [
    "http://127.0.0.1:1/", "ftp://127.0.0.1:1/", "file:///etc/passwd",
    "gopher://127.0.0.1:1/",
])
def test_other_protocols(stack, hooked, url):
    """S18: whatever is in the record, it is https that is spoken."""
    job_id, _ = hooked(url, V2M_WEBHOOK_HTTP=None)
    assert "cannot be called" in notified(stack, job_id,
                                          "failed")["notify_reason"]


def test_no_proxy(stack, hooked, hook_server):
    """S18: the environment's proxy would connect in our place."""
    proxy, server = hook_server(), hook_server()
    job_id, _ = hooked(server.url, http_proxy=proxy.url, all_proxy=proxy.url,
                       no_proxy="")
    notified(stack, job_id)
    assert len(server.calls) == 1
    assert not proxy.calls


def test_without_a_key(stack, hooked, hook_server):
    """The operator's fault, which can be mended while it is tried again."""
    server = hook_server()
    job_id, program = hooked(server.url, V2M_WEBHOOK_KEY="")
    program.wait_log("the notifier has no V2M_WEBHOOK_KEY")
    assert stack.job(job_id)["notified"] == "none"
    assert not server.calls


@pytest.mark.parametrize("name, value", [
    ("V2M_WEBHOOK_KEY", "short"),
    ("V2M_WEBHOOK_HTTP", "yes"),
    ("V2M_WEBHOOK_ALLOW", "10.0.0.0/33"),
    ("V2M_WEBHOOK_ALLOW", "localhost"),
    ("V2M_WEBHOOK_TIMEOUT", "0"),
    ("V2M_WEBHOOK_PATIENCE", "never"),
])
def test_wrong_settings(spawn, name, value):
    program = spawn("v2m-notifier", **{"V2M_WEBHOOK_KEY_FILE": "",
                                       name: value})
    assert program.wait() == 1
    assert name in program.log
