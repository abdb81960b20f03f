# The checks that .ci/run makes, one by one, in the checkout itself.
#
# Everything runs in .venv, which holds an editable install. It is made on first use and again when
# pyproject.toml changes; `make -B .venv` makes it anew at any time.

BIN := .venv/bin
READY := .venv/ready

.PHONY: help lint test docs bench quickstart .venv

help:
	@echo 'make lint        ruff check, ruff format --check, mypy'
	@echo 'make test        the whole test suite'
	@echo 'make docs        run the examples of the documentation'
	@echo 'make bench       run every script in benchmarks/'
	@echo "make quickstart  the README's first command"

.venv: $(READY)

$(READY): pyproject.toml
	python3 -m venv .venv
	$(BIN)/pip install -q -e '.[onnx,test,dev]'
	touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src

test: $(READY)
	$(BIN)/pytest -n auto

docs: $(READY)
	$(BIN)/pytest tests/docs

bench: $(READY)
	set -e; for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

# The command installs a copy in place of the editable install, so .venv must be made ready again.
quickstart:
	rm -f $(READY)
	set -e; command=$$(.ci/run --print sample); bash -c "$$command"
