#!/usr/bin/python3
"""Prints, for each numbered fault, what its tests came to in a run of t/run:
t/faults/table.py [RUN].  A test is one of a fault's when its docstring, its
module's, or its title has the fault's number."""

import ast
import collections
import pathlib
import re
import sys
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]

FAULTS = {
    1: "broker away at upload",
    2: "broker dies before the confirm",
    3: "publish unroutable or refused",
    4: "broker blocks publishers",
    5: "store dies during an upload",
    6: "store restarts",
    7: "client goes away",
    8: "gateway reloads, or its worker dies",
    9: "worker killed",
    10: "message twice, worker frozen",
    11: "message that makes no sense",
    12: "job longer than heartbeat and ack time-out",
    13: "file that cannot become an MP3",
    14: "store full",
    15: "mail server away, puts off, refuses",
    16: "mail server hangs after DATA",
    17: "users' database away",
    18: "SIGTERM during a conversion",
    19: "backend's address changes",
    20: "clocks differ",
    21: "worker before its backends",
}


def numbers(text):
    return {int(number) for number in re.findall(r"\bF(\d{1,2})\b",
                                                 text or "")}


def python_tests():
    """{(module, function): faults}"""
    found = {}
    for path in sorted(ROOT.glob("t/e2e/test_*.py")) \
            + sorted(ROOT.glob("t/faults/test_*.py")):
        module = ast.parse(path.read_text())
        everywhere = numbers(ast.get_docstring(module))
        for node in module.body:
            if isinstance(node, ast.FunctionDef) \
                    and node.name.startswith("test_"):
                found[path.stem, node.name] = everywhere | numbers(
                    ast.get_docstring(node))
    return found


def results(run):
    """(faults, outcome) of each test that was run."""
    tests = python_tests()
    for report in sorted(run.glob("*.xml")):
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            outcome = "failed" if case.find("failure") is not None \
                or case.find("error") is not None \
                else "skipped" if case.find("skipped") is not None \
                else "passed"
            key = (case.get("classname").rpartition(".")[2],
                   case.get("name").partition("[")[0])
            yield tests.get(key, set()), outcome

    for log in sorted(run.glob("*/*.log")):
        for match in re.finditer(
                r"^(not )?ok \d+ - (.*)$",
                log.read_text(errors="replace"), re.MULTILINE):
            yield numbers(match[2]), "failed" if match[1] else "passed"


def lines(run):
    counts = {fault: collections.Counter() for fault in FAULTS}
    for faults, outcome in results(run):
        for fault in faults & FAULTS.keys():
            counts[fault][outcome] += 1

    for fault, title in FAULTS.items():
        told = ", ".join(f"{counts[fault][outcome]} {outcome}" for outcome in
                         ("passed", "failed", "skipped")
                         if counts[fault][outcome])
        yield f"F{fault:<3} {title:<44} {told or 'not run'}"


if __name__ == "__main__":
    where = sys.argv[1] if len(sys.argv) > 1 else ROOT / "run" / "test"
    print("\n".join(lines(pathlib.Path(where))))
