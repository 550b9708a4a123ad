"""How the release is built: what makes a fault in memory hard to use."""

import re
import subprocess

import pytest

from conftest import BUILD

pytestmark = pytest.mark.release_only

PROGRAMS = ("v2m-convert", "v2m-converter", "v2m-jobs", "v2m-notifier",
            "v2m-sweep", "v2m-transcode", "v2m-user")
MODULE = "ngx_http_v2m_module.so"
ALL = (*PROGRAMS, MODULE)


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *map(str, arguments)], check=True,
                          stdout=subprocess.PIPE, text=True).stdout


def test_every_program_is_looked_at():
    assert {path.name for path in BUILD.glob("v2m-*")} == set(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_lie_anywhere_in_memory(name):
    assert re.search(r"Type: +DYN", readelf("-h", BUILD / name))
    assert re.search(r"FLAGS_1.*\bPIE\b", readelf("-d", BUILD / name))


@pytest.mark.parametrize("name", ALL)
def test_no_address_of_a_function_can_be_overwritten(name):
    """All are bound at the start, and read-only from then on."""
    assert "GNU_RELRO" in readelf("-l", BUILD / name)
    dynamic = readelf("-d", BUILD / name)
    assert re.search(r"FLAGS.*\bBIND_NOW\b|FLAGS_1.*\bNOW\b", dynamic)
    assert "TEXTREL" not in dynamic


@pytest.mark.parametrize("name", ALL)
def test_nothing_that_is_written_is_executed(name):
    segments = re.findall(r"^ +(LOAD|GNU_STACK) .* ([R ][W ][E ]) 0x",
                          readelf("-l", BUILD / name), re.MULTILINE)
    assert "GNU_STACK" in [kind for kind, _ in segments]
    assert not [flags for _, flags in segments if "W" in flags
                and "E" in flags]


@pytest.mark.parametrize("name", ALL)
def test_every_source_is_compiled_with_the_guards(name):
    producers = re.findall(r"DW_AT_producer +: (?:\(.*?\): )?(.*)", readelf(
        "--debug-dump=info", "--dwarf-depth=1", BUILD / name))
    assert producers
    flags = ["-O2", "-fstack-protector-strong", "-fstack-clash-protection"]
    if "X86-64" in readelf("-h", BUILD / name):
        flags.append("-fcf-protection")

    # the C library's own start-up code is none of ours
    missing = {flag: producer for producer in producers for flag in flags
               if "GNU C" in producer and flag not in producer}
    assert not missing


@pytest.mark.parametrize("name", ALL)
def test_lengths_are_checked_by_the_c_library(name):
    symbols = readelf("--dyn-syms", BUILD / name)
    assert "__stack_chk_fail" in symbols
    assert re.search(r"__(mem|str|sn?|f|vsn?)\w*_chk\b", symbols)
