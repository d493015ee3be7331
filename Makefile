PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

DATAROOT ?= avatars
CHECKPOINT ?= checkpoints/faces
OUT ?= static

.PHONY: demo test lint bench load soak audit static clean

demo: $(VENV)/installed
	$(BIN)/python app.py

test: $(VENV)/installed-dev lint
	$(BIN)/python -m tests.chromium
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/installed-dev: $(wildcard requirements*.txt) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $(VENV)/installed $@

# Speed beside the tutorial's loop; DATAROOT=... for pictures of your own.
bench: $(VENV)/installed
	$(BIN)/python benchmarks/train_speed.py --dataroot $(DATAROOT)
	$(BIN)/python benchmarks/data_speed.py --dataroot $(DATAROOT)
	$(BIN)/python benchmarks/cost_table.py --dataroot $(DATAROOT)

# 200 visitors at the demo for a minute: times, errors, memory and files left. Linux.
load: $(VENV)/installed
	$(BIN)/python -m benchmarks.load

# Known vulnerabilities in what is installed, by a pip-audit of its own, so that the tests need not have it.
audit: $(VENV)/installed
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	$(VENV)-audit/bin/pip-audit --path $(VENV)/lib/python*/site-packages

# What holds only if it holds for long: see docs/reliability.md.
soak: $(VENV)/installed-dev
	$(BIN)/python benchmarks/soak.py --kills 50 --stops 10
	$(BIN)/python -m benchmarks.load

# The explorer as plain files, with no server; OUT must be new or empty.
static: $(VENV)/installed
	$(BIN)/python -m dcgan static $(OUT) --checkpoint $(CHECKPOINT)

clean:
	rm -rf $(VENV) $(VENV)-audit
