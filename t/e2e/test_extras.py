"""Cover and chapters: what of a file beside its sound comes into the MP3."""

import json
import struct

import pytest

import channel
import media

SECONDS = 4
CHAPTERS = [(0, 1500, "Begin"), (1500, 2500, "Mitte – 中"),
            (2500, 4000, "End")]


def metadata():
    text = ";FFMETADATA1\n"
    for start, end, title in CHAPTERS:
        text += (f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={end}\n"
                 f"title={title}\n")
    return media.cached("chapters.txt", lambda path: path.write_text(text),
                        text)


def frames(data):
    """The frames of an ID3v2.3 tag: (name, body)."""
    found, offset = [], 10
    end = offset + int("".join(f"{byte:07b}" for byte in data[6:10]), 2)
    while offset < end:
        length, = struct.unpack_from(">I", data, offset + 4)
        found.append((data[offset:offset + 4].decode(),
                      data[offset + 10:offset + 10 + length]))
        offset += 10 + length
    assert offset == end
    return found


def probe(data):
    """What ffprobe makes of the MP3."""
    path = media.cached("probe.mp3", lambda path: path.write_bytes(data), data)
    return json.loads(media.run(
        "ffprobe", "-v", "warning", "-show_chapters", "-show_streams", "-of",
        "json", path))


def chapters(data):
    return [(round(float(chapter["start_time"]) * 1000),
             round(float(chapter["end_time"]) * 1000),
             chapter["tags"]["title"])
            for chapter in probe(data)["chapters"]]


def with_chapters(name, *options):
    video = () if name.endswith(("mp3", "ogg", "m4a", "mka")) else \
        (*media.picture(SECONDS, 25), "-i", metadata(), "-map", 0, "-map", 1,
         "-map_chapters", 2, "-c:v", "mpeg4")
    return media.ffmpeg(
        name, *media.tones(media.STEREO, SECONDS),
        *(video or ("-i", metadata(), "-map", 0, "-map_chapters", 1)),
        *options)


@pytest.mark.parametrize("name, audio", [
    ("chapters.mp4", "aac"), ("chapters.mov", "aac"), ("chapters.m4a", "aac"),
    ("chapters.mkv", "aac"), ("chapters.mka", "flac"),
    ("chapters.mp3", "libmp3lame"), ("chapters.mp4", "libmp3lame"),
])
def test_chapters(name, audio):
    result = channel.transcode(with_chapters(name, "-c:a", audio))
    media.check(result, SECONDS, [(440,), (1000,)], tolerance=0.06)
    assert chapters(result.mp3) == CHAPTERS
    names = [name for name, _ in frames(result.mp3)]
    assert names.count("CHAP") == 3 and names.count("CTOC") == 1
    (contents,) = [body for name, body in frames(result.mp3)
                   if name == "CTOC"]
    assert contents == b"contents\0\3\3chapter0\0chapter1\0chapter2\0"


def test_chapters_only_in_a_text_track():
    """As Apple's programs write them."""
    data = with_chapters("chapters.mp4", "-c:a", "aac").read_bytes()
    assert data.count(b"chpl") == 1
    result = channel.transcode(data.replace(b"chpl", b"free"))
    assert chapters(result.mp3) == CHAPTERS


@pytest.mark.parametrize("start, end, expected", [
    (1000, -1, [(0, 500, "Begin"), (500, 1500, CHAPTERS[1][2]),
                (1500, 3000, "End")]),
    (-1, 2000, [CHAPTERS[0], (1500, 2000, CHAPTERS[1][2])]),
    (1500, 2500, [(0, 1000, CHAPTERS[1][2])]),
])
def test_chapters_of_a_cut(start, end, expected):
    path = with_chapters("chapters.mkv", "-c:a", "aac")
    result = channel.transcode(path, start_ms=start, end_ms=end)
    assert chapters(result.mp3) == expected


def test_more_chapters_than_a_table_can_have():
    text = ";FFMETADATA1\n" + "".join(
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={number}\nEND={number + 1}\n"
        f"title={number} {'é' * 300}\n" for number in range(1000))
    path = media.cached("many.txt", lambda path: path.write_text(text), text)
    source = media.ffmpeg("many.mka", *media.tones(media.MONO, 2), "-i", path,
                          "-map", 0, "-map_chapters", 1, "-c:a", "flac")
    result = channel.transcode(source)
    media.check(result, 2, [media.MONO])
    assert len(chapters(result.mp3)) == 255


def picture(name, size="64x48", *options):
    return media.ffmpeg(name, "-f", "lavfi", "-i",
                        f"testsrc2=s={size}:d=1", "-frames:v", 1, *options)


def with_cover(name, audio, cover, *options):
    return media.ffmpeg(
        name, *media.tones(media.STEREO), "-i", cover, "-map", 0, "-map", 1,
        "-c:a", audio, "-c:v", "copy", "-disposition:v", "attached_pic",
        *options)


@pytest.mark.parametrize("name, audio", [
    ("cover.m4a", "aac"), ("cover.mp4", "aac"), ("cover.flac", "flac"),
    ("cover.mp3", "libmp3lame"),
])
@pytest.mark.parametrize("kind, mime", [("jpg", "image/jpeg"),
                                        ("png", "image/png")])
def test_cover(name, audio, kind, mime):
    cover = picture(f"cover.{kind}")
    result = channel.transcode(with_cover(name, audio, cover))
    media.check(result, 1, [(440,), (1000,)], tolerance=0.03)
    (body,) = [body for frame, body in frames(result.mp3) if frame == "APIC"]
    head = b"\0" + mime.encode() + b"\0\3\0"
    assert body.startswith(head)
    assert body[len(head):] == cover.read_bytes()
    assert [stream["codec_type"] for stream in probe(result.mp3)["streams"]] \
        == ["audio", "video"]


def test_cover_in_matroska():
    cover = picture("cover.jpg")
    path = media.ffmpeg(
        "cover.mka", *media.tones(media.STEREO), "-c:a", "flac", "-attach",
        cover, "-metadata:s:t", "mimetype=image/jpeg")
    result = channel.transcode(path)
    assert cover.read_bytes() in result.mp3[:100_000]


@pytest.mark.parametrize("size, there", [("600x400", True),
                                         ("900x700", False)])
def test_bound_of_a_cover(size, there):
    """A large one makes the tag larger than a chunk of the store."""
    cover = picture("raw.png", size, "-pred", "none", "-compression_level", 0)
    assert (cover.stat().st_size <= 1024 * 1024) == there
    result = channel.transcode(with_cover("bound.m4a", "aac", cover))
    media.check(result, 1, [(440,), (1000,)])
    assert ("APIC" in dict(frames(result.mp3))) == there


def test_cover_that_is_no_picture():
    cover = picture("cover.jpg")
    data = with_cover("cover.m4a", "aac", cover).read_bytes()
    assert data.count(cover.read_bytes()) == 1
    result = channel.transcode(data.replace(
        cover.read_bytes(), b"<svg>".ljust(cover.stat().st_size)))
    media.check(result, 1, quiet=False)
    assert "APIC" not in dict(frames(result.mp3))


def test_video_is_no_cover():
    path = media.ffmpeg("video.mkv", *media.tones(media.STEREO),
                        *media.picture(), "-c:a", "aac", "-c:v", "mjpeg")
    assert "APIC" not in dict(frames(channel.transcode(path).mp3))
