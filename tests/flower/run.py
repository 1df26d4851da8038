"""Federated training on real Flower processes against the same run in one process, weight for weight.

``python tests/flower/run.py`` makes ``_build/flower-venv``, starts a SuperLink and two SuperNodes on
loopback, trains two rounds on a part of a real data set, once with the kit's aggregation and once with
Flower's own FedAvg, and ends with a line like pytest's. Exit status 0: all passed. Standard library only;
the comparison runs inside the environment it makes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "_build"
APP = Path(__file__).parent / "app"
LOCK = Path(__file__).with_name("requirements.lock")
TOLERANCE = 1e-6
DEVICES = 2
# Flower sums in float32, the kit in float64. Adam's first step is the sign of the gradient, so it turns a
# rounding difference in a gradient near zero into a whole step; plain gradient descent does not.
RUNS = {"kit": {}, "flower": {"optimizer": "sgd", "lr": 0.05}}

COMPARE = """
import json, os, sys, tomllib
import numpy as np, torch
from deepfake_kit import federated
torch.set_num_threads(1)
about, weights, changes = sys.argv[1], np.load(sys.argv[2]), json.loads(sys.argv[3])
sys.path.insert(0, os.path.dirname(about))
import diffusion_app
with open(about, "rb") as file:
    config = {**tomllib.load(file)["tool"]["flwr"]["app"]["config"], **changes}
made = diffusion_app.setup(config, 2)
start = federated.flatten(made.model.state_dict()).numpy()
federated.train(made.model, made.images, made.parts, made.schedule, made.plan)
ours = federated.flatten(made.model.state_dict()).numpy()
print(np.abs(ours - weights).max(), np.abs(weights - start).max())
"""


def environment() -> Path:
    """The interpreter of ``_build/flower-venv``, made anew when what it should hold has changed."""
    folder = BUILD / "flower-venv"
    python, stamp = folder / "bin" / "python", folder / "stamp"
    key = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != key:
        venv.EnvBuilder(with_pip=True, clear=True).create(folder)
        subprocess.run([python, "-m", "pip", "install", "-qq", "-r", LOCK], check=True)
        stamp.write_text(key)
    # The kit itself comes from the working tree, without its dependencies.
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    (Path(site) / "deepfake_kit_source.pth").write_text(f"{ROOT}\n", encoding="utf-8")
    return python


def data_environment() -> dict[str, str]:
    """Variables under which every process finds the same images, without network; else digits stand in."""
    return {"DEEPFAKE_KIT_DATA": str(ROOT / "data"), **os.environ, "DEEPFAKE_KIT_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen, seconds: float = 60) -> None:
    """Return once something listens on a loopback port."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the process ended with status {process.returncode} before it listened on port {port}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    raise TimeoutError(f"nothing listens on port {port} after {seconds:g} s")


class Federation:
    """A SuperLink and its SuperNodes, each a process of its own; ends them all when it is left."""

    def __init__(self, python: Path, folder: Path):
        self.bin, self.folder, self.processes = python.parent, folder, []
        self.environment = {
            **data_environment(),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_HOME": str(folder / "home"),
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        }
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            self.environment.pop(name, None)  # everything here is on loopback

    def start(self, *command: str) -> subprocess.Popen:
        log = (self.folder / f"{command[0]}-{len(self.processes)}.log").open("w", encoding="utf-8")
        process = subprocess.Popen(
            [self.bin / command[0], *command[1:]],
            env=self.environment,
            stdout=log,
            stderr=log,
            cwd=self.folder,
            start_new_session=True,
        )
        log.close()
        self.processes.append(process)
        return process

    def __enter__(self) -> Federation:
        self.port = free_port()
        (self.folder / "home").mkdir()
        (self.folder / "home" / "config.toml").write_text(
            '[superlink]\ndefault = "loopback"\n\n[superlink.loopback]\n'
            f'address = "127.0.0.1:{self.port}"\ninsecure = true\n',
            encoding="utf-8",
        )
        try:
            link = self.start(
                "flower-superlink",
                "--insecure",
                "--host",
                "127.0.0.1",
                "--port",
                str(self.port),
                "--disable-runtime-dependency-installation",
            )
            wait_for(self.port, link)
            for device in range(DEVICES):
                self.start(
                    "flower-supernode",
                    "--insecure",
                    "--superlink",
                    f"127.0.0.1:{self.port}",
                    "--host",
                    "127.0.0.1",
                    "--port",
                    str(free_port()),
                    "--node-config",
                    f"partition-id={device} num-partitions={DEVICES}",
                )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error) -> None:
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def run(self, **config) -> Path:
        """Run the app once and return the file with its final weights."""
        output = self.folder / f"weights-{config['aggregate-by']}.npy"
        pairs = " ".join(
            f"{key}={value!r}" if not isinstance(value, str) else f'{key}="{value}"'
            for key, value in {**config, "output": str(output)}.items()
        )
        done = subprocess.run(
            [self.bin / "flwr", "run", APP, "loopback", "--stream", "--run-config", pairs],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=100,
        )
        if done.returncode or not output.exists():
            raise RuntimeError(
                f"flwr run failed ({done.returncode}):\n{done.stdout[-3000:]}{done.stderr[-3000:]}{self.logs()}"
            )
        return output

    def logs(self) -> str:
        return "".join(
            f"\n--- {path.name}\n{path.read_text(encoding='utf-8')[-2500:]}"
            for path in sorted(self.folder.glob("*.log"))
        )


def differences(python: Path, weights: Path, changes: dict) -> tuple[float, float]:
    """Largest difference to the run in one process, and how far training moved the weights."""
    done = subprocess.run(
        [python, "-c", COMPARE, APP / "pyproject.toml", weights, json.dumps(changes)],
        check=True,
        capture_output=True,
        text=True,
        env=data_environment(),
    )
    gap, moved = map(float, done.stdout.split())
    return gap, moved


def main() -> int:
    began, passed, failed = time.monotonic(), 0, 0

    def record(name: str, good: bool, words: str) -> None:
        nonlocal passed, failed
        passed, failed = passed + good, failed + (not good)
        print(f"{'PASSED' if good else 'FAILED'} {name}: {words}", flush=True)

    try:
        python = environment()
        with tempfile.TemporaryDirectory(prefix="flower-") as folder, Federation(python, Path(folder)) as federation:
            for by, changes in RUNS.items():
                changes = {"aggregate-by": by, "seed": 3, **changes}
                weights = federation.run(**changes)
                gap, moved = differences(python, weights, changes)
                record(
                    f"{by}'s aggregation over two SuperNodes",
                    gap <= TOLERANCE,
                    f"largest difference to one process {gap:.1e} (allowed {TOLERANCE:.0e})",
                )
                record(f"{by}'s run trained at all", moved > 1e-3, f"largest change of a weight {moved:.1e}")
                other, _ = differences(python, weights, {**changes, "seed": 4})
                record("the comparison can fail", other > 1e-3, f"another seed differs by {other:.1e}")
    except Exception:
        traceback.print_exc()
        failed += 1
    print(f"{passed} passed, {failed} failed in {time.monotonic() - began:.1f}s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
