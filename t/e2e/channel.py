"""A small converter: runs v2m-transcode and speaks the parent's side of
workers/converter/v2m_channel.h with it, so that a test sees what the child
asks for and what it answers."""

import os
import pathlib
import socket
import struct
import subprocess
import threading

from conftest import BUILD, SANITIZER_EXIT

(START, DATA, READ, KEEP, WRITE, RESTART, PROGRESS, DONE,
 FAILED) = range(1, 10)

COPYING, MEASURING, ENCODING = range(1, 4)  # phases

FILE, OURS = 0, 1  # faults

RANGE = 256 * 1024
TEXT = 200

KEPT = 2048  # bytes that can be written again, those of the Xing header

OPTIONS = ("bitrate", "quality", "track", "start_ms", "end_ms", "samplerate",
           "channels", "loudness")


class ProtocolError(Exception):
    """The child said what it may not say."""


class Result:
    """What became of a file."""

    def __init__(self):
        self.failed = False
        self.fault = None     # FILE or OURS, of a failure
        self.text = None      # the reason, or what the source was
        self.samples = None   # of the MP3, per channel
        self.rate = None
        self.mp3 = None       # bytes, also what a failure left behind
        self.progress = []
        self.phases = []      # in order
        self.kept = None      # where the bytes that are kept begin
        self.restarts = 0
        self.reads = []       # (offset, length), in order
        self.peak_kib = None  # the child's largest resident size
        self.cpu = None       # the child's processor time, seconds
        self.status = None    # its exit status, negative: the signal
        self.log = None       # what it wrote to its standard error


class Bytes:
    """A source that is in memory."""

    def __init__(self, data):
        self.data = data
        self.length = len(data)

    def read(self, offset, length):
        return self.data[offset:offset + length]

    def close(self):
        pass


class File:
    """A source of any size."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.length = os.fstat(self.file.fileno()).st_size

    def read(self, offset, length):
        return os.pread(self.file.fileno(), length, offset)

    def close(self):
        self.file.close()


class Child:
    """v2m-transcode on the other end of a socket pair.

    Its log is a pipe, as it can write to no file."""

    def __init__(self, timeout):
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(timeout)
        environment = dict(os.environ)
        environment.setdefault("ASAN_OPTIONS", f"exitcode={SANITIZER_EXIT}")

        # dup2() as the last step gives descriptor 3, whatever it was here
        try:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", 'exec "$0" 3<&1 1>/dev/null',
                 str(BUILD / "v2m-transcode")],
                stdin=subprocess.DEVNULL, stdout=theirs,
                stderr=subprocess.PIPE, env=environment,
            )
        finally:
            theirs.close()

        self.log = b""
        self.usage = None
        self.peak_kib = 0
        self.waiter = threading.Thread(target=self._wait)
        self.waiter.start()

    def _wait(self):
        with self.process.stderr as log:
            self.log = log.read()
        _, status, self.usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)

    def send(self, kind, payload):
        self.socket.sendall(struct.pack(">II", kind, len(payload)) + payload)

    def _take(self, length):
        taken = bytearray()
        while len(taken) < length:
            piece = self.socket.recv(length - len(taken))
            if not piece:
                raise ProtocolError("the child is gone")
            taken += piece
        return bytes(taken)

    def receive(self):
        kind, length = struct.unpack(">II", self._take(8))
        if not READ <= kind <= FAILED or length > RANGE + TEXT + 64:
            raise ProtocolError(f"frame {kind} of {length} bytes")
        return kind, self._take(length)

    def measure(self):
        """Looks at the largest resident size so far.  What wait() tells is
        no use: it counts this process, which the child was before exec()."""
        try:
            with open(f"/proc/{self.process.pid}/status") as status:
                for line in status:
                    if line.startswith("VmHWM:"):
                        self.peak_kib = int(line.split()[1])
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended since

    def end(self):
        """Ends the child and returns the exit status."""
        self.socket.close()
        self.waiter.join(20)
        if self.waiter.is_alive():
            self.process.kill()
            self.waiter.join()
        return self.process.returncode


def start_payload(length, threads=1, **options):
    values = [options.pop(name, -1) for name in OPTIONS]
    if options:
        raise ValueError(f"no such options: {options}")
    return struct.pack(">iiiqqiiiqi", *values, length, threads)


def _keep(result, payload):
    offset, = struct.unpack(">q", payload)
    if result.kept is not None or offset < len(result.mp3):
        raise ProtocolError(f"KEEP of {offset} after {len(result.mp3)} bytes")
    result.kept = offset


def _write(result, payload):
    offset, = struct.unpack_from(">q", payload)
    data = payload[8:]
    end = offset + len(data)
    if not 1 <= len(data) <= RANGE:
        raise ProtocolError(f"WRITE of {len(data)} bytes")
    if offset != len(result.mp3) and not (
            result.kept is not None
            and result.kept <= offset and end <= result.kept + KEPT
            and end <= len(result.mp3)):
        raise ProtocolError(f"WRITE of {len(data)} bytes at {offset} of "
                            f"{len(result.mp3)}")
    result.mp3[offset:end] = data


def _restart(result):
    result.mp3.clear()
    result.kept = None
    result.restarts += 1


def _progress(result, payload):
    phase, percent = struct.unpack(">ii", payload)
    if not -1 <= percent <= 100 or not COPYING <= phase <= ENCODING:
        raise ProtocolError(f"PROGRESS of {percent}, phase {phase}")
    result.progress.append(percent)
    if result.phases[-1:] != [phase]:
        result.phases.append(phase)


def _read(result, payload, source, answer):
    offset, length = struct.unpack(">qi", payload)
    if not 1 <= length <= RANGE or offset < 0:
        raise ProtocolError(f"READ of {length} bytes at {offset}")
    result.reads.append((offset, length))
    return struct.pack(">q", offset) + answer(source, offset, length)


def _whole(source, offset, length):
    return source.read(offset, length)


def _last(result, kind, payload):
    if kind == DONE:
        result.samples, result.rate, length = struct.unpack_from(">qiq",
                                                                 payload)
        result.text = payload[20:].decode()
        if length != len(result.mp3):
            raise ProtocolError(f"DONE with {length} of {len(result.mp3)} "
                                f"bytes")
    else:
        result.failed = True
        result.fault, = struct.unpack_from(">i", payload)
        result.text = payload[4:].decode()
        if result.fault not in (FILE, OURS):
            raise ProtocolError(f"fault {result.fault}")


def _talk(child, result, source, answer):
    while True:
        kind, payload = child.receive()
        child.measure()

        if kind == READ:
            child.send(DATA, _read(result, payload, source, answer))
        elif kind == KEEP:
            _keep(result, payload)
        elif kind == WRITE:
            _write(result, payload)
        elif kind == RESTART:
            _restart(result)
        elif kind == PROGRESS:
            _progress(result, payload)
        else:
            _last(result, kind, payload)
            return


def transcode(source, threads=2, timeout=60, answer=_whole, **options):
    """Runs the child over a path or over bytes; returns a Result.

    answer(source, offset, length) gives the bytes for a READ, for tests that
    answer slowly, with less, or not at all (by raising an exception).
    """
    if isinstance(source, (bytes, bytearray)):
        source = Bytes(source)
    else:
        source = File(pathlib.Path(source))

    result = Result()
    result.mp3 = bytearray()

    child = Child(timeout)
    try:
        child.send(START, start_payload(source.length, threads, **options))
        _talk(child, result, source, answer)
    except Exception as error:
        status = child.end()
        log = child.log.decode(errors="replace")
        error.add_note(f"the child ended with {status}: {log}")
        raise
    finally:
        result.status = child.end()
        source.close()

    result.log = child.log.decode(errors="replace")
    result.peak_kib = child.peak_kib
    result.cpu = child.usage.ru_utime + child.usage.ru_stime
    result.mp3 = bytes(result.mp3)
    return result


def assert_refused(result, *words):
    """The file is to blame, and the reason says so with these words."""
    assert result.failed, f"it became an MP3 of {result.samples} samples"
    assert result.fault == FILE, result.text
    assert result.status == 0, result.log
    for word in words:
        assert word in result.text
    assert 10 < len(result.text) <= TEXT
