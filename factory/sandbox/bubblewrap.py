"""The bubblewrap command line: which namespaces, which files, which user.

Started by a normal user, bubblewrap makes a user namespace of its own. Started by root it makes none:
it binds the folders as root (they may lie below a home that no one else can enter) and the command
then becomes an unprivileged user. Root inside a user namespace would escape the limit on processes.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from factory.sandbox.errors import SandboxUnavailableError
from factory.sandbox.seccomp import filter_program
from factory.sandbox.settings import SandboxSettings

PROJECT = "/project"
INSTALL = "Install it with your system's package manager; the package is 'bubblewrap' (apt-get install bubblewrap)."
TOOLS = {"bwrap": INSTALL, "setpriv": "It is part of the package 'util-linux'."}
TOOLS["prlimit"] = TOOLS["setpriv"]
_FULL_OPTIONS = (0, 8)
_SHORTEST_PREFIX = 3
# Users 61184 to 65519 belong to no account by convention (systemd uses them for its dynamic users).
_FIRST_USER, _USERS = 61184, 4336


def pick_user() -> int:
    """Return the user id for a jail started by root, hardly ever equal to that of another jail."""
    return _FIRST_USER + int.from_bytes(os.urandom(4)) % _USERS


@cache
def require_tools() -> Mapping[str, str]:
    """Return the paths of the programs that the jail is made of.

    Raises:
        SandboxUnavailableError: One is not installed.
    """
    found = {}
    for tool, remedy in TOOLS.items():
        path = shutil.which(tool, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin") or shutil.which(tool)
        if path is None:
            raise SandboxUnavailableError(
                f"generated code cannot be confined: the program {tool!r} is not installed.", remedy=remedy
            )
        found[tool] = path
    return found


@cache
def _has_full_options(bwrap: str) -> bool:
    """Tell whether this bubblewrap knows --size and --disable-userns; without them the rest still holds."""
    line = [bwrap, "--version"]
    answer = subprocess.run(line, capture_output=True, text=True, check=False).stdout  # noqa: S603 - a found program
    return tuple(map(int, re.findall(r"\d+", answer)[:2])) >= _FULL_OPTIONS


class Descriptors:
    """Small files handed to bubblewrap by descriptor; closed when left."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def add(self, data: bytes) -> str:
        """Return the number of a descriptor from which the data can be read."""
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            file.seek(0)
            self.numbers.append(os.dup(file.fileno()))
        return str(self.numbers[-1])

    def close(self) -> None:
        """Close all of them."""
        while self.numbers:
            os.close(self.numbers.pop())


def command_line(
    argv: Sequence[str],
    *,
    settings: SandboxSettings,
    workdir: Path,
    environment_dir: Path | None,
    env: Mapping[str, str],
    user: int | None,
    status: int,
    descriptors: Descriptors,
) -> list[str]:
    """Return the whole command: bubblewrap, then the change of user and the limits, then `argv`.

    Args:
        argv: The command to confine.
        settings: Its limits.
        workdir: The one folder that it may write, seen as `/project`.
        environment_dir: A virtual environment to bind read-only at its own path, with the Python behind it.
        env: All environment variables that it sees.
        user: The user to become, when started by root; None for a normal user.
        status: Descriptor on which bubblewrap reports what became of the command.
        descriptors: Takes the files that bubblewrap reads by descriptor; they must stay open until it has started.
    """
    tools = require_tools()
    full = _has_full_options(tools["bwrap"])
    line = [tools["bwrap"], "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    line += ["--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL", "--hostname", "sandbox"]
    if user is None:
        line += ["--unshare-user", *(["--disable-userns"] if full else [])]
    else:
        # For the change of user, and to enter the work folder before it; the change of user takes them away.
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_DAC_READ_SEARCH"):
            line += ["--cap-add", capability]
    line += ["--seccomp", descriptors.add(filter_program()), "--json-status-fd", str(status)]
    line += [*_system(), "--proc", "/proc", "--dev", "/dev"]
    for shared in ("/tmp", "/dev/shm"):  # noqa: S108 - the jail's own
        size = ["--size", str(settings.file_mib * 1024 * 1024)] if full else []
        line += ["--perms", "1777", *size, "--tmpfs", shared]
    line += _small_files(descriptors, user)
    if environment_dir is not None:
        for folder in (environment_dir, *interpreter_folders(environment_dir)):
            line += [*_visible_parents(folder), "--ro-bind", str(folder), str(folder)]
    line += ["--bind", str(workdir), PROJECT, "--chdir", PROJECT, "--remount-ro", "/dev", "--remount-ro", "/"]
    for name, value in env.items():
        line += ["--setenv", name, value]
    line.append("--")
    if user is not None:
        line += [tools["setpriv"], f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        line += ["--bounding-set=-all", "--inh-caps=-all", "--"]
    # Inside the namespaces, so that what else the user runs outside does not count towards the limit.
    return [*line, tools["prlimit"], *_limits(settings), "--", *argv]


def _limits(settings: SandboxSettings) -> list[str]:
    mib = 1024 * 1024
    return [
        f"--nproc={settings.processes}",
        f"--as={settings.memory_mib * mib}",
        f"--fsize={settings.file_mib * mib}",
        f"--cpu={settings.cpu_seconds}:{settings.cpu_seconds + 2}",
        "--core=0",
        "--nofile=1024",
    ]


def _small_files(descriptors: Descriptors, user: int | None) -> list[str]:
    """Give the jail a user and a host of its own, so that looking either up neither fails nor tells anything."""
    seen, group = (os.getuid(), os.getgid()) if user is None else (user, user)
    texts = {
        "/etc/passwd": f"sandbox:x:{seen}:{group}:sandbox:/tmp:/bin/sh\n",
        "/etc/group": f"sandbox:x:{group}:\n",
        "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }
    line = []
    for path, text in texts.items():
        line += ["--perms", "0444", "--ro-bind-data", descriptors.add(text.encode()), path]
    return line


def _system() -> list[str]:
    """Bind the system's programs and libraries read-only, and nothing else of /etc than the loader's cache."""
    line = ["--ro-bind", "/usr", "/usr", "--perms", "0755", "--dir", "/etc"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            line += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            line += ["--ro-bind", str(path), str(path)]
    for optional in ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"):
        line += ["--ro-bind-try", optional, optional]
    return line


def _visible_parents(folder: Path) -> list[str]:
    """Make the folders above a bind, which bubblewrap would otherwise close to other users where the host does."""
    line: list[str] = []
    for parent in reversed(folder.parents[:-1]):
        if parent not in {Path("/usr"), Path("/tmp")}:  # noqa: S108 - the jail's own
            line += ["--perms", "0755", "--dir", str(parent)]
    return line


def interpreter_folders(environment_dir: Path) -> list[Path]:
    """Return the installations of Python that an environment's interpreter leads to, outside of /usr.

    Raises:
        SandboxUnavailableError: An installation is so high in the tree that binding it would show other files.
    """
    folders: list[Path] = []
    link = environment_dir / "bin" / "python"
    while link.is_symlink():
        link = Path(os.path.normpath(link.parent / link.readlink()))
        _add_installation(folders, link.parent.parent, environment_dir)
        _add_installation(folders, link.resolve().parent.parent, environment_dir)
    return folders


def _add_installation(folders: list[Path], prefix: Path, environment_dir: Path) -> None:
    if prefix in folders or prefix == environment_dir or prefix.is_relative_to("/usr"):
        return
    if len(prefix.parts) < _SHORTEST_PREFIX or prefix == Path.home():
        raise SandboxUnavailableError(
            f"the Python at {prefix} cannot be shown to generated code without showing all of that folder.",
            remedy="Run the factory with a Python that is installed in a folder of its own.",
        )
    folders.append(prefix)
