# Two commands matter: `make book` and `make test`. Both make the environment first.
PYTHON ?= python3
VENV ?= .venv
PROFILE ?= book
WORKERS ?= 2
BIN := $(VENV)/bin
export VENV
export PATH := $(abspath $(BIN)):$(PATH)
export PYTHONPATH := $(CURDIR)/book
export JUPYTER_PLATFORM_DIRS = 1

.DEFAULT_GOAL := help
.PHONY: help environment book test test-flower site-test lint format chapter lab serve bench colab lock zip clean

help:  ## list every target
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

environment:  ## make the virtual environment .venv from requirements.lock
	@$(PYTHON) book/press/environment.py

book: environment  ## execute what changed, render, inspect, publish to _build/html
	@python -m press build --profile $(PROFILE)

test: environment  ## run the tests (those of the finished pages too, if the book is built)
	@OMP_NUM_THREADS=1 python -m pytest --numprocesses $(WORKERS) --dist loadfile

test-flower: environment  ## the federated chapter over real Flower processes, in an environment of its own
	@python tests/flower/run.py

site-test: environment  ## only the tests of the finished pages
	@python -m pytest tests/book

lint: environment  ## style, notebook form, workflow files
	@ruff check .
	@ruff format --check .
	@lint-imports --no-cache
	@python -m press normalise --check
	@check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

format: environment  ## one formatting for code; strip outputs and machine metadata from the notebooks
	@ruff format .
	@python -m press normalise

chapter: environment  ## execute one chapter: make chapter CHAPTER=02_diffusion_math [PROFILE=smoke]
	@deepfake-kit run $(CHAPTER) --profile $(PROFILE)

lab: environment  ## open the notebooks in JupyterLab
	@jupyter lab notebooks

serve:  ## look at the built book on http://127.0.0.1:8000
	@$(PYTHON) -m http.server --bind 127.0.0.1 --directory _build/html 8000

bench: environment  ## the benchmarks, one report each under _build/bench
	@mkdir -p _build/bench
	@for script in tests/bench/bench_*.py; do echo "== $$script"; python $$script --out _build/bench || exit 1; done

colab: environment  ## copies of the notebooks for Colab (DEEPFAKE_BOOK_REPOSITORY=... make colab)
	@python -m press colab _build/colab/notebooks

zip: book  ## the whole book as one file that works offline
	@cd _build && $(PYTHON) -c "import shutil; print(shutil.make_archive('deepfakes-book', 'zip', 'html'))"

lock:  ## resolve requirements.lock anew from pyproject.toml (newest versions)
	@$(PYTHON) book/press/lock.py

clean:  ## remove everything that was built (not the environment)
	rm -rf _build
