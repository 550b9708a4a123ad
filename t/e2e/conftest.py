"""What the end-to-end tests share: a running stack and the means to look into it.

The session's stack is started with ./v2mctl under run/e2e on ports of its
own.  With V2M_E2E_ENV, the path of the run/env of a stack that runs already,
that one is used and left running.
"""

import asyncio
import email
import email.policy
import os
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.parse
import uuid

import bson
import pika
import pymongo
import pytest

# With pytest -n each of its workers has one of several stacks.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("V2M_E2E_ENV", "V2M_RUN", "V2M_PORT_BASE"):
        if name in os.environ:
            os.environ[name] = os.environ[name].split(":")[
                int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))]

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("V2M_BUILD", "build/release")

# What v2mctl starts; tests of the gateway and the workers of the stack need
# everything, others can be run with less: "mongo rabbitmq smtp".
PARTS = os.environ.get("V2M_E2E_PARTS", "").split()

SANITIZER_EXIT = 99


def pytest_collection_modifyitems(items):
    """What has none of the marks runs with the sanitizers."""
    for item in items:
        if item.get_closest_marker("release_only") \
                and item.get_closest_marker("both"):
            raise pytest.UsageError(f"{item.nodeid} is marked twice")


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
    """A program of the build that a test starts by itself; with talks, one
    that ends when its standard input does, else by SIGTERM."""

    def __init__(self, arguments, env, log, talks=False):
        self.log_path = log
        environment = dict(os.environ)
        environment.update(env)
        options = f"exitcode={SANITIZER_EXIT}"
        environment.setdefault("ASAN_OPTIONS", options)
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                arguments, env=environment, stdout=output, stderr=output,
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
            )

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_log(self, text, timeout=20.0, count=1):
        wait_for(lambda: self.log.count(text) >= count, timeout,
                 what=f"{text!r} in the log:\n{self.log}")

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=40.0):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"did not end within {timeout} s:\n{self.log}")

    def stop(self, timeout=40.0):
        """Ends it and returns the exit status."""
        self.tell_to_end()
        return self.wait(timeout)

    def tell_to_end(self):
        if self.process.stdin is not None:
            self.process.stdin.close()
        elif self.process.poll() is None:
            self.signal(signal.SIGTERM)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Relay:
    """A way to a server that a test can close without touching the server: a
    program that is to lose its broker, store or mail server alone is given
    this relay's address.

    Directions are "up", to the server, and "down", to the client.  With a
    server's TLS context it speaks TLS to its clients and none to the server.
    It listens at this address of the machine, at a free port if none is given.
    """

    def __init__(self, host, port, tls=None, at=("127.0.0.1", 0)):
        self.target = (host, port)
        self.address = at[0]
        self.tls = tls
        self.accepted = 0
        self.carried = {"up": 0, "down": 0}
        self._most = None
        self._writers = set()
        self._tasks = set()
        self._bind(at[1])
        self.port = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever,
                                        daemon=True)
        self._thread.start()
        self._do(self._begin())

    def cut(self):
        """Breaks every connection; new ones are served."""
        self._do(self._abort())

    def refuse(self):
        """Breaks every connection and takes no new one."""
        self._do(self._refuse())

    def serve(self):
        """Takes connections again."""
        self._do(self._listen())

    def freeze(self, *directions):
        """Carries nothing more, as when the server hangs: connections stay
        open, and new ones are accepted."""
        self._do(self._flow(False, directions or ("up", "down")))

    def freeze_after(self, count):
        """Freezes by itself once it has carried about so many bytes more to
        the server."""
        self._most = self.carried["up"] + count

    def is_frozen(self):
        return not self._flowing["up"].is_set()

    def thaw(self):
        self._most = None
        self._do(self._flow(True, ("up", "down")))

    def close(self):
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._listener.close()

    def _bind(self, port):
        self._listener = socket.socket()
        self._listener.setblocking(False)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((self.address, port))

    def _do(self, coroutine):
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def _task(self, coroutine):
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _begin(self):
        self._flowing = {"up": asyncio.Event(), "down": asyncio.Event()}
        await self._flow(True, ("up", "down"))
        await self._listen()

    async def _end(self):
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _flow(self, on, directions):
        for direction in directions:
            flowing = self._flowing[direction]
            flowing.set() if on else flowing.clear()

    async def _listen(self):
        self._listener.listen(128)
        self._accepting = self._task(self._accept())

    async def _refuse(self):
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        self._listener.close()
        # bound, but not listening: nobody else gets the port
        self._bind(self.port)
        await self._abort()

    async def _abort(self):
        for writer in list(self._writers):
            if not writer.transport.is_closing():
                # no farewell, as in a crash
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _accept(self):
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            self.accepted += 1
            self._task(self._serve(client))

    async def _serve(self, client):
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        writers, carriers = [], []
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol, client, ssl=self.tls)
            writers.append(asyncio.StreamWriter(transport, protocol, reader,
                                                self._loop))
            self._writers.add(writers[0])
            answers, writer = await asyncio.open_connection(*self.target)
            writers.append(writer)
            self._writers.add(writer)
            carriers = [self._task(self._carry("up", reader, writers[1])),
                        self._task(self._carry("down", answers, writers[0]))]
            await asyncio.gather(*carriers)
        except OSError:
            pass
        finally:
            for carrier in carriers:
                carrier.cancel()
            for writer in writers:
                self._writers.discard(writer)
                writer.transport.abort()

    async def _carry(self, direction, reader, writer):
        while True:
            await self._flowing[direction].wait()
            data = await reader.read(65536)
            # frozen while it waited for the data: those are held as well
            await self._flowing[direction].wait()
            if not data:
                break
            writer.write(data)
            self.carried[direction] += len(data)
            await writer.drain()
            if self._most is not None and self.carried["up"] >= self._most:
                await self._flow(False, ("up", "down"))
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()


def relay_url(url, relay, scheme=None):
    """The URL with the relay's address in place of the server's."""
    parts = urllib.parse.urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    # with TLS the name counts: not every client compares addresses
    place = f"{'localhost' if relay.tls else '127.0.0.1'}:{relay.port}"
    return urllib.parse.urlunsplit(parts._replace(
        scheme=scheme or parts.scheme,
        netloc=f"{user}@{place}" if user else place))


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
        self._connection = None
        self._channel = None
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
        # the embedded store finds fast, but counts by reading everything
        return (len(list(found["fs.files"].find({"_id": file_id}))),
                len(list(found["fs.chunks"].find({"files_id": file_id},
                                                 {"_id": 1}))))

    # RabbitMQ

    def amqp(self):
        """A fresh connection; close it, or use it as a context manager."""
        return pika.BlockingConnection(self.amqp_parameters())

    def amqp_parameters(self, **more):
        """Of each node of the broker."""
        parts = urllib.parse.urlsplit(self.env["V2M_AMQP_URL"])
        user, _, hosts = parts.netloc.rpartition("@")
        found = [pika.URLParameters(urllib.parse.urlunsplit(
            parts._replace(netloc=f"{user}@{host}" if user else host)))
            for host in hosts.split(",")]
        for parameters in found:
            for name, value in dict(more, socket_timeout=10).items():
                setattr(parameters, name, value)
        return found

    def rabbitmqctl(self, *arguments):
        """For a broker of this stack's own, which nobody else uses."""
        base = int(self.ports)
        environment = dict(os.environ, HOME=str(self.run / "rabbitmq"),
                           ERL_EPMD_PORT=str(base + 5))
        # Debian's own /usr/sbin/rabbitmqctl becomes another user
        return subprocess.run(
            ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q",
             "-n", f"v2m-{base + 3}@localhost", *arguments],
            env=environment, check=True, stdout=subprocess.PIPE, text=True,
        ).stdout

    def pid(self, name):
        return int((self.run / "pids" / name).read_text())

    def _on_channel(self, use):
        """What use() makes of a channel of a kept connection, which is made
        anew once when it is gone."""
        try:
            return use(self._open_channel())
        except pika.exceptions.AMQPConnectionError:
            self._connection = None
            return use(self._open_channel())

    def _open_channel(self):
        if self._connection is None:
            # nobody serves a heartbeat between two calls
            self._connection = pika.BlockingConnection(
                self.amqp_parameters(heartbeat=0))
            self._channel = None
        if self._channel is None or self._channel.is_closed:
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
        return self._channel

    def publish(self, queue, body):
        """Durably: the broker confirmed it."""
        properties = pika.BasicProperties(delivery_mode=2)
        self._on_channel(lambda channel: channel.basic_publish(
            "", queue, body, properties, mandatory=True))

    def depth(self, queue):
        """Messages that are ready, or None when there is no such queue."""
        try:
            return self._on_channel(lambda channel: channel.queue_declare(
                queue, passive=True).method.message_count)
        except pika.exceptions.ChannelClosedByBroker:
            return None

    def declare(self, queue):
        """Makes a queue of the kind that v2m makes, without dead letters."""
        self._on_channel(lambda channel: channel.queue_declare(
            queue, durable=True, arguments={"x-queue-type": "quorum"}))

    def delete(self, queue):
        self._on_channel(lambda channel: channel.queue_delete(queue))

    def get(self, queue):
        """Takes one message's body from the queue, or None."""
        return self._on_channel(
            lambda channel: channel.basic_get(queue, auto_ack=True)[2])

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


def without(stack, name):
    runs = (stack.run / "pids" / name).exists()
    if runs:
        stack.stop(name)
    yield
    if runs:
        stack.start(name)


@pytest.fixture(scope="module")
def no_other_sweep(stack):
    """For tests of a sweep: the stack's own would do what they wait for."""
    yield from without(stack, "sweep")


@pytest.fixture(scope="module")
def no_other_notifier(stack):
    """For tests of requests about accounts: the stack's own would mail them."""
    yield from without(stack, "notifier")


class Broker(Stack):
    """A stack of a RabbitMQ alone.  It wants heartbeats every two seconds."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.rabbitmqctl("eval", "application:set_env(rabbit, heartbeat, 2).")


def free_ports(count):
    """The first of so many neighbouring ports that nobody listens on.  Test
    runs with different V2M_PORT_BASE do not get into each other's way."""
    first = int(os.environ.get("V2M_PORT_BASE") or 19900) + 100
    for base in range(first, first + 400, count):
        sockets = []
        try:
            for port in range(base, base + count):
                sockets.append(socket.create_server(("127.0.0.1", port)))
            return base
        except OSError:
            continue
        finally:
            for which in sockets:
                which.close()
    pytest.fail("no ports are free")


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    """The Broker, for tests that freeze, stop or starve it."""
    run = tmp_path_factory.mktemp("broker")
    ports = free_ports(8)
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("V2M_AMQP_URL", "V2M_AMQP_URL_FILE")}
    environment.update(V2M_RUN=str(run), V2M_PORT_BASE=str(ports))

    def ctl(*arguments):
        return subprocess.run([str(ROOT / "v2mctl"), *arguments], cwd=ROOT,
                              env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)

    try:
        up = ctl("up", "rabbitmq")
        assert up.returncode == 0, up.stdout
        yield Broker(read_env(run / "env"), run, ports)
    finally:
        ctl("down")


@pytest.fixture
def starved(broker):
    """starved(True) makes the broker short of memory, so that it takes nothing
    from who publishes; starved(False) helps it."""
    def starve(on):
        broker.rabbitmqctl("set_vm_memory_high_watermark",
                           "0" if on else "0.5")
    yield starve
    starve(False)


@pytest.fixture
def relay():
    """relay(URL) or relay((HOST, PORT)): a Relay to that server; its url
    attribute is the given one, through the relay."""
    relays = []

    def start(target, tls=None, scheme=None):
        if isinstance(target, str):
            parts = urllib.parse.urlsplit(target)
            relays.append(Relay(parts.hostname, parts.port, tls))
            relays[-1].url = relay_url(target, relays[-1], scheme)
        else:
            relays.append(Relay(*target, tls))
        return relays[-1]

    yield start

    for each in relays:
        each.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """(CERTIFICATE, KEY) of localhost and 127.0.0.1, which is its own
    authority."""
    directory = tmp_path_factory.mktemp("certificate")
    paths = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
         "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-out", str(paths[0]), "-keyout", str(paths[1])],
        check=True, stderr=subprocess.DEVNULL,
    )
    return paths


@pytest.fixture(scope="session")
def server_tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture(scope="session")
def driver():
    """Builds t/unit/drive_NAME.c, by which a test uses a part of the code
    line by line, and returns its path."""
    built = {}

    def build(name):
        if name in built:
            return built[name]
        sanitized = b"__asan_init" in (BUILD / "v2m-sweep").read_bytes()
        path = BUILD.relative_to(ROOT) / "t" / "unit" / f"drive_{name}"
        subprocess.run(
            ["make", "-s", f"B={BUILD.relative_to(ROOT)}",
             f"SANITIZE={int(sanitized)}", str(path)],
            cwd=ROOT, check=True,
        )
        built[name] = ROOT / path
        return built[name]
    return build


@pytest.fixture
def address():
    """An e-mail address that no other test uses."""
    return f"{uuid.uuid4().hex[:12]}@example.org"


def queue_name(stack):
    name = f"e2e-{uuid.uuid4().hex[:12]}"
    yield name

    stack.delete(name)
    stack.delete(f"{name}.dead")


@pytest.fixture
def queue(stack):
    """The name of a queue that no other test uses; deleted afterwards."""
    yield from queue_name(stack)


@pytest.fixture
def replies(stack):
    """Another one."""
    yield from queue_name(stack)


@pytest.fixture
def own_queue(broker):
    """A queue of the broker fixture."""
    yield from queue_name(broker)


@pytest.fixture
def own_replies(broker):
    """Another one."""
    yield from queue_name(broker)


@pytest.fixture
def spawn(stack, tmp_path):
    """Starts a program of the build with the stack's settings and others;
    whatever still runs after the test is ended and must end well."""
    started = []

    def start(name, *arguments, talks=False, **settings):
        log = tmp_path / f"{pathlib.Path(name).name}-{len(started)}.log"
        env = {**stack.env, **{key: str(value)
                               for key, value in settings.items()}}
        program = Program([str(BUILD / name), *map(str, arguments)], env, log,
                          talks)
        started.append(program)
        return program

    yield start

    for program in started:
        running = program.process.poll() is None
        program.tell_to_end()
        try:
            status = program.process.wait(40)
        except subprocess.TimeoutExpired:
            program.kill()
            status = None
        print(f"--- {program.log_path.name}\n{program.log}", end="")
        if running:
            assert status == 0, "did not end well when told to"
        assert status != SANITIZER_EXIT and "Sanitizer" not in program.log
