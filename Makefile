# Wants make and Python >= 3.11; installs whatever else it needs into $(VENV).

PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
PYTEST = OPENBLAS_NUM_THREADS=1 $(RUN) -m pytest -n 2

# Other counterexamples are looked for in every run of test-full; SEED repeats one.
SEED ?= $(shell date +%s)
SEED := $(SEED)

.PHONY: help demo test test-full certificate mutants lint clean

help:
	@echo "make demo         train a small convolutional network on real handwritten digits"
	@echo "make test         run the tests"
	@echo "make test-full    run the slow tests too, and look for more counterexamples (SEED=...)"
	@echo "make certificate  check every rule at 20,000 calls and more, and print the errors"
	@echo "make mutants      plant wrong rules, one at a time, and show that the tests catch them"
	@echo "make lint         check style (ruff) and types (mypy)"
	@echo "make clean        remove caches and builds; the environment and the runs stay"

demo: $(VENV)/.with-models
	$(RUN) -m models train lenet --dataset digits

test: $(VENV)/.with-test
	HYPOTHESIS_PROFILE=ci $(PYTEST) -m "not slow"

test-full: $(VENV)/.with-test
	HYPOTHESIS_PROFILE=full $(PYTEST) --hypothesis-seed=$(SEED)
	OPENBLAS_NUM_THREADS=1 $(RUN) -m tests.strict check --thorough --seed $(SEED)

certificate: $(VENV)/.with-test
	OPENBLAS_NUM_THREADS=1 $(RUN) -m tests.strict check --thorough

mutants: $(VENV)/.with-test
	$(RUN) -m tests.mutants

lint: $(VENV)/.with-test,lint
	$(RUN) -m ruff check .
	$(RUN) -m mypy

# One stamp for each set of extras, out of date when pyproject.toml changes.
$(VENV)/.with-%: pyproject.toml | $(RUN)
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch '$@'

$(RUN):
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("minigrad wants Python >= 3.11, got " + sys.version.split()[0] + "; say make PYTHON=...")'
	$(PYTHON) -m venv $(VENV) || { rm -f $(RUN); exit 1; }

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find minigrad models tests -name __pycache__ -prune -exec rm -rf {} +
