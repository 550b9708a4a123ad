"""The notifier and a mail server that is away, hangs, puts off, refuses, or
wants encryption and a login; and several notifiers at one mail."""

import datetime
import email
import signal

import bson
import pytest

from conftest import wait_for
from notices import (  # noqa: F401, the fixtures
    mail_server, make_job, message, notifier, now)

# they wait, mostly; once is enough

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


def test_put_off_holds_up_nobody(stack, no_other_sweep, notifier, queue,
                                 address, mail_server):
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
    first = notifier(V2M_SMTP_URL=server.url, V2M_SMTP_TIMEOUT=3,
                     V2M_WEBHOOK_TIMEOUT=3, V2M_JOBS=1)
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    wait_for(lambda: "mail_until" in stack.job(job_id))
    first.signal(signal.SIGSTOP if wakes else signal.SIGKILL)

    second = notifier(V2M_SMTP_URL=server.url, V2M_SMTP_TIMEOUT=3)
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


def test_tried_anew_while_away(stack, notifier, queue, address, relay):
    """The mail is about what became of the job in the end."""
    way = relay(stack.env["V2M_SMTP_URL"])
    way.refuse()
    program = notifier(V2M_SMTP_URL=way.url)
    job_id = make_job(stack, address, state="failed", mp3_fid=None,
                      reason="why")
    stack.publish(queue, message(job_id, address, error="why", version=1))
    program.wait_log("mail not sent yet")
    stack.jobs.update_one({"_id": bson.ObjectId(job_id)}, {
        "$set": {"state": "ready", "mp3_fid": bson.ObjectId()},
        "$unset": {"reason": ""}})
    seen = program.log.count("mail not sent yet")
    program.wait_log("mail not sent yet", count=seen + 2)
    way.serve()

    mail = stack.wait_mail(address)
    assert mail["Subject"].startswith("Your MP3 is ready")
    wait_for(lambda: stack.job(job_id)["notified"] == "sent")
    assert len(stack.mails(address)) == 1
