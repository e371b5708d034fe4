# Every task of this repository. `make help` lists them; ARGS="…" is passed on to the program behind a task.

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz check audit bed cluster live longtime chaos bench up lock

# The first Python that the project supports; `make PYTHON=/path/to/python …` chooses another one.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c "$(FITS)" 2>/dev/null && echo $$p && break; done)
# What has no wheel is built with the locked setuptools, so that nothing is fetched that is not locked.
PIP := .venv/bin/pip install -q --disable-pip-version-check --use-pep517 --no-build-isolation --require-hashes
PIP_OURS := .venv/bin/pip install -q --disable-pip-version-check --no-build-isolation --no-deps
LOCK := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-annotate --no-header --no-emit-index-url --no-emit-find-links

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/.ready ## a real Kafka, worker, handler and gateway on a simulated cluster (ARGS="--for 60s --cluster real")
	.venv/bin/elasti demo $(ARGS)

test: .venv/.ready ## the fast tests
	.venv/bin/pytest -q $(ARGS)

fuzz: .venv/.ready ## bad input of every kind, many more examples than `make test` tries (ARGS="-k gateway")
	.venv/bin/pytest -q tests/fuzz --hypothesis-profile=fuzz --timeout 3600 $(ARGS)

check: .venv/.ready ## style, types, direction of imports
	.venv/bin/ruff check . && .venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

audit: ## what is known against the versions that run (needs uv, and the network for the advisories)
	uv tool run --from pip-audit==2.10.1 pip-audit --strict --require-hashes --disable-pip -r requirements/run.txt $(ARGS)

bed: .venv/.ready ## build the Kubernetes control plane that live tests start (once, about 10 minutes on 2 cores)
	.venv/bin/python -m consumer.adapters.control_plane build

cluster: bed ## a Kubernetes control plane of one node to try things on, until Ctrl-C
	.venv/bin/python -m consumer.adapters.control_plane run

live: bed ## the tests on a real Kafka, Prometheus and Kubernetes control plane (needs prometheus on PATH)
	.venv/bin/pytest -q -m live tests/live $(ARGS)

longtime: .venv/.ready ## weeks of a drawn trace in minutes (ARGS="--services 1000 --days 30 --seed 1")
	.venv/bin/python -m tests.longtime $(ARGS)

chaos: bed ## break a real system by a plan drawn from SEED=n and judge it, at most 8 minutes (ARGS="--minutes 1", ARGS="--without-kafka 10")
	.venv/bin/python -m tests.chaos --seed $(or $(SEED),1) $(ARGS)

bench: .venv/.ready ## the budgets, side by side with their peers (ARGS="decode" for one of them)
	@for name in $(or $(filter-out -%,$(ARGS)),$(basename $(notdir $(wildcard bench/[a-z]*.py)))); do echo "== $$name"; .venv/bin/python -m bench.$$name $(filter -%,$(ARGS)) || exit 1; done

up: ## Kafka, Prometheus and elasti in containers
	docker compose up --build $(ARGS)

lock: ## write requirements/ anew from pyproject.toml (needs uv)
	echo "setuptools>=77" | $(subst pyproject.toml,-,$(LOCK)) -o requirements/build.txt
	$(LOCK) --extra uvloop -o requirements/run.txt
	$(LOCK) --extra uvloop --extra dev --extra bed -c requirements/run.txt -o requirements/dev.txt

.venv/.ready: pyproject.toml requirements/build.txt requirements/dev.txt
	@"$(PYTHON)" -c "$(FITS)" 2>/dev/null || { echo "elasti needs Python 3.11, 3.12 or 3.13 and found $(or $(PYTHON),none); install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear .venv && $(PIP) -r requirements/build.txt
	$(PIP) -r requirements/dev.txt && $(PIP_OURS) -e . && touch $@
