# `make demo` and `make test` are all a newcomer needs. PYTHON=… chooses the Python, ARGS=… goes to pytest, JOBS=…
# is how many test files run at once: most of them wait for servers, browsers and clips, not for the processor.
VENV := .venv
PY := $(VENV)/bin/python
STAMPS := $(VENV)/stamps
FRONT_END := $(shell find js \( -name node_modules -o -name labextension \) -prune -o -type f -print) hatch_build.py
NODE := $(PY) -m scripts.node
PYTEST := $(PY) -m pytest
JOBS := 3
# In order, for browser tests must come last in each process (tests/conftest.py).
AT_ONCE := -n $(JOBS) --dist loadfile --no-loadscope-reorder
# A test that not even pytest-timeout can end (it does after 300 s) ends its process, which says where it
# stands; the run ends then, with its summary.
AT_ONCE += --max-worker-restart 0 -o faulthandler_timeout=420 -o faulthandler_exit_on_timeout=true
PHASE := sh scripts/phase

.NOTPARALLEL:
.PHONY: help demo test setup lint types test-newest-python test-lowest-dependencies test-unit test-integration test-packaging test-front-end test-e2e browser postgres bench torture soak clean

help:
	@echo "make demo   opens JupyterLab on the quickstart, on the simulator: no key, no cost"
	@echo "make test   lints, checks types, runs all tests"
	@echo "parts:      lint types test-unit test-integration test-packaging test-front-end test-e2e"
	@echo "            test-newest-python test-lowest-dependencies bench setup clean"
	@echo "long runs:  torture (kills, broken network, random answers: 10 minutes), soak (a day in 6 minutes)"

demo: $(STAMPS)/package
	@$(PY) -m scripts.demo

test: setup lint types test-front-end test-newest-python test-lowest-dependencies
	@$(PYTEST) $(AT_ONCE) tests/unit tests/integration tests/packaging tests/e2e $(ARGS)

test-newest-python: setup
	@$(PHASE) "Tests on the newest Python" $(PY) -m scripts.newest_python test -q $(AT_ONCE)

test-lowest-dependencies: setup
	@$(PHASE) "Tests on the lowest dependencies" $(PY) -m scripts.lowest_dependencies test -q $(AT_ONCE)

test-unit: $(STAMPS)/dev
	@$(PYTEST) tests/unit $(ARGS)

test-integration: $(STAMPS)/kernels
	@$(PYTEST) tests/integration $(ARGS)

test-packaging: $(STAMPS)/dev
	@$(PYTEST) tests/packaging $(ARGS)

test-e2e: setup
	@$(PYTEST) tests/e2e $(ARGS)

test-front-end: $(STAMPS)/node_modules
	@$(PHASE) "Front-end tests" $(NODE) npx --no-install vitest run

lint: $(STAMPS)/dev
	@$(PHASE) "Lint" $(PY) -m ruff check .
	@$(PHASE) "Format" $(PY) -m ruff format --check .
	@$(PHASE) "Direction of imports" $(VENV)/bin/lint-imports --no-cache --no-logo

types: $(STAMPS)/dev $(STAMPS)/node_modules
	@$(PHASE) "Python types" $(PY) -m mypy
	@$(PHASE) "TypeScript types" $(NODE) npx --no-install tsc --noEmit

bench: $(STAMPS)/bench browser
	@$(PY) -m tests.benchmarks $(ARGS)

torture: $(STAMPS)/dev
	@TORTURE=full $(PYTEST) -q -s tests/integration/test_generation_property.py
	@$(PY) -m tests.torture cuts
	@$(PY) -m tests.torture kills

soak: $(STAMPS)/dev
	@$(PY) -m tests.torture.soak

clean:
	rm -rf .venv .venv-* js/node_modules js/labextension tests/e2e/standin/node_modules kling_widget/static test-results .mypy_cache .ruff_cache .pytest_cache

setup: $(STAMPS)/dev $(STAMPS)/node_modules $(STAMPS)/standin $(STAMPS)/kernels $(STAMPS)/hosts $(STAMPS)/newest-python $(STAMPS)/lowest-dependencies browser postgres

browser: $(STAMPS)/dev
	@$(PY) -m scripts.browser

postgres: $(STAMPS)/dev
	@$(PY) -m scripts.postgres

# Each stamp is the moment its step last succeeded; a step runs again only when what it depends on has changed.
$(STAMPS)/venv: scripts/make-venv
	@$(PHASE) "Virtual environment" sh scripts/make-venv $(VENV) $(PYTHON)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/package: $(STAMPS)/venv pyproject.toml $(FRONT_END)
	@echo "Installing kling_widget and JupyterLab (about a minute, the first time only)"
	@$(PHASE) "Package" $(PY) -m pip install --quiet --editable . --group demo
	@touch $@

$(STAMPS)/dev: $(STAMPS)/package pyproject.toml
	@$(PHASE) "Test tools" $(PY) -m pip install --quiet --group dev
	@touch $@

$(STAMPS)/node_modules: $(STAMPS)/venv js/package.json js/package-lock.json
	@$(PHASE) "Front-end packages" $(NODE) npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(STAMPS)/standin: $(STAMPS)/venv tests/e2e/standin/package.json tests/e2e/standin/package-lock.json
	@$(PHASE) "Widget manager of the stand-in" $(NODE) npm ci --prefix ../tests/e2e/standin --no-audit --no-fund --loglevel=error
	@touch $@

$(STAMPS)/kernels: $(STAMPS)/dev scripts/kernels.py scripts/thin_environments.py
	@$(PHASE) "Older ipykernels" $(PY) -m scripts.kernels
	@touch $@

$(STAMPS)/bench: $(STAMPS)/dev scripts/bench.py scripts/thin_environments.py
	@$(PHASE) "What we are compared with" $(PY) -m scripts.bench
	@touch $@

$(STAMPS)/newest-python: $(STAMPS)/dev scripts/newest_python.py scripts/make-venv
	@$(PHASE) "Newest Python" $(PY) -m scripts.newest_python make
	@touch $@

$(STAMPS)/lowest-dependencies: $(STAMPS)/dev scripts/lowest_dependencies.py scripts/thin_environments.py
	@$(PHASE) "Lowest dependencies" $(PY) -m scripts.lowest_dependencies make
	@touch $@

$(STAMPS)/hosts: $(STAMPS)/dev scripts/hosts.py scripts/thin_environments.py
	@$(PHASE) "JupyterLab 4.2, Notebook 7, Voilà, marimo" $(PY) -m scripts.hosts
	@touch $@
