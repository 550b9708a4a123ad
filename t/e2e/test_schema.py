"""v2m-schema over a real MariaDB: made, made again, made over the tutorial's
table and over each earlier version, and the rights of its database users."""

import concurrent.futures
import getpass
import os
import re
import shutil
import subprocess
import uuid

import pytest

from conftest import ROOT, wait_for
from users import (  # noqa: F401, the fixtures
    PASSWORD, admin_password, environment, mariadb, matches, unchanged, user,
)

MIGRATIONS = sorted((ROOT / "auth" / "schema").glob("*.sql"),
                    key=lambda path: int(path.name.split("-")[0]))
NAMES = [path.stem for path in MIGRATIONS]


class Schema:
    """A database of another name, and two database users, made with it."""

    def __init__(self, mariadb, directory):
        self.mariadb = mariadb
        self.name = f"auth_{uuid.uuid4().hex[:8]}"
        self.directory = directory

    def start(self, password=None, admin_password=None, *arguments,
              notifier_password=None, program=ROOT / "auth" / "v2m-schema", **settings):
        env = {
            "PATH": os.environ["PATH"],
            "MYSQL_SOCKET": "mariadb.sock", "MYSQL_DB": self.name,
            "MYSQL_ROOT_USER": getpass.getuser(),
            "MYSQL_USER": self.name, "MYSQL_PASSWORD": password,
            "MYSQL_ADMIN_USER": f"{self.name}_admin",
            "MYSQL_ADMIN_PASSWORD": admin_password,
            "MYSQL_NOTIFIER_USER": f"{self.name}_notifier",
            "MYSQL_NOTIFIER_PASSWORD": notifier_password, **settings,
        }
        return subprocess.Popen(
            [str(program), *arguments], cwd=self.mariadb.data,
            env={name: str(value) for name, value in env.items()
                 if value is not None},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def run(self, *arguments, status=0, says="", **settings):
        process = self.start(*arguments, **settings)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == status, output + errors
        assert says in (errors if status else output), output + errors
        assert status or not errors, errors
        return output

    def earlier(self, count):
        """v2m-schema as it was when there were so many migrations."""
        directory = self.directory / f"release-{count}"
        (directory / "schema").mkdir(parents=True)
        for path in MIGRATIONS[:count]:
            shutil.copy(path, directory / "schema")
        shutil.copy(ROOT / "auth" / "v2m-schema", directory)
        return directory / "v2m-schema"

    def applied(self):
        return [name for name, in self.mariadb.admin(
            f"SELECT name FROM {self.name}.migration ORDER BY version")]

    def columns(self):
        return dict(self.mariadb.admin(
            f"SELECT column_name, column_type FROM information_schema.columns "
            f"WHERE table_schema = '{self.name}' AND table_name = 'user'"))

    def drop(self):
        self.mariadb.admin(
            f"DROP DATABASE IF EXISTS {self.name};"
            f"DROP USER IF EXISTS '{self.name}'@'%', "
            f"'{self.name}_admin'@'%', '{self.name}_notifier'@'%'")


@pytest.fixture
def schema(mariadb, tmp_path):
    made = Schema(mariadb, tmp_path)
    yield made
    made.drop()


COLUMNS = {
    "id": "int(11)", "email": "varchar(255)", "password": "varchar(384)",
    "admin": "tinyint(1)", "disabled": "tinyint(1)", "created": "timestamp",
    "quota_jobs": "bigint(20) unsigned", "quota_bytes": "bigint(20) unsigned",
}


def test_schema_again(schema, mariadb, user, address):
    for password in ("one", "two", "two"):
        schema.run(password, password + " admin")

        assert schema.columns() == COLUMNS
        assert schema.applied() == NAMES
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
    schema.run(says="is left as it is: no password was given")
    assert mariadb.as_user(schema.name, "two", "SELECT 1", schema.name)[0] == 0

    assert user("list", MYSQL_DB=schema.name, MYSQL_PASSWORD="two admin",
                MYSQL_USER=f"{schema.name}_admin").startswith(
                    f"{address}\tadmin\tenabled\tdefault\tdefault")


def test_schema_without_passwords(schema, mariadb):
    schema.run()
    assert schema.columns() == COLUMNS
    assert mariadb.admin(f"SELECT user FROM mysql.user "
                         f"WHERE user LIKE '{schema.name}%'") == []


def test_schema_notifier(schema, mariadb):
    """The notifier's user, which there is only where it is wanted."""
    notifier = f"{schema.name}_notifier"

    assert "notifier" not in schema.run("one", "two")
    assert mariadb.as_user(notifier, "", "SELECT 1", schema.name)[0] != 0

    for password in ("three", "four"):
        schema.run("one", "two", notifier_password=password)
        assert mariadb.as_user(notifier, password, "SELECT email, disabled "
                               "FROM user", schema.name)[0] == 0
    assert mariadb.as_user(notifier, "three", "SELECT 1", schema.name)[0] != 0

    schema.run("one", "two")
    assert mariadb.as_user(notifier, "four", "SELECT 1", schema.name)[0] == 0


def test_schema_strange_passwords(schema, mariadb):
    password = "a'b\"c\\d`e$f; DROP DATABASE auth; -- "
    schema.run(password, password[::-1])
    assert mariadb.as_user(schema.name, password, "SELECT 1",
                           schema.name)[0] == 0
    assert mariadb.as_user(f"{schema.name}_admin", password[::-1], "SELECT 1",
                           schema.name)[0] == 0


def test_schema_over_tcp(schema, mariadb, stack):
    """As the Job of Kubernetes runs it: an administrator with a password,
    which is in a file."""
    secret = schema.directory / "root"
    secret.write_text("ro'ot\n")
    mariadb.admin(f"CREATE USER '{schema.name}_root'@'%' IDENTIFIED BY "
                  f"'ro''ot'; GRANT ALL ON *.* TO '{schema.name}_root'@'%' "
                  f"WITH GRANT OPTION")
    settings = {"MYSQL_SOCKET": None, "MYSQL_HOST": stack.env["MYSQL_HOST"],
                "MYSQL_PORT": stack.env["MYSQL_PORT"],
                "MYSQL_ROOT_USER": f"{schema.name}_root"}
    try:
        schema.run("one", MYSQL_ROOT_PASSWORD_FILE=secret, **settings)
        assert schema.applied() == NAMES
        schema.run("one", status=1, says="MYSQL_ROOT_PASSWORD is not set",
                   **settings)
        schema.run("one", status=1, says="Access denied",
                   MYSQL_ROOT_PASSWORD="wrong", **settings)
        schema.run("one", status=1, says="connecting to the database failed",
                   **{**settings, "MYSQL_PORT": 1}, MYSQL_ROOT_PASSWORD="x")
    finally:
        mariadb.admin(f"DROP USER '{schema.name}_root'@'%'")


def test_schema_usage(schema):
    for arguments in (["up"], ["status", "now"], ["--all"]):
        schema.run(None, None, *arguments, status=2, says="Usage: v2m-schema")
    assert "MYSQL_SOCKET" in schema.run(None, None, "--help")


# The versions

def everything(schema, mariadb):
    """All tables, columns and keys of the database."""
    tables = [name for name, in mariadb.admin(
        f"SELECT table_name FROM information_schema.tables "
        f"WHERE table_schema = '{schema.name}' ORDER BY table_name")]
    return [re.sub(r" AUTO_INCREMENT=\d+", "", mariadb.admin(
        f"SHOW CREATE TABLE {schema.name}.{name}")[0][1]) for name in tables]


def test_schema_status(schema, mariadb):
    schema.run(None, None, "status", status=1, says="")
    assert mariadb.admin(f"SHOW DATABASES LIKE '{schema.name}'") == []

    schema.run(program=schema.earlier(2))
    output = schema.start(None, None, "status").communicate()[0]
    assert f"at version 2 of {len(NAMES)} and lacks" in output
    assert all(name in output for name in NAMES[2:])

    schema.run()
    schema.run(None, None, "status",
               says=f"up to date: version {len(NAMES)}\n")


@pytest.mark.parametrize("count", range(1, len(NAMES)))
def test_schema_from_each_version(schema, mariadb, user, count):
    """Forward in order, with the rows that are there."""
    earlier = schema.earlier(count)
    schema.run(program=earlier)
    assert schema.applied() == NAMES[:count]
    mariadb.admin(f"INSERT INTO {schema.name}.user (email, password) "
                  f"VALUES ('a@example.org', 'x')")
    when = mariadb.admin(f"SELECT * FROM {schema.name}.migration")

    output = schema.run("one", "two")
    assert re.findall(r"applied (\S+)", output) == NAMES[count:]
    assert schema.applied() == NAMES
    assert mariadb.admin(f"SELECT * FROM {schema.name}.migration "
                         f"ORDER BY version")[:count] == when
    assert mariadb.admin(f"SELECT id, email, password FROM "
                         f"{schema.name}.user") == [["1", "a@example.org", "x"]]
    made = everything(schema, mariadb)

    # the earlier program over it changes nothing
    assert "of a later release" in schema.run(program=earlier)
    assert everything(schema, mariadb) == made
    assert schema.applied() == NAMES

    # what began with this release is the same
    mariadb.admin(f"DROP DATABASE {schema.name}")
    schema.run("one", "two")
    assert everything(schema, mariadb) == made


@pytest.mark.parametrize("count", range(1, len(NAMES) + 1))
def test_schema_from_before_versions(schema, mariadb, count):
    """Of the time when no version was noted, and of a migration that was made
    but cut off before it was noted."""
    mariadb.admin(f"CREATE DATABASE {schema.name}; USE {schema.name};"
                  + "".join(path.read_text() for path in MIGRATIONS[:count]))
    schema.run()
    assert schema.applied() == NAMES
    assert schema.columns() == COLUMNS


def test_schema_at_once(schema, mariadb):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda _: schema.run("one", "two"), range(4)))
    assert sorted(re.findall(r"applied (\S+)", "".join(outputs))) == NAMES
    assert schema.applied() == NAMES
    assert mariadb.as_user(schema.name, "one", "SELECT 1", schema.name)[0] == 0


def test_schema_waits_for_another(schema, mariadb):
    """Another one at work is waited for, but not for ever."""
    other = mariadb.session()
    try:
        other.ask("SELECT GET_LOCK('v2m-schema', 0)")
        schema.run(status=1, V2M_SCHEMA_WAIT=1,
                   says="another v2m-schema is at work, for more than 1 s")
        assert mariadb.admin(f"SHOW DATABASES LIKE '{schema.name}'") == []

        waiting = schema.start()
        wait_for(lambda: mariadb.admin(
            "SELECT id FROM information_schema.processlist "
            "WHERE state = 'User lock'"), what="v2m-schema to wait")
        assert waiting.poll() is None
        other.ask("SELECT RELEASE_LOCK('v2m-schema')")
        output, errors = waiting.communicate(timeout=60)
        assert waiting.returncode == 0, output + errors
        assert schema.applied() == NAMES
    finally:
        other.close()


@pytest.mark.parametrize("table, says", [
    ("CREATE TABLE {name}.user (id INT, email VARCHAR(255))",
     "Unknown column 'password'"),
    ("CREATE VIEW {name}.user AS SELECT 1 AS id, 'a' AS email, 'b' AS password",
     "1-users failed"),
    ("CREATE TABLE {name}.revoked (id INT); "
     "CREATE TABLE {name}.user (id INT, email VARCHAR(255), password INT); "
     "CREATE TABLE {name}.migration (other INT)", "Unknown column 'version'"),
])
def test_schema_broken(schema, mariadb, table, says):
    """It stops where it fails, notes nothing that was not made, and goes on
    after the repair."""
    mariadb.admin(f"CREATE DATABASE {schema.name};"
                  + table.format(name=schema.name))
    schema.run(status=1, says=says)
    if "migration" not in table:
        assert schema.applied() == []

    mariadb.admin(f"DROP DATABASE {schema.name}")
    schema.run()
    assert schema.applied() == NAMES


def test_schema_broken_later(schema, mariadb):
    schema.run(program=schema.earlier(1))
    mariadb.admin(f"RENAME TABLE {schema.name}.user TO {schema.name}.people")
    schema.run(status=1, says="migration 2-roles failed")
    assert schema.applied() == NAMES[:1]

    mariadb.admin(f"RENAME TABLE {schema.name}.people TO {schema.name}.user")
    schema.run()
    assert schema.applied() == NAMES
    assert schema.columns() == COLUMNS


def test_schema_server_away(stack, schema, mariadb):
    stack.stop("mariadb")
    try:
        schema.run(status=1, says="connecting to the database failed")
    finally:
        stack.start("mariadb")
    schema.run()
    assert schema.applied() == NAMES


# What programs of earlier releases, and the tutorial's, say to the database.
EARLIER = {
    "v2m": [
        "SELECT * FROM user WHERE email = 'a@example.org' LIMIT 1",
        "UPDATE user SET password = 'y' WHERE email = 'a@example.org' "
        "AND CAST(password AS BINARY) = 'x'",
        "INSERT INTO revoked (what, name, issued, expires, added) "
        "VALUES ('token', 'x', '1', '2', UNIX_TIMESTAMP())",
        "SELECT what, name, issued, expires FROM revoked WHERE added >= '1' "
        "AND expires > UNIX_TIMESTAMP()",
    ],
    "admin": [
        "INSERT INTO user (email, password) VALUES ('b@example.org', 'x')",
        "INSERT INTO user (email, password, admin, disabled) "
        "VALUES ('c@example.org', 'x', '1', '0')",
        "SELECT email, password FROM user WHERE email = 'b@example.org'",
        "UPDATE user SET password = 'z' WHERE email = 'b@example.org'",
        "UPDATE user SET disabled = '1' WHERE email = 'b@example.org'",
        "SELECT * FROM user ORDER BY email",
        "DELETE FROM user WHERE email = 'b@example.org'",
        "DELETE FROM revoked WHERE expires < UNIX_TIMESTAMP()",
    ],
}


def test_schema_for_earlier_programs(schema, mariadb):
    schema.run("one", "two")
    mariadb.admin(f"INSERT INTO {schema.name}.user (email, password) "
                  f"VALUES ('a@example.org', 'x')")
    for name, password, key in ((schema.name, "one", "v2m"),
                                (f"{schema.name}_admin", "two", "admin")):
        for statement in EARLIER[key]:
            status, _, errors = mariadb.as_user(name, password, statement,
                                                schema.name)
            assert status == 0, f"{statement}: {errors}"
    assert mariadb.admin(f"SELECT email, password, admin FROM "
                         f"{schema.name}.user ORDER BY email") == [
        ["a@example.org", "y", "0"], ["c@example.org", "x", "1"]]


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
    assert tutorial("list") == "georgio@email.com\tuser\tno-hash\tdefault\tdefault\n"

    tutorial("add", "a@example.org", stdin=PASSWORD)
    warning = "cannot be revoked and stay good until they expire"
    tutorial("passwd", "georgio@email.com", stdin=PASSWORD, says=warning)
    assert matches(PASSWORD, mariadb.hash_of("georgio@email.com", schema.name))
    assert tutorial("list") == ("a@example.org\tuser\tenabled\tdefault\tdefault\n"
                                "georgio@email.com\tuser\tenabled\tdefault\tdefault\n")
    tutorial("delete", "a@example.org", says=warning)
    tutorial("logout", "georgio@email.com", status=1, says=warning)

    hint = "(v2m-schema makes what is missing)"
    tutorial("disable", "georgio@email.com", status=1, says=hint)
    tutorial("quota", "--jobs", "5", "georgio@email.com", status=1, says=hint)
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

    assert tutorial("list") == "georgio@email.com\tuser\tno-hash\tdefault\tdefault\n"
    tutorial("disable", "georgio@email.com")
    assert tutorial("list") == "georgio@email.com\tuser\tdisabled\tdefault\tdefault\n"
    tutorial("enable", "georgio@email.com")
    tutorial("passwd", "georgio@email.com", stdin=PASSWORD)
    assert tutorial("list") == "georgio@email.com\tuser\tenabled\tdefault\tdefault\n"
    tutorial("add", "--admin", "a@example.org", stdin=PASSWORD)
    assert tutorial("list", "a@example.org") \
        == "a@example.org\tadmin\tenabled\tdefault\tdefault\n"


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
    "UPDATE user SET email = 'x'",
    "UPDATE user SET admin = 1",
    "UPDATE user SET disabled = 0",
    "DELETE FROM user",
    "DELETE FROM revoked",
    "REPLACE INTO user (id, email, password) VALUES (1, 'x', 'x')",
    "INSERT INTO user (email, password, admin) VALUES ('x', 'x', 1)",
    "INSERT INTO user (email, password, disabled) VALUES ('x', 'x', 0)",
    "INSERT INTO user (email, password) VALUES ('x', 'x') "
    "ON DUPLICATE KEY UPDATE admin = 1",
]

GATEWAY = [
    "UPDATE account_request SET email = 'x'",
    "UPDATE account_request SET digest = NULL",
]

NOTIFIER = [
    "SELECT * FROM user",
    "SELECT password FROM user",
    "SELECT admin FROM user",
    "SELECT email FROM user WHERE password LIKE '$y$%'",
    "SELECT * FROM revoked",
    "INSERT INTO user (email, password) VALUES ('x', 'x')",
    "UPDATE user SET password = 'x'",
    "INSERT INTO revoked (what, name, issued, expires, added) "
    "VALUES ('user', 'x', 0, 0, 0)",
    "INSERT INTO account_request (purpose, email, lifetime, asked, expires, "
    "due) VALUES ('reset', 'x', 1, 1, 1, 1)",
]


@pytest.fixture
def passwords(stack, admin_password):
    """Of the database users of the stack."""
    notifier = stack.run / "secrets" / "mysql-notifier"
    return {"v2m": stack.env["MYSQL_PASSWORD"], "v2m_admin": admin_password,
            "v2m_notifier": notifier.read_text().strip()}


@pytest.mark.parametrize("name, sql", [
    *(("v2m", sql) for sql in FORBIDDEN + WRITING + GATEWAY),
    *(("v2m_admin", sql) for sql in FORBIDDEN),
    *(("v2m_notifier", sql) for sql in FORBIDDEN + WRITING + NOTIFIER),
])
def test_forbidden(stack, mariadb, passwords, unchanged, name, sql):
    password = passwords[name]
    status, _, errors = mariadb.as_user(name, password, sql)
    assert status != 0 and "denied" in errors, errors


# By user: what it may do with which table.
RIGHTS = {
    "v2m": {
        "user": "SELECT, INSERT (`email`, `password`), UPDATE (`password`)",
        "revoked": "SELECT, INSERT",
        "account_request": "SELECT, INSERT, DELETE",
    },
    "v2m_admin": {
        "user": "SELECT, INSERT, UPDATE, DELETE",
        "revoked": "SELECT, INSERT, DELETE",
    },
    "v2m_notifier": {
        "user": "SELECT (`disabled`, `email`)",
        "account_request": "SELECT, UPDATE, DELETE",
    },
}


@pytest.mark.parametrize("name", RIGHTS)
def test_rights(mariadb, passwords, name):
    """Nothing but the tables that it needs."""
    status, output, errors = mariadb.as_user(name, passwords[name],
                                             "SHOW GRANTS")
    assert status == 0, errors
    # columns in their order, which is not the server's
    grants = [re.sub(r"\((.*?)\)",
                     lambda columns: "(" + ", ".join(
                         sorted(columns[1].split(", "))) + ")",
                     re.sub(r" IDENTIFIED BY .*", "", line))
              for line in output.splitlines()]
    assert sorted(grants) == sorted([
        f"GRANT USAGE ON *.* TO `{name}`@`%`",
        *(f"GRANT {rights} ON `auth`.`{table}` TO `{name}`@`%`"
          for table, rights in RIGHTS[name].items()),
    ])
    _, output, _ = mariadb.as_user(name, passwords[name], "SHOW DATABASES")
    assert set(output.split()) == {"auth", "information_schema"}
    _, output, _ = mariadb.as_user(
        name, passwords[name], "SELECT LOAD_FILE('/etc/passwd') IS NULL")
    assert output.strip() == "1"


def test_gateway_user_changes_nothing_but_hashes(stack, user, unchanged,
                                                 address):
    settings = {"MYSQL_USER": "v2m",
                "MYSQL_PASSWORD": stack.env["MYSQL_PASSWORD"]}

    assert user("list", **settings) == user("list")
    user("add", "--admin", address, stdin=PASSWORD, status=1, says="denied",
         **settings)
    for command in ("disable", "enable", "delete"):
        user(command, stack.user, stdin=PASSWORD, status=1, says="denied",
             **settings)
