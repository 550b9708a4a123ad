"""Who may include what: the folders' arrows, and one file for each foreign
library."""

import re

from tree import c_files, files, includes, read

CODE = ("core/", "auth/", "workers/", "ngx_v2m_module/", "client/")

# What a folder may include beside its own files.
ARROWS = {
    "core": {},
    "auth": {"core": {"v2m_config.h", "v2m_email.h", "v2m_error.h"}},
    "ngx_v2m_module": {"core": None, "auth": None},
    "workers/common": {"core": None},
    "workers/converter": {"workers/common": None, "core": None},
    "workers/converter/local": {
        "workers/converter": {"v2m_channel.h", "v2m_child.h", "v2m_cores.h",
                              "v2m_session.h"},
        "workers/common": {"v2m_log.h"},
        "core": {"v2m_error.h", "v2m_options.h", "v2m_pause.h"},
    },
    "workers/converter/sandbox": {
        "workers/converter": {"v2m_channel.h"},
        "core": {"v2m_error.h", "v2m_options.h", "v2m_utf8.h"},
    },
    "workers/notifier": {"workers/common": None, "core": None,
                         "auth": {"v2m_accounts.h", "v2m_database.h"}},
    "workers/sweep": {"workers/common": None, "core": None},
    "client": {"core": {"v2m_error.h", "v2m_filename.h", "v2m_pause.h",
                        "v2m_utf8.h"}},
    "workers/jobs": {"workers/common": None, "core": None},
}

# The files that alone include a library's headers: a source, or the private
# header of several with one name.
LIBRARIES = {
    r"mongoc/": {"core/v2m_mongo.c"},
    r"(rabbitmq-c/|amqp)": {"core/v2m_amqp_private.h"},
    r"(mysql|mariadb)": {"auth/v2m_database.c"},
    r"jwt\.h": {"auth/v2m_token.c"},
    r"openssl/": {"auth/v2m_pkey.c", "auth/v2m_digest.c", "core/v2m_hmac.c"},
    r"crypt\.h": {"auth/v2m_password.c"},
    r"microhttpd\.h": {"workers/common/v2m_health.c"},
    r"curl/": {"workers/notifier/v2m_smtp.c", "workers/notifier/v2m_http.c",
               "client/v2m_call.c"},
    r"ebur128\.h": {"workers/converter/sandbox/v2m_loudness.c"},
    r"seccomp\.h": {"workers/converter/sandbox/v2m_sandbox.c"},
}

FFMPEG = r"lib(av|sw)\w+/"


def folder(path):
    return str(path.parent)


def headers():
    return {path.name: folder(path) for path in files("*.h")
            if str(path).startswith(CODE)}


def test_headers_have_unique_names():
    names = [path.name for path in files("*.h") if str(path).startswith(CODE)]
    assert sorted(names) == sorted(set(names))


def test_module_sources_have_unique_names():
    """nginx's build names an object after its source, without the folder."""
    names = [path.name for path in files("*.c")
             if str(path).startswith(("core/", "auth/", "ngx_v2m_module/"))]
    assert sorted(names) == sorted(set(names))


def test_folders_include_only_what_they_may():
    where = headers()
    wrong = []

    for path in c_files(*CODE):
        mine = folder(path)
        for name, _ in includes(path):
            theirs = where.get(name)
            if theirs is None or theirs == mine:
                continue
            allowed = ARROWS[mine].get(theirs, ())
            if allowed is not None and name not in allowed:
                wrong.append(f"{path} includes {theirs}/{name}")

    assert not wrong, "\n".join(wrong)


def test_headers_in_quotes_are_ours():
    where = headers()
    wrong = [f"{path} includes \"{name}\"" for path in c_files(*CODE)
             for name, angle in includes(path)
             if not angle and name not in where]
    assert not wrong, "\n".join(wrong)


def test_only_the_module_knows_nginx():
    wrong = [f"{path} includes {name}" for path in c_files()
             if folder(path) != "ngx_v2m_module"
             for name, _ in includes(path)
             if re.match(r"(ngx_|nginx)", name)]
    assert not wrong, "\n".join(wrong)


def test_each_library_has_one_source():
    wrong = []

    for pattern, allowed in LIBRARIES.items():
        users = {str(path) for path in c_files(*CODE)
                 if any(angle and re.match(pattern, name)
                        for name, angle in includes(path))}
        if users != allowed:
            wrong.append(f"<{pattern}> is included by {sorted(users)}, not"
                         f" by {sorted(allowed)}")

    assert not wrong, "\n".join(wrong)


def test_private_headers_are_for_sources_of_their_name():
    """NAME_private.h is for NAME*.c beside it."""
    wrong = []

    for path in c_files(*CODE):
        for name, _ in includes(path):
            if not name.endswith("_private.h"):
                continue
            mine = name.removesuffix("_private.h")
            if folder(path) != headers()[name] \
                    or path.suffix != ".c" or not path.stem.startswith(mine):
                wrong.append(f"{path} includes {name}")

    assert not wrong, "\n".join(wrong)


def test_ffmpeg_stays_in_the_sandbox():
    wrong = [f"{path} includes {name}" for path in c_files(*CODE)
             if folder(path) != "workers/converter/sandbox"
             for name, _ in includes(path) if re.match(FFMPEG, name)]
    assert not wrong, "\n".join(wrong)


def test_the_build_script_names_the_modules_sources():
    named = set(re.findall(r"\$v2m_(\w+)/(\w+\.c)\b", read("config")))
    folders = {"module": "ngx_v2m_module", "core": "core", "auth": "auth"}
    paths = {f"{folders[name]}/{source}" for name, source in named}
    there = {str(path) for path in files("*.c") if str(path).startswith(CODE)}

    assert not paths - there, "named, but not there"
    assert not {path for path in there - paths
                if path.startswith("ngx_v2m_module/")}, "not built"
