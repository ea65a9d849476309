# Two commands matter: "make run" runs the service on this machine, "make test" passes
# the tests. "make help" lists the others.

PYTHON ?= python3
VENV := .venv
CLIENT_VENV := .venv-client
SERVICES_VENV := .venv-services
OPENSTACK_VENV := .venv-openstack
DOCS_VENV := .venv-docs
DATA := .standalone
# For "make fuzz": cases an operation, a persona and a microversion; and on what.
EXAMPLES := 500
DATABASE := sqlite
# For "make chaos": the database, which is not SQLite, and the kind of queues.
CHAOS_DATABASE := $(if $(filter-out sqlite,$(DATABASE)),$(DATABASE),mariadb)
QUEUES := classic
# For "make mutations": which, all if there is none, and how many at the same time.
ONLY :=
JOBS := 2
# For "make hardware-model": steps on SQLite, a tenth of that on each server, and the seed.
STEPS := 100000
SEED := 1
# For "make races": pairs of each kind, and rounds of what takes longer.
PAIRS := 10000
ROUNDS := 300
# For "make benchmark-claims": the commit to compare with, and how often each is measured.
BEFORE := d17129c
TURNS := 5
# A checkout without tags or a tarball without .git has no version to find.
export PBR_VERSION ?= 0.1.0

.PHONY: help
help: ## List what can be made.
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-9s %s\n", $$1, $$2}'

.PHONY: run
run: $(VENV)/.run ## Run the service here: API, conductor and agent on 127.0.0.1:6666.
	@exec $(VENV)/bin/cyborg-standalone --data-dir $(DATA) --clouds-file clouds.yaml $(ARGS)

.PHONY: tour
tour: $(CLIENT_VENV)/.made ## Walk the main job against "make run" with the real client.
	@OPENSTACK=$(CLIENT_VENV)/bin/openstack tools/tour.sh

.PHONY: test
test: $(VENV)/.test $(CLIENT_VENV)/.made $(SERVICES_VENV)/.made $(OPENSTACK_VENV)/.made ## Pass the tests; "make deps" first, or some are skipped.
	@tools/test.sh $(VENV)/bin/python $(ARGS)

.PHONY: test-nova
test-nova: $(VENV)/.run ## Try every instance operation under a real Nova, in a "ministack" (MINISTACK=its directory).
	@tools/test_nova.sh $(ARGS)

.PHONY: test-kit
test-kit: $(VENV)/.test ## Break every kind of file in every way on every fake host, for drivers that read one.
	@CYBORG_TEST_KIT=full $(VENV)/bin/python -m pytest cyborg/tests/unit/drivers -k "broken_file" \
		--timeout 0 $(ARGS)

.PHONY: test-lab
test-lab: $(VENV)/.test ## Try the pci driver on real kernels over emulated cards, in QEMU (needs root).
	@tools/qemulab/test.sh $(VENV)/bin/python $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.test ## Try the API at length with schemathesis (EXAMPLES=500, DATABASE=sqlite).
	@CYBORG_TEST_FUZZ=$(EXAMPLES) CYBORG_TEST_FUZZ_DATABASE=$(DATABASE) $(VENV)/bin/python -m pytest \
		cyborg/tests/functional/fuzz --timeout 0 $(ARGS)

.PHONY: hardware-model
hardware-model: $(VENV)/.test ## Let modelled hardware move and break at length (STEPS=100000, SEED=1).
	@CYBORG_TEST_HARDWARE_STEPS=$(STEPS) CYBORG_TEST_HARDWARE_SEED=$(SEED) $(VENV)/bin/python -m pytest \
		cyborg/tests/functional/conductor/hardware_model -k "not stories" --timeout 0 $(ARGS)

.PHONY: races
races: $(VENV)/.test ## Try races at length on MariaDB and PostgreSQL (PAIRS=10000, ROUNDS=300).
	@tools/races.sh $(VENV)/bin/python $(PAIRS) $(ROUNDS) $(ARGS)

.PHONY: chaos
chaos: $(VENV)/.test $(SERVICES_VENV)/.made ## Kill, freeze, slow and fill what runs, under load (DATABASE=mariadb, QUEUES=classic).
	@$(VENV)/bin/python tools/chaos/chaos.py --database $(CHAOS_DATABASE) --queues $(QUEUES) $(ARGS)

.PHONY: chaos-short
chaos-short: $(VENV)/.test $(SERVICES_VENV)/.made ## The same in 90 s, for the faults that matter most.
	@$(VENV)/bin/python tools/chaos/chaos.py --short --database $(CHAOS_DATABASE) --queues $(QUEUES) $(ARGS)

.PHONY: benchmark-claims
benchmark-claims: $(VENV)/.test ## Measure claims beside those of an earlier commit (BEFORE=d17129c, TURNS=5).
	@$(VENV)/bin/python tools/benchmarks/claims.py --before $(BEFORE) --turns $(TURNS) $(ARGS)

.PHONY: benchmark-pci
benchmark-pci: $(VENV)/.test ## Measure the pci driver on a host with 640 virtual functions.
	@$(VENV)/bin/python tools/benchmarks/pci.py $(ARGS)

.PHONY: mutations
mutations: $(VENV)/.test $(CLIENT_VENV)/.made $(SERVICES_VENV)/.made $(OPENSTACK_VENV)/.made ## Break the code on purpose and see that tests notice (ONLY="name ...", JOBS=2).
	@$(VENV)/bin/python tools/mutations/run.py --jobs $(JOBS) $(ONLY) $(ARGS)

.PHONY: deps
deps: ## Install the system packages that the tests need (the only thing that installs any).
	@tools/install_deps.sh

.PHONY: check
check: $(VENV)/.test ## Lint and type-check.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/codespell api-ref cyborg doc releasenotes tools README.rst

.PHONY: docs
docs: $(DOCS_VENV)/.made ## Build the pages, the API reference and the release notes.
	$(DOCS_VENV)/bin/sphinx-build -W --keep-going -q -d doc/build/doctrees doc/source doc/build/html
	$(DOCS_VENV)/bin/sphinx-build -W --keep-going -q -d api-ref/build/doctrees api-ref/source api-ref/build/html
	$(DOCS_VENV)/bin/sphinx-build -W --keep-going -q -d releasenotes/build/doctrees releasenotes/source releasenotes/build/html
	@echo "doc/build/html, api-ref/build/html, releasenotes/build/html"

.PHONY: api-ref
api-ref: $(VENV)/.test ## Make the API reference's examples and tables again, from the code.
	@$(VENV)/bin/python -m pytest -q cyborg/tests/functional/test_api_samples.py -k sqlite --update-samples
	@PYTHONWARNINGS=ignore $(VENV)/bin/python tools/api_ref/generate.py

.PHONY: signatures
signatures: $(VENV)/.test ## Keep the signatures of RPC for the next commit, if nothing is taken away.
	@$(VENV)/bin/python -m cyborg.tests.unit.rpc.signatures

.PHONY: clean
clean: ## Remove the data, the virtual environments and what was built.
	rm -rf $(DATA) clouds.yaml $(VENV) $(CLIENT_VENV) $(SERVICES_VENV) $(OPENSTACK_VENV) $(DOCS_VENV) */build build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache

# The marks say that an environment is complete and newer than what it was made from, so
# that a second run needs no network.
$(VENV)/.run: requirements.txt constraints.txt setup.cfg
	@tools/make_venv.sh $(PYTHON) $(VENV) -r requirements.txt
	@PYTHONWARNINGS=ignore $(VENV)/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.run test-requirements.txt
	@$(VENV)/bin/pip install --quiet -c constraints.txt -r test-requirements.txt
	@touch $@

$(DOCS_VENV)/.made: requirements.txt doc/requirements.txt constraints.txt setup.cfg
	@tools/make_venv.sh $(PYTHON) $(DOCS_VENV) -r requirements.txt -r doc/requirements.txt
	@PYTHONWARNINGS=ignore $(DOCS_VENV)/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(CLIENT_VENV)/.made: client-requirements.txt constraints.txt
	@tools/make_venv.sh $(PYTHON) $(CLIENT_VENV) -r client-requirements.txt
	@touch $@

$(SERVICES_VENV)/.made: services-requirements.txt services-constraints.txt
	@CONSTRAINTS=services-constraints.txt tools/make_venv.sh $(PYTHON) $(SERVICES_VENV) -r services-requirements.txt
	@touch $@

$(OPENSTACK_VENV)/.made: openstack-requirements.txt openstack-constraints.txt
	@CONSTRAINTS=openstack-constraints.txt tools/make_venv.sh $(PYTHON) $(OPENSTACK_VENV) -r openstack-requirements.txt
	@touch $@
