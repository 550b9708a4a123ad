"""S21: no secret in a log, a process's arguments, or its title."""

import os
import pathlib
import re
import subprocess
import urllib.parse
import uuid

import pytest

import checks
from client import Client, add_user
from conftest import BUILD, Program, ROOT, wait_for

SECRET = "sEntinel7c1d"

# Where nothing answers, and what no program can make sense of.
AWAY = {
    "V2M_MONGO_URI": f"mongodb://v2m:{SECRET}@127.0.0.1:1/"
                     "?serverSelectionTimeoutMS=500",
    "V2M_AMQP_URL": f"amqp://v2m:{SECRET}@127.0.0.1:1/",
    "V2M_SMTP_URL": "smtp://127.0.0.1:1",
    "V2M_SMTP_USER": "v2m",
    "V2M_SMTP_PASSWORD": SECRET,
    "MYSQL_HOST": "127.0.0.1",
    "MYSQL_PORT": "1",
    "MYSQL_PASSWORD": SECRET,
    "JWT_SECRET": SECRET * 4,
}
MALFORMED = {
    "V2M_MONGO_URI": (f"mongodb://v2m:{SECRET}@", f"mongo://{SECRET}@x/",
                      f"mongodb://v2m:{SECRET}%@127.0.0.1:1/",
                      f"mongodb://v2m:{SECRET}@127.0.0.1:x/", SECRET),
    "V2M_AMQP_URL": (f"amqp://v2m:{SECRET}@127.0.0.1:x/",
                     f"http://v2m:{SECRET}@127.0.0.1/",
                     f"amqp://v2m:{SECRET}%zz@127.0.0.1/", SECRET),
    "V2M_SMTP_URL": (f"smtp://v2m:{SECRET}@127.0.0.1:x",
                     f"http://v2m:{SECRET}@127.0.0.1", SECRET),
}
PROGRAMS = {
    "v2m-converter": (),
    "v2m-notifier": (),
    "v2m-sweep": ("--every", "1"),
    "v2m-jobs": ("list",),
}


def settings(changes=None):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("V2M_", "MYSQL_", "JWT_"))}
    return {**environment, **AWAY, "V2M_LOG_LEVEL": "debug",
            "V2M_MAIL_FROM": "v2m@example.org",
            "V2M_PUBLIC_URL": "http://127.0.0.1", **(changes or {})}


def titles():
    """The arguments, titles included, of all processes but our own."""
    found = {}
    for place in pathlib.Path("/proc").iterdir():
        if place.name.isdigit() and int(place.name) != os.getpid():
            try:
                found[place.name] = (place / "cmdline").read_bytes()
            except OSError:
                pass
    return found


@pytest.fixture
def run(tmp_path):
    """run(NAME, SETTINGS): what a program says until it ends, or until it has
    said that a server is away."""
    started = []

    def start(name, env):
        log = tmp_path / f"{name}-{len(started)}.log"
        program = Program([str(BUILD / name), *PROGRAMS[name]], env, log)
        started.append(program)
        wait_for(lambda: program.process.poll() is not None
                 or re.search(r"127\.0\.0\.1|refused|away|connect",
                              program.log),
                 20, what=f"{name} to say something")
        title = titles().get(str(program.process.pid), b"").decode()
        program.kill()
        return title + program.log

    yield start
    for program in started:
        program.kill()


@pytest.mark.parametrize("name", PROGRAMS)
def test_servers_that_are_away(run, name):
    said = run(name, settings())
    assert said and SECRET not in said


@pytest.mark.parametrize("name", PROGRAMS)
def test_settings_that_make_no_sense(run, name):
    for setting, values in MALFORMED.items():
        if setting == "V2M_SMTP_URL" and name != "v2m-notifier":
            continue
        for value in values:
            said = run(name, settings({setting: value}))
            assert said and SECRET not in said, value


@pytest.mark.release_only
@pytest.mark.parametrize("changes", [
    {}, *({setting: value} for setting, values in MALFORMED.items()
          for value in values if setting != "V2M_SMTP_URL"),
    {"JWT_SECRET": SECRET},
])
def test_configuration_of_the_gateway(tmp_path, changes):
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"""
        load_module {BUILD}/ngx_http_v2m_module.so;
        error_log stderr debug;
        pid {tmp_path}/nginx.pid;
        thread_pool v2m_storage threads=1 max_queue=1;
        thread_pool v2m_login threads=1 max_queue=1;
        events {{ }}
        http {{
            access_log off;
            client_body_temp_path {tmp_path}/body;
            include {ROOT}/nginx-conf/v2m-http.conf;
            server {{
                listen 127.0.0.1:1;
                include {ROOT}/nginx-conf/v2m-locations.conf;
            }}
        }}
    """)
    done = subprocess.run(
        ["nginx", "-t", "-p", str(tmp_path), "-e", "stderr", "-c", str(conf)],
        env=settings(changes), stdin=subprocess.DEVNULL, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.stdout and SECRET not in done.stdout


def test_a_whole_stack_at_work(stack):
    """Its own secrets, a user's, and a token, after all that may go wrong
    with a login and a job: what its programs said, and how they show up in a
    list of processes meanwhile."""
    user = add_user(stack, f"{uuid.uuid4().hex[:12]}@example.org",
                    password=uuid.uuid4().hex)
    user.ready(user.upload(checks.clip())["id"])
    user.post(b"no media")
    for credentials in (user.password + "x", user.password[1:]):
        Client(stack.url, user.user, credentials).request(
            "POST", "/login",
            headers=Client(stack.url, user.user, credentials).basic())
    for token in (user.token + "x", user.token[:-1]):
        Client(stack.url, token=token).request("GET", "/jobs")

    secrets = {
        "password": user.password[1:],
        "credentials": user.basic()["Authorization"][6:].rstrip("="),
        "token": user.token[:-1],
        "key of tokens": pathlib.Path(
            stack.env["JWT_SECRET_FILE"]).read_text().strip(),
        "MySQL's": stack.env["MYSQL_PASSWORD"],
        "broker's": urllib.parse.urlsplit(stack.env["V2M_AMQP_URL"]).password,
    }
    shown = titles()
    logs = {path: path.read_bytes() for path in
            (stack.run / "logs").rglob("*") if path.is_file()}
    assert logs

    for what, secret in secrets.items():
        assert len(secret) >= 8, what
        for place, text in (*shown.items(), *logs.items()):
            assert secret.encode() not in text, f"{what} secret: {place}"
