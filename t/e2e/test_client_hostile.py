"""The command v2m and a service, a network and people that do it no good: what
it shows, replaces, keeps and repeats.  The service is one of the test's own."""

import base64
import fcntl
import http.server
import json
import os
import pty
import re
import socket
import subprocess
import termios
import threading

import pytest

import client_command
from conftest import wait_for
from test_client import AWAY, DONE, FAILED

JOB, MP3 = "a" * 24, "b" * 24
SIZE = 1_500_000
ODD = "\x1b[2J\u009b31m\x07\r\n\x7f"


class Service:
    """Answers as v2m does, but for what is replaced: a function that takes the
    request's handler and returns (STATUS, HEADERS, BODY), or None when it has
    closed the connection.  The key is "METHOD" or "METHOD PATH", of which the
    path's beginning is enough."""

    def __init__(self):
        self.calls = []  # (METHOD, PATH, HEADERS)
        self.replaced = {}
        self.job = {"id": JOB, "state": "ready", "name": "talk.mp4",
                    "mp3_fid": MP3, "mp3_size": 1000}
        self.mp3 = b"m" * 1000
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                service.answer(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def take(self, most=None):
                """Reads the body, or so much of it."""
                left = int(self.headers.get("Content-Length", 0))
                return self.rfile.read(left if most is None else most)

            def reset(self):
                """Breaks the connection."""
                self.close_connection = True
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.connection.close()

            def log_message(self, *arguments):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, address):
                pass  # the client went away

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,),
                         daemon=True).start()

    def answer(self, handler):
        line = f"{handler.command} {handler.path}"
        self.calls.append((handler.command, handler.path, handler.headers))
        for key, function in self.replaced.items():
            if line.startswith(key):
                answer = function(handler)
                break
        else:
            answer = self.usual(handler)
        if answer is None:
            return
        status, headers, body = answer
        handler.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            handler.send_header(name, str(value))
        handler.end_headers()
        handler.wfile.write(body)

    def usual(self, handler):
        if handler.command == "POST" and handler.path.startswith("/tus/"):
            return 201, {"Location": f"/tus/{JOB}"}, b""
        if handler.command == "PATCH":
            handler.take()
            return 204, {"V2M-Job": JOB}, b""
        if handler.command == "PUT":
            handler.take()
            return 201, {}, json.dumps({"id": JOB, "state": "queued"}).encode()
        if handler.command == "DELETE":
            return 204, {}, b""
        if handler.path.startswith("/jobs/"):
            return 200, {}, json.dumps(self.job).encode()
        if handler.path.startswith("/download"):
            first = re.match(r"bytes=(\d+)-", handler.headers.get("Range", ""))
            return (206, {}, self.mp3[int(first[1]):]) if first \
                else (200, {}, self.mp3)
        return 200, {}, b'{"username":"ann"}'

    def count(self, method, path=""):
        return sum(call[0] == method and call[1].startswith(path)
                   for call in self.calls)


@pytest.fixture
def service():
    started = []

    def start():
        started.append(Service())
        return started[-1]

    yield start
    for each in started:
        each.server.shutdown()
        each.server.server_close()


@pytest.fixture
def served(service):
    return service()


@pytest.fixture
def begin(tmp_path, served):
    env = client_command.environment(tmp_path, served.url, V2M_TOKEN="a.b.c")
    with client_command.starter(tmp_path) as start:
        yield lambda *arguments, **options: start(
            arguments, **{"env": env, "stdin": subprocess.DEVNULL, **options})


def end(program, status=DONE):
    """What it printed, or said when it failed."""
    out, said = program.communicate(timeout=60)
    assert program.returncode == status, (program.returncode, out, said)
    assert b"Sanitizer" not in (said or b"")
    return (out if status == DONE else said).decode()


@pytest.fixture
def v2m(begin):
    return lambda *arguments, status=DONE: end(begin(*arguments), status)


@pytest.fixture
def big(tmp_path):
    path = tmp_path / "big.mp4"
    path.write_bytes(b"v" * SIZE)
    return path


def is_plain(text):
    """Nothing in it does something to a terminal."""
    return not re.search("[\0-\x09\x0b-\x1f\x7f-\x9f]", text)


def test_texts_of_a_service(tmp_path, served, v2m):
    """S14: they do nothing to a terminal, and nothing to names of files."""
    served.job.update(name=f"../{ODD}talk.mp4", reason=f"because{ODD}",
                      state=f"{ODD}queued", id=ODD)
    said = v2m("status", JOB)
    assert said.count("\n") == 1 and "talk.mp4: because" in said
    assert is_plain(said)

    served.job["state"] = "ready"
    assert v2m("download", JOB) == "[2J31mtalk.mp3\n"
    served.job["state"] = "failed"
    said = v2m("download", JOB, status=FAILED)
    assert f"v2m: {JOB}: the job is failed: because" in said
    assert is_plain(said)

    served.replaced["GET"] = lambda handler: (
        400, {}, json.dumps({"detail": f"no{ODD}v2m: all is well"}).encode())
    said = v2m("status", JOB, status=FAILED)
    assert said.count("\n") == 1 and said.startswith(f"v2m: {JOB}: no?")
    assert is_plain(said)


def test_an_id_that_is_none(served, v2m, big):
    """S14: what a script takes for one."""
    served.replaced["PUT"] = lambda handler: (
        handler.take() and 201, {}, b'{"id":"$(reboot)"}')
    assert "not that of v2m" in v2m("upload", "big.mp4", status=FAILED)


def test_no_other_host_gets_the_token(service, served, v2m):
    other = service()
    served.replaced["GET"] = lambda handler: (
        301, {"Location": other.url + handler.path}, b"")
    said = v2m("status", JOB, status=FAILED)
    assert "status 301, a redirect" in said and "https://" in said
    assert not other.calls


def test_a_post_says_that_it_is_empty(served, v2m, big):
    """Else a proxy may answer with 411."""
    v2m("upload", "--resumable=1m", "big.mp4")
    empty = [call[2] for call in served.calls if call[0] == "POST"]
    assert [headers["Content-Length"] for headers in empty] == ["0", "0"]
    assert not any(headers["Content-Type"] for headers in empty)


def test_convert_replaces_none_of_its_files(tmp_path, served, v2m):
    for name in ("song.mp3", "a.mp4", "a.mkv"):
        (tmp_path / name).write_text(name)
    said = v2m("convert", "song.mp3", status=FAILED)
    assert "song.mp3: its MP3 would replace song.mp3" in said
    assert (tmp_path / "song.mp3").read_text() == "song.mp3"
    assert not served.calls

    said = v2m("convert", "./a.mp4", "a.mkv", status=FAILED)
    assert "a.mkv: its MP3 would replace ./a.mp3" in said
    assert served.count("PUT") == 1
    assert (tmp_path / "a.mp3").read_bytes() == served.mp3


def test_convert_says_how_to_go_on(tmp_path, served, v2m):
    """When the service goes away."""
    (tmp_path / "a.mp4").write_text("video")
    served.replaced["GET /jobs/"] = lambda handler: (
        503, {"Retry-After": "100"}, b"")
    said = v2m("convert", "a.mp4", status=AWAY)
    assert f"a.mp4 is job {JOB}: v2m wait, v2m download go on" in said


def test_login_with_lines_of_windows(begin, served):
    program = begin("login", stdin=subprocess.PIPE)
    served.replaced["POST /login"] = lambda handler: (
        200, {}, b'{"access_token":"a.b.c"}')
    program.communicate(b"ann@example.org\r\nsecret\r\n", timeout=60)
    assert program.returncode == DONE
    given = served.calls[0][2]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(given) == b"ann@example.org:secret"


@pytest.mark.parametrize("interrupted", [False, True])
def test_login_on_a_terminal(tmp_path, begin, served, interrupted):
    """The password is not shown; control-C ends it, and the echo is back."""
    served.replaced["POST /login"] = lambda handler: (
        200, {}, b'{"access_token":"a.b.c"}')
    main, other = pty.openpty()
    shown = []

    def wait_shown(text):
        while text not in b"".join(shown):
            shown.append(os.read(main, 4096))

    def own_terminal():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    program = begin("login", stdin=other, stderr=other,
                    preexec_fn=own_terminal)
    try:
        wait_shown(b"E-mail: ")
        os.write(main, b"ann@example.org\n")
        wait_shown(b"Password: ")
        wait_for(lambda: not termios.tcgetattr(other)[3] & termios.ECHO,
                 what="the echo to be off")
        os.write(main, b"\x03" if interrupted else b"secret\n")
        assert program.wait(20) == (FAILED if interrupted else DONE)
        assert termios.tcgetattr(other)[3] & termios.ECHO
        if interrupted:
            wait_shown(b"v2m: interrupted")
    finally:
        os.close(other)
        os.close(main)
    assert b"secret" not in b"".join(shown)
    assert served.count("POST", "/login") == (not interrupted)
    kept = tmp_path / "config" / "v2m" / "account"
    assert kept.exists() == (not interrupted)


def test_only_files_are_replaced(tmp_path, served, v2m):
    """Not /dev/null, by someone who may do so."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("folder")
    for name in ("folder", "pipe", "link"):
        assert f"{name} is there, but no file" in \
            v2m("download", "-o", name, JOB, status=FAILED)
    assert served.count("GET", "/download") == 0
    (tmp_path / "file").write_text("before")
    v2m("download", "-o", "file", JOB)
    assert (tmp_path / "file").read_bytes() == served.mp3


def test_a_long_name(tmp_path, served, v2m):
    """As many bytes as a file's name may have."""
    name = "\u65e5" * 83
    served.job["name"] = f"{name}.mkv"
    assert v2m("download", JOB) == f"{name}.mp3\n"
    assert [path.name for path in tmp_path.glob("*.mp3")] == [f"{name}.mp3"]


def test_what_is_not_the_mp3(tmp_path, served, v2m):
    """Such as the page of a network that wants one to sign in: the next call
    does not go on with it."""
    served.replaced["GET /download"] = lambda handler: (200, {}, b"<html>")
    assert "talk.mp3: what came is not as long" in \
        v2m("download", JOB, status=FAILED)
    assert list(tmp_path.glob("*.part")) == []
    served.replaced["GET /download"] = lambda handler: (404, {}, b"")
    assert "talk.mp3: the service" in v2m("download", JOB, status=FAILED)
    assert list(tmp_path.glob("*.part")) == []
    served.replaced.clear()
    v2m("download", JOB)
    assert (tmp_path / "talk.mp3").read_bytes() == served.mp3

    served.job["mp3_size"] = None
    assert "not that of v2m" in v2m("download", JOB, status=FAILED)


def test_two_downloads_of_one(tmp_path, served, begin):
    """The second one keeps away, and spoils nothing."""
    half, go_on = threading.Event(), threading.Event()

    def slowly(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(served.mp3[:500])
        half.set()
        go_on.wait(30)
        handler.wfile.write(served.mp3[500:])

    served.replaced["GET /download"] = slowly
    first = begin("download", JOB)
    assert half.wait(30)
    assert "another call is at this download" in \
        end(begin("download", JOB), FAILED)
    go_on.set()
    end(first)
    assert (tmp_path / "talk.mp3").read_bytes() == served.mp3


@pytest.mark.parametrize("option", ["--resumable=1m", "--resumable=off"])
@pytest.mark.parametrize("how", ["grows", "shrinks", "is written to"])
def test_a_file_that_changes(served, v2m, big, how, option):
    """No job is made of two versions, and none of a half."""
    size = SIZE * 20  # more than buffers take
    os.truncate(big, size)

    def change(handler):
        handler.take(1000)
        if how == "shrinks":
            os.truncate(big, SIZE)
        else:
            with open(big, "r+b") as file:
                file.seek(0 if how == "is written to" else size)
                file.write(b"new")
        rest = handler.take(int(handler.headers["Content-Length"]) - 1000)
        if len(rest) != size - 1000:
            return handler.reset()
        return (204, {"V2M-Job": JOB}, b"") if handler.command == "PATCH" \
            else (201, {}, json.dumps({"id": JOB}).encode())

    served.replaced["PATCH"] = served.replaced["PUT"] = change
    said = v2m("upload", option, "big.mp4", status=FAILED)
    if how == "shrinks" and option == "--resumable=off":
        assert "big.mp4: the file became shorter" in said
    else:
        assert "big.mp4 changed while it was uploaded" in said
        assert served.count("DELETE") == 1
    assert served.count("PATCH") + served.count("PUT") == 1


def test_what_is_no_video_file(tmp_path, served, v2m):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.mp4").write_text("")
    os.mkfifo(tmp_path / "pipe")
    said = v2m("upload", "folder", "empty.mp4", "pipe", "gone.mp4",
               status=FAILED)
    assert said == ("v2m: folder: this is no regular file\n"
                    "v2m: empty.mp4: the file is empty\n"
                    "v2m: pipe: this is no regular file\n"
                    "v2m: gone.mp4: No such file or directory\n")
    assert not served.calls


def test_output_that_cannot_be_written(served, begin):
    with open("/dev/full", "wb") as full:
        assert "standard output" in end(begin("status", JOB, stdout=full),
                                        FAILED)
    assert "standard output" in end(
        begin("status", JOB, preexec_fn=lambda: os.close(1)), FAILED)


def test_a_download_is_not_the_output(tmp_path, served, begin):
    """With a standard output that is closed no file gets its number."""
    told = threading.Event()

    def answer(handler):
        if handler.path.endswith("1"):
            told.wait(30)
        return 200, {}, served.mp3

    def job(handler):
        number = handler.path[-24:]
        if served.count("GET", "/download") == 2:
            told.set()
        return 200, {}, json.dumps({**served.job, "id": number, "name": number,
                                    "mp3_fid": number}).encode()

    served.replaced["GET /jobs/"] = job
    served.replaced["GET /download"] = answer
    ids = [f"{number:024}" for number in range(2)]
    program = begin("download", "-j", "2", *ids,
                    preexec_fn=lambda: os.close(1))
    wait_for(lambda: (tmp_path / f"{ids[0]}.mp3").exists(), what="the first")
    told.set()
    end(program, FAILED)
    for number in ids:
        assert (tmp_path / f"{number}.mp3").read_bytes() == served.mp3


@pytest.mark.parametrize("status", [409, 502, 504])
def test_what_passes(served, v2m, big, status):
    """A first try that the service has not given up yet, and a balancer whose
    gateway is being restarted."""
    def refuse(handler):
        if served.count("PUT") == 1:
            handler.take(1000)
            return handler.reset()
        if served.count("PUT") == 2:
            return status, {"Connection": "close"}, b""
        return served.usual(handler)

    served.replaced["PUT"] = refuse
    assert v2m("upload", "big.mp4") == f"{JOB}\n"
    keys = {call[2]["Idempotency-Key"] for call in served.calls}
    assert served.count("PUT") == 3 and len(keys) == 1


def test_an_answer_of_a_network(tmp_path, served, v2m, big):
    """What a hotspot says in the middle of an upload ends none."""
    def strange(handler):
        served.replaced.pop(handler.command)
        if handler.command == "PATCH":
            handler.take()
        return 200, {"Connection": "close"}, b""

    served.replaced = {"PATCH": strange, "HEAD": strange}
    usual = served.usual
    served.usual = lambda handler: (200, {"Upload-Offset": 5}, b"") \
        if handler.command == "HEAD" else usual(handler)
    assert v2m("upload", "--resumable=1m", "big.mp4") == f"{JOB}\n"
    assert (served.count("HEAD"), served.count("PATCH")) == (2, 2)

    served.replaced["PATCH"] = lambda handler: (
        302, {"Location": "http://127.0.0.1:1/", "Connection": "close"}, b"")
    assert "the same command goes on" in \
        v2m("upload", "--resumable=1m", "big.mp4", status=FAILED)
    assert served.count("DELETE") == 0
    assert len(list((tmp_path / "state" / "v2m").glob("*"))) == 1


def test_a_lost_answer_makes_no_second_upload(served, v2m, big):
    """The service knows the repetition by its key."""
    def lose(handler):
        served.replaced.clear()
        handler.reset()

    served.replaced["POST /tus/"] = lose
    v2m("upload", "--resumable=1m", "big.mp4")
    keys = [call[2]["Idempotency-Key"] for call in served.calls
            if call[1] == "/tus/"]
    assert len(keys) == 2 and len(set(keys)) == 1 and len(keys[0]) == 32


def test_a_job_is_deleted_once(served, v2m):
    """Also when the answer that says so is lost."""
    def gone(handler):
        return 404, {}, b""

    def lose(handler):
        served.replaced["DELETE"] = gone
        handler.reset()

    served.replaced["DELETE"] = lose
    assert v2m("delete", JOB) == ""
    assert served.count("DELETE") == 2
    assert "status 404" in v2m("delete", JOB, status=FAILED)


@pytest.mark.parametrize("status", [404, 501])
def test_made_but_no_more(tmp_path, served, v2m, big, status):
    """An upload that is unknown as soon as it is made, or that nothing can be
    sent to, is not made again and again, and does not stay."""
    served.replaced["PATCH"] = lambda handler: (
        status, {"Connection": "close"}, b"")
    said = v2m("upload", "--resumable=1m", "big.mp4", status=FAILED)
    assert f"big.mp4: the service answered with status {status}" in said
    assert (served.count("POST", "/tus/"), served.count("DELETE")) == (1, 1)
    assert list((tmp_path / "state" / "v2m").glob("*")) == []
