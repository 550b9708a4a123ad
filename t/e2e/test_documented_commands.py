"""The commands that README and the documentation tell to type, beside the curl
lines of test_documented_calls.py: each block is run here, or stands in NOT_RUN
with the reason."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import uuid

import bson
import pytest

import media
from client import Client
from conftest import BUILD, ROOT, wait_for
from test_documented_calls import calls

CURL = ("README.md", "docs/api.md")  # of test_documented_calls.py

# How blocks begin that show what is answered, or a picture.
SHOWN = re.compile(r"[ {]|HTTP/1|POST /|retry: ")

SETTINGS = "settings or a text, not a command"
MONGOSH = "for MongoDB's shell, which the stack has not"
MANY = "starts a stack, or several; each run of the tests does"
DOCKER = "needs Docker; t/containers builds and starts the images"
CLUSTER = "needs a cluster; t/kubernetes has one"
PACKAGES = "needs a fresh Debian; t/packages has some"
TESTS = "runs the tests, of which this is one"

# (document, how the blocks begin): why they are not run.
NOT_RUN = {
    ("README.md", "make demo"): "installs packages and starts a stack on the"
    " ports of the demonstration",
    ("README.md", "make test"): TESTS,
    ("README.md", "make down"): MANY,
    ("README.md", "make build     "): TESTS,
    ("docs/SECURITY.md", "NoNewPrivileges"): SETTINGS,
    ("docs/api.md", "curl -s -d token=TOKEN"): "needs the link of a mail;"
    " the tests of accounts follow one",
    ("docs/configuration.md", "V2M_RUN="): MANY,
    ("docs/deployment.md", "for name in"): DOCKER,
    ("docs/deployment.md", "set_real_ip_from"): SETTINGS,
    ("docs/deployment.md", "docker/make-secrets"): DOCKER,
    ("docs/deployment.md", "docker compose"): DOCKER,
    ("docs/deployment.md", "minikube"): CLUSTER,
    ("docs/deployment.md", "kubectl -n"): CLUSTER,
    ("docs/deployment.md", "kubectl kustomize"): CLUSTER,
    ("docs/deployment.md", "sudo apt-get"): PACKAGES,
    ("docs/deployment.md", "make install"): PACKAGES,
    ("docs/deployment.md", "make test"): TESTS,
    ("docs/operations.md", "(set -a;"): PACKAGES,
    ("docs/operations.md", 'db.getSiblingDB("admin")'): MONGOSH,
    ("docs/operations.md", "consumer_timeout"): SETTINGS,
    ("docs/operations.md", "MYSQL_SOCKET="): "would give the stack's database"
    " other passwords; test_schema.py runs v2m-schema",
    ("docs/operations.md", "(umask 077;"): "would give the stack's database"
    " another password; test_schema.py runs v2m-schema",
    ("docs/operations.md", "Subject: Your account"): SETTINGS,
    ("docs/operations.md", "V2M_SMTP_URL="): MANY,
    ("docs/operations.md", "rule_files:"): SETTINGS,
    ("docs/operations.md", 'db.getSiblingDB("v2m")'): MONGOSH,
    ("docs/operations.md", "set_real_ip_from"): SETTINGS,
    ("docs/tokens.md", "curl -fsS https://id.example.com"): "needs an issuer"
    " on the network",
}

# The blocks that are run, in this order: document, how it begins, what it finds
# at its standard input.
RUN = [
    ("README.md", ". run/env", ""),
    ("README.md", "build/release/v2m login", "{user}\n{password}\n"),
    ("README.md", "make build\nbuild", ""),
    ("README.md", "./v2mctl user add", "a long password\n"),
    ("docs/client.md", "v2m login", "{user}\n{password}\n"),
    ("docs/client.md", "JOB=", ""),
    ("docs/client.md", "v2m convert", ""),
    ("docs/configuration.md", "head -c 32", ""),
    ("docs/operations.md", "rabbitmqctl add_user", ""),
    ("docs/operations.md", "head -c 32", ""),
    ("docs/operations.md", "v2m-user add",
     "a long password\nanother password\na third password\n"),
    ("docs/operations.md", "v2m-convert", ""),
    ("docs/operations.md", "v2m-jobs list", ""),
    ("docs/operations.md", "SELECT purpose", ""),
    ("docs/operations.md", "rabbitmqctl list_queues", ""),
    ("docs/tokens.md", "install -d", ""),
]

PROGRAMS = {
    "v2m": BUILD / "v2m",
    "v2m-convert": BUILD / "v2m-convert",
    "v2m-jobs": BUILD / "v2m-jobs",
    "v2m-schema": ROOT / "auth" / "v2m-schema",
    "v2m-user": BUILD / "v2m-user",
    "v2mctl": ROOT / "v2mctl",
}


def blocks():
    """(document, text) of each block."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [(str(path.relative_to(ROOT)), text) for path in paths
            for text in re.findall(r"^```\w*\n(.*?)^```", path.read_text(),
                                   re.DOTALL | re.MULTILINE)]


def is_of_calls(document, text):
    """Nothing but curl lines, and names that are set for them."""
    known = calls(document) if document in CURL else []
    lines = text.replace("\\\n", " ").splitlines()
    return any(line.strip() in known for line in lines) and all(
        line.strip() in known or re.match(r"\w+=[^$]*$", line)
        for line in lines)


def is_there(entry, document, text):
    return entry[0] == document and text.startswith(entry[1])


def find(entry):
    """The blocks of an entry of RUN or NOT_RUN."""
    return [text for document, text in blocks()
            if is_there(entry, document, text)]


def test_each_block_has_a_place():
    wrong = []
    for document, text in blocks():
        places = sum(is_there(entry, document, text)
                     for entry in [*NOT_RUN, *RUN])
        if SHOWN.match(text) or is_of_calls(document, text):
            continue
        if places != 1:
            wrong.append(f"{document}: {places} places: {text}")
    assert not wrong, "\n".join(wrong)

    assert all(find(entry) for entry in NOT_RUN)
    assert all(len(find(entry)) == 1 for entry in RUN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("documented")


@pytest.fixture(scope="module")
def ids(stack):
    """What stands for ids in a document: jobs of each kind."""
    user = Client(stack.url, stack.user, stack.password).login()
    video = media.ffmpeg("documented.mp4", *media.picture(2),
                         *media.tones(media.MONO, 2))
    made = {name: user.upload(b"no video" if name == "retry" else video,
                              f"{name}.mp4")["id"]
            for name in ("show", "retry", "mail", "drop")}
    for name, job in made.items():
        user.wait(job, "failed" if name == "retry" else "ready")
        wait_for(lambda job=job: stack.job(job)["notified"] == "sent")
    stack.jobs.update_one({"_id": bson.ObjectId(made["mail"])},
                          {"$set": {"notified": "failed"}})

    letter = str(bson.ObjectId())
    stack.publish("video", '{"video_fid": "%s", "username": "a@example.org"}'
                  % letter)
    stack.publish("mp3", "no letter")
    for queue in ("video.dead", "mp3.dead"):
        wait_for(lambda queue=queue: stack.depth(queue), what=queue)
    return {**made, "letter": letter}


def script(path, *lines):
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


@pytest.fixture(scope="module")
def place(stack, folder, ids):
    """(substitutes, environment) of the blocks."""
    (folder / "run").symlink_to(stack.run)
    (folder / "bin").mkdir()
    for name, program in PROGRAMS.items():
        (folder / "bin" / name).symlink_to(program)
    for name in ("etc/secrets", "build"):
        (folder / name).mkdir(parents=True)
    (folder / "build" / "release").symlink_to(BUILD)

    # it looks for its parts beside itself
    script(folder / "v2mctl", f'exec {shlex.quote(str(ROOT))}/v2mctl "$@"')

    # Debian's own becomes another user, and asks another broker
    base = int(stack.ports or 8080)
    home = shlex.quote(str(stack.run / "rabbitmq"))
    script(folder / "bin" / "rabbitmqctl",
           f"export HOME={home} ERL_EPMD_PORT={base + 5}",
           "exec /usr/lib/rabbitmq/bin/rabbitmqctl -q"
           f' -n v2m-{base + 3}@localhost "$@"')

    video = media.ffmpeg("documented-long.mp4", *media.picture(100),
                         *media.tones(media.MONO, 100))
    for name in ("video.mp4", "talk.mp4"):
        shutil.copy(video, folder / name)
    subprocess.run(["ffmpeg", "-v", "error", "-i", video, "-c", "copy",
                    folder / "lesson.mkv"], check=True)

    env = {name: value for name, value in os.environ.items()
           if not name.startswith("V2M_")}
    env.update({name: value for name, value in stack.env.items()
                if name.startswith(("MYSQL_", "V2M_MONGO", "V2M_AMQP",
                                    "V2M_URL", "V2M_USER", "V2M_PASSWORD"))})
    env.update({
        # who may write the users' table
        "MYSQL_USER": "v2m_admin", "MYSQL_PASSWORD": (
            stack.run / "secrets" / "mysql-admin").read_text().strip(),
        "PATH": f"{folder}/bin:{env['PATH']}", "V2M_RUN": str(stack.run),
        "V2M_BUILD": str(BUILD), "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_STATE_HOME": str(folder / "state"), "no_proxy": "*"})
    if stack.ports:
        env["V2M_PORT_BASE"] = str(stack.ports)

    substitutes = [
        ("https://v2m.example.com", stack.url),
        ("/etc/v2m", str(folder / "etc")),
        ("-o root -g root ", ""),
        # the builds of the tests are there
        ("make build\n", ""),
        # an account that nobody else has
        ("add_user v2m ", "add_user documented "),
        ("set_permissions v2m ", "set_permissions documented "),
        ("65f0c0ffee65f0c0ffee65f0", ids["show"]),
        ("retry video ID...", f"retry video {ids['letter']}"),
        *((f"{name} ID...", f"{name} {ids[name]}")
          for name in ("retry", "mail", "drop")),
        # what an earlier block made
        ("v2m-convert --bitrate=192", "v2m-convert --force --bitrate=192"),
        ("v2m-convert --bitrate=128", "v2m-convert --force --bitrate=128"),
        ("v2m-convert talk.mp4", "v2m-convert --force talk.mp4"),
    ]
    return substitutes, env


@pytest.mark.parametrize("entry", RUN, ids=lambda entry: pathlib.Path(
    entry[0]).stem + "-" + entry[1].split("\n")[-1].replace("/", "-"))
def test_block(stack, place, folder, entry):
    substitutes, env = place
    text, = find(entry)
    for what, by in substitutes:
        text = text.replace(what, by)
    if text.startswith("SELECT "):  # in MariaDB's shell
        text = ("env -u MYSQL_HOST mariadb --no-defaults --protocol=socket"
                f" --socket=run/mariadb/mariadb.sock auth <<'END'\n{text}END\n")
    # users that nobody else has
    text = re.sub(r"\b(ann|bob)@", rf"\1-{uuid.uuid4().hex[:8]}@", text)
    given = entry[2].format(user=stack.user, password=stack.password)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=env,
        input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=120)
    assert done.returncode == 0, f"{text}\n{done.stdout}"
    if "rabbitmqctl add_user" in text:
        stack.rabbitmqctl("delete_user", "documented")


def commands(text):
    """[(program, arguments)] of our programs in a block."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        words = [re.sub(r"^(\./|build/release/)", "", word) for word in
                 re.split(r"[\s()]+", re.sub(r"(^|\s)#.*", "", line)) if word]
        found += [(word, words[i + 1:]) for i, word in enumerate(words)
                  if word in PROGRAMS and words[i - 1:i] != ["-n"]]
    return found


def help_of(program):
    return subprocess.run([PROGRAMS[program], "--help"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout


def test_names_in_what_is_not_run():
    """Programs know the commands and options that are told there."""
    wrong, seen = [], 0
    for entry in NOT_RUN:
        for program, arguments in commands("".join(find(entry))):
            seen += 1
            text = help_of(program)
            named = {word.split("=")[0] for word in arguments
                     if word.startswith("--")}
            if arguments and not arguments[0].startswith("-"):
                named.add(arguments[0])
            wrong += [f"{entry}: {program} {name}" for name in sorted(named)
                      if not re.search(rf"(?<![\w-]){name}\b", text)]
    assert seen >= 5 and not wrong, wrong
