"""F14: the store's disk is full: 507, and the service resumes when there is
room again."""

import os
import subprocess
import uuid

import pytest

import checks
from client import add_user
from conftest import wait_for
from local import local_stack

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can make a small disk")

DISK = 48  # MiB


@pytest.fixture
def own(tmp_path):
    """A stack whose store has a small disk of its own."""
    disk = tmp_path / "mongo"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", disk],
        stderr=subprocess.PIPE, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot make a small disk: {mounted.stderr}")
    try:
        with local_stack(tmp_path) as started:
            started.disk = disk
            yield started
    finally:
        subprocess.run(["umount", disk], check=True)


def test_full(own):
    user = add_user(own, f"{uuid.uuid4().hex[:12]}@example.org")
    first = user.ready(user.upload(checks.clip())["id"])

    data = os.urandom(6 * 1024 * 1024)
    for _ in range(2 * DISK // 6):
        answer = user.post(data, "large.bin")
        if answer.status != 201:
            break
    answer.expect(507)
    assert "full" in answer.detail
    user.request("GET", "/healthz").expect(200)

    # what was there still is
    assert user.mp3(first["id"])

    subprocess.run(["mount", "-o", "remount,size=512m", own.disk], check=True)
    job = wait_for(lambda: [a for a in [user.post(checks.clip())]
                            if a.status == 201], 60)[0].json()
    checks.check_mp3(user.mp3(user.ready(job["id"], 120)["id"]), 1,
                     checks.CLIP)
