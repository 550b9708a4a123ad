"""auth/schema.sql over a real MariaDB: made, made again, made over the
tutorial's table, and the rights of its two database users."""

import re
import uuid

import pytest

from conftest import ROOT
from users import (  # noqa: F401, the fixtures
    PASSWORD, admin_password, environment, mariadb, matches, unchanged, user,
)


class Schema:
    """A database of another name, and two database users, made with it."""

    def __init__(self, mariadb):
        self.mariadb = mariadb
        self.name = f"auth_{uuid.uuid4().hex[:8]}"

    def run(self, password=None, admin_password=None):
        text = (ROOT / "auth" / "schema.sql").read_text()
        text = re.sub(r"\bauth\b(?!/)", self.name, text)
        text = text.replace("''v2m''", f"''{self.name}''")
        text = text.replace("''v2m_admin''", f"''{self.name}_admin''")
        for name, value in (("v2m_password", password),
                            ("v2m_admin_password", admin_password)):
            if value is not None:
                quoted = value.replace("\\", "\\\\").replace("'", "''")
                text = f"SET @{name}='{quoted}';\n" + text
        self.mariadb.admin(text)

    def columns(self):
        return dict(self.mariadb.admin(
            f"SELECT column_name, column_type FROM information_schema.columns "
            f"WHERE table_schema = '{self.name}' AND table_name = 'user'"))

    def drop(self):
        self.mariadb.admin(
            f"DROP DATABASE IF EXISTS {self.name};"
            f"DROP USER IF EXISTS '{self.name}'@'%', "
            f"'{self.name}_admin'@'%'")


@pytest.fixture
def schema(mariadb):
    made = Schema(mariadb)
    yield made
    made.drop()


COLUMNS = {
    "id": "int(11)", "email": "varchar(255)", "password": "varchar(384)",
    "admin": "tinyint(1)", "disabled": "tinyint(1)", "created": "timestamp",
}


def test_schema_again(schema, mariadb, user, address):
    for password in ("one", "two", "two"):
        schema.run(password, password + " admin")

        assert schema.columns() == COLUMNS
        for name, word in ((schema.name, password),
                           (f"{schema.name}_admin", password + " admin")):
            assert mariadb.as_user(name, word, "SELECT 1", schema.name)[0] == 0
            assert mariadb.as_user(name, "", "SELECT 1", schema.name)[0] != 0

        if password == "one":
            user("add", "--admin", address, stdin=PASSWORD,
                 MYSQL_DB=schema.name, MYSQL_USER=f"{schema.name}_admin",
                 MYSQL_PASSWORD="one admin")

    assert mariadb.as_user(schema.name, "one", "SELECT 1", schema.name)[0] != 0

    # without passwords the database users stay as they are
    schema.run()
    assert mariadb.as_user(schema.name, "two", "SELECT 1", schema.name)[0] == 0

    assert user("list", MYSQL_DB=schema.name, MYSQL_PASSWORD="two admin",
                MYSQL_USER=f"{schema.name}_admin") \
        == f"{address}\tadmin\tenabled\n"


def test_schema_without_passwords(schema, mariadb):
    schema.run()
    assert schema.columns() == COLUMNS
    assert mariadb.admin(f"SELECT user FROM mysql.user "
                         f"WHERE user LIKE '{schema.name}%'") == []


def test_schema_strange_passwords(schema, mariadb):
    password = "a'b\"c\\d`e$f; DROP DATABASE auth; -- "
    schema.run(password, password[::-1])
    assert mariadb.as_user(schema.name, password, "SELECT 1",
                           schema.name)[0] == 0
    assert mariadb.as_user(f"{schema.name}_admin", password[::-1], "SELECT 1",
                           schema.name)[0] == 0


TUTORIAL = """
    CREATE DATABASE {name} {charset};
    USE {name};
    CREATE TABLE user (
        id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        email VARCHAR(255) NOT NULL UNIQUE,
        password VARCHAR(255) NOT NULL
    );
    INSERT INTO user (email, password)
        VALUES ('georgio@email.com', 'Admin123');
    GRANT ALL PRIVILEGES ON {name}.* TO '{name}_admin'@'%'
        IDENTIFIED BY 'Auth123';
"""


@pytest.fixture(params=["", "CHARACTER SET latin1", "CHARACTER SET utf8mb3",
                        "CHARACTER SET utf8mb4"])
def tutorial(request, schema, mariadb, user):
    """The tutorial's table, and v2m-user for it."""
    mariadb.admin(TUTORIAL.format(name=schema.name, charset=request.param))

    def run(*arguments, **options):
        return user(*arguments, MYSQL_DB=schema.name, MYSQL_PASSWORD="Auth123",
                    MYSQL_USER=f"{schema.name}_admin", **options)
    return run


def test_tutorial_table(tutorial, schema, mariadb):
    """It works as it is, but for what it has no columns for."""
    assert tutorial("list") == "georgio@email.com\tuser\tno-hash\n"

    tutorial("add", "a@example.org", stdin=PASSWORD)
    warning = "cannot be revoked and stay good until they expire"
    tutorial("passwd", "georgio@email.com", stdin=PASSWORD, says=warning)
    assert matches(PASSWORD, mariadb.hash_of("georgio@email.com", schema.name))
    assert tutorial("list") == ("a@example.org\tuser\tenabled\n"
                                "georgio@email.com\tuser\tenabled\n")
    tutorial("delete", "a@example.org", says=warning)
    tutorial("logout", "georgio@email.com", status=1, says=warning)

    hint = "(auth/schema.sql makes what is missing)"
    tutorial("disable", "georgio@email.com", status=1, says=hint)
    tutorial("add", "--admin", "a@example.org", stdin=PASSWORD, status=1,
             says=hint)

    # a name that the table's character set cannot have
    tutorial("list", "\U0001f511@example.org", status=1,
             says="there is no user")

    mariadb.admin(f"DROP TABLE {schema.name}.user")
    tutorial("list", status=1, says=hint)


def test_schema_over_tutorial(tutorial, schema, mariadb):
    for _ in range(2):
        schema.run()
        assert schema.columns() == COLUMNS
        assert mariadb.admin(f"SELECT id, email, password, admin, disabled "
                             f"FROM {schema.name}.user") \
            == [["1", "georgio@email.com", "Admin123", "0", "0"]]

    assert tutorial("list") == "georgio@email.com\tuser\tno-hash\n"
    tutorial("disable", "georgio@email.com")
    assert tutorial("list") == "georgio@email.com\tuser\tdisabled\n"
    tutorial("enable", "georgio@email.com")
    tutorial("passwd", "georgio@email.com", stdin=PASSWORD)
    assert tutorial("list") == "georgio@email.com\tuser\tenabled\n"
    tutorial("add", "--admin", "a@example.org", stdin=PASSWORD)
    assert tutorial("list", "a@example.org") \
        == "a@example.org\tadmin\tenabled\n"


# Least rights

FORBIDDEN = [
    "DROP TABLE user",
    "ALTER TABLE user ADD COLUMN x INT",
    "TRUNCATE TABLE user",
    "CREATE INDEX x ON user (created)",
    "CREATE TABLE other (id INT)",
    "CREATE VIEW other AS SELECT * FROM user",
    "CREATE TRIGGER x BEFORE INSERT ON user FOR EACH ROW SET @x = 1",
    "CREATE PROCEDURE x() SELECT 1",
    "CREATE DATABASE auth_other",
    "CREATE USER other",
    "GRANT SELECT ON auth.user TO 'v2m'@'%'",
    "SELECT * FROM user INTO OUTFILE '/tmp/v2m-users'",
    "SELECT * FROM mysql.user",
    "SELECT * FROM mysql.global_priv",
    "SET GLOBAL general_log = 1",
    "SHOW MASTER STATUS",
]

WRITING = [
    "INSERT INTO user (email, password) VALUES ('x@example.org', 'x')",
    "UPDATE user SET email = 'x'",
    "UPDATE user SET admin = 1",
    "UPDATE user SET disabled = 0",
    "DELETE FROM user",
    "DELETE FROM revoked",
    "REPLACE INTO user (id, email, password) VALUES (1, 'x', 'x')",
]


@pytest.mark.parametrize("name, sql", [
    *(("v2m", sql) for sql in FORBIDDEN + WRITING),
    *(("v2m_admin", sql) for sql in FORBIDDEN),
])
def test_forbidden(stack, mariadb, admin_password, unchanged, name, sql):
    password = {"v2m": stack.env["MYSQL_PASSWORD"],
                "v2m_admin": admin_password}[name]
    status, _, errors = mariadb.as_user(name, password, sql)
    assert status != 0 and "denied" in errors, errors


def test_rights(stack, mariadb, admin_password):
    """Nothing but the two tables."""
    for name, password, rights, revoking in (
            ("v2m", stack.env["MYSQL_PASSWORD"],
             "SELECT, UPDATE (`password`)", "SELECT, INSERT"),
            ("v2m_admin", admin_password, "SELECT, INSERT, UPDATE, DELETE",
             "SELECT, INSERT, DELETE")):
        status, output, errors = mariadb.as_user(name, password, "SHOW GRANTS")
        assert status == 0, errors
        grants = [re.sub(r" IDENTIFIED BY .*", "", line)
                  for line in output.splitlines()]
        assert sorted(grants) == sorted([
            f"GRANT {revoking} ON `auth`.`revoked` TO `{name}`@`%`",
            f"GRANT {rights} ON `auth`.`user` TO `{name}`@`%`",
            f"GRANT USAGE ON *.* TO `{name}`@`%`",
        ])
        _, output, _ = mariadb.as_user(name, password, "SHOW DATABASES")
        assert set(output.split()) == {"auth", "information_schema"}
        _, output, _ = mariadb.as_user(
            name, password, "SELECT LOAD_FILE('/etc/passwd') IS NULL")
        assert output.strip() == "1"


def test_gateway_user_writes_nothing_but_hashes(stack, user, unchanged, address):
    settings = {"MYSQL_USER": "v2m",
                "MYSQL_PASSWORD": stack.env["MYSQL_PASSWORD"]}

    assert user("list", **settings) == user("list")
    user("add", address, stdin=PASSWORD, status=1, says="denied", **settings)
    for command in ("disable", "enable", "delete"):
        user(command, stack.user, stdin=PASSWORD, status=1, says="denied",
             **settings)
