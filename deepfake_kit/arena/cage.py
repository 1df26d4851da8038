"""What runs an entry: a small program in a process of its own. It shuts itself in, then loads what somebody wrote.

Three walls, and what each holds back:

limits
    Time, memory, size of a file. They hold everywhere, for each process.
namespaces (Linux, where users may make them)
    Every file system read-only but for a scratch folder in memory, the hidden files covered, no network card, and no
    way into the memory of other processes.
system calls (Linux on x86-64 and 64-bit ARM)
    The kernel refuses new processes, other programs, sockets, signals, tracing and memory beside the process's own,
    whatever language asks.

Where one of the last two cannot be had, an audit hook refuses the same in Python. That stops an accident; it does not
stop somebody who means it. The module imports nothing but Python, and is run by its path.
"""

from __future__ import annotations

import ctypes
import inspect
import json
import os
import resource
import struct
import sys
import traceback
import types

# Of each machine: its mark, clone (allowed for threads alone), calls forbidden, and those allowed only for oneself.
X86 = "29 41 53 57 58 59 62 101 129 141 200 234 251 272 297 310 311 319 322 424 425 434 438"
ARM = "30 97 117 129 130 131 138 140 194 198 199 221 240 270 271 279 281 424 425 434 438"
MACHINES = {
    "x86_64": (0xC000003E, 56, X86, "142 144 203 302 314"),
    "aarch64": (0xC00000B7, 220, ARM, "118 119 122 261 274"),
}
FORBIDDEN = ("socket.", "subprocess.", "os.fork", "os.posix_spawn", "os.system", "os.exec", "os.kill", "shutil.")
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link", "os.symlink")
CHANGES += ("os.truncate", "os.utime")


def limit(seconds: float, megabytes: int) -> None:
    """Bound processor time, memory, the size of a file; write no core."""
    whole = int(seconds) + 1
    for name, most in (("CPU", whole), ("AS", megabytes << 20), ("FSIZE", 256 << 20), ("CORE", 0)):
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


def separate(scratch: str, hidden: list[str]) -> bool:
    """Go into namespaces of one's own: files read-only, hidden ones covered, no network. False where refused.

    Where they are refused, too, the process ends with the one that started it, however that ends.
    """
    if sys.platform != "linux":
        return False
    libc, user, group = ctypes.CDLL(None, use_errno=True), os.getuid(), os.getgid()
    libc.prctl(1, 9, 0, 0, 0)
    if libc.unshare(0x10000000 | 0x20000 | 0x40000000 | 0x08000000):  # users, mounts, network, shared memory
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    read_only = struct.pack("4Q", 1, 0, 0, 0)  # mount_setattr, for all mounts below the root
    done = [libc.mount(None, b"/", None, 0x4000 | 1 << 18, None)]
    done += [libc.mount(b"/dev/null", path.encode(), None, 0x1000, None) for path in hidden if os.path.isfile(path)]
    done += [libc.syscall(442, -100, b"/", 0x8000, read_only, len(read_only))]
    done += [libc.mount(b"scratch", scratch.encode(), b"tmpfs", 6, b"size=64m")]
    done += [libc.capset(struct.pack("Ii", 0x20080522, 0), bytes(24))]  # the right to undo any of this
    return not any(done)


def forbid() -> bool:
    """Let the kernel answer the calls of :data:`MACHINES` with "not permitted". False where that is not possible."""
    machine = os.uname().machine
    if sys.platform != "linux" or machine not in MACHINES:
        return False
    mark, clone, denied, own = MACHINES[machine]
    load, equal, above, bits, give = 0x20, 0x15, 0x35, 0x45, 0x06
    deny, allow = (give, 0, 0, 0x00050001), (give, 0, 0, 0x7FFF0000)
    code = [(load, 0, 0, 4), (equal, 1, 0, mark), (give, 0, 0, 0x80000000), (load, 0, 0, 0)]
    code += [(above, 0, 1, 0x40000000), deny, (equal, 0, 1, 435), (give, 0, 0, 0x00050026)]  # clone3: "no such call"
    for number in map(int, denied.split()):
        code += [(equal, 0, 1, number), deny]
    for number, test in [(clone, (bits, 1, 0, 0x10000)), *((int(n), (equal, 1, 0, 0)) for n in own.split())]:
        code += [(equal, 0, 4, number), (load, 0, 0, 16), test, deny, allow]
    code = [*code, allow]
    rules = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in code))
    program, libc = struct.pack("HxxxxxxP", len(code), ctypes.addressof(rules)), ctypes.CDLL(None)
    return not (libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0))


def refuse(scratch: str) -> None:
    """The same in Python alone, by an audit hook, which cannot be taken off again."""

    def hook(event: str, arguments: tuple) -> None:
        path = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        writes = event == "open" and bool((arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
        outside = path and not os.path.realpath(path).startswith(scratch) and path != os.devnull
        if event.startswith(FORBIDDEN) or ((writes or event in CHANGES) and outside):
            raise PermissionError(f"not permitted in the arena: {event} {path}".rstrip())

    sys.addaudithook(hook)


def perform(task: dict) -> tuple[list[int], bytes]:
    """Load the entry and make its calls; what the last one gives, as its shape and float32 bytes."""
    import numpy as np

    module = sys.modules["entry"] = types.ModuleType("entry")
    exec(compile(task["source"].tobytes(), "entry", "exec"), vars(module))
    plan = json.loads(task["plan"].tobytes())
    known = {**task, "generator": np.random.default_rng(plan["seed"]), "n": plan["n"]}
    entry, result = getattr(module, plan["class"])(), None
    for name, words in plan["calls"]:
        if method := getattr(entry, name, None):
            try:
                inspect.signature(method).bind(*words)
            except TypeError as error:
                raise TypeError(f"{name}: {error}; valid: {name}(self, {', '.join(words)})") from None
            result = method(*(known[word] for word in words))
    if result is None:
        raise TypeError(f"{name} gives nothing back; valid: an array (is its return missing?)")
    result = result.detach().cpu().numpy() if hasattr(result, "detach") else result
    result = np.asarray(result).astype("<f4", order="C", casting="same_kind")  # no complex number loses a part
    return list(result.shape), result.tobytes()


def main(answer: int, seconds: float, megabytes: int, scratch: str, kit: str, hidden: list[str]) -> None:
    """Shut oneself in, run the entry that standard input holds, and write what it gives into the open file `answer`."""
    limit(seconds, megabytes)
    walls = {"limits": True, "namespaces": separate(scratch, hidden), "system calls": forbid()}
    os.chdir(scratch)
    sys.path.append(kit)
    try:
        import numpy as np

        with np.load(sys.stdin.buffer, allow_pickle=False) as file:
            task = dict(file)
        if not all(walls.values()):
            refuse(os.path.realpath(scratch) + os.sep)
        shape, content = perform(task)
        head: dict = {"shape": shape}
    except BaseException as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "entry"]
        where = f"line {lines[-1]}: " if lines else ""
        head, content = {"error": f"{where}{type(error).__name__}: {error}"[:400]}, b""
    os.write(answer, json.dumps({**head, "walls": walls}).encode() + b"\n")
    with open(answer, "wb", closefd=False) as file:
        file.write(content)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5], sys.argv[6:])
