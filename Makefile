# `make help` names the targets. The environment is .venv: made once, brought up to date only when pyproject.toml,
# the lock or TORCH changed.

# Any Python from 3.11; only used to make .venv.
PYTHON ?= python3
# cpu or cuda: which build of torch goes into .venv.
TORCH ?= $(if $(shell command -v nvidia-smi),cuda,cpu)
# Size of `make notebooks`, how many run at a time (as of the tests, one thread each), and more words for its command,
# e.g. ARGS="01".
SCALE ?= laptop
JOBS ?= 2
ARGS ?=
# Data sets for `make data`, e.g. NAMES="bfcl when2call"; it lists them when empty.
NAMES ?=
export WANDB_MODE ?= offline

SHELL := bash
BIN := .venv/bin
LOCK := binder/constraints.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := .venv/.installed-$(TORCH)-$(firstword $(shell cat pyproject.toml $(LOCK) | cksum))
CPU_INDEX := https://download.pytorch.org/whl/cpu
PINNED_TORCH := $(shell sed -n 's/^torch==//p' $(LOCK))

ifeq ($(filter cpu cuda,$(TORCH)),)
$(error TORCH is cpu or cuda, not '$(TORCH)')
endif
# pip prefers a build with a local version such as +cpu to the plain one, from wherever it is offered, and goes on
# without an index that it cannot reach. `===` matches the plain one alone, which on Linux is the CUDA build.
ifeq ($(TORCH),cuda)
TORCH_WANTED := 'torch===$(PINNED_TORCH)'
else ifeq ($(shell uname -s),Linux)
TORCH_WANTED := 'torch==$(PINNED_TORCH)' --extra-index-url $(CPU_INDEX) --timeout 15 --retries 1
else
TORCH_WANTED := 'torch==$(PINNED_TORCH)'
endif

.DEFAULT_GOAL := help
.PHONY: help env notebooks test check lab data lint lock clean

# glibc otherwise hands every activation back to the kernel: up to 3x slower on CPU.
notebooks test check lab: export MALLOC_MMAP_MAX_ = 0
notebooks test check lab: export MALLOC_TRIM_THRESHOLD_ = 8000000000
notebooks test check lab: export MALLOC_TOP_PAD_ = 268435456
test check: export TQDM_DISABLE = 1
# A second OpenMP thread gains a quarter on a quiet machine, and costs five times the work beside a busy neighbour.
notebooks test check: export OMP_NUM_THREADS ?= 1

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 12

env: $(STAMP) ## make .venv, or bring it up to date

notebooks: env ## run all notebooks at laptop scale and print where their page is (25 minutes)
	$(BIN)/slmkit run $(ARGS) --scale $(SCALE) --jobs $(JOBS)

test: env lint ## every check at reduced size, notebooks at smoke scale (12 minutes)
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m 'not full and not browser and not gpu' --durations 10

check: env lint ## every check at full size (60 minutes)
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m '' --durations 25

lab: env ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

data: env ## list the data sets, or get some: make data NAMES="bfcl when2call"
	$(BIN)/slmkit data $(if $(NAMES),pull $(NAMES),list)

lint: env ## ruff over package, tests and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lock: | $(BIN)/python ## resolve pyproject.toml into the lock again; newest versions with UPGRADE=--upgrade
	$(PIP) install -q uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --fork-strategy fewest \
		--no-annotate --quiet $(UPGRADE) --output-file $(LOCK)

clean: ## remove caches and build products; outputs/ and .venv stay
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
	find slmkit tests notebooks -name __pycache__ -prune -exec rm -r {} + -o \
		-name .ipynb_checkpoints -prune -exec rm -r {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "slmkit needs Python 3.11 or newer: make env PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv

# A new pip resolves twice as fast as the one that comes with Python; compiling on all cores saves a minute more.
$(STAMP): | $(BIN)/python
	@rm -f .venv/.installed-*
	$(PIP) install -qq --upgrade pip
	$(PIP) install -qq --no-compile --no-deps --upgrade $(TORCH_WANTED)
	$(PIP) install -qq --no-compile -c $(LOCK) -e '.[dev,lab,serve,mcp]'
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' .venv/lib || true
	$(PIP) check
	@touch $@
