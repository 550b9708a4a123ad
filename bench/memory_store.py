"""A MongoDB-wire server that keeps everything in memory, for benchmarks only:
mongo-java-server, which Maven fetches.  It always listens on port 27017."""

import contextlib
import pathlib
import shutil
import socket
import subprocess
import sys

from bench import Stack, run, wait_for

PORT = 27017
POM = pathlib.Path(__file__).with_name("memory-store.xml")


def stack(*parts):
    """A stack on the store, which runs."""
    return Stack(*parts, name="in-memory", port=18420,
                 V2M_MONGO_URI=f"mongodb://localhost:{PORT}/")


def open_port():
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", PORT)) == 0


def fetch(directory):
    """The directory of its libraries, which come once."""
    libraries = directory / "lib"
    if not libraries.is_dir():
        if not shutil.which("mvn"):
            sys.exit("the in-memory store needs Maven: apt-get install maven")
        directory.mkdir(parents=True, exist_ok=True)
        print("fetching the in-memory store", flush=True)
        run("mvn", "-q", "-f", POM, "dependency:copy-dependencies",
            f"-DoutputDirectory={libraries}")
    return libraries


@contextlib.contextmanager
def running(directory):
    if open_port():
        sys.exit(f"port {PORT} is in use; the in-memory store needs it")

    libraries = fetch(directory)
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(
            ["java", "-Xmx3g", "-cp", f"{libraries}/*",
             "de.bwaldvogel.mongo.InMemoryMongoServer"],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_for(open_port, 60, "the in-memory store")
        yield
    finally:
        process.terminate()
        process.wait(30)
