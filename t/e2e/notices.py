"""What the tests of the notifier share: job records, messages, a notifier on a
queue of its own, and servers of mail and webhooks that do as a test wants."""

import datetime
import json

import bson
import pytest

from hook_server import HookServer
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


@pytest.fixture
def hook_server():
    servers = []

    def start(answer=lambda call: 204, **options):
        servers.append(HookServer(answer, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
