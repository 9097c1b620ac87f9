# `make` lists what there is. PYTHON=… picks the interpreter, ARGS=… goes to the service.

PYTHON  ?= python3 python3.14 python3.13 python3.12 python3.11
BIN     := .venv/bin
SECONDS := 60
CHECKED  = $(wildcard service tests benchmarks)
BIOME    = tests/node/node_modules/.bin/biome
PIP      = $(BIN)/python -m pip install --quiet --disable-pip-version-check

# What counts as a key in .env, as python-dotenv reads it: a value that is there and not empty.
KEY_LINE = ^[[:space:]]*(export[[:space:]]+)?GROQ_API_KEY(_FILE)?[[:space:]]*=[[:space:]]*["'\'']?[^"'\''\#[:space:]]

.PHONY: help run test check format vendor screenshot bench fuzz soak clean

help:
	@echo "make run     serve on port 8000; with Groq when GROQ_API_KEY is set or in .env, else simulated"
	@echo "make test    install what the tests need, and run them all"
	@echo "make check   format, lint, types, tests: what CI runs"
	@echo "make format  format the code, and mend what the linter can mend"
	@echo "make vendor  fetch what the pages load that is not ours, by vendor/package-lock.json"
	@echo "make screenshot  make the README's picture of the playground anew"
	@echo "make bench   measure the service beside its peers, for half an hour; see benchmarks/README.md"
	@echo "make fuzz    look for inputs that break a parser, SECONDS=60 for each; see tests/fuzzing/"
	@echo "make soak    use the service for an hour, and see that it holds no more; SECONDS=60 for less"
	@echo "make clean   remove everything that make has made (never data/ or .env)"

run: .venv/.run
	@if [ -n "$$GROQ_API_KEY$$GROQ_API_KEY_FILE" ] || grep -Eqs '$(KEY_LINE)' .env; then \
	  exec $(BIN)/python -m service $(ARGS); \
	fi; \
	echo; \
	echo "  ********************************************************************"; \
	echo "  *  NO GROQ_API_KEY: answers come from the BUILT-IN SIMULATOR.      *"; \
	echo "  *  For Groq's models set GROQ_API_KEY, or write it into .env       *"; \
	echo "  *  (cp config/.env.example .env), and start again.                 *"; \
	echo "  ********************************************************************"; \
	echo; \
	exec $(BIN)/python -m service --simulate $(ARGS)

test: .venv/.test tests/node/node_modules/.made vendor/node_modules/.made
	@.ci/programs
	$(BIN)/python -m pytest $(ARGS)

check: .venv/.dev tests/node/node_modules/.made
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/mypy $(CHECKED)
	$(BIOME) ci
	@$(MAKE) --no-print-directory test

format: .venv/.dev tests/node/node_modules/.made
	$(BIN)/ruff format $(CHECKED)
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIOME) check --write

vendor: vendor/node_modules/.made
	node vendor/assemble.mjs service/static/vendor

screenshot: .venv/.test
	@.ci/programs
	SCREENSHOT=1 $(BIN)/python -m pytest tests/playground/test_screenshot.py

bench: .venv/.run build/bench/.peers
	$(BIN)/python -m benchmarks.measure $(ARGS)

fuzz: .venv/.fuzz
	PYTHONPATH=.:tests $(BIN)/python -m fuzzing.explore $(SECONDS) $(TARGETS)

soak: SECONDS = 3600
soak: .venv/.run
	$(BIN)/python -m benchmarks.soak --seconds $(SECONDS) $(ARGS)

clean:
	rm -rf .venv build dist *.egg-info tests/node/node_modules vendor/node_modules .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(CHECKED) -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp says: this was installed after the dependencies last changed.

.venv/.run: .venv/.made setup.cfg pyproject.toml
	@echo "Installing the service into .venv …"
	@$(PIP) -e .
	@touch $@

.venv/.test: .venv/.run
	@echo "Installing what the tests need into .venv …"
	@$(PIP) -e '.[test]'
	@touch $@

tests/node/node_modules/.made: tests/node/package.json tests/node/package-lock.json
	@.ci/programs
	@echo "Installing what the tests need of Node into tests/node …"
	@cd tests/node && npm ci --silent --no-audit --no-fund && touch node_modules/.made || \
	  echo "The tests that need it will fail: npm ci did not work" >&2

vendor/node_modules/.made: vendor/package.json vendor/package-lock.json vendor/.npmrc
	@.ci/programs
	@echo "Fetching what the pages load into vendor/node_modules …"
	@cd vendor && npm ci --silent --no-audit --no-fund && touch node_modules/.made || \
	  echo "The tests that need it will fail: npm ci did not work" >&2

.venv/.dev: .venv/.test
	@echo "Installing the linter and the type checker into .venv …"
	@$(PIP) -e '.[dev]'
	@touch $@

.venv/.fuzz: .venv/.test
	@echo "Installing the fuzzer into .venv …"
	@$(PIP) -e '.[fuzz]'
	@touch $@

build/bench/.peers: benchmarks/peers/requirements.txt .venv/.made
	@echo "Installing the benchmark's peers into build/bench/venv …"
	@$(BIN)/python -m venv --clear build/bench/venv
	@build/bench/venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.venv/.made:
	@for python in $(PYTHON); do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    echo "Making .venv with $$($$python --version) …"; \
	    $$python -m venv .venv && touch $@ && exit; \
	    echo "This Python cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
	    exit 1; \
	  fi; \
	done; \
	echo "Python 3.11 or newer is needed, and none of these is it: $(PYTHON)" >&2; \
	echo "Install one (Debian and Ubuntu: apt-get install python3 python3-venv), or say where it is: make PYTHON=/path/to/python3" >&2; \
	exit 1
