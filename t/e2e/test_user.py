"""v2m-user over a real MariaDB."""

import concurrent.futures
import os
import pty
import select
import signal
import subprocess
import termios
import time
import uuid

import pytest

from client import Client
from conftest import BUILD, wait_for
from users import (  # noqa: F401, the fixtures
    INJECTIONS, PASSWORD, admin_password, environment, mariadb, matches,
    unchanged, user,
)


# The commands

def test_add(user, mariadb, address):
    assert user("add", address, stdin=f"{PASSWORD}\n") == ""

    stored = mariadb.hash_of(address)
    assert stored.startswith("$y$")
    assert matches(PASSWORD, stored)
    assert not matches(PASSWORD + "x", stored)
    assert user("list", address) == f"{address}\tuser\tenabled\tdefault\tdefault\n"


def test_add_administrator(user, address):
    user("add", "--admin", address, stdin=PASSWORD)
    assert user("list", address) == f"{address}\tadmin\tenabled\tdefault\tdefault\n"

    other = "b" + address
    user("add", other, "--admin", stdin=PASSWORD)
    assert user("list", other) == f"{other}\tadmin\tenabled\tdefault\tdefault\n"


def test_add_twice(user, mariadb, address):
    user("add", address, stdin=PASSWORD)
    before = mariadb.users()

    user("add", address, stdin="other", status=1,
         says=f"there is a user {address} already")
    user("add", address.upper(), stdin="other", status=1, says="already")
    assert mariadb.users() == before


def test_add_at_once(user, mariadb, address):
    def add(number):
        try:
            user("add", address, stdin=f"password {number}")
            return number
        except AssertionError as error:
            assert "already" in str(error)
            return None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(add, range(8)))

    winners = [number for number in results if number is not None]
    assert len(winners) == 1
    assert matches(f"password {winners[0]}", mariadb.hash_of(address))


@pytest.mark.parametrize("email", [
    "", "a", "@example.org", "a@", "a b@example.org", "a@example.org\n",
    "A <a@example.org>", "a,b@example.org", "a@b@c", "x" * 65 + "@example.org",
    "x@" + "y" * 254, "j\u00fcrgen@example.org", *INJECTIONS,
])
def test_add_no_address(user, unchanged, email):
    user("add", email, stdin=PASSWORD, status=1,
         says="this is not an e-mail address")


def test_passwd(user, mariadb, address):
    user("add", "--admin", address, stdin=PASSWORD)
    before = mariadb.hash_of(address)

    assert user("passwd", address, stdin="another one\n") == ""

    after = mariadb.hash_of(address)
    assert after != before
    assert matches("another one", after)
    assert not matches(PASSWORD, after)
    assert user("list", address) == f"{address}\tadmin\tenabled\tdefault\tdefault\n"

    # the same password has another salt, and its row counts as found
    user("passwd", address, stdin="another one\n")
    assert mariadb.hash_of(address) != after


def test_disable_and_enable(user, mariadb, address):
    user("add", address, stdin=PASSWORD)
    stored = mariadb.hash_of(address)

    for _ in range(2):
        assert user("disable", address) == ""
        assert user("list", address) == f"{address}\tuser\tdisabled\tdefault\tdefault\n"

    for _ in range(2):
        assert user("enable", address) == ""
        assert user("list", address) == f"{address}\tuser\tenabled\tdefault\tdefault\n"

    assert mariadb.hash_of(address) == stored


def test_quota(user, mariadb, address):
    user("add", address, stdin=PASSWORD)
    before = mariadb.users()

    def limits():
        return user("list", address).rstrip().split("\t")[3:]

    for arguments, expected in (
            (["--jobs", "5"], ["5", "default"]),
            (["--bytes", "2g"], ["5", "2147483648"]),
            (["--jobs", "unlimited", "--bytes=100"], ["unlimited", "100"]),
            (["--bytes", "unlimited"], ["unlimited", "unlimited"]),
            (["--jobs", "default"], ["default", "unlimited"]),
            (["--bytes", "default"], ["default", "default"])):
        assert user("quota", address, *arguments) == ""
        assert limits() == expected
    assert mariadb.users() == before

    user("quota", address, "--jobs", "7", "--bytes", "1k")
    for wrong in ("0", "-1", "many", "5k", ""):
        user("quota", address, "--jobs", wrong, status=1, says="a limit is")
    for wrong in ("0", "5 k", "8388608t", "1kb"):
        user("quota", address, "--bytes", wrong, status=1,
             says="which may end in k, m, g or t")
    assert limits() == ["7", "1024"]

    user("quota", "b" + address, "--jobs", "5", status=1,
         says=f"there is no user b{address}")


def test_quota_counts(stack, user, address):
    """S22: the gateway refuses what is over a user's own limit."""
    user("add", address, stdin=PASSWORD)
    user("quota", address, "--bytes", "10")
    client = Client(stack.url, address, PASSWORD).login()

    assert "may take 10 bytes" in client.post(b"x" * 11).expect(413).detail
    client.upload(b"x" * 10)
    client.delete_all()


def test_delete(user, mariadb, address):
    other = "b" + address
    user("add", address, stdin=PASSWORD)
    user("add", other, stdin=PASSWORD)

    assert user("delete", address) == ""
    emails = [row[0] for row in mariadb.users()]
    assert address not in emails and other in emails

    user("delete", address, status=1, says=f"there is no user {address}")


def revoked(mariadb):
    return [row[0] for row in mariadb.admin(
        "SELECT name FROM auth.revoked WHERE what = 'user' ORDER BY id")]


def test_logout(user, mariadb, address):
    """Whoever loses a login is logged out, under the name in tokens."""
    user("add", address, stdin=PASSWORD)
    before = len(revoked(mariadb))

    for command in ("logout", "passwd", "disable", "delete"):
        assert user(command, address.upper(), stdin=PASSWORD) == ""
    assert revoked(mariadb)[before:] == [address] * 4

    user("logout", address, says=f"there is no user {address} here")
    user("logout", "x" * 256, status=1, says="too long")


def test_logout_makes_room(user, mariadb, address):
    """What has expired goes away."""
    mariadb.admin("INSERT INTO auth.revoked (what, name, issued, expires,"
                  f" added) VALUES ('user', 'old {address}', 1, 2, 1)")
    user("logout", address, says="there is no user")
    assert f"old {address}" not in revoked(mariadb)


def test_list(user, mariadb, address):
    user("add", "--admin", "b" + address, stdin=PASSWORD)
    user("add", "c" + address, stdin=PASSWORD)
    user("add", "a" + address, stdin=PASSWORD)
    user("disable", "c" + address)

    output = user("list")
    lines = output.splitlines()
    assert [line for line in lines if address in line] == [
        f"a{address}\tuser\tenabled\tdefault\tdefault",
        f"b{address}\tadmin\tenabled\tdefault\tdefault",
        f"c{address}\tuser\tdisabled\tdefault\tdefault",
    ]
    assert len(lines) == len(mariadb.users())
    assert "$" not in output


@pytest.mark.parametrize("command", ["passwd", "disable", "enable", "delete",
                                     "list"])
@pytest.mark.parametrize("email", [
    "nobody@example.org", "", "x" * 255, "x" * 256, "x" * 5000,
    "j\u00fcrgen@example.org", "%@example.org", "____@example.___", *INJECTIONS,
])
def test_unknown(user, unchanged, command, email):
    user(command, email, stdin=PASSWORD, status=1, says="there is no user ")


def test_not_utf8(user, unchanged):
    user("list", os.fsdecode(b"\xff\xfe@example.org"), status=1,
         says="there is no user")


def test_quote_in_address(user, mariadb, address):
    email = "o'brien." + address
    user("add", email, stdin=PASSWORD)
    assert user("list", email) == f"{email}\tuser\tenabled\tdefault\tdefault\n"
    user("delete", email)
    assert email not in [row[0] for row in mariadb.users()]


# Wrong usage

@pytest.mark.parametrize("arguments, says", [
    ([], "no command was given"),
    (["remove", "a@example.org"], "unknown command remove"),
    (["add"], "an e-mail address is needed for add"),
    (["passwd"], "an e-mail address is needed for passwd"),
    (["disable"], "an e-mail address is needed for disable"),
    (["enable"], "an e-mail address is needed for enable"),
    (["delete"], "an e-mail address is needed for delete"),
    (["add", "a@example.org", PASSWORD], "too many arguments for add"),
    (["list", "a@example.org", "b@example.org"],
     "too many arguments for list"),
    (["--admin", "passwd", "a@example.org"], "--admin goes with add"),
    (["--verbose", "list"], "unknown option --verbose"),
    (["add", "-a", "a@example.org"], "unknown option -a"),
    (["--admin=yes", "add", "a@example.org"], "unknown option --admin=yes"),
    (["quota"], "quota, and no other command, takes --jobs or --bytes"),
    (["quota", "a@example.org"], "takes --jobs or --bytes, or both: quota"),
    (["add", "a@example.org", "--jobs", "5"],
     "takes --jobs or --bytes, or both: add"),
    (["quota", "--jobs", "5"], "an e-mail address is needed for quota"),
])
def test_usage(user, unchanged, arguments, says):
    user(*arguments, stdin=PASSWORD, status=2, says=says)
    user(*arguments, stdin=PASSWORD, status=2, says="Usage: v2m-user add")


def test_help(user):
    for arguments in (["--help"], ["list", "--help"]):
        # needs no server
        output = user(*arguments, MYSQL_PORT=1)
        assert output.startswith("Usage: v2m-user add")
        for word in ("passwd", "disable", "enable", "delete", "list",
                     "--admin", "MYSQL_HOST", "MYSQL_PORT", "MYSQL_USER",
                     "MYSQL_PASSWORD", "MYSQL_DB", "NAME_FILE"):
            assert word in output


# The password

@pytest.mark.parametrize("stdin, says", [
    ("", "no password was given"),
    ("\n", "no password was given"),
    ("\nsecret\n", "no password was given"),
    ("x" * 257, "the password is longer than 256 bytes"),
    ("x" * 100000 + "\n", "the password is longer than 256 bytes"),
    ("secret\r\n", "the password has a control character"),
    ("sec\0ret\n", "the password has a control character"),
    ("sec\tret\n", "the password has a control character"),
    ("\x7f", "the password has a control character"),
])
def test_unusable_password(user, mariadb, address, stdin, says):
    user("add", address, stdin=stdin, status=1, says=says)
    assert address not in [row[0] for row in mariadb.users()]

    user("add", address, stdin=PASSWORD)
    before = mariadb.users()
    user("passwd", address, stdin=stdin, status=1, says=says)
    assert mariadb.users() == before


@pytest.mark.parametrize("password", [
    "x", "x" * 256, " leading and trailing ", "gr\u00fc\u00df \U0001f511",
    "$y$j9T$", "'\"\\%_?", *INJECTIONS,
])
def test_password(user, mariadb, address, password):
    before = mariadb.users()

    # only the first line counts
    user("add", address, stdin=f"{password}\nsecond line\n")

    assert matches(password, mariadb.hash_of(address))
    assert mariadb.users()[:-1] == before


class Terminal:
    """v2m-user on a terminal of its own."""

    def __init__(self, arguments, env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(BUILD / "v2m-user", ["v2m-user", *arguments], env)
        self.output = ""
        self.status = None

    def read(self):
        ready, _, _ = select.select([self.fd], [], [], 0.05)
        if ready:
            try:
                self.output += os.read(self.fd, 4096).decode()
            except OSError:
                # the other side is closed
                time.sleep(0.05)

    def expect(self, text):
        def seen():
            self.read()
            return text in self.output
        wait_for(seen, 20, 0, what=f"{text!r} in {self.output!r}")

    def type(self, text):
        os.write(self.fd, text.encode())

    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def ended(self):
        def gone():
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
            return pid
        wait_for(gone, 20, 0, what="the end of v2m-user")
        return self.status


@pytest.fixture
def terminal(environment):
    started = []

    def start(*arguments):
        started.append(Terminal(arguments, environment))
        return started[-1]

    yield start

    for each in started:
        if each.status is None:
            os.kill(each.pid, signal.SIGKILL)
            os.waitpid(each.pid, 0)
        os.close(each.fd)


def test_terminal(terminal, mariadb, address):
    asked = terminal("add", address)
    asked.expect("Password: ")
    assert not asked.echoes()
    asked.type(f"{PASSWORD}\n")
    asked.expect("The same again: ")
    assert not asked.echoes()
    asked.type(f"{PASSWORD}\n")

    assert os.waitstatus_to_exitcode(asked.ended()) == 0
    assert PASSWORD not in asked.output
    assert asked.echoes()
    assert matches(PASSWORD, mariadb.hash_of(address))


def test_terminal_not_the_same(terminal, mariadb, address):
    asked = terminal("add", address)
    asked.expect("Password: ")
    asked.type(f"{PASSWORD}\n")
    asked.expect("The same again: ")
    asked.type(f"{PASSWORD}x\n")
    asked.expect("the two passwords are not the same")

    assert os.waitstatus_to_exitcode(asked.ended()) == 1
    assert PASSWORD not in asked.output
    assert asked.echoes()
    assert address not in [row[0] for row in mariadb.users()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM,
                                    signal.SIGHUP])
def test_terminal_interrupted(terminal, mariadb, address, number):
    asked = terminal("add", address)
    asked.expect("Password: ")
    asked.type(f"{PASSWORD}\n")
    asked.expect("The same again: ")

    if number == signal.SIGINT:
        asked.type("\x03")
    else:
        os.kill(asked.pid, number)

    assert os.waitstatus_to_exitcode(asked.ended()) == -number
    assert PASSWORD not in asked.output
    assert asked.echoes()
    assert address not in [row[0] for row in mariadb.users()]


def test_terminal_stopped(terminal, mariadb, address):
    """Stopping it would leave the terminal without echo."""
    asked = terminal("add", address)
    asked.expect("Password: ")
    asked.type("\x1a")
    asked.type(f"{PASSWORD}\n")
    asked.expect("The same again: ")
    asked.type(f"{PASSWORD}\n")

    assert os.waitstatus_to_exitcode(asked.ended()) == 0
    assert matches(PASSWORD, mariadb.hash_of(address))


def test_terminal_known_already(terminal, user, address):
    """Nobody types a password in vain."""
    user("add", address, stdin=PASSWORD)

    asked = terminal("add", address)
    asked.expect("already")
    assert os.waitstatus_to_exitcode(asked.ended()) == 1
    assert "Password" not in asked.output

    asked = terminal("passwd", "b" + address)
    asked.expect("there is no user")
    assert os.waitstatus_to_exitcode(asked.ended()) == 1
    assert "Password" not in asked.output


# Settings

def test_settings_from_files(user, environment, tmp_path, address):
    settings = {}
    for name in ("HOST", "PORT", "USER", "PASSWORD", "DB"):
        path = tmp_path / name
        path.write_text(environment[f"MYSQL_{name}"] + "\n")
        settings[f"MYSQL_{name}"] = None
        settings[f"MYSQL_{name}_FILE"] = path

    user("add", address, stdin=PASSWORD, **settings)
    assert address in user("list", **settings)


def test_settings_wrong(user, environment, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(environment["MYSQL_PASSWORD"])

    user("list", status=1, MYSQL_PASSWORD_FILE=secret,
         says="both MYSQL_PASSWORD and MYSQL_PASSWORD_FILE are set")
    user("list", status=1, MYSQL_PASSWORD=None,
         MYSQL_PASSWORD_FILE=tmp_path / "missing", says="MYSQL_PASSWORD_FILE")

    for port in ("0", "65536", "x", "3306x", "-1"):
        user("list", status=1, MYSQL_PORT=port, says="MYSQL_PORT")

    user("list", status=1, MYSQL_DB="nowhere", says="nowhere")


def test_password_of_the_database(user, environment):
    for password in ("wrong secret", None, ""):
        result = subprocess.run(
            [str(BUILD / "v2m-user"), "list"], capture_output=True, text=True,
            env={**environment, "MYSQL_PASSWORD": password or ""},
        )
        assert result.returncode == 1
        assert "cannot connect to MariaDB at 127.0.0.1:" in result.stderr
        assert "Access denied" in result.stderr
        assert "wrong secret" not in result.stderr


def test_server_away(stack, user, address):
    user("add", address, stdin=PASSWORD)
    stack.stop("mariadb")
    try:
        user("list", status=1, says="cannot connect to MariaDB at 127.0.0.1:")
        user("add", "b" + address, stdin=PASSWORD, status=1,
             says="cannot connect to MariaDB")
    finally:
        stack.start("mariadb")

    assert user("list", address) == f"{address}\tuser\tenabled\tdefault\tdefault\n"


# What else may be in the table

def test_foreign_rows(user, mariadb):
    email = f"{uuid.uuid4().hex}@example.org"
    mariadb.admin(f"""
        INSERT INTO auth.user (email, password) VALUES
            ('1{email}\\n\\t\x1b[2J\x7f', 'Admin123'),
            ('2{email}', '$2b$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/'),
            ('3{email}', ''),
            ('4{email}', REPEAT('x', 383)),
            ('J\u00fcrgen{email}', '*')
    """)
    try:
        lines = [line for line in user("list").splitlines() if email in line]
        assert lines == [
            f"1{email}???[2J?\tuser\tno-hash\tdefault\tdefault",
            f"2{email}\tuser\tenabled\tdefault\tdefault",
            f"3{email}\tuser\tno-hash\tdefault\tdefault",
            f"4{email}\tuser\tno-hash\tdefault\tdefault",
            f"J\u00fcrgen{email}\tuser\tno-hash\tdefault\tdefault",
        ]
        user("passwd", f"3{email}", stdin=PASSWORD)
        assert user("list", f"3{email}") == f"3{email}\tuser\tenabled\tdefault\tdefault\n"
        user("delete", f"J\u00fcrgen{email}")
    finally:
        mariadb.admin(f"DELETE FROM auth.user WHERE email LIKE '%{email}%'")
