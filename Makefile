# One-line targets; everything they need is made in .venv from uv.lock.
PYTHON ?= python3.11
UV := .venv/bin/uv
RUN := .venv/bin/
PLAIN := not needs_cluster and not needs_browser and not needs_peer and not needs_postgres and not needs_ray and not needs_spark and not needs_automl

.PHONY: demo test check lint format bench docs clean

.venv/.synced: pyproject.toml uv.lock
	@test -x $(UV) || { (command -v $(PYTHON) >/dev/null && $(PYTHON) -m venv .venv || python3 -m venv .venv) && .venv/bin/python -m pip install --quiet uv; }
	@$(UV) sync --quiet --frozen --inexact --compile-bytecode
	@$(RUN)python -m compileall -q src  # also where PYTHONDONTWRITEBYTECODE is set: compiling anew costs each start 0.2 s
	@touch $@

demo: .venv/.synced  ## the main job on the digits example, ending in a served model and its URL
	@$(RUN)python examples/digits/data/make_data.py
	@$(RUN)tidemill -C examples/digits up

test: .venv/.synced  ## everything that needs nothing but Python
	@$(RUN)python -m pytest -q -n 2 --dist worksteal -m "$(PLAIN)"

check: lint docs-check .venv/.synced  ## what a change must pass besides its tests
	@$(RUN)tidemill check .

lint: .venv/.synced
	@$(RUN)ruff format --check --quiet src tests benchmarks docs
	@$(RUN)ruff check --quiet src tests benchmarks docs
	@$(RUN)mypy
	@$(RUN)lint-imports

docs: .venv/.synced  ## write docs/reference from the code
	@$(RUN)python docs/generate.py

docs-check: .venv/.synced
	@$(RUN)python docs/generate.py --check

format: .venv/.synced
	@$(RUN)ruff check --fix --quiet src tests benchmarks docs
	@$(RUN)ruff format --quiet src tests benchmarks docs

bench: .venv/.synced  ## every benchmark, us and the peers side by side
	@for file in benchmarks/*.py; do $(RUN)python $$file || exit 1; done

clean:
	@$(RUN)tidemill -C examples/digits down 2>/dev/null || true
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist examples/*/.tidemill
