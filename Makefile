# Two commands on a fresh machine with Python 3.11 and make:  make demo   make test
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
# One BLAS and one numba thread: results do not depend on the machine's core count, and pooled workers do not fight.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export NUMBA_NUM_THREADS ?= 1
# Pins build requirements too.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-slow validate docs bench clean help
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# One stamp per set of extras; it goes stale when the pins or the metadata change.
$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed-%: $(VENV)/.python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --editable ".[$(subst +,$(comma),$*)]"
	@touch $@

comma := ,
DEMO := $(VENV)/.installed-planck
TEST := $(VENV)/.installed-planck+test+dev+cmb+dask
DOCS := $(VENV)/.installed-planck+docs

demo: $(DEMO)  ## the real Planck 2018 posterior of LambdaCDM
	$(BIN)/sciinf run docs/examples/planck2018_lcdm.toml --out runs/planck2018_lcdm --overwrite

test: $(TEST)  ## everything that must hold before a change lands (minutes)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(TEST)  ## the statistics that need longer
	$(BIN)/python -m pytest -n 2 -m slow

validate: $(TEST)  ## the quick tier of every validation suite
	$(BIN)/sciinf validate spine --quick
	$(BIN)/sciinf validate cmb --quick
	$(BIN)/sciinf validate echo --quick --workers 2
	$(BIN)/sciinf validate r3d --quick --workers 2
	$(BIN)/sciinf validate pn --quick --workers 2

docs: $(DOCS)  ## build the documentation; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

bench:  ## speed beside the peers, in an environment of their own (an hour or two; goes on where it was interrupted)
	$(PYTHON) -m venv .venv-bench
	PIP_CONSTRAINT=$(CURDIR)/constraints-bench.txt .venv-bench/bin/python -m pip install --quiet --editable ".[planck,cmb]" cobaya cosmopower-jax \
		nautilus-sampler ultranest blackjax rdrobust
	.venv-bench/bin/python validation/benchmarks/cmb.py --json validation/results/benchmark-cmb.json
	.venv-bench/bin/python validation/benchmarks/echo.py --end-to-end 1000 --json validation/results/benchmark-echo.json
	.venv-bench/bin/python validation/benchmarks/r3d.py --json validation/results/benchmark-r3d.json
	.venv-bench/bin/python validation/benchmarks/pn.py --json validation/results/benchmark-pn.json
	.venv-bench/bin/python validation/benchmarks/samplers.py

clean:  ## remove what the targets above made
	rm -rf $(VENV) .venv-bench docs/_build build dist
