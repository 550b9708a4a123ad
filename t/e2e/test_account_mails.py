"""The notifier's mails about accounts, over a real MariaDB and mail server.
Requests are put into the table as a gateway does."""

import re
import signal

import pytest

from accounts import (  # noqa: F401, the fixtures
    URL, digest, mailer, parse, requests, token_of)
from conftest import wait_for
from notices import mail_server, notifier, texts  # noqa: F401, the fixtures
from users import (  # noqa: F401, the fixtures
    PASSWORD, admin_password, environment, mariadb, user)


def test_what_is_mailed(requests, mailer, mail_server, user, address):
    """A link to who registers or has an account; to who registers twice that
    there is one; to all others nothing.  The tokens are in the mails alone."""
    known, disabled = f"known-{address}", f"disabled-{address}"
    for each in (known, disabled):
        user("add", each, stdin=PASSWORD)
    user("disable", disabled)
    new, nobody = f"new-{address}", f"nobody-{address}"
    requests.ask("reset", disabled)
    requests.ask("reset", nobody)
    requests.ask("register", known)
    requests.ask("register", new)

    server = mail_server()
    program = mailer(server)
    made = requests.wait_done(new)
    mails = {mail["To"]: mail for mail in map(parse, server.mails)}
    assert set(mails) == {known, new}
    for mail in mails.values():
        assert mail["Auto-Submitted"] == "auto-generated"
        assert re.fullmatch(r"<[\w-]{22}\.account@localhost>",
                            mail["Message-ID"])
        assert not mail.defects and not any(p.defects for p in mail.walk())

    assert mails[new]["Subject"] == "Confirm your account"
    assert new in texts(mails[new])["text/plain"]
    assert made["digest"] == digest(token_of(mails[new]))
    assert mails[known]["Subject"] == "You have an account already"
    for form in texts(mails[known]).values():
        assert f"{URL}/#reset" in form and "password=" not in form
    for each in (known, disabled, nobody):
        row = requests.row(each)
        assert row["waiting"] is None and row["digest"] is None

    mails.clear()
    requests.mariadb.admin("DELETE FROM auth.account_request")
    requests.ask("reset", known)
    reset = requests.wait_done(known)
    mail = parse(server.mails[-1])
    assert mail["To"] == known
    assert mail["Subject"] == "Set a new password"
    assert reset["digest"] == digest(token_of(mail))

    for content in server.mails:
        found = re.search(r"password=([\w-]{43})",
                          str(texts(parse(content))))
        assert found is None or found[1] not in program.log
    assert program.log.count(": mail sent") == len(server.mails) == 3


def test_put_off(requests, mailer, mail_server, address):
    """F15: each try has a new token and a new Message-ID, and the last one's
    counts."""
    answers = iter(["451 later", "451 later"])
    server = mail_server(lambda verb: next(answers, None) if verb == "."
                         else None)
    program = mailer(server)
    requests.ask("register", address)
    wait_for(lambda: requests.row(address)["tries"] == "2", timeout=30)
    assert requests.row(address)["owner"] is None
    requests.hurry(address)
    made = requests.wait_done(address)
    mails = list(map(parse, server.mails))
    assert len(mails) == 3
    assert len({mail["Message-ID"] for mail in mails}) == 3
    assert len({token_of(mail) for mail in mails}) == 3
    assert made["digest"] == digest(token_of(mails[-1]))
    assert program.log.count("mail not sent yet: the mail server answered "
                             '"451 later", next in') == 2


def test_refused(requests, mailer, mail_server, address):
    """F15: for good; no token is left, and others are mailed."""
    server = mail_server()
    server.answer = lambda verb: "550 no such user" if verb == "RCPT" \
        and server.recipient == address else None
    program = mailer(server)
    requests.ask("register", address)
    requests.ask("register", f"other-{address}")
    requests.wait_done(f"other-{address}")
    row = requests.row(address)
    assert row["waiting"] is None and row["digest"] is None
    assert [parse(mail)["To"] for mail in server.mails] == [f"other-{address}"]
    assert program.log.count('mail not sent: the mail server answered "550') \
        == 1


def test_servers_away(stack, requests, mailer, mail_server, relay, address):
    """F15, F17: mail server and database may be away at the start and later."""
    server = mail_server()
    smtp, database = relay(server.url), relay(
        (stack.env["MYSQL_HOST"], int(stack.env["MYSQL_PORT"])))
    smtp.refuse()
    database.refuse()
    program = mailer(V2M_SMTP_URL=smtp.url, MYSQL_HOST="127.0.0.1",
                     MYSQL_PORT=database.port)
    program.wait_log("mails about accounts wait for the users' database")
    requests.ask("register", address)
    database.serve()
    program.wait_log("the users' database is back")
    program.wait_log("mail not sent yet: cannot send by the mail server", 20)
    smtp.serve()
    requests.wait_done(address)

    database.cut()
    smtp.cut()
    requests.ask("register", f"second-{address}")
    requests.wait_done(f"second-{address}")
    assert sorted(parse(mail)["To"] for mail in server.mails) == sorted(
        [address, f"second-{address}"])


def test_database_away_after_the_mail(stack, requests, mailer, mail_server,
                                      relay, address):
    """F17: that it was sent is noted when the database is back."""
    database = relay((stack.env["MYSQL_HOST"], int(stack.env["MYSQL_PORT"])))
    server = mail_server(lambda verb: database.refuse() if verb == "."
                         else None)
    mailer(server, MYSQL_HOST="127.0.0.1", MYSQL_PORT=database.port)
    requests.ask("register", address)
    wait_for(lambda: server.mails)
    assert requests.row(address)["waiting"] == "1"
    database.serve()
    made = requests.wait_done(address)
    assert len(server.mails) == 1
    assert made["digest"] == digest(token_of(parse(server.mails[0])))


@pytest.mark.parametrize("point", ["account-token", "account-sent"])
def test_killed(requests, mailer, mail_server, address, point):
    """Between storing the token and sending, or before it is noted: there is
    another mail, whose link counts."""
    server = mail_server()
    program = mailer(server, v2m_test_point=point)
    requests.ask("register", address)
    assert program.wait() == -signal.SIGKILL
    before = requests.row(address)
    assert before["waiting"] == "1" and before["digest"]

    mailer(server)
    requests.hurry(address)
    made = requests.wait_done(address)
    mails = list(map(parse, server.mails))
    assert len(mails) == (2 if point == "account-sent" else 1)
    assert made["digest"] == digest(token_of(mails[-1])) != before["digest"]
    assert len({mail["Message-ID"] for mail in mails}) == len(mails)


def test_told_to_stop(requests, mailer, mail_server, address):
    """F18: a mail server that hangs does not keep it, and the request is due
    at once."""
    server = mail_server(lambda verb: "hang" if verb == "." else None)
    program = mailer(server)
    requests.ask("register", address)
    wait_for(lambda: server.mails)
    assert program.stop(10) == 0
    row = requests.row(address)
    assert row["waiting"] == "1" and row["owner"] is None
    assert int(row["wait"]) <= 0 and row["tries"] == "0"


def test_several(requests, mailer, mail_server, address):
    """F10: three notifiers send one mail for each request."""
    server = mail_server()
    addresses = [f"{i}-{address}" for i in range(30)]
    for each in addresses:
        requests.ask("register", each)
    for _ in range(3):
        mailer(server)
    for each in addresses:
        requests.wait_done(each)
    assert sorted(parse(mail)["To"] for mail in server.mails) \
        == sorted(addresses)


def test_expired(requests, mailer, mail_server, address):
    """What has expired is deleted, and not mailed."""
    requests.ask("register", address)
    requests.ask("register", f"good-{address}")
    requests.mariadb.admin(
        "UPDATE auth.account_request SET expires = UNIX_TIMESTAMP() - 1"
        f" WHERE email = '{address}'")
    server = mail_server()
    program = mailer(server)
    program.wait_log("account requests that expired: 1")
    requests.wait_done(f"good-{address}")
    assert not requests.row(address)
    assert [parse(mail)["To"] for mail in server.mails] == [f"good-{address}"]


def test_templates(requests, mailer, mail_server, spawn, address, tmp_path):
    (tmp_path / "register.txt").write_text(
        "Subject: Grüße, {{address}}\n\n{{url}}\nbis {{until}}\n")
    server = mail_server()
    mailer(server, V2M_MAIL_TEMPLATES=tmp_path)
    requests.ask("register", address)
    made = requests.wait_done(address)
    mail = parse(server.mails[0])
    assert mail["Subject"] == f"Grüße, {address}"
    assert mail.get_content_type() == "text/plain"
    found = re.search(r"/#password=([\w-]{43})\r?\n"
                      r"bis \d{4}-\d\d-\d\d \d\d:\d\d UTC",
                      mail.get_content())
    assert made["digest"] == digest(found[1])

    (tmp_path / "register.txt").write_text("Subject: x\n\n{{link}}\n")
    program = spawn("v2m-notifier", V2M_MAIL_TEMPLATES=tmp_path)
    assert program.wait() == 1
    assert "register.txt of V2M_MAIL_TEMPLATES: there is nothing called " \
        "{{link}}" in program.log


def test_without_the_right(requests, mailer, mail_server, address):
    """Another password than the database has is told, and keeps nothing else
    from working."""
    program = mailer(mail_server(), MYSQL_NOTIFIER_PASSWORD="wrong",
                     MYSQL_NOTIFIER_PASSWORD_FILE="")
    program.wait_log("mails about accounts wait for the users' database: "
                     "cannot connect to MariaDB")
    assert "wrong" not in program.log
