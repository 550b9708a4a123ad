"""The Kubernetes manifests and compose.yaml, as the checks see them.  Of
kustomize just as much is understood as the manifests use."""

import dataclasses
import re

import yaml

from tree import ROOT, files, read

OVERLAYS = sorted(path.parent.name for path in
                  files("manifests/overlays/*/kustomization.yaml"))


def documents(path):
    return [document for document in yaml.safe_load_all(read(path))
            if document]


def name_of(thing):
    return thing["metadata"]["name"]


def merge(into, patch):
    """A strategic merge, of what the overlays' patches hold."""
    for key, value in patch.items():
        there = into.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            merge(there, value)
        elif isinstance(value, list) and isinstance(there, list) and all(
                isinstance(item, dict) and "name" in item for item in value):
            names = {item["name"]: item for item in there}
            for item in value:
                if item["name"] in names:
                    merge(names[item["name"]], item)
                else:
                    there.append(item)
        else:
            into[key] = value


class Overlay:
    """Everything that an overlay makes."""

    def __init__(self, name):
        self.name = name
        self.things = []
        self.keys = {"ConfigMap": {}, "Secret": {}}  # of name: {key: value}
        self.folder(ROOT / "manifests" / "overlays" / name)

    def folder(self, path):
        what = yaml.safe_load((path / "kustomization.yaml").read_text())
        for entry in what.get("resources", []) + what.get("components", []):
            there = (path / entry).resolve()
            if there.is_dir():
                self.folder(there)
            else:
                self.things += documents(there.relative_to(ROOT))
        for patch in what.get("patches", []):
            for document in documents((path / patch["path"]).relative_to(ROOT)):
                merge(self.find(document["kind"], name_of(document)), document)
        for kind, generator in (("ConfigMap", "configMapGenerator"),
                                ("Secret", "secretGenerator")):
            for entry in what.get(generator, []):
                keys = self.keys[kind].setdefault(entry["name"], {})
                keys.update(literal.split("=", 1)
                            for literal in entry.get("literals", []))
                keys.update((file.rsplit("/", 1)[-1], None)
                            for file in entry.get("files", []))

    def find(self, kind, name):
        found = [thing for thing in self.things
                 if thing["kind"] == kind and name_of(thing) == name]
        assert len(found) == 1, f"{self.name}: {kind} {name}"
        return found[0]

    def kind(self, *kinds):
        return [thing for thing in self.things if thing["kind"] in kinds]

    def pods(self):
        """(name, template) of each that makes pods."""
        for thing in self.things:
            spec = thing.get("spec", {})
            spec = spec.get("jobTemplate", {}).get("spec", spec)
            if "template" in spec:
                yield name_of(thing), spec["template"]

    def selected(self, selector):
        """The templates that a selector of labels takes."""
        return [template for _, template in self.pods()
                if matches(selector, template["metadata"]["labels"])]


def matches(selector, labels):
    return all(labels.get(key) == value for key, value
               in selector.get("matchLabels", {}).items()) and all(
        labels.get(rule["key"]) in rule["values"]
        for rule in selector.get("matchExpressions", []))


def ports(template):
    return {port["name"]: port["containerPort"]
            for container in template["spec"]["containers"]
            for port in container.get("ports", [])}


@dataclasses.dataclass
class Image:
    """What our Dockerfile says of an image, and of what that is made from."""

    name: str
    text: str

    @property
    def exposed(self):
        return {int(port) for port in
                re.findall(r"^EXPOSE (\d+)", self.text, re.MULTILINE)}


def images():
    """Of the stages those that something is started in."""
    stages = {}
    for text in re.split(r"^(?=FROM )", read("docker/Dockerfile"),
                         flags=re.MULTILINE)[1:]:
        base, name = re.match(r"FROM (\S+) AS (\S+)", text).groups()
        stages[name] = stages.get(base, "") + text
    return {f"v2m-{name}": Image(name, text) for name, text in stages.items()
            if re.search("^(ENTRYPOINT|CMD) ", text, re.MULTILINE)}


IMAGES = images()


def compose():
    return yaml.safe_load(read("docker/compose.yaml"))
