# Recollect from a checkout. Each target makes .venv itself when it is missing or older than the lock.
# PYTHON=/path/to/python picks the interpreter (3.11 or newer); uv is used when it is on PATH.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
READY := $(VENV)/.ready
LOCK := requirements-dev.lock
PYTHON ?=
CANDIDATES := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.PHONY: help demo smoke test browser static check format bench eval faults attacks soak lock

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## Run Recollect with a Slack of its own on this machine: no account, no key
	@$(BIN)/bot demo

smoke: $(READY) ## Ask the shipped questions of the shipped files, and say how it went
	@$(BIN)/bot smoke

test: $(READY) ## Run every test but those in a browser
	$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

browser: $(READY) ## Use the playground's page in Chromium, which must be installed
	$(BIN)/python -m pytest -m browser tests/browser

static: $(READY) ## Check format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: static test ## Run what CI runs: static, then test

format: $(READY) ## Mend format, and lint where that is safe
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) ## Measure speed and memory; QUICK=1 takes two minutes, and writes nothing
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

eval: $(READY) ## Measure quality on labelled sets; QUICK=1 takes two minutes, and writes nothing; ONLY=xquad
	@$(BIN)/python -m benchmarks.eval $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

faults: $(READY) ## Break things under the bot and count what is lost; QUICK=1, ONLY=1,5 or SELFTEST=1
	@$(BIN)/python -m tests.faults $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(if $(SELFTEST),--self-test)

attacks: $(READY) ## Attack the bot and count what got through; QUICK=1, ONLY=13,14 or SELFTEST=1
	@$(BIN)/python -m tests.attacks $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(if $(SELFTEST),--self-test)

soak: $(READY) ## The same for HOURS=2, a fault a minute
	@$(BIN)/python -m tests.faults --only 20 --hours $(or $(HOURS),2)

lock: ## Pin the dependencies anew; UPGRADE=1 takes the newest versions
	@command -v uv >/dev/null || { echo "make lock needs uv (pip install uv)." >&2; exit 1; }
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) --group dev -c requirements.lock pyproject.toml -o $(LOCK)

# hatchling and editables are in the lock, so installing Recollect itself reaches for no network.
$(READY): $(LOCK)
	@found=; seen=; for python in $(CANDIDATES); do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { found=$$python; break; }; \
	    version=$$("$$python" -V 2>&1) && seen="$${seen:+$$seen, }$$python is $$version"; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "Recollect needs Python 3.11 or newer$${seen:+ ($$seen)}. Install it, or name it:" \
	        "make $(or $(MAKECMDGOALS),help) PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	echo "Installing what Recollect needs into $(VENV), once …"; \
	if command -v uv >/dev/null; then \
	    uv venv --quiet --allow-existing --python "$$found" $(VENV) && \
	    uv pip install --quiet --python $(BIN)/python --require-hashes -r $(LOCK) && \
	    uv pip install --quiet --python $(BIN)/python --offline --no-deps --no-build-isolation -e .; \
	elif "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
	    "$$found" -m venv $(VENV) && \
	    $(PIP) --require-hashes -r $(LOCK) && \
	    $(PIP) --no-index --no-deps --no-build-isolation -e .; \
	else \
	    echo "$$found has no venv module: install it (on Debian: apt-get install python3-venv), or uv." >&2; exit 1; \
	fi
	@touch $@
