"""Rows 3 to 6: what the gateway costs, and how it stays responsive."""

import multiprocessing
import pathlib
import socket
import statistics
import time

from logins import MANY_ADDRESSES, one_session, storm
from storage import make_ready
from bench import (BUCKET, MIB, Nginx, PORT, Stack, children, cpu, in_turn,
                   memory, random_file, run)

NGINX_PORT = PORT + 50

NGINX_CONF = """
daemon off;
worker_processes 2;
user root;
pid {run}/nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    limit_req_zone $binary_remote_addr zone=login:1m rate=1r/m;
    limit_req_status 429;
    sendfile on;
    client_max_body_size 0;
    client_body_temp_path {run}/temp;
    server {{
        listen 127.0.0.1:{port};
        root {run}/files;
        location / {{ }}
        location /put/ {{ dav_methods PUT; }}
        location = /200 {{ return 200; }}
        location = /healthz {{ return 200; }}
        location = /login {{
            access_log {run}/access.log;
            limit_req zone=login;
            try_files /none =401;
        }}
    }}
}}
"""


class PlainNginx(Nginx):
    """The rival: nginx without our module."""

    def __init__(self):
        super().__init__("nginx", NGINX_PORT)
        self.url = f"http://127.0.0.1:{NGINX_PORT}"

    def conf(self):
        (self.run / "files" / "put").mkdir(parents=True, exist_ok=True)
        return NGINX_CONF.format(run=self.run, port=self.port)


def costs(report, runs):
    """Row 3: processor time per GiB."""
    size = 256
    path = random_file(f"{size}.bin", size * MIB)

    def cost(pid, action):
        workers = children(pid)
        before = cpu(workers)
        action()
        return (cpu(workers) - before) * 1024 / size

    with Stack("mongo", "mariadb", "rabbitmq", "gateway") as stack, \
            PlainNginx() as nginx:
        target = nginx.run / "files" / "put" / "file"
        gateway = stack.pid("gateway")

        def upload():
            uploaded = []
            seconds = cost(gateway,
                           lambda: uploaded.append(stack.upload(path)))
            stack.forget("videos", uploaded[0])
            return seconds

        def put():
            seconds = cost(nginx.process.pid, lambda: run(
                "curl", "-sSf", "-H", "Expect:", "-T", path,
                f"{nginx.url}/put/file"))
            return seconds

        report.ratio("3", "gateway CPU per GiB uploaded", "nginx dav PUT",
                     in_turn(runs, upload, put), 3, larger=False, unit="s")

        job = run(BUCKET, "put", stack.env["V2M_MONGO_URI"], "mp3s",
                  path).strip()
        make_ready(stack, job)

        def download():
            return cost(gateway, lambda: run(
                "curl", "-sSf", "-o", "/dev/null", "-H", stack.bearer,
                f"{stack.url}/download?fid={job}"))

        def get():
            return cost(nginx.process.pid, lambda: run(
                "curl", "-sSf", "-o", "/dev/null", f"{nginx.url}/put/file"))

        report.ratio("3", "gateway CPU per GiB downloaded",
                     "nginx sendfile GET", in_turn(runs, download, get), 3,
                     larger=False, unit="s")
        stack.forget("mp3s", job)
        target.unlink()


class Health(multiprocessing.Process):
    """Asks /healthz over one connection, again and again, until stopped; a
    process, so that what else the benchmark does is not in its times."""

    def __init__(self, server):
        super().__init__()
        self.server = server
        self.ended = multiprocessing.Event()
        self.times = multiprocessing.SimpleQueue()
        self.start()

    def run(self):
        times = []
        connection = self.server.connection()
        while not self.ended.wait(0.005):
            began = time.monotonic()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            times.append((time.monotonic() - began) * 1000)
        self.times.put(times)

    def stop(self):
        """Milliseconds that 99 of 100 requests took at most."""
        self.ended.set()
        times = self.times.get()
        self.join()
        return statistics.quantiles(times, n=100)[98]


def slow_uploads(report, runs, count=1000):
    """Row 4: memory and responsiveness with many slow uploads."""
    kib, p99 = [], []

    for _ in range(runs):
        # a gateway of its own each time: one that was used keeps memory
        with Stack("mongo", "mariadb", "rabbitmq", "gateway") as stack:
            workers = children(stack.pid("gateway"))
            before = memory(workers)
            health = Health(stack)
            sockets = [start_upload(stack) for _ in range(count)]
            send_slowly(sockets, rounds=30)
            p99.append(health.stop())
            kib.append((memory(workers) - before) / count)
            for connection in sockets:
                connection.close()

    report.value("4", f"memory per upload of {count} slow ones", kib, 300,
                 "KiB")
    report.value("4", "p99 of /healthz meanwhile", p99, 20, "ms")


def send_slowly(sockets, rounds, size=8192):
    """So many bytes on each, once a second: nearly a whole chunk of 255 KiB
    in the end."""
    began = time.monotonic()
    for sent, connection in enumerate(sockets * rounds):
        connection.sendall(b"x" * size)
        ahead = sent / len(sockets) - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)


def start_upload(stack):
    connection = socket.create_connection(("127.0.0.1", PORT))
    connection.sendall(
        f"POST /upload?name=slow.mp4 HTTP/1.1\r\nHost: localhost\r\n"
        f"{stack.bearer}\r\nContent-Length: 100000000\r\n\r\n".encode())
    return connection


def small_requests(report, runs):
    """Row 5: requests whose token is checked, beside nginx's return 200."""

    def wrk(url, *headers):
        options = [part for header in headers for part in ("-H", header)]
        output = run("wrk", "-t", "1", "-c", "32", "-d", "3s", *options, "-s",
                     pathlib.Path(__file__).with_name("post.lua"), url)
        if "Non-2xx" in output:
            raise SystemExit(output)
        for line in output.split("\n"):
            if line.startswith("Requests/sec:"):
                return float(line.split()[1])
        raise SystemExit(output)

    with Stack("mongo", "mariadb", "rabbitmq", "gateway") as stack, \
            PlainNginx() as nginx:
        pairs = in_turn(runs,
                        lambda: wrk(stack.url + "/validate", stack.bearer),
                        lambda: wrk(nginx.url + "/200", stack.bearer))
    report.ratio("5", "token-checked requests", "nginx return 200", pairs, 0.7,
                 unit="/s")


def health_alone(server):
    health = Health(server)
    time.sleep(3)
    return health.stop()


def health_in_storm(server, clients, addresses):
    with storm(server.port, clients, addresses):
        return health_alone(server)


def logins(report, runs, clients=64):
    """Row 6: /healthz while many log in at once, beside /healthz alone; row
    6b: while nearly all of them are refused, beside an nginx that does nothing
    but refuse; row 6c: an upload while many log in, beside one alone."""
    size = 128
    path = random_file(f"{size}.bin", size * MIB)

    def upload():
        began = time.monotonic()
        job = stack.upload(path)
        seconds = time.monotonic() - began
        stack.forget("videos", job)
        return size / seconds

    def upload_in_storm():
        with storm(stack.port, clients, MANY_ADDRESSES):
            return upload()

    with one_session(), \
            Stack("mongo", "mariadb", "rabbitmq", "gateway") as stack, \
            PlainNginx() as nginx:
        hashed = in_turn(
            runs, lambda: health_in_storm(stack, clients, MANY_ADDRESSES),
            lambda: health_alone(stack))
        refused = in_turn(
            runs, lambda: health_in_storm(stack, clients, clients),
            lambda: health_in_storm(nginx, clients, clients))
        uploads = in_turn(runs, upload_in_storm, upload)

    report.ratio("6", f"p99 of /healthz in a storm of {clients} logins",
                 "/healthz alone", hashed, 2, larger=False, unit="ms")
    report.ratio("6b", f"p99 of /healthz while {clients} clients are refused",
                 "nginx refusing them", refused, 2, larger=False, unit="ms")
    report.ratio("6c", f"upload in a storm of {clients} logins",
                 "an upload alone", uploads, 0.8, unit="MiB/s")
