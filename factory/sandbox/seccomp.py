"""The system calls that confined code may not make, as a BPF program for `bwrap --seccomp`.

A deny list on top of namespaces, no capabilities and `no_new_privs`: it closes the doors that these leave
open to an unprivileged process (ptrace, nested user namespaces, io_uring, sockets that no network
namespace confines, such as AF_VSOCK). Numbers are those of the kernel's `unistd.h` for either machine.
"""

import errno
import platform
import struct
from dataclasses import dataclass

from factory.sandbox.errors import SandboxUnavailableError

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE = 0, 4
_X32_BIT = 0x40000000
_NAMESPACE_FLAGS = 0x7E020000
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX type into the controlling terminal
_SOCKET_FAMILIES = (1, 2, 10, 16)  # unix, inet, inet6, netlink (name resolution asks the last)

_DENIED_SHARED = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "mount_setattr": 442,
    "quotactl_fd": 443,
}
_DENIED_X86_64 = {
    "ptrace": 101,
    "syslog": 103,
    "uselib": 134,
    "vhangup": 153,
    "modify_ldt": 154,
    "pivot_root": 155,
    "adjtimex": 159,
    "chroot": 161,
    "acct": 163,
    "settimeofday": 164,
    "mount": 165,
    "umount2": 166,
    "swapon": 167,
    "swapoff": 168,
    "reboot": 169,
    "sethostname": 170,
    "setdomainname": 171,
    "iopl": 172,
    "ioperm": 173,
    "init_module": 175,
    "delete_module": 176,
    "quotactl": 179,
    "lookup_dcookie": 212,
    "clock_settime": 227,
    "kexec_load": 246,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "unshare": 272,
    "perf_event_open": 298,
    "fanotify_init": 300,
    "name_to_handle_at": 303,
    "open_by_handle_at": 304,
    "clock_adjtime": 305,
    "setns": 308,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "kcmp": 312,
    "finit_module": 313,
    "kexec_file_load": 320,
    "bpf": 321,
    "userfaultfd": 323,
}
_DENIED_AARCH64 = {
    "lookup_dcookie": 18,
    "umount2": 39,
    "mount": 40,
    "pivot_root": 41,
    "chroot": 51,
    "vhangup": 58,
    "quotactl": 60,
    "acct": 89,
    "unshare": 97,
    "kexec_load": 104,
    "init_module": 105,
    "delete_module": 106,
    "clock_settime": 112,
    "syslog": 116,
    "ptrace": 117,
    "reboot": 142,
    "sethostname": 161,
    "setdomainname": 162,
    "settimeofday": 170,
    "adjtimex": 171,
    "add_key": 217,
    "request_key": 218,
    "keyctl": 219,
    "swapon": 224,
    "swapoff": 225,
    "perf_event_open": 241,
    "fanotify_init": 262,
    "name_to_handle_at": 264,
    "open_by_handle_at": 265,
    "clock_adjtime": 266,
    "setns": 268,
    "process_vm_readv": 270,
    "process_vm_writev": 271,
    "kcmp": 272,
    "finit_module": 273,
    "bpf": 280,
    "userfaultfd": 282,
    "kexec_file_load": 294,
}


@dataclass(frozen=True, slots=True)
class _Machine:
    audit: int
    denied: dict[str, int]
    ioctl: int
    socket: int
    clone: int
    clone3: int = 435


_MACHINES = {
    "x86_64": _Machine(audit=0xC000003E, denied=_DENIED_X86_64, ioctl=16, socket=41, clone=56),
    "aarch64": _Machine(audit=0xC00000B7, denied=_DENIED_AARCH64, ioctl=29, socket=198, clone=220),
}


def filter_program(machine: str | None = None) -> bytes:
    """Return the BPF program for a machine as `platform.machine()` names it; default: this one.

    Raises:
        SandboxUnavailableError: The machine's system call numbers are not known here.
    """
    name = machine or platform.machine()
    if name not in _MACHINES:
        raise SandboxUnavailableError(
            f"there is no system call filter for the processor architecture {name!r}.",
            remedy=f"Use a machine of {' or '.join(_MACHINES)}.",
        )
    known = _MACHINES[name]
    program = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, known.audit, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
    ]
    if name == "x86_64":
        program += [_step(_AT_LEAST, _X32_BIT, 0, 1), _refuse(errno.ENOSYS)]
    for number in sorted({*known.denied.values(), *_DENIED_SHARED.values()}):
        program += _when(number, [_refuse(errno.EPERM)])
    # The C library falls back to clone, whose flags can be read here; those of clone3 lie behind a pointer.
    program += _when(known.clone3, [_refuse(errno.ENOSYS)])
    program += _when(
        known.clone,
        [_argument(0), _step(_ANY_BIT, _NAMESPACE_FLAGS, 0, 1), _refuse(errno.EPERM), _step(_RETURN, _ALLOW)],
    )
    refused_inputs = [step for code in _TERMINAL_INPUT for step in _when(code, [_refuse(errno.EPERM)])]
    program += _when(known.ioctl, [_argument(1), *refused_inputs, _step(_RETURN, _ALLOW)])
    families = [step for code in _SOCKET_FAMILIES for step in _when(code, [_step(_RETURN, _ALLOW)])]
    program += _when(known.socket, [_argument(0), *families, _refuse(errno.EAFNOSUPPORT)])
    program.append(_step(_RETURN, _ALLOW))
    return b"".join(program)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _when(value: int, steps: list[bytes]) -> list[bytes]:
    return [_step(_EQUAL, value, 0, len(steps)), *steps]


def _refuse(code: int) -> bytes:
    return _step(_RETURN, _ERRNO | code)


def _argument(index: int) -> bytes:
    return _step(_LOAD, 16 + 8 * index)
