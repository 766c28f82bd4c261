# All tasks of this repository. `make help` lists them.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
# Processes that share a run of the tests. Tests that start servers wait a lot, so more than cores pay.
WORKERS ?= 3
SPREAD = $(if $(filter-out 0,$(WORKERS)),-n $(WORKERS))
PYTEST ?= $(BIN)/python -m pytest
MEASURED = PYTHONPATH=$(CURDIR)/tests/measured $(BIN)/coverage run -m pytest

# The tests start hundreds of processes. Each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: audit browser containers docs image promtool test-compose test-image notebooks openapi pictures fuzz fuzz-api mlflow vision help setup run demo test test-sqlite test-services check format bench faults clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(STAMP) ## create .venv with the exact versions in constraints.txt

$(STAMP): SHELL := bash# for pipefail
$(STAMP): pyproject.toml constraints.txt clients/python/pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): first torch, which is large, then the rest."
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt torch
	set -o pipefail; $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt \
	  -e '.[dev]' -e 'clients/python[torch,numpy,cli]' | sed -un 's/^ *Downloading /  /p'
	touch $@

run: $(STAMP) ## start the server (ARGS="--port 8080")
	$(BIN)/python manage.py serve $(ARGS)

demo: $(STAMP) ## run a whole training on real data (ARGS="--aggregation FedProx --keep")
	$(BIN)/fl-server demo $(ARGS)

test: $(STAMP) ## run the test suite on SQLite, then on PostgreSQL and Redis; print the branches they cover
	$(BIN)/coverage erase
	@failed=; for pass in test-sqlite test-services; do \
	  $(MAKE) $$pass PYTEST="$(MEASURED)" || failed="$$failed $$pass"; \
	done; \
	if [ -n "$$failed" ]; then echo "These failed:$$failed. Their output is above." >&2; exit 1; fi
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report $(if $(REQUIRE_SERVICES),,--fail-under=0)

test-sqlite: $(STAMP) ## run the tests on SQLite, with the embedded worker (ARGS="tests/api -x" WORKERS=0)
	FL_TEST_DATABASE=sqlite $(PYTEST) $(SPREAD) $(ARGS)

test-services: $(STAMP) ## run the tests on PostgreSQL and Redis, if they are available
	@if $(BIN)/python -m tests.services; then \
	  FL_TEST_DATABASE=postgres $(PYTEST) $(SPREAD) $(ARGS); \
	elif [ -n "$$REQUIRE_SERVICES" ]; then exit 1; \
	else echo "The tests were not run on PostgreSQL and Redis, for the reason above."; fi

check: $(STAMP) ## check lint, format, types, import contracts, migrations, system checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --fail-level ERROR

format: $(STAMP) ## apply ruff's formatting and automatic fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

fuzz: $(STAMP) ## read 500,000 mutated files and compare 100,000 pairs (ARGS="--mutants 10000 --pairs 2000 --seed 2")
	$(BIN)/python -m tests.core.archive.fuzz --mutants 500000 --pairs 100000 --processes $$(nproc) $(ARGS)

fuzz-api: $(STAMP) ## send more than 5,000 made-up requests to the API, as nobody, a participant and an actor
	SCHEMATHESIS_EXAMPLES=40 FL_TEST_DATABASE=sqlite $(BIN)/python -m pytest tests/api/test_schemathesis.py --durations 3 $(ARGS)

openapi: $(STAMP) ## write docs/openapi.yaml, and generate a Python client from it in build/
	$(BIN)/python -m tests.api.openapi_document > docs/openapi.yaml.new && mv docs/openapi.yaml.new docs/openapi.yaml
	mkdir -p build
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m openapi_python_client generate --path docs/openapi.yaml \
	  --output-path build/openapi-client --overwrite --fail-on-warning
	$(BIN)/python -m pytest tests/api/test_openapi_document.py tests/e2e/test_generated_client.py $(ARGS)

docs: $(STAMP) ## build the documentation as a site into build/site, and check its links
	$(BIN)/python -m docs.generator.build build/site

notebooks: $(STAMP) ## run the notebooks of the documentation and keep their outputs
	WRITE_NOTEBOOKS=1 FL_TEST_DATABASE=sqlite $(PYTEST) tests/site/test_tutorials.py -k notebook $(ARGS)

vision: pyproject.toml ## run the tests that need torchvision, in a separate environment
	test -x .venv-vision/bin/python || $(PYTHON) -m venv .venv-vision
	grep -v '^torch==' constraints.txt > .venv-vision/constraints.txt
	.venv-vision/bin/python -m pip install --quiet --disable-pip-version-check -c .venv-vision/constraints.txt \
	  -e '.[dev]' -e 'clients/python[torch]' torch==2.14.1 torchvision==0.29.1
	.venv-vision/bin/python -m pytest tests/ai/inference/test_torchvision.py $(ARGS)

mlflow: $(STAMP) ## try the export to MLflow against a real server, which has an environment of its own
	test -x .venv-mlflow/bin/python || $(PYTHON) -m venv .venv-mlflow
	test -x .venv-mlflow/bin/mlflow || .venv-mlflow/bin/python -m pip install --disable-pip-version-check mlflow==3.17.2
	MLFLOW_BIN=$(CURDIR)/.venv-mlflow/bin FL_TEST_DATABASE=sqlite $(PYTEST) tests/house/exports/test_mlflow.py $(ARGS)

bench: $(STAMP) ## run all benchmarks
	@set -e; for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file $(ARGS); done

faults: $(STAMP) ## long run: kill processes, drop connections, stop services and lose servers during trainings
	FAULTS=long $(BIN)/python -m pytest tests/faults tests/e2e/test_backup.py --timeout 0 $(ARGS)

pictures: $(STAMP) ## make the pictures of the pages in docs/images/ again (needs Chromium)
	$(BIN)/python -m tests.e2e.pictures

browser: ## install Debian's Chromium for the tests that open pages, unless there is one (as root)
	command -v chromium >/dev/null || (apt-get update -qq && apt-get install -qq --no-install-recommends chromium >/dev/null)

promtool: $(STAMP) ## unpack Debian's promtool into .venv, for the test of the alert rules; starts and installs nothing
	@test -x $(BIN)/promtool || command -v promtool >/dev/null || (set -e; folder=$$(mktemp -d); chmod 755 $$folder; \
	  trap 'rm -rf '$$folder EXIT; apt-get update -qq || true; cd $$folder; apt-get -o APT::Sandbox::User=root download -qq prometheus; \
	  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool; mv usr/bin/promtool $(abspath $(BIN))/promtool)

containers: $(STAMP) ## install what builds and runs the image here, from Debian's packages (as root); unpack Caddy into .venv
	@for program in podman catatonit runc mmdebstrap iptables ip; do command -v $$program >/dev/null && continue; \
	  apt-get update -qq && apt-get install -qq --no-install-recommends podman buildah catatonit runc mmdebstrap iptables iproute2 >/dev/null; \
	  break; done
	@test -x $(BIN)/caddy || command -v caddy >/dev/null || (set -e; folder=$$(mktemp -d); chmod 755 $$folder; \
	  trap 'rm -rf '$$folder EXIT; apt-get update -qq || true; cd $$folder; apt-get -o APT::Sandbox::User=root download -qq caddy; \
	  dpkg-deb --fsys-tarfile caddy_*.deb | tar -x ./usr/bin/caddy; mv usr/bin/caddy $(abspath $(BIN))/caddy)

image: $(STAMP) ## build the image from packages that pip and apt find, on a base of Debian's (podman; ENGINE=docker)
	PYTHON=$(abspath $(BIN))/python deploy/image/build

test-image: image ## build the image and run a whole training in its containers (needs PostgreSQL and Redis)
	TEST_IMAGE=localhost/fl-server FL_TEST_DATABASE=postgres $(PYTEST) tests/image --ignore tests/image/compose $(ARGS)

# A network of its own, so that the ports of the compose file are free, and of processes: all of them end with the test.
test-compose: ## run docker-compose.yml with Debian's Docker, on the image that `make image` has built (as root)
	@command -v dockerd >/dev/null || tests/image/compose/unpack-docker $(VENV)/docker
	tests/image/compose/build-others
	TEST_IMAGE=localhost/fl-server FL_TEST_DATABASE=sqlite unshare --net --pid --fork --kill-child --mount-proc \
	  sh -c 'ip link set lo up && exec "$$@"' sh $(PYTEST) -rs tests/image/compose $(ARGS)

audit: ## look up the pinned versions in the database of known vulnerabilities (needs the network)
	test -x .venv-audit/bin/pip-audit || ($(PYTHON) -m venv .venv-audit \
	  && .venv-audit/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.9,<3')
	@.venv-audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict \
	  --progress-spinner off $(ARGS) >.venv-audit/report 2>&1; status=$$?; cat .venv-audit/report; \
	if [ $$status -ne 0 ] && ! grep -q "^Found .* known vulnerabilit" .venv-audit/report; then \
	  echo "Nothing was audited: the database could not be asked about every version." >&2; exit 2; fi; exit $$status

clean: ## remove caches (keeps var/ and .venv)
	rm -rf .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info \
	  clients/python/build clients/python/src/*.egg-info
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
