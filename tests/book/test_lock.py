"""The locked packages work on every interpreter that the README names, Debian 12's own 3.11.2 first."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from press import environment, lock

ROOT = Path(__file__).resolve().parents[2]


def pins(file: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)$", file.read_text(), re.MULTILINE))


LOCKED = pins(ROOT / "requirements.lock")
# Top modules that cannot be imported by themselves, and why.
NOT_ALONE = {"_distutils_hack": "setuptools' own hook"}


def distributions() -> dict[str, metadata.Distribution]:
    """What is installed here of the lock, by canonical name."""
    wanted = {canonicalize_name(name) for name in LOCKED}
    found = {canonicalize_name(one.metadata["Name"]): one for one in metadata.distributions()}
    return {name: found[name] for name in sorted(wanted & set(found))}


def modules(one: metadata.Distribution) -> list[str]:
    """The top modules that a distribution brings: packages with an ``__init__`` and single files."""
    names = set()
    for file in one.files or []:
        first = file.parts[0]
        if not Path(file.locate()).is_file():  # an old way of installing lists the sources, its setup.py among them
            continue
        if len(file.parts) == 1 and file.suffix == ".py":
            names.add(file.stem)
        elif len(file.parts) == 2 and file.name == "__init__.py" and first.isidentifier():
            names.add(first)
    return sorted(names - set(NOT_ALONE))


def test_every_locked_package_allows_the_oldest_interpreter():
    """Each says which versions of Python it is for; the lock serves them all."""
    oldest = ".".join(map(str, lock.OLDEST))
    refused = {
        name: one.metadata["Requires-Python"]
        for name, one in distributions().items()
        if not SpecifierSet(one.metadata["Requires-Python"] or "").contains(oldest)
    }
    assert not refused, f"add them to press.lock.CAPS: Python {oldest} is refused by {refused}"


def test_the_lock_keeps_below_its_caps():
    for cap, why in lock.CAPS.items():
        name, limit = re.fullmatch(r"([\w-]+)(<.*)", cap).groups()
        assert LOCKED[name] in SpecifierSet(limit) and why


def test_what_locked_packages_need_is_locked_too():
    """Else the newest of it would come, and a build could turn red because somebody else released something."""
    wanted = {canonicalize_name(name) for name in LOCKED}
    loose = {
        f"{name} needs {need.name}"
        for name, one in distributions().items()
        for need in map(Requirement, one.requires or [])
        if (need.marker is None or need.marker.evaluate({"extra": ""})) and canonicalize_name(need.name) not in wanted
        if not re.match(r"nvidia-|cuda-|triton$", need.name)  # the libraries of a torch for CUDA: it pins them itself
    }
    assert not loose, f"`make lock` adds them: {loose}"


def test_flowers_environment_is_locked_whole_and_shares_the_kits_versions():
    """Only exact versions, so that nothing newer comes by itself; what the kit computes with is the same in both."""
    lines = [line for line in lock.FLOWER_LOCK.read_text().splitlines() if not line.startswith("#")]
    flower, kit = ({canonicalize_name(k): v for k, v in found.items()} for found in (pins(lock.FLOWER_LOCK), LOCKED))
    assert len(lines) == len(flower) and flower["flwr"] in Requirement(lock.FLOWER).specifier
    assert {name: flower.get(name) for name in lock.BESIDE_FLOWER} == {name: kit[name] for name in lock.BESIDE_FLOWER}


def test_every_locked_package_can_be_imported():
    """In one fresh process, so that nothing of this one helps; each failure is listed with its package."""
    if os.environ.get("CI"):
        missing = {canonicalize_name(name) for name in LOCKED} - set(distributions())
        assert not missing, f"locked, but not installed: {missing}"
    wanted = {name: modules(one) for name, one in distributions().items()}
    assert sum(map(len, wanted.values())) > 200
    code = """if True:
        import importlib, json, sys, warnings
        from deepfake_kit import _compat
        warnings.simplefilter("ignore")
        _compat.torchvision()  # one that was built for CUDA beside a torch for the processor
        for name, modules in json.load(sys.stdin).items():
            for module in modules:
                try:
                    importlib.import_module(module)
                except BaseException as error:
                    print("FAILED", name, module, type(error).__name__, str(error)[:200].replace("\\n", " "))
        print("END")
        """
    env = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, input=json.dumps(wanted), env=env, text=True, capture_output=True, timeout=500)
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert not failed and done.stdout.rstrip().endswith("END"), "\n".join(failed) + done.stderr[-2000:]


# What compiles its patterns, or builds its parser, only when it is first used.
USES = {
    "soupsieve": "from bs4 import BeautifulSoup as B\n"
    "page = B('<ul class=a><li id=x>a</li><li lang=en>b</li></ul>', 'html.parser')\n"
    "assert [len(page.select(s)) for s in ('li', 'ul.a > li#x', 'li:nth-child(2n+0)', 'li[lang|=en]', 'li:not(#x)')]"
    " == [2, 1, 1, 1, 1]",
    "markdown-it": "from markdown_it import MarkdownIt\nassert '<em>a</em>' in MarkdownIt().render('*a* [b](c)')",
    "myst-parser": "from myst_parser.parsers.mdit import create_md_parser\nimport myst_parser.config.main as c\n"
    "from markdown_it.renderer import RendererHTML\n"
    "assert 'math' in create_md_parser(c.MdParserConfig(enable_extensions=['dollarmath']), RendererHTML).render('$x$')",
    "pygments": "from pygments import highlight, lexers, formatters\n"
    "for name in ('python', 'ipython3', 'bash', 'yaml', 'json', 'pytb', 'html', 'tex'):\n"
    "    assert highlight('a = 1', lexers.get_lexer_by_name(name), formatters.HtmlFormatter())",
    "docutils": "from docutils.core import publish_string as p\nassert b'<em>a</em>' in p('*a*', writer_name='html5')",
    "jinja2": "import jinja2\nassert jinja2.Template('{% for i in x %}{{ i }}{% endfor %}').render(x=[1, 2]) == '12'",
    "pybtex": "import pybtex.database as d\nassert len(d.parse_string('@misc{a, title={B}}', 'bibtex').entries) == 1",
    "yaml": "import yaml\nassert yaml.safe_load('a: [1, 2.5, 2020-01-01]')['a'][1] == 2.5",
    "jsonschema": "import jsonschema\njsonschema.validate({'a': 'x'}, {'properties': {'a': {'pattern': '^x'}}})",
    "sympy": "import sympy\nassert sympy.sympify('x**2').diff('x') == sympy.Symbol('x') * 2",
    "vyper": "import vyper\nassert vyper.compile_code('x: public(uint256)\\n')['bytecode']",
    "snakemake": "import snakemake.api, snakemake.parser",
}


@pytest.mark.parametrize("name", USES)
def test_patterns_that_are_compiled_at_first_use(name):
    exec(compile(USES[name], name, "exec"), {})


@pytest.mark.parametrize(
    ("version", "works"),
    [((3, 9, 18), False), ((3, 10, 13), False), ((3, 11, 2), True), ((3, 13, 0), True), ((3, 14, 1), False)],
)
def test_a_version_that_cannot_work_is_told_so(version, works, monkeypatch, capsys):
    assert (environment.trouble(version) == "") == works
    if not works:
        monkeypatch.setattr(environment.sys, "version_info", version)
        assert environment.main() == 2
        assert capsys.readouterr().err.startswith("Python ")
