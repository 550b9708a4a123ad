"""The notifier over a real broker, store and mail server."""

import datetime
import email
import email.policy
import signal

import bson
import gridfs
import pika
import pytest

from conftest import wait_for
from notices import (  # noqa: F401, the fixtures
    mail_server, make_job, message, notifier, now, texts)


def test_ready(stack, notifier, queue, address):
    notifier(V2M_PUBLIC_URL="https://v2m.example.org/",
             V2M_MAIL_FROM="Video <video@example.net>")
    job_id = make_job(stack, address, name="Ferien äöü <1>.mp4")
    stack.publish(queue, message(job_id, address, name="x"))

    mail = stack.wait_mail(address)
    assert mail["Subject"] == "Your MP3 is ready: Ferien äöü <1>.mp4"
    assert mail["To"] == address
    assert mail["From"].addresses[0].addr_spec == "video@example.net"
    assert mail["From"].addresses[0].display_name == "Video"
    assert mail["Message-ID"] == f"<{job_id}.mp3@example.net>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert abs(mail["Date"].datetime - now()) < datetime.timedelta(seconds=60)

    link = f"https://v2m.example.org/download?fid={job_id}"
    parts = texts(mail)
    assert list(parts) == ["text/plain", "text/html"]
    assert link in parts["text/plain"]
    assert f"id is {job_id}" in parts["text/plain"]
    assert "Ferien äöü <1>.mp4" in parts["text/plain"]
    assert f'href="{link}"' in parts["text/html"]
    assert "Ferien äöü &lt;1&gt;.mp4" in parts["text/html"]
    assert not mail.defects and not any(p.defects for p in mail.walk())

    wait_for(lambda: stack.job(job_id)["notified"] == "sent")
    wait_for(lambda: stack.depth(queue) == 0)


def test_failed(stack, notifier, queue, address):
    notifier()
    job_id = make_job(stack, address, state="failed", mp3_fid=None,
                      reason="the file has no audio track")
    stack.publish(queue, message(job_id, address, error="x", name="x"))

    mail = stack.wait_mail(address)
    assert mail["Subject"] == "Your video could not be converted: holiday.mp4"
    for text in texts(mail).values():
        assert "the file has no audio track" in text
        assert "upload it again" in text.replace("\n", " ")
        assert job_id in text
        assert "/download" not in text
    wait_for(lambda: stack.job(job_id)["notified"] == "sent")


@pytest.mark.parametrize("name, shown", [
    ("Ünïcödé 日本語 🎵 العربية.mp4", "Ünïcödé 日本語 🎵 العربية.mp4"),
    ("ä" * 300, "ä" * 150),
    ("a\r\nBcc: victim@example.org\r\n\r\nhello", None),
    ("a\r\n.\r\nMAIL FROM:<evil@example.org>\r\n", None),
    ("=?utf-8?q?=0d=0aBcc:_victim@example.org?=",
     "=?utf-8?q?=0d=0aBcc:_victim@example.org?="),
    ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ("\x1b[31m\x85\u2028x", None),
], ids=["unicode", "long", "header", "mail", "disguise", "markup", "control"])
def test_name(stack, notifier, queue, address, mail_server, name, shown):
    """S14: whatever its name, a file makes no header, no mail and no markup."""
    server = mail_server()
    notifier(V2M_SMTP_URL=server.url)
    job_id = make_job(stack, address, name=name, state="failed",
                      mp3_fid=None, reason=f"because of {name}")
    stack.publish(queue, message(job_id, address, name=name))

    wait_for(lambda: stack.job(job_id)["notified"] == "sent")
    assert len(server.mails) == 1
    mail = email.message_from_bytes(server.mails[0],
                                    policy=email.policy.default)
    assert sorted(mail.keys()) == [
        "Auto-Submitted", "Content-Type", "Date", "From", "MIME-Version",
        "Message-ID", "Subject", "To"]
    assert mail["To"] == address
    assert not mail.defects and not any(p.defects for p in mail.walk())
    parts = texts(mail)
    assert "<script" not in parts["text/html"]
    for text in (mail["Subject"], *parts.values()):
        assert not any(ord(c) < 32 and c != "\n" or 127 <= ord(c) < 160
                       for c in text)
    if shown is not None:
        assert mail["Subject"].endswith(f": {shown}")
        assert shown in parts["text/plain"].replace("\n", "")


def test_once(stack, notifier, queue, address):
    """F10: the same message, many times, to two notifiers: one mail."""
    notifier()
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    wait_for(lambda: stack.job(job_id)["notified"] == "sent")

    notifier()
    for _ in range(10):
        stack.publish(queue, message(job_id, address))
    wait_for(lambda: stack.depth(queue) == 0)

    marker = make_job(stack, f"marker-{address}")
    stack.publish(queue, message(marker, f"marker-{address}"))
    stack.wait_mail(f"marker-{address}")
    assert len([m for m in stack.mails(address)
                if m["To"] == address]) == 1
    assert not stack.depth(f"{queue}.dead")


def put_mp3(stack, content=b"mp3" * 1000):
    return gridfs.GridFS(stack.mongo["mp3s"]).put(content)


def test_foreign_converter_without_record(stack, notifier, queue, address):
    """What the tutorial's converter sends for a video that its own gateway
    took leads to a mail, and to a record that our gateway can serve."""
    notifier()
    mp3 = put_mp3(stack)
    video = str(bson.ObjectId())
    stack.publish(queue, message(video, address, str(mp3)))

    mail = stack.wait_mail(address)
    assert mail["Subject"] == "Your MP3 is ready"
    assert f"/download?fid={video}" in texts(mail)["text/plain"]

    wait_for(lambda: stack.job(video)["notified"] == "sent")
    job = stack.job(video)
    assert job["state"] == "ready"
    assert job["mp3_fid"] == mp3
    assert job["mp3_size"] == 3000
    assert job["username"] == address


@pytest.mark.parametrize("state", ["queued", "converting"])
def test_foreign_converter_with_record(stack, notifier, queue, address, state):
    """It does not commit its MP3 to the record of our gateway's upload."""
    notifier()
    mp3 = put_mp3(stack)
    job_id = make_job(stack, address, state=state, mp3_fid=None, mp3_size=None)
    stack.publish(queue, message(job_id, address, str(mp3)))

    assert "holiday.mp4" in stack.wait_mail(address)["Subject"]
    wait_for(lambda: stack.job(job_id)["notified"] == "sent")
    assert stack.job(job_id)["state"] == "ready"
    assert stack.job(job_id)["mp3_fid"] == mp3


@pytest.mark.parametrize("state", ["queued", "converting"])
def test_failure_that_is_tried_anew(stack, notifier, queue, address, state):
    """Its message came late: it must not fail the job once more."""
    program = notifier()
    job_id = make_job(stack, address, state=state, mp3_fid=None)
    stack.publish(queue, message(job_id, address, error="why", version=1))
    program.wait_log(f"no mail: the job is {state} again")
    wait_for(lambda: stack.depth(queue) == 0)
    assert stack.job(job_id)["state"] == state
    assert stack.job(job_id)["notified"] == "none"
    assert not stack.mails(address)


def test_foreign_message_on_a_classic_queue(stack, notifier, queue, address):
    """A queue that was there before is used as it is."""
    with stack.amqp() as connection:
        connection.channel().queue_declare(queue)
    notifier()
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    stack.wait_mail(address)
    wait_for(lambda: stack.depth(queue) == 0)


@pytest.mark.parametrize("body", [
    "no json", "", "[]", "{}", '{"video_fid": 7, "username": "a@b"}',
    '{"video_fid": "65f000000000000000000abc"}',
    '{"video_fid": "../../etc", "mp3_fid": null, "username": "a@b"}',
    '{"video_fid": 7, "padding": "' + "x" * 300000 + '"}', "[" * 100000,
], ids=lambda body: f"{len(body)}-bytes")
def test_unusable_message(stack, notifier, queue, address, body):
    """F11"""
    program = notifier()
    stack.publish(queue, body)
    wait_for(lambda: stack.depth(f"{queue}.dead") == 1)
    assert stack.get(f"{queue}.dead") == body.encode()

    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    stack.wait_mail(address)
    assert program.process.poll() is None


def test_unknown_mp3(stack, notifier, queue, address):
    notifier()
    video = str(bson.ObjectId())
    stack.publish(queue, message(video, address, str(bson.ObjectId())))
    wait_for(lambda: stack.depth(f"{queue}.dead") == 1)
    assert stack.job(video) is None
    assert not stack.mails(address)


def test_deleted_job(stack, notifier, queue, address):
    """A job that was deleted before its mail is not made anew."""
    program = notifier()
    video = str(bson.ObjectId())
    stack.publish(queue, message(video, address, str(put_mp3(stack)),
                                 version=1))
    program.wait_log("the job was deleted")
    wait_for(lambda: stack.depth(queue) == 0)
    assert stack.job(video) is None
    assert not stack.depth(f"{queue}.dead")


@pytest.mark.parametrize("username", [
    "nobody", "a@b\r\nBcc: victim@example.org", "a@b>\r\nDATA", "<a@b>",
    "müller@example.org", "ann@exämple.org", "a b@example.org",
], ids=ascii)
def test_unusable_address(stack, notifier, queue, username):
    """S14: the record's user name counts, whatever the message says."""
    program = notifier()
    before = len(stack.mails())
    job_id = make_job(stack, username)
    stack.publish(queue, message(job_id, "ann@example.org"))
    wait_for(lambda: stack.job(job_id)["notified"] == "failed")
    program.wait_log(f"{job_id}: no mail")
    wait_for(lambda: stack.depth(queue) == 0)
    assert len(stack.mails()) == before
    assert not stack.depth(f"{queue}.dead")


@pytest.mark.parametrize("settings, text", [
    ({"V2M_SMTP_URL": "http://localhost"}, "smtp://host:port"),
    ({"V2M_SMTP_USER": "u"}, "both or neither"),
    ({"V2M_SMTP_USER": "u", "V2M_SMTP_PASSWORD": "p",
      "V2M_SMTP_TLS": "never"}, "V2M_SMTP_TLS must be required"),
    ({"V2M_SMTP_TLS": "perhaps"}, "never, opportunistic or required"),
    ({"V2M_MAIL_FROM": "nobody"}, "the sender of mails must be"),
    ({"V2M_PUBLIC_URL": "ftp://x"}, "V2M_PUBLIC_URL must be"),
    ({"V2M_JOBS": "0"}, "V2M_JOBS is \"0\""),
    ({"V2M_MAIL_PATIENCE": "1y"}, "such as 90s, 30m, 12h or 7d"),
    ({"V2M_AMQP_URL": ""}, "V2M_AMQP_URL is not set"),
    ({"V2M_AMQP_URL": "nonsense"}, "amqp"),
    ({"V2M_MONGO_URI": "nonsense"}, "mongodb"),
])
def test_unusable_setting(spawn, settings, text):
    program = spawn("v2m-notifier", **settings)
    assert program.wait(10) == 1
    assert text.lower() in program.log.lower()


def test_help(spawn):
    program = spawn("v2m-notifier", "--help")
    assert program.wait(10) == 0
    for name in ("V2M_MONGO_URI", "V2M_AMQP_URL", "V2M_SMTP_URL", "MP3_QUEUE",
                 "V2M_SMTP_TLS", "V2M_MAIL_FROM", "V2M_PUBLIC_URL",
                 "V2M_JOBS", "V2M_ATTEMPTS", "V2M_DRAIN", "V2M_LOG_LEVEL",
                 "V2M_MAIL_PATIENCE"):
        assert name in program.log


def test_started_before_the_broker(stack, spawn, queue, address, relay):
    """F21"""
    way = relay(stack.env["V2M_AMQP_URL"])
    way.refuse()
    program = spawn("v2m-notifier", MP3_QUEUE=queue, V2M_AMQP_URL=way.url)
    program.wait_log("no connection to the broker, trying again")
    way.serve()
    program.wait_log("the broker is back")
    assert program.log.count("no connection to the broker") == 1

    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    stack.wait_mail(address)

    way.refuse()
    program.wait_log("no connection to the broker, trying again", count=2)
    way.serve()
    program.wait_log("the broker is back", count=2)
    other = make_job(stack, address)
    stack.publish(queue, message(other, address))
    wait_for(lambda: len(stack.mails(address)) == 2)


def test_started_before_the_store(stack, notifier, queue, address, relay):
    """F21, F6"""
    """It waits for it, however long that takes: no attempt is spent."""
    way = relay(stack.env["V2M_MONGO_URI"])
    way.refuse()
    program = notifier(V2M_MONGO_URI=way.url, V2M_ATTEMPTS=1)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    program.wait_log(f"{job_id}: waiting for the store")
    way.serve()
    stack.wait_mail(address)
    wait_for(lambda: stack.job(job_id)["notified"] == "sent")

    # and while it runs
    way.cut()
    other = make_job(stack, address)
    stack.publish(queue, message(other, address))
    wait_for(lambda: stack.job(other)["notified"] == "sent")
    assert len(stack.mails(address)) == 2


def test_store_lost_after_the_mail(stack, notifier, queue, address, relay,
                                   mail_server):
    """What cannot be noted is not sent twice."""
    way = relay(stack.env["V2M_MONGO_URI"])
    server = mail_server(
        lambda verb: way.refuse() if verb == "RCPT" else None)
    program = notifier(V2M_SMTP_URL=server.url, V2M_MONGO_URI=way.url)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    program.wait_log("mail sent")
    way.serve()
    wait_for(lambda: stack.job(job_id)["notified"] == "sent")
    wait_for(lambda: stack.depth(queue) == 0)
    assert len(server.mails) == 1


def test_queue_deleted(stack, notifier, queue, address):
    program = notifier()
    with stack.amqp() as connection:
        connection.channel().queue_delete(queue)
    program.wait_log("the broker ended consuming")
    wait_for(lambda: stack.depth(queue) == 0)

    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    stack.wait_mail(address)


def test_stop_gives_back(stack, notifier, queue, address, mail_server):
    """F18: SIGTERM while the mail server hangs: the message goes back."""
    server = mail_server(lambda verb: "hang" if verb == "MAIL" else None)
    program = notifier(V2M_SMTP_URL=server.url, V2M_DRAIN=0)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    wait_for(lambda: "mail_until" in stack.job(job_id))

    assert program.stop(20) == 0
    wait_for(lambda: stack.depth(queue) == 1)
    assert stack.job(job_id)["notified"] == "none"
    assert "mail_until" not in stack.job(job_id)


def test_second_signal(stack, notifier, queue, address, mail_server):
    server = mail_server(lambda verb: "hang" if verb == "MAIL" else None)
    program = notifier(V2M_SMTP_URL=server.url, V2M_DRAIN=600)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    wait_for(lambda: "mail_until" in stack.job(job_id))

    program.signal(signal.SIGTERM)
    program.wait_log("told to stop, 1 under way")
    program.signal(signal.SIGTERM)
    assert program.wait(5) == 128 + signal.SIGTERM
    wait_for(lambda: stack.depth(queue) == 1)


def test_other_readers_ignore_our_queue_type(stack, notifier, queue):
    """The queue we make is durable, has a limit, and its dead letters."""
    notifier(V2M_ATTEMPTS=7)
    with stack.amqp() as connection:
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as refused:
            connection.channel().queue_declare(queue, durable=True)
        assert "inequivalent arg" in str(refused.value)
    with stack.amqp() as connection:
        connection.channel().queue_declare(queue, durable=True, arguments={
            "x-queue-type": "quorum", "x-delivery-limit": 7,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": f"{queue}.dead",
        })
