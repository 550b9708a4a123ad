"""v2m-transcode over media of every kind: each becomes the right MP3, or
fails with a reason that a person understands."""

import dataclasses
import os
import random
import signal
import socket
import struct
import subprocess

import pytest

import channel
import media
from conftest import BUILD


SECONDS = 1

# The sources' times are compared at 48 kHz, whatever their rate.
ROUNDING = 2 / 48000


@dataclasses.dataclass
class Source:
    """A kind of media that ffmpeg can make."""

    name: str              # the file's name, of which the format follows
    audio: str             # ffmpeg's options for the audio
    video: str = ""        # and for the video; empty: none
    rate: int = 48000
    channels: tuple = media.STEREO
    mp3_rate: int = 0      # when it is another than the source's
    level: float = media.LEVEL  # of each tone in the MP3; 0: whatever
    late: float = 0        # timestamp of the first sample ffmpeg decodes

    @property
    def id(self):
        return f"{self.name}-{self.audio}-{self.rate}-{len(self.channels)}" \
            .replace(" ", ",").replace("-strict,-2", "")

    def make(self):
        inputs = media.tones(self.channels, SECONDS, self.rate)
        options = ["-c:a", *self.audio.split()]
        if self.video:
            inputs += media.picture(SECONDS)
            options += ["-c:v", *self.video.split()]
        return media.ffmpeg(self.name, *inputs, *options)

    @property
    def expected_seconds(self):
        """To the sample where the format tells it, which is more than the
        ffmpeg command reads from MP4; else what ffmpeg's decoder gives."""
        mp4 = self.name.endswith(("mp4", "mov", "m4a", "3gp"))
        if mp4 and "ac3" not in self.audio and "frag" not in self.video:
            return SECONDS
        return self.late + media.source_seconds(self.make())

    @property
    def expected(self):
        return {
            1: [media.MONO],
            2: [(tone,) for tone in self.channels],
            6: [media.SURROUND_LEFT, media.SURROUND_RIGHT],
        }[len(self.channels)]


H264 = "libx264 -preset ultrafast"
VP9 = "libvpx-vp9 -deadline realtime -cpu-used 8"

CONTAINERS = [
    Source("video.mp4", "aac", H264),
    Source("video.mp4", "aac", H264 + " -movflags +faststart"),
    Source("video.mp4", "aac", H264
           + " -movflags +frag_keyframe+empty_moov+default_base_moof -g 2"),
    Source("video.mp4", "libmp3lame", H264),
    Source("video.mp4", "libopus", H264),
    Source("video.mp4", "flac -strict -2", H264),
    Source("video.mp4", "ac3", H264),
    Source("video.mp4", "eac3", H264),
    Source("video.mov", "aac", H264),
    Source("video.mov", "pcm_s16be", H264),
    Source("video.mov", "pcm_s24le", H264),
    Source("video.mov", "pcm_f32le", H264),
    Source("video.mov", "alac", H264),
    Source("video.mov", "adpcm_ima_qt", H264),
    Source("video.3gp", "aac", "h263 -s 128x96"),
    Source("video.mkv", "aac", H264),
    Source("video.mkv", "libvorbis", H264),
    Source("video.mkv", "libopus", H264),
    Source("video.mkv", "flac", H264),
    Source("video.mkv", "pcm_s16le", H264),
    Source("video.mkv", "ac3", H264),
    Source("video.mkv", "dca -strict -2", H264),
    Source("video.mkv", "truehd -strict -2", H264),
    Source("video.mkv", "mp2", H264),
    Source("video.webm", "libopus", VP9),
    Source("video.webm", "libvorbis", VP9),
    Source("video.avi", "libmp3lame", "mpeg4"),
    Source("video.avi", "pcm_s16le", "mpeg4"),
    Source("video.avi", "ac3", "mpeg4"),
    Source("video.avi", "adpcm_ms", "mpeg4"),
    Source("video.avi", "wmav2", "mpeg4", late=4096 / 48000),
    Source("video.flv", "aac", "flv1"),
    Source("video.flv", "libmp3lame", "flv1", rate=44100),
    Source("video.flv", "nellymoser", "flv1", 44100, media.MONO, level=0),
    Source("video.flv", "adpcm_swf", "flv1", 44100),
    Source("video.flv", "libspeex", "flv1", 16000, media.MONO, level=0),
    Source("video.ts", "aac", H264),
    Source("video.ts", "aac -mpegts_flags latm", H264),
    Source("video.ts", "mp2", "mpeg2video"),
    Source("video.ts", "ac3", H264),
    Source("video.ts", "libopus", H264),
    Source("video.ts", "s302m -strict -2", "mpeg2video"),
    Source("video.m2ts", "pcm_bluray", H264),
    Source("video.mpg", "mp2", "mpeg1video -r 25"),
    Source("video.vob", "ac3", "mpeg2video -r 25"),
    Source("video.wmv", "wmav1", "wmv2", late=0.086),
    Source("video.wmv", "wmav2", "wmv2", late=0.086),
    Source("video.ogv", "libvorbis", "libtheora"),
]

AUDIO_ONLY = [
    Source("sound.m4a", "aac"),
    Source("sound.m4a", "alac"),
    Source("sound.aac", "aac"),
    Source("sound.mp3", "libmp3lame"),
    Source("sound.mp3", "libmp3lame -write_xing 0 -id3v2_version 0"),
    Source("sound.mp2", "mp2"),
    Source("sound.ogg", "libvorbis"),
    Source("sound.opus", "libopus"),
    Source("sound.ogg", "flac"),
    Source("sound.spx", "libspeex", "", 32000, media.MONO, level=0),
    Source("sound.flac", "flac"),
    Source("sound.flac", "flac -sample_fmt s32"),
    Source("sound.wav", "pcm_u8"),
    Source("sound.wav", "pcm_s16le"),
    Source("sound.wav", "pcm_s24le"),
    Source("sound.wav", "pcm_s32le"),
    Source("sound.wav", "pcm_f32le"),
    Source("sound.wav", "pcm_f64le"),
    Source("sound.wav", "pcm_alaw", "", 8000, media.MONO),
    Source("sound.wav", "pcm_mulaw", "", 8000, media.MONO),
    Source("sound.wav", "adpcm_ima_wav"),
    Source("sound.wav", "adpcm_ms"),
    Source("sound.wav", "adpcm_yamaha"),
    Source("sound.wav", "g722", "", 16000, media.MONO),
    Source("sound.wav", "g726 -b:a 32k", "", 8000, media.MONO, level=0),
    Source("sound.wav", "libgsm_ms", "", 8000, media.MONO, level=0),
    Source("sound.w64", "pcm_s16le"),
    Source("sound.aiff", "pcm_s16be"),
    Source("sound.au", "pcm_s16be"),
    Source("sound.caf", "pcm_s16be"),
    Source("sound.caf", "alac"),
    Source("sound.ac3", "ac3"),
    Source("sound.eac3", "eac3"),
    Source("sound.dts", "dca -strict -2"),
    Source("sound.tta", "tta"),
    Source("sound.wv", "wavpack"),
    Source("sound.wma", "wmav2", late=0.086),
    Source("sound.mka", "aac"),
]

# The rate that MP3 has for each.
RATES = {8000: 8000, 11025: 11025, 12000: 12000, 16000: 16000, 22050: 22050,
         24000: 24000, 32000: 32000, 44100: 44100, 48000: 48000,
         88200: 44100, 96000: 48000, 37800: 44100, 6000: 8000}

RATES_AND_CHANNELS = [
    Source("sound.wav", "pcm_s16le", "", rate, channels, mp3_rate)
    for channels in (media.MONO, media.STEREO)
    for rate, mp3_rate in RATES.items()
] + [
    Source("video.mp4", "aac", H264, 8000, media.MONO),
    Source("video.mp4", "aac", H264, 11025),
    Source("video.mp4", "aac", H264, 22050, media.MONO),
    Source("video.mp4", "aac", H264, 44100),
    Source("video.mp4", "aac", H264, 96000, mp3_rate=48000),
] + [
    Source(name, audio, H264, 48000, media.SURROUND, level=0)
    for name, audio in (
        ("video.mp4", "aac"), ("video.mkv", "ac3"), ("video.mkv", "flac"),
        ("video.mkv", "libopus"), ("video.mkv", "libvorbis"),
        ("video.mov", "pcm_s16le"), ("video.ts", "eac3"),
        ("video.mkv", "dca -strict -2"))
]


@pytest.mark.parametrize(
    "source", CONTAINERS + AUDIO_ONLY + RATES_AND_CHANNELS,
    ids=lambda source: source.id)
def test_kinds_of_media(source):
    path = source.make()
    result = channel.transcode(path)
    mp3, audio = media.check(result, source.expected_seconds, source.expected,
                             source.level or None, ROUNDING)

    assert mp3.first.rate == (source.mp3_rate or source.rate)
    assert mp3.first.channels == min(2, len(source.channels))
    assert mp3.variable
    assert result.progress == sorted(result.progress)
    assert result.progress[-1] > 80


def assert_refused(result, *words):
    """The file is to blame, and the reason says so with these words."""
    assert result.failed, f"it became an MP3 of {result.samples} samples"
    assert result.fault == channel.FILE, result.text
    assert result.status == 0, result.log
    for word in words:
        assert word in result.text
    assert 10 < len(result.text) <= channel.TEXT


@pytest.mark.parametrize("name, options", [
    ("live.webm", ("-c:a", "libopus", "-c:v", *VP9.split(), "-live", 1)),
    ("live.mkv", ("-c:a", "aac", "-c:v", *H264.split(), "-live", 1)),
    ("live.flv", ("-c:a", "aac", "-c:v", "flv1", "-flvflags",
                  "no_duration_filesize")),
])
def test_recording_that_does_not_know_its_length(name, options):
    """As browsers make them: the length comes last, and so does not come."""
    path = media.ffmpeg(name, *media.tones(media.STEREO, 2),
                        *media.picture(2), *options)
    result = channel.transcode(path)
    media.check(result, 2, [(440,), (1000,)], media.LEVEL, tolerance=0.05)

    assert result.progress[-1] > 80


@pytest.mark.parametrize("magic, frame, rate", [
    (b"#!AMR\n", b"\x3c" + bytes(range(31)), 8000),
    (b"#!AMR-WB\n", b"\x44" + bytes(range(60)), 16000),
])
def test_speech_of_old_telephones(magic, frame, rate):
    """No encoder for these is at hand: it is noise, but of the right
    length."""
    mp3, _ = media.check(channel.transcode(magic + 50 * frame), 1)
    assert mp3.first.rate == rate and mp3.first.channels == 1


# To the sample: where is what in time?


CHIRPS = [
    ("chirp.wav", "pcm_s16le"),
    ("chirp.flac", "flac"),
    ("chirp.mp3", "libmp3lame"),
    ("chirp.opus", "libopus -b:a 128k"),
    ("chirp.ogg", "libvorbis"),
    ("chirp.m4a", "aac"),
    ("chirp.m4a", "alac"),
    ("chirp.mov", "pcm_s24le"),
    ("chirp.mka", "libopus -b:a 128k"),
    ("chirp.mka", "flac"),
    ("chirp.mka", "libvorbis"),
    ("chirp.webm", "libopus -b:a 128k"),
    ("chirp.avi", "pcm_s16le"),
]

EXTRA = 100  # milliseconds that a decoder may leave out at the end


def chirp(name="chirp.wav", audio="pcm_s16le", seconds=2, rate=48000):
    return media.ffmpeg(name, *media.chirp(seconds, rate), "-c:a",
                        *audio.split())


@pytest.mark.parametrize("name, audio", CHIRPS)
def test_every_moment_is_in_its_place(name, audio):
    _, found = media.check(channel.transcode(chirp(name, audio)), 2)

    for moment in (0.01, 0.5, 1.2, 1.7):
        assert found.chirp_offset(moment, moment) == 0


@pytest.mark.parametrize("rate", [8000, 11025, 32000, 44100, 96000])
def test_resampling_moves_nothing(rate):
    options = {"samplerate": 48000} if rate != 96000 else {}
    result = channel.transcode(chirp(rate=rate), **options)
    mp3, found = media.check(result, 2, tolerance=1 / 48000)

    assert mp3.first.rate == 48000
    for moment in (0.1, 0.5, 1.2, 1.7):
        assert found.chirp_offset(moment, moment) == 0


# Containers that count in milliseconds.
MS = 48

@pytest.mark.parametrize("name, audio, video, earliest, latest", [
    ("late.mp4", "aac", H264, -MS, MS),
    ("late.mov", "pcm_s16le", H264, -MS, MS),
    ("late.mkv", "flac", H264, -MS, MS),
    # ffmpeg puts these where they are, by less than a frame off
    ("late.webm", "libopus -b:a 128k", VP9, -312 - MS, MS),
    ("late.flv", "libmp3lame -ar 44100", "flv1", -MS, 1105 + MS),
    ("late.ts", "mp2", H264, -MS, 481 + MS),
])
def test_audio_that_starts_late(name, audio, video, earliest, latest):
    path = media.ffmpeg(
        name, "-itsoffset", 0.7, *media.chirp(1.5), *media.picture(2.2),
        "-map", 0, "-map", 1, "-c:a", *audio.split(), "-c:v", *video.split(),
        "-bf", 0)
    _, found = media.check(channel.transcode(path), 2.2, tolerance=0.05)

    assert found.loudness(0, 0, 0.65) < 0.001
    offset = found.chirp_offset(0.8, 0.1, within=1300)
    assert earliest <= offset <= latest


@pytest.mark.parametrize("name", ["offset.ts", "offset.mkv", "offset.mka"])
def test_clock_that_does_not_begin_at_zero(name):
    video = media.picture() if name != "offset.mka" else []
    path = media.ffmpeg(name, *media.chirp(1), *video, "-c:a", "ac3", "-c:v",
                        "mpeg2video", "-r", 25, "-output_ts_offset", 4000)
    _, found = media.check(channel.transcode(path), 1, tolerance=0.05)

    assert 0 <= found.chirp_offset(0.3, 0.3, within=400) <= 256 + MS


@pytest.mark.parametrize("name, audio, exact", [
    ("gap.mkv", "pcm_s16le", MS), ("gap.mkv", "flac", MS),
    ("gap.mka", "libopus", MS), ("gap.mp4", "aac", 1), ("gap.mov", "alac", 1),
])
def test_gap(name, audio, exact):
    path = media.ffmpeg(
        name, *media.chirp(3), "-af", "aselect='not(between(t,1,1.999))'",
        "-c:a", audio)
    _, found = media.check(channel.transcode(path), 3, tolerance=0.025)

    assert found.chirp_offset(0.5, 0.5) == 0
    assert found.loudness(0, 1.1, 1.9) < 0.001
    assert abs(found.chirp_offset(2.5, 2.5)) <= exact


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("samples", [1153, 1167, 1199, 1200, 1775, 2256, 2304,
                                     2305, 2351, 2352, 3472])
def test_every_length_is_kept_to_the_sample(samples, rate):
    path = chirp(seconds=f"{samples / rate:.9f}", rate=rate)
    result = channel.transcode(path)
    _, found = media.check(result, samples / rate, tolerance=0)

    assert found.samples == samples


@pytest.mark.parametrize("samples", [1, 47, 48, 576, 1105, 1152])
def test_hardly_any_sound(samples):
    """Less than players need to see that it is an MP3: that goes before the
    last millisecond."""
    path = chirp(seconds=f"{samples / 44100:.9f}", rate=44100)
    result = channel.transcode(path)

    media.check(result, samples / 44100, tolerance=0.0015)
    assert result.samples == samples


def test_edit_list():
    """A piece that was cut out of an MP4 without encoding it anew."""
    whole = media.ffmpeg(
        "chirp.mp4", *media.chirp(4), *media.picture(4, 25), "-c:v",
        *H264.split(), "-g", 10, "-c:a", "aac")
    path = media.ffmpeg("piece.mp4", "-ss", 1.3, "-i", whole, "-t", 1.5, "-c",
                        "copy")
    _, found = media.check(channel.transcode(path), 1.5, tolerance=0.03)

    for moment in (0.1, 0.6, 1.1):
        assert abs(found.chirp_offset(moment, moment + 1.3)) <= MS


@pytest.mark.parametrize("name, audio", [
    ("end.mov", "pcm_s16le"), ("end.m4a", "aac"), ("end.m4a", "alac"),
])
def test_edit_list_that_leaves_out_the_end(name, audio):
    data = bytearray(chirp(name, audio, 3).read_bytes())
    place = data.index(b"elst") + 12
    assert data[place:place + 4] == (3000).to_bytes(4, "big")
    data[place:place + 4] = (2345).to_bytes(4, "big")

    _, found = media.check(channel.transcode(data), 2.345, tolerance=0)
    assert found.chirp_offset(2, 2) == 0


@pytest.mark.parametrize("name, first, second, seconds", [
    ("joined.aac", "aac", "aac", 2.08),
    ("joined.ac3", "ac3", "ac3", 2.04),
    ("joined.mp3", "libmp3lame", "libmp3lame -write_xing 0 -id3v2_version 0",
     2.08),
    ("joined.ogg", "libvorbis", "libvorbis", 2),
    ("joined.ts", "mp2", "mp2", 2.04),
])
def test_change_of_rate_and_channels_midway(name, first, second, seconds):
    one = media.ffmpeg(name, *media.tones(media.STEREO, rate=48000), "-c:a",
                       first)
    two = media.ffmpeg(name, *media.tones(media.MONO, rate=32000), "-c:a",
                       *second.split())
    result = channel.transcode(one.read_bytes() + two.read_bytes())
    mp3, found = media.check(result, seconds, tolerance=0.05)

    assert mp3.first.channels == 2
    for place, tones in ((0.2, media.STEREO), (1.3, media.MONO * 2)):
        for number, tone in enumerate(tones):
            for other in media.STEREO:
                level = found.level(number, other, place, place + 0.6)
                assert level > 0.2 if other == tone else level < 0.01


# Options


def test_default_is_variable_bit_rate():
    mp3, _ = media.check(channel.transcode(chirp()), 2)

    assert mp3.variable
    assert len({frame.kbits for frame in mp3.frames}) > 1


@pytest.mark.parametrize("kbits", [32, 64, 128, 192, 320])
def test_bitrate(kbits):
    path = media.ffmpeg("tones.wav", *media.tones(media.STEREO))
    result = channel.transcode(path, bitrate=kbits)
    mp3, _ = media.check(result, 1, [(440,), (1000,)])

    assert {frame.kbits for frame in mp3.frames} == {kbits}
    assert not mp3.variable
    assert mp3.first.rate == 48000


@pytest.mark.parametrize("rate, kbits, mp3_rate", [
    (8000, 64, 8000), (8000, 80, 16000), (8000, 192, 32000),
    (11025, 320, 44100), (22050, 160, 22050), (22050, 192, 44100),
])
def test_bitrate_that_needs_a_higher_rate(rate, kbits, mp3_rate):
    path = media.ffmpeg("tones.wav", *media.tones(media.MONO, rate=rate))
    result = channel.transcode(path, bitrate=kbits)
    mp3, _ = media.check(result, 1, [media.MONO], media.LEVEL, ROUNDING)

    assert {frame.kbits for frame in mp3.frames} == {kbits}
    assert mp3.first.rate == mp3_rate


def test_quality():
    path = media.ffmpeg("noise.wav", "-f", "lavfi", "-i",
                        "anoisesrc=d=1:a=0.3:r=44100:s=7", "-ac", 2)
    sizes = []
    for quality in (0, 2, 5, 9):
        result = channel.transcode(path, quality=quality)
        mp3, _ = media.check(result, 1)
        assert mp3.variable
        sizes.append(len(result.mp3))

    assert sizes == sorted(set(sizes), reverse=True)


@pytest.mark.parametrize("samplerate", [8000, 11025, 12000, 16000, 22050,
                                        24000, 32000, 44100, 48000])
def test_samplerate(samplerate):
    path = media.ffmpeg("tones.wav", *media.tones(media.STEREO))
    result = channel.transcode(path, samplerate=samplerate)
    mp3, _ = media.check(result, 1, [(440,), (1000,)], media.LEVEL,
                         1 / samplerate)

    assert mp3.first.rate == samplerate


@pytest.mark.parametrize("tones, channels, expected, level", [
    (media.MONO, 1, [media.MONO], media.LEVEL),
    (media.MONO, 2, [media.MONO] * 2, media.LEVEL),
    (media.STEREO, 1, [media.STEREO], media.LEVEL / 2),
    (media.SURROUND, 1, [(440, 1000, 700, 1500, 2200)], None),
    (media.SURROUND, 2, [media.SURROUND_LEFT, media.SURROUND_RIGHT], None),
])
def test_channels(tones, channels, expected, level):
    path = media.ffmpeg("tones.wav", *media.tones(tones))
    result = channel.transcode(path, channels=channels)
    mp3, _ = media.check(result, 1, expected, level)

    assert mp3.first.channels == channels


def test_full_scale_downmix_does_not_clip():
    path = media.ffmpeg("loud.wav",
                        *media.tones((300,) * 6, level=0.99))
    media.check(channel.transcode(path), 1, [(), ()])


@pytest.mark.parametrize("name, audio", [
    ("chirp.wav", "pcm_s16le"), ("chirp.mp3", "libmp3lame"),
    ("chirp.opus", "libopus -b:a 128k"), ("chirp.m4a", "aac"),
    ("chirp.mka", "flac"), ("chirp.webm", "libopus -b:a 128k"),
])
@pytest.mark.parametrize("start, end", [
    (500, 1500), (1, 1001), (None, 700), (1234, None),
])
def test_cut(name, audio, start, end):
    result = channel.transcode(
        chirp(name, audio), start_ms=-1 if start is None else start,
        end_ms=-1 if end is None else end)
    begin = (start or 0) / 1000
    length = (end or 2000) / 1000 - begin
    _, found = media.check(result, length, tolerance=0.02)

    if end is not None:
        assert found.samples == round(length * 48000)
    exact = MS if "mka" in name or "webm" in name else 0
    for moment in (0.05, 0.3):
        assert abs(found.chirp_offset(moment, begin + moment)) <= exact


def test_cut_at_another_rate():
    result = channel.transcode(chirp(rate=44100), start_ms=501, end_ms=1502,
                               samplerate=48000)
    _, found = media.check(result, 1.001, tolerance=1 / 48000)

    assert abs(found.chirp_offset(0.2, 0.701)) <= 1


def test_cut_beyond_the_end():
    result = channel.transcode(chirp(), start_ms=1500, end_ms=10_000)
    media.check(result, 0.5, tolerance=0)

    result = channel.transcode(chirp(), start_ms=2500)
    assert_refused(result, "the cut leaves nothing", "0:02.0")


def test_cut_within_silence_before_late_audio():
    path = media.ffmpeg(
        "late.mp4", "-itsoffset", 1, *media.chirp(1), *media.picture(2),
        "-map", 0, "-map", 1, "-c:a", "aac", "-c:v", *H264.split())
    result = channel.transcode(path, start_ms=250, end_ms=1250)
    _, found = media.check(result, 1, tolerance=0)

    assert found.loudness(0, 0, 0.7) < 0.001
    assert found.loudness(0, 0.76, 1) > 0.1


# Tracks


def tracks(*selected):
    """A file with a picture and three tracks, each of its own tone."""
    inputs, maps = media.picture(), []
    for number, tone in enumerate((440, 1000, 1500)):
        inputs += media.tones((tone,))
        maps += ["-map", number + 1, "-c:a:" + str(number),
                 ("aac", "ac3", "flac")[number]]
    dispositions = []
    for number in range(3):
        dispositions += ["-disposition:a:" + str(number),
                         "default" if number + 1 in selected else 0]
    return media.ffmpeg("tracks.mkv", *inputs, "-map", 0, *maps, "-c:v",
                        *H264.split(), *dispositions)


@pytest.mark.parametrize("default, track, tone", [
    ((), -1, 440), ((1,), -1, 440), ((2,), -1, 1000), ((3,), -1, 1500),
    ((2, 3), -1, 1000), ((2,), 1, 440), ((2,), 2, 1000), ((2,), 3, 1500),
])
def test_track(default, track, tone):
    result = channel.transcode(tracks(*default), track=track)
    media.check(result, 1, [(tone,)], tolerance=0.05)

    assert "of 3" in result.text


@pytest.mark.parametrize("name", ["lengths.mkv", "lengths.mp4",
                                  "lengths.wmv", "lengths.ts"])
def test_tracks_of_different_lengths(name):
    """That another one is longer does not make a file truncated."""
    path = media.ffmpeg(
        name, *media.tones((440,), 1), *media.tones((1000,), 3),
        *media.picture(2, 25), "-map", 0, "-map", 1, "-map", 2, "-c:a",
        "wmav2" if name.endswith("wmv") else "ac3", "-c:v", "mpeg2video")
    for track, tone, seconds in ((1, 440, 1), (2, 1000, 3)):
        result = channel.transcode(path, track=track)
        media.check(result, seconds, [(tone,)], tolerance=0.11)


def test_track_that_cannot_be_decoded():
    """The next one is taken, but not instead of one that was asked for."""
    data = media.ffmpeg(
        "two.mov", *media.tones((440,)), *media.tones((1000,)), "-map", 0,
        "-map", 1, "-c:a", "pcm_s16le").read_bytes()
    place = data.index(b"sowt")
    data = data[:place] + b"QclQ" + data[place + 4:]

    result = channel.transcode(data)
    media.check(result, 1, [(1000,)], quiet=False)
    assert "track 2 of 2" in result.text
    assert_refused(channel.transcode(data, track=1), "PureVoice",
                   "not supported")


def test_track_that_does_not_exist():
    result = channel.transcode(tracks(), track=4)
    assert_refused(result, "track 4 does not exist", "3 audio tracks")


# Tags


TITLE, ARTIST = "Übung – 練習 \U0001f3b5", "Zoë & Søn"


@pytest.mark.parametrize("name, audio", [
    ("tags.mp4", "aac"), ("tags.mkv", "libopus"), ("tags.flac", "flac"),
    ("tags.ogg", "libvorbis"), ("tags.opus", "libopus"),
    ("tags.mp3", "libmp3lame"), ("tags.wma", "wmav2"), ("tags.avi", "ac3"),
])
def test_tags(name, audio):
    path = media.ffmpeg(
        name, *media.tones(media.MONO), "-c:a", audio, "-metadata",
        f"title={TITLE}", "-metadata", f"artist={ARTIST}", "-metadata",
        "genre=Speech", "-metadata", "comment=not for an MP3")
    mp3, _ = media.check(channel.transcode(path), 1, [media.MONO],
                         tolerance=0.09)

    assert mp3.tags["TIT2"] == TITLE
    assert mp3.tags["TPE1"] == ARTIST
    assert mp3.tags["TCON"] == "Speech"
    assert "not for an MP3" not in mp3.tags.values()


def test_tags_in_latin_1():
    path = media.ffmpeg("latin.avi", *media.tones(media.MONO), "-c:a",
                        "pcm_s16le", "-metadata", "title=Gr_n von Z_rich")
    data = path.read_bytes()
    assert b"Gr_n von Z_rich" in data
    mp3, _ = media.check(channel.transcode(
        data.replace(b"Gr_n von Z_rich", b"Gr\xfcn von Z\xfcrich")), 1)

    assert mp3.tags["TIT2"] == "Grün von Zürich"


def test_no_tags_that_nobody_set():
    """A track's name is not the recording's title."""
    path = media.ffmpeg(
        "names.mkv", *media.tones(media.MONO), "-c:a", "flac",
        "-metadata:s:a:0", "title=Stereo", "-metadata:s:a:0", "language=deu")
    mp3, _ = media.check(channel.transcode(path), 1)

    assert mp3.tags == {"TLAN": "deu", "TSSE": mp3.tags["TSSE"]}


def test_endless_tag():
    path = media.ffmpeg(
        "long.mkv", *media.tones(media.MONO), "-c:a", "flac", "-metadata",
        "title=" + 2000 * "é", "-metadata", "artist=" + 500 * "é")
    mp3, _ = media.check(channel.transcode(path), 1)

    assert "TIT2" not in mp3.tags
    assert mp3.tags["TPE1"] == 500 * "é"


# Files that cannot become an MP3


def whole_video(name, *options):
    """Three seconds, with as much picture as sound."""
    return media.ffmpeg(
        name, *media.tones(media.STEREO, 3), "-f", "lavfi", "-i",
        "testsrc2=s=160x120:r=25:d=3", *options).read_bytes()


AVC = ("-c:v", *H264.split(), "-g", 10)

CUT_OFF = {
    "mp4 with its index last": ("cut.mp4", "-c:a", "aac", *AVC),
    "mp4 with its index first": (
        "cut.mp4", "-c:a", "aac", *AVC, "-movflags", "+faststart"),
    "mp4 in fragments": (
        "cut.mp4", "-c:a", "aac", *AVC, "-movflags",
        "+frag_keyframe+empty_moov+default_base_moof+global_sidx"),
    "mov": ("cut.mov", "-c:a", "pcm_s16le", *AVC),
    "mkv": ("cut.mkv", "-c:a", "aac", *AVC),
    "webm": ("cut.webm", "-c:a", "libopus", "-c:v", *VP9.split()),
    "avi": ("cut.avi", "-c:a", "libmp3lame", "-c:v", "mpeg4"),
    "flv": ("cut.flv", "-c:a", "aac", "-c:v", "flv1"),
    "wmv": ("cut.wmv", "-c:a", "wmav2", "-c:v", "wmv2"),
    "wav": ("cut.wav", "-vn", "-c:a", "pcm_s16le"),
    "flac": ("cut.flac", "-vn", "-c:a", "flac"),
    "mp3": ("cut.mp3", "-vn", "-c:a", "libmp3lame"),
    "m4a": ("cut.m4a", "-vn", "-c:a", "aac"),
    "w64": ("cut.w64", "-vn", "-c:a", "pcm_s16le"),
    "aiff": ("cut.aiff", "-vn", "-c:a", "pcm_s16be"),
    "caf": ("cut.caf", "-vn", "-c:a", "alac"),
}


@pytest.mark.parametrize("kind", CUT_OFF)
@pytest.mark.parametrize("percent", [1, 10, 50, 90])
def test_truncated(kind, percent):
    data = whole_video(*CUT_OFF[kind])
    media.check(channel.transcode(data), 3, tolerance=0.1)

    result = channel.transcode(data[:len(data) * percent // 100])
    assert_refused(result)


@pytest.mark.parametrize("name, options", [
    ("cut.ts", ("-c:a", "aac", *AVC)),
    ("cut.ogg", ("-vn", "-c:a", "libvorbis")),
    ("cut.aac", ("-vn", "-c:a", "aac")),
])
def test_formats_that_do_not_tell_their_length(name, options):
    """Nobody can know that there was more; what is there is converted."""
    data = whole_video(name, *options)
    result = channel.transcode(data[:len(data) * 2 // 3])
    media.check(result, 1.7, [(440,), (1000,)], tolerance=0.8, quiet=False)


def test_empty():
    assert_refused(channel.transcode(b""), "empty")


@pytest.mark.parametrize("name", ["silent.mp4", "silent.mkv", "silent.avi",
                                  "silent.ts", "silent.webm"])
def test_no_audio(name):
    video = VP9 if name.endswith("webm") else H264
    path = media.ffmpeg(name, *media.picture(), "-c:v", *video.split())
    assert_refused(channel.transcode(path), "no audio track")


def test_audio_in_a_format_nobody_knows():
    data = media.ffmpeg("tones.mov", *media.tones(media.MONO), "-c:a",
                        "pcm_s16le").read_bytes()
    assert data.count(b"sowt") == 1
    result = channel.transcode(data.replace(b"sowt", b"QclQ"))
    assert_refused(result, "not supported")


def test_sizes_that_nobody_filled_in():
    """As after a pipe, and as some programs write into one."""
    data = chirp().read_bytes()
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
    sound = chirp("target.ts", "mp2")
    target = {
        "file": f"file:{sound}", "absolute": sound,
        "http": f"http://127.0.0.1:{listener.port}/target.ts",
        "tcp": f"tcp://127.0.0.1:{listener.port}",
    }[scheme]
    text = ELSEWHERE[kind].format(target=target, port=listener.port)

    result = channel.transcode(text.encode())
    assert_refused(result, "not a media file")
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
    target = chirp("target.mov", "pcm_s16le")
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
    assert_refused(result)


def test_reference_in_an_mp4_that_has_its_data():
    target = chirp("target.mov", "pcm_s16le")
    result = channel.transcode(
        with_reference(target.read_bytes(), alias(target)))
    assert_refused(result)


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
    assert_refused(result)


@pytest.mark.parametrize("name, options", [
    ("picture.png", ("-frames:v", 1)), ("picture.jpg", ("-frames:v", 1)),
    ("picture.gif", ()), ("picture.bmp", ("-frames:v", 1)),
    ("raw.h264", ("-c:v", *H264.split())), ("raw.m1v", ("-c:v", "mpeg1video",
                                                      "-r", 25)),
    ("picture.y4m", ("-pix_fmt", "yuv420p")),
])
def test_pictures(name, options):
    path = media.ffmpeg(name, *media.picture(), *options)
    assert_refused(channel.transcode(path), "not a media file")


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
    result = channel.transcode(silent_flac(2), bitrate=320)
    assert_refused(result, "far longer than the file")
    assert len(result.mp3) < 80_000_000


@pytest.mark.parametrize("channels, rate", [
    (2, 1), (2, 999), (2, 768_001), (1, 2**32 - 1), (2, 2**31), (2, 0),
    (0, 48000), (65, 48000), (1000, 48000), (65535, 2**32 - 1),
])
def test_absurd_format(channels, rate):
    data = bytearray(chirp().read_bytes())
    place = data.index(b"fmt ") + 10
    frame = 2 * channels & 0xFFFF
    data[place:place + 12] = struct.pack(
        "<HIIH", channels, rate, rate * frame & 0xFFFFFFFF, frame)
    assert_refused(channel.transcode(data))


@pytest.mark.parametrize("channels", [3, 4, 5, 7, 8, 16, 24, 64])
def test_unusual_numbers_of_channels(channels):
    data = bytearray(media.ffmpeg(
        "tone.wav", *media.tones(media.MONO, 4)).read_bytes())
    place = data.index(b"fmt ") + 10
    data[place:place + 12] = struct.pack(
        "<HIIH", channels, 48000, 96000 * channels, 2 * channels)
    result = channel.transcode(data)
    if result.failed:
        assert_refused(result, f"{channels} channels")
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


@pytest.mark.parametrize("kind", [*CUT_OFF, "ogg", "ts", "aac"])
def test_broken_files(kind):
    """Whatever it is, it ends well and soon, in one way or the other."""
    if kind in CUT_OFF:
        name, *options = CUT_OFF[kind]
    else:
        name, *options = {
            "ogg": ("cut.ogg", "-vn", "-c:a", "libvorbis"),
            "ts": ("cut.ts", "-c:a", "aac", *AVC),
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
    path = chirp()
    assert_refused(channel.transcode(path, bitrate=128, quality=2), "bitrate")
    assert_refused(channel.transcode(path, start_ms=5, end_ms=5), "end")


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
        channel.transcode(chirp(), answer=answer)
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
    data = chirp().read_bytes()
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


# Memory


def test_memory_does_not_grow_with_the_file():
    peaks = []
    for seconds in (10, 300):
        path = media.ffmpeg("long.wav", *media.tones((440,), seconds, 16000))
        result = channel.transcode(path, quality=9)
        assert not result.failed
        peaks.append(result.peak_kib)

    assert peaks[1] < peaks[0] + 2048
