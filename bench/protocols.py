"""Row 2c: HTTP/2 beside HTTP/1.1, both with TLS; row 2d: HTTP/3."""

import subprocess
import sys

from bench import (BUCKET, BUILD, MIB, Nginx, PORT, ROOT, Stack, in_turn,
                   random_file, run, timed)
from storage import make_ready

TLS_PORT = PORT + 60

CONF = """
load_module {build}/ngx_http_v2m_module.so;
daemon off;
worker_processes auto;
user root;
pid {run}/nginx.pid;
error_log stderr;
thread_pool v2m_storage threads=16 max_queue=1024;
thread_pool v2m_login threads=1 max_queue=64;
events {{ worker_connections 4096; }}
http {{
    include {root}/nginx-conf/v2m-http.conf;
    access_log off;
    client_body_temp_path {run}/temp;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        {quic}
        ssl_certificate {run}/certificate.pem;
        ssl_certificate_key {run}/key.pem;
        include {root}/nginx-conf/v2m-locations.conf;
    }}
}}
"""


def has_http3():
    """Whether nginx and curl have it."""
    nginx = subprocess.run(["nginx", "-V"], capture_output=True, text=True)
    return "http_v3" in nginx.stderr and "HTTP3" in run("curl", "--version")


class TlsGateway(Nginx):
    """The gateway as it is deployed: with TLS, for both protocols."""

    def __init__(self, stack):
        super().__init__("tls", TLS_PORT, **stack.env)
        self.stack = stack

    def conf(self):
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
            "-keyout", self.run / "key.pem", "-out",
            self.run / "certificate.pem")
        return CONF.format(build=BUILD, run=self.run, root=ROOT,
                           port=self.port,
                           quic=f"listen 127.0.0.1:{self.port} quic "
                                "reuseport;"
                           if has_http3() else "")

    def load(self, path, *arguments):
        """One request with h2load."""
        output = run("h2load", "-n", "1", "-c", "1", "-H", self.stack.bearer,
                     *arguments, f"https://127.0.0.1:{TLS_PORT}{path}")
        if "status codes: 1 2xx" not in output:
            sys.exit(output)

    def curl(self, protocol, path, *arguments):
        return run("curl", "-sSfk", protocol, "-H", self.stack.bearer, "-H",
                   "Expect:", *arguments, f"https://127.0.0.1:{TLS_PORT}{path}")


def newest_job(stack):
    client = stack.mongo()
    job = client["v2m"]["jobs"].find_one(sort=[("_id", -1)])["_id"]
    client.close()
    return job


def beside_http1(report, runs, row, name, uploads, protocol):
    """uploads(gateway, path) gives two functions, which upload the file over
    the protocol and over HTTP/1.1; protocol is an option of curl."""
    size = 128
    path = random_file(f"{size}.bin", size * MIB)

    with Stack("mongo", "mariadb", "rabbitmq", "gateway") as stack, \
            TlsGateway(stack) as gateway:

        def upload(action):
            seconds = timed(action)
            stack.forget("videos", newest_job(stack))
            return size / seconds

        ours, rival = uploads(gateway, path)
        report.ratio(row, f"upload over {name}", "HTTP/1.1", in_turn(
            runs, lambda: upload(ours), lambda: upload(rival)), 0.8,
            unit="MiB/s")

        job = run(BUCKET, "put", stack.env["V2M_MONGO_URI"], "mp3s",
                  path).strip()
        make_ready(stack, job)

        def download(option):
            return size / timed(lambda: gateway.curl(
                option, f"/download?fid={job}", "-o", "/dev/null"))

        report.ratio(row, f"download over {name}", "HTTP/1.1", in_turn(
            runs, lambda: download(protocol), lambda: download("--http1.1")),
            0.8, unit="MiB/s")
        stack.forget("mp3s", job)


def http2_beside_http1(report, runs):
    def uploads(gateway, path):
        # not curl: it spins while it may not send over HTTP/2, which takes a
        # core away from the store
        call = ("/upload?name=bench.mp4", "-d", path)
        return (lambda: gateway.load(*call),
                lambda: gateway.load(*call, "--h1"))

    beside_http1(report, runs, "2c", "HTTP/2", uploads, "--http2")


def http3_beside_http1(report, runs):
    if not has_http3():
        print("row 2d  left out: nginx or curl here has no HTTP/3")
        return

    def uploads(gateway, path):
        call = ("/upload?name=bench.mp4", "-T", path, "-o", "/dev/null")
        return (lambda: gateway.curl("--http3-only", *call),
                lambda: gateway.curl("--http1.1", *call))

    beside_http1(report, runs, "2d", "HTTP/3", uploads, "--http3-only")
