"""Starts the command v2m."""

import contextlib
import os
import subprocess

from conftest import BUILD, SANITIZER_EXIT


def environment(folder, url, **settings):
    """Nothing of the caller's own, and what it keeps is in the folder."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith("V2M_")}
    return {**env, "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_STATE_HOME": str(folder / "state"),
            "ASAN_OPTIONS": f"exitcode={SANITIZER_EXIT}",
            "V2M_URL": url, "no_proxy": "*", **settings}


@contextlib.contextmanager
def starter(folder):
    """A function that starts it there; what runs at the end is killed."""
    programs = []

    def start(arguments, env, **options):
        programs.append(subprocess.Popen(
            [BUILD / "v2m", *arguments], cwd=folder, env=env,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
               **options}))
        return programs[-1]

    try:
        yield start
    finally:
        for program in programs:
            if program.poll() is None:
                program.kill()
                program.communicate()
