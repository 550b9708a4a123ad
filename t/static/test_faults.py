"""docs/faults.md names tests of each fault that are there."""

import re
import sys

from tree import ROOT, read

sys.path.insert(0, str(ROOT / "t"))

import table  # noqa: E402


def rows():
    """{fault: the tests that are named for it}"""
    return {match[1]: re.findall(r"`(t/[^`]+)`", match[2])
            for match in re.finditer(r"^\| (F\d+) \|(.*)$",
                                     read("docs/faults.md"), re.MULTILINE)}


def faults_of(test):
    """The numbers that a test has; of a suite, those of all its tests."""
    path, _, name = test.partition("::")
    if path.endswith(".t"):
        return table.numbers(read(path))
    if path.endswith(".c"):
        return table.c_tests().get(name, set())
    stem = path.rpartition("/")[2].removesuffix(".py")
    assert (ROOT / path).is_file(), path
    return table.python_tests().get((stem, name), set())


def test_each_fault_has_its_tests():
    named = rows()
    assert list(named) == list(table.FAULTS)
    for fault, tests in named.items():
        assert tests, f"{fault} has no tests"
        for test in tests:
            assert fault in faults_of(test), f"{test} is none of {fault}"
