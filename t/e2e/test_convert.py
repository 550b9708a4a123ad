"""v2m-convert: the service's transcoder on files of this machine."""

import os
import pty
import re
import select
import signal
import stat
import subprocess

import pytest

import channel
import media
from conftest import BUILD, wait_for

PROGRAM = str(BUILD / "v2m-convert")


def convert(*arguments, **settings):
    return subprocess.run(
        [PROGRAM, *map(str, arguments)], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120,
        env={**os.environ, **settings})


def read(path):
    """An MP3 file: what it holds and how it sounds."""
    mp3 = media.Mp3(path.read_bytes())
    mp3.check()
    return mp3, media.decode(mp3.data, mp3.first.rate, mp3.first.channels)


def nothing_else(folder, *names):
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


@pytest.fixture
def video():
    return media.ffmpeg("video.mp4", *media.tones(media.STEREO),
                        *media.picture(), "-c:a", "aac", *media.AVC)


@pytest.fixture
def slow():
    """Takes a while, however it is converted."""
    return media.ffmpeg("slow.flac", *media.tones(media.STEREO, 600),
                        "-c:a", "flac")


def test_convert(video, tmp_path):
    result = convert(video, tmp_path / "a.mp3")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r".*/a\.mp3: 0:01\.0 of sound in \d+ bytes, made in "
                        r"[\d.]+ s of mov,.* stereo\n", result.stdout)
    mp3, audio = read(tmp_path / "a.mp3")
    assert mp3.variable and audio.samples == 48000
    media.check_tones(audio, [(440,), (1000,)], media.LEVEL)
    nothing_else(tmp_path, "a.mp3")


def test_new_file_has_the_usual_rights(video, tmp_path):
    umask = os.umask(0o027)
    try:
        assert convert("-q", video, tmp_path / "a.mp3").returncode == 0
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a.mp3").stat().st_mode) == 0o640


@pytest.mark.parametrize("options, expected", [
    (["--bitrate=128"], {"kbits": {128}}),
    (["--bitrate", "64", "--channels=1", "--threads=1"],
     {"kbits": {64}, "channels": {1}}),
    (["--samplerate=22050", "--quality=9"], {"rate": {22050}}),
    (["--loudnorm"], {"rate": {48000}}), (["--loudnorm=-20"], {}),
    (["--track=1"], {"rate": {48000}, "channels": {2}}),
])
def test_options(video, tmp_path, options, expected):
    result = convert(*options, video, tmp_path / "a.mp3")
    assert result.returncode == 0, result.stderr
    mp3, _ = read(tmp_path / "a.mp3")
    for name, values in expected.items():
        assert {getattr(frame, name) for frame in mp3.frames} == values


def test_options_after_the_files(tmp_path):
    path = tmp_path / "a.mp3"
    result = convert(media.chirp_file(), path, "--start=0.5", "--end", "0:01.5")
    assert result.returncode == 0, result.stderr
    _, audio = read(path)
    assert audio.samples == 48000
    assert audio.chirp_offset(0.2, 0.7) == 0


def test_same_as_the_services(video, tmp_path):
    """It is the same transcoder, so the same MP3."""
    assert convert(video, tmp_path / "a.mp3").returncode == 0
    assert (tmp_path / "a.mp3").read_bytes() == channel.transcode(video).mp3


@pytest.mark.parametrize("arguments, word", [
    ([], "must be named"), (["a.mp4"], "must be named"),
    (["a", "b", "c"], "only two"), (["--foo", "a", "b"], "--foo"),
    (["--bitrate=1", "a", "b"], '"bitrate" must be one of 32'),
    (["--bitrate=128", "--quality=2", "a", "b"], "exclude each other"),
    (["--start=5", "--end=4", "a", "b"], '"end" must be after'),
    (["--end=x", "a", "b"], '"end" must be a time'),
    (["--loudnorm=3", "a", "b"], '"loudnorm" must be "on"'),
    (["--threads=0", "a", "b"], "from 1 to 256"),
    (["--threads=x", "a", "b"], "from 1 to 256"),
    (["--bitrate"], "requires an argument"),
])
def test_called_wrongly(arguments, word):
    result = convert(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert word in result.stderr


def test_help():
    result = convert("--help")
    assert (result.returncode, result.stderr) == (0, "")
    for name in ("bitrate", "quality", "track", "start", "end", "samplerate",
                 "channels", "threads", "force"):
        assert f"--{name}" in result.stdout
    assert max(map(len, result.stdout.split("\n"))) < 80


def test_no_such_file(tmp_path):
    result = convert(tmp_path / "none.mp4", tmp_path / "a.mp3")
    assert result.returncode == 1
    assert "none.mp4: No such file" in result.stderr
    nothing_else(tmp_path)


@pytest.mark.parametrize("data, word", [
    (b"This is a letter.\n" * 100, "not a media file"), (b"", "is empty"),
])
def test_no_media(tmp_path, data, word):
    (tmp_path / "letter.mp4").write_bytes(data)
    result = convert(tmp_path / "letter.mp4", tmp_path / "a.mp3")
    assert result.returncode == 1
    assert re.fullmatch(rf"v2m-convert: .*{word}.*\n", result.stderr)
    nothing_else(tmp_path, "letter.mp4")


def test_nothing_is_replaced_unasked(video, tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(b"precious")
    result = convert(video, path)
    assert result.returncode == 1
    assert "a.mp3 exists; --force replaces it" in result.stderr
    assert path.read_bytes() == b"precious"

    for option in ("--force", "-y"):
        path.write_bytes(b"precious")
        assert convert(option, video, path).returncode == 0
        read(path)
    nothing_else(tmp_path, "a.mp3")


def test_failure_replaces_nothing(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(b"precious")
    (tmp_path / "letter.mp4").write_bytes(b"no video" * 100)
    assert convert("--force", tmp_path / "letter.mp4", path).returncode == 1
    assert path.read_bytes() == b"precious"
    nothing_else(tmp_path, "a.mp3", "letter.mp4")


def test_link_to_an_mp3_stays_a_link(video, tmp_path):
    (tmp_path / "real.mp3").write_bytes(b"old")
    (tmp_path / "a.mp3").symlink_to("real.mp3")
    assert convert("-f", video, tmp_path / "a.mp3").returncode == 0
    assert (tmp_path / "a.mp3").is_symlink()
    read(tmp_path / "real.mp3")


def test_video_is_not_overwritten_by_its_mp3(tmp_path):
    path = tmp_path / "a.wav"
    data = media.chirp_file().read_bytes()
    path.write_bytes(data)
    (tmp_path / "same.wav").hardlink_to(path)
    for other in (path, tmp_path / "same.wav"):
        result = convert("--force", path, other)
        assert result.returncode == 1
        assert "cannot be both" in result.stderr
    assert path.read_bytes() == data


@pytest.mark.parametrize("source, target, word", [
    ("/dev/stdin", "a.mp3", "not a file"), (".", "a.mp3", "not a file"),
    (None, ".", "Is a directory"), (None, "none/a.mp3", "No such file"),
    (None, "/dev/full", "No space left"),
])
def test_unusable_files(video, tmp_path, source, target, word):
    result = subprocess.run(
        [PROGRAM, source or video, target], stdin=subprocess.PIPE,
        capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert result.returncode == 1
    assert word in result.stderr
    nothing_else(tmp_path)


def test_output_that_is_no_file(video):
    assert convert(video, "/dev/null").returncode == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_quiet(video, tmp_path):
    result = convert("--quiet", video, tmp_path / "a.mp3")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_no_transcoder(video, tmp_path):
    result = convert(video, tmp_path / "a.mp3", V2M_TRANSCODE="/none")
    assert result.returncode == 1
    assert "V2M_TRANSCODE" in result.stderr
    nothing_else(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(slow, tmp_path, number):
    """It ends by the signal, as the shell expects, and leaves nothing."""
    process = subprocess.Popen([PROGRAM, slow, tmp_path / "a.mp3"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: any(path.stat().st_size for path in tmp_path.iterdir()))
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == -number
    assert errors == b""
    nothing_else(tmp_path)


class Terminal:
    """The program on a terminal, and what it shows there."""

    def __init__(self, *arguments):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [PROGRAM, *map(str, arguments)], stdin=slave, stdout=slave,
            stderr=slave)
        os.close(slave)
        self.shown = ""

    def read(self):
        ready, _, _ = select.select([self.master], [], [], 0.1)
        try:
            if ready:
                self.shown += os.read(self.master, 4096).decode()
        except OSError:
            return False  # nobody writes there any more
        return True

    def until(self, word):
        wait_for(lambda: self.read() and word in self.shown)

    def end(self):
        wait_for(lambda: not self.read(), 120)
        os.close(self.master)
        return self.process.wait(20)


def test_progress_on_a_terminal(slow, tmp_path):
    terminal = Terminal(slow, tmp_path / "a.mp3")
    assert terminal.end() == 0
    percents = [int(number) for number in
                re.findall(r"(\d+) %", terminal.shown)]
    assert len(percents) > 2 and percents == sorted(percents)
    assert re.search(r"\[#+\.+\] +\d+ %  \d+:\d\d left", terminal.shown)
    assert terminal.shown.rpartition("\033[K")[2].startswith(str(tmp_path))


@pytest.mark.parametrize("answer, status", [("y", 0), ("n", 1), ("", 1)])
def test_question_on_a_terminal(video, tmp_path, answer, status):
    path = tmp_path / "a.mp3"
    path.write_bytes(b"precious")
    terminal = Terminal(video, path)
    terminal.until("Replace it? [y/N]")
    os.write(terminal.master, f"{answer}\n".encode())
    assert terminal.end() == status
    assert (path.read_bytes() == b"precious") == (status == 1)
