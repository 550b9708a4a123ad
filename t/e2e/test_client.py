"""The command v2m: what it prints, keeps, ends with, and goes on with."""

import json
import os
import pty
import re
import shutil
import signal
import stat
import subprocess
import urllib.parse

import pytest

import client_command
import media
from conftest import BUILD, Relay, wait_for

DONE, FAILED, USAGE, DENIED, AWAY = range(5)


@pytest.fixture
def folder(tmp_path):
    """With videos one.mp4 and two.mp4."""
    video = media.ffmpeg("client.mp4", *media.picture(2),
                         *media.tones(media.MONO, 2))
    for name in ("one.mp4", "two words.mp4"):
        shutil.copy(video, tmp_path / name)
    return tmp_path


@pytest.fixture
def v2m(stack, folder):
    """Runs it; its output when it ends as expected."""
    def run(*arguments, status=DONE, stdin="", url=stack.url, **settings):
        done = subprocess.run(
            [BUILD / "v2m", *arguments], cwd=folder,
            env=client_command.environment(folder, url, **settings),
            input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=120)
        assert done.returncode == status, (done.returncode, done.stdout,
                                           done.stderr)
        return done.stdout if status == DONE else done.stderr
    return run


@pytest.fixture
def logged_in(v2m, stack):
    v2m("login", stdin=f"{stack.user}\n{stack.password}\n")
    return v2m


def test_login_keeps_a_token_that_only_the_user_can_read(logged_in, folder):
    kept = folder / "config" / "v2m" / "account"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    token = kept.read_text().split("\n")[1]
    assert token.count(".") == 2

    assert json.loads(logged_in("list", "--json").split("\n")[0] or "{}") \
        is not None
    logged_in("logout")
    assert not kept.exists()
    assert "v2m login" in logged_in("list", status=DENIED)
    logged_in("list", V2M_TOKEN=token)


def test_a_wrong_password_and_a_token_that_is_none(v2m, stack):
    said = v2m("login", status=DENIED, stdin=f"{stack.user}\nwrong\n")
    assert said == "v2m: invalid credentials\n"
    assert "token" in v2m("list", status=DENIED, V2M_TOKEN="a.b.c")


def test_a_token_goes_to_no_other_service(logged_in, stack):
    with_name = stack.url.replace("127.0.0.1", "localhost")
    assert "v2m login" in logged_in("list", status=DENIED, url=with_name)


def test_usage(v2m):
    for arguments in ((), ("dance",), ("status",), ("download",),
                      ("list", "--dance"), ("list", "-j", "0"),
                      ("list", "--parallel=65"), ("list", "-j2x")):
        assert v2m(*arguments, status=USAGE)
    assert "Usage: v2m" in v2m("--help")
    assert v2m("list", status=USAGE, url="file:///etc/passwd")


def test_convert(logged_in, folder):
    """Of three files two are videos."""
    (folder / "not.mp4").write_text("no video")
    said = logged_in("convert", "--bitrate=64", "one.mp4", "not.mp4",
                     "two words.mp4", status=FAILED)
    assert "not a media file" in said

    for name in ("one.mp3", "two words.mp3"):
        media.Mp3((folder / name).read_bytes()).check()
    assert not list(folder.glob("*.part")) and not (folder / "not.mp3").exists()


def test_each_step(logged_in, folder):
    job = logged_in("upload", "two words.mp4").strip()
    assert json.loads(logged_in("wait", job, "--json"))["state"] == "ready"
    # others of the same second may come before it
    listed = [json.loads(line) for line
              in logged_in("list", "--json").splitlines()]
    assert (job, "two words.mp4") in [(each["id"], each["name"])
                                      for each in listed]

    assert logged_in("download", job) == "two words.mp3\n"
    logged_in("download", job, "-o", "other.mp3")
    assert (folder / "two words.mp3").read_bytes() \
        == (folder / "other.mp3").read_bytes()

    logged_in("delete", job)
    assert "no such job" in logged_in("status", job, status=FAILED)
    assert "no such job" in logged_in("delete", "../login", status=FAILED)


def test_several_at_a_time(logged_in, folder):
    """Each of them, and told in the order in which they were given."""
    names = [f"{number}.mp4" for number in range(6)]
    for name in names:
        shutil.copy(folder / "one.mp4", folder / name)
    ids = logged_in("upload", "-j", "4", *names).split()
    assert [json.loads(line)["name"] for line in
            logged_in("wait", "--json", *ids).splitlines()] == names

    mp3s = [name.replace("mp4", "mp3") for name in names]
    assert logged_in("download", "--parallel=3", *ids).splitlines() == mp3s
    for name in mp3s:
        media.Mp3((folder / name).read_bytes()).check()
        (folder / name).unlink()

    (folder / "not.mp4").write_text("no video")
    said = logged_in("convert", "-j", "8", *names[:2], "not.mp4", "gone.mp4",
                     *names[2:], status=FAILED)
    assert "not a media file" in said and "gone.mp4: No such file" in said
    assert sorted(path.name for path in folder.glob("*.mp3")) == mp3s
    assert not list(folder.glob("*.part"))


def test_two_with_one_name(logged_in, folder):
    ids = logged_in("upload", "one.mp4", "one.mp4").split()
    logged_in("wait", *ids)
    said = logged_in("download", "-j", "2", *ids, status=FAILED)
    assert f"{ids[1]}: its MP3 would replace that of another job" in said
    assert (folder / "one.mp3").exists()
    assert "one MP3" in logged_in("download", "-o", "x.mp3", *ids,
                                  status=USAGE)


def test_a_line_of_progress_for_each(logged_in, folder, stack):
    """On a terminal; nothing of it is left at the end."""
    env = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config"),
           "V2M_URL": stack.url, "no_proxy": "*", "TERM": "xterm"}
    env.pop("V2M_TOKEN", None)
    main, other = pty.openpty()
    program = subprocess.Popen(
        [BUILD / "v2m", "convert", "-j", "2", "one.mp4", "two words.mp4"],
        cwd=folder, env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=other)
    os.close(other)
    seen = b""
    while True:
        try:
            data = os.read(main, 65536)
        except OSError:  # nobody has the other end any more
            break
        if not data:
            break
        seen += data
    os.close(main)
    assert program.communicate()[0] == b"one.mp3\ntwo words.mp3\n"
    assert program.returncode == DONE
    shown = seen.decode()
    assert re.search(r"one\.mp4  \w[^\n]*\n(\x1b\[K)?two words\.mp4  ",
                     shown.replace("\r", "")), repr(shown)
    assert "100 %" in shown and "ready" in shown
    assert shown.endswith("\x1b[J"), repr(shown[-60:])


def test_interrupted(logged_in, folder, stack, relay):
    """All threads end, and it says how to go on."""
    way = relay(stack.url)
    url = f"http://127.0.0.1:{way.port}"
    logged_in("login", stdin=f"{stack.user}\n{stack.password}\n", url=url)
    names = [f"{number}.mp4" for number in range(4)]
    for name in names:
        shutil.copy(folder / "one.mp4", folder / name)
    env = {**os.environ, "XDG_CONFIG_HOME": str(folder / "config"),
           "V2M_URL": url, "no_proxy": "*"}
    env.pop("V2M_TOKEN", None)
    before = way.accepted
    way.freeze("down")
    program = subprocess.Popen(
        [BUILD / "v2m", "upload", "-j", "3", *names], cwd=folder, env=env,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: way.accepted - before == 3, what="three connections")
    program.send_signal(signal.SIGINT)
    said = program.communicate(timeout=20)[1]
    assert program.returncode == FAILED
    assert said.count("interrupted") == 3
    assert way.accepted - before == 3


def test_webhook_option(logged_in):
    job = json.loads(logged_in("upload", "--json", "one.mp4",
                               "--webhook=http://127.0.0.1:1/a?b=c&d=e"))
    assert job["webhook"] == "http://127.0.0.1:1/a?b=c&d=e"
    assert "webhook" in logged_in("upload", "--webhook=ftp://a/", "one.mp4",
                                  status=FAILED)


def test_an_unusable_option(logged_in):
    assert "bitrate" in logged_in("upload", "--bitrate=63", "one.mp4",
                                  status=FAILED)


def test_a_download_goes_on(logged_in, folder):
    """With what is there, of which the service sends no byte again."""
    job = json.loads(logged_in("upload", "one.mp4", "--json"))["id"]
    fid = json.loads(logged_in("wait", job, "--json"))["mp3_fid"]
    logged_in("download", job)
    whole = (folder / "one.mp3").read_bytes()

    part = folder / f"one.mp3.{fid}.part"
    part.write_bytes(b"x" * 1000)
    logged_in("download", job)
    assert (folder / "one.mp3").read_bytes() == b"x" * 1000 + whole[1000:]
    assert not part.exists()


def test_a_service_that_is_away_comes_back(logged_in, stack):
    address = urllib.parse.urlsplit(stack.url)
    relay = Relay(address.hostname, address.port)
    token = logged_in("login", stdin=f"{stack.user}\n{stack.password}\n",
                      url=f"http://127.0.0.1:{relay.port}")
    assert token == ""
    url = f"http://127.0.0.1:{relay.port}"

    try:
        relay.refuse()
        assert logged_in("list", status=AWAY, url=url)
        relay.serve()
        job = logged_in("upload", "one.mp4", url=url).strip()
        wait_for(lambda: stack.job(job)["state"] == "ready", what="the job")
    finally:
        relay.close()
