"""Row 11: what streams of events cost that stay open."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import multiprocessing
import pathlib
import resource
import socket
import time

from bench import (Nginx, PORT, Stack, children, in_turn, memory, wait_for)

NGINX_PORT = PORT + 51
BACKEND_PORT = PORT + 52

NGINX_CONF = """
daemon off;
worker_processes 2;
user root;
pid {run}/nginx.pid;
error_log stderr;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{backend};
            proxy_buffering off;
            proxy_read_timeout 1h;
        }}
    }}
}}
"""


class Proxy(Nginx):
    """The rival: nginx in front of a server that sends the events."""

    def __init__(self):
        super().__init__("events", NGINX_PORT)

    def conf(self):
        return NGINX_CONF.format(run=self.run, port=self.port,
                                 backend=BACKEND_PORT)


async def serve():
    """A stream of events for whoever asks: an id, and a comment now and
    then, as the gateway sends them."""
    async def answer(reader, writer):
        # who only looks whether somebody listens, or has gone away
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream"
                         b"\r\nConnection: close\r\n\r\nretry: 2000\nid: 1\n\n")
            while True:
                await writer.drain()
                await asyncio.sleep(15)
                writer.write(b":\n\n")

    server = await asyncio.start_server(answer, "127.0.0.1", BACKEND_PORT,
                                        backlog=1024)
    await server.serve_forever()


@contextlib.contextmanager
def backend():
    process = multiprocessing.Process(target=lambda: asyncio.run(serve()))
    process.start()

    def answers():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", BACKEND_PORT)) == 0

    try:
        wait_for(answers, 10, "the server of events")
        yield
    finally:
        process.terminate()
        process.join()


def token(stack, number):
    """A token of a user: each may have but a few streams."""
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    secret = pathlib.Path(stack.env["JWT_SECRET_FILE"]).read_bytes().strip()
    user = f"user{number}@example.org"
    now = int(time.time())
    text = b".".join(part(json.dumps(value).encode()) for value in (
        {"alg": "HS256", "typ": "JWT"},
        {"username": user, "sub": user, "iat": now, "exp": now + 3600,
         "admin": False}))
    signature = hmac.digest(secret, text, hashlib.sha256)
    return (text + b"." + part(signature)).decode()


def open_streams(port, headers):
    """One for each of the headers; all of them have begun."""
    sockets = []
    for header in headers:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(f"GET /jobs/events HTTP/1.1\r\nHost: localhost\r\n"
                           f"{header}\r\n\r\n".encode())
        sockets.append(connection)
    for connection in sockets:
        connection.settimeout(30)
        seen = b""
        while b"id: " not in seen:
            data = connection.recv(4096)
            if not data or not (seen + data).startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"no stream of events: {seen + data}")
            seen += data
    return sockets


def per_stream(pid, port, headers):
    """KiB of the worker processes for each stream."""
    workers = children(pid)
    before = memory(workers)
    sockets = open_streams(port, headers)
    # with the first comments, which show that they live
    time.sleep(16)
    kib = (memory(workers) - before) / len(sockets)
    for connection in sockets:
        connection.close()
    return kib


def streams(report, runs, count=2000):
    """Row 11: memory for each open stream of events, beside nginx that hands
    on those of another server."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    # each a server of its own each time: one that was used keeps memory

    def ours():
        with Stack("mongo", "mariadb", "rabbitmq", "gateway") as stack:
            headers = [f"Authorization: Bearer {token(stack, number)}"
                       for number in range(count)]
            return per_stream(stack.pid("gateway"), stack.port, headers)

    def rival():
        with Proxy() as nginx:
            return per_stream(nginx.process.pid, nginx.port,
                              ["Authorization: Bearer x"] * count)

    with backend():
        pairs = in_turn(runs, ours, rival)

    report.ratio("11", f"memory per stream of events of {count}",
                 "nginx handing on another server's", pairs, 1, larger=False,
                 unit="KiB")
