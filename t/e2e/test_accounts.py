"""Accounts that people make themselves, and new passwords: a gateway, MariaDB,
the notifier and a mail server, from the request to the upload."""

import concurrent.futures
import json
import signal

import pytest

from accounts import (  # noqa: F401, the fixtures
    gateway, mailer, open_gateway, requests, token_of)
from checks import clip
from client import Client
from conftest import wait_for
from notices import notifier  # noqa: F401, the fixtures
from users import (  # noqa: F401, the fixtures
    PASSWORD, admin_password, environment, mariadb, user)

OTHER = "another horse, näïve battery"

GONE = "the link is not valid, or not valid any more: ask for a new one"


class Visitor(Client):
    """Somebody without an account, or without the password."""

    def post_json(self, path, **fields):
        return self.request("POST", path, json.dumps(fields).encode(),
                            {"Content-Type": "application/json"})

    def register(self, address):
        return self.post_json("/register", email=address)

    def reset(self, address):
        return self.post_json("/password/reset", email=address)

    def set_password(self, token, password):
        return self.post_json("/password", token=token, password=password)


def login(url, address, password):
    """The answer to one login."""
    client = Client(url, address, password)
    return client.request("POST", "/login", headers=client.basic())


@pytest.fixture
def visitor(gateway):
    return Visitor(gateway.url)


def link(stack, address, count=1):
    """The token of the latest of so many mails to an address."""
    mails = wait_for(lambda: [found for found in [stack.mails(address)]
                              if len(found) >= count],
                     what=f"{count} mails to {address}")[0]
    assert len(mails) == count
    return token_of(mails[-1])


def test_register(stack, gateway, visitor, mailer, requests, address):
    """From nothing to an upload; the link works once."""
    mailer()
    answer = visitor.register(address).expect(202)
    assert login(gateway.url, address, PASSWORD).status == 401
    token = link(stack, address)

    # a password that will not do leaves the link as it is
    assert "8 characters" in visitor.set_password(
        token, "short").expect(422).detail
    visitor.set_password(token, PASSWORD).expect(204)
    assert visitor.set_password(token, OTHER).expect(403).detail == GONE
    assert not requests.row(address)

    client = Client(gateway.url, address, PASSWORD).login()
    job = client.upload(clip(), name="a.mp4")
    assert client.ready(job["id"])["state"] == "ready"
    client.delete_all()

    # who has one gets another mail, and the same answer
    again = visitor.register(address).expect(202)
    assert again.body == answer.body
    mail = wait_for(lambda: [mail for mail in stack.mails(address)
                             if "already" in mail["Subject"]])[0]
    assert "password=" not in mail.as_string()
    assert login(gateway.url, address, PASSWORD).status == 200


def test_reset(stack, gateway, visitor, mailer, requests, user, address):
    """The old password and old tokens are refused, here and at the other
    gateway, and so are other links of before."""
    mailer()
    user("add", address, stdin=PASSWORD)
    client = Client(gateway.url, address, PASSWORD).login()
    client.request("POST", "/validate").expect(200)
    visitor.reset(address).expect(202)
    first = link(stack, address)
    visitor.reset(address).expect(202)
    second = link(stack, address, 2)
    visitor.set_password(second, OTHER).expect(204)

    assert login(gateway.url, address, PASSWORD).status == 401
    client.request("POST", "/validate").expect(401)
    elsewhere = Client(stack.url, token=client.token)
    wait_for(lambda: elsewhere.request("POST", "/validate").status == 401)
    new = Client(gateway.url, address, OTHER).login()
    new.request("POST", "/validate").expect(200)
    visitor.set_password(first, PASSWORD).expect(403)


def test_nobody_is_told(stack, visitor, mailer, requests, user, address):
    """Unknown, disabled and known addresses: the answers are the same, and only
    who has an account gets a mail."""
    disabled, known = f"disabled-{address}", f"known-{address}"
    for each in (disabled, known):
        user("add", each, stdin=PASSWORD)
    user("disable", disabled)
    answers = [visitor.reset(each).expect(202)
               for each in (address, disabled, known)]
    assert len({answer.body for answer in answers}) == 1
    mailer()
    for each in (address, disabled, known):
        requests.wait_done(each)
    assert len(stack.mails(known)) == 1
    assert not [mail for mail in stack.mails(address)
                if mail["To"] != known]


def test_wrong_links(visitor, mailer, requests, stack, mariadb, address):
    """One that has expired, and what is none."""
    mailer()
    visitor.register(address).expect(202)
    token = link(stack, address)
    mariadb.admin("UPDATE auth.account_request SET token_until ="
                  f" UNIX_TIMESTAMP() - 1 WHERE email = '{address}'")
    for each in (token, token[::-1], "a" * 43, "x"):
        assert visitor.set_password(each, PASSWORD).expect(403).detail == GONE
    assert not mariadb.admin("SELECT 1 FROM auth.user"
                             f" WHERE email = '{address}'")


def test_once_of_many(stack, gateway, visitor, mailer, requests, address):
    """Of calls with one link at the same time one sets the password."""
    mailer()
    visitor.register(address).expect(202)
    token = link(stack, address)
    passwords = [f"{PASSWORD} {i}" for i in range(4)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = list(pool.map(
            lambda each: visitor.set_password(token, each), passwords))
    assert sorted(answer.status for answer in answers) == [204, 403, 403, 403]
    good, = [password for password, answer in zip(passwords, answers)
             if answer.status == 204]
    assert login(gateway.url, address, good).status == 200


def test_servers_away(stack, relay, requests, mailer, tmp_path, address):
    """F15, F17: without the database 503, and the link stays good; what was
    asked for before is mailed when database and mail server are back."""
    database = relay((stack.env["MYSQL_HOST"], int(stack.env["MYSQL_PORT"])))
    smtp = relay(stack.env["V2M_SMTP_URL"])
    way = {"MYSQL_HOST": "127.0.0.1", "MYSQL_PORT": str(database.port)}
    with open_gateway(stack, tmp_path / "run", **way) as gateway:
        visitor = Visitor(gateway.url)
        smtp.refuse()
        program = mailer(V2M_SMTP_URL=smtp.url, **way)
        visitor.register(address).expect(202)
        program.wait_log("mail not sent yet")
        database.refuse()
        for answer in (visitor.register(f"second-{address}"),
                       visitor.set_password("a" * 43, PASSWORD)):
            assert answer.expect(503).headers["Retry-After"]
        smtp.serve()
        program.wait_log("wait for the users' database")
        assert not stack.mails(address)
        database.serve()
        token = link(stack, address)

        database.refuse()
        visitor.set_password(token, PASSWORD).expect(503)
        database.serve()
        visitor.set_password(token, PASSWORD).expect(204)
        assert login(gateway.url, address, PASSWORD).status == 200


def test_notifier_killed(stack, visitor, mailer, requests, address):
    """Between storing the token and sending: there is another mail, and its
    link works."""
    program = mailer(v2m_test_point="account-token")
    visitor.register(address).expect(202)
    assert program.wait() == -signal.SIGKILL
    assert requests.row(address)["digest"]
    mailer()
    requests.hurry(address)
    visitor.set_password(link(stack, address), PASSWORD).expect(204)


def test_no_token_in_a_log(stack, gateway, visitor, mailer, requests, address):
    """S21: neither of the gateway nor of the notifier."""
    program = mailer()
    visitor.register(address).expect(202)
    token = link(stack, address)
    visitor.set_password(token, PASSWORD).expect(204)
    visitor.set_password(token, PASSWORD).expect(403)
    logs = [path.read_text(errors="replace")
            for path in (gateway.run / "logs").glob("*.log")]
    assert logs and any("/password" in log for log in logs)
    for text in (*logs, program.log):
        assert token not in text and PASSWORD not in text
