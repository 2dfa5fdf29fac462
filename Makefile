# make demo   keypoints, head poses and things on the example photos, into out/demo
# make test   style, types and tests: what continuous integration runs
# make slow   the longest tests: every variant exported, runs killed again and again; many minutes
# make gpu    the tests that need a CUDA device, and a short timing of the training step on it
# make docs   the documentation site, into out/docs
# make check  style and types only
# make clean  remove everything that this file makes

PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help demo test slow gpu docs check clean

help:
	@sed -n 's/^# make/make/p' Makefile

demo: $(INSTALLED)
	$(BIN)/cmsa predict pose examples/people --boxes examples/people/boxes.json --save-pictures --out out/demo/pose
	$(BIN)/cmsa predict head-pose examples/people/astronaut.jpg examples/people/photographer.jpg \
		--boxes examples/people/faces.json --save-pictures --out out/demo/heads
	$(BIN)/cmsa predict classify examples/things --boxes examples/things/boxes.json --top 3 --save-pictures --out out/demo/things

# A file's tests share what they export and train: each file goes to one worker.
test: check
	$(BIN)/python -m pytest -n auto --dist loadfile

# In a process of its own, so that one test that ends it costs none of the others; without Ray its tests are skipped.
slow: $(INSTALLED)
	-$(BIN)/python -m pip install --quiet --editable '.[scale]'
	$(BIN)/python -m pytest -vv -n 1 -m exhaustive -rs --durations=0 --durations-min=1

gpu: $(INSTALLED)
	$(BIN)/python -m pytest -m cuda -rs
	$(BIN)/cmsa benchmark training --compile --rounds 5

docs: $(INSTALLED)
	$(BIN)/python -m mkdocs build --quiet

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/mypy --strict src

# torch comes first and pinned: left to the resolver, a later step may bring another build of it.
$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet torch==2.14.1 torchvision==0.29.1
	$(BIN)/python -m pip install --quiet --editable '.[dev,export,app,serve]'
	touch $@

clean:
	rm -rf .venv out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
