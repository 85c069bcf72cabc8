# demo   the lab of the README: four nodes, reflectors, gateways, in namespaces
# test   every test there is: unit, property, kernel, real routers, real etcd
# check  the gates and the fast tests: what to run before a commit
# test-compiled  the fast tests on the build that mypyc compiles
# test-pythons  the fast tests on every newer Python that is installed, pure and compiled
# pyz    one file that runs on this machine's kind with its Python, into the folder build
# lock   the versions and hashes of what pybgpd needs at run time, resolved anew
# sbom   what is in packages and images, as CycloneDX, into the folder build
# deb    the Debian package, for this machine's suite, into the folder build
# bench  speed and memory, beside other routers where they are installed
# bench-report  all loads, both builds, beside BIRD 2 and 3 and FRR: a page in docs/benchmarks
# bench-plots  how time and memory grow, drawn beside BIRD into docs/benchmarks
# bench-guard  whether hot functions take more work than they did, counted, not timed
# mutants  whether the fast tests see each small change of the routing core
# docs   write the generated pages anew
# screenshots  the pictures of the page in docs/screenshots, from a daemon in Chromium
# site   the documentation as a web site, into build/site
# format put the sources into the one format

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Whatever the environment says: to rewrite the asserts of all tests takes each worker 10 s.
export PYTHONDONTWRITEBYTECODE :=
# Three workers on two cores: most of the long tests wait for timers of real daemons. Tests that must not
# run beside one another name a group: @pytest.mark.xdist_group.
WORKERS := 3
PYTEST_FLAGS ?= -q -n $(WORKERS) --dist loadgroup

DEMO_PACKAGES := ip=iproute2 ping=iputils-ping
DEB_PACKAGES := gcc=gcc dpkg-shlibdeps=dpkg-dev /usr/bin/python3-config=python3-dev \
    /usr/share/doc/python3-venv=python3-venv
TEST_PACKAGES := $(DEMO_PACKAGES) bird=bird2 /usr/lib/frr/bgpd=frr gobgpd=gobgpd \
    /usr/sbin/bgpd=openbgpd /usr/sbin/exabgp=exabgp etcd=etcd-server \
    etcdctl=etcd-client tcpdump=tcpdump tshark=tshark ps=procps openssl=openssl curl=curl \
    runsvdir=runit chromium=chromium tsc=node-typescript systemd-analyze=systemd $(DEB_PACKAGES) debootstrap=debootstrap \
    promtool=prometheus bgpdump=bgpdump prometheus-bird-exporter=prometheus-bird-exporter

.DEFAULT_GOAL := check
.PHONY: demo test check test-compiled test-pythons pyz lock sbom deb bench bench-report bench-plots bench-guard mutants docs site format clean

demo: $(VENV)/installed
	@.ci/system-packages $(DEMO_PACKAGES)
	@$(VENV)/bin/pybgpd demo $(DEMO_FLAGS)

test: $(VENV)/installed-dev
	@.ci/system-packages $(TEST_PACKAGES)
	@.ci/kube-apiserver
	@.ci/schemathesis > /dev/null
	@.ci/peers trixie
	@.ci/debian-root
	@$(RUN) -m pytest $(PYTEST_FLAGS)

# Fast tests do not wait: a third worker would only collect the tests once more.
check: WORKERS := 2
check: $(VENV)/installed-dev
	@$(RUN) -m pytest $(PYTEST_FLAGS) -m "not slow and not root and not interop and not etcd"

test-compiled: $(VENV)/installed-dev
	@$(RUN) -m pytest -q tests/architecture/test_compiled.py

test-pythons: $(VENV)/installed-dev
	@EVERY_BUILD=1 $(RUN) -m pytest -q tests/architecture/test_pythons.py

pyz: $(VENV)/installed
	@$(RUN) -m pip install --quiet --editable '.[packaging]'
	@PATH=$(CURDIR)/$(VENV)/bin:$$PATH configs/python/pyz $(PYTHON) build

lock: $(VENV)/installed
	@$(RUN) -m pip install --quiet --editable '.[packaging]'
	@PATH=$(CURDIR)/$(VENV)/bin:$$PATH configs/python/lock $(LOCK_FLAGS)

sbom:
	@mkdir -p build
	@$(PYTHON) configs/python/sbom >build/pybgpd.cdx.json && echo build/pybgpd.cdx.json

deb:
	@.ci/system-packages $(DEB_PACKAGES)
	@configs/debian/build-package build

bench: $(VENV)/installed-dev
	@BENCH_PEERS=$(BENCH_PEERS) $(RUN) -m tests.bench $(BENCH_FLAGS)

bench-report: $(VENV)/installed-dev
	@$(RUN) -m pip install --quiet --editable '.[plots]'
	@BENCH_PEERS=$(BENCH_PEERS) $(RUN) -m tests.bench.report $(REPORT_FLAGS)

bench-plots: $(VENV)/installed-dev
	@$(RUN) -m pip install --quiet --editable '.[plots]'
	@$(RUN) -m tests.bench.growth $(PLOT_FLAGS)

bench-guard: $(VENV)/installed-dev
	@.ci/system-packages valgrind=valgrind gcc=gcc
	@$(RUN) -m tests.bench.guard $(GUARD_FLAGS); pure=$$?; \
	    $(RUN) -m tests.bench.compiled_guard $(GUARD_FLAGS) && exit $$pure

mutants: $(VENV)/installed-dev
	@$(RUN) -m pip install --quiet --editable '.[mutants]'
	@$(RUN) -m tests.mutants $(MUTANT_FLAGS)

site: $(VENV)/installed-dev
	@$(RUN) -m sphinx --quiet --fail-on-warning --keep-going -d build/site-tree docs build/site

docs: $(VENV)/installed-dev
	@$(RUN) -m tests.support.generated

screenshots: $(VENV)/installed-dev
	@.ci/system-packages chromium=chromium
	@$(RUN) -m tests.support.screenshots

format: $(VENV)/installed-dev
	@$(VENV)/bin/ruff check --fix-only .
	@$(VENV)/bin/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info

# The environment is made anew when what it shall hold changes.
$(VENV)/installed: pyproject.toml
	@.ci/make-venv $(PYTHON) $(VENV)
	@$(RUN) -m pip install --quiet --editable '.[lab]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(RUN) -m pip install --quiet --editable ".[dev]"
	@touch $@
