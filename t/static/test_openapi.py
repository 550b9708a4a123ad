"""web/openapi.yaml describes what nginx-conf serves and docs/api.md tells."""

import re
import subprocess

import yaml

from tree import ROOT, read

METHODS = ("get", "put", "post", "delete", "head", "patch", "options")

DESCRIPTION = yaml.safe_load(read("web/openapi.yaml"))
PATHS = DESCRIPTION["paths"]


def resolve(node):
    """What it refers to, if it does."""
    while "$ref" in node:
        target = DESCRIPTION
        for name in node["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        node = target
    return node


def operations():
    return [(f"{method.upper()} {path}", path, operation)
            for path, item in PATHS.items()
            for method, operation in item.items() if method in METHODS]


def locations():
    """(whether it is the address itself, the address) of each location, but
    for the page, which is no part of the API."""
    there = re.findall(r'^location\s+(=\s+|~\s+"?\^?)?(/[^\s"]*)',
                       read("nginx-conf/v2m-locations.conf")
                       + read("nginx-conf/v2m-accounts.conf"), re.MULTILINE)
    return [(kind, name) for kind, name in there
            if "html" not in name and name != "/accounts.json"]


def test_references_resolve():
    def walk(node):
        if isinstance(node, dict):
            resolve(node)
        for child in (node.values() if isinstance(node, dict)
                      else node if isinstance(node, list) else ()):
            walk(child)

    walk(DESCRIPTION)


def test_each_location_is_described():
    """A location that is a pattern is compared up to its variable part."""
    there = locations()
    missing = [
        name for kind, name in there
        if not any(re.sub(r"\{\w+\}", "{}", path) ==
                   re.sub(r"\([^()]*(\[[^]]*\])?[^()]*\)", "{}",
                          name).rstrip("$")
                   if kind.startswith("~") else path == name
                   for path in PATHS)]
    assert len(there) > 5 and not missing, missing


def test_each_described_path_is_served():
    names = [name for _, name in locations()]
    missing = [path for path in PATHS
               if not any(path.startswith(name) for name in names)]
    assert not missing, missing


def test_each_call_of_the_documentation_is_described():
    documented = set(re.findall(
        r"`(GET|PUT|POST|DELETE|HEAD|PATCH) (/[\w/.{}-]*)`",
        read("docs/api.md")))
    described = {tuple(name.split()) for name, _, _ in operations()}
    assert documented and not documented - described


def test_each_conversion_option_is_described():
    section = re.search(r"^## Conversion options$(.*?)^## ",
                        read("docs/api.md"), re.MULTILINE | re.DOTALL)[1]
    documented = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))

    for method in ("post", "put"):
        described = {resolve(parameter)["name"] for parameter
                     in PATHS["/upload"][method]["parameters"]}
        assert documented == described - {"Idempotency-Key", "name", "webhook"}


def test_each_error_is_a_problem_with_an_example():
    wrong = []

    for name, _, operation in operations():
        for status, response in operation["responses"].items():
            content = resolve(response).get("content", {})
            problem = content.get("application/problem+json", {})
            examples = [problem.get("example")] + [
                example["value"] for example
                in problem.get("examples", {}).values()]
            if int(status) >= 400 and not any(
                    example and str(example["status"]) == status
                    for example in examples):
                wrong.append(f"{name} {status}")

    assert not wrong, wrong


def test_who_needs_a_token_may_be_refused():
    for name, _, operation in operations():
        assert "405" in operation["responses"], name
        if operation.get("security") != []:
            assert "401" in operation["responses"], name


def test_the_page_for_people_is_of_this_description():
    page = subprocess.run(["/usr/bin/python3", ROOT / "docs" / "api-page"],
                          check=True, stdout=subprocess.PIPE, text=True).stdout
    assert read("web/docs.html") == page, "run docs/api-page --write"
