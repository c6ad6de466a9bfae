"""What confined code cannot do, that it does what it may, and that nothing of it remains."""

import os
import platform
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from factory.sandbox import Jail, SandboxMode, SandboxSettings, SandboxUnavailableError, bubblewrap, diagnose
from factory.sandbox.jail import JailResult
from factory.sandbox.seccomp import filter_program

ENVIRONMENT = Path(sys.prefix)
SMALL = SandboxSettings(processes=48, wall_seconds=30, cpu_seconds=20, file_mib=64)

Script = Callable[[str], JailResult]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    jail = Jail(SMALL)

    def run(source: str) -> JailResult:
        return jail.run(["python", "-c", textwrap.dedent(source)], tmp_path, ENVIRONMENT)

    return run


def test_runs_a_command_over_its_folder(tmp_path: Path) -> None:
    (tmp_path / "given.txt").write_text("hello")

    result = Jail(SMALL).run(
        ["sh", "-c", "cat given.txt; pwd; echo $WORD; echo made > made.txt; echo oops >&2; exit 3"],
        tmp_path,
        env={"WORD": "said"},
    )

    assert (result.exit_code, result.stdout, result.stderr) == (3, "hello/project\nsaid\n", "oops\n")
    assert (result.timed_out, result.killed_reason) == (False, None)
    assert (tmp_path / "made.txt").read_text() == "made\n"


def test_python_of_the_environment_runs_with_its_packages(script: Script) -> None:
    result = script("import sys, pydantic; print(sys.prefix)")

    assert (result.exit_code, result.stdout.strip()) == (0, str(ENVIRONMENT)), result.stderr


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(
            "import socket; socket.create_connection(('192.0.2.1', 80), 2)",
            id="network",
        ),
        pytest.param("import socket; socket.getaddrinfo('example.org', 80)", id="name resolution"),
        pytest.param("import socket; socket.socket(40, socket.SOCK_STREAM)", id="sockets of virtual machines"),
        pytest.param("open('/etc/shadow').read()", id="shadow file"),
        pytest.param("import os; os.listdir(os.path.expanduser('~root/.ssh'))", id="keys"),
        pytest.param("open('/usr/written', 'w')", id="write to the system"),
        pytest.param("import sys; open(sys.prefix + '/written', 'w')", id="write to the environment"),
        pytest.param("open('/project/../written', 'w')", id="write outside"),
        pytest.param("open('/dev/written', 'w')", id="write to the device folder"),
        pytest.param("import os; os.setuid(0)", id="become root"),
        pytest.param("import os; os.chroot('/tmp')", id="chroot"),
        pytest.param("import os; os.kill(1, 9); os.kill(os.getppid() or 2, 9); open('/proc/1/mem', 'rb')", id="kill"),
        pytest.param("x = bytearray(2 * 1024**3)", id="2 GB"),
        pytest.param("open('/project/big', 'wb').truncate(10**10)", id="huge file"),
        pytest.param(
            "import ctypes, os\nif ctypes.CDLL(None, use_errno=True).unshare(0x10000000): raise OSError",
            id="user namespace",
        ),
        pytest.param(
            "import ctypes\nif ctypes.CDLL(None).ptrace(16, 1, 0, 0) < 0: raise OSError",
            id="ptrace of the first process",
        ),
    ],
)
def test_refuses(script: Script, source: str) -> None:
    result = script(source)

    assert result.exit_code != 0, result.stdout
    assert result.killed_reason is None


def test_sees_no_variable_of_the_caller(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "canary-4711")

    result = script(
        """
        import os, pathlib
        print(sorted(os.environ))
        for entry in pathlib.Path("/proc").glob("[0-9]*/environ"):
            try:
                print(entry.read_bytes())
            except OSError:
                pass
        """
    )

    assert "canary-4711" not in result.stdout
    assert "PATH" in result.stdout


def test_has_no_capability(tmp_path: Path) -> None:
    status = Jail(SMALL).run(["cat", "/proc/self/status"], tmp_path).stdout

    capabilities = [line.split()[1] for line in status.splitlines() if line.startswith("Cap")]
    assert set(capabilities) == {"0" * 16}
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status


def test_sees_no_process_of_the_host(script: Script) -> None:
    result = script("import pathlib; print(len([p for p in pathlib.Path('/proc').iterdir() if p.name.isdigit()]))")

    assert int(result.stdout) <= 4


def test_loopback_works_inside(script: Script) -> None:
    result = script(
        """
        import socket
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(("localhost", server.getsockname()[1]))
        client.sendall(b"inside")
        print(server.accept()[0].recv(6))
        """
    )

    assert result.stdout.strip() == "b'inside'", result.stderr


def test_ptrace_is_refused_between_own_processes(script: Script) -> None:
    result = script("import ctypes; print(ctypes.CDLL(None).ptrace(0, 0, 0, 0))")

    assert result.stdout.strip() == "-1"


def test_fork_bomb_meets_the_limit(script: Script) -> None:
    result = script(
        """
        import os, time
        children = 0
        try:
            while children < 1000:
                if os.fork() == 0:
                    time.sleep(60)
                    os._exit(0)
                children += 1
        except BlockingIOError:
            os.write(1, str(children).encode())
            os._exit(0)
        """
    )

    assert result.exit_code == 0, result.stderr
    assert int(result.stdout) < SMALL.processes
    assert subprocess.run(["true"], check=False).returncode == 0


def test_endless_loop_ends_at_the_wall_clock(tmp_path: Path) -> None:
    result = Jail(SMALL).run(["sh", "-c", "echo started; while :; do :; done"], tmp_path, timeout=0.6)

    assert (result.timed_out, result.killed_reason, result.stdout) == (True, "timeout", "started\n")
    assert result.exit_code == 128 + signal.SIGKILL


def test_endless_loop_ends_at_the_processor_time(tmp_path: Path) -> None:
    settings = SMALL.model_copy(update={"cpu_seconds": 1})

    result = Jail(settings).run(["sh", "-c", "while :; do :; done"], tmp_path)

    assert result.killed_reason == "cpu"


def test_memory_of_all_processes_together_is_bounded(tmp_path: Path) -> None:
    settings = SMALL.model_copy(update={"memory_mib": 256})
    hog = "import os, time; [os.fork() for _ in range(2)]; x = b'x' * (120 * 1024**2); time.sleep(60)"

    result = Jail(settings).run(["python", "-c", hog], tmp_path, ENVIRONMENT)

    assert result.killed_reason == "memory"


def test_output_is_bounded_and_its_end_kept(tmp_path: Path) -> None:
    settings = SMALL.model_copy(update={"output_kib": 4})

    result = Jail(settings).run(["sh", "-c", "yes | head -c 5000000; echo; echo last"], tmp_path)

    assert len(result.stdout) <= 4096
    assert result.stdout.endswith("last\n")


@pytest.mark.parametrize("mode", list(SandboxMode))
def test_left_over_processes_are_gone_when_the_command_ends(tmp_path: Path, mode: SandboxMode) -> None:
    settings = SMALL.model_copy(update={"mode": mode})
    mark = f"31{os.getpid()}"

    result = Jail(settings).run(["sh", "-c", f"setsid sleep {mark} & setsid sleep {mark} & echo done"], tmp_path)

    assert result.stdout == "done\n"
    # The kernel takes a namespace down after its first process is gone, not before.
    _wait_for(lambda: _processes_with(mark) == [])


@pytest.mark.parametrize("mode", list(SandboxMode))
def test_killed_caller_leaves_no_command(tmp_path: Path, mode: SandboxMode) -> None:
    mark = f"32{os.getpid()}"
    caller = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import pathlib, sys\n"  # noqa: ISC004 - one script
            "from factory.sandbox import *\n"
            f"jail = Jail(SandboxSettings(mode={mode.value!r}))\n"
            f"jail.run(['sh', '-c', 'sleep {mark} & touch begun; sleep {mark}'], pathlib.Path({str(tmp_path)!r}))",
        ],
        # A killed process leaves its temporary folder behind.
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        _wait_for((tmp_path / "begun").exists)
    finally:
        caller.kill()
        caller.wait()

    _wait_for(lambda: not _processes_with(mark))


def test_works_for_a_normal_user_too(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("every other test of this file runs as a normal user already")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.chown(tmp_path, 12345, 12345)
        os.chdir(tmp_path)
        for parent in tmp_path.parents[:-2]:
            parent.chmod(0o755)
        os.setgroups([])
        os.setgid(12345)
        os.setuid(12345)
        try:
            result = Jail(SMALL).run(
                ["sh", "-c", "id -u; touch /etc/x; cat /etc/shadow; echo made > made.txt"], tmp_path
            )
            os.write(writing, repr((result.exit_code, result.stdout, result.stderr)).encode())
        except BaseException as error:  # noqa: BLE001 - the parent shows it
            os.write(writing, repr(error).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    answer = os.read(reading, 4096).decode()
    os.close(reading)

    assert answer.startswith("(0, '12345\\n', "), answer
    assert (tmp_path / "made.txt").read_text() == "made\n"


def test_missing_bubblewrap_names_the_package_and_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bubblewrap.TOOLS, "bwrap-not-here", bubblewrap.INSTALL)
    bubblewrap.require_tools.cache_clear()
    try:
        with pytest.raises(SandboxUnavailableError) as caught:
            Jail(SMALL).run(["touch", "ran"], tmp_path)
        assert [check.passed for check in diagnose(SMALL)] == [False]
    finally:
        bubblewrap.require_tools.cache_clear()

    assert "apt-get install bubblewrap" in str(caught.value)
    assert "FACTORY_SANDBOX=limits" in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_trouble_of_the_jail_is_told_apart_from_a_failing_command(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailableError, match="cannot be confined: bwrap"):
        Jail(SMALL).run(["true"], tmp_path, tmp_path / "absent")

    assert Jail(SMALL).run(["no-such-program"], tmp_path).exit_code == 127


def test_limits_mode_bounds_and_scrubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "canary-4711")
    jail = Jail(SMALL.model_copy(update={"mode": SandboxMode.LIMITS}))

    assert "canary" not in jail.run(["env"], tmp_path).stdout
    assert jail.run(["python", "-c", "bytearray(3 * 1024**3)"], tmp_path, ENVIRONMENT).exit_code == 1
    assert jail.run(["sleep", "60"], tmp_path, timeout=0.3).killed_reason == "timeout"
    assert jail.run(["no-such-program"], tmp_path).exit_code == 127


def test_diagnosis_says_how_code_is_confined() -> None:
    assert [check.passed for check in diagnose(SMALL)] == [True]
    limited = diagnose(SMALL.model_copy(update={"mode": SandboxMode.LIMITS}))
    assert "limits alone" in limited[0].detail


def test_filter_is_for_known_machines_only() -> None:
    assert len(filter_program("x86_64")) % 8 == 0
    assert filter_program("x86_64") != filter_program("aarch64")
    with pytest.raises(SandboxUnavailableError, match="vax"):
        filter_program("vax")
    assert filter_program() == filter_program(platform.machine())


def _processes_with(mark: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words:
            found.append(entry.parent.name)
    return found


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
