"""What the end-to-end tests share: a running stack and the means to look into it.

The session's stack is started with ./v2mctl under run/e2e on ports of its
own.  With V2M_E2E_ENV, the path of the run/env of a stack that runs already,
that one is used and left running.
"""

import email
import email.policy
import os
import pathlib
import signal
import subprocess
import time
import uuid

import bson
import pika
import pymongo
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("V2M_BUILD", "build/release")

# What v2mctl starts; tests of the gateway and the workers of the stack need
# everything, others can be run with less: "mongo rabbitmq smtp".
PARTS = os.environ.get("V2M_E2E_PARTS", "").split()

SANITIZER_EXIT = 99


def wait_for(predicate, timeout=20.0, interval=0.05, what=None):
    """Calls predicate until it is true and returns its value."""
    until = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > until:
            pytest.fail(f"waited {timeout} s for {what or predicate}")
        time.sleep(interval)


def read_env(path):
    """The variables that a file for the shell sets, as the shell sees them."""
    script = 'set -a; . "$1"; exec env -0'
    output = subprocess.run(
        ["env", "-i", "sh", "-c", script, "sh", str(path)],
        check=True, stdout=subprocess.PIPE,
    ).stdout.decode()
    pairs = (entry.split("=", 1) for entry in output.split("\0") if entry)
    return {name: value for name, value in pairs if name not in ("PWD", "_")}


class Program:
    """A program of the build that a test starts by itself."""

    def __init__(self, arguments, env, log):
        self.log_path = log
        environment = dict(os.environ)
        environment.update(env)
        options = f"exitcode={SANITIZER_EXIT}"
        environment.setdefault("ASAN_OPTIONS", options)
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                arguments, env=environment, stdout=output, stderr=output,
                stdin=subprocess.DEVNULL,
            )

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_log(self, text, timeout=20.0, count=1):
        wait_for(lambda: self.log.count(text) >= count, timeout,
                 what=f"{text!r} in the log:\n{self.log}")

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=40.0):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"did not end within {timeout} s:\n{self.log}")

    def stop(self, timeout=40.0):
        """Ends it and returns the exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Stack:
    """A running stack: its settings, and clients to each of its servers."""

    def __init__(self, env, run, ports):
        self.env = env
        self.run = run
        self.ports = ports
        self.url = env.get("V2M_URL")
        self.user = env.get("V2M_USER")
        self.password = env.get("V2M_PASSWORD")
        self.maildir = pathlib.Path(env["V2M_MAILDIR"])
        self.mongo = pymongo.MongoClient(
            env["V2M_MONGO_URI"], serverSelectionTimeoutMS=10000,
        )

    def ctl(self, *arguments, check=True):
        """./v2mctl ARGUMENTS for this stack, such as ctl("stop", "smtp")."""
        environment = dict(os.environ, V2M_RUN=str(self.run))
        if self.ports:
            environment["V2M_PORT_BASE"] = str(self.ports)
        result = subprocess.run(
            [str(ROOT / "v2mctl"), *arguments], cwd=ROOT, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        if check and result.returncode != 0:
            pytest.fail(f"v2mctl {' '.join(arguments)}:\n{result.stdout}")
        return result

    def stop(self, name):
        self.ctl("stop", name)

    def start(self, name):
        self.ctl("start", name)

    # MongoDB

    @property
    def jobs(self):
        return self.mongo["v2m"]["jobs"]

    def job(self, job_id):
        return self.jobs.find_one({"_id": bson.ObjectId(job_id)})

    def count(self, database, file_id):
        """(files documents, chunks) of a file."""
        file_id = bson.ObjectId(file_id)
        found = self.mongo[database]
        return (found["fs.files"].count_documents({"_id": file_id}),
                found["fs.chunks"].count_documents({"files_id": file_id}))

    # RabbitMQ

    def amqp(self):
        """A fresh connection; close it, or use it as a context manager."""
        parameters = pika.URLParameters(self.env["V2M_AMQP_URL"])
        parameters.socket_timeout = 10
        return pika.BlockingConnection(parameters)

    def publish(self, queue, body):
        with self.amqp() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish(
                "", queue, body, pika.BasicProperties(delivery_mode=2),
                mandatory=True,
            )

    def depth(self, queue):
        """Messages that are ready, or None when there is no such queue."""
        with self.amqp() as connection:
            try:
                declared = connection.channel().queue_declare(
                    queue, passive=True)
            except pika.exceptions.ChannelClosedByBroker:
                return None
            return declared.method.message_count

    def get(self, queue):
        """Takes one message's body from the queue, or None."""
        with self.amqp() as connection:
            _, _, body = connection.channel().basic_get(queue, auto_ack=True)
            return body

    # mail

    def mails(self, to=None):
        """The mails kept, oldest first, of one recipient or of all."""
        found = []
        for folder in ("new", "cur"):
            directory = self.maildir / folder
            if directory.is_dir():
                found += directory.iterdir()
        found.sort(key=lambda path: path.stat().st_mtime_ns)
        parsed = [
            email.message_from_bytes(path.read_bytes(),
                                     policy=email.policy.default)
            for path in found
        ]
        return [mail for mail in parsed if to is None or to in mail["To"]]

    def wait_mail(self, to, timeout=20.0):
        return wait_for(lambda: self.mails(to), timeout,
                        what=f"a mail to {to}")[0]


@pytest.fixture(scope="session")
def stack():
    given = os.environ.get("V2M_E2E_ENV")

    if given:
        path = pathlib.Path(given).resolve()
        yield Stack(read_env(path), path.parent,
                    os.environ.get("V2M_PORT_BASE"))
        return

    run = ROOT / "run" / "e2e"
    ports = 18100
    environment = dict(os.environ, V2M_RUN=str(run), V2M_PORT_BASE=str(ports))

    def ctl(*arguments):
        return subprocess.run([str(ROOT / "v2mctl"), *arguments], cwd=ROOT,
                              env=environment)

    try:
        if ctl("up", *PARTS).returncode != 0:
            pytest.exit("the stack did not start", returncode=1)
        yield Stack(read_env(run / "env"), run, ports)
    finally:
        ctl("down")


@pytest.fixture
def address():
    """An e-mail address that no other test uses."""
    return f"{uuid.uuid4().hex[:12]}@example.org"


@pytest.fixture
def queue(stack):
    """The name of a queue that no other test uses; deleted afterwards."""
    name = f"e2e-{uuid.uuid4().hex[:12]}"
    yield name

    with stack.amqp() as connection:
        channel = connection.channel()
        channel.queue_delete(name)
        channel.queue_delete(f"{name}.dead")


@pytest.fixture
def spawn(stack, tmp_path):
    """Starts a program of the build with the stack's settings and others;
    whatever still runs after the test is ended and must end well."""
    started = []

    def start(name, *arguments, **settings):
        log = tmp_path / f"{name}-{len(started)}.log"
        env = {**stack.env, **{key: str(value)
                               for key, value in settings.items()}}
        program = Program([str(BUILD / name), *arguments], env, log)
        started.append(program)
        return program

    yield start

    for program in started:
        running = program.process.poll() is None
        if running:
            program.signal(signal.SIGTERM)
        try:
            status = program.process.wait(40)
        except subprocess.TimeoutExpired:
            program.kill()
            status = None
        print(f"--- {program.log_path.name}\n{program.log}", end="")
        if running:
            assert status == 0, "did not end well after SIGTERM"
        assert status != SANITIZER_EXIT and "Sanitizer" not in program.log
