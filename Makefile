# `make run` and `make test` need Python 3.11 to 3.13 and make, nothing else: they build .venv themselves.
PYTHON3 ?= python3
PYTHON := .venv/bin/python
FER2013 ?= $(wildcard data/fer2013.csv)
DATA := $(if $(FER2013),--data $(FER2013))
EPOCHS ?= $(if $(FER2013),30,12)
UV := $(shell command -v uv 2>/dev/null)

.PHONY: run test check install
.DELETE_ON_ERROR:

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	test -x $(PYTHON) || $(PYTHON3) -m venv .venv
	$(if $(UV),,$(PYTHON) -m pip install --quiet uv)
	$(or $(UV),.venv/bin/uv) pip install --python $(PYTHON) -c constraints.txt -e '.[cpu,torch,export,dev]'
	touch $@

run: .venv/installed
	@set -e; \
	small=$$($(PYTHON) -m training --model mlp_1 --epochs $(EPOCHS) $(DATA)); \
	large=$$($(PYTHON) -m training --model cnn_1 --epochs $(EPOCHS) $(DATA)); \
	models=$$($(PYTHON) -m export "$$small" "$$large"); \
	reports=$$($(PYTHON) -m inference evaluate $$models $(DATA)); \
	echo; echo "Reports:"; for report in $$reports; do echo "  $$report/report.html"; done; \
	echo "Next: $(PYTHON) -m inference predict $$(echo $$models | awk '{print $$NF}') PICTURE"

test: .venv/installed
	$(PYTHON) -m pytest

check: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
