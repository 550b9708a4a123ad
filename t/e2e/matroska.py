"""The encoder's delay that a Matroska file tells of its sound.

FFmpeg writes it from version 6 on, for every encoder that has one, and before
for Opus alone; with the help of set_delay() either makes the same file."""

SEGMENT, TRACKS, ENTRY = 0x18538067, 0x1654AE6B, 0xAE
SEEK_HEAD, VOID = 0x114D9B74, 0xEC
CODEC_DELAY, TYPE, AUDIO = 0x56AA, 0x83, 2

NANOSECONDS = 1_000_000_000


def _number(data, offset, keep):
    """A number of one to eight bytes, with its length in its first one, which
    is kept or not: (value, offset after it)."""
    length = 9 - data[offset].bit_length()
    value = int.from_bytes(data[offset:offset + length], "big")
    return value if keep else value - (1 << 7 * length), offset + length


def _children(data, offset, end):
    """The elements there: (identifier, offset, offset of what is in it, its
    end)."""
    while offset < end:
        name, size_at = _number(data, offset, True)
        size, body = _number(data, size_at, False)
        unknown = size == (1 << 7 * (body - size_at)) - 1
        yield name, offset, body, end if unknown else body + size
        offset = end if unknown else body + size


def _child(data, name, start, end):
    return next(child for child in _children(data, start, end)
                if child[0] == name)


def _find(data):
    """The tracks' element and that of the first one with sound."""
    _, _, start, end = _child(data, SEGMENT, 0, len(data))
    tracks = _child(data, TRACKS, start, end)
    for entry in _children(data, *tracks[2:]):
        if entry[0] == ENTRY:
            _, _, *body = _child(data, TYPE, *entry[2:])
            if data[slice(*body)] == bytes([AUDIO]):
                return tracks, entry
    raise AssertionError("no track with sound")


def _element(name, body):
    return name.to_bytes((name.bit_length() + 7) // 8, "big") \
        + (len(body) | 1 << 56).to_bytes(8, "big") + body


def delay(data):
    """In seconds, 0 when there is none."""
    _, entry = _find(data)
    for name, _, body, end in _children(data, *entry[2:]):
        if name == CODEC_DELAY:
            return int.from_bytes(data[body:end], "big") / NANOSECONDS
    return 0


def heard(seconds, path, audio):
    """How long a file is heard of which ffmpeg, which plays the delay of all
    encoders but Opus, makes so many seconds."""
    if path.suffix in (".mkv", ".mka", ".webm") and "opus" not in audio:
        seconds -= delay(path.read_bytes())
    return seconds


def set_delay(data, seconds):
    """A file that was written with "-live 1", and so has no index, with this
    delay instead of its own.  The list of places at its head is blotted
    out."""
    tracks, entry = _find(data)
    kept = b"".join(data[start:end] for name, start, _, end
                    in _children(data, *entry[2:]) if name != CODEC_DELAY)
    told = _element(CODEC_DELAY,
                    round(seconds * NANOSECONDS).to_bytes(8, "big"))
    rest = data[tracks[2]:entry[1]], data[entry[3]:tracks[3]]

    segment = _child(data, SEGMENT, 0, len(data))
    _, start, _, end = _child(data, SEEK_HEAD, *segment[2:])
    void = _element(VOID, bytes(end - start - 9))
    return data[:start] + void + data[end:tracks[1]] \
        + _element(TRACKS, rest[0] + _element(ENTRY, kept + told) + rest[1]) \
        + data[tracks[3]:]
