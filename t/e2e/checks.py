"""What several end-to-end tests look at: the MP3s, what is in the store, what
the converter's log tells of a job."""

import functools
import re

import media


def check_mp3(data, seconds, expected, level=None, tolerance=0.030):
    """The MP3 must be as long as its source and hold its tones, as
    media.check_tones() has them, and no other.  Returns (Mp3, Audio)."""
    mp3 = media.Mp3(data)
    mp3.check()
    audio = media.decode(data, mp3.first.rate, mp3.first.channels)
    assert mp3.samples == audio.samples
    assert abs(audio.seconds - seconds) <= tolerance, \
        f"{audio.seconds} s instead of {seconds} s"
    assert audio.peak < 1
    media.check_tones(audio, expected, level)
    return mp3, audio


@functools.cache
def clip(seconds=1):
    """A video with media.STEREO."""
    return media.ffmpeg(
        "clip.mp4", *media.tones(media.STEREO, seconds),
        *media.picture(seconds), "-c:a", "aac", "-c:v", "libx264",
        "-preset", "ultrafast")


CLIP = [(tone,) for tone in media.STEREO]  # what its MP3 holds


LONG = 240  # seconds


@functools.cache
def long_clip():
    """A small video that takes some seconds to convert and whose MP3 has
    several chunks: noise is hard work for an encoder."""
    return media.ffmpeg(
        "long.mp4", "-f", "lavfi", "-i",
        f"sine=frequency=440:sample_rate=48000:duration={LONG}",
        "-f", "lavfi", "-i",
        f"anoisesrc=duration={LONG}:sample_rate=48000:amplitude=0.05:seed=7",
        *media.picture(LONG, 1),
        "-filter_complex", "[0:a][1:a]join=inputs=2:channel_layout=stereo[a]",
        "-map", "[a]", "-map", "2:v", "-c:a", "aac", "-b:a", "96k",
        "-aac_coder", "fast", "-c:v", "libx264", "-preset", "ultrafast")


def check_long(data):
    """The MP3 of the long clip: whole, not in two pieces."""
    mp3 = media.Mp3(data)
    mp3.check()
    assert abs(mp3.samples / mp3.first.rate - LONG) <= 0.030


def stored(stack, database="mp3s"):
    """The ids of all files of which anything is in the store."""
    found = stack.mongo[database]
    return (set(map(str, found["fs.files"].distinct("_id")))
            | set(map(str, found["fs.chunks"].distinct("files_id"))))


def untraced(log):
    """The lines of a log without the traces of requests, which stand between a
    job's id and what is said of it."""
    return re.sub(" trace=[0-9a-f]{32}:", ":", log)


def attempts(log, job_id):
    """How often converters began with a job, as their log says."""
    return len(re.findall(f"{job_id}: converting .* bytes, attempt", log))
