"""The decision who may log in (v2m_login.h), over a real MariaDB that also
stops, hangs and comes back."""

import os
import statistics
import subprocess

import pytest

from conftest import SANITIZER_EXIT, wait_for
from users import (  # noqa: F401, the fixtures
    INJECTIONS, PASSWORD, admin_password, environment, mariadb, unchanged,
    user,
)

# bcrypt and sha512crypt of "correct horse", as other programs store them
FOREIGN = [
    "$2b$05$1q.0ac.aGo8y1uJFqWQzyuYHcRjU29ZoiGG14RwI5c091KaLkSzJ6",
    "$7$CU..../....aOeVKYwjJHQBLqbyTRdy21$"
    "JREIwKFvVDI7zBXxVjQxXeZH6hO8rHTBdZ0XHn9hSSB",
]

COST = 5  # of hashes, as is the default

DENIED = ("denied", "invalid credentials")


class Logins:
    """The program drive_login."""

    def __init__(self, path, timeout_ms, cost, env):
        self.process = subprocess.Popen(
            [path, str(timeout_ms), str(cost)], env=env, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )

    def say(self, line):
        """(seconds, code, text) of the answer."""
        self.process.stdin.write(os.fsencode(line) + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode(
            errors="backslashreplace")
        assert answer, self.process.communicate()[1].decode()
        duration, code, *text = answer.rstrip("\n").split(" ", 2)
        return int(duration) / 1e6, code, text[0] if text else ""

    def __call__(self, email, password):
        return self.say(f"login {email}\t{password}")[1:]

    def storm(self, count):
        """How often each code was the answer."""
        _, code, rest = self.say(f"storm {count}")
        words = [code, *rest.split()]
        return {name: int(number)
                for name, number in zip(words[::2], words[1::2])}

    def ping(self):
        return self.say("ping")[1]

    def end(self):
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors.decode()


@pytest.fixture
def logins(stack, driver):
    """drive_login with the rights of the gateway."""
    started = []

    def start(timeout_ms=10000, cost=COST, **settings):
        env = {**os.environ, **stack.env,
               **{name: str(value) for name, value in settings.items()},
               "ASAN_OPTIONS": f"exitcode={SANITIZER_EXIT}"}
        started.append(Logins(driver("login"), timeout_ms, cost, env))
        return started[-1]

    yield start

    for each in started:
        each.end()


@pytest.fixture
def login(logins):
    return logins()


@pytest.fixture
def account(user, address):
    user("add", address, stdin=PASSWORD)
    return address


@pytest.fixture
def through(stack, logins, relay):
    """drive_login by a relay to MariaDB, with short timeouts."""
    way = relay((stack.env["MYSQL_HOST"], int(stack.env["MYSQL_PORT"])))
    return way, logins(1000, MYSQL_HOST="127.0.0.1", MYSQL_PORT=way.port)


def test_login(login, user, account):
    assert login(account, PASSWORD) == ("ok", f"{account} 0")
    assert login(account, PASSWORD + "x") == DENIED
    assert login(account, PASSWORD[:-1]) == DENIED
    assert login(account, PASSWORD.upper()) == DENIED
    assert login(account, "") == DENIED
    assert login(account, "x" * 1000) == DENIED
    assert login("x" + account, PASSWORD) == DENIED
    assert login("", PASSWORD) == DENIED
    assert login("x" * 1000, PASSWORD) == DENIED

    # the name in the token is the one in the table
    assert login(account.upper(), PASSWORD) == ("ok", f"{account} 0")

    user("passwd", account, stdin="another one")
    assert login(account, PASSWORD) == DENIED
    assert login(account, "another one") == ("ok", f"{account} 0")

    user("disable", account)
    assert login(account, "another one") == DENIED
    user("enable", account)
    assert login(account, "another one") == ("ok", f"{account} 0")

    user("delete", account)
    assert login(account, "another one") == DENIED


def test_administrator(login, user, address):
    user("add", "--admin", address, stdin=PASSWORD)
    assert login(address, PASSWORD) == ("ok", f"{address} 1")


def test_hashes_from_elsewhere(login, user, mariadb, account):
    for stored in FOREIGN:
        mariadb.admin(f"UPDATE auth.user SET password = '{stored}' "
                      f"WHERE email = '{account}'")
        assert login(account, PASSWORD) == ("ok", f"{account} 0")
        assert login(account, "wrong") == DENIED
        assert login(account, stored) == DENIED


def test_old_hash_is_renewed(logins, user, mariadb, account):
    """Of another method or a lower cost, by a login that succeeds."""
    def parameters():
        return "$".join(mariadb.hash_of(account).split("$")[:3])

    def set_hash(stored):
        mariadb.admin(f"UPDATE auth.user SET password = '{stored}' "
                      f"WHERE email = '{account}'")

    cheap, usual, dear = logins(cost=1), logins(cost=COST), logins(cost=6)

    assert parameters() == "$y$j9T"
    assert cheap(account, PASSWORD) == ("ok", f"{account} 0")
    assert usual(account, PASSWORD) == ("ok", f"{account} 0")
    assert parameters() == "$y$j9T"

    before = mariadb.hash_of(account)
    assert dear(account, "wrong") == DENIED
    assert mariadb.hash_of(account) == before
    assert dear(account, PASSWORD) == ("ok", f"{account} 0")
    assert parameters() == "$y$jAT"
    assert usual(account, PASSWORD) == ("ok", f"{account} 0")
    assert parameters() == "$y$jAT"

    for stored in FOREIGN:
        set_hash(stored)
        user("disable", account)
        assert cheap(account, PASSWORD) == DENIED
        user("enable", account)
        assert mariadb.hash_of(account) == stored
        assert cheap(account, PASSWORD) == ("ok", f"{account} 0")
        assert mariadb.hash_of(account).startswith("$y$j75$")

    # many at once: one of them renews it, none overwrites another's
    assert usual.storm(16) == {"ok": 16}
    assert parameters() == "$y$j9T"
    assert usual(account, PASSWORD) == ("ok", f"{account} 0")


def test_old_hash_stays_without_the_right_to_renew_it(
        logins, mariadb, account):
    mariadb.admin(f"""
        CREATE DATABASE auth_read;
        CREATE TABLE auth_read.user LIKE auth.user;
        INSERT INTO auth_read.user (email, password)
            VALUES ('{account}', '{FOREIGN[0]}');
        GRANT SELECT ON auth_read.user TO 'v2m'@'%';
    """)
    try:
        login = logins(MYSQL_DB="auth_read")
        code, text = login(account, PASSWORD)
        assert code == "ok" and text.startswith(f"{account} 0MariaDB at ")
        assert text.endswith(" (v2m-schema grants what is missing)")
        assert "$" not in text

        # it is not tried again and again
        assert login(account, PASSWORD) == ("ok", f"{account} 0")
        assert mariadb.hash_of(account, "auth_read") == FOREIGN[0]
    finally:
        mariadb.admin("REVOKE SELECT ON auth_read.user FROM 'v2m'@'%';"
                      "DROP DATABASE auth_read;")


@pytest.mark.parametrize("stored", ["Admin123", "", "*", "abedYVJsy5v3I",
                                    "5f4dcc3b5aa765d61d8327deb882cf99"])
def test_plain_text(login, mariadb, account, stored):
    mariadb.admin(f"UPDATE auth.user SET password = '{stored}' "
                  f"WHERE email = '{account}'")

    for password in (stored, "Admin123", "", PASSWORD):
        code, text = login(account, password)
        assert code == "invalid"
        assert account in text and "never matches" in text
        assert not stored or stored not in text.replace(account, "")


def test_password_with_a_zero_byte(login, user, mariadb, account):
    """What is stored is not cut there, and hides nobody."""
    mariadb.admin(f"UPDATE auth.user SET password = CONCAT(password, '\\0x') "
                  f"WHERE email = '{account}'")
    assert login(account, PASSWORD)[0] == "invalid"
    assert login(account, "")[0] == "invalid"
    assert f"{account}\tuser\tno-hash\tdefault\tdefault\n" in user("list")


@pytest.mark.parametrize("text", INJECTIONS)
def test_injection(login, account, unchanged, text):
    """S13"""
    assert login(text, PASSWORD) == DENIED
    assert login(text, text) == DENIED
    assert login(account, text) == DENIED
    assert login(account + text, PASSWORD) == DENIED
    assert login(account, PASSWORD) == ("ok", f"{account} 0")


@pytest.mark.parametrize("email", [
    b"\xff\xfe@example.org", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
    "\U0001f511@example.org".encode(), "j\u00fcrgen@example.org".encode(),
    b"\x01\x02\x1b[2J", b"\\", b"a\\",
])
def test_odd_names(login, unchanged, email):
    assert login(os.fsdecode(email), PASSWORD) == DENIED


@pytest.mark.parametrize("charset", ["latin1", "utf8mb3", "ascii"])
def test_odd_names_in_a_narrow_table(stack, logins, mariadb, charset):
    """Neither an error nor someone else's row."""
    name = f"auth_{charset}"
    mariadb.admin(f"""
        CREATE DATABASE {name} CHARACTER SET {charset};
        CREATE TABLE {name}.user (
            id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
            email VARCHAR(255) NOT NULL UNIQUE,
            password VARCHAR(255) NOT NULL
        );
        INSERT INTO {name}.user (email, password)
            VALUES ('?@example.org', '{FOREIGN[0]}'),
                   ('a@example.org', '{FOREIGN[0]}');
        GRANT SELECT, UPDATE (password) ON {name}.user TO 'v2m'@'%';
    """)
    try:
        login = logins(MYSQL_DB=name)
        assert login("a@example.org", PASSWORD) == ("ok", "a@example.org 0")
        assert login("\U0001f511@example.org", PASSWORD) == DENIED
        assert login("\u4e2d@example.org", PASSWORD) == DENIED
        assert login("\udcff@example.org", PASSWORD) == DENIED
    finally:
        mariadb.admin(f"REVOKE ALL ON {name}.user FROM 'v2m'@'%';"
                      f"DROP DATABASE {name};")


def test_same_time(login, user, account):
    """S11: an unknown, a disabled and an unusable account take as long as a
    known one."""
    off, plain = "off." + account, "plain." + account
    user("add", off, stdin=PASSWORD)
    user("disable", off)

    asked = {
        "known": (account, "wrong"),
        "right": (account, PASSWORD),
        "unknown": ("un." + account, "wrong"),
        "disabled": (off, PASSWORD),
        "not UTF-8": ("\udcff", "wrong"),
        "long name": ("x" * 300, "wrong"),
        "long password": (account, "x" * 300),
        "no password": (plain, ""),
    }
    times = {name: [] for name in asked}

    for _ in range(25):
        for name, (email, password) in asked.items():
            times[name].append(login.say(f"login {email}\t{password}")[0])

    medians = {name: statistics.median(each) for name, each in times.items()}
    for name, median in medians.items():
        assert 0.5 < median / medians["known"] < 2, medians


def test_storm(login, account):
    """More threads than connections, and no connection to two of them."""
    login(account, PASSWORD)
    assert login.storm(64) == {"ok": 64}

    login(account, "wrong")
    assert login.storm(64) == {"denied": 64}


def test_server_restarts(stack, login, account):
    """F6, F17"""
    login(account, PASSWORD)
    assert login.storm(16) == {"ok": 16}

    stack.stop("mariadb")
    try:
        code, text = login(account, PASSWORD)
        assert code == "unavailable"
        assert text.startswith("cannot connect to MariaDB at 127.0.0.1:")
        assert login.storm(64) == {"unavailable": 64}
        assert login.ping() == "unavailable"
    finally:
        stack.start("mariadb")

    # each of the many idle connections was lost, and none does harm
    assert login(account, PASSWORD) == ("ok", f"{account} 0")
    assert login.storm(64) == {"ok": 64}
    assert login.ping() == "ok"


def test_connections_break(through, account):
    way, login = through
    login(account, PASSWORD)
    assert login.storm(16) == {"ok": 16}

    for _ in range(3):
        way.cut()
        assert login(account, PASSWORD) == ("ok", f"{account} 0")

    way.refuse()
    assert login(account, PASSWORD)[0] == "unavailable"
    assert login.storm(32) == {"unavailable": 32}
    way.serve()
    assert login.storm(32) == {"ok": 32}


def test_server_hangs(through, account):
    """Every wait ends, and leaves nothing behind."""
    way, login = through
    assert login(account, PASSWORD)[0] == "ok"

    way.freeze()
    assert login(account, PASSWORD)[0] == "unavailable"
    assert login.storm(32) == {"unavailable": 32}
    way.thaw()

    wait_for(lambda: login(account, PASSWORD)[0] == "ok")
    assert login.storm(16) == {"ok": 16}


def test_ended_by_the_server(mariadb, login, account):
    """As after wait_timeout."""
    login(account, PASSWORD)
    login.storm(16)

    ids = mariadb.admin("SELECT id FROM information_schema.processlist "
                        "WHERE user = 'v2m'")
    assert ids
    mariadb.admin("".join(f"KILL {row[0]};" for row in ids))

    assert login(account, PASSWORD) == ("ok", f"{account} 0")
    assert login.storm(16) == {"ok": 16}
