"""The main job over the whole stack: log in, upload, follow the job, download
the MP3, read the mail; with every kind of media and with what is none."""

import concurrent.futures
import dataclasses
import http.client
import itertools
import json
import pathlib
import urllib.parse
import uuid

import bson
import pytest

import checks
import matroska
import media
from client import Client, add_user
from conftest import wait_for

pytestmark = pytest.mark.both


@dataclasses.dataclass
class Kind:
    """A kind of video that ffmpeg can make."""

    name: str      # of the file; its format follows from it
    audio: str     # ffmpeg's options for the audio
    video: str     # and for the picture
    rate: int = 48000
    tones: tuple = media.STEREO

    @property
    def id(self):
        title = f"{self.name}-{self.audio}-{self.rate}-{len(self.tones)}"
        return title.replace(" ", ",").replace(",-strict,-2", "")

    def make(self):
        return media.ffmpeg(
            self.name, *media.tones(self.tones, rate=self.rate),
            *media.picture(), "-c:a", *self.audio.split(), "-c:v",
            *self.video.split())

    @property
    def expected(self):
        if self.tones == media.SURROUND:
            return [media.SURROUND_LEFT, media.SURROUND_RIGHT]
        return [(tone,) for tone in self.tones]


H264 = "libx264 -preset ultrafast"
FIRST = H264 + " -movflags +faststart"
VP9 = "libvpx-vp9 -deadline realtime -cpu-used 8"

KINDS = [
    Kind("a.mp4", "aac", H264),
    Kind("b.mp4", "aac", FIRST),
    Kind("a.mp4", "aac", H264, 8000, media.MONO),
    Kind("b.mp4", "aac", FIRST, 96000),
    Kind("a.mp4", "aac", H264, tones=media.SURROUND),
    Kind("b.mp4", "libmp3lame", FIRST, 44100),
    Kind("a.mp4", "ac3", H264, tones=media.SURROUND),
    Kind("b.mp4", "libopus", FIRST),
    Kind("a.mp4", "flac -strict -2", H264, 22050),
    Kind("a.mkv", "aac", H264, 44100, media.MONO),
    Kind("a.mkv", "libmp3lame", H264, 16000, media.MONO),
    Kind("a.mkv", "libopus", H264, tones=media.SURROUND),
    Kind("a.mkv", "libvorbis", H264, 32000),
    Kind("a.mkv", "flac", H264, 96000),
    Kind("a.mkv", "pcm_s16le", H264, 11025),
    Kind("a.mkv", "ac3", H264),
    Kind("a.webm", "libopus", VP9),
    Kind("a.webm", "libopus", VP9, tones=media.MONO),
    Kind("a.webm", "libvorbis", VP9, 44100),
    Kind("a.avi", "libmp3lame", "mpeg4"),
    Kind("a.avi", "pcm_s16le", "mpeg4", 8000, media.MONO),
    Kind("a.avi", "ac3", "mpeg4", tones=media.SURROUND),
    Kind("a.mov", "aac", H264),
    Kind("a.mov", "pcm_s16be", H264, tones=media.SURROUND),
    Kind("a.mov", "pcm_s24le", FIRST, 96000, media.MONO),
    Kind("a.flv", "aac", "flv1"),
    Kind("a.flv", "libmp3lame", "flv1", 44100),
    Kind("a.ts", "aac", H264),
    Kind("a.ts", "libmp3lame", H264, 32000),
    Kind("a.ts", "ac3", H264, tones=media.SURROUND),
    Kind("a.ogv", "libvorbis", "libtheora"),
    Kind("a.ogg", "libopus", "libtheora"),
    Kind("a.ogg", "flac", "libtheora", 44100, media.MONO),
]


def cut(path, part=0.5):
    data = path.read_bytes()
    return data[:int(len(data) * part)]


def no_audio():
    return media.ffmpeg("a.mp4", *media.picture(), "-c:v",
                        *H264.split()).read_bytes()


# name, the bytes, the words that the reason must hold
WRONG = {
    "no-audio": (no_audio, "no audio"),
    "cut-index-last": (lambda: cut(KINDS[0].make()), "truncated"),
    "cut-index-first": (lambda: cut(KINDS[1].make()), "truncated"),
    "cut-mkv": (lambda: cut(KINDS[11].make()), "truncated"),
    "empty": (lambda: b"", "empty"),
    "text": (lambda: b"Dear reader, this is no video at all.\n" * 50,
             "not a media file"),
    "noise": (lambda: bytes(range(256)) * 400, "not a media file"),
}

class Uploaded:
    """What was uploaded, and its job in its end state."""

    def __init__(self, data, name, multipart, **options):
        self.data = data
        self.name = name
        self.multipart = multipart
        self.options = options
        self.job = None
        self.log = None
        self.mail = None

    def convert(self, user):
        job = user.upload(self.data, self.name, self.multipart,
                          **self.options)
        self.job = user.wait(job["id"])


def two_tracks():
    return media.ffmpeg(
        "two.mkv", *media.tones((440,)), *media.tones((1000,)),
        *media.picture(), "-map", "0", "-map", "1", "-map", "2", "-c:a",
        "aac", "-c:v", *H264.split())


def rising():
    return media.ffmpeg("rising.mp4", *media.chirp(6), *media.picture(6),
                        "-c:a", "aac", "-c:v", *H264.split())


def option_uploads():
    stereo, surround = KINDS[0].make(), KINDS[4].make()
    return {
        "bitrate": Uploaded(stereo.read_bytes(), "a.mp4", True, bitrate=64),
        "quality": Uploaded(stereo.read_bytes(), "a.mp4", True, quality=9),
        "samplerate": Uploaded(stereo.read_bytes(), "a.mp4", False,
                               samplerate=22050),
        "channels": Uploaded(stereo.read_bytes(), "a.mp4", True, channels=1),
        "downmix": Uploaded(surround.read_bytes(), "a.mp4", False,
                            channels=1, bitrate=128),
        "track": Uploaded(two_tracks().read_bytes(), "two.mkv", False,
                          track=2),
        "cut": Uploaded(rising().read_bytes(), "rising.mp4", True,
                        start="1.5", end="0:04"),
        "beyond": Uploaded(stereo.read_bytes(), "a.mp4", True, start="9"),
        "no-track": Uploaded(stereo.read_bytes(), "a.mp4", True, track=3),
    }


@pytest.fixture(scope="module")
def user(stack):
    made = add_user(stack, f"{uuid.uuid4().hex[:12]}@example.org")
    yield made
    made.delete_all()


@pytest.fixture(scope="module")
def log(stack):
    """What the stack's converter said since the tests of this file began."""
    path = pathlib.Path(stack.run) / "logs" / "converter.log"
    begin = path.stat().st_size

    def read():
        with open(path, "rb") as file:
            file.seek(begin)
            return checks.untraced(file.read().decode(errors="replace"))

    return read


@pytest.fixture(scope="module")
def uploads(stack, user, log):
    """Everything, uploaded and converted at once, and its mail."""
    before = checks.stored(stack)
    found = {}

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(Kind.make, KINDS))
    for number, (kind, path) in enumerate(zip(KINDS, paths)):
        found[kind.id] = Uploaded(path.read_bytes(), f"{kind.id}.{number}",
                                  number % 2 == 0)
    for name, (make, _) in WRONG.items():
        found[name] = Uploaded(make(), f"{name}.mp4", True)
    found |= {f"option-{name}": upload
              for name, upload in option_uploads().items()}

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda upload: upload.convert(user), found.values()))

    def told():
        return all(job["notified"] == "sent" for job in user.jobs())

    wait_for(told, 30, 0.2, what="the mails")
    mails = {}
    for mail in stack.mails(user.user):
        mails.setdefault(mail["Message-ID"].split(".")[0].lstrip("<"),
                         []).append(mail)
    for upload in found.values():
        upload.mails = mails.get(upload.job["id"], [])

    # nothing in the store but what jobs point at
    found["left"] = checks.stored(stack) - before - {
        upload.job["mp3_fid"] for upload in found.values()
        if upload.job["state"] == "ready"}
    return found


# Every kind of media


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_converts(user, uploads, log, kind):
    upload = uploads[kind.id]
    job = user.job(upload.job["id"])
    assert job["state"] == "ready", job
    assert job["name"] == upload.name
    assert job["size"] == len(upload.data)
    assert job["progress"] == 100
    assert job["options"] == {}
    assert "reason" not in job

    path = kind.make()
    seconds = matroska.heard(media.source_seconds(path), path, kind.audio)
    answer = user.download(job["id"]).expect(200)
    mp3, _ = checks.check_mp3(answer.body, seconds, kind.expected)
    assert mp3.first.rate == min(kind.rate, 48000)
    assert abs(job["duration"] - seconds) <= 0.030
    assert job["mp3_size"] == len(answer.body)

    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert answer.headers["Content-Disposition"] == \
        f'attachment; filename="{kind.id}.mp3"'
    assert user.mp3(job["mp3_fid"]) == answer.body
    assert checks.attempts(log(), job["id"]) == 1

    mail, = upload.mails
    assert mail["Subject"].startswith("Your MP3 is ready")
    assert job["download"] in mail.get_body(("plain",)).get_content()


@pytest.mark.parametrize("name", WRONG)
def test_fails_with_a_reason(user, uploads, log, name):
    """F13: at once, and the mail says why."""
    job = user.job(uploads[name].job["id"])
    assert job["state"] == "failed", job
    assert WRONG[name][1] in job["reason"]
    assert "mp3_fid" not in job and "download" not in job

    assert job["reason"] in user.download(job["id"]).expect(409).detail
    assert checks.attempts(log(), job["id"]) == 1

    mail, = uploads[name].mails
    text = " ".join(mail.get_body(("plain",)).get_content().split())
    assert job["reason"] in text
    assert f"{name}.mp4" in mail["Subject"]


def test_leaves_nothing_else_in_the_store(stack, uploads):
    assert uploads["left"] == set()
    assert stack.depth("video") == stack.depth("mp3") == 0


# Options


def converted(user, uploads, option, seconds, expected, **kind):
    upload = uploads[f"option-{option}"]
    assert upload.job["state"] == "ready", upload.job
    return upload.job, *checks.check_mp3(user.mp3(upload.job["id"]), seconds,
                                         expected, **kind)


def test_bitrate(user, uploads):
    job, mp3, _ = converted(user, uploads, "bitrate", 1, checks.CLIP)
    assert job["options"] == {"bitrate": 64}
    assert not mp3.variable
    assert {frame.kbits for frame in mp3.frames} == {64}


def test_quality(user, uploads):
    job, mp3, _ = converted(user, uploads, "quality", 1, checks.CLIP)
    assert job["options"] == {"quality": 9}
    assert mp3.variable
    best = user.job(uploads[KINDS[0].id].job["id"])
    assert job["mp3_size"] < best["mp3_size"] * 0.7


def test_samplerate(user, uploads):
    job, mp3, _ = converted(user, uploads, "samplerate", 1, checks.CLIP)
    assert job["options"] == {"samplerate": 22050}
    assert mp3.first.rate == 22050


def test_channels(user, uploads):
    job, mp3, _ = converted(user, uploads, "channels", 1, [media.STEREO])
    assert job["options"] == {"channels": 1}
    assert mp3.first.channels == 1


def test_channels_of_surround(user, uploads):
    expected = set(media.SURROUND_LEFT + media.SURROUND_RIGHT)
    job, mp3, _ = converted(user, uploads, "downmix", 1, [expected])
    assert job["options"] == {"channels": 1, "bitrate": 128}
    assert {frame.kbits for frame in mp3.frames} == {128}


def test_track(user, uploads):
    job, mp3, _ = converted(user, uploads, "track", 1, [(1000,)])
    assert job["options"] == {"track": 2}


def test_track_that_is_not_there(user, uploads):
    job = uploads["option-no-track"].job
    assert job["state"] == "failed"
    assert job["reason"] == \
        "track 3 does not exist, the file has 1 audio track"


def test_cut(user, uploads):
    job = uploads["option-cut"].job
    assert job["options"] == {"start": 1.5, "end": 4}
    mp3 = media.Mp3(user.mp3(job["id"]))
    mp3.check()
    audio = media.decode(mp3.data, mp3.first.rate, 1)
    assert abs(audio.seconds - 2.5) <= 0.001
    assert abs(audio.chirp_offset(1, 2.5)) <= 2
    assert job["duration"] == 2.5


def test_cut_beyond_the_end(user, uploads):
    job = uploads["option-beyond"].job
    assert job["state"] == "failed"
    assert "the audio ends at" in job["reason"]


@pytest.mark.parametrize("options, words", [
    ({"bitrate": 77}, "bitrate"),
    ({"quality": 10}, "quality"),
    ({"start": 3, "end": 2}, "after"),
    ({"start": "soon"}, "start"),
    ({"track": 0}, "track"),
    ({"loud": 1}, "loud"),
])
def test_wrong_options(stack, user, options, words):
    count = stack.jobs.count_documents({"username": user.user})
    assert words in user.post(b"x" * 1000, "a.mp4", **options).expect(
        422).detail
    assert stack.jobs.count_documents({"username": user.user}) == count


# Following a job


class Followed:
    """The long clip's way through the converter."""

    def __init__(self):
        self.job = None
        self.mp3 = None
        self.records = []  # the record after each of its changes
        self.early = None  # the answer to a download before the end


@pytest.fixture(scope="module")
def followed(stack, user):
    found = Followed()
    job_id = user.upload(checks.long_clip())["id"]

    def over():
        record = stack.job(job_id)
        known = found.records
        if not known or known[-1]["updated"] != record["updated"]:
            known.append(record)
        if record["state"] == "converting" and found.early is None:
            found.early = user.download(job_id)
        return record["state"] == "ready"

    wait_for(over, 120, 0.005)
    found.job = user.job(job_id)
    found.mp3 = user.mp3(job_id)
    return found


def test_long(followed):
    checks.check_long(followed.mp3)
    assert followed.job["mp3_size"] == len(followed.mp3)
    assert followed.job["duration"] == checks.LONG


def test_progress(followed):
    """Seen in the record, and written at most twice a second."""
    converting = [record for record in followed.records
                  if record["state"] == "converting"]
    percents = [record["progress"] for record in converting]
    assert percents == sorted(percents) and len(set(percents)) > 2, percents
    assert 0 < percents[-1] <= 100

    times = [record["updated"].timestamp() for record in converting
             if record["progress"] > 0]
    for first, third in zip(times, times[2:]):
        assert third - first >= 0.99, times


def test_download_before_the_end(followed):
    assert "the job is converting" in followed.early.expect(409).detail


# Deleting


def gone(stack, user, job):
    for fid in filter(None, (job["id"], job.get("mp3_fid"))):
        user.download(fid).expect(404)
    user.request("GET", f"/jobs/{job['id']}").expect(404)
    user.delete(job["id"]).expect(404)
    assert job["id"] not in [other["id"] for other in user.jobs()]
    assert stack.job(job["id"]) is None
    assert stack.count("videos", job["id"]) == (0, 0)


def test_delete(stack, user):
    job = user.ready(user.upload(checks.clip())["id"])
    assert stack.count("videos", job["id"])[0] == 1
    assert stack.count("mp3s", job["mp3_fid"])[0] == 1

    user.delete(job["id"]).expect(204)
    gone(stack, user, job)
    assert stack.count("mp3s", job["mp3_fid"]) == (0, 0)


def test_delete_failed(stack, user):
    job = user.wait(user.upload(b"no video", "a.mp4")["id"])
    assert job["state"] == "failed"
    user.delete(job["id"]).expect(204)
    gone(stack, user, job)


def dead(stack):
    return stack.depth("video.dead"), stack.depth("mp3.dead")


def test_delete_while_converting(stack, user, log):
    before, dead_before = checks.stored(stack), dead(stack)
    job = user.upload(checks.long_clip())
    user.wait(job["id"], "converting")
    wait_for(lambda: (stack.job(job["id"]) or {}).get("progress", 0) > 0)

    user.delete(job["id"]).expect(204)
    gone(stack, user, job)
    wait_for(lambda: f"{job['id']}: the attempt counts for nothing" in log(),
             60)
    wait_for(lambda: checks.stored(stack) <= before)
    gone(stack, user, job)
    assert checks.attempts(log(), job["id"]) == 1
    assert dead(stack) == dead_before
    assert not any(job["id"] in mail["Message-ID"]
                   for mail in stack.mails(user.user))


@pytest.mark.parametrize("name", ["a.mp4", None])
def test_delete_while_queued(stack, user, log, name):
    dead_before = dead(stack)
    stack.stop("converter")
    try:
        job = user.upload(checks.clip().read_bytes(), name)
        user.delete(job["id"]).expect(204)
    finally:
        stack.start("converter")
    wait_for(lambda: f"{job['id']}: not converted: the job was deleted"
             in log())
    gone(stack, user, job)
    assert dead(stack) == dead_before


# What a user of curl sees


def test_curl_login(stack):
    client = Client(stack.url, stack.user, stack.password)

    def login():
        return client.curl(
            "-w", "\n%{http_code} %{content_type}", "-X", "POST",
            "-u", f"{stack.user}:{stack.password}", f"{stack.url}/login"
        ).decode().split("\n")

    answer = wait_for(lambda: (a := login())[-1].startswith("200") and a, 30,
                      0.5, what="a login")
    token, end = answer
    assert end == "200 text/plain"
    assert token.count(".") == 2 and token.strip() == token
    Client(stack.url, token=token).request("GET", "/jobs").expect(200)


@pytest.mark.parametrize("arguments, name", [
    (["-F", "file=@{path}"], "{path.name}"),
    (["-F", "video=@{path};filename=My film.mp4", "-F", "note=hello"],
     "My film.mp4"),
    (["-T", "{path}", "/"], "{path.name}"),
    (["-T", "{path}", "?name=raw.mp4"], "raw.mp4"),
    (["-T", "{path}"], None),
    (["-X", "POST", "-T", "{path}", "?name=posted.mp4"], "posted.mp4"),
    (["--data-binary", "@{path}", "?name=data.mp4"], "data.mp4"),
    (["-H", "Transfer-Encoding: chunked", "-T", "{path}",
      "?name=chunked.mp4"], "chunked.mp4"),
])
def test_curl_upload(stack, user, tmp_path, arguments, name):
    path = checks.clip()
    tail = arguments[-1] if arguments[-1][0] in "/?" else ""
    options = [argument.format(path=path)
               for argument in arguments[:len(arguments) - bool(tail)]]
    body = tmp_path / "body"
    code = user.curl(*options, "-o", body, "-w", "%{http_code}",
                     f"{stack.url}/upload{tail}")
    assert code == b"201", body.read_text()

    job = user.ready(json.loads(body.read_text())["id"])
    assert job["name"] == (name and name.format(path=path))
    assert job["size"] == path.stat().st_size
    checks.check_mp3(user.mp3(job["id"]), 1, checks.CLIP)


def test_curl_names_the_download(stack, user, tmp_path):
    job = user.ready(user.upload(checks.clip(), "Überfahrt: 1.mp4")["id"])
    user.curl("-OJ", "--output-dir", tmp_path,
              f"{stack.url}/download?fid={job['id']}")
    saved, = tmp_path.iterdir()
    assert saved.suffix == ".mp3"
    assert saved.read_bytes() == user.mp3(job["id"])


def test_curl_resumes(stack, user, tmp_path, followed):
    """A download that the network cuts goes on where it ended."""
    job, mp3 = followed.job, followed.mp3
    part = len(mp3) // 2
    address = urllib.parse.urlsplit(stack.url)
    connection = http.client.HTTPConnection(address.hostname, address.port)
    connection.request("GET", f"/download?fid={job['id']}",
                       headers={"Authorization": f"Bearer {user.token}"})
    path = tmp_path / "a.mp3"
    path.write_bytes(connection.getresponse().read(part))
    connection.close()
    assert path.stat().st_size == part

    told = user.curl("-C", "-", "-o", path, "-w",
                     "%{http_code} %{size_download}",
                     f"{stack.url}/download?fid={job['id']}").decode()
    assert told == f"206 {len(mp3) - part}"
    assert path.read_bytes() == mp3


CHUNK = 255 * 1024


@pytest.mark.parametrize("range_, begin, end", [
    ("0-0", 0, 1), ("0-999", 0, 1000), ("5000-", 5000, None),
    ("-777", -777, None), (f"{CHUNK - 1}-{CHUNK}", CHUNK - 1, CHUNK + 1),
    (f"{CHUNK}-{3 * CHUNK - 1}", CHUNK, 3 * CHUNK),
])
def test_curl_range(stack, user, followed, range_, begin, end):
    job, mp3 = followed.job, followed.mp3
    body = user.curl("-r", range_, f"{stack.url}/download?fid={job['id']}")
    assert body == mp3[begin:end]


def test_curl_range_beyond_the_end(stack, user, followed):
    job, mp3 = followed.job, followed.mp3
    told = user.curl("-r", f"{len(mp3)}-", "-o", "/dev/null", "-w",
                     "%{http_code} %header{content-range}",
                     f"{stack.url}/download?fid={job['id']}").decode()
    assert told == f"416 bytes */{len(mp3)}"


def test_downloads_at_once(user, followed):
    job, mp3 = followed.job, followed.mp3
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        bodies = pool.map(user.mp3, itertools.repeat(job["id"], 4))
        assert all(body == mp3 for body in bodies)


# Somebody else


def test_another_user(stack, user, followed):
    """S12: sees, gets and deletes nothing, and cannot tell it from nothing."""
    job = followed.job
    other = add_user(stack, f"{uuid.uuid4().hex[:12]}@example.org")
    assert other.jobs() == []

    def same(method, path, fid):
        theirs = other.request(method, path + fid).expect(404)
        unknown = other.request(method, path + str(bson.ObjectId()))
        assert theirs.body == unknown.expect(404).body

    same("GET", "/jobs/", job["id"])
    same("DELETE", "/jobs/", job["id"])
    same("GET", "/download?fid=", job["id"])
    same("GET", "/download?fid=", job["mp3_fid"])
    user.download(job["id"]).expect(200)

    mine = other.ready(other.upload(checks.clip())["id"])
    assert [found["id"] for found in other.jobs()] == [mine["id"]]
    assert mine["id"] not in [found["id"] for found in user.jobs()]
    other.delete_all()
