"""The gateway's publisher (v2m_publisher.h) while its broker fails it."""

import os
import re
import signal

import pytest

from conftest import wait_for

# they wait, mostly; once is enough

class Publisher:
    """The program drive_publisher."""

    def __init__(self, program):
        self.program = program

    @property
    def lines(self):
        return self.program.log.splitlines()

    def wait(self, line, count=1, timeout=20):
        """A line that begins so."""
        wait_for(lambda: sum(each.startswith(line) for each in self.lines)
                 >= count, timeout, what=f"{line!r} in {self.lines}")

    def send(self, name):
        self.program.say(f"send {name}")

    def done(self):
        """What became of each message, by its id; each once."""
        pairs = re.findall(r"^done (\S+) (\S+)", self.program.log, re.M)
        assert len(pairs) == len(dict(pairs)), "a message was done twice"
        return dict(pairs)

    def ready(self):
        before = len(self.lines)
        self.program.say("ready")
        wait_for(lambda: any(line.startswith("ready")
                             for line in self.lines[before:]))
        return "ready 1" in self.lines[before:]

    def assert_works(self, name):
        self.send(name)
        self.wait(f"done {name} ok")


@pytest.fixture
def publisher(spawn, driver, queue):
    def start(url, queue=queue, confirm_ms=10000, capacity=1000, up=True,
              **settings):
        each = Publisher(spawn(driver("publisher"), url, queue, confirm_ms,
                               capacity, talks=True, **settings))
        if up:
            each.wait("state ok")
        return each
    return start


@pytest.fixture
def way(stack, relay):
    """A relay to the stack's broker."""
    return relay(stack.env["V2M_AMQP_URL"])


@pytest.fixture
def url(stack):
    return stack.env["V2M_AMQP_URL"]


def test_queue_deleted(stack, publisher, url, queue):
    """F3: what no queue took has failed; the queue is made again."""
    each = publisher(url)
    stack.delete(queue)
    each.send("a")
    each.wait(f'done a unavailable the queue "{queue}" was not there')
    wait_for(lambda: stack.depth(queue) == 0)
    each.assert_works("b")
    assert stack.depth(queue) == 1


def test_refused_by_the_queue(stack, publisher, url, queue):
    """F3"""
    with stack.amqp() as connection:
        connection.channel().queue_declare(queue, arguments={
            "x-max-length": 3, "x-overflow": "reject-publish"})
    each = publisher(url)
    each.program.say("burst 20")
    wait_for(lambda: len(each.done()) == 20)
    results = list(each.done().values())
    assert results.count("unavailable") == 20 - stack.depth(queue) >= 16
    each.wait("done 20 unavailable RabbitMQ could not take the message")


def test_gone_before_the_confirm(stack, publisher, way, queue):
    """F2"""
    each = publisher(way.url)
    way.freeze("down")
    before = way.carried["up"]
    each.send("a")
    wait_for(lambda: way.carried["up"] > before)
    assert each.done() == {}

    way.cut()
    each.wait("done a unavailable the connection to RabbitMQ failed")
    each.wait("state unavailable")
    assert not each.ready()

    way.thaw()
    each.wait("state ok", 2)
    assert each.ready()
    each.assert_works("b")
    assert stack.depth(queue) == 2


def test_confirmed_too_late(publisher, way):
    each = publisher(way.url, confirm_ms=500)
    way.freeze("down")
    each.send("a")
    each.wait("done a unavailable RabbitMQ did not confirm the message within "
              "500 ms")
    way.thaw()
    each.assert_works("b")
    assert each.done() == {"a": "unavailable", "b": "ok"}
    assert way.accepted == 1


def test_refused_connections(publisher, way):
    """F1"""
    way.refuse()
    each = publisher(way.url, up=False)
    each.wait("state unavailable cannot connect to RabbitMQ at 127.0.0.1:")
    each.send("a")
    each.wait("refused a unavailable")
    way.serve()
    each.wait("state ok")
    each.assert_works("b")

    way.refuse()
    each.wait("state unavailable", 2)
    each.send("c")
    each.wait("refused c unavailable")
    way.serve()
    each.wait("state ok", 2)
    each.assert_works("d")


def test_idle_between_attempts(publisher, way):
    """It sleeps between two attempts to connect, even when a message came
    at the moment of the failure."""
    way.refuse()
    each = publisher(way.url, up=False)
    each.wait("state unavailable")

    def spent():
        fields = open(f"/proc/{each.program.process.pid}/stat").read()
        return sum(map(int, fields.rpartition(")")[2].split()[11:13]))

    for round_number in range(4):
        way.serve()
        each.wait("state ok", round_number + 1)
        each.program.say("burst 200")
        way.refuse()
        wait_for(lambda: not each.ready())
    before = spent() / os.sysconf("SC_CLK_TCK")
    way.serve()
    each.wait("state ok", 5)
    assert spent() / os.sysconf("SC_CLK_TCK") - before < 0.3


def test_capacity(publisher, way):
    each = publisher(way.url, capacity=10)
    way.freeze("down")
    each.program.say("burst 15")
    each.wait("refused 15 full")
    assert each.program.log.count("refused") == 5
    way.thaw()
    wait_for(lambda: len(each.done()) == 10)
    assert set(each.done().values()) == {"ok"}
    each.assert_works("more")


def test_stop_in_flight(publisher, way):
    each = publisher(way.url)
    way.freeze("down")
    each.program.say("burst 500")
    assert each.program.stop(10) == 0
    done = each.done()
    assert len(done) == 500 and set(done.values()) == {"unavailable"}


def test_stop_while_the_broker_is_away(publisher, way):
    way.refuse()
    each = publisher(way.url, up=False)
    each.wait("state unavailable")
    assert each.program.stop(10) == 0


@pytest.mark.parametrize("wrong, text", [
    (lambda url: url.replace("//v2m:", "//v2m:no"), "ACCESS_REFUSED"),
    (lambda url: url.replace("//v2m:", "//nobody:"), "ACCESS_REFUSED"),
    (lambda url: url.rstrip("/") + "/nowhere", "NOT_ALLOWED"),
])
def test_refused_login(publisher, url, wrong, text):
    each = publisher(wrong(url), up=False)
    each.wait("state unavailable RabbitMQ refused (logging in): " + text)
    each.send("a")
    each.wait("refused a unavailable")


def test_unusable_settings(spawn, driver, url):
    for arguments, text in ((("http://x", "q"), "AMQP URL is unusable"),
                            ((url, "q" * 251), "queue name"),
                            ((url, ""), "queue name")):
        program = spawn(driver("publisher"), *arguments, 1000, 10, talks=True)
        assert program.wait(10) == 1
        assert text in program.log


def test_tls(stack, publisher, relay, server_tls, certificate):
    url = stack.env["V2M_AMQP_URL"]
    secure = relay(url, tls=server_tls, scheme="amqps")
    each = publisher(secure.url, SSL_CERT_FILE=certificate[0])
    each.program.say("burst 300")
    wait_for(lambda: len(each.done()) == 300)
    assert set(each.done().values()) == {"ok"}

    other = publisher(secure.url, up=False)
    other.wait("state unavailable")
    other.send("a")
    other.wait("refused a unavailable")


# on a broker of our own

@pytest.fixture
def own_url(broker):
    return broker.env["V2M_AMQP_URL"]


def test_blocked(publisher, own_url, own_queue, starved):
    """F4: short of memory, the broker takes nothing more from who publishes."""
    each = publisher(own_url, own_queue)
    starved(True)
    each.send("a")
    each.wait("done a unavailable RabbitMQ blocks publishers")
    each.wait("state unavailable RabbitMQ blocks publishers")
    assert not each.ready()
    each.send("b")
    each.wait("refused b unavailable")

    starved(False)
    each.wait("state ok", 2)
    assert each.ready()
    each.assert_works("c")


def test_heartbeats(relay, publisher, own_url, own_queue):
    """An idle connection stays."""
    way = relay(own_url)
    each = publisher(way.url, own_queue)
    before = dict(way.carried)
    wait_for(lambda: way.carried["up"] >= before["up"] + 2 * 8
             and way.carried["down"] >= before["down"] + 2 * 8)
    assert way.accepted == 1
    each.assert_works("a")


def test_hanging_broker(broker, publisher, own_url, own_queue):
    """Its system keeps the connection open, but nobody answers."""
    each = publisher(own_url, own_queue)
    process = broker.pid("rabbitmq")
    os.kill(process, signal.SIGSTOP)
    try:
        each.send("a")
        each.wait("done a unavailable")
        each.wait("state unavailable")
    finally:
        os.kill(process, signal.SIGCONT)
    each.wait("state ok", 2)
    each.assert_works("b")
