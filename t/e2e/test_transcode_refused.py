"""What cannot become an MP3: v2m-transcode says why, in words for a person,
and opens nothing else, whatever a file asks for."""

import random
import socket
import struct

import pytest

import channel
import media


def whole_video(name, *options):
    """Three seconds, with as much picture as sound."""
    return media.ffmpeg(
        name, *media.tones(media.STEREO, 3), "-f", "lavfi", "-i",
        "testsrc2=s=160x120:r=25:d=3", *options).read_bytes()


@pytest.mark.parametrize("kind", media.KINDS)
def test_truncated(kind):
    data = whole_video(*media.KINDS[kind])
    media.check(channel.transcode(data), 3, tolerance=0.1)

    for percent in (1, 10, 50, 90):
        result = channel.transcode(data[:len(data) * percent // 100])
        channel.assert_refused(result)
        if percent >= 50 and "caf" not in kind:
            assert "truncated" in result.text


@pytest.mark.parametrize("name, options", [
    ("cut.ts", ("-c:a", "aac", *media.AVC)),
    ("cut.ogg", ("-vn", "-c:a", "libvorbis")),
    ("cut.aac", ("-vn", "-c:a", "aac")),
])
def test_formats_that_do_not_tell_their_length(name, options):
    """Nobody can know that there was more; what is there is converted."""
    data = whole_video(name, *options)
    result = channel.transcode(data[:len(data) * 2 // 3])
    media.check(result, 1.7, [(440,), (1000,)], tolerance=0.8, quiet=False)


def test_empty():
    channel.assert_refused(channel.transcode(b""), "empty")


@pytest.mark.parametrize("name", ["silent.mp4", "silent.mkv", "silent.avi",
                                  "silent.ts", "silent.webm"])
def test_no_audio(name):
    video = media.VP9 if name.endswith("webm") else media.H264
    path = media.ffmpeg(name, *media.picture(), "-c:v", *video.split())
    channel.assert_refused(channel.transcode(path), "no audio track")


def test_audio_in_a_format_nobody_knows():
    data = media.ffmpeg("tones.mov", *media.tones(media.MONO), "-c:a",
                        "pcm_s16le").read_bytes()
    assert data.count(b"sowt") == 1
    result = channel.transcode(data.replace(b"sowt", b"QclQ"))
    channel.assert_refused(result, "not supported")


def test_sizes_that_nobody_filled_in():
    """As after a pipe, and as some programs write into one."""
    data = media.chirp_file().read_bytes()
    place = data.index(b"data") + 4

    for riff, size in ((0, 0), (2**32 - 1, 2**32 - 1),
                       (2**31 - 1, 2**31 - 37)):
        header = bytearray(data)
        header[4:8] = riff.to_bytes(4, "little")
        header[place:place + 4] = size.to_bytes(4, "little")
        media.check(channel.transcode(header), 2, tolerance=0.001)


# Files that are no media, or want something else to be opened


class Listener:
    """Counts who connects to a port of this machine."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def connected(self):
        self.socket.setblocking(False)
        try:
            self.socket.accept()
        except BlockingIOError:
            return False
        return True


@pytest.fixture(scope="module")
def listener():
    listener = Listener()
    yield listener
    listener.socket.close()


ELSEWHERE = {
    "HLS playlist": """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:10
#EXTINF:10.0,
{target}
#EXT-X-ENDLIST
""",
    "HLS master playlist": """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",DEFAULT=YES,URI="{target}"
#EXT-X-STREAM-INF:BANDWIDTH=1280000,AUDIO="a"
{target}
""",
    "HLS key": """#EXTM3U
#EXT-X-TARGETDURATION:10
#EXT-X-KEY:METHOD=AES-128,URI="{target}"
#EXTINF:10.0,
{target}
#EXT-X-ENDLIST
""",
    "concat script": "ffconcat version 1.0\nfile '{target}'\n",
    "DASH manifest": """<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
 mediaPresentationDuration="PT1S" profiles="urn:mpeg:dash:profile:isoff-on">
<Period><AdaptationSet mimeType="audio/mp4"><Representation id="1"
 bandwidth="1000"><BaseURL>{target}</BaseURL></Representation></AdaptationSet>
</Period></MPD>
""",
    "SVG": """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg"
 xmlns:xlink="http://www.w3.org/1999/xlink" width="9" height="9">
<image xlink:href="{target}" width="9" height="9"/></svg>
""",
    "XML entity": """<?xml version="1.0"?>
<!DOCTYPE a [<!ENTITY b SYSTEM "{target}">]><a>&b;</a>
""",
    "subfile URL": "subfile,,start,0,end,0,,:{target}",
    "plain URL": "{target}",
    "playlist of a radio": "[playlist]\nFile1={target}\nNumberOfEntries=1\n",
    "smooth streaming": """<?xml version="1.0"?>
<SmoothStreamingMedia MajorVersion="2" Duration="10000000">
<StreamIndex Type="audio" Url="{target}"/></SmoothStreamingMedia>
""",
    "SDP": """v=0
o=- 0 0 IN IP4 127.0.0.1
s=x
c=IN IP4 127.0.0.1
t=0 0
m=audio {port} RTP/AVP 0
""",
    "image list": "{target}\n" * 3,
    "subtitles": "1\n00:00:00,000 --> 00:00:01,000\n{target}\n\n",
    "ASX": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
    "RTSP redirect": "RTSPtext\r\n{target}\r\n",
    "Real redirect": "rtsp://{target}\n",
}


@pytest.mark.parametrize("kind", ELSEWHERE)
@pytest.mark.parametrize("scheme", ["file", "absolute", "http", "tcp"])
def test_nothing_else_is_opened(kind, scheme, listener):
    """S18"""
    sound = media.chirp_file("target.ts", "mp2")
    target = {
        "file": f"file:{sound}", "absolute": sound,
        "http": f"http://127.0.0.1:{listener.port}/target.ts",
        "tcp": f"tcp://127.0.0.1:{listener.port}",
    }[scheme]
    text = ELSEWHERE[kind].format(target=target, port=listener.port)

    result = channel.transcode(text.encode())
    channel.assert_refused(result, "not a media file")
    assert not listener.connected()


def boxes(data, path):
    """The places of the boxes on a path, such as moov/trak, in an MP4: a list
    of (start, end) from the outermost to the innermost."""
    found = []
    start, end = 0, len(data)
    for name in path.split("/"):
        while True:
            size = int.from_bytes(data[start:start + 4], "big")
            assert 8 <= size <= end - start, f"no {name}"
            if data[start + 4:start + 8] == name.encode():
                break
            start += size
        found.append((start, start + size))
        start, end = start + 8, start + size
    return found


def with_reference(data, entry):
    """An MP4, its index last, whose first track says that its data is in
    another file."""
    data = bytearray(data)
    places = boxes(data, "moov/trak/mdia/minf/dinf/dref")
    start, end = places[-1]
    reference = b"dref" + struct.pack(">II", 0, 1) + entry
    new = struct.pack(">I", 4 + len(reference)) + reference

    for begin, finish in places[:-1]:
        size = finish - begin + len(new) - (end - start)
        data[begin:begin + 4] = struct.pack(">I", size)
    data[start:end] = new
    return bytes(data)


def alias(path):
    """The entry of an old Macintosh alias record, as FFmpeg reads it."""
    path = str(path).encode()
    name = path.rsplit(b"/", 1)[1][:63]
    record = bytes(10) + b"\4disk".ljust(28, b"\0") + bytes(12)
    record += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    record += struct.pack(">HH", 1, 1) + bytes(16)
    record += struct.pack(">HH", 2, len(path)) + path + b"\0" * (len(path) % 2)
    record += struct.pack(">HH", 0xFFFF, 0)
    return struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record


@pytest.mark.parametrize("kind", ["alias", "url", "urn"])
def test_mp4_whose_data_is_elsewhere(kind):
    """S18"""
    target = media.chirp_file("target.mov", "pcm_s16le")
    url = f"file://{target}\0".encode()
    entry = {
        "alias": alias(target),
        "url": struct.pack(">I4sI", 12 + len(url), b"url ", 0) + url,
        "urn": struct.pack(">I4sI", 12 + len(url), b"urn ", 0) + url,
    }[kind]
    data = with_reference(target.read_bytes(), entry)

    # what the reference points at has the data, this file has not
    (start, end), = boxes(data, "mdat")
    data = data[:start] + data[end:]

    result = channel.transcode(data)
    channel.assert_refused(result, "in another file")


def test_reference_in_an_mp4_that_has_its_data():
    """S18"""
    target = media.chirp_file("target.mov", "pcm_s16le")
    result = channel.transcode(
        with_reference(target.read_bytes(), alias(target)))
    channel.assert_refused(result, "in another file")


NO_MEDIA = {
    "text": b"This is a letter and no video, whatever its name says.\n" * 50,
    "random bytes": random.Random(5).randbytes(100_000),
    "zeros": bytes(100_000),
    "one byte": b"x",
    "JPEG": b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1" + bytes(1000),
    "PDF": b"%PDF-1.7\n" + bytes(1000),
    "ZIP": b"PK\3\4\x14\0" + bytes(1000),
    "program": b"\x7fELF\2\1\1" + bytes(1000),
    "MP4 without anything": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
    "MP4 with an empty index":
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom\0\0\0\x08moov",
    "RIFF without anything": b"RIFF\4\0\0\0WAVE",
    "Matroska without anything": bytes.fromhex("1a45dfa3") + bytes(100),
    "MIDI": b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk" + bytes(100),
    "module": b"IMPM" + bytes(2000),
}


@pytest.mark.parametrize("kind", NO_MEDIA)
def test_no_media(kind):
    result = channel.transcode(NO_MEDIA[kind])
    channel.assert_refused(result)


@pytest.mark.parametrize("name, options", [
    ("picture.png", ("-frames:v", 1)), ("picture.jpg", ("-frames:v", 1)),
    ("picture.gif", ()), ("picture.bmp", ("-frames:v", 1)),
    ("raw.h264", ("-c:v", *media.H264.split())),
    ("raw.m1v", ("-c:v", "mpeg1video", "-r", 25)),
    ("picture.y4m", ("-pix_fmt", "yuv420p")),
])
def test_pictures(name, options):
    path = media.ffmpeg(name, *media.picture(), *options)
    channel.assert_refused(channel.transcode(path), "not a media file")
