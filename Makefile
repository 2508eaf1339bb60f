# `make run`, `make demo` and `make test` need Python 3.11 to 3.13 and make: they build .venv themselves.
PYTHON3 ?= python3
PYTHON := .venv/bin/python
FER2013 ?= $(wildcard data/fer2013.csv)
DATA := $(if $(FER2013),--data '$(FER2013)')
EPOCHS ?= $(if $(FER2013),30,12)
RESULTS ?= $(wildcard docs/results/*.json)
UV := $(shell command -v uv 2>/dev/null)

.PHONY: install run demo results test check
.DELETE_ON_ERROR:
.PRECIOUS: .venv/with-%

install: .venv/with-all

# What is installed beside ferox itself: the extras of pyproject.toml.
.venv/with-%: pyproject.toml constraints.txt
	test -x $(PYTHON) || $(PYTHON3) -m venv .venv
	$(if $(UV),,$(PYTHON) -m pip install --quiet uv)
	$(or $(UV),.venv/bin/uv) pip install --python $(PYTHON) -c constraints.txt -e '.[$*]'
	touch $@

run: .venv/with-cpu,torch,export
	@set -e; \
	small=$$($(PYTHON) -m training --model mlp_1 --epochs $(EPOCHS) $(DATA)); \
	large=$$($(PYTHON) -m training --model cnn_1 --epochs $(EPOCHS) $(DATA)); \
	models=$$($(PYTHON) -m export "$$small" "$$large" --tag make-run --replace); \
	reports=$$($(PYTHON) -m inference evaluate $$models $(DATA)); \
	echo; echo "Reports:"; for report in $$reports; do echo "  $$report/report.html"; done; \
	echo "Next: $(PYTHON) -m inference predict $$(echo $$models | awk '{print $$NF}') PICTURE"

# The page needs no training framework; its Train tab offers those that are there.
demo: .venv/with-cpu,demo
	$(PYTHON) -m demo $(DATA)

# Writes the README's tables from what `python -m training result` and `python -m inference compare` have measured.
results: .venv/with-cpu
	$(PYTHON) -m inference results $(RESULTS) --into README.md

test: .venv/with-all
	$(PYTHON) -m pytest

check: .venv/with-all
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
