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
                           quic=f"listen 127.0.0.1:{self.port} quic;"
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


def download(gateway, job, size, protocol):
    return size / timed(lambda: gateway.curl(
        protocol, f"/download?fid={job}", "-o", "/dev/null"))


def http2_beside_http1(report, runs):
    size = 128
    path = random_file(f"{size}.bin", size * MIB)

    with Stack("mongo", "mariadb", "rabbitmq", "gateway") as stack, \
            TlsGateway(stack) as gateway:

        def upload(*protocol):
            # not curl: it spins while it may not send over HTTP/2, which takes
            # a core away from the store
            seconds = timed(lambda: gateway.load(
                "/upload?name=bench.mp4", *protocol, "-d", path))
            stack.forget("videos", newest_job(stack))
            return size / seconds

        report.ratio("2c", "upload over HTTP/2", "HTTP/1.1", in_turn(
            runs, upload, lambda: upload("--h1")),
            0.8, unit="MiB/s")

        job = run(BUCKET, "put", stack.env["V2M_MONGO_URI"], "mp3s",
                  path).strip()
        make_ready(stack, job)

        report.ratio("2c", "download over HTTP/2", "HTTP/1.1", in_turn(
            runs, lambda: download(gateway, job, size, "--http2"),
            lambda: download(gateway, job, size, "--http1.1")),
            0.8, unit="MiB/s")
        stack.forget("mp3s", job)


def http3_beside_http1(report, runs):
    if not has_http3():
        print("row 2d  left out: nginx or curl here has no HTTP/3")
        return

    size = 128
    path = random_file(f"{size}.bin", size * MIB)

    with Stack("mongo", "mariadb", "rabbitmq", "gateway") as stack, \
            TlsGateway(stack) as gateway:

        def upload(protocol):
            seconds = timed(lambda: gateway.curl(
                protocol, "/upload?name=bench.mp4", "-T", path, "-o",
                "/dev/null"))
            stack.forget("videos", newest_job(stack))
            return size / seconds

        report.ratio("2d", "upload over HTTP/3", "HTTP/1.1", in_turn(
            runs, lambda: upload("--http3-only"),
            lambda: upload("--http1.1")), 0.8, unit="MiB/s")

        job = run(BUCKET, "put", stack.env["V2M_MONGO_URI"], "mp3s",
                  path).strip()
        make_ready(stack, job)
        report.ratio("2d", "download over HTTP/3", "HTTP/1.1", in_turn(
            runs, lambda: download(gateway, job, size, "--http3-only"),
            lambda: download(gateway, job, size, "--http1.1")),
            0.8, unit="MiB/s")
        stack.forget("mp3s", job)
