#!/usr/bin/python3
"""Prints, for each numbered fault and each numbered attack, what its tests
came to in a run of t/run: t/table.py [RUN].  A test is one of a number's when
its docstring, its module's, its title, or the comment before its function has
the number."""

import ast
import collections
import pathlib
import re
import sys
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]

FAULTS = {
    "F1": "broker away at upload",
    "F2": "broker dies before the confirm",
    "F3": "publish unroutable or refused",
    "F4": "broker blocks publishers",
    "F5": "store dies during an upload",
    "F6": "store restarts",
    "F7": "client goes away",
    "F8": "gateway reloads, or its worker dies",
    "F9": "worker killed",
    "F10": "message twice, worker frozen",
    "F11": "message that makes no sense",
    "F12": "job longer than heartbeat and ack time-out",
    "F13": "file that cannot become an MP3",
    "F14": "store full",
    "F15": "mail server away, puts off, refuses",
    "F16": "mail server hangs after DATA",
    "F17": "users' database away",
    "F18": "SIGTERM during a conversion",
    "F19": "backend's address changes",
    "F20": "clocks differ",
    "F21": "worker before its backends",
}

ATTACKS = {
    "S1": "token without a signature",
    "S2": "public key as a secret",
    "S3": "key that comes with the token",
    "S4": "name of a key that is none",
    "S5": "short secret",
    "S6": "issuer, audience, lifetime",
    "S7": "malformed and huge tokens",
    "S8": "state of another request",
    "S9": "passwords tried by the thousand",
    "S10": "flood of logins",
    "S11": "who has an account",
    "S12": "another one's job",
    "S13": "injection into SQL and MongoDB",
    "S14": "injection into headers, logs, mails",
    "S15": "bodies too large, lengths that lie",
    "S16": "slow clients",
    "S17": "multipart that is twisted",
    "S18": "media that points elsewhere",
    "S19": "bombs in media",
    "S20": "decoder that is taken over",
    "S21": "secrets in logs and process lists",
    "S22": "one user takes all room",
    "S23": "memory errors: fuzzers, sanitizers, valgrind",
    "S24": "requests hidden in a body",
    "S25": "streams reset by the thousand",
}


def numbers(text):
    return set(re.findall(r"\b[FS][1-9][0-9]?\b", text or "")) \
        & {*FAULTS, *ATTACKS}


def python_tests():
    """{(module, function): numbers}"""
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


def c_tests():
    """{function: numbers}"""
    found = collections.defaultdict(set)
    for path in sorted(ROOT.glob("t/unit/test_*.c")):
        for comment, name in re.findall(
                r"/\*((?:(?!\*/).)*)\*/\s+static void\s+(test_\w+)\(",
                path.read_text(), re.DOTALL):
            found[name] |= numbers(comment)
    return found


def named():
    """The numbers that any test has, whether it was run or not."""
    found = set().union(*python_tests().values(), *c_tests().values())
    for path in ROOT.glob("t/*.t"):
        for title in re.findall(r"^=== .*|['\"][FS][1-9][0-9]?, ",
                                path.read_text(), re.MULTILINE):
            found |= numbers(title)
    for path in ROOT.glob("t/unit/test_*.c"):
        for title in re.findall(r'\{ "(S[^"]*)"', path.read_text()):
            found |= numbers(title)
    return found


def results(run):
    """(numbers, outcome) of each test that was run."""
    tests = python_tests()
    functions = c_tests()
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
            yield (functions.get(match[2], set()) | numbers(match[2]),
                   "failed" if match[1] else "passed")


def lines(run):
    counts = {number: collections.Counter() for number in (*FAULTS, *ATTACKS)}
    for found, outcome in results(run):
        for number in found:
            counts[number][outcome] += 1

    for number, title in (*FAULTS.items(), *ATTACKS.items()):
        told = ", ".join(f"{counts[number][outcome]} {outcome}" for outcome in
                         ("passed", "failed", "skipped")
                         if counts[number][outcome])
        yield f"{number:<4} {title:<46} {told or 'not run'}"


if __name__ == "__main__":
    where = sys.argv[1] if len(sys.argv) > 1 else ROOT / "run" / "test"
    print("\n".join(lines(pathlib.Path(where))))
