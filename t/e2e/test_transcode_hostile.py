"""v2m-transcode with files and parents that mean no good: none makes it crash,
hang, or take more than it may."""

import os
import pathlib
import random
import re
import signal
import struct
import subprocess

import pytest

import channel
import media
from conftest import BUILD


# Bombs


def silent_flac(hours):
    """Hours of digital silence in a file of a few kilobytes."""
    rate, block = 1000, 65535
    total = hours * 3600 * rate
    info = struct.pack(">HH6s", block, block, bytes(6))
    info += (rate << 44 | 0 << 41 | 15 << 36 | total).to_bytes(8, "big")
    data = b"fLaC\x80\0\0\x22" + info + bytes(16)

    def utf8(number):
        if number < 0x80:
            return bytes([number])
        tail = []
        while number >= 1 << (6 - len(tail)):
            tail.insert(0, 0x80 | number & 0x3F)
            number >>= 6
        return bytes([0xFF00 >> len(tail) + 1 & 0xFF | number, *tail])

    for number in range(total // block + 1):
        header = b"\xff\xf8\x70\x08" + utf8(number) + struct.pack(">H",
                                                                  block - 1)
        frame = header + bytes([crc(header, 8, 0x07)]) + b"\0\0\0"
        data += frame + crc(frame, 16, 0x8005).to_bytes(2, "big")
    return data


def crc(data, bits, polynomial):
    value, top = 0, 1 << bits - 1
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) \
                & (1 << bits) - 1
    return value


def test_endless_sound_in_a_small_file():
    """S19"""
    result = channel.transcode(silent_flac(2), bitrate=320)
    channel.assert_refused(result, "far longer than the file")
    assert len(result.mp3) < 80_000_000


@pytest.mark.parametrize("channels, rate", [
    (2, 1), (2, 999), (2, 768_001), (1, 2**32 - 1), (2, 2**31), (2, 0),
    (0, 48000), (65, 48000), (1000, 48000), (65535, 2**32 - 1),
])
def test_absurd_format(channels, rate):
    """S19"""
    data = bytearray(media.chirp_file().read_bytes())
    place = data.index(b"fmt ") + 10
    frame = 2 * channels & 0xFFFF
    data[place:place + 12] = struct.pack(
        "<HIIH", channels, rate, rate * frame & 0xFFFFFFFF, frame)
    channel.assert_refused(channel.transcode(data))


@pytest.mark.parametrize("channels", [3, 4, 5, 7, 8, 16, 24, 64])
def test_unusual_numbers_of_channels(channels):
    data = bytearray(media.ffmpeg(
        "tone.wav", *media.tones(media.MONO, 4)).read_bytes())
    place = data.index(b"fmt ") + 10
    data[place:place + 12] = struct.pack(
        "<HIIH", channels, 48000, 96000 * channels, 2 * channels)
    result = channel.transcode(data)
    if result.failed:
        channel.assert_refused(result, f"{channels} channels")
    else:
        media.check(result, 4 / channels, tolerance=0.001, quiet=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf"),
                                   float("-inf"), 1e30, -1e10, 100.0])
@pytest.mark.parametrize("options", [{}, {"bitrate": 128},
                                     {"samplerate": 32000}])
def test_samples_that_are_no_sound(value, options):
    data = bytearray(media.ffmpeg(
        "tone.wav", *media.tones(media.MONO), "-c:a",
        "pcm_f32le").read_bytes())
    start = data.index(b"data") + 8
    for number in (*range(1000, 3000), *range(20_000, 40_000, 7)):
        struct.pack_into("<f", data, start + 4 * number, value)

    result = channel.transcode(data, **options)
    assert not result.failed and result.status == 0
    media.Mp3(result.mp3).check()


# How many broken files of each kind: V2M_BROKEN=1000 looks for trouble.
BROKEN = int(os.environ.get("V2M_BROKEN", 8))


def broken(path, seed):
    """A file with some of its bytes changed, most of them near the start or
    the end, where formats keep what is dangerous."""
    chance = random.Random(f"{path.name} {seed}")
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 3, 10, 50))):
        near = min(len(data), chance.choice((64, 512, 4096, len(data))))
        place = chance.randrange(near)
        if chance.random() < 0.3:
            place = len(data) - 1 - place
        data[place] = chance.choice((0, 0xFF, 0x7F, 0x80,
                                     chance.randrange(256)))
    return bytes(data)


@pytest.mark.parametrize("kind", [*media.KINDS, "ogg", "ts", "aac"])
def test_broken_files(kind):
    """Whatever it is, it ends well and soon, in one way or the other."""
    if kind in media.KINDS:
        name, *options = media.KINDS[kind]
    else:
        name, *options = {
            "ogg": ("cut.ogg", "-vn", "-c:a", "libvorbis"),
            "ts": ("cut.ts", "-c:a", "aac", *media.AVC),
            "aac": ("cut.aac", "-vn", "-c:a", "aac")}[kind]
    path = media.ffmpeg(name, *media.tones(media.STEREO, 1),
                        *media.picture(1), *options)

    for seed in range(BROKEN):
        result = channel.transcode(broken(path, seed), timeout=20)
        assert result.status == 0, (seed, result.log)
        assert result.failed or media.Mp3(result.mp3).check() is None


# The other side of the channel


def test_bytes_that_come_slowly():
    """One at a time, or a few."""
    path = media.ffmpeg("tones.m4a", *media.tones(media.STEREO), "-c:a", "aac")
    whole = channel.transcode(path)

    for most in (1, 7, 1000):
        result = channel.transcode(
            path, answer=lambda source, offset, length:
            source.read(offset, min(length, most)))
        assert result.mp3 == whole.mp3


def test_only_what_is_needed_is_read():
    """Of a video the sound, and not each byte twice."""
    path = media.ffmpeg(
        "large.mp4", *media.tones(media.STEREO, 20), "-f", "lavfi", "-i",
        "testsrc2=s=640x480:r=25:d=20", "-c:a", "aac", "-c:v", "mpeg2video",
        "-b:v", "8M", "-minrate", "8M")
    result = channel.transcode(path)
    media.check(result, 20, [(440,), (1000,)])

    size = path.stat().st_size
    assert size > 8_000_000
    assert sum(length for _, length in result.reads) < size * 1.1


def test_options_that_make_no_sense():
    path = media.chirp_file()
    result = channel.transcode(path, bitrate=128, quality=2)
    channel.assert_refused(result, "bitrate")
    result = channel.transcode(path, start_ms=5, end_ms=5)
    channel.assert_refused(result, "end")


class Gone(Exception):
    pass


@pytest.mark.parametrize("reads", [0, 1, 5])
def test_parent_that_goes_away(reads):
    """The child ends by itself, and soon."""
    left = [reads]

    def answer(source, offset, length):
        if left[0] == 0:
            raise Gone
        left[0] -= 1
        return source.read(offset, min(length, 1000))

    with pytest.raises(Gone) as raised:
        channel.transcode(media.chirp_file(), answer=answer)
    assert "the child ended with 1" in raised.value.__notes__[0]


def wrong(data, offset_by=0, kind=channel.DATA, length_by=0):
    """An answer to a READ that is wrong in one way."""
    def frame(offset, length):
        payload = struct.pack(">q", offset + offset_by) + data(offset, length)
        return struct.pack(">II", kind, len(payload) + length_by) + payload
    return frame


@pytest.mark.parametrize("frame", [
    wrong(lambda offset, length: bytes(length), offset_by=1),
    wrong(lambda offset, length: bytes(length + 1)),
    wrong(lambda offset, length: bytes(length), kind=channel.READ),
    wrong(lambda offset, length: bytes(length), kind=channel.WRITE),
    wrong(lambda offset, length: bytes(length), kind=channel.START),
    wrong(lambda offset, length: bytes(length), kind=0),
    wrong(lambda offset, length: bytes(length), kind=2**32 - 1),
    wrong(lambda offset, length: bytes(length), length_by=2**31),
])
def test_parent_that_answers_wrong(frame):
    """It is not believed: the child ends with an error, without a crash."""
    child = channel.Child(20)
    child.send(channel.START, channel.start_payload(100_000))
    kind, payload = child.receive()
    assert kind == channel.READ
    try:
        child.socket.sendall(frame(*struct.unpack(">qi", payload)))
        with pytest.raises((channel.ProtocolError, ConnectionError)):
            while True:
                child.receive()
    except ConnectionError:
        pass
    finally:
        status = child.end()
    assert status == 1, child.log
    assert child.log


@pytest.mark.parametrize("start", [
    b"", b"x", channel.start_payload(1)[:-1], channel.start_payload(1) + b"x",
    channel.start_payload(-1), channel.start_payload(1, threads=0),
    channel.start_payload(1, threads=2**31 - 1),
    channel.start_payload(1, bitrate=-2),
])
def test_parent_that_starts_wrong(start):
    child = channel.Child(20)
    child.send(channel.START, start)
    with pytest.raises((channel.ProtocolError, ConnectionError)):
        child.receive()
    assert child.end() == 1, child.log


def test_start_by_hand():
    process = subprocess.run([str(BUILD / "v2m-transcode")], timeout=20,
                             stdin=subprocess.DEVNULL, capture_output=True)
    assert process.returncode == 2
    assert b"v2m-converter" in process.stderr


def test_signals_are_for_the_parent():
    """A terminal's interrupt reaches the child, but ends nothing."""
    child = channel.Child(20)
    data = media.chirp_file().read_bytes()
    child.send(channel.START, channel.start_payload(len(data)))
    kind, payload = child.receive()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        child.process.send_signal(number)

    while kind != channel.DONE:
        assert kind != channel.FAILED
        if kind == channel.READ:
            offset, length = struct.unpack(">qi", payload)
            child.send(channel.DATA, payload[:8]
                       + data[offset:offset + length])
        kind, payload = child.receive()
    assert child.end() == 0


# What it may do at all


@pytest.mark.release_only
def test_child_at_work_is_in_its_sandbox():
    """S20: at the first byte that it asks for, which it knows nothing of yet.
    Sanitizers need files, so the filter is not there with them."""
    child = channel.Child(20)
    try:
        child.send(channel.START, channel.start_payload(100_000))
        kind, _ = child.receive()
        assert kind == channel.READ

        place = pathlib.Path("/proc", str(child.process.pid))
        status = dict(line.split(":\t", 1) for line in
                      (place / "status").read_text().splitlines())
        assert status["Seccomp"].strip() == "2"
        assert status["NoNewPrivs"].strip() == "1"
        assert {path.name for path in (place / "fd").iterdir()} \
            == {"0", "1", "2", "3"}
        assert os.readlink(place / "fd" / "0") == "/dev/null"
        assert os.readlink(place / "fd" / "1") == "/dev/null"
        assert os.readlink(place / "fd" / "3").startswith("socket:")

        limits = (place / "limits").read_text()
        assert re.search(r"^Max file size +0 ", limits, re.MULTILINE)
        assert re.search(r"^Max core file size +[01] ", limits, re.MULTILINE)
        assert re.search(r"^Max address space +[0-9]{1,10} ", limits,
                         re.MULTILINE)
    finally:
        child.socket.close()
        child.end()


# Memory


@pytest.mark.release_only
def test_memory_does_not_grow_with_the_file():
    """S19"""
    peaks = []
    for seconds in (10, 300):
        path = media.ffmpeg("long.wav", *media.tones((440,), seconds, 16000))
        result = channel.transcode(path, quality=9)
        assert not result.failed
        peaks.append(result.peak_kib)

    assert peaks[1] < peaks[0] + 2048
