"""What the tests of accounts share: requests to register and for passwords in
the users' database, and a notifier that mails the links; import the fixtures by
name."""

import email
import email.policy
import hashlib
import re

import pytest

from conftest import wait_for
from local import local_stack
from notices import texts

# what a gateway needs of another stack
SERVERS = ("V2M_MONGO_URI", "V2M_AMQP_URL", "MYSQL_HOST", "MYSQL_PORT",
           "MYSQL_USER", "MYSQL_PASSWORD", "MYSQL_DB", "JWT_SECRET_FILE")

URL = "https://v2m.example.org"


class Requests:
    """The table of requests."""

    def __init__(self, mariadb):
        self.mariadb = mariadb

    def ask(self, purpose, address, lifetime=3600):
        self.mariadb.admin(
            "INSERT INTO auth.account_request"
            " (purpose, email, lifetime, asked, due, expires) VALUES"
            f" ('{purpose}', '{address}', {lifetime}, UNIX_TIMESTAMP(),"
            " UNIX_TIMESTAMP(), UNIX_TIMESTAMP() + 86400)")

    def row(self, address):
        """{waiting, tries, owner, digest, wait}, NULL as None; wait is how
        long until it is due."""
        names = ("waiting", "tries", "owner", "digest", "wait")
        rows = self.mariadb.admin(
            "SELECT waiting, tries, owner, digest,"
            " CAST(due AS SIGNED) - UNIX_TIMESTAMP() FROM auth.account_request"
            f" WHERE email = '{address}'")
        return rows and {name: None if value == "NULL" else value
                         for name, value in zip(names, rows[0])}

    def wait_done(self, address):
        return wait_for(lambda: [row for row in [self.row(address)]
                                 if row["waiting"] is None])[0]

    def hurry(self, address):
        """As if the claims and pauses were over."""
        self.mariadb.admin(
            "UPDATE auth.account_request SET due = UNIX_TIMESTAMP(),"
            f" owner_until = 0 WHERE email = '{address}'")


@pytest.fixture
def requests(mariadb, no_other_notifier):
    mariadb.admin("DELETE FROM auth.account_request")
    yield Requests(mariadb)
    mariadb.admin("DELETE FROM auth.account_request")


@pytest.fixture
def mailer(stack, notifier):
    """A notifier with the right to read requests."""
    def start(server=None, **settings):
        settings = {
            "V2M_PUBLIC_URL": URL,
            "MYSQL_NOTIFIER_PASSWORD_FILE":
                stack.run / "secrets" / "mysql-notifier",
            **settings}
        if server is not None:
            settings["V2M_SMTP_URL"] = server.url
        return notifier(**settings)
    return start


def parse(content):
    return email.message_from_bytes(content, policy=email.policy.default)


def token_of(mail, url=URL):
    """The token in its link, which is the same in both forms."""
    forms = texts(mail)
    pattern = re.escape(url) + r"/#password=([\w-]{43})(?![\w-])"
    found = {re.search(pattern, form)[1] for form in forms.values()}
    assert len(forms) == 2 and len(found) == 1
    return found.pop()


def digest(token):
    return hashlib.sha256(token.encode()).hexdigest()


def open_gateway(stack, run, **settings):
    """A stack of a gateway alone, at which people may register; its servers are
    the other stack's, but for what the settings tell."""
    servers = {name: stack.env[name] for name in SERVERS}
    return local_stack(run, "gateway",
                       **{"V2M_ACCOUNTS": "on", **servers, **settings})


@pytest.fixture(scope="module")
def gateway(stack, tmp_path_factory):
    with open_gateway(stack, tmp_path_factory.mktemp("accounts")) as started:
        yield started
