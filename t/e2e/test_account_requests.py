"""Requests to register and for another password (v2m_accounts.h), over a real
MariaDB, with the rights of the gateway and of the notifier."""

import concurrent.futures
import hashlib
import os
import re
import subprocess

import pytest

from conftest import SANITIZER_EXIT
from users import (  # noqa: F401, the fixtures
    PASSWORD, admin_password, environment, mariadb, user,
)


class Accounts:
    """The program drive_accounts."""

    def __init__(self, path, env):
        self.process = subprocess.Popen(
            [path], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    def __call__(self, line):
        """(code, text) of the answer."""
        self.process.stdin.write(os.fsencode(line) + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode()
        assert answer, self.process.communicate()[1].decode()
        code, _, text = answer.rstrip("\n").partition(" ")
        if code == "not":  # "not found"
            code, _, text = answer.rstrip("\n").partition(" found ")
        return code, text

    def ok(self, line):
        code, text = self(line)
        assert code == "ok", text
        return text

    def end(self):
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors.decode()


@pytest.fixture
def accounts(stack, mariadb, driver, no_other_notifier):
    """Starts drive_accounts as a database user; with no requests in the
    table."""
    started = []
    mariadb.admin("DELETE FROM auth.account_request")

    def start(name):
        secret = {"v2m": "mysql", "v2m_notifier": "mysql-notifier"}[name]
        env = {**os.environ, **stack.env, "MYSQL_USER": name,
               "MYSQL_PASSWORD":
                   (stack.run / "secrets" / secret).read_text().strip(),
               "ASAN_OPTIONS": f"exitcode={SANITIZER_EXIT}"}
        started.append(Accounts(driver("accounts"), env))
        return started[-1]

    yield start

    for each in started:
        each.end()
    mariadb.admin("DELETE FROM auth.account_request")


@pytest.fixture
def gateway(accounts):
    return accounts("v2m")


@pytest.fixture
def notifier(accounts):
    return accounts("v2m_notifier")


NOTHING = ("not", "no request is due")
LOST = ("conflict", "the request is in somebody else's hands by now")
INVALID = ("denied", "the link is not valid, or not valid any more")


def later(mariadb, seconds):
    """So much time goes by for all requests."""
    mariadb.admin(
        f"UPDATE auth.account_request SET asked = asked - {seconds}, "
        f"expires = expires - {seconds}, due = due - {seconds}, "
        f"owner_until = GREATEST(owner_until - {seconds}, 0), "
        f"token_until = GREATEST(token_until - {seconds}, 0)")


def rows(mariadb):
    """Those that have not expired."""
    return int(mariadb.admin("SELECT COUNT(*) FROM auth.account_request"
                             " WHERE expires > UNIX_TIMESTAMP()")[0][0])


@pytest.mark.parametrize("purpose", ["register", "reset"])
def test_request(gateway, notifier, mariadb, address, purpose):
    """From asking to the token, which is nowhere in the database."""
    assert notifier("claim 60") == NOTHING
    assert gateway(f"ask {purpose} 3600 {address}") == ("ok", "")

    found = notifier.ok("claim 60").split()
    assert found[:4] == [purpose, "unknown", address, "3600"]
    assert int(found[4]) <= 5 and found[5] == "0"

    token = notifier.ok("token")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
    assert notifier("sent") == ("ok", "")
    assert notifier("sent") == LOST
    assert notifier("token") == LOST
    assert notifier("claim 60") == NOTHING

    assert gateway(f"find {token}") == ("ok", f"{purpose} {address}")
    assert gateway(f"find {token.swapcase()}") == INVALID
    assert gateway(f"find {token[:-1]}") == INVALID
    assert gateway("find ") == INVALID
    assert gateway("find %") == INVALID

    stored = mariadb.admin("SELECT * FROM auth.account_request")[0]
    assert token not in stored
    assert hashlib.sha256(token.encode()).hexdigest() in stored
    assert gateway(f"find {hashlib.sha256(token.encode()).hexdigest()}") \
        == INVALID

    later(mariadb, 3590)
    assert gateway(f"find {token}") == ("ok", f"{purpose} {address}")
    assert notifier("expire") == ("ok", "0")
    later(mariadb, 20)
    assert gateway(f"find {token}") == INVALID
    assert notifier("expire") == ("ok", "1")
    assert rows(mariadb) == 0


@pytest.mark.parametrize("address", [
    "", "nobody", "a@b\r\nBcc: c@example.org", "a@example.org ", "<a@b.org>",
    "a@example.org,b@example.org", "\u00e4@example.org", "a\tb@example.org",
    "a" * 65 + "@example.org", "a@" + "b" * 300 + ".org",
])
def test_request_of_no_address(gateway, mariadb, address):
    if "\n" in address:
        address = address.replace("\n", "\v")  # one line to the driver
    assert gateway(f"ask register 60 {address}")[0] == "invalid"
    assert rows(mariadb) == 0


def test_request_states(gateway, notifier, mariadb, user, address):
    """What there is of the address, whatever its case, and where mail goes."""
    user("add", address, stdin=PASSWORD)
    asked = address.upper()

    gateway.ok(f"ask reset 60 {asked}")
    assert notifier.ok("claim 60").startswith(f"reset known {address} 60")

    user("disable", address)
    gateway.ok(f"ask register 60 {asked}")
    assert notifier.ok("claim 60").startswith(f"register disabled {asked} 60")

    user("delete", address)
    later(mariadb, 61)
    assert notifier.ok("claim 60").split()[1] == "unknown"


def test_request_of_an_address_that_looks_alike(gateway, notifier, mariadb,
                                                address):
    """Collations are blind to accents and to spaces at the end: such an account
    is none of whoever has the address without."""
    for stored in ("\u00e4" + address, "a" + address + " "):
        mariadb.admin(f"INSERT INTO auth.user (email, password) "
                      f"VALUES ('{stored}', 'x')")
        try:
            gateway.ok(f"ask reset 60 a{address}")
            assert notifier.ok("claim 60").startswith(
                f"reset disabled a{address} ")
            notifier.ok("drop")
        finally:
            mariadb.admin(f"DELETE FROM auth.user WHERE email = '{stored}'")


def test_request_again(gateway, notifier, mariadb, user, address):
    """One mail waits at a time, and three links are good at a time, however
    often and in whatever case it is asked; that looks the same whether there is
    such an account or not."""
    other = f"other-{address}"
    user("add", other, stdin=PASSWORD)
    counts = {address: [], other: []}

    for asked, seen in counts.items():
        for _ in range(5):
            for text in (asked, asked.upper(), asked):
                gateway.ok(f"ask reset 3600 {text}")
            gateway.ok(f"ask register 3600 {asked}")
            seen.append(rows(mariadb))

            for _ in range(2):
                code, text = notifier("claim 60")
                if code == "ok" and " known " in text:
                    notifier.ok("token")
                    notifier.ok("sent")
                elif code == "ok":
                    notifier.ok("drop")
        later(mariadb, 3601)
        notifier.ok("expire")

    assert counts[address] == counts[other] == [2, 4, 6, 6, 6]


def test_request_in_vain(gateway, notifier, mariadb, user, address):
    """S11: it is as much work, whether the mail before was sent by now, or the
    address has none to wait for, or had enough of them."""
    known = f"known-{address}"
    user("add", known, stdin=PASSWORD)

    def written():
        return int(mariadb.admin(
            "SELECT COUNT(*) FROM auth.account_request")[0][0])

    for count in range(5):
        for each in (address, known):
            before = written()
            gateway.ok(f"ask reset 3600 {each}")
            assert written() == before + 1
        while (found := notifier("claim 3600"))[0] == "ok":
            if " unknown " in found[1]:
                notifier.ok("drop")
    assert rows(mariadb) == 4

    assert notifier("expire") == ("ok", "6")
    assert rows(mariadb) == 4


def test_request_again_when_links_expired(gateway, notifier, mariadb, address):
    for _ in range(4):
        gateway.ok(f"ask register 60 {address}")
        if notifier("claim 60")[0] == "ok":
            notifier.ok("token")
            notifier.ok("sent")
    assert notifier("claim 60") == NOTHING
    later(mariadb, 61)
    gateway.ok(f"ask register 60 {address}")
    assert notifier("claim 60")[0] == "ok"


def test_request_flood(accounts, mariadb, address):
    """Many at once for one address."""
    gateways = [accounts("v2m") for _ in range(8)]
    with concurrent.futures.ThreadPoolExecutor(len(gateways)) as pool:
        answers = list(pool.map(
            lambda gateway: [gateway(f"ask reset 60 {address}")
                             for _ in range(20)], gateways))
    assert {answer for each in answers for answer in each} == {("ok", "")}
    assert rows(mariadb) == 1


def test_request_claimed_by_many(gateway, accounts, address):
    """Each by one notifier only."""
    count = 30
    for number in range(count):
        gateway.ok(f"ask register 60 {number}-{address}")

    def work(notifier):
        mine = []
        while (answer := notifier("claim 60"))[0] == "ok":
            mine.append(answer[1].split()[2])
            notifier.ok("token")
            notifier.ok("sent")
        assert answer == NOTHING
        return mine

    notifiers = [accounts("v2m_notifier") for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor(len(notifiers)) as pool:
        claimed = sum(pool.map(work, notifiers), [])
    assert sorted(claimed) == sorted(f"{number}-{address}"
                                     for number in range(count))


def test_request_of_a_notifier_that_died(gateway, accounts, mariadb, address):
    """Its claim runs out; it loses it when it was only slow, and the token of
    its try is good no longer."""
    slow, other = accounts("v2m_notifier"), accounts("v2m_notifier")
    gateway.ok(f"ask register 3600 {address}")
    slow.ok("claim 60")
    first = slow.ok("token")
    later(mariadb, 50)
    assert other("claim 60") == NOTHING
    assert gateway(f"find {first}")[0] == "ok"

    later(mariadb, 20)
    other.ok("claim 60")
    for command in ("token", "sent", "drop", "put-off 1 1"):
        assert slow(command) == LOST
    second = other.ok("token")
    assert gateway(f"find {first}") == INVALID
    assert gateway(f"find {second}")[0] == "ok"
    other.ok("sent")


def test_request_put_off(gateway, notifier, mariadb, address):
    """The link of each try is good from then on, for as long as was asked."""
    gateway.ok(f"ask register 3600 {address}")
    notifier.ok("claim 60")
    first = notifier.ok("token")
    notifier.ok("put-off 100 1")
    assert notifier("claim 60") == NOTHING
    assert gateway(f"find {first}")[0] == "ok"

    later(mariadb, 110)
    found = notifier.ok("claim 60").split()
    assert 110 <= int(found[4]) <= 120 and found[5] == "1"
    notifier.ok("put-off 7200 2")

    later(mariadb, 7210)
    assert gateway(f"find {first}") == INVALID
    assert notifier("expire") == ("ok", "0")
    notifier.ok("claim 60")
    second = notifier.ok("token")
    notifier.ok("sent")
    later(mariadb, 3590)
    assert gateway(f"find {second}")[0] == "ok"


def test_request_refused(gateway, notifier, address):
    gateway.ok(f"ask register 3600 {address}")
    notifier.ok("claim 60")
    token = notifier.ok("token")
    notifier.ok("drop")
    assert gateway(f"find {token}") == INVALID
    assert notifier("claim 60") == NOTHING


def test_request_never_mailed(gateway, notifier, mariadb, address):
    gateway.ok(f"ask register 3600 {address}")
    later(mariadb, 86401)
    assert notifier("claim 60") == NOTHING
    assert notifier("expire") == ("ok", "1")
    gateway.ok(f"ask register 3600 {address}")
    notifier.ok("claim 60")


def test_request_again_after_one_that_was_never_mailed(gateway, notifier,
                                                       mariadb, address):
    """It is in nobody's way: neither until it is deleted, as while no notifier
    runs, nor while its last try's token keeps it."""
    gateway.ok(f"ask register 86400 {address}")
    later(mariadb, 86401)
    gateway.ok(f"ask register 86400 {address}")
    assert rows(mariadb) == 1
    notifier.ok("claim 60")
    notifier.ok("put-off 86000 1")

    later(mariadb, 86010)
    notifier.ok("claim 60")
    first = notifier.ok("token")
    notifier.ok("put-off 600 2")
    later(mariadb, 600)
    assert notifier("expire") == ("ok", "0")
    assert notifier("claim 60") == NOTHING
    assert gateway(f"find {first}")[0] == "ok"

    gateway.ok(f"ask register 86400 {address}")
    notifier.ok("claim 60")
    second = notifier.ok("token")
    notifier.ok("sent")
    assert gateway(f"find {first}") == INVALID
    assert gateway(f"find {second}")[0] == "ok"


@pytest.mark.parametrize("commands", [("passwd",), ("logout",),
                                      ("disable", "enable"),
                                      ("delete", "add")])
def test_link_before_the_account_was_secured(gateway, notifier, mariadb, user,
                                             address, commands):
    """Who could read the mails before is out, and who asks now is not."""
    user("add", address, stdin=PASSWORD)

    def link():
        gateway.ok(f"ask reset 3600 {address.upper()}")
        notifier.ok("claim 60")
        token = notifier.ok("token")
        notifier.ok("sent")
        return token

    before = link()
    later(mariadb, 2)
    assert gateway(f"find {before}")[0] == "ok"
    for command in commands:
        user(command, address, stdin=PASSWORD)
    assert gateway(f"find {before}") == INVALID
    assert gateway(f"find {link()}")[0] == "ok"


def test_requests_in_their_order(gateway, notifier, mariadb, address):
    for number in range(3):
        gateway.ok(f"ask register 60 {number}-{address}")
        later(mariadb, 1)
    assert [notifier.ok("claim 60").split()[2][0] for _ in range(3)] \
        == ["0", "1", "2"]


def test_request_without_the_table(accounts, mariadb):
    """What a gateway says before v2m-schema was run."""
    gateway = accounts("v2m")
    mariadb.admin("RENAME TABLE auth.account_request TO auth.elsewhere")
    try:
        code, text = gateway("ask register 60 a@example.org")
    finally:
        mariadb.admin("RENAME TABLE auth.elsewhere TO auth.account_request")
    assert code == "error" and "(v2m-schema makes what is missing)" in text
