"""The source tree, as the checks of this folder see it."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def files(*patterns):
    """Paths, relative to ROOT, of what git tracks or would track."""
    output = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached",
         "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.decode()
    paths = (pathlib.Path(name) for name in sorted(output.split("\0")) if name)
    return [path for path in paths if (ROOT / path).is_file()]


def read(path):
    return (ROOT / path).read_text(errors="replace")


def c_files(*folders):
    """The C sources and headers, of all folders or of these."""
    return [path for path in files("*.c", "*.h")
            if not folders or str(path).startswith(folders)]


def includes(path):
    """(name, whether in angle brackets) of each file that it includes."""
    return [(match[2], match[1] == "<") for match in re.finditer(
        r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', read(path), re.MULTILINE)]


def code(path):
    """A C file without its comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", read(path), flags=re.DOTALL)
