"""The manifests, compose.yaml, the Dockerfiles and the units agree with each
other, and with what the programs read."""

import re

import pytest
import yaml

from deployment import IMAGES, OVERLAYS, Overlay, compose, name_of, ports
from tree import ROOT, files, read

DOCUMENTED = set(re.findall(r"`([A-Z][A-Z0-9_]+)`",
                            read("docs/configuration.md")))


@pytest.fixture(params=OVERLAYS, scope="module")
def overlay(request):
    return Overlay(request.param)


def documented(name):
    return name in DOCUMENTED or name.removesuffix("_FILE") in DOCUMENTED


def foreign(image):
    return image.rsplit(":", 1)[0] not in IMAGES


def containers(overlay):
    for name, template in overlay.pods():
        for container in template["spec"]["containers"]:
            yield name, template["spec"], container


def test_pods_may_little(overlay):
    """What the restricted Pod Security Standard asks for, and more."""
    for name, spec, container in containers(overlay):
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"]["type"] \
            == "RuntimeDefault", name
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["capabilities"] == {"drop": ["ALL"]}, name
        assert "memory" in container["resources"]["limits"], name
        if not foreign(container["image"]):
            assert context["readOnlyRootFilesystem"] is True, name
            assert spec["securityContext"]["runAsUser"] == 65532, name
            account = spec["serviceAccountName"]
            assert overlay.find("ServiceAccount", account)[
                "automountServiceAccountToken"] is False, name


def test_probes_and_services_meet_a_port(overlay):
    for name, template in overlay.pods():
        there = ports(template)
        for container in template["spec"]["containers"]:
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container.get(kind, {})
                for how in ("httpGet", "tcpSocket"):
                    if how in probe:
                        assert probe[how]["port"] in there, (name, kind)

    for service in overlay.kind("Service"):
        templates = overlay.selected(
            {"matchLabels": service["spec"]["selector"]})
        assert len(templates) == 1, name_of(service)
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports(templates[0]), name_of(service)


def test_each_selector_takes_a_pod(overlay):
    for thing in overlay.kind("Deployment", "StatefulSet",
                              "PodDisruptionBudget", "PodMonitor"):
        templates = overlay.selected(thing["spec"]["selector"])
        assert templates, name_of(thing)
        for endpoint in thing["spec"].get("podMetricsEndpoints", []):
            for template in templates:
                assert endpoint["port"] in ports(template), name_of(thing)

    for policy in overlay.kind("NetworkPolicy"):
        templates = overlay.selected(policy["spec"]["podSelector"])
        assert templates, name_of(policy)
        for rule in policy["spec"].get("ingress", []):
            for port in rule["ports"]:
                for template in templates:
                    assert port["port"] in ports(template), name_of(policy)
            for peer in rule.get("from", []):
                if "podSelector" in peer:
                    assert overlay.selected(peer["podSelector"]), \
                        name_of(policy)

    for thing in overlay.kind("HorizontalPodAutoscaler", "ScaledObject"):
        overlay.find("Deployment", thing["spec"]["scaleTargetRef"]["name"])

    for ingress in overlay.kind("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                assert service["port"]["name"] in [
                    port["name"] for port in overlay.find(
                        "Service", service["name"])["spec"]["ports"]]


def test_what_serves_a_service_can_be_reached(overlay):
    """Each server of the cluster is on a port that its clients may call."""
    egress = {port["port"] for policy in overlay.kind("NetworkPolicy")
              for rule in policy["spec"].get("egress", [])
              for port in rule["ports"]}
    for service in overlay.kind("Service"):
        if name_of(service) != "v2m-gateway":
            assert service["spec"]["ports"][0]["port"] in egress, \
                name_of(service)


def test_settings_exist(overlay):
    for name, spec, container in containers(overlay):
        if foreign(container["image"]):
            continue
        names = [entry["name"] for entry in container.get("env", [])]
        for source in container.get("envFrom", []):
            names += overlay.keys["ConfigMap"][source["configMapRef"]["name"]]
        assert len(names) == len(set(names)), name
        for setting in names:
            assert documented(setting), (name, setting)


def taken(keys, volume):
    """The files that a volume makes of a secret's keys."""
    if "items" not in volume:
        return set(keys)
    assert {item["key"] for item in volume["items"]} <= set(keys)
    return {item["path"] for item in volume["items"]}


def test_what_is_mounted_exists(overlay):
    for name, spec, container in containers(overlay):
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        claims = {"data"} if "emptyDir" not in str(spec) else set()
        keys = {}
        for mount in container["volumeMounts"]:
            if mount["name"] not in volumes:
                assert mount["name"] in claims, (name, mount)
                continue
            volume = volumes[mount["name"]]
            if "secret" in volume:
                there = taken(overlay.keys["Secret"][
                    volume["secret"]["secretName"]], volume["secret"])
            elif "configMap" in volume and not volume["configMap"].get(
                    "optional"):
                there = overlay.keys["ConfigMap"][volume["configMap"]["name"]]
            else:
                continue
            keys[mount["mountPath"]] = there
            assert mount.get("subPath") is None or mount["subPath"] in there

        for entry in container.get("env", []):
            if entry["name"].endswith("_FILE"):
                folder, _, file = entry["value"].rpartition("/")
                assert file in keys[folder], (name, entry)


def test_gateway_and_notifier_share_the_key_of_webhooks(overlay):
    mounted = []
    for name in ("v2m-gateway", "v2m-notifier"):
        spec = overlay.find("Deployment", name)["spec"]["template"]["spec"]
        settings = {entry["name"]: entry["value"]
                    for entry in spec["containers"][0]["env"]}
        mounted.append((settings["V2M_WEBHOOK_KEY_FILE"], [
            volume for volume in spec["volumes"]
            if volume["name"] == "webhook"]))
    assert mounted[0] == mounted[1]


def test_triggers_have_their_secrets(overlay):
    for thing in overlay.kind("TriggerAuthentication"):
        for reference in thing["spec"]["secretTargetRef"]:
            assert reference["key"] in overlay.keys["Secret"][
                reference["name"]]


def test_images_are_ours_or_those_of_compose(overlay):
    others = {service["image"] for service in compose()["services"].values()}
    for name, _, container in containers(overlay):
        image = container["image"]
        assert image in IMAGES or image in others, (name, image)


def test_ports_are_those_of_the_images(overlay):
    for name, _, container in containers(overlay):
        if not foreign(container["image"]):
            assert {port["containerPort"] for port
                    in container.get("ports", [])} \
                == IMAGES[container["image"]].exposed, name


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)([smh]?)", str(text)).groups()
    return int(number) * {"": 1, "s": 1, "m": 60, "h": 3600}[unit]


def shutdown_timeout():
    return seconds(re.search(r"worker_shutdown_timeout (\w+);",
                             read("docker/gateway/nginx.conf"))[1])


def test_pods_have_the_time_to_stop(overlay):
    for name in ("converter", "notifier"):
        spec = overlay.find("Deployment", f"v2m-{name}")["spec"]["template"]
        drain = overlay.keys["ConfigMap"][f"v2m-{name}"].get("V2M_DRAIN", 25)
        assert spec["spec"]["terminationGracePeriodSeconds"] > int(drain)

    spec = overlay.find("Deployment", "v2m-gateway")["spec"]["template"]["spec"]
    wait = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert spec["terminationGracePeriodSeconds"] \
        > int(wait[1]) + shutdown_timeout()


def test_compose_has_the_time_to_stop():
    services = compose()["services"]
    assert seconds(services["gateway"]["stop_grace_period"]) \
        > shutdown_timeout()
    for name in ("converter", "notifier", "sweep"):
        assert seconds(services[name]["stop_grace_period"]) > 25


def test_compose_agrees_with_itself():
    what = compose()
    made = set(re.findall(r"[\w-]+", read("docker/make-secrets")))
    for name, service in what["services"].items():
        for setting in service.get("environment", {}):
            assert foreign(service["image"]) or documented(setting), \
                (name, setting)
        for secret in service.get("secrets", []):
            secret = secret["source"] if isinstance(secret, dict) else secret
            assert secret in what["secrets"] and secret in made, (name, secret)
        if "build" in service:
            assert service["build"]["dockerfile"] == "docker/Dockerfile"
            assert service["build"]["target"] \
                == service["image"].partition(":")[0].removeprefix("v2m-")
            assert service["read_only"] and service["cap_drop"] == ["ALL"]
        for port in service.get("ports", []):
            if not foreign(service["image"]):
                assert int(port.rpartition(":")[2]) \
                    in IMAGES[service["image"]].exposed
        for other in service.get("depends_on", {}):
            assert set(service["networks"]) \
                & set(what["services"][other]["networks"]), (name, other)


def test_compose_for_accounts_goes_over_compose():
    what = yaml.safe_load(read("docker/compose.accounts.yaml"))
    made = set(re.findall(r"[\w-]+", read("docker/make-secrets")))
    for name, service in what["services"].items():
        assert name in compose()["services"]
        assert all(map(documented, service.get("environment", {}))), name
        for secret in service.get("secrets", []):
            assert secret in what["secrets"] and secret in made, (name, secret)
        for volume in service.get("volumes", []):
            assert (ROOT / "docker" / volume.split(":")[0]).is_file(), volume


def test_accounts_have_what_the_gateway_includes():
    path = re.search(r"^include /etc/nginx/v2m/(\S+);$",
                     read("docker/gateway/accounts.conf"), re.MULTILINE)[1]
    assert (ROOT / "nginx-conf" / path).is_file()
    assert f"nginx-conf/{path}" in IMAGES["v2m-gateway"].text


def test_copies_are_equal():
    """Kustomize reads no file outside of its folder."""
    assert read("manifests/components/mongo/mongo-init.js") \
        == read("docker/mongo-init.js")
    assert read("manifests/components/rabbitmq/rabbitmq.conf") \
        == read("docker/rabbitmq.conf")
    assert read("manifests/components/accounts/accounts.conf") \
        == read("docker/gateway/accounts.conf")
    assert read("manifests/overlays/minikube/small.yaml") \
        == read("manifests/overlays/minikube-host/small.yaml")


def test_configurations_have_the_same_thread_pools():
    pools = [re.findall(r"^thread_pool .*;", read(path), re.MULTILINE)
             for path in ("nginx-conf/nginx.conf", "docker/gateway/nginx.conf",
                          "packaging/nginx-module.conf")]
    assert pools[0] and pools[0] == pools[1] == pools[2]


def test_images_are_built_with_what_the_build_takes():
    packages = re.search(r"build_packages=\((.*?)\)", read("stack/packages.sh"),
                         re.DOTALL)[1]
    needed = set(re.findall(r"[\w.+-]+-dev\b", packages)) - {"libc6-dev"}
    built = set(re.findall(r"[\w.+-]+-dev\b", read("docker/Dockerfile")))
    assert built - {"dpkg-dev", "libc6-dev"} == needed


def test_units_name_settings_and_programs_that_exist():
    programs = set(re.findall(r"\$\(B\)/(v2m-\w+)", read("build.mk")))
    for path in files("packaging/*.service"):
        assert re.search(r"^ExecStart=/usr/bin/(v2m-\w+)", read(path),
                         re.MULTILINE)[1] in programs
    for setting in re.findall(r"^([A-Z]\w+)=", read("packaging/env"),
                              re.MULTILINE):
        assert documented(setting), setting
