# `make run`, `make demo` and `make test` need Python 3.11 to 3.13 and make: they build .venv themselves.
PYTHON3 ?= python3
PYTHON := .venv/bin/python
FER2013 ?= $(wildcard data/fer2013.csv)
DATA := $(if $(FER2013),--data '$(FER2013)')
EPOCHS ?= $(if $(FER2013),30,12)
RESULTS ?= $(wildcard docs/results/*.json)
UV := $(shell command -v uv 2>/dev/null)

WORKERS ?= 2
DIST ?= dist

WEB := demo/web
WEB_BUILT := $(WEB)/built/service-worker.js

.PHONY: help install run demo web wheel results benchmarks test test-fast golden check check-install fix
.DELETE_ON_ERROR:
.PRECIOUS: .venv/with-%

help: # says what there is
	@grep -E '^[a-z-]+:.*# ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*# (.*)/make \1: \2/' | sort

install: .venv/with-all # sets up .venv with all frameworks and tools

# What is installed beside ferox itself: the extras of pyproject.toml.
.venv/with-%: pyproject.toml constraints.txt
	test -x $(PYTHON) || $(PYTHON3) -m venv .venv
	$(if $(UV),,$(PYTHON) -m pip install --quiet uv)
	$(or $(UV),.venv/bin/uv) pip install --python $(PYTHON) -c constraints.txt -e '.[$*]'
	touch $@

run: .venv/with-cpu,torch,export # trains two small models, exports, evaluates; FER2013=PATH says on what
	@set -e; \
	small=$$($(PYTHON) -m training --model mlp_1 --epochs $(EPOCHS) $(DATA)); \
	large=$$($(PYTHON) -m training --model cnn_1 --epochs $(EPOCHS) $(DATA)); \
	models=$$($(PYTHON) -m export "$$small" "$$large" --tag make-run --replace); \
	reports=$$($(PYTHON) -m inference evaluate $$models $(DATA)); \
	echo; echo "Reports:"; for report in $$reports; do echo "  $$report/report.html"; done; \
	echo "Next: .venv/bin/ferox predict PICTURE --model $$(echo $$models | awk '{print $$NF}')"

# The page needs no training framework; its Train tab offers those that are there.
demo: .venv/with-cpu,demo,video # opens the page
	$(PYTHON) -m demo $(DATA)

web: $(WEB_BUILT) # builds the page that needs no server, for ferox web; needs Node.js 20 and npm

$(WEB)/node_modules/.package-lock.json: $(WEB)/package.json $(WEB)/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or newer" >&2; exit 2; }
	npm ci --silent --prefix $(WEB)

$(WEB_BUILT): $(WEB)/node_modules/.package-lock.json $(wildcard $(WEB)/*.* $(WEB)/kernel/* $(WEB)/src/* $(WEB)/static/* $(WEB)/test/*)
	cd $(WEB) && node build.mjs --tests && npm run --silent check && node build.mjs

# Of the files that git has alone: one's own models, which lie beside those that come along, are not for others. The page
# that needs no server is built where npm is.
wheel: $(if $(UV),,.venv/with-cpu) $(if $(shell command -v npm),$(WEB_BUILT)) # builds dist/ferox-*.whl, with the models that come along
	@set -e; copy=$$(mktemp -d); trap 'rm -rf "$$copy"' EXIT; \
	git ls-files -z | tar --create --null --files-from - | tar --extract --directory "$$copy"; \
	if [ -e $(WEB_BUILT) ]; then cp -R $(WEB)/built "$$copy/$(WEB)/"; \
	else echo "npm is missing: ferox web of this wheel will write no site" >&2; fi; \
	$(or $(UV),.venv/bin/uv) build --quiet --wheel --out-dir "$(DIST)" "$$copy"; ls "$(DIST)"/ferox-*.whl

# Writes the README's tables from what `python -m training result` and `python -m inference compare` have measured.
results: .venv/with-cpu # writes the README's tables from docs/results
	$(PYTHON) -m inference results $(RESULTS) --into README.md

# What a measurement needs besides: RUN, a run folder of a model here; RIVALS, a folder of other programs' environments,
# made by `python -m benchmarks.rivals --make --environment DIR` and the same of benchmarks.exporting; YUNET, its file.
RUN ?=
RIVALS ?=
YUNET ?=
MODELS ?= $(wildcard artifacts/models/*.onnx)
BENCHMARKS ?= runtimes training steps table $(if $(RIVALS),photo folder) $(if $(and $(RIVALS),$(RUN)),export)
RECORDS := docs/results/benchmarks
ALL_THREE := --frameworks torch tensorflow paddle
RIVAL_OPTIONS = --environment '$(RIVALS)' $(if $(YUNET),--yunet '$(YUNET)')
measure-runtimes = -m ferox benchmark $(MODELS) $(if $(RUN),--run '$(RUN)' $(ALL_THREE))
measure-training = -m ferox benchmark training $(ALL_THREE) --precisions fp32 bf16 --rounds 3 --seconds 2
measure-steps = -m benchmarks.plain_training --rounds 3 --seconds 3
measure-table = -m benchmarks.table_reading $(DATA) --rounds 3
measure-photo = -m benchmarks.rivals $(RIVAL_OPTIONS)
measure-folder = -m benchmarks.rivals $(RIVAL_OPTIONS) --photos 200 --rounds 2 --seconds 1
measure-export = -m benchmarks.exporting '$(RUN)' --environment '$(RIVALS)' --rounds 2

# Nothing else may run meanwhile: half an hour on two cores. BENCHMARKS="table photo" measures those alone.
benchmarks: .venv/with-all # measures against others, and writes docs/benchmarks.md; RUN=, RIVALS=, YUNET=, FER2013=
	@set -e; $(foreach what,$(BENCHMARKS),echo "measuring: $(what)" >&2; \
	$(PYTHON) $(measure-$(what)) --out $(RECORDS) --name $(what);) \
	$(PYTHON) -m ferox benchmark $(RECORDS)/*.json --into docs/benchmarks.md

# Workers share the tests by modules, since a module's fixtures are dear; in their order, which has the longest early.
PYTEST := $(PYTHON) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: .venv/with-all # runs all tests
	$(PYTEST)

test-fast: .venv/with-all # runs the tests that need neither training, exports, servers nor a browser
	$(PYTEST) -m 'not slow'

golden: .venv/with-all # writes the pinned documents, schemas, the table of licences and the README's list of modules anew
	$(PYTHON) -m pytest tests/test_guards.py tests/test_licences.py tests/test_readme.py --rewrite-golden

check: .venv/with-all # ruff, mypy and the rules of imports
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

check-install: .venv/with-cpu # resolves all extras, installs and uses the lowest versions; needs the network
	$(PYTHON) tests/check_install.py

fix: .venv/with-all # mends what ruff can mend
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
