"""A storm of logins, as other machines would send it."""

import base64
import contextlib
import heapq
import itertools
import multiprocessing
import os
import pathlib
import selectors
import socket
import time

# so many that no login comes from the address of one before
MANY_ADDRESSES = 250 * 250

# how long a client waits that was refused, seconds
PAUSE = 0.05

# see sched(7)
AUTOGROUP = pathlib.Path("/proc/sys/kernel/sched_autogroup_enabled")


@contextlib.contextmanager
def one_session():
    """Linux shares a processor between sessions before it looks at priorities:
    that one client of the benchmark waits for another would be taken for a
    slow gateway.  Services do not run in sessions of terminals."""
    before = AUTOGROUP.read_text() if AUTOGROUP.exists() else "0"
    if before.strip() == "0":
        yield
        return
    try:
        AUTOGROUP.write_text("0")
    except OSError as error:
        print(f"{AUTOGROUP} stays on ({error.strerror}): what the clients "
              f"wait for each other will be in the times")
        yield
        return
    try:
        yield
    finally:
        AUTOGROUP.write_text(before)


class Clients:
    """So many clients, each of which logs in as soon as it was answered. With
    as many addresses as clients nearly all are refused by the limits of the
    login; with more each login comes from another address and for another
    account, and must be hashed."""

    def __init__(self, port, clients, addresses):
        self.port = port
        self.clients = clients
        self.addresses = addresses
        self.numbers = itertools.count()
        self.selector = selectors.DefaultSelector()
        self.resting = []

    def begin(self, number):
        word = f"nobody{number}@example.com:password".encode()
        connection = socket.socket()
        connection.bind((f"127.1.{number // 250}.{number % 250 + 1}", 0))
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(
            b"POST /login HTTP/1.1\r\nHost: localhost\r\n"
            b"Authorization: Basic " + base64.b64encode(word) + b"\r\n"
            b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        self.selector.register(connection, selectors.EVENT_READ, number)

    def end(self, key):
        answer = key.fileobj.recv(4096)
        self.selector.unregister(key.fileobj)
        key.fileobj.close()
        number = key.data
        if self.addresses > self.clients:
            number = next(self.numbers) % self.addresses
        status = answer[9:12]
        if status == b"401":
            self.begin(number)
        elif status in (b"429", b"503"):
            heapq.heappush(self.resting, (time.monotonic() + PAUSE, number))
        else:
            raise SystemExit(f"POST /login: {answer!r}")

    def run(self, ended):
        for number in itertools.islice(self.numbers, self.clients):
            self.begin(number)
        while not ended.is_set():
            for key, _ in self.selector.select(PAUSE / 10):
                self.end(key)
            while self.resting and self.resting[0][0] < time.monotonic():
                self.begin(heapq.heappop(self.resting)[1])


def log_in_again(port, clients, addresses, ended):
    # what other machines would do, so at the lowest priority on this one
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    Clients(port, clients, addresses).run(ended)


@contextlib.contextmanager
def storm(port, clients, addresses):
    ended = multiprocessing.Event()
    process = multiprocessing.Process(
        target=log_in_again, args=(port, clients, addresses, ended))
    process.start()
    try:
        yield
    finally:
        ended.set()
        process.join()
    if process.exitcode != 0:
        raise SystemExit("the storm of logins ended early")
