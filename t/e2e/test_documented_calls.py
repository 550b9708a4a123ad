"""The curl lines of the documentation work as they are written."""

import os
import re
import shutil
import subprocess

import pytest

import media
from client import Client, add_user
from conftest import ROOT


def calls(document):
    """The curl lines in the document's code blocks, continuations joined."""
    text = (ROOT / document).read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").split("\n")
    return [line.strip() for line in lines
            if re.match(r"\s*(\w+=\$\()?curl ", line) and "$V2M_URL" in line]


@pytest.fixture
def place(stack, address, tmp_path):
    """(folder, environment): what the lines find where they are typed."""
    client = Client(stack.url, stack.user, stack.password).login()
    video = media.ffmpeg("documented.mp4", *media.picture(2),
                         *media.tones(media.MONO, 2))
    shutil.copy(video, tmp_path / "video.mp4")
    job = client.upload(video, "video.mp4")["id"]
    client.ready(job)
    admin = add_user(stack, address, "--admin")

    # an error is a failure; a login waits as long as it has to
    (tmp_path / ".curlrc").write_text(
        "fail-with-body\nnoproxy = *\nretry = 10\nmax-time = 60\n")
    return tmp_path, {
        **os.environ, "CURL_HOME": str(tmp_path), "JOB": job,
        "TOKEN": client.token, "ADMIN_TOKEN": admin.token,
        "V2M_URL": stack.url, "V2M_USER": stack.user,
        "V2M_PASSWORD": stack.password}


@pytest.mark.parametrize("document", ["README.md", "docs/api.md"])
def test_calls(place, document):
    folder, env = place
    lines = calls(document)
    assert len(lines) > 5

    for line in lines:
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        assert done.returncode == 0, (line, done.stdout[-500:])

    assert (folder / "video.mp3").stat().st_size > 1000
