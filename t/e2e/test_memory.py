"""Memory that does not grow with the video: a gateway worker while 256 MiB are
uploaded, and converter and transcoder while they convert it."""

import pathlib
import threading
import time
import uuid

import pytest

import checks
import media
from client import add_user
from conftest import wait_for

pytestmark = pytest.mark.release_only

MIB = 1024 * 1024

SECONDS = 8


def resident(pid, field="VmRSS"):
    """Bytes, 0 when there is no such process any more."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    for line in status.splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def children(pid):
    try:
        return [int(child)
                for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
                for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


class Sampler(threading.Thread):
    """The most that measure() gave while the block ran."""

    def __init__(self, measure):
        super().__init__(daemon=True)
        self.measure = measure
        self.most = 0
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.02):
            self.most = max(self.most, self.measure())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


@pytest.fixture(scope="module")
def user(stack):
    return add_user(stack, f"{uuid.uuid4().hex[:12]}@example.org")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """256 MiB of a format that has to be read from beginning to end."""
    path = tmp_path_factory.mktemp("memory") / "large.mkv"
    media.run("ffmpeg", "-v", "error", "-nostdin",
              *media.tones(media.STEREO, SECONDS),
              "-f", "lavfi", "-i", f"testsrc=s=640x360:r=49:d={SECONDS}",
              "-c:a", "aac", "-c:v", "rawvideo", "-pix_fmt", "rgb24",
              "-allow_raw_vfw", "1", path)
    assert path.stat().st_size > 256 * MIB
    yield path
    path.unlink()


def test_memory_of_a_large_video(stack, user, video):
    gateway, converter = stack.pid("gateway"), stack.pid("converter")

    # what is needed for the first job anyway
    warm = user.ready(user.upload(checks.clip())["id"])
    user.mp3(warm["id"])

    workers = children(gateway)
    before = {pid: resident(pid) for pid in workers}

    def grown():
        return max(resident(pid) - before[pid] for pid in workers)

    def converting():
        return resident(converter) + sum(
            resident(child) for child in children(converter))

    began = time.monotonic()
    with Sampler(grown) as gateway_memory, Sampler(converting) as memory:
        answer = user.curl(
            "--max-time", "900", "-T", video, "-w", "%{http_code}", "-o",
            "/dev/null", f"{stack.url}/upload/")
        uploaded = time.monotonic()
        assert answer == b"201"
        job_id = wait_for(lambda: [
            job["id"] for job in user.jobs() if job["name"] == video.name])[0]
        job = user.ready(job_id, 600)
        converted = time.monotonic()

    size = video.stat().st_size
    print(f"{size / MIB:.0f} MiB uploaded in {uploaded - began:.1f} s, a "
          f"worker grew by {gateway_memory.most / MIB:.1f} MiB; converted in "
          f"{converted - uploaded:.1f} s with {memory.most / MIB:.1f} MiB")

    try:
        assert job["size"] == size
        checks.check_mp3(user.mp3(job_id), SECONDS, checks.CLIP)
        assert workers == children(gateway)
        assert gateway_memory.most < 8 * MIB
        assert 0 < memory.most < 96 * MIB
    finally:
        for made in (job_id, warm["id"]):
            wait_for(lambda: user.delete(made).status in (204, 404), 60)
    # a slow store takes its time for so many chunks
    wait_for(lambda: stack.count("videos", job_id) == (0, 0), 120)
