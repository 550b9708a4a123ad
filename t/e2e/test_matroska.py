"""The encoder's delay, which Matroska tells of a track: v2m-transcode leaves
it out, whether it copies, encodes or cuts."""

import pytest

import channel
import matroska
import media

RATE = 48000
MS = RATE // 1000  # what Matroska's timestamps are rounded to

# Encoders, and samples of their delay.
ENCODERS = [("aac", 1024), ("ac3", 256), ("mp2", 481), ("libmp3lame", 1105)]


def recording(audio, delay):
    """A chirp in a file that tells of this delay, and how long it is without
    that."""
    path = media.ffmpeg("delay.mka", *media.chirp(2), "-c:a", audio, "-b:a",
                        "160k", "-live", 1)
    return matroska.set_delay(path.read_bytes(), delay / RATE), \
        media.source_seconds(path) - delay / RATE


@pytest.mark.parametrize("audio, delay", ENCODERS)
def test_delay_is_not_heard(audio, delay):
    data, seconds = recording(audio, delay)
    result = channel.transcode(data, quality=2)
    _, found = media.check(result, seconds, tolerance=1e-9)

    for moment in (0.05, 0.5, 1):
        assert abs(found.chirp_offset(moment, moment)) <= 1


def test_delay_is_not_heard_in_a_copy():
    data, seconds = recording(*ENCODERS[-1])
    result = channel.transcode(data)
    _, found = media.check(result, seconds, tolerance=1e-9)

    assert result.text.endswith(", copied")
    assert abs(found.chirp_offset(0.5, 0.5)) <= 1


@pytest.mark.parametrize("audio, delay", ENCODERS)
def test_cut_after_a_delay(audio, delay):
    data, _ = recording(audio, delay)
    result = channel.transcode(data, start_ms=500, end_ms=1500)
    _, found = media.check(result, 1, tolerance=0)

    assert abs(found.chirp_offset(0.1, 0.6)) <= MS
    assert abs(found.chirp_offset(0.7, 1.2)) <= MS


@pytest.mark.parametrize("delay", [1, 1023, 1025, 2048, 2500, 4800])
def test_delay_of_any_number_of_samples(delay):
    """So many are missing at the beginning, and no more."""
    data, seconds = recording("aac", delay)
    result = channel.transcode(data)
    _, found = media.check(result, seconds, tolerance=1e-9)

    assert abs(found.chirp_offset(0.5, 0.5 + (delay - 1024) / RATE)) <= 1


def test_delay_that_cannot_be():
    """Nothing is left out: there is no such encoder."""
    for delay in (2 * RATE, 40_000 * RATE, 2 ** 32 * RATE):
        data, shorter = recording("aac", delay)
        media.check(channel.transcode(data), shorter + delay / RATE,
                    tolerance=0.001)
