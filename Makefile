# Two commands for a fresh machine:  make demo   and   make test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-slow coverage lint bench lock web clean

# everything that runs, runs in the environment that the lock file pins
$(STAMP): requirements.lock setup.cfg pyproject.toml
	$(PYTHON) -c "import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else 'tfmap needs Python 3.11 to 3.13, this is %d.%d. Say which: make PYTHON=python3.11' % v[:2])"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python -m tfmap.demo task=$(or $(TASK),classification)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# watching every line costs a third of the time again, on Python 3.11: run before a release, as test-slow is
coverage: $(STAMP)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --cov --cov-report=term

# a process for each file, two at a time: hundreds of large networks in one would fill 20 GB
test-slow: $(STAMP)
	grep -rl --include='test_*.py' 'mark\.slow' tests | sort | xargs -P 2 -n 1 $(BIN)/python -m pytest -m slow -q --no-header

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# needs uv; one lock for all supported Pythons and platforms
lock:
	uv pip compile setup.cfg --extra dev --universal --python-version 3.11 --generate-hashes --no-annotate \
		--no-emit-index-url --custom-compile-command "make lock" --upgrade -o requirements.lock

# LiteRT.js for the page of a hand-off kit:  make web RUN=runs/demo
web:
	cd "$(RUN)/handoff/web" && npm install --no-package-lock --no-audit --no-fund

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .coverage*
