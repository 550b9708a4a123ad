"""Each numbered fault and attack has a test."""

import sys

from tree import ROOT

sys.path.insert(0, str(ROOT / "t"))

import table  # noqa: E402


def test_each_number_has_a_test():
    missing = {*table.FAULTS, *table.ATTACKS} - table.named()
    assert not missing, sorted(missing)


def test_each_attack_is_documented():
    text = (ROOT / "docs" / "SECURITY.md").read_text()
    assert [f"| {number} | {title} |" for number, title
            in table.ATTACKS.items()
            if f"| {number} | {title} |" not in text] == []
