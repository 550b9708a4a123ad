"""Media with known sounds, made with the ffmpeg command, and the checker of
the MP3s that are made of them.

Every channel of a source has a tone of its own, so that an MP3 is right only
when each of its channels holds the tones it should and no other.
"""

import array
import functools
import hashlib
import math
import operator
import os
import pathlib
import struct
import subprocess
import tempfile

from conftest import ROOT

CACHE = pathlib.Path(os.environ.get("V2M_MEDIA_CACHE",
                                    ROOT / "run" / "media-cache"))

LEVEL = 0.4  # amplitude of each tone in a source of one or two channels

# One tone per channel, in the order of FFmpeg's layouts; all of them are
# below half of the lowest sample rate and far from each other's harmonics.
MONO = (440,)
STEREO = (440, 1000)
SURROUND = (440, 1000, 700, 60, 1500, 2200)  # FL FR FC LFE BL BR
EVERY = tuple(sorted(set(MONO + STEREO + SURROUND)))

# What a stereo MP3 of 5.1 holds: the low-frequency channel is left out.
SURROUND_LEFT = (440, 700, 1500)
SURROUND_RIGHT = (1000, 700, 2200)

# Options of ffmpeg's for video, quick ones.
H264 = "libx264 -preset ultrafast"
VP9 = "libvpx-vp9 -deadline realtime -cpu-used 8"
AVC = ("-c:v", *H264.split(), "-g", 10)

# Kinds of files: a name and the options that make it of a sound and a picture.
KINDS = {
    "mp4 with its index last": ("kind.mp4", "-c:a", "aac", *AVC),
    "mp4 with its index first": (
        "kind.mp4", "-c:a", "aac", *AVC, "-movflags", "+faststart"),
    "mp4 in fragments": (
        "kind.mp4", "-c:a", "aac", *AVC, "-movflags",
        "+frag_keyframe+empty_moov+default_base_moof+global_sidx"),
    "mov": ("kind.mov", "-c:a", "pcm_s16le", *AVC),
    "mkv": ("kind.mkv", "-c:a", "aac", *AVC),
    "webm": ("kind.webm", "-c:a", "libopus", "-c:v", *VP9.split()),
    "avi": ("kind.avi", "-c:a", "libmp3lame", "-c:v", "mpeg4"),
    "flv": ("kind.flv", "-c:a", "aac", "-c:v", "flv1"),
    "wmv": ("kind.wmv", "-c:a", "wmav2", "-c:v", "wmv2"),
    "wav": ("kind.wav", "-vn", "-c:a", "pcm_s16le"),
    "flac": ("kind.flac", "-vn", "-c:a", "flac"),
    "mp3": ("kind.mp3", "-vn", "-c:a", "libmp3lame"),
    "m4a": ("kind.m4a", "-vn", "-c:a", "aac"),
    "w64": ("kind.w64", "-vn", "-c:a", "pcm_s16le"),
    "aiff": ("kind.aiff", "-vn", "-c:a", "pcm_s16be"),
    "caf": ("kind.caf", "-vn", "-c:a", "alac"),
}

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


# Making media


def run(*arguments):
    """Runs a command and returns its standard output; any word on its
    standard error is a failure."""
    process = subprocess.run(
        [str(argument) for argument in arguments], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    if process.returncode != 0 or process.stderr:
        raise AssertionError(
            f"{arguments[0]} ended with {process.returncode}: "
            f"{process.stderr.decode(errors='replace')}\n"
            f"{' '.join(str(argument) for argument in arguments)}")
    return process.stdout


def cached(name, make, *key):
    """The path of a file that make(path) makes once; key is all that its
    content depends on."""
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
    path = CACHE / f"{digest}-{name}"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = CACHE / f"{os.getpid()}-{path.name}"
        make(unfinished)
        unfinished.rename(path)
    return path


def ffmpeg(name, *arguments):
    """A file that "ffmpeg ARGUMENTS" makes; its format is that of the name."""
    return cached(
        name,
        lambda path: run("ffmpeg", "-v", "error", "-nostdin", *arguments,
                         "-bitexact", "-y", path),
        *map(str, arguments),
    )


def sound(expressions, seconds, rate=48000):
    """An input of ffmpeg's: one expression of t for each channel."""
    layout = LAYOUTS[len(expressions)]
    formula = "|".join(expressions)
    return ["-f", "lavfi", "-i",
            f"aevalsrc=exprs='{formula}':s={rate}:d={seconds}:c={layout}"]


def tones(frequencies, seconds=1, rate=48000, level=None):
    """An input of ffmpeg's: one tone for each channel."""
    if level is None:
        level = LEVEL if len(frequencies) <= 2 else 0.15
    return sound([f"{level}*sin(2*PI*{frequency}*t)"
                  for frequency in frequencies], seconds, rate)


CHIRP_FROM, CHIRP_RATE = 200, 1200  # Hz, and Hz more in each second


def chirp(seconds, rate=48000):
    """An input of ffmpeg's: a tone that rises, so that every moment of it
    sounds unlike any other."""
    return sound([f"{LEVEL}*sin(2*PI*t*({CHIRP_FROM}+{CHIRP_RATE / 2}*t))"],
                 seconds, rate)


def chirp_file(name="chirp.wav", audio="pcm_s16le", seconds=2, rate=48000):
    return ffmpeg(name, *chirp(seconds, rate), "-c:a",
                        *audio.split())


def picture(seconds=1, rate=5):
    """An input of ffmpeg's: a small moving picture."""
    return ["-f", "lavfi", "-i", f"testsrc=s=64x48:r={rate}:d={seconds}"]


# Reading MP3 files


class Frame:
    """The header of one MPEG audio frame of layer III."""

    KBITS = {
        1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
        2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    }
    RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000),
             0: (11025, 12000, 8000)}

    def __init__(self, data, offset):
        word, = struct.unpack_from(">I", data, offset)
        version = word >> 19 & 3
        assert word >> 21 == 0x7FF and version != 1 and word >> 17 & 3 == 1, \
            f"no MP3 frame at {offset}: {word:08x}"
        self.offset = offset
        self.mpeg1 = version == 3
        self.rate = self.RATES[version][word >> 10 & 3]
        self.kbits = self.KBITS[1 if self.mpeg1 else 2][word >> 12 & 15]
        self.channels = 1 if word >> 6 & 3 == 3 else 2
        self.samples = 1152 if self.mpeg1 else 576
        self.size = (self.samples // 8 * self.kbits * 1000 // self.rate
                     + (word >> 9 & 1))


CRC16 = []
for _value in range(256):
    for _ in range(8):
        _value = _value >> 1 ^ (0xA001 if _value & 1 else 0)
    CRC16.append(_value)


def crc16(data):
    value = 0
    for byte in data:
        value = value >> 8 ^ CRC16[(value ^ byte) & 0xFF]
    return value


class Mp3:
    """An MP3 file, taken apart: ID3v2 tag, Xing or Info header, frames."""

    def __init__(self, data):
        self.data = data
        self.tags = {}
        start = self._read_id3()
        self.first = Frame(data, start)
        self._read_xing()
        self.frames = []

        offset = start + self.first.size
        while offset < len(data):
            frame = Frame(data, offset)
            self.frames.append(frame)
            offset += frame.size
        assert offset == len(data), "the last frame is cut off"

    @staticmethod
    def start_of_frames(data):
        """Where the first frame with sound is, of a file with a tag of any
        version and a Xing header."""
        start = 10 + int("".join(f"{byte:07b}" for byte in data[6:10]), 2)
        return start + Frame(data, start).size

    def _read_id3(self):
        assert self.data[:3] == b"ID3", "no ID3v2 tag"
        assert self.data[3] in (3, 4), f"ID3v2.{self.data[3]}"
        size = 0
        for byte in self.data[6:10]:
            size = size << 7 | byte
        offset, end = 10, 10 + size

        while offset + 10 <= end and self.data[offset]:
            name = self.data[offset:offset + 4].decode("ascii")
            length, = struct.unpack_from(">I", self.data, offset + 4)
            body = self.data[offset + 10:offset + 10 + length]
            offset += 10 + length
            if name[0] == "T":
                encoding = {0: "latin-1", 1: "utf-16"}[body[0]]
                text = body[1:].decode(encoding).rstrip("\0")
                if name == "TXXX":
                    name, _, text = text.partition("\0")
                assert name not in self.tags
                self.tags[name] = text.lstrip("\ufeff")
        return end

    def _read_xing(self):
        first = self.first
        side = {(True, 2): 32, (True, 1): 17,
                (False, 2): 17, (False, 1): 9}[first.mpeg1, first.channels]
        start = first.offset + 4 + side
        magic = self.data[start:start + 4]
        assert magic in (b"Xing", b"Info"), f"no Xing header: {magic}"
        flags, self.frame_count, self.byte_count = struct.unpack_from(
            ">III", self.data, start + 4)
        assert flags == 15, f"Xing flags {flags}"
        self.variable = magic == b"Xing"
        self.toc = self.data[start + 16:start + 116]

        lame = start + 120
        self.encoder = self.data[lame:lame + 9].rstrip(b"\0")
        gap = int.from_bytes(self.data[lame + 21:lame + 24], "big")
        self.delay, self.padding = gap >> 12, gap & 0xFFF
        self.music_length, = struct.unpack_from(">I", self.data, lame + 28)

    @property
    def samples(self):
        """Of one channel, as a player that plays without gaps counts."""
        return (self.frame_count * self.first.samples - self.delay
                - self.padding)

    def check(self):
        """The headers must tell the truth about the frames."""
        first = self.first
        for frame in self.frames:
            assert (frame.rate, frame.channels, frame.mpeg1) == (
                first.rate, first.channels, first.mpeg1)

        assert self.frame_count == len(self.frames)
        assert self.byte_count == len(self.data) - first.offset
        if self.encoder:
            assert self.music_length == self.byte_count
            assert self.encoder[:4] == b"Lavc"
            assert self.delay == 576
            self._check_crcs()
        else:
            # a copy of what does not tell
            assert (self.delay, self.padding, self.music_length) == (0, 0, 0)
        assert self.variable == (len({frame.kbits
                                      for frame in self.frames}) > 1)
        self._check_toc()

    def _check_crcs(self):
        """Of the frames, and of the header itself."""
        first = self.first.offset
        start = first + self.first.size
        end = self.data.index(self.encoder, first) + 34
        music, header = struct.unpack_from(">HH", self.data, end - 2)
        assert music == crc16(self.data[start:])
        assert header == crc16(self.data[first:end])

    def _check_toc(self):
        """Each percent of the time leads to its frame, give or take what one
        byte of the table and the distance of its entries can hold."""
        count = len(self.frames)
        grain = self.byte_count / 256
        for percent, value in enumerate(self.toc):
            place = self.first.offset + value * grain
            frame = self.frames[min(count * percent // 100, count - 1)]
            allowed = grain + count / 100 * 1441 + 1441
            assert abs(place - frame.offset) <= allowed, \
                f"the table leads to {place} for {percent} %, which is at " \
                f"{frame.offset}"


# Listening


class Audio:
    """Decoded sound: one array of floats for each channel."""

    def __init__(self, raw, rate, channels):
        values = array.array("f")
        values.frombytes(raw)
        self.rate = rate
        self.channels = [values[i::channels] for i in range(channels)]
        self.samples = len(self.channels[0])
        self.seconds = self.samples / rate

    @property
    def peak(self):
        return max(max(max(channel), -min(channel))
                   for channel in self.channels)

    def level(self, channel, frequency, start=None, end=None):
        """The amplitude of a tone between two times, in seconds; without
        them in the middle of the whole."""
        if start is None:
            start, end = self.seconds * 0.2, self.seconds * 0.8
        part = self.channels[channel][round(start * self.rate):
                                      round(end * self.rate)]
        sine, cosine = wave(frequency, self.rate, len(part))
        return 2 * math.hypot(sum(map(operator.mul, part, sine)),
                              sum(map(operator.mul, part, cosine)))

    def loudness(self, channel, start, end):
        """The root mean square between two times, in seconds."""
        part = self.channels[channel][round(start * self.rate):
                                      round(end * self.rate)]
        return math.sqrt(sum(map(operator.mul, part, part)) / len(part))

    def chirp_offset(self, start, source_start, seconds=0.25, within=64):
        """How many samples after start (seconds) the piece of a chirp is
        that has been at source_start (seconds) in the source."""
        count = round(seconds * self.rate)
        times = [source_start + i / self.rate for i in range(count)]
        pattern = [math.sin(2 * math.pi * t
                            * (CHIRP_FROM + CHIRP_RATE / 2 * t))
                   for t in times]
        first = round(start * self.rate)
        channel = self.channels[0]

        def likeness(offset):
            begin = first + offset
            if begin < 0 or begin + count > self.samples:
                return -1
            return sum(map(operator.mul, channel[begin:begin + count],
                           pattern)) * 2 / count

        best = max(range(-within, within + 1), key=likeness)
        assert likeness(best) > LEVEL * 0.9, \
            f"this piece of the chirp is not there: {likeness(best):.3f}"
        return best


def lag(one, first, other, second, count, within=64):
    """How many samples a piece of the first channel of one is later than it
    should be in the other, where it begins at second."""
    pattern = one.channels[0][first:first + count]
    channel = other.channels[0]
    energy = sum(map(operator.mul, pattern, pattern))

    def difference(offset):
        piece = channel[second + offset:second + offset + count]
        return sum((a - b) ** 2 for a, b in zip(pattern, piece))

    best = min(range(-within, within + 1), key=difference)
    assert difference(best) < energy * 0.05, "this piece is not there"
    return best


@functools.lru_cache(maxsize=256)
def wave(frequency, rate, count):
    """Sine and cosine under a Hann window, to measure a tone with."""
    step = 2 * math.pi * frequency / rate
    hann = [(1 - math.cos(2 * math.pi * (i + 0.5) / count)) / count
            for i in range(count)]
    return (array.array("d", (hann[i] * math.sin(step * i)
                              for i in range(count))),
            array.array("d", (hann[i] * math.cos(step * i)
                              for i in range(count))))


def decode(data, rate, channels):
    """An MP3 as ffmpeg plays it, which must not complain."""
    with tempfile.NamedTemporaryFile(suffix=".mp3") as file:
        file.write(data)
        file.flush()
        raw = run("ffmpeg", "-v", "warning", "-nostdin", "-f", "mp3", "-i",
                  file.name, "-f", "f32le", "-")
    return Audio(raw, rate, channels)


def source_seconds(path, track=1):
    """How long the track of a file is once ffmpeg has decoded it."""
    raw = run("ffmpeg", "-v", "error", "-nostdin", "-i", path, "-map",
              f"0:a:{track - 1}", "-ac", "1", "-ar", "48000", "-f", "s16le",
              "-")
    return len(raw) / 2 / 48000


def check_tones(audio, expected, level=None):
    """Each channel must hold its tones and no other of EVERY."""
    assert len(audio.channels) == len(expected)
    for number, wanted in enumerate(expected):
        for frequency in EVERY:
            found = audio.level(number, frequency)
            if frequency in wanted:
                assert found > 0.02, \
                    f"channel {number} lacks {frequency} Hz: {found:.4f}"
                assert level is None or abs(found / level - 1) < 0.1, \
                    f"channel {number} has {frequency} Hz at {found:.4f}"
            else:
                assert found < 0.008, \
                    f"channel {number} has {frequency} Hz: {found:.4f}"


def check(result, seconds, expected=None, level=None, tolerance=0.030,
          quiet=True):
    """The MP3 of a channel.Result must be right in all that can be told
    without its source but its length and its tones, and nobody may have had
    to complain, unless not quiet.  Returns (Mp3, Audio)."""
    assert not result.failed, result.text
    assert result.status == 0, result.log
    assert result.log == "" or not quiet, result.log

    mp3 = Mp3(result.mp3)
    mp3.check()
    audio = decode(result.mp3, mp3.first.rate, mp3.first.channels)

    assert result.rate == mp3.first.rate
    assert audio.samples == mp3.samples
    assert abs(audio.seconds - seconds) <= tolerance, \
        f"{audio.seconds} s instead of {seconds} s"
    assert audio.peak < 1

    if expected is not None:
        check_tones(audio, expected, level)

    return mp3, audio
