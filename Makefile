# Two commands: `make repro` runs the pipeline, `make test` checks the code. Both make .venv when needed.
PYTHON ?= python3.11
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro test smoke clean
.DELETE_ON_ERROR:

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,onnx,ray]'
	touch $@

repro: .venv/.installed
	$(BIN)/dvc repro
	$(BIN)/mer show

test: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

# The whole pipeline on a small sample, in a throw-away clone: what CI runs after the tests.
smoke: .venv/.installed
	bash .ci/smoke

clean:
	rm -rf .venv
