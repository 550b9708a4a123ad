"""The documentation tells what the code does."""

import re

from tree import ROOT, c_files, code, files, read

CODE = ("core/", "auth/", "workers/", "ngx_v2m_module/", "client/")


def env_names():
    """The environment names that C code and scripts read."""
    names = set()

    for path in c_files(*CODE):
        text = code(path)
        names |= set(re.findall(
            r'(?:v2m_config_(?:string|required|integer)|getenv)\s*\(\s*'
            r'"([A-Z][A-Z0-9_]*)"', text))
        # given to a function that reads it
        names |= set(re.findall(r'"((?:V2M|MYSQL|JWT|VIDEO|MP3)_[A-Z0-9_]+)"',
                                text))

    for path in files("v2mctl", "stack/*.sh", "auth/v2m-schema"):
        names |= set(re.findall(r"\b(?:V2M|MYSQL|JWT)_[A-Z0-9_]+\b",
                                read(path)))

    return {re.sub(r"^((?:V2M|MYSQL|JWT)_\w+)_FILE$", r"\1", name)
            for name in names
            if name != "MYSQL_PWD"}  # is for the client of MariaDB


def commands(path):
    """The directives of the ngx_command_t tables alone."""
    tables = re.findall(r"ngx_command_t\s+\w+\[\]\s*=\s*\{(.*?)\n\};",
                        code(path), re.DOTALL)
    return {name for table in tables
            for name in re.findall(r'ngx_string\("([a-z0-9_]+)"\)', table)}


def test_each_environment_name_is_documented():
    documented = set(re.findall(r"`([A-Z][A-Z0-9_]+)`",
                                read("docs/configuration.md")))
    missing = env_names() - documented
    assert not missing, sorted(missing)


def test_no_environment_name_is_made_up():
    documented = {name.removesuffix("_FILE") for name in re.findall(
        r"^\| `((?!SSL_)[A-Z][A-Z0-9_]+)`", read("docs/configuration.md"),
        re.MULTILINE)}
    assert documented and not documented - env_names()


def test_each_directive_is_documented():
    there = set().union(*(commands(path)
                          for path in files("ngx_v2m_module/*.c")))
    documented = set(re.findall(r"^### (v2m_\w+)$",
                                read("docs/directives.md"), re.MULTILINE))
    assert there and there == documented


def test_the_shipped_configuration_uses_directives_that_exist():
    there = set().union(*(commands(path)
                          for path in files("ngx_v2m_module/*.c")))
    for path in files("nginx-conf/*"):
        text = re.sub(r"#.*", "", read(path))
        used = set(re.findall(r"^\s*(v2m_\w+)", text, re.MULTILINE))
        assert used <= there, path


def anchor(heading):
    """As the web makes it: lower case, no punctuation, hyphens."""
    text = re.sub(r"[`*]", "", heading.strip().lower())
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", text))


def test_links_resolve():
    wrong = []

    for path in files("*.md"):
        text = re.sub(r"```.*?```", "", read(path), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, fragment = target.partition("#")
            file = (ROOT / path).parent / name if name else ROOT / path
            if not file.exists():
                wrong.append(f"{path}: {target}")
            elif fragment and fragment not in {
                    anchor(heading) for heading in re.findall(
                        r"^#+ (.*)$", file.read_text(), re.MULTILINE)}:
                wrong.append(f"{path}: {target}: no such heading")

    assert not wrong, "\n".join(wrong)


def test_files_named_in_the_documentation_exist():
    """Names in backquotes with a folder of the repository in front."""
    top = {path.parts[0] for path in files()}
    wrong = []

    for path in files("*.md"):
        for name in re.findall(r"`([\w.-]+/[\w./-]+)`", read(path)):
            if name.split("/")[0] in top and not (ROOT / name).exists():
                wrong.append(f"{path}: {name}")

    assert not wrong, "\n".join(wrong)
