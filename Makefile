# Needs Python 3.11 or newer with venv, and make; a C++ compiler makes training faster. `make` alone lists what there is.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
# Where pip shall find torch, if not where it finds everything else (the CPU build is much smaller).
TORCH_INDEX ?=
# What test-processors runs.
TESTS ?= tests/bench/evaluation tests/bench/reporting

# What test-minimum runs.
MINIMUM ?= tests

# Of the machine that wheels are for.
PYTHON_THERE ?= 3.12

# Which part of gpu-check; all if left out.
PART ?=

# What test-faults tries: inputs, rounds of kills (about three kills each), rounds of what a machine may lack.
INPUTS ?= 5000
KILLS ?= 72
LACKS ?= 63

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help install triton torchrec bench test test-long test-results test-processors test-faults test-minimum hashes supply-chain wheels gpu-check npu-check test-all lint results docs reference site format

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

install: $(INSTALLED)  ## virtual environment with the versions of constraints.txt, every file but torch's held against its sha256

# torch comes after the rest and without a hash: the CPU build of a version, which TORCH_INDEX names and mirrors make by themselves,
# is another file than the registry's, and so is what the build for CUDA brings along.
$(INSTALLED): pyproject.toml constraints.txt hashes.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "rankbench needs Python 3.11 or newer; name one: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes --no-deps -r hashes.txt
	$(BIN)/pip install --quiet -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/pip check
	@touch $@

hashes: build/tools/bin/uv  ## hashes.txt from pyproject.toml and constraints.txt: what `make install` installs, with all files of a version
	build/tools/bin/uv pip compile --quiet pyproject.toml --extra dev --constraint constraints.txt --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-package torch --upgrade --output-file build/hashes.txt
	PYTHONPATH=tests $(PYTHON) -m support.hashed build/hashes.txt hashes.txt

build/tools/bin/uv:
	test -x build/tools/bin/pip || $(PYTHON) -m venv build/tools
	build/tools/bin/pip install --quiet uv==0.13.9

triton: install  ## Triton, so that tests can run GPU programs on the CPU; 290 MB, and torch for CUDA brings it by itself
	$(BIN)/python -c 'import triton' 2>/dev/null || $(BIN)/pip install --quiet --no-deps triton==3.7.1

torchrec: install  ## TorchRec for the torch of constraints.txt, in a folder of its own, for tests of tables that lie in several processes; 20 MB
	test -d build/torchrec/torchrec-1.8.0.dist-info || { rm -rf build/torchrec; $(BIN)/pip install --quiet --no-deps --target build/torchrec \
		fbgemm-gpu-cpu==1.8.0 torchrec==1.8.0 \
		tensordict==0.15.3 pyvers==0.2.3 pyre-extensions==0.0.32 typing-inspect==0.9.0 mypy-extensions==1.2.0; }

bench: install  ## the core models on ml-100k, three seeds, then the leaderboard
	$(BIN)/rankbench run

test: install  ## tests without network, in minutes
	$(TEST)

test-long: install  ## the longer ones: whole commands and searches, processes that are killed, figures, simulations
	$(TEST) -m 'long and not slow and not network and not peers and not results'

test-results: install  ## audit of what is committed under results/; fetches ml-100k to make its boards again, if it can
	-$(BIN)/rankbench data get ml-100k
	$(TEST) -m 'results and not slow'

test-processors: install  ## the tests TESTS=... with the arithmetic of each processor that this one can stand for
	PYTHONPATH=tests $(BIN)/python -m support.processors env $(TEST) $(TESTS)

test-faults: install  ## nearly right input (INPUTS=20000), kills at random moments (KILLS=72), full disks and more (LACKS=63): faults are counted
	$(TEST) tests/faults -m 'long or not long'
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m support.fuzz --inputs $(INPUTS)
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m support.kills --rounds $(KILLS)
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m support.machine --rounds $(LACKS) || test $$? -eq 77

test-minimum: build/tools/bin/uv  ## the tests MINIMUM=... with the lowest versions that pyproject.toml allows; torch for CUDA comes along, 7 GB
	test -x build/minimum/bin/python || $(PYTHON) -m venv build/minimum
	build/tools/bin/uv pip install --quiet --python build/minimum/bin/python --resolution lowest-direct \
		-e '.[test,postgres,tensorboard,mlflow,energy,serve]'
	OMP_NUM_THREADS=1 build/minimum/bin/python -m pytest -n $(WORKERS) --dist worksteal $(MINIMUM)

supply-chain: install  ## licences, a bill of materials (CycloneDX) and known vulnerabilities of what is installed, in build/supply-chain
	test -x build/tools/bin/pip-audit || { { test -x build/tools/bin/pip || $(PYTHON) -m venv build/tools; } && \
		build/tools/bin/pip install --quiet pip-audit==2.10.1 cyclonedx-bom==7.5.0 pip-licenses==5.5.5; }
	rm -rf build/supply-chain && mkdir -p build/supply-chain
	build/tools/bin/pip-licenses --python $(BIN)/python --format=markdown --with-urls --output-file build/supply-chain/licences.md
	build/tools/bin/cyclonedx-py environment $(BIN)/python --output-file build/supply-chain/sbom.json
	-build/tools/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --format json --output build/supply-chain/audit.json
	PYTHONPATH=tests $(BIN)/python -m support.audited build/supply-chain/audit.json

wheels: install  ## build/wheels: what a machine with a card and without network lacks beside torch, for its Python (PYTHON_THERE=3.12)
	rm -rf build/wheels && mkdir -p build/wheels
	PYTHONPATH=tests $(BIN)/python -m support.wheels $(PYTHON_THERE) > build/wheels.txt
	$(BIN)/pip download --quiet --no-deps --only-binary=:all: --python-version $(PYTHON_THERE) --dest build/wheels -r build/wheels.txt

gpu-check: triton  ## what an NVIDIA card has to show, PART=0 first (what decides), then 1, 2 and 3, 9 minutes each; without one small shapes
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m support.gpu_check $(if $(PART),--part $(PART))

npu-check: install  ## what an Ascend card has to show, under 9 minutes; without one small shapes on a simulated device
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m support.npu_check

test-all: install  ## also the slow ones and those that fetch published data
	$(TEST) -m 'not peers'

lint: install  ## style, format, types, who imports whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

results: install  ## tables and figures of everything under results/, of which records alone are committed
	$(BIN)/rankbench redraw --results results

docs: reference site  ## documentation site in site/: the pages of docs/ and results/ with a gallery of figures

reference: install  ## pages that are generated from the code, the committed boards and the public rows
	for page in models:models datasets:datasets protocols:protocols settings:settings commands:commands keys:table records:records kernels:kernels; do \
		$(BIN)/rankbench ls $${page%:*} --markdown > docs/new.md && mv docs/new.md docs/reference/$${page#*:}.md || exit 1; \
	done
	$(BIN)/rankbench report --results results --markdown --out LEADERBOARD.md
	$(BIN)/rankbench report --results results --public --out docs/results/public_board.md

site: $(VENV)/.docs  ## the site alone, from the pages as they are; `make results` before it draws the figures that are not committed
	$(BIN)/python -m rankbench.bench.reporting.site . build/pages
	$(BIN)/zensical build --strict --clean

$(VENV)/.docs: $(INSTALLED)
	$(BIN)/pip install --quiet -c constraints.txt --no-build-isolation -e '.[docs]'
	@touch $@

format: install  ## mend style and format
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format
