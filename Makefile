# Two commands matter: `make book` and `make test`. Both make the environment first.
PYTHON ?= python3
PROFILE ?= book
WORKERS ?= 2
PORT ?= 8000
SITE = html$(addprefix -,$(filter-out book,$(PROFILE)))
# The Snakemake executor plug-in that takes the chapters (slurm, kubernetes, cluster-generic); empty: this machine.
EXECUTOR ?=
# VENV (default .venv) and DEEPFAKE_BOOK_BUILD (default _build) may name other folders. Made absolute without $(abspath),
# which splits a path at its spaces, and read with $(value), which leaves a dollar sign alone. Programs are started as
# modules of the interpreter: a script's first line cannot name an interpreter below every path.
override VENV := $(or $(value VENV),.venv)
override VENV := $(if $(filter /%,$(VENV)),$(VENV),$(CURDIR)/$(VENV))
BUILD := $(or $(value DEEPFAKE_BOOK_BUILD),_build)
export VENV BUILD
export PATH := $(VENV)/bin:$(value PATH)
export PYTHONPATH := $(CURDIR)/book
export JUPYTER_PLATFORM_DIRS = 1

.DEFAULT_GOAL := help
.PHONY: help environment book test test-flower site-test lint format chapter lab serve bench colab course lock certificate zip light pdf epub clean

help:  ## list every target
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

environment:  ## make the virtual environment .venv from requirements.lock
	@$(PYTHON) book/press/environment.py

book: environment  ## execute what changed, render, inspect, publish to _build/html (PROFILE=smoke: to _build/html-smoke)
	@DEEPFAKE_BOOK_PARENT=$$PPID exec python -m press build --profile $(PROFILE) --executor "$(EXECUTOR)"

test: environment  ## run the tests (those of the finished pages too, if the book is built)
	@OMP_NUM_THREADS=1 python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test-flower: environment  ## the federated chapter over real Flower processes, in an environment of its own
	@python tests/flower/run.py

site-test: environment  ## only the tests of the finished pages
	@python -m pytest tests/book

lint: environment  ## style, notebook form, workflow files
	@python -m ruff check .
	@python -m ruff format --check .
	@python -c "from importlinter.cli import lint_imports_command; lint_imports_command()" --no-cache
	@python -m press normalise --check
	@python -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

format: environment  ## one formatting for code; strip outputs and machine metadata from the notebooks
	@python -m ruff format .
	@python -m press normalise

chapter: environment  ## execute one chapter: make chapter CHAPTER=02_diffusion_math [PROFILE=smoke]
	@python -m deepfake_kit run $(CHAPTER) --profile $(PROFILE)

lab: environment  ## open the notebooks in JupyterLab
	@DEEPFAKE_KIT_HERE="$$(pwd)" python -m jupyterlab notebooks

serve:  ## look at the built book on http://127.0.0.1:8000 (PORT=8001: there; PROFILE=smoke: the one at toy size)
	@test -f "$$BUILD/$(SITE)/index.html" || { echo "no book in $$BUILD/$(SITE): make book first" >&2; exit 2; }
	@$(PYTHON) -m http.server --bind 127.0.0.1 --directory "$$BUILD/$(SITE)" $(PORT)

bench: environment  ## the benchmarks: ratios with their spread, one report each and a table under _build/bench
	@mkdir -p "$$BUILD/bench"
	@for script in tests/bench/bench_*.py; do echo "== $$script"; python $$script --out "$$BUILD/bench" || exit 1; done
	@python tests/bench/ratios.py "$$BUILD/bench"

colab: environment  ## copies of the notebooks for Colab (DEEPFAKE_BOOK_REPOSITORY=... make colab)
	@python -m press colab "$$BUILD/colab/notebooks"

course: environment  ## a course to teach: make course ARGS="--chapters 2,4,6 --weeks 6 --seed 7 --out course"
	@DEEPFAKE_KIT_HERE="$$(pwd)" python -m press course $(ARGS)

zip: book  ## the whole book as one file that works offline
	@python -m press bind zip

light: book  ## the same without Python for the exercises and networks: at most 40 MB
	@python -m press bind light

certificate: environment  ## make the book again from nothing, compare every output, write codecheck.yml and its page
	@DEEPFAKE_BOOK_PARENT=$$PPID exec python -m press certificate --profile $(PROFILE)

pdf: book  ## the whole book as one PDF, printed by Chromium
	@python -m press bind pdf

epub: book  ## the whole book as an EPUB
	@python -m press bind epub

lock:  ## resolve requirements.lock anew from pyproject.toml (newest versions)
	@$(PYTHON) book/press/lock.py

clean:  ## remove everything that was built (not the environment)
	rm -rf "$$BUILD"
