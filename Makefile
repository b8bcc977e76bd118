# jepakit: every command a person needs. `make` alone lists them.
#
# The environment builds itself in .venv and again when pyproject.toml or constraints.txt changes: a stamp file, written
# last, says that an installation is complete. Works with make 3.81 and a checkout path with spaces.

# An existing environment can be used instead: make VENV=/path/to/venv test (it is added to, never emptied).
VENV ?= .venv
PYTHON ?=
PY := $(VENV)/bin/python
PINS := pyproject.toml constraints.txt
RUNTIME := $(VENV)/.jepakit-runtime
DEV := $(VENV)/.jepakit-dev
SITE := $(VENV)/.jepakit-docs

# An environment of its own for the packages that `bench-peers` measures beside this one.
PEERS ?= .venv-peers
PEER_PINS := lightly==1.6.0 stable-pretraining==0.1.8

# How many test processes; 1 runs them in this process.
TEST_JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help bench gpu-boards hpo claim claims ls board report docs data bench-perf bench-perf-check bench-probes bench-peers planted test test-slow lint format types clean

help: ## this list
	@echo "jepakit: JEPAs, masked autoencoders, contrastive and reference rows under one protocol"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  bench takes MODALITY, DATASET, METHODS=a,b|all, SEEDS=3, PRESET=smoke|quick|full, DATA=folder, JOBS=n, ARGS='…':"
	@echo "  make bench MODALITY=ecg DATASET=mitbih METHODS=ecgjepa,lejepa,mae SEEDS=3 PRESET=quick"

# --- benchmark -------------------------------------------------------------------------------------------------------

bench: $(if $(MODALITY),$(RUNTIME)) ## run a board: MODALITY=ecg (and what is listed below)
	@$(if $(MODALITY),,echo "say which modality: make bench MODALITY=ecg" >&2; exit 2)
	@$(PY) -m benchmark run '$(MODALITY)' $(if $(DATASET),'dataset=$(DATASET)') $(if $(METHODS),'method=$(METHODS)') \
	  $(if $(SEEDS),'seeds=$(SEEDS)') $(if $(PRESET),'preset=$(PRESET)') $(if $(JOBS),'jobs=$(JOBS)') \
	  $(ARGS) $(if $(DATA),--data '$(DATA)')

# Real data sets, the most informative first; what was finished is not run again, so an interrupted run goes on.
GPU_BOARDS := ecg/mitbih ecg/ludb image/cifar10_jpeg eeg/eegmat-folds audio/esc10-folds audio/fsdd-folds tabular/adult \
  tabular/california_housing tabular/jannis_subset lidar/ign_building_bev lidar/idtrees_neon-folds video/surveillance_fight-folds

gpu-boards: $(RUNTIME) ## the full preset on every real data set, three seeds, on a GPU (ARGS=--calibrate: only a forecast)
	@set -e; for board in $(GPU_BOARDS); do echo "== $$board"; \
	  $(PY) -m benchmark run "$${board%%/*}" "dataset=$${board#*/}" preset=full seeds=$(or $(SEEDS),3) \
	    $(if $(METHODS),'method=$(METHODS)') --device $(or $(DEVICE),cuda) $(ARGS) $(if $(DATA),--data '$(DATA)') \
	    || [ $$? -eq 2 ]; done

hpo: $(if $(MODALITY),$(RUNTIME)) ## tune every method equally: MODALITY=ecg TRIALS=8 (and what bench takes, without SEEDS)
	@$(if $(MODALITY),,echo "say which modality: make hpo MODALITY=ecg" >&2; exit 2)
	@$(PY) -m benchmark hpo '$(MODALITY)' $(if $(DATASET),'dataset=$(DATASET)') $(if $(METHODS),'method=$(METHODS)') \
	  $(if $(TRIALS),'trials=$(TRIALS)') $(if $(PRESET),'preset=$(PRESET)') $(if $(JOBS),'jobs=$(JOBS)') \
	  $(ARGS) $(if $(DATA),--data '$(DATA)')

claim: $(if $(CLAIM),$(RUNTIME)) ## run what the experiment of a paper's claim lacks, print the verdict: CLAIM=deep-linear
	@$(if $(CLAIM),,echo "say which claim: make claim CLAIM=deep-linear" >&2; exit 2)
	@$(PY) -m benchmark claim '$(CLAIM)' $(if $(JOBS),'jobs=$(JOBS)') $(ARGS) $(if $(DATA),--data '$(DATA)')

claims: $(RUNTIME) ## the claims of papers that are experiments here, with their state
	@$(PY) -m benchmark claims $(ARGS)

ls: $(RUNTIME) ## methods, data sets, probes and presets
	@$(PY) -m benchmark ls $(ARGS)

board: $(RUNTIME) ## write runs.csv and the leaderboards again from the records
	@$(PY) -m benchmark board $(ARGS)

report: $(RUNTIME) ## write all results as one page that works offline, results/index.html
	@$(PY) -m benchmark report $(ARGS)

docs: $(SITE) ## the documentation as a site, site/index.html
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet $(ARGS)

data: $(if $(MODALITY),$(RUNTIME)) ## fetch the open data sets of MODALITY=ecg into DATA (default: data)
	@$(if $(MODALITY),,echo "say which modality: make data MODALITY=ecg" >&2; exit 2)
	@$(PY) -m modalities.download '$(MODALITY)' $(if $(DATASET),'$(DATASET)') $(if $(DATA),--data '$(DATA)') $(ARGS)

bench-perf: $(RUNTIME) ## what a step costs per method and modality, and how it grows with samples, tokens, width (half an hour)
	@$(PY) -m benchmark.perf steps $(ARGS)
	@$(PY) -m benchmark.perf scaling

bench-perf-check: $(RUNTIME) ## is a step slower than the committed table says? (a minute)
	@$(PY) -m benchmark.perf check $(ARGS)

bench-probes: $(RUNTIME) ## what a path of penalties costs: ridge and logistic probes against scikit-learn
	@$(PY) -m benchmark.bench_probes $(ARGS)

bench-peers: $(PEERS)/.jepakit-peers ## a training step against lightly and stable-pretraining, in .venv-peers (minutes)
	@'$(PEERS)/bin/python' -m benchmark.bench_peers $(ARGS)

planted: $(RUNTIME) ## SimSiam, BYOL and VICReg without what holds them: do they collapse as the papers say?
	@$(PY) -m benchmark.planted $(ARGS)

# --- development -----------------------------------------------------------------------------------------------------

test: $(DEV) ## tests without the slow ones
	@$(PY) -m pytest -n $(TEST_JOBS) --dist loadfile $(ARGS)

test-slow: $(DEV) ## every test
	@$(PY) -m pytest -n $(TEST_JOBS) --dist loadfile -m '' $(ARGS)

lint: $(DEV) ## ruff: rules and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

format: $(DEV) ## ruff: mend what can be mended
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

types: $(DEV) ## mypy --strict
	@$(PY) -m mypy

clean: ## remove caches and curves of runs, caches of tools; environment, records and boards stay
	rm -rf results/.cache results/.runs results/.logs site .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
	find . -name '.venv*' -prune -o -type d -name __pycache__ -exec rm -rf {} +

# --- environment -----------------------------------------------------------------------------------------------------

# A python that is gone (moved, upgraded away) makes both stamps out of date.
$(PY): ;

$(RUNTIME): $(PINS) $(PY)
	@$(call install,.,'$(RUNTIME)')

$(DEV): $(PINS) $(PY)
	@$(call install,.[dev],'$(RUNTIME)' '$(DEV)')

$(SITE): $(PINS) $(PY)
	@$(call install,.[docs],'$(RUNTIME)' '$(SITE)')

# The same torch and the same suite as everywhere, with the packages to compare with: all run in one interpreter.
$(PEERS)/.jepakit-peers: $(PINS) Makefile
	@set -e; found=; pins="$$(cat $(PINS)) $(PEER_PINS)"; \
	if [ -e '$@' ] && [ "$$(cat '$@')" = "$$pins" ]; then touch '$@'; exit 0; fi; \
	if ! '$(PEERS)/bin/python' -m pip --version >/dev/null 2>&1; then \
	  $(find_python); \
	  echo "making an environment in $(PEERS) with $$("$$found" --version)"; \
	  rm -rf '$(PEERS)'; "$$found" -m venv '$(PEERS)'; \
	fi; \
	rm -f '$@'; \
	echo "installing the suite, $(PEER_PINS) into $(PEERS) (several GB with CUDA's torch; once)"; \
	'$(PEERS)/bin/python' -m pip install --disable-pip-version-check -c constraints.txt -e . $(PEER_PINS); \
	printf '%s\n' "$$pins" > '$@'

# A Python >= 3.11 that can make environments: each candidate is run, since a name on the path may be an empty shim.
define find_python
for python in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
    if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
    then found="$$python"; break; fi; \
  done; \
  if [ -z "$$found" ]; then \
    echo "no Python 3.11 or newer with the venv module was found; install one (Debian: apt-get install python3-venv)" \
      "or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; \
  fi
endef

# $(call install,what,stamps): stamps hold the pins they were made from, so a fresh checkout with the same pins does not
# install again. Both are removed before and written after; an environment of our own without any is begun anew.
define install
set -e; found=; last=$(lastword $(2)); \
  pins=$$(cat $(PINS)); \
  if [ -x '$(PY)' ] && [ -e "$$last" ] && [ "$$(cat "$$last")" = "$$pins" ]; then touch $(2); exit 0; fi; \
  if [ ! -e '$(RUNTIME)' ] || ! '$(PY)' -c '' 2>/dev/null; then \
    if [ '$(origin VENV)' = file ]; then rm -rf '$(VENV)'; fi; \
    if ! '$(PY)' -m pip --version >/dev/null 2>&1; then \
      $(find_python); \
      echo "making an environment in $(VENV) with $$("$$found" --version)"; \
      "$$found" -m venv '$(VENV)'; \
    fi; \
  fi; \
  rm -f '$(RUNTIME)' '$(DEV)' '$(SITE)'; \
  echo "installing $(1) into $(VENV) with the pins of constraints.txt (several GB with CUDA's torch; once)"; \
  '$(PY)' -m pip install --disable-pip-version-check -c constraints.txt -e '$(1)'; \
  for stamp in $(2); do printf '%s\n' "$$pins" > "$$stamp"; done
endef
