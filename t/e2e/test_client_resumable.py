"""The command v2m goes on with uploads that broke off, by tus: what it sends,
keeps, removes and says."""

import hashlib
import json
import os
import random
import signal
import socket
import stat
import uuid

import bson
import gridfs
import pytest

import client_command
import media
from client import add_user
from conftest import free_ports, wait_for
from test_client import DENIED, DONE, FAILED, USAGE, folder  # noqa: F401

SIZE = 1_500_000
CUT = 700_000
CHUNK = 256_000

# bytes of a few requests without their bodies
MORE = 20_000

# in front of the gateway: its answers are refusals of others
NGINX = """
daemon off;
worker_processes 1;
error_log stderr;
pid {folder}/nginx.pid;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    server {{
        listen 127.0.0.1:{port};
        {more}
        location / {{
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_pass {url};
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def user(stack):
    made = add_user(stack, f"{uuid.uuid4().hex[:12]}@example.org")
    yield made
    made.delete_all()


@pytest.fixture
def big(folder):  # noqa: F811
    """A file, big.mp4."""
    path = folder / "big.mp4"
    path.write_bytes(random.Random(1).randbytes(SIZE))
    return path


@pytest.fixture
def begin(user, folder):  # noqa: F811
    """Starts an upload of big.mp4."""
    with client_command.starter(folder) as start:
        def upload(url, *options, name="big.mp4", token=user.token,
                   state=folder / "state"):
            env = client_command.environment(folder, url, V2M_TOKEN=token,
                                             XDG_STATE_HOME=str(state))
            return start(["upload", "--json", "--resumable=1M", *options, name],
                         env, text=True)
        yield upload


def end(program, status=DONE):
    """The job, or what it said."""
    out, said = program.communicate(timeout=60)
    assert program.returncode == status, (program.returncode, said)
    assert "Sanitizer" not in said
    return json.loads(out) if status == DONE else said


@pytest.fixture
def way(stack, relay):
    return relay(stack.url)


@pytest.fixture
def broken(stack, folder, big, begin, way):  # noqa: F811
    """An upload of which the service has a part that the client was killed
    over: its id."""
    def make(*options):
        way.freeze_after(CUT)
        program = begin(way.url, *options)
        upload = hold(stack, folder, way)
        program.send_signal(signal.SIGKILL)
        program.communicate()
        way.cut()
        way.thaw()
        given_back(stack, upload)
        return upload
    return make


def hold(stack, folder, way):  # noqa: F811
    """Stops what goes to the service in the middle of the body; the id of the
    upload, of which some chunks are stored."""
    wait_for(way.is_frozen, what="the middle of the body")
    state, = states(folder)
    upload = state.read_text()[:24]
    wait_for(lambda: stack.count("videos", upload)[1] >= CUT / 2 / CHUNK,
             what="chunks")
    return upload


def given_back(stack, upload):
    """How much is stored once the service has seen that the request is gone."""
    wait_for(lambda: "tus_owner" not in stack.job(upload), what="the lease")
    offset = stack.job(upload)["tus_offset"]
    assert CUT / 2 <= offset < SIZE
    return offset


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def states(folder):  # noqa: F811
    return list((folder / "state" / "v2m").glob("*"))


def is_stored(stack, job, path):
    found = gridfs.GridFS(stack.mongo["videos"]).get(bson.ObjectId(job["id"]))
    assert hashlib.sha256(found.read()).digest() == \
        hashlib.sha256(path.read_bytes()).digest()
    assert job["name"] == path.name
    assert "tus_length" in stack.job(job["id"])


def test_a_video(stack, user, folder, begin):  # noqa: F811
    """The whole way, with options; nothing is kept."""
    path = folder / "a b,\u00e4.mp4"
    (folder / "one.mp4").rename(path)
    program = begin(user.url, "--resumable=0", "--bitrate=64",
                    "--webhook=http://127.0.0.1:1/?a=b&c=%20", name=path.name)
    job = end(program)
    is_stored(stack, job, path)
    assert job["webhook"] == "http://127.0.0.1:1/?a=b&c=%20"
    assert user.ready(job["id"])["options"]["bitrate"] == 64
    media.Mp3(user.mp3(job["id"])).check()
    assert states(folder) == []


def test_which_files(stack, user, folder, begin):  # noqa: F811
    """Those of the size and larger."""
    size = (folder / "one.mp4").stat().st_size
    for option, resumable in ((f"{size}", True), (f"{size + 1}", False),
                              ("1k", True), ("off", False)):
        job = end(begin(user.url, f"--resumable={option}", name="one.mp4"))
        assert ("tus_length" in stack.job(job["id"])) == resumable, option
    for option in ("", "k", "1x", "-1", "1kk", "9999999999g"):
        said = end(begin(user.url, f"--resumable={option}"), USAGE)
        assert "--resumable must be" in said


def test_cut(stack, user, big, folder, begin, way):  # noqa: F811
    """F7: it goes on by itself, and sends only what is missing."""
    way.freeze_after(CUT)
    program = begin(way.url)
    upload = hold(stack, folder, way)
    state, = states(folder)
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert user.token not in state.read_text()

    way.refuse()
    way.thaw()
    offset = given_back(stack, upload)
    base = way.carried["up"]
    way.serve()
    job = end(program)
    assert job["id"] == upload
    assert SIZE - offset <= way.carried["up"] - base < SIZE - offset + MORE
    is_stored(stack, job, big)
    assert states(folder) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_ended(stack, user, big, folder, begin, way, number):  # noqa: F811
    """The same command goes on."""
    way.freeze_after(CUT)
    program = begin(way.url)
    upload = hold(stack, folder, way)
    program.send_signal(number)
    said = program.communicate(timeout=20)[1]
    if number == signal.SIGINT:
        assert program.returncode == FAILED
        assert "v2m: big.mp4: interrupted\n" in said
        assert "the same command goes on" in said
    way.cut()
    way.thaw()
    offset = given_back(stack, upload)

    base = way.carried["up"]
    job = end(begin(way.url))
    assert job["id"] == upload
    assert SIZE - offset <= way.carried["up"] - base < SIZE - offset + MORE
    is_stored(stack, job, big)
    assert states(folder) == []

    # and once more it is another upload
    assert end(begin(way.url))["id"] != upload


@pytest.mark.parametrize("what", ["content", "options", "user"])
def test_another(stack, user, address, big, begin, way, broken,  # noqa: F811
                 what):
    """What is not the same begins anew."""
    upload = broken()
    options = []
    if what == "content":  # of the same length
        big.write_bytes(bytes(SIZE))
    elif what == "options":
        options = ["--bitrate=64"]
    else:
        user = add_user(stack, address)
    base = way.carried["up"]
    job = end(begin(way.url, *options, token=user.token))
    assert job["id"] != upload
    assert way.carried["up"] - base > SIZE
    is_stored(stack, job, big)


def test_gone(stack, user, big, folder, begin, way, broken):  # noqa: F811
    """One that was removed, or expired, begins anew."""
    upload = broken()
    user.request("DELETE", f"/tus/{upload}", headers={
        "Tus-Resumable": "1.0.0"}).expect(204)
    job = end(begin(way.url))
    assert job["id"] != upload
    is_stored(stack, job, big)
    assert states(folder) == []


def test_complete(stack, user, big, folder, begin, way, broken):  # noqa: F811
    """One that was complete without the client's knowing is not sent again."""
    upload = broken()
    offset = stack.job(upload)["tus_offset"]
    user.request("PATCH", f"/tus/{upload}", big.read_bytes()[offset:], {
        "Tus-Resumable": "1.0.0", "Upload-Offset": str(offset),
        "Content-Type": "application/offset+octet-stream"}).expect(204)
    base = way.carried["up"]
    assert end(begin(way.url))["id"] == upload
    assert way.carried["up"] - base < MORE
    assert states(folder) == []


def test_two_calls(stack, user, big, folder, begin, way):  # noqa: F811
    """The second has an upload of its own."""
    way.freeze_after(CUT)
    first = begin(way.url)
    upload = hold(stack, folder, way)
    second = end(begin(user.url))
    assert second["id"] != upload
    way.thaw()
    assert end(first)["id"] == upload
    assert states(folder) == []


def test_changed_meanwhile(stack, user, big, folder, begin, way):  # noqa: F811
    way.freeze_after(CUT)
    program = begin(way.url)
    upload = hold(stack, folder, way)
    os.utime(big)
    way.cut()
    way.thaw()
    assert "big.mp4 changed" in end(program, FAILED)
    assert stack.job(upload) is None
    assert states(folder) == []


def test_gateway_restarts(stack, big, folder, begin, way):  # noqa: F811
    """F8"""
    way.freeze_after(CUT)
    program = begin(way.url)
    upload = hold(stack, folder, way)
    # at once: it would wait for the upload to end
    gateway = stack.pid("gateway")
    os.kill(gateway, signal.SIGTERM)
    wait_for(lambda: not os.path.exists(f"/proc/{gateway}"), what="its end")
    stack.ctl("start", "gateway")
    way.thaw()
    job = end(program)
    assert job["id"] == upload
    is_stored(stack, job, big)


@pytest.fixture
def front(stack, spawn, tmp_path):
    """Starts nginx in front of the gateway, with this of its own."""
    def start(more):
        port = free_ports(1)
        for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            (tmp_path / name).mkdir()
        (tmp_path / "nginx.conf").write_text(NGINX.format(
            folder=tmp_path, port=port, url=stack.url, more=more))
        program = spawn("/usr/sbin/nginx", "-c", tmp_path / "nginx.conf",
                        "-p", tmp_path)
        wait_for(lambda: program.process.poll() is not None or is_open(port))
        assert program.process.poll() is None, program.log
        return f"http://127.0.0.1:{port}"
    return start


@pytest.mark.parametrize("status", [404, 405])
def test_a_service_without_it(stack, user, big, folder, begin,  # noqa: F811
                              front, status):
    url = front(f"location /tus/ {{ return {status}; }}")
    job = end(begin(url))
    assert "tus_length" not in stack.job(job["id"])
    assert stack.job(job["id"])["size"] == SIZE
    assert states(folder) == []


def test_refused(stack, user, big, folder, begin, front):  # noqa: F811
    """A status that lasts is told, and nothing is kept, here or there."""
    url = front("""location ~ ^/tus/. {
        if ($request_method = PATCH) { return 415; }
        proxy_pass %s;
    }""" % stack.url)

    def uploading():
        return stack.jobs.count_documents(
            {"username": user.user, "state": "uploading"})

    before = uploading()
    assert "status 415" in end(begin(url), FAILED)
    assert states(folder) == []
    assert uploading() == before


def test_over_a_quota(stack, address, big, folder, begin):  # noqa: F811
    user = add_user(stack, address)
    stack.ctl("user", "quota", address, "--bytes", "1m")
    said = end(begin(user.url, token=user.token), FAILED)
    assert "the service" not in said and said.startswith("v2m: ")
    assert states(folder) == []


def test_not_logged_in(user, big, folder, begin):  # noqa: F811
    assert "token" in end(begin(user.url, token="a.b.c"), DENIED)
    assert states(folder) == []


def test_nothing_can_be_kept(stack, user, big, begin, tmp_path):  # noqa: F811
    (tmp_path / "file").write_text("")
    program = begin(user.url, state=tmp_path / "file")
    out, said = program.communicate(timeout=60)
    assert program.returncode == DONE
    assert "uploads that break off cannot be gone on with" in said
    is_stored(stack, json.loads(out), big)
