"""The notifier over a real broker, store and mail server."""

import datetime
import email
import email.policy
import json
import signal

import bson
import gridfs
import pika
import pytest

from conftest import wait_for
from mail_server import MailServer


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def make_job(stack, address, **fields):
    """A job record as the converter leaves it."""
    job_id = bson.ObjectId()
    record = {
        "_id": job_id, "version": 1, "username": address,
        "name": "holiday.mp4", "state": "ready", "notified": "none",
        "published": True, "created": now(), "updated": now(),
        "mp3_fid": bson.ObjectId(), "mp3_size": 1000, "duration_ms": 5000,
    }
    record.update(fields)
    record = {name: value for name, value in record.items()
              if value is not None}
    stack.jobs.insert_one(record)
    return str(job_id)


def message(job_id, address, mp3_fid=None, **fields):
    return json.dumps({"video_fid": job_id, "mp3_fid": mp3_fid,
                       "username": address, **fields})


def texts(mail):
    return {part.get_content_type(): part.get_content().replace("\r\n", "\n")
            for part in mail.iter_parts()}


@pytest.fixture
def notifier(spawn, queue):
    def start(**settings):
        program = spawn("v2m-notifier", MP3_QUEUE=queue, **settings)
        program.wait_log("connected, consuming")
        return program
    return start


@pytest.fixture
def mail_server():
    servers = []

    def start(answer=lambda verb: None, **options):
        servers.append(MailServer(answer, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


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


def test_temporary_refusal(stack, notifier, queue, address, mail_server):
    """F15"""
    refusals = iter(["451 later", "451 later"])
    server = mail_server(
        lambda verb: next(refusals, None) if verb == "RCPT" else None)
    program = notifier(V2M_SMTP_URL=server.url)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))

    wait_for(lambda: stack.job(job_id)["notified"] == "sent")
    assert len(server.mails) == 1
    assert program.log.count("mail not sent yet: the mail server answered "
                             '"451 later"') == 2


@pytest.mark.parametrize("classic", [False, True])
def test_put_off_for_too_long(stack, notifier, queue, address, mail_server,
                              classic):
    """F15: after V2M_MAIL_PATIENCE the mail is given up; no attempt of the
    message is spent until then."""
    if classic:
        with stack.amqp() as connection:
            connection.channel().queue_declare(queue)
    server = mail_server(lambda verb: "451 no" if verb == "RCPT" else None)
    program = notifier(V2M_SMTP_URL=server.url, V2M_ATTEMPTS=1,
                       V2M_MAIL_PATIENCE="3s")
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))

    program.wait_log('mail not sent: the mail server answered "451 no"')
    wait_for(lambda: stack.job(job_id)["notified"] == "failed")
    assert program.log.count("mail not sent yet") >= 2
    if classic:
        wait_for(lambda: stack.depth(queue) == 0)
    else:
        wait_for(lambda: stack.depth(f"{queue}.dead") == 1)


def put_aside(stack, job_id):
    """The job once its mail is put aside: as after many tries."""
    return wait_for(lambda: [job for job in [stack.job(job_id)]
                             if "mail_due" in job])[0]


def test_put_aside(stack, no_other_sweep, notifier, spawn, queue, address,
                   mail_server):
    """F15: what is put off for long waits in the record, and the sweep sends
    its message anew when it is due."""
    answers = {"RCPT": "451 later"}
    server = mail_server(lambda verb: answers.get(verb))
    program = notifier(V2M_SMTP_URL=server.url, V2M_ATTEMPTS=1)
    job_id = make_job(stack, address, mail_tries=9, mail_since=now())
    stack.publish(queue, message(job_id, address))

    job = put_aside(stack, job_id)
    assert job["mail_tries"] == 10
    assert "mail_until" not in job
    due = job["mail_due"].replace(tzinfo=datetime.timezone.utc) - now()
    assert 240 < due.total_seconds() < 520
    wait_for(lambda: stack.depth(queue) == 0)

    # not before it is due
    settings = {"MP3_QUEUE": queue, "V2M_SWEEP_LOST": "0"}
    assert spawn("v2m-sweep", **settings).wait(60) == 0
    assert "mail_due" in stack.job(job_id)

    answers.clear()
    stack.jobs.update_one({"_id": bson.ObjectId(job_id)},
                          {"$set": {"mail_due": now()}})
    sweep = spawn("v2m-sweep", **settings)
    assert sweep.wait(60) == 0
    assert f'published to queue "{queue}"' in sweep.log
    wait_for(lambda: stack.job(job_id)["notified"] == "sent")
    assert "mail_due" not in stack.job(job_id)
    assert sum(job_id.encode() in mail for mail in server.mails) == 1
    assert not stack.depth(f"{queue}.dead")
    assert program.log.count(f"{job_id}: mail sent") == 1


def test_put_off_holds_up_nobody(stack, notifier, queue, address,
                                 mail_server):
    """F15: a domain that takes no mail for now, and many mails for it."""
    server = mail_server()
    server.answer = lambda verb: "451 later" if verb == "RCPT" \
        and server.recipient.endswith("@busy.example") else None
    notifier(V2M_SMTP_URL=server.url, V2M_JOBS=1)
    busy = f"{address.partition('@')[0]}@busy.example"
    refused = [make_job(stack, busy) for _ in range(40)]
    for job_id in refused:
        stack.publish(queue, message(job_id, busy))
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))

    wait_for(lambda: stack.job(job_id)["notified"] == "sent", timeout=40)
    assert len(server.mails) == 1
    assert {stack.job(other)["notified"] for other in refused} == {"none"}


def test_at_once(stack, notifier, queue, address, mail_server):
    """F10: two notifiers get the same messages at the same time."""
    server = mail_server()
    for _ in range(2):
        notifier(V2M_SMTP_URL=server.url)
    jobs = [make_job(stack, address) for _ in range(20)]
    for job_id in jobs:
        for _ in range(2):
            stack.publish(queue, message(job_id, address))

    wait_for(lambda: all(stack.job(job_id)["notified"] == "sent"
                         for job_id in jobs), timeout=40)
    wait_for(lambda: stack.depth(queue) == 0)
    sent = [email.message_from_bytes(mail)["Message-ID"]
            for mail in server.mails]
    assert sorted(sent) == sorted(f"<{job_id}.mp3@localhost>"
                                  for job_id in jobs)


@pytest.mark.parametrize("wakes", [False, True], ids=["killed", "frozen"])
def test_claim_is_taken_over(stack, notifier, queue, address, mail_server,
                             wakes):
    """Of a notifier that died, or stood still, in the middle of its mail;
    when it wakes up it changes nothing."""
    hangs = iter(["hang"])
    server = mail_server(
        lambda verb: next(hangs, None) if verb == "MAIL" else None)
    # one at a time: the second message is the other one's
    first = notifier(V2M_SMTP_URL=server.url, V2M_SMTP_TIMEOUT=4, V2M_JOBS=1)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    wait_for(lambda: "mail_until" in stack.job(job_id))
    first.signal(signal.SIGSTOP if wakes else signal.SIGKILL)

    second = notifier(V2M_SMTP_URL=server.url, V2M_SMTP_TIMEOUT=4)
    stack.publish(queue, message(job_id, address))
    wait_for(lambda: stack.job(job_id)["notified"] == "sent", timeout=40)
    assert second.log.count("mail sent") == 1

    if wakes:
        first.signal(signal.SIGCONT)
        first.wait_log("mail not sent yet")
        assert first.stop() == 0
        assert "mail sent" not in first.log
    assert len(server.mails) == 1
    assert stack.job(job_id)["notified"] == "sent"


@pytest.mark.parametrize("command", ["RCPT", "."])
def test_refusal_for_good(stack, notifier, queue, address, mail_server,
                          command):
    """F15"""
    server = mail_server(lambda verb: "550 5.1.1 unknown \x1b[31m"
                         if verb == command else None)
    program = notifier(V2M_SMTP_URL=server.url)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))

    wait_for(lambda: stack.job(job_id)["notified"] == "failed")
    wait_for(lambda: stack.depth(f"{queue}.dead") == 1)
    assert program.log.count("550 5.1.1 unknown \\x1b[31m") == 1


def test_refused_by_greeting(stack, notifier, queue, address, mail_server):
    """A server that wants nothing from us says nothing about the mail."""
    server = mail_server(greeting="554 5.7.1 not from you")
    program = notifier(V2M_SMTP_URL=server.url)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))

    program.wait_log('mail not sent yet: the mail server answered "554 5.7.1 '
                     'not from you"', count=2)
    assert stack.job(job_id)["notified"] == "none"


@pytest.mark.parametrize("verb", ["EHLO", "RCPT"])
def test_hang_before_data(stack, notifier, queue, address, mail_server, verb):
    hangs = iter(["hang"])
    server = mail_server(
        lambda each: next(hangs, None) if each == verb else None)
    program = notifier(V2M_SMTP_URL=server.url, V2M_SMTP_TIMEOUT=1)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))

    wait_for(lambda: stack.job(job_id)["notified"] == "sent")
    assert program.log.count("mail not sent yet") == 1
    assert len(server.mails) == 1


def test_hang_after_data(stack, notifier, queue, address, mail_server):
    """F16: the retry carries the same Message-ID, so that a reader's mail program
    shows one mail."""
    hangs = iter(["hang"])
    server = mail_server(
        lambda verb: next(hangs, None) if verb == "." else None)
    notifier(V2M_SMTP_URL=server.url, V2M_SMTP_TIMEOUT=1)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))

    wait_for(lambda: stack.job(job_id)["notified"] == "sent")
    ids = [line for mail in server.mails for line in mail.split(b"\r\n")
           if line.startswith(b"Message-ID:")]
    assert ids == [f"Message-ID: <{job_id}.mp3@localhost>".encode()] * 2


def test_connection_is_reused(stack, notifier, queue, address, mail_server):
    commands = []
    server = mail_server(commands.append)
    notifier(V2M_SMTP_URL=server.url, V2M_JOBS=1)
    jobs = [make_job(stack, address) for _ in range(5)]
    for job_id in jobs:
        stack.publish(queue, message(job_id, address))

    wait_for(lambda: len(server.mails) == 5)
    assert commands.count("EHLO") == 1


def test_kept_connection_refused(stack, notifier, queue, address,
                                 mail_server):
    """As servers do with connections that were idle for long."""
    verbs = []

    def answer(verb):
        verbs.append(verb)
        return "421 idle for too long" if verbs.count("MAIL") == 2 \
            and verb == "MAIL" else None

    server = mail_server(answer)
    program = notifier(V2M_SMTP_URL=server.url, V2M_JOBS=1)
    for count in (1, 2):
        job_id = make_job(stack, address)
        stack.publish(queue, message(job_id, address))
        wait_for(lambda: stack.job(job_id)["notified"] == "sent")
        assert len(server.mails) == count
    assert verbs.count("EHLO") == 2
    assert "not sent yet" not in program.log


def test_kept_connection_broke(stack, notifier, queue, address, relay):
    way = relay(stack.env["V2M_SMTP_URL"])
    program = notifier(V2M_SMTP_URL=way.url, V2M_JOBS=1)
    first = make_job(stack, address)
    stack.publish(queue, message(first, address))
    wait_for(lambda: stack.job(first)["notified"] == "sent")

    way.cut()
    second = make_job(stack, address)
    stack.publish(queue, message(second, address))
    wait_for(lambda: stack.job(second)["notified"] == "sent")
    assert "not sent yet" not in program.log
    assert len(stack.mails(address)) == 2


LOGIN = {"V2M_SMTP_USER": "ann", "V2M_SMTP_PASSWORD": "secret-word"}


def test_login_needs_tls(stack, notifier, queue, address, mail_server):
    """The password never goes over a connection in clear."""
    server = mail_server(auth_require_tls=False)
    program = notifier(V2M_SMTP_URL=server.url, V2M_ATTEMPTS=1, **LOGIN)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))

    program.wait_log("mail not sent yet", count=2)
    assert stack.job(job_id)["notified"] == "none"
    assert not server.logins and not server.mails
    assert "secret-word" not in program.log


@pytest.mark.parametrize("implicit", [False, True])
def test_login(stack, notifier, queue, address, mail_server, server_tls,
               certificate, implicit):
    if implicit:
        server = mail_server(tls=server_tls, auth_require_tls=False)
        url = f"smtps://localhost:{server.port}"
    else:
        server = mail_server(tls_context=server_tls, require_starttls=True,
                             auth_required=True)
        url = f"smtp://localhost:{server.port}"
    program = notifier(V2M_SMTP_URL=url, V2M_SMTP_CA_FILE=certificate[0],
                       **LOGIN)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))

    wait_for(lambda: stack.job(job_id)["notified"] == "sent")
    assert server.logins == [("ann", "secret-word")]
    assert len(server.mails) == 1
    assert "secret-word" not in program.log


def test_refused_login(stack, notifier, queue, address, mail_server,
                       server_tls, certificate):
    """The operator's fault, not the mail's: tried again."""
    server = mail_server(tls_context=server_tls, auth_required=True)
    program = notifier(V2M_SMTP_URL=f"smtp://localhost:{server.port}",
                       V2M_SMTP_CA_FILE=certificate[0], V2M_ATTEMPTS=1,
                       V2M_SMTP_USER="ann", V2M_SMTP_PASSWORD="wrong-word")
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))

    program.wait_log('mail not sent yet: the mail server answered "535 ',
                     count=2)
    assert stack.job(job_id)["notified"] == "none"
    assert not stack.depth(f"{queue}.dead")
    assert "wrong-word" not in program.log
    assert not server.mails


@pytest.mark.parametrize("settings, offered, encrypted", [
    ({}, True, True),
    ({}, False, False),
    ({"V2M_SMTP_TLS": "never"}, True, False),
    # an authority that the system does not know
    ({"V2M_SMTP_TLS": "required"}, True, None),
    ({"V2M_SMTP_TLS": "required"}, False, None),
])
def test_encryption(stack, notifier, queue, address, mail_server, server_tls,
                    settings, offered, encrypted):
    server = mail_server(tls_context=server_tls if offered else None)
    program = notifier(V2M_SMTP_URL=f"smtp://localhost:{server.port}",
                       V2M_ATTEMPTS=1, **settings)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))

    if encrypted is None:
        program.wait_log("mail not sent yet", count=2)
        assert stack.job(job_id)["notified"] == "none"
        assert not server.mails
    else:
        wait_for(lambda: stack.job(job_id)["notified"] == "sent")
        assert (server.sessions[0].ssl is not None) == encrypted


def test_unknown_authority_of_implicit_tls(stack, notifier, queue, address,
                                           mail_server, server_tls):
    server = mail_server(tls=server_tls)
    program = notifier(V2M_SMTP_URL=f"smtps://localhost:{server.port}",
                       V2M_SMTP_TLS="opportunistic", V2M_ATTEMPTS=1)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))

    program.wait_log("mail not sent yet", count=2)
    assert "certificate" in program.log
    assert stack.job(job_id)["notified"] == "none"
    assert not server.mails


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


def test_mail_server_away(stack, notifier, queue, address, relay):
    """F15"""
    way = relay(stack.env["V2M_SMTP_URL"])
    way.refuse()
    program = notifier(V2M_SMTP_URL=way.url, V2M_ATTEMPTS=1)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    program.wait_log("mail not sent yet", count=4)
    assert "mail_since" not in stack.job(job_id)
    way.serve()
    stack.wait_mail(address)
    wait_for(lambda: stack.job(job_id)["notified"] == "sent")
    assert not stack.depth(f"{queue}.dead")


def test_stop_gives_back(stack, notifier, queue, address, mail_server):
    """F18: SIGTERM while the mail server hangs: the message goes back."""
    server = mail_server(lambda verb: "hang" if verb == "MAIL" else None)
    program = notifier(V2M_SMTP_URL=server.url, V2M_DRAIN=0)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    wait_for(lambda: stack.depth(queue) == 0)

    assert program.stop(20) == 0
    wait_for(lambda: stack.depth(queue) == 1)
    assert stack.job(job_id)["notified"] == "none"
    assert "mail_until" not in stack.job(job_id)


def test_second_signal(stack, notifier, queue, address, mail_server):
    server = mail_server(lambda verb: "hang" if verb == "MAIL" else None)
    program = notifier(V2M_SMTP_URL=server.url, V2M_DRAIN=600)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    wait_for(lambda: stack.depth(queue) == 0)

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
