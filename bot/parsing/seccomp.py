"""A seccomp filter: the system calls by which a taken-over parser would reach past itself are refused, for good.

It names what is refused rather than what is allowed: threads, memory and files of native code differ from release to
release, and Landlock holds the files. x86-64 and AArch64; numbers from <asm/unistd_64.h> and <asm-generic/unistd.h>.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import Final

PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # classic BPF: LD|W|ABS, JMP|JEQ|K, JMP|JGE|K, RET|K
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; the low half, on little-endian machines
_X32 = 0x40000000  # the same calls under other numbers

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Which column of the tables, and AUDIT_ARCH_* of a 64-bit process."""

Numbers = tuple[int | None, int | None]

# fmt: off
REFUSED: Final[dict[str, Numbers]] = {
    # The network, and every other way to be heard: no socket is made. (A socketpair reaches nobody.)
    "socket": (41, 198), "io_uring_setup": (425, 425),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193),
    "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188),
    "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181),
    # Other processes of the same user: the bot is one.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "migrate_pages": (256, 238), "move_pages": (279, 239),
    # Memory that is nobody's resident memory.
    "memfd_create": (319, 279), "memfd_secret": (447, 447),
    # Other programs, and the way out of the group that is killed.
    "execve": (59, 221), "execveat": (322, 281), "setsid": (112, 157), "setpgid": (109, 154), "unshare": (272, 97),
    "setns": (308, 268), "chroot": (161, 51), "pivot_root": (155, 41), "mount": (165, 40), "umount2": (166, 39),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "open_by_handle_at": (304, 265),
    # What Landlock doesn't hold of files: owner, times, attributes; and, before its third version, their length.
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None),
    "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "setxattrat": (463, 463), "removexattrat": (466, 466), "file_setattr": (469, 469), "truncate": (76, 45),
    # Parts of the kernel that a parser has no business with.
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218),
}
PRETENDED: Final[dict[str, Numbers]] = {
    # Answered as if done: kreuzberg sets the mode of the library it unpacks, and insists on success.
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
}
OWN: Final[dict[str, Numbers]] = {
    # Allowed to a process towards itself (its pid, or 0), which must be able to abort.
    "kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261), "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
}
# fmt: on


def restrict() -> bool:
    """Put the filter on this thread and what it starts; False where the machine or its kernel has none."""
    column, machine = _MACHINES.get(platform.machine(), (0, 0))
    if not machine or sys.maxsize < 2**32:
        return False
    program = _program(column, machine, os.getpid())
    instructions = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), described, 0, 0) == 0)


def _program(column: int, machine: int, pid: int) -> bytes:
    refuse = _instruction(_RETURN, _ERRNO | errno.EPERM)
    pretend, allow = _instruction(_RETURN, _ERRNO), _instruction(_RETURN, _ALLOW)
    program = [
        _instruction(_LOAD, _MACHINE),
        _instruction(_EQUAL, machine, when=1),
        refuse,
        _instruction(_LOAD, _NUMBER),
        _instruction(_AT_LEAST, _X32, unless=1),
        refuse,
    ]
    for table, answer in ((REFUSED, refuse), (PRETENDED, pretend)):
        for number in _column(table, column):
            program += [_instruction(_EQUAL, number, unless=1), answer]
    for number in _column(OWN, column):
        program += [
            _instruction(_EQUAL, number, unless=5),
            _instruction(_LOAD, _FIRST_ARGUMENT),
            _instruction(_EQUAL, pid, when=1),
            _instruction(_EQUAL, 0, unless=1),
            allow,
            refuse,
        ]
    return b"".join([*program, allow])


def _column(table: dict[str, Numbers], column: int) -> list[int]:
    return [number for numbers in table.values() if (number := numbers[column]) is not None]


def _instruction(code: int, value: int, *, when: int = 0, unless: int = 0) -> bytes:
    """Return a struct sock_filter; `when` and `unless` are how many instructions a comparison skips."""
    return struct.pack("=HBBI", code, when, unless, value)
