"""monitoring/: the alerts and the dashboard name metrics that there are, and
are what Prometheus understands."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from tree import ROOT, code, read

ALERTS = "monitoring/alerts.yaml"
TESTS = "monitoring/alerts_test.yaml"

RULES = [rule for group in yaml.safe_load(read(ALERTS))["groups"]
         for rule in group["rules"]]
PANELS = json.loads(read("monitoring/grafana-dashboard.json"))["panels"]


def metrics():
    """The names, and of histograms those of their parts."""
    names = set()
    for path in ("ngx_v2m_module/ngx_http_v2m_metrics_text.c",
                 "workers/common/v2m_metrics.c"):
        names |= set(re.findall(r'"(v2m_[a-z_]+)"', code(path)))
    return names | {f"{name}_{part}" for name in names
                    if name.endswith("_seconds")
                    for part in ("bucket", "sum", "count")}


def expressions():
    """(what it is of, the expression)"""
    return [(rule["alert"], rule["expr"]) for rule in RULES] + [
        (panel["title"], target["expr"]) for panel in PANELS
        for target in panel.get("targets", [])]


def promtool(*arguments, **options):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed")
    done = subprocess.run(["promtool", *arguments], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **options)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_only_metrics_that_there_are():
    there = metrics()
    assert len(there) > 50
    wrong = [f"{title}: {name}" for title, expression in expressions()
             for name in re.findall(r"\bv2m_\w+", expression)
             if name not in there]
    assert not wrong, "\n".join(wrong)


def test_each_metric_is_documented():
    documented = set(re.findall(r"`(v2m_\w+)(?:\{[\w,]+\})?`",
                                read("docs/operations.md")))
    parts = re.compile(r"_(bucket|sum|count)$")
    missing = {name for name in metrics() if not parts.search(name)} \
        - documented
    assert not missing, sorted(missing)


def test_alerts():
    assert f"{len(RULES)} rules found" in promtool("check", "rules", ALERTS)


def test_each_alert_fires_and_is_quiet():
    promtool("test", "rules", TESTS)
    cases = {(case["alertname"], bool(case["exp_alerts"]))
             for test in yaml.safe_load(read(TESTS))["tests"]
             for case in test["alert_rule_test"]}
    assert cases == {(rule["alert"], fires) for rule in RULES
                     for fires in (True, False)}


def test_each_alert_says_what_to_do():
    documented = set(re.findall(r"^\| `(V2m\w+)`", read("docs/operations.md"),
                                re.MULTILINE))
    assert documented == {rule["alert"] for rule in RULES}


def test_expressions_of_the_dashboard(tmp_path):
    """As rules of their own, which promtool reads."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": [
        {"record": f"panel:{number}",
         "expr": expression.replace("$__rate_interval", "5m")}
        for number, (_, expression) in enumerate(expressions())]}]}))
    promtool("check", "rules", str(rules))


def test_panels_do_not_overlap():
    taken = {}
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), panel["title"])
                assert other == panel["title"], (other, panel["title"])
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
