# Two commands do all the set-up: `make demo` runs the app, `make test` passes the tests.
VENV   := .venv
PYTHON := $(VENV)/bin/python
export GRADIO_ANALYTICS_ENABLED := False
export ANONYMIZED_TELEMETRY := False
export TOKENIZERS_PARALLELISM := false
# Debian packages need root; sudo is used where there is one and we are not root.
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

.PHONY: demo test check audit format samples sample-docs eval evidence bench fuzz chaos load install install-dev clean
.DEFAULT_GOAL := demo

demo: install build/.samples  ## the app on http://127.0.0.1:7860, with the sample library ready
	$(PYTHON) app.py

test: install-dev  ## every test, browser tests included; files are dealt out to as many processes as the CI has cores
	$(PYTHON) -m pytest -n 2 --dist loadfile

check: install-dev  ## format, lint, types; known vulnerabilities where the service that knows them can be reached
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(PYTHON) -m tests.audit --if-reachable

audit: install-dev  ## known vulnerabilities; fails where they cannot be looked up
	$(PYTHON) -m tests.audit

format: install-dev
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

samples: install  ## encode the sample library for the backbone in use
	$(PYTHON) -m smart_demo samples

sample-docs: install-dev  ## make the sample documents again, from their script
	$(PYTHON) sample_docs/make.py

eval: install  ## pooled, late and SMART on the sample documents' judged queries
	$(PYTHON) -m smart_demo eval

bench: install  ## what was promised, measured here; the figures go to build/bench.json
	-$(PYTHON) -m pip install --quiet --disable-pip-version-check -r tests/bench/requirements.txt
	$(PYTHON) -m tests.bench

fuzz: install-dev  ## damaged files through ingest for MINUTES; the figures go to build/fuzz.json
	$(PYTHON) -m tests.fuzz --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED)) $(if $(WORKERS),--workers $(WORKERS))

chaos: install-dev  ## kill it at every moment and look what is left: TRIALS=200 SEED=1; figures in build/chaos.json
	$(PYTHON) -m tests.chaos --trials $(or $(TRIALS),200) --seed $(or $(SEED),1)

# The figures are minilm's unless SMART_BACKBONE names another. Plots need matplotlib, hence the development tools.
evidence: export SMART_BACKBONE := $(or $(SMART_BACKBONE),minilm)
evidence: install-dev  ## every figure of the README again, into build/; CRANFIELD=DIR for the texts too
	$(PYTHON) -m smart_demo evidence --out build $(if $(CRANFIELD),--cranfield "$(CRANFIELD)")

load: install-dev  ## MINUTES=10 VISITORS=20 SEED=N: visitors at once against the real server; figures in build/load.json
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

# Encoded once by the embedded backbone; with another data folder the app does it again behind its page.
build/.samples: build/.installed build/.poppler $(wildcard sample_docs/*.*)
	$(PYTHON) -m smart_demo samples --backbone minilm
	@touch $@

clean:
	rm -rf build $(VENV)
