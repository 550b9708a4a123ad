"""The option loudnorm: the MP3 is as loud as wanted, by what ffmpeg measures,
and keeps its dynamics and its peaks."""

import re
import subprocess
import tempfile

import pytest

import channel
import media

SECONDS = 12


def measure(data, suffix=".mp3"):
    """The loudness in LUFS and the true peak in dBTP."""
    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        file.write(data)
        file.flush()
        process = subprocess.run(
            ["ffmpeg", "-nostdin", "-i", file.name, "-af",
             "ebur128=peak=true", "-f", "null", "-"],
            capture_output=True, text=True, check=True)
    summary = process.stderr.rpartition("Summary:")[2]
    return tuple(
        float(re.search(rf"\b{name}: +(-?[\d.]+|-?inf)", summary)[1])
        for name in ("I", "Peak"))


def noise(volume, channels=2, seconds=SECONDS, name="noise.wav", more=""):
    """Noise that swells and fades."""
    return media.ffmpeg(
        name, "-f", "lavfi", "-i",
        f"anoisesrc=d={seconds}:a=0.5:r=48000:s=3:c=pink", "-af",
        f"tremolo=f=0.7:d=0.8,volume={volume}dB{more}", "-ac", channels)


@pytest.mark.parametrize("volume", [-30, -12, 0, 5])
@pytest.mark.parametrize("target", [160, 230, 140])
def test_loudness(volume, target):
    result = channel.transcode(noise(volume), loudness=target)
    media.check(result, SECONDS, tolerance=0)
    loudness, peak = measure(result.mp3)
    assert abs(loudness + target / 10) < 1
    assert peak < -0.5
    assert re.search(r", [+-]\d+\.\d dB$", result.text)
    assert result.phases == [channel.MEASURING, channel.ENCODING]
    assert result.progress == sorted(result.progress)
    assert result.restarts == 1 and result.progress[-1] > 90


def test_peaks_are_kept():
    """A click that must not get louder keeps all of it quiet."""
    path = noise(-40, more=",aeval='val(ch)+if(between(t,3,3.002),0.7,0)'",
                 name="click.wav")
    before, top = measure(path.read_bytes(), ".wav")
    result = channel.transcode(path, loudness=160, bitrate=320)
    loudness, peak = measure(result.mp3)
    assert -1.7 < peak < -0.3
    assert loudness < -20
    # the gain is the same everywhere
    assert abs((loudness - before) - (peak - top)) < 0.6


@pytest.mark.parametrize("channels, layout", [(1, "1 channel"), (6, "5.1")])
def test_channels(channels, layout):
    result = channel.transcode(noise(-20, channels), loudness=230)
    loudness, _ = measure(result.mp3)
    assert abs(loudness + 23) < 1
    assert layout in result.text


def test_dynamics_are_kept():
    path = media.ffmpeg(
        "steps.wav", *media.sound(
            ["(if(lt(t\\,6)\\,0.02\\,0.2))*sin(2*PI*440*t)"], 12))
    _, audio = media.check(channel.transcode(path, loudness=160), 12)
    quiet, loud = audio.level(0, 440, 2, 4), audio.level(0, 440, 8, 10)
    assert abs(loud / quiet - 10) < 0.3


def test_only_the_cut_counts():
    path = media.ffmpeg(
        "loud-end.wav", *media.sound(
            ["(if(lt(t\\,20)\\,0.01\\,0.9))*sin(2*PI*440*t)"], 40))
    result = channel.transcode(path, loudness=160, end_ms=19_000)
    loudness, _ = measure(result.mp3)
    assert abs(loudness + 16) < 1
    result = channel.transcode(path, loudness=160, start_ms=25_000)
    loudness, _ = measure(result.mp3)
    assert abs(loudness + 16) < 1


def test_silence():
    path = media.ffmpeg("silence.wav", *media.sound(["0"], 3))
    result = channel.transcode(path, loudness=160)
    _, audio = media.check(result, 3)
    assert audio.peak < 0.0001
    assert result.text.endswith(", +0.0 dB")


def test_mp3_is_encoded_anew():
    path = media.ffmpeg("quiet.mp3", "-i", noise(-20), "-c:a", "libmp3lame")
    result = channel.transcode(path, loudness=160)
    assert "copied" not in result.text
    assert abs(measure(result.mp3)[0] + 16) < 1


def test_nothing_there():
    result = channel.transcode(media.chirp_file(), start_ms=5000, loudness=160)
    channel.assert_refused(result, "the cut leaves nothing")


@pytest.mark.release_only
def test_memory_does_not_grow():
    peaks = []
    for seconds in (10, 300):
        path = media.ffmpeg("long.wav", *media.tones((440,), seconds, 16000))
        peaks.append(channel.transcode(path, quality=9,
                                       loudness=160).peak_kib)
    assert peaks[1] < peaks[0] + 2048
