"""The command v2m: what it prints, keeps, ends with, and goes on with."""

import json
import os
import shutil
import stat
import subprocess
import urllib.parse

import pytest

import media
from conftest import BUILD, Relay, SANITIZER_EXIT, wait_for

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
        env = {name: value for name, value in os.environ.items()
               if not name.startswith("V2M_")}
        env.update({"XDG_CONFIG_HOME": str(folder / "config"),
                    "ASAN_OPTIONS": f"exitcode={SANITIZER_EXIT}",
                    "V2M_URL": url, "no_proxy": "*", **settings})
        done = subprocess.run(
            [BUILD / "v2m", *arguments], cwd=folder, env=env, input=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
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
    for arguments in ((), ("dance",), ("status",), ("download", "a", "b"),
                      ("list", "--dance")):
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
