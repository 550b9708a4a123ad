"""F10: a worker that stands still while another one does its work changes
nothing when it goes on."""

import signal

import checks
import points
from conftest import wait_for
from test_converter import line, mp3  # noqa: F401
from notices import (  # noqa: F401
    mail_server, make_job, message, notifier)

pytestmark = points.needed


def test_converter(line):  # noqa: F811
    """With its MP3 stored, before it is the job's."""
    first = line.converter(v2m_test_point="stored=stop", V2M_JOBS=1)
    job_id = line.put()
    points.stopped(first)

    line.send(job_id)
    line.converter()
    job = line.end(job_id)

    first.signal(signal.SIGCONT)
    first.wait_log("another one was faster")
    assert first.stop() == 0
    assert line.job(job_id)["mp3_fid"] == job["mp3_fid"]
    checks.check_mp3(mp3(line, job), 1, checks.CLIP)
    line.end(job_id)
    line.over(job)


def test_notifier(stack, notifier, queue, address, mail_server):  # noqa: F811
    """With its claim, before the mail."""
    server = mail_server()
    # a claim lasts for longer than these
    first = notifier(V2M_SMTP_URL=server.url, V2M_SMTP_TIMEOUT=1,
                     V2M_WEBHOOK_TIMEOUT=1, V2M_JOBS=1,
                     v2m_test_point="claimed=stop")
    job_id = make_job(stack, address)
    stack.publish(queue, message(job_id, address))
    points.stopped(first)

    stack.publish(queue, message(job_id, address))
    notifier(V2M_SMTP_URL=server.url, V2M_SMTP_TIMEOUT=1)
    wait_for(lambda: stack.job(job_id)["notified"] == "sent", 40)

    first.signal(signal.SIGCONT)
    assert first.stop() == 0
    assert "mail sent" not in first.log
    assert len(server.mails) == 1
