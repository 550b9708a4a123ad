"""The loop of the workers (v2m_worker.h) while its broker fails it.  Each
message says what its handler does, see t/unit/drive_worker.c."""

import os
import re
import signal

import pytest

from conftest import wait_for

# they wait, mostly; once is enough

class Worker:
    """The program drive_worker."""

    def __init__(self, program):
        self.program = program

    def wait_log(self, text, **options):
        self.program.wait_log(text, **options)

    def begun(self, name):
        """(deliveries before, whether it is the last) of each attempt."""
        found = re.findall(rf"^begin {name} (\d+) (\d)$", self.program.log,
                           re.M)
        return [(int(count), last == "1") for count, last in found]

    def wait_begun(self, name, times=1, timeout=20):
        wait_for(lambda: len(self.begun(name)) >= times, timeout,
                 what=f"{times} attempts of {name} in\n{self.program.log}")


@pytest.fixture
def worker(spawn, driver, queue, replies):
    def start(url, jobs=2, attempts=5, drain_ms=10000):
        each = Worker(spawn(driver("worker"), url, queue, replies, jobs,
                            attempts, drain_ms))
        each.wait_log("consuming from queue")
        return each
    return start


@pytest.fixture
def gate(tmp_path):
    """A file that handlers wait for; open it with touch()."""
    return tmp_path / "gate"


@pytest.fixture
def way(stack, relay):
    """A relay to the stack's broker."""
    return relay(stack.env["V2M_AMQP_URL"])


@pytest.fixture
def url(stack):
    return stack.env["V2M_AMQP_URL"]


def test_takes_no_more_than_it_works_on(stack, worker, url, queue):
    one = worker(url, jobs=2, drain_ms=0)
    for name in "abcde":
        stack.publish(queue, f"{name} wait retry")
    one.wait_begun("a")
    one.wait_begun("b")
    wait_for(lambda: stack.depth(queue) == 3)
    assert not one.begun("c")

    # another one is not kept waiting
    other = worker(url, jobs=2, drain_ms=0)
    other.wait_begun("c")
    other.wait_begun("d")

    # who stops gives back
    assert one.program.stop(10) == 0
    wait_for(lambda: stack.depth(queue) == 3)
    assert other.program.stop(10) == 0
    wait_for(lambda: stack.depth(queue) == 5)


def test_finishes_before_it_stops(stack, worker, url, queue, replies, gate):
    """F18"""
    each = worker(url)
    stack.publish(queue, f"a until={gate} reply done")
    each.wait_begun("a")
    each.program.signal(signal.SIGTERM)
    each.wait_log("told to stop, 1 under way")
    gate.touch()
    assert each.program.wait(10) == 0
    assert stack.get(replies) == b"a"
    assert stack.depth(queue) == 0


def test_stops_while_the_broker_is_away(worker, way):
    each = worker(way.url)
    way.refuse()
    each.wait_log("no connection to the broker, trying again")
    assert each.program.stop(10) == 0


def test_attempts_on_a_quorum_queue(stack, worker, url, queue):
    each = worker(url, attempts=3)
    stack.publish(queue, "a retry")
    wait_for(lambda: stack.depth(f"{queue}.dead") == 1)
    assert each.begun("a") == [(0, False), (1, False), (2, True)]
    assert stack.get(f"{queue}.dead") == b"a retry"


def test_attempts_on_a_classic_queue(stack, worker, url, queue):
    """Whose broker does not count them, and may have no dead letters."""
    with stack.amqp() as connection:
        connection.channel().queue_declare(queue)
    each = worker(url, attempts=3)
    stack.publish(queue, "a retry")
    each.wait_log("did not work 3 times")
    wait_for(lambda: stack.depth(queue) == 0)
    assert each.begun("a") == [(0, False), (1, False), (2, True)]
    assert stack.depth(f"{queue}.dead") is None


def test_connection_lost_while_a_handler_runs(stack, worker, way, queue,
                                              replies, gate):
    """What it did is void, as the broker delivers again."""
    each = worker(way.url, jobs=2)
    stack.publish(queue, f"a until={gate} reply done")
    each.wait_begun("a")
    way.cut()
    each.wait_log("the broker is back")
    gate.touch()
    each.wait_log("end a", count=2)
    wait_for(lambda: stack.depth(replies) == 1)
    wait_for(lambda: stack.depth(queue) == 0)
    assert each.begun("a") == [(0, False), (1, False)]

    stack.publish(queue, "b reply done")
    wait_for(lambda: stack.depth(replies) == 2)


def test_connection_lost_before_the_confirm(stack, worker, way, queue,
                                            replies, gate):
    """The message is handled again, and its reply may come twice."""
    each = worker(way.url)
    stack.publish(queue, f"a until={gate} reply done")
    each.wait_begun("a")
    way.freeze("down")
    gate.touch()
    each.wait_log("end a")
    wait_for(lambda: stack.depth(replies) == 1)
    way.cut()
    way.thaw()
    each.wait_begun("a", 2)
    wait_for(lambda: stack.depth(replies) == 2)
    wait_for(lambda: stack.depth(queue) == 0)


def test_queue_deleted_while_a_handler_runs(stack, worker, way, queue,
                                            replies, gate):
    each = worker(way.url)
    stack.publish(queue, f"a until={gate} reply done")
    each.wait_begun("a")
    stack.delete(queue)
    each.wait_log("the broker ended consuming")
    gate.touch()
    wait_for(lambda: stack.depth(queue) == 0)
    stack.publish(queue, "b reply done")
    wait_for(lambda: stack.depth(replies) == 2)
    assert way.accepted == 1


def test_reply_queue_deleted(stack, worker, url, queue, replies):
    """A reply that no queue took is not lost."""
    each = worker(url)
    stack.delete(replies)
    stack.publish(queue, "a reply done")
    each.wait_log("the broker did not take a message")
    wait_for(lambda: stack.depth(replies) == 1)
    assert stack.get(replies) == b"a"
    wait_for(lambda: stack.depth(queue) == 0)


def test_reply_refused(stack, worker, url, queue, replies):
    with stack.amqp() as connection:
        channel = connection.channel()
        channel.queue_declare(replies, arguments={
            "x-max-length": 1, "x-overflow": "reject-publish"})
        channel.basic_publish("", replies, b"first")
    wait_for(lambda: stack.depth(replies) == 1)
    each = worker(url, attempts=100)
    stack.publish(queue, "a reply done")
    stack.publish(queue, "b done")
    each.wait_log("the broker did not take a message")
    each.wait_begun("b")
    assert stack.get(replies) == b"first"
    wait_for(lambda: stack.depth(replies) == 1)
    assert stack.get(replies) == b"a"
    wait_for(lambda: stack.depth(queue) == 0)


def test_reply_too_long(stack, worker, way, queue):
    each = worker(way.url)
    stack.publish(queue, "a long done")
    wait_for(lambda: stack.depth(f"{queue}.dead") == 1)
    stack.publish(queue, "b done")
    each.wait_begun("b")
    assert len(each.begun("a")) == 1 and way.accepted == 1


# on a broker of our own

@pytest.fixture
def own_url(broker):
    return broker.env["V2M_AMQP_URL"]


@pytest.fixture
def own_worker(broker, spawn, driver, own_queue, own_replies):
    for name in own_queue, own_replies:
        broker.declare(name)

    def start(url, jobs=2, attempts=5, drain_ms=10000):
        each = Worker(spawn(driver("worker"), url, own_queue, own_replies,
                            jobs, attempts, drain_ms))
        each.wait_log("consuming from queue")
        return each
    return start


def test_longer_than_the_heartbeat(broker, own_worker, relay, own_url,
                                   own_queue, own_replies):
    """F12: a job of minutes, on the scale of this broker's heartbeat."""
    way = relay(own_url)
    each = own_worker(way.url)
    broker.publish(own_queue, "a sleep=5500 reply done")
    wait_for(lambda: broker.depth(own_replies) == 1)
    wait_for(lambda: broker.depth(own_queue) == 0)
    assert each.begun("a") == [(0, False)]
    assert way.accepted == 1


def test_longer_than_the_acknowledgement_timeout(broker, own_worker, own_url,
                                                 own_queue, own_replies):
    """F12: a broker that does not wait for ever for an acknowledgement: the job
    is done again elsewhere, and this worker goes on."""
    broker.rabbitmqctl("eval", "application:set_env(rabbit, "
                               "consumer_timeout, 1000), "
                               "application:set_env(rabbit, "
                               "channel_tick_interval, 500).")
    try:
        each = own_worker(own_url, attempts=3)
        broker.publish(own_queue, "a sleep=3500 reply done")
        each.wait_log("PRECONDITION_FAILED - delivery acknowledgement on "
                      "channel 1 timed out")
        each.wait_log("the broker is back")
    finally:
        broker.rabbitmqctl("eval", "application:set_env(rabbit, "
                                   "consumer_timeout, 86400000).")
    each.wait_begun("a", 2)


def test_hanging_broker(broker, own_worker, own_url, own_queue):
    each = own_worker(own_url)
    process = broker.pid("rabbitmq")
    os.kill(process, signal.SIGSTOP)
    try:
        each.wait_log("no connection to the broker, trying again")
    finally:
        os.kill(process, signal.SIGCONT)
    each.wait_log("the broker is back")
    broker.publish(own_queue, "a done")
    each.wait_begun("a")


def test_restarted_broker(broker, own_worker, own_url, own_queue, own_replies,
                          gate):
    each = own_worker(own_url)
    broker.publish(own_queue, f"a until={gate} reply done")
    broker.publish(own_queue, f"b until={gate} reply done")
    each.wait_begun("a")
    each.wait_begun("b")
    broker.rabbitmqctl("stop_app")
    each.wait_log("no connection to the broker, trying again")
    gate.touch()
    broker.rabbitmqctl("start_app")
    each.wait_begun("a", 2, timeout=60)
    each.wait_begun("b", 2)
    wait_for(lambda: broker.depth(own_replies) == 2, timeout=60)
    wait_for(lambda: broker.depth(own_queue) == 0)


def test_blocked_broker(broker, own_worker, own_url, own_queue, own_replies,
                        starved):
    """Replies wait until the broker takes messages again."""
    for name in "abc":
        broker.publish(own_queue, f"{name} reply done")
    starved(True)
    each = own_worker(own_url)
    each.wait_log("the broker takes no messages for the time being")
    each.wait_log("end b")
    starved(False)
    each.wait_log("the broker takes messages again")
    wait_for(lambda: broker.depth(own_replies) == 3)
    wait_for(lambda: broker.depth(own_queue) == 0)
    for name in "abc":
        assert len(each.begun(name)) == 1


def test_stops_while_the_broker_is_blocked(broker, own_worker, own_url,
                                           own_queue, starved):
    broker.publish(own_queue, "a reply done")
    starved(True)
    each = own_worker(own_url, drain_ms=1000)
    each.wait_log("the broker takes no messages for the time being")
    each.wait_log("end a")
    assert each.program.stop(20) == 0
    starved(False)
    wait_for(lambda: broker.depth(own_queue) == 1)
