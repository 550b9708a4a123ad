"""The service does as web/openapi.yaml says, which it serves itself:
schemathesis sends what the description allows, and what it forbids.

OPENAPI_EXAMPLES (10) requests are tried for each operation and phase,
drawn by OPENAPI_SEED (1).
"""

import os
import subprocess
import urllib.request

import pytest

from client import Client
from conftest import ROOT

pytestmark = pytest.mark.release_only

DESCRIPTION = ROOT / "web" / "openapi.yaml"
SCHEMATHESIS = ROOT / "build" / "openapi" / "bin" / "st"


def schemathesis(stack, folder, *arguments):
    assert SCHEMATHESIS.exists(), "missing; run: stack/packages.sh test"

    done = subprocess.run(
        [SCHEMATHESIS, "--config-file", ROOT / "t" / "e2e" / "openapi.toml",
         "run", DESCRIPTION, "--url", stack.url, "--checks", "all",
         "--max-examples", os.environ.get("OPENAPI_EXAMPLES", "10"),
         "--seed", os.environ.get("OPENAPI_SEED", "1"),
         "--generation-database", "none", "--request-timeout", "30",
         *arguments],
        cwd=folder, env={**os.environ, "no_proxy": "*", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)

    assert done.returncode == 0, done.stdout
    return done.stdout


def test_it_is_served(stack):
    with urllib.request.urlopen(f"{stack.url}/openapi.yaml") as answer:
        assert answer.headers["Content-Type"] == "application/yaml"
        assert answer.read() == DESCRIPTION.read_bytes()


def test_calls_with_a_token(stack, tmp_path):
    """But for the stream of events that has no end, what ends the token, tus,
    whose clients make its calls in test_tus.py, and what needs no token."""
    token = Client(stack.url, stack.user, stack.password).login().token
    output = schemathesis(stack, tmp_path, "--exclude-path", "/login",
                          "--exclude-path", "/jobs/events",
                          "--exclude-path", "/logout",
                          "--exclude-path-regex",
                          "^/(tus/|register|password)",
                          "--header", f"Authorization: Bearer {token}")
    assert "Tested: 15" in output, output


def test_login(stack, tmp_path):
    """No more of them a second than one address may make."""
    output = schemathesis(stack, tmp_path, "--include-path", "/login",
                          "--auth", f"{stack.user}:{stack.password}",
                          "--phases", "examples,coverage,fuzzing",
                          "--rate-limit", "5/s")
    assert "Tested: 1" in output, output


def test_accounts(stack, tmp_path):
    """The limits end it soon, so there is no need to be slow."""
    output = schemathesis(stack, tmp_path,
                          "--include-path-regex", "^/(register|password)",
                          "--phases", "examples,coverage,fuzzing")
    assert "Tested: 3" in output, output
