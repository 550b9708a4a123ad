"""Audio that is MP3 already: v2m-transcode copies its frames, when it can, and
encodes it when that would not be right."""

import struct

import pytest

import channel
import media

RATE = 44100
SECONDS = 3


def encoded(*options, name="tones.mp3", seconds=SECONDS, rate=RATE,
            tones=media.STEREO):
    return media.ffmpeg(name, *media.tones(tones, seconds, rate), "-c:a",
                        "libmp3lame", *options)


def bare(*options, **settings):
    """An MP3 of nothing but frames."""
    return encoded("-write_xing", 0, "-id3v2_version", 0, *options,
                   **settings).read_bytes()


def frames(data, offset=0):
    """The bytes of each frame."""
    found = []
    while offset < len(data):
        frame = media.Frame(data, offset)
        found.append(data[offset:offset + frame.size])
        offset += frame.size
    return found


def assert_copied(result, wanted, seconds=None):
    """It has these frames and no others.  Returns the Mp3."""
    assert not result.failed, result.text
    assert result.text.endswith(", copied")
    assert result.restarts == 0
    mp3 = media.Mp3(result.mp3)
    mp3.check()
    assert frames(result.mp3, mp3.frames[0].offset) == wanted
    audio = media.decode(result.mp3, mp3.first.rate, mp3.first.channels)
    assert audio.samples == mp3.samples == result.samples
    if seconds is not None:
        assert audio.samples == round(seconds * mp3.first.rate)
    return mp3


def assert_encoded(result, seconds, tolerance=0.03, restarts=1):
    mp3, audio = media.check(result, seconds, tolerance=tolerance,
                             quiet=False)
    assert not result.text.endswith(", copied")
    assert result.restarts == restarts
    assert mp3.variable
    return audio


@pytest.mark.parametrize("options", [
    (), ("-q:a", 4), ("-b:a", "320k"), ("-b:a", "32k"),
    ("-q:a", 0, "-joint_stereo", 0), ("-reservoir", 0), ("-abr", 1),
])
@pytest.mark.parametrize("tones", [media.MONO, media.STEREO])
def test_mp3(options, tones):
    path = encoded(*options, tones=tones)
    source = media.Mp3(path.read_bytes())
    result = channel.transcode(path)
    mp3 = assert_copied(result, frames(source.data, source.frames[0].offset),
                        SECONDS)
    assert (mp3.delay, mp3.padding) == (source.delay, source.padding)
    assert mp3.variable == source.variable
    media.check(result, SECONDS, [(tone,) for tone in tones])


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000,
                                  32000, 48000])
def test_rates(rate):
    path = encoded(rate=rate, tones=media.MONO)
    source = media.Mp3(path.read_bytes())
    assert_copied(channel.transcode(path),
                  frames(source.data, source.frames[0].offset), SECONDS)


def test_mp3_without_a_header():
    """Nobody knows its encoder's delay: all of its frames are heard."""
    data = bare()
    wanted = frames(data)
    mp3 = assert_copied(channel.transcode(data), wanted,
                        len(wanted) * 1152 / RATE)
    assert mp3.encoder == b""


def test_our_own_mp3():
    """What was made here is copied as it is, all of it."""
    first = channel.transcode(media.chirp_file())
    second = channel.transcode(first.mp3)
    assert second.samples == first.samples
    one, two = media.Mp3(first.mp3), media.Mp3(second.mp3)
    assert frames(first.mp3, one.frames[0].offset) == \
        frames(second.mp3, two.frames[0].offset)
    assert (one.delay, one.padding) == (two.delay, two.padding)


ID3V1 = b"TAG" + b"Title".ljust(30, b"\0") + b"Singer".ljust(30, b"\0") + \
    bytes(30) + b"1999" + bytes(30) + b"\x0c"
APE_ITEM = struct.pack("<II", 6, 0) + b"Artist\0Singer"
APE = b"APETAGEX" + struct.pack("<IIII8x", 2000, len(APE_ITEM) + 32, 1,
                                0xA0000000)
APE += APE_ITEM + APE[:20] + struct.pack("<I8x", 0x80000000)


@pytest.mark.parametrize("trailer", [
    ID3V1, APE, APE + ID3V1, bytes(500), b"\xff" * 77, b"rubbish" * 99,
], ids=["ID3v1", "APE", "APE, ID3v1", "zeros", "ones", "rubbish"])
def test_what_follows_the_last_frame(trailer):
    data = bare()
    result = channel.transcode(data + trailer)
    mp3 = assert_copied(result, frames(data))
    if trailer == ID3V1:
        assert mp3.tags["TIT2"] == "Title" and mp3.tags["TPE1"] == "Singer"
        assert mp3.tags["TYER"] == "1999"


def test_last_frame_cut_off():
    data = bare()
    wanted = frames(data)[:-1]
    assert_copied(channel.transcode(data[:-100]), wanted)


def test_tags():
    path = encoded("-metadata", "title=Übung", "-metadata", "date=2021-03-04",
                   "-metadata", "comment=no", "-id3v2_version", 4)
    mp3 = assert_copied(channel.transcode(path), frames(
        path.read_bytes(), media.Mp3.start_of_frames(path.read_bytes())))
    assert mp3.tags == {"TIT2": "Übung", "TYER": "2021", "TDAT": "0403"}


@pytest.mark.parametrize("name", ["in.mp4", "in.mov", "in.avi", "in.mkv",
                                  "in.flv", "in.ts"])
def test_in_a_video(name):
    """A little later in a container that does not tell the encoder's delay,
    which FFmpeg writes into Matroska since version 7."""
    rate = RATE
    path = media.ffmpeg(
        name, *media.tones(media.STEREO, SECONDS, rate), *media.picture(
            SECONDS, 25), "-c:a", "libmp3lame", "-c:v", "mpeg4" if not
        name.endswith("flv") else "flv1")
    packets = media.run(
        "ffmpeg", "-v", "error", "-i", path, "-map", "0:a", "-c", "copy",
        "-write_xing", 0, "-id3v2_version", 0, "-f", "mp3", "-")
    wanted = frames(packets)
    result = channel.transcode(path)
    mp3 = assert_copied(result, wanted)
    first = media.run("ffprobe", "-v", "error", "-select_streams", "a",
                      "-read_intervals", "%+#1", "-show_entries",
                      "packet=pts_time", "-of", "csv=p=0", path)
    told = float(first.decode().split()[0].strip(",")) < 0
    assert told or name not in ("in.mp4", "in.mov")
    if told:
        assert mp3.samples == SECONDS * rate
    else:
        assert mp3.samples == len(wanted) * 1152
    media.check(result, SECONDS, [(440,), (1000,)], tolerance=0.06)


def test_header_among_the_frames():
    """Some programs put the Xing header into a container as if it were a
    frame: it is not heard, and what it tells of the delay counts."""
    path = media.ffmpeg("hollow.avi", *media.chirp(SECONDS, RATE), "-c:a",
                        "libmp3lame", "-b:a", "128k")
    data = path.read_bytes()
    raw = media.run("ffmpeg", "-v", "error", "-i", path, "-c", "copy",
                    "-write_xing", 0, "-id3v2_version", 0, "-f", "mp3", "-")
    first, *rest = frames(raw)
    gap = (576 << 12 | 1000).to_bytes(3, "big")
    hollow = (first[:4] + bytes(17) + b"Info" + struct.pack(">I", 15)
              + bytes(112) + b"LAME3.100" + bytes(12) + gap).ljust(
                  len(first), b"\0")
    assert data.count(first) == 1

    result = channel.transcode(data.replace(first, hollow))
    mp3 = assert_copied(result, rest)
    assert (mp3.delay, mp3.padding) == (576, 1000)


@pytest.mark.parametrize("options", [
    {"bitrate": 64}, {"quality": 2}, {"samplerate": 48000}, {"channels": 1},
    {"start_ms": 1000}, {"end_ms": 1000},
])
def test_options_that_ask_for_something_else(options):
    result = channel.transcode(encoded(), **options)
    seconds = {"start_ms": 2, "end_ms": 1}.get(*options, SECONDS)
    media.check(result, seconds, tolerance=0.001)
    assert not result.text.endswith(", copied")
    assert result.restarts == 0


def test_track_is_no_such_option():
    path = media.ffmpeg(
        "two.mkv", *media.tones((440,), SECONDS, RATE), *media.tones(
            (1000,), SECONDS, RATE), "-map", 0, "-map", 1, "-c:a",
        "libmp3lame")
    result = channel.transcode(path, track=2)
    assert result.text.endswith(", copied")
    media.check(result, SECONDS, [(1000,)], tolerance=0.06)


# What has to be encoded


def test_damage_in_the_middle():
    data = bytearray(bare(seconds=20))
    middle = len(data) // 2
    data[middle:middle + 5000] = bytes(5000)
    assert_encoded(channel.transcode(data), 20, 0.4)


def test_damage_late_in_a_long_file():
    """Much was written already: it is dropped."""
    data = bytearray(bare("-b:a", "320k", seconds=60))
    place = len(data) * 9 // 10
    data[place:place + 5000] = bytes(5000)
    result = channel.transcode(data)
    assert_encoded(result, 60, 0.4)
    assert result.phases == [channel.COPYING, channel.ENCODING]


def test_piece_missing():
    data = bare(seconds=20)
    place = len(data) // 2
    assert_encoded(channel.transcode(data[:place] + data[place + 1111:]), 20,
                   0.2)


def test_free_format():
    """Frames that do not tell their size are not even recognized."""
    data = bytearray(bare("-b:a", "128k"))
    offset = 0
    while offset < len(data):
        size = media.Frame(data, offset).size
        data[offset + 2] &= 0x0F
        offset += size
    channel.assert_refused(channel.transcode(data))


def test_late():
    path = media.ffmpeg(
        "late.mkv", "-itsoffset", 0.7, *media.chirp(1.5), *media.picture(2.2),
        "-map", 0, "-map", 1, "-c:a", "libmp3lame", "-c:v", "mpeg4")
    audio = assert_encoded(channel.transcode(path), 2.2, 0.06)
    assert audio.loudness(0, 0, 0.65) < 0.001


def test_gap():
    path = media.ffmpeg(
        "gap.mkv", *media.chirp(3), "-af", "aselect='not(between(t,1,1.999))'",
        "-c:a", "flac")
    copied = media.ffmpeg("gap-mp3.mkv", "-i", path, "-c:a", "libmp3lame")
    audio = assert_encoded(channel.transcode(copied), 3, 0.06)
    assert audio.loudness(0, 1.2, 1.9) < 0.001


def test_piece_of_an_mp4():
    """An edit list that begins and ends anywhere."""
    whole = media.ffmpeg("whole.mp4", *media.chirp(4), "-c:a", "libmp3lame")
    path = media.ffmpeg("piece.mp4", "-ss", 1.3, "-i", whole, "-t", 1.5, "-c",
                        "copy")
    result = channel.transcode(path)
    _, audio = media.check(result, 1.5, tolerance=0.03)
    for moment in (0.1, 0.6, 1.1):
        assert abs(audio.chirp_offset(moment, moment + 1.3, within=200)) <= 48


@pytest.mark.parametrize("second", [
    {"rate": 48000}, {"tones": media.MONO},
])
def test_format_changes(second):
    data = bare("-b:a", "128k") + bare("-b:a", "128k", **second)
    assert_encoded(channel.transcode(data), 2 * SECONDS, 0.15)


def test_two_files_in_one():
    """The second one's tags and header are in its middle."""
    data = encoded().read_bytes()
    result = channel.transcode(data + data)
    assert not result.failed, result.text
    media.check(result, 2 * SECONDS, [(440,), (1000,)], tolerance=0.1,
                quiet=False)


def test_hardly_any_frames():
    data = b"".join(frames(bare())[:1])
    result = channel.transcode(data * 2)
    assert_copied(result, [data] * 2)


# Speed


def test_nothing_is_decoded():
    path = encoded(seconds=120, name="long.mp3")
    copied = channel.transcode(path, threads=1)
    encoded_again = channel.transcode(path, threads=1, quality=2)
    assert_copied(copied, frames(path.read_bytes(), media.Mp3.start_of_frames(
        path.read_bytes())), 120)
    assert copied.cpu < encoded_again.cpu / 5
