"""Where a number comes from: code, machine, libraries, seed."""

from __future__ import annotations

import platform
import random
import subprocess
import sys
from importlib import metadata
from pathlib import Path

LIBRARIES = ("torch", "numpy", "scipy", "matplotlib", "torchvision", "diffusers", "timm", "peft", "titanoboa", "vyper")


def git_revision(folder: Path | None = None) -> str:
    """Short git revision of the source tree, with ``+`` if it holds uncommitted changes.

    ``"unversioned"`` where the package was installed from a wheel or git is absent.
    """
    folder = folder or Path(__file__).parent
    try:
        command = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--exclude=*"]
        inside = subprocess.run(
            ["git", "-C", str(folder), "ls-files", "--error-unmatch", "__init__.py"],
            capture_output=True,
            text=True,
            timeout=10,
        )
        if inside.returncode:
            return "unversioned"
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip() or "unversioned"
    except (OSError, subprocess.TimeoutExpired):
        return "unversioned"


def library_versions() -> dict[str, str]:
    """Installed versions of the libraries whose numerics can move a result."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def processor() -> str:
    """The processor's name as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def accelerator() -> str | None:
    """The CUDA device's name, or None."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MiB."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def seed_everything(seed: int) -> None:
    """Seed python's, numpy's and torch's global generators."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  third-party code still draws from the legacy generator
    torch.manual_seed(seed)


def environment() -> dict:
    """Everything about code and machine that a reader needs to judge a number."""
    import torch

    return {
        "git": git_revision(),
        "versions": library_versions(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "accelerator": accelerator(),
        "threads": torch.get_num_threads(),
    }
