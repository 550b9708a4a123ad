"""The manual pages and completions: each program has a page, which names what
the program takes, and so do the completions of v2m."""

import re
import subprocess

import pytest

from tree import ROOT, files, read

# The source that has a program's help.
SOURCES = {
    "v2m": "client/v2m.c",
    "v2m-convert": "workers/converter/local/v2m_local.c",
    "v2m-converter": "workers/converter/v2m_converter.c",
    "v2m-jobs": "workers/jobs/v2m_tool.c",
    "v2m-notifier": "workers/notifier/v2m_notifier.c",
    "v2m-schema": None,
    "v2m-sweep": "workers/sweep/v2m_sweep.c",
    "v2m-transcode": None,
    "v2m-user": "auth/v2m_user.c",
}

PAGES = {path.stem: path for path in files("docs/man/*")}


def page(program):
    """What a reader sees."""
    text = subprocess.run(
        ["mandoc", "-Tascii", "-Owidth=1000", ROOT / PAGES[program]],
        check=True, stdout=subprocess.PIPE).stdout.decode()
    return re.sub(r".\x08", "", text)


def sources_options(program):
    if SOURCES[program] is None:
        return set()
    return set(re.findall(r"--([a-z]+)\b", read(SOURCES[program])))


def completion(line):
    """What bash would offer behind this."""
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    return subprocess.run(
        ["bash", "-c", ". packaging/completion/v2m.bash;"
         f" COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1};"
         " _v2m 2>/dev/null; printf '%s\\n' \"${COMPREPLY[@]}\""],
        cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.decode().split()


def test_each_program_has_a_page():
    built = set(re.findall(r"\$\(B\)/(v2m[a-z-]*)",
                           re.search(r"^PROGRAMS = (.*?)^MODULE", read(
                               "build.mk"), re.MULTILINE | re.DOTALL)[1]))
    assert built | {"v2m-schema"} == set(PAGES) == set(SOURCES)


@pytest.mark.parametrize("program", sorted(SOURCES))
def test_page(program):
    found = subprocess.run(
        ["mandoc", "-Tlint", "-Wwarning", ROOT / PAGES[program]],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()
    assert not found

    text = page(program)
    missing = {option for option in sources_options(program)
               if f"--{option}" not in text}
    assert not missing

    section = re.search(rf"^## {program}$(.*?)^## ",
                        read("docs/configuration.md"),
                        re.MULTILINE | re.DOTALL)
    names = re.findall(r"^\| `(\w+)` \|", section[1], re.MULTILINE) \
        if section else []
    assert not [name for name in names
                if not re.search(rf"\b{name}\b", text)]


def test_each_page_is_installed():
    rules = read("build.mk")
    packages = "".join(read(path) for path in files("debian/*.install"))
    for path in PAGES.values():
        name = path.name.replace("v2m-notifier", "v2m-$*") \
            .replace("v2m-sweep", "v2m-$*")
        assert re.search(rf"\$\(call manual,[^)]*{re.escape(name)}\b", rules)
        assert f"usr/share/man/man{path.suffix[1]}/{path.name}\n" in packages


def test_completions():
    source = read("client/v2m.c")
    options = set(re.findall(r'^        { "(\w+)", \w+_argument', source,
                             re.MULTILINE))
    commands = set(re.findall(r'^    { "(\w+)", \d', source, re.MULTILINE))
    assert len(options) > 10 and len(commands) > 5

    zsh = read("packaging/completion/_v2m")
    assert not [name for name in options if f"--{name}" not in zsh
                and f"{{-{name[0]},--{name}" not in zsh]
    assert not [name for name in commands if f"'{name}:" not in zsh]

    assert set(completion("v2m ")) == commands
    assert completion("v2m conv") == ["convert"]
    offered = {re.sub(r"[-=]", "", word) for command in ("convert", "download")
               for word in completion(f"v2m {command} --")}
    assert offered == options
    assert completion("v2m upload READ") == ["README.md"]
    assert completion("v2m download -o READ") == ["README.md"]
    assert completion("v2m list -j ") == []
