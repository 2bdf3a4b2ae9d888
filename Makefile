# `make` lists the targets.  Paint your own pictures with:
#   make stylize CONTENT=a.jpg STYLE=b.jpg OUTPUT=c.png SIZE=768 STEPS=200 MODEL=vgg16-slim DEVICE=auto
# What is not given has the default of `nst stylize --help`.  OPTIONS takes any other options of the
# command that a target calls: make stylize OPTIONS='--plot --seed 3', make studio OPTIONS='--port 8000'
# A draft is painted first, where the result is larger than one; PREVIEW= leaves it out.

PYTHON ?= python3
BIN    := .venv/bin

# The last --size counts, and options come after SIZE; a draft, and what --from paints again, has no other.
SIDE    = $(shell echo --size '$(SIZE)' $(OPTIONS) | tr = ' ' | sed -nE 's/.*--size +([0-9]+).*/\1/p')
DRAFT   = $(findstring --effort draft,$(strip $(subst =, ,$(OPTIONS))))
PREVIEW = $(if $(findstring --from,$(OPTIONS))$(DRAFT),,$(shell [ "$(SIDE)" -le 256 ] 2>&- || echo --preview))
# As a word of the shell: the lesson's own photograph, to be named where only STYLE is given.
PHOTO   = $$($(BIN)/python -c 'from nst import demo; print(demo.content_path())')

.DEFAULT_GOAL := help
.PHONY: help install install-cuda stylize studio lesson vgg16 vgg19 export notebook test test-gpu benchmark lint format wheel clean

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/.installed  ## create .venv with the program in it, for the CPU
.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "nst needs Python 3.11 or later, found " + sys.version.split()[0] + "; try make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/pip pyproject.toml
	$(BIN)/pip install --quiet --editable '.[cpu]'
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

stylize: install  ## paint CONTENT (default: the demo photograph) in the style of STYLE
	@$(BIN)/nst $(if $(CONTENT),stylize "$(CONTENT)",demo) $(if $(STYLE),"$(STYLE)") \
	    $(if $(OUTPUT),--output "$(OUTPUT)") $(if $(SIZE),--size $(SIZE)) $(if $(STEPS),--steps $(STEPS)) \
	    $(if $(MODEL),--model "$(MODEL)") $(if $(DEVICE),--device $(DEVICE)) $(PREVIEW) $(OPTIONS)

studio: .venv/.installed-studio  ## open a page to paint in, in your browser
	@$(BIN)/nst studio $(if $(MODEL),--model "$(MODEL)") $(if $(DEVICE),--device $(DEVICE)) $(OPTIONS)

lesson: .venv/.installed-studio  ## open the lesson, which takes style transfer apart number by number
	@$(BIN)/nst lesson $(if $(CONTENT)$(STYLE),"$(or $(CONTENT),$(PHOTO))") $(if $(STYLE),"$(STYLE)") $(OPTIONS)

.venv/.installed-studio: .venv/.installed
	$(BIN)/pip install --quiet --editable '.[cpu,studio]'
	@touch $@

install-cuda: .venv-cuda/.installed  ## create .venv-cuda for an NVIDIA GPU: CuPy and ONNX Runtime for CUDA 13
.venv-cuda/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-cuda
	.venv-cuda/bin/pip install --quiet --editable '.[cuda]'
	@touch $@
	.venv-cuda/bin/nst doctor

.venv-cuda/.installed-test: .venv-cuda/.installed
	.venv-cuda/bin/pip install --quiet --editable '.[cuda,test]'
	@touch $@

vgg16: install  ## download the official VGG16, 60 MB; MODEL=auto then takes it
	@$(BIN)/nst models fetch vgg16

vgg19: install  ## download the official VGG19, 80 MB
	@$(BIN)/nst models fetch vgg19

export: install  ## write a model's forward and backward graphs into models/
	@$(BIN)/nst export $(if $(MODEL),--model "$(MODEL)") $(if $(TAPS),--taps "$(TAPS)") --output models

notebook: install  ## write walkthrough.ipynb, the walkthrough as a notebook with its outputs
	$(BIN)/pip install --quiet --editable '.[cpu,notebook]'
	$(BIN)/python scripts/notebook.py

test: .venv/.installed-dev  ## run every test; those that need a GPU are skipped without one
	$(BIN)/pytest -n auto --maxprocesses 4

test-gpu: .venv-cuda/.installed-test  ## run the tests that need an NVIDIA GPU, in .venv-cuda
	.venv-cuda/bin/pytest -m gpu

benchmark: .venv/.installed-dev  ## measure speed and memory beside PyTorch's on the same work
	$(BIN)/pip install --quiet --editable '.[benchmark]'
	$(BIN)/python scripts/benchmark.py $(OPTIONS)

lint: .venv/.installed-dev  ## check style, format and types
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: .venv/.installed-dev  ## fix style and format
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

wheel: .venv/bin/pip  ## build dist/nst-*.whl
	$(BIN)/pip install --quiet 'build>=1.2'
	$(BIN)/python -m build --wheel

clean:  ## remove the virtual environment, caches and builds
	rm -rf .venv .venv-cuda dist build .pytest_cache .ruff_cache .mypy_cache
