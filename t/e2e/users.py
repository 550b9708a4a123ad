"""What the tests of users share: MariaDB as seen by its administrator, and
v2m-user; import the fixtures by name."""

import ctypes
import getpass
import os
import subprocess

import pytest

from conftest import BUILD, SANITIZER_EXIT

PASSWORD = "correct horse"

INJECTIONS = [
    "' OR '1'='1",
    "' OR 1=1 -- ",
    "x' UNION SELECT 1,'a@b','c',1,0,NOW() -- ",
    "'; DROP TABLE user; -- ",
    "\\' OR 1=1 #",
    '" OR ""="',
    "a@example.org' AND SLEEP(5) -- ",
    "%",
    "_",
    "*",
    "?",
    "0",
    "NULL",
    "\u02bc OR 1=1",
    "\u00bf' OR 1=1",
]


class Session:
    def __init__(self, data):
        self.client = subprocess.Popen(
            ["mariadb", "--no-defaults", "--batch", "--skip-column-names",
             "--unbuffered", "--protocol=socket", "--socket=mariadb.sock",
             f"--user={getpass.getuser()}"], cwd=data, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, sql):
        """The one value that a statement gives."""
        self.client.stdin.write(f"{sql};\n")
        self.client.stdin.flush()
        return self.client.stdout.readline().strip()

    def close(self):
        self.client.stdin.close()
        self.client.wait()
        self.client.stdout.close()


class MariaDB:
    """The stack's server, as its administrator and as other users."""

    def __init__(self, stack):
        self.stack = stack
        self.data = stack.run / "mariadb"

    def _run(self, arguments, sql, cwd, **env):
        return subprocess.run(
            ["mariadb", "--no-defaults", "--batch", "--skip-column-names",
             "--default-character-set=utf8mb4", *arguments],
            input=sql.encode(), cwd=cwd, capture_output=True,
            env={"PATH": os.environ["PATH"], **env},
        )

    def admin(self, sql):
        """The rows that the statements gave, as lists of texts."""
        result = self._run(["--protocol=socket", "--socket=mariadb.sock",
                            f"--user={getpass.getuser()}"], sql, self.data)
        assert result.returncode == 0, result.stderr.decode()
        return [line.split("\t")
                for line in result.stdout.decode().splitlines()]

    def session(self):
        """A session of its administrator that stays open."""
        return Session(self.data)

    def as_user(self, user, password, sql, database="auth"):
        """(exit status, output, error text) of statements by a user."""
        result = self._run(
            ["--protocol=tcp", "--host", self.stack.env["MYSQL_HOST"],
             "--port", self.stack.env["MYSQL_PORT"], "--user", user,
             *([database] if database else [])],
            sql, None, MYSQL_PWD=password)
        return (result.returncode, result.stdout.decode(),
                result.stderr.decode())

    def users(self, database="auth"):
        return self.admin(f"SELECT email, password, admin, disabled "
                          f"FROM {database}.user ORDER BY id")

    def hash_of(self, email, database="auth"):
        rows = self.admin(f"SELECT password FROM {database}.user "
                          f"WHERE email = '{email}'")
        assert len(rows) == 1, rows
        return rows[0][0]


@pytest.fixture(scope="module")
def mariadb(stack):
    return MariaDB(stack)


@pytest.fixture(scope="module")
def admin_password(stack):
    return (stack.run / "secrets" / "mysql-admin").read_text().strip()


@pytest.fixture
def environment(stack, admin_password):
    """The settings of v2m-user with the right to write the table."""
    env = dict(os.environ)
    env.update({name: value for name, value in stack.env.items()
                if name.startswith("MYSQL_")})
    env["MYSQL_USER"] = "v2m_admin"
    env["MYSQL_PASSWORD"] = admin_password
    env["ASAN_OPTIONS"] = f"exitcode={SANITIZER_EXIT}"
    return env


@pytest.fixture
def user(environment):
    """Runs v2m-user; settings that are None are not given."""
    def run(*arguments, stdin="", status=0, says="", **settings):
        env = {**environment, **settings}
        env = {name: str(value) for name, value in env.items()
               if value is not None}
        if isinstance(stdin, str):
            stdin = stdin.encode()
        result = subprocess.run(
            [str(BUILD / "v2m-user"), *arguments], env=env, input=stdin,
            capture_output=True, timeout=60,
        )
        output = result.stdout.decode()
        errors = result.stderr.decode(errors="backslashreplace")
        assert result.returncode == status, output + errors
        assert says in errors
        if status == 0 and not says:
            assert errors == ""
        else:
            assert output == ""
            assert errors.startswith("v2m-user: ")
        if status == 1:
            assert errors.count("\n") == 1, errors
        return output
    return run


def crypt(password, setting):
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    return library.crypt(password.encode(), setting.encode()).decode()


def matches(password, stored):
    return crypt(password, stored) == stored


@pytest.fixture
def unchanged(mariadb):
    """The table is the same after the test as before it."""
    before = mariadb.users()
    yield
    assert mariadb.users() == before
