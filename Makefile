# The commands of this project. `make demo` and `make test` need Python 3.11, pip and make, and set up the rest.
PYTHON ?= python3
BIN := .venv/bin
MODULES := src/toolgate/console/static/modules/preact.js
# Images of Python often forbid bytecode. The tests start hundreds of processes, each of which would compile the gate anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: modules demo test again lint check bench compare lock clean conformance faults console

demo: .venv/ready modules  ## run the main job on this machine: no key, no network
	$(BIN)/toolgate demo

test: .venv/ready modules  ## the tests
	$(BIN)/python -m pytest -n 2

again:                     ## the tests that failed the last time, one at a time; more than three are not told to be chance
	@$(BIN)/python -c 'import json; failed = json.load(open(".venv/pytest/v/cache/lastfailed")); print(*failed, sep="\n"); raise SystemExit(len(failed) > 3)'
	$(BIN)/python -m pytest -v --last-failed --last-failed-no-failures none

console: $(MODULES)       ## fetch the modules of the web console, with npm

lint: .venv/ready          ## style, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test           ## all of it

faults: .venv/ready        ## processes and servers killed 25 times each, runs of the agent at each step, full disks, 8,000 calls of one budget, 2,000 children; minutes
	TOOLGATE_FAULT_RUNS=25 $(BIN)/python -m pytest -n 2 tests/faults tests/agent/test_killed.py tests/upstream/test_children.py

bench: .venv/ready         ## measure CPU, memory and sizes; prints the table of docs/performance.md
	$(BIN)/python -m tests.bench

compare: .venv/ready       ## the same call through other gateways, side by side; installs them in .demo/compare, about 20 minutes
	$(BIN)/python -m tests.compare

conformance: .venv/ready   ## the official MCP suite through the gateway, as server and as client; fetches it by npm
	$(BIN)/python -m tests.conformance

lock: .venv/ready          ## renew constraints.txt and requirements.lock
	$(BIN)/pip-compile -q --upgrade --all-extras --strip-extras $(COMPILE) --output-file constraints.txt pyproject.toml
	$(BIN)/pip-compile -q --strip-extras $(COMPILE) --generate-hashes --constraint constraints.txt --output-file requirements.lock pyproject.toml
COMPILE := --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

# Without npm or a network the gate works all the same, and the page says what is missing.
modules: .venv/ready
	@$(MAKE) --no-print-directory $(MODULES) || echo "going on without the console"

$(MODULES): package.json package-lock.json .npmrc src/toolgate/console/modules.py .venv/ready
	$(BIN)/python src/toolgate/console/modules.py
	@touch $@

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv dist build .mypy_cache .ruff_cache .import_linter_cache .hypothesis src/toolgate/console/static/modules node_modules
