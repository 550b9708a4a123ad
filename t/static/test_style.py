"""How files look, and what must not be in them."""

import re
import shutil
import subprocess

import pytest

from tree import ROOT, c_files, files, read


def run(*arguments):
    result = subprocess.run(
        [str(argument) for argument in arguments], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return result.returncode, result.stdout


def shell_programs():
    """What they source is checked with them."""
    return [path for path in files()
            if re.match(r"#!.*\b(ba)?sh\b", read(path).split("\n", 1)[0])]


def test_c_is_laid_out_by_clang_format():
    """Other versions lay out the same rules in another way."""
    for command in ("clang-format-14", "clang-format"):
        if shutil.which(command):
            _, version = run(command, "--version")
            if re.search(r"version 14\.", version):
                break
    else:
        pytest.skip("clang-format 14 is not installed")

    status, output = run(command, "--dry-run", "--Werror", *c_files())
    assert status == 0, output


def test_cppcheck_finds_nothing():
    """The one of the analyzers that is quick; "make analyze" has the others."""
    if not shutil.which("cppcheck"):
        pytest.skip("cppcheck is not installed")

    status, output = run("t/analyze", "cppcheck")
    assert status == 0, output


def test_shell_scripts_are_sound():
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")

    status, output = run("shellcheck", "--severity=warning",
                         "--external-sources", "--check-sourced",
                         "--source-path=SCRIPTDIR", *shell_programs())
    assert status == 0, output


def test_python_compiles():
    wrong = []
    for path in files("*.py"):
        try:
            compile(read(path), str(path), "exec")
        except SyntaxError as error:
            wrong.append(f"{path}: {error}")
    assert not wrong, "\n".join(wrong)


def test_lines_end_well():
    wrong = []
    for path in files("*.c", "*.h", "*.py", "*.sh", "*.t", "*.pm", "*.md",
                      "*.mk", "Makefile", "config", "*.conf", "*.go", "*.sql"):
        text = read(path)
        wrong += [f"{path}:{number}: blanks at the end of the line"
                  for number, line in enumerate(text.split("\n"), 1)
                  if line != line.rstrip() and path.suffix != ".t"]
        if "\r" in text:
            wrong.append(f"{path}: a carriage return")
        if text and not text.endswith("\n"):
            wrong.append(f"{path}: no newline at the end")
        if "\t" in text and path.suffix in (".c", ".h", ".py", ".sh"):
            wrong.append(f"{path}: a tab")
    assert not wrong, "\n".join(wrong)


# In pieces, because this file is looked at as well.
REGISTRIES = [".".join(parts) for parts in (
    ("deb", "debian", "org"), ("security", "debian", "org"),
    ("archive", "ubuntu", "com"), ("pypi", "org"), ("pythonhosted", "org"),
    ("npmjs", "org"), ("npmjs", "com"), ("proxy", "golang", "org"),
    ("sum", "golang", "org"), ("rubygems", "org"), ("crates", "io"),
    ("repo", "maven", "apache", "org"), ("docker", "io"), ("ghcr", "io"),
    ("quay", "io"), ("gcr", "io"), ("metacpan", "org"),
)]


def test_no_package_registry_is_named():
    """Where packages come from is the machine's own affair."""
    pattern = re.compile("|".join(re.escape(name) for name in REGISTRIES),
                         re.IGNORECASE)
    wrong = [f"{path}:{number}: {match[0]}" for path in files()
             for number, line in enumerate(read(path).split("\n"), 1)
             for match in [pattern.search(line)] if match]
    assert not wrong, "\n".join(wrong)
