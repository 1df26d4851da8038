"""The pages' own programs in a stock Firefox too, over its Marionette protocol; skipped where there is none."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import test_deposit
import test_live
from press import browser

folder, steal = test_live.folder, test_deposit.folder  # their sites
NAMES = ("firefox-esr", "firefox")
PORT = 2829
# Runs an expression in the page itself, and hands back what it came to.
RUN = """const [body, done] = arguments, root = document.documentElement, tag = document.createElement("script");
document.addEventListener("kit-told", () => done(root.dataset.told), { once: true });
tag.textContent = `(async () => {
let told; try { told = await (${body}); } catch (error) { told = { error: String(error) }; }
document.documentElement.dataset.told = JSON.stringify(told); document.dispatchEvent(new Event("kit-told")); })()`;
document.body.append(tag);"""
GRADED = """(async (rows) => { const odd = []; for (const [number, code, right] of rows) {
const box = document.querySelector(`.kit-exercise[data-exercise="${number}"]`), area = box.querySelector("textarea");
area.value = code; area.dispatchEvent(new Event("input")); box.querySelector(".kit-check").click();
const said = box.querySelector(".kit-said"); do await new Promise((done) => setTimeout(done, 10));
while (!said.dataset.verdict); if (said.textContent !== right) odd.push([number, said.textContent]); }
return odd; })(ROWS)"""
LOADED = """(async () => { const pause = () => new Promise((done) => setTimeout(done, 10));
let card; do await pause(); while (!(card = document.getElementById("live-deposit")));
const go = card.querySelector(".kit-check"); go.click();
do await pause(); while (go.getAttribute("aria-disabled")); })()"""


class Firefox:
    """A headless Firefox with one tab."""

    def __init__(self, program: str, profile: Path):
        (profile / "user.js").write_text(f'user_pref("marionette.port", {PORT});\n')
        command = [program, "--headless", "--marionette", "--no-remote", "--profile", str(profile)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 120
        while True:
            try:
                self.line = socket.create_connection(("127.0.0.1", PORT), timeout=300)
                break
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise
                time.sleep(0.2)
        self._read()
        self.send("WebDriver:NewSession", {})
        self.send("WebDriver:SetTimeouts", {"script": 300_000})

    def _read(self):
        size = b""
        while (byte := self.line.recv(1)) != b":":
            size += byte
        data = b""
        while len(data) < int(size):
            data += self.line.recv(int(size) - len(data))
        return json.loads(data)

    def send(self, name: str, given: dict):
        """One command; returns its result."""
        text = json.dumps([0, 1, name, given]).encode()
        self.line.sendall(b"%d:%s" % (len(text), text))
        _, _, error, result = self._read()
        assert error is None, error
        return result

    def run(self, address: str, body: str):
        """Open a page, evaluate an expression there, return what it came to."""
        self.send("WebDriver:Navigate", {"url": address})
        return json.loads(self.send("WebDriver:ExecuteAsyncScript", {"script": RUN, "args": [body]})["value"])


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    program = os.environ.get("BOOK_FIREFOX") or next(filter(None, map(shutil.which, NAMES)), None)
    if not program:
        pytest.skip("no Firefox found: apt-get install firefox-esr, or set BOOK_FIREFOX to its path")
    running = Firefox(program, tmp_path_factory.mktemp("profile"))
    yield running
    running.line.close()
    running.process.terminate()
    running.process.wait()


@pytest.fixture(params=["http", "file"])
def at(request):
    """A site's address: behind a server, or on the reader's disk."""

    def serve(site: Path):
        return browser.serve(site) if request.param == "http" else contextlib.nullcontext(site.as_uri() + "/")

    return serve


def test_every_exercise_answers(firefox, folder, at):
    rows = [(one.number, one.stub, f"{one.number}: not answered yet.") for one in test_live.EVERY]
    rows += [(one.number, one.solution, f"{one.number}: right.") for one in test_live.EVERY]
    with at(folder) as base:
        assert firefox.run(base + "notebooks/all.html", GRADED.replace("ROWS", json.dumps(rows))) == []


@pytest.mark.parametrize("kind", test_deposit.KINDS)
def test_the_contracts_run_as_in_the_kit(firefox, steal, at, kind):
    body = test_deposit.PLAIN.replace("BODY", test_deposit.PLAY)
    with at(steal) as base:
        given = json.dumps([kind, "challenge Ann in each round", 12.5])
        run = firefox.run(base + "notebooks/all.html", f"{LOADED}.then(() => ({body})({given}))")
    test_deposit.replayed(kind, test_deposit.plain(run))
