# Everything a newcomer or a contributor does with Ivy. `make` alone lists it.
# Needs Python 3.11 or newer, make and git; everything else comes into .venv from locked wheels.

.DEFAULT_GOAL := help
SHELL := /bin/sh
.DELETE_ON_ERROR:
.PHONY: help setup dev test check format reference lock bench bench-check synth deploy clean

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready
CDK := aws-cdk@2.1148.1
TESTS ?= tests
# Two processes share the whole run, each with a Postgres and a cloud of its own. They keep the order
# of the files: xdist's would begin the longest ones last, because they have the fewest tests.
TOGETHER := --numprocesses 2 --no-loadscope-reorder --cov --cov-report=term
AWS_OUT := build/aws.out
LIBRARIES := tests/javascript/node_modules/.package-lock.json

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1mmake %-11s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Create .venv with everything in it

dev: $(READY) ## Run the whole gateway on this machine; Ctrl-C stops it
	@$(BIN)/ivy up

test: $(READY) $(LIBRARIES) ## Every test; TESTS=tests/unit runs a part
	@$(BIN)/pytest $(TESTS) $(if $(filter tests,$(TESTS)),$(TOGETHER))

check: $(READY) ## Format, lint, types, import contracts, tests, templates
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test
	$(MAKE) synth

format: $(READY) ## Let ruff format and repair what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

reference: $(READY) ## Write docs/openapi.json and the approved list of routes
	$(BIN)/python -m infra.openapi
	IVY_APPROVE=1 $(BIN)/pytest --quiet tests/infra/test_routes_listing.py

lock: $(READY) ## Compile the hashed locks from requirements/*.in
	cd requirements && for lock in uv runtime stripe dev localstack; do \
		../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
			--no-header $$lock.in --output-file $$lock.txt \
			$$([ $$lock = stripe ] && echo "--no-deps") \
			$$([ $$lock = dev ] && echo "--constraint runtime.txt --constraint stripe.txt"); done

bench: $(READY) ## Measure everything in bench/README.md; FULL=1 takes longer rounds
	$(BIN)/python -m bench $(if $(FULL),--full)

bench-check: $(READY) ## Fail where CPU, statements, calls or bytes are worse than committed
	$(BIN)/pytest --quiet tests/bench
	$(BIN)/python -m bench --check

synth: $(READY) ## Write the CloudFormation templates into cdk.out
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m infra.app --target local --out cdk.out

deploy: $(READY) ## Deploy to the AWS account of the current credentials
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/npx --yes $(CDK) deploy --all \
		--context target=aws --output $(AWS_OUT) $(DEPLOY_OPTIONS)

clean: ## Stop the stack; remove its data, the builds and .venv
	@if [ -x $(BIN)/ivy ]; then $(BIN)/ivy down; fi
	rm -rf "$${IVY_HOME:-.ivy}" build cdk.out .coverage .coverage.* .hypothesis .pytest_cache \
		.mypy_cache .ruff_cache .grimp_cache .import_linter_cache .venv tests/javascript/node_modules

# What receivers verify webhooks with in JavaScript: tests let it judge every delivery. Like pip, npm
# is to trust what the system trusts, such as a company's own authority.
$(LIBRARIES): tests/javascript/package-lock.json tests/javascript/package.json | $(READY)
	@for try in 1 2 3; do \
		NODE_OPTIONS=--use-system-ca $(BIN)/npm ci --loglevel=error --fetch-retries=2 --prefix tests/javascript && touch $@ && exit 0; \
		echo "  npm could not install tests/javascript (try $$try of 3)"; \
	done; echo "→ Is the npm registry reachable? NODE_OPTIONS=--use-system-ca $(BIN)/npm ping"; exit 1

# One environment, made from hashed locks; made again only when a lock changes.
$(READY): requirements/uv.txt requirements/dev.txt pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer was not found (PYTHON=$(PYTHON))."; \
		echo "→ Install it, or name it: make dev PYTHON=/path/to/python3.12"; exit 1; }
	@began=$$(date +%s); \
	echo "Setting up .venv with $$("$(PYTHON)" --version)"; \
	[ -x $(BIN)/uv ] || "$(PYTHON)" -m venv --clear .venv || { \
		rm -rf .venv; \
		echo "→ This Python cannot make virtual environments."; \
		echo "  Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }; \
	[ -x $(BIN)/uv ] && $(BIN)/uv --version | grep -qF "$$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements/uv.txt)" || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check \
			--require-hashes --only-binary :all: -r requirements/uv.txt || { \
		echo "→ pip could not install uv: is the package index reachable?"; exit 1; }; \
	echo "  uv            $$(( $$(date +%s) - began )) s"; \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt && \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . || { \
		echo "→ uv could not install requirements/dev.txt; the lines above say why."; exit 1; }; \
	echo "  requirements  $$(( $$(date +%s) - began )) s"; \
	touch $@
