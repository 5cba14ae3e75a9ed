# The ways in. Each works from a fresh clone on Debian 12; the real work is in .ci/, test/checks/ and CMakePresets.json.

# Debian's tools first, whatever else a machine puts in front.
export PATH := /usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin
JOBS := $(shell nproc)
# The image is named as deploy/daemonset/kustomization.yaml names it.
VERSION := $(shell awk '/^project.weighhouse VERSION/ { print $$3 }' CMakeLists.txt)

.PHONY: help setup build release test tenancy sanity sanity-tool registry-tool sources s3-server apiserver check docs-check fuzz crash powerloss soak resume scale demo bench image clean

help:
	@echo 'make demo    the whole way of a volume with a real model, on this machine (MODEL=hf://org/name: the real Hub)'
	@echo 'make test    build, then unit, contract, crash and e2e tests, the engine also under asan and tsan'
	@echo 'make sanity  CSI'"'"'s own conformance suite against both daemons: what passed, and what was skipped for which capability'
	@echo 'make sources one contract suite over every kind of source, most against real servers: one model is one set of blobs'
	@echo 'make apiserver  the agent and all of deploy/ against Kubernetes'"'"' own API server, which is built first (once: 13 minutes of processor time)'
	@echo 'make tenancy who is served a private model that is here: every tenant, in every state of the cache and of its source'
	@echo 'make crash   the daemon, a fill and the store killed at every fault point; what was not synced kept, or dropped,'
	@echo '             and as many random parts of it as CUTS says (20) after each'
	@echo 'make powerloss  the power cut at 100 random moments (IMAGES=n) on ext4 and on xfs, each disk then recovered'
	@echo 'make fuzz    every fuzzer of test/fuzz for SECONDS=n (60) each, as many at once as there are cores'
	@echo 'make soak    a random workload with SIGKILLs for SECONDS=n (and STEPS=n, SEED=n), invariants after each step'
	@echo 'make resume  kills and power cuts in the middle of a 4 GiB file, ten of each: how much is fetched twice'
	@echo 'make scale   100,000 blobs from a cold page cache, and publishes and claims with 10,000 models, against their targets'
	@echo 'make check   format, clang-tidy, thread-safety, layering, limits, shellcheck, yamllint, docs-check (after make build)'
	@echo 'make docs-check  whether docs/ and the sources say the same: keys, parameters, metrics, flags, messages, examples'
	@echo 'make build   build/dev: everything with tests and fault points'
	@echo 'make release build/release: what the image ships'
	@echo 'make bench   fills against other tools and the machine'"'"'s ceilings, 45 minutes (QUICK=1: under 10)'
	@echo 'make image   the container image (needs docker)'
	@echo 'make setup   install what packages.txt lists, and the tests'"'"' Python environment'
	@echo 'make clean   remove build/'

setup:
	@.ci/step setup .ci/setup build test
	@.ci/step 'python environment' test/python-env

build: setup
	@cmake --preset dev
	@cmake --build --preset dev --parallel $(JOBS)

release: setup
	@cmake --preset release
	@cmake --build --preset release --parallel $(JOBS)

test: setup sanity-tool registry-tool s3-server
	@.ci/test

tenancy: build
	@WEIGHHOUSE_BIN=$(CURDIR)/build/dev/bin \
	  test/e2e/in-namespace build/venv/bin/python -m pytest -q -s -p no:cacheprovider test/e2e/test_tenancy.py

sanity-tool: setup
	@.ci/step 'csi-sanity' test/sanity/build

registry-tool: setup
	@.ci/step 'oras' test/registry/build

s3-server: setup
	@.ci/step 'versitygw' test/s3_server/build

sources: build registry-tool s3-server
	@WEIGHHOUSE_BIN=$(CURDIR)/build/dev/bin \
	  test/e2e/in-namespace build/venv/bin/python -m pytest -q -s -p no:cacheprovider test/e2e/test_sources*.py \
	  test/e2e/test_hub_ways.py

apiserver: build
	@.ci/step 'setup apiserver' .ci/setup apiserver
	@.ci/step 'kube-apiserver' test/apiserver/build
	@WEIGHHOUSE_BIN=$(CURDIR)/build/dev/bin WEIGHHOUSE_KUBE_APISERVER=$(CURDIR)/build/apiserver/bin/kube-apiserver \
	  test/e2e/in-namespace build/venv/bin/python -m pytest -q -p no:cacheprovider test/e2e/test_agent.py test/e2e/apiserver

sanity: build sanity-tool
	@WEIGHHOUSE_BIN=$(CURDIR)/build/dev/bin \
	  test/e2e/in-namespace build/venv/bin/python -m pytest -q -s -p no:cacheprovider test/e2e/test_sanity.py

check: setup
	@.ci/check

docs-check: setup
	@cmake --preset dev
	@cmake --build --preset dev --parallel $(JOBS) --target weighhouse weighhouse-cached weighhouse-csi
	@test/checks/docs

fuzz: setup
	@cmake --preset fuzz
	@cmake --build --preset fuzz --parallel $(JOBS) --target fuzzers
	@test/fuzz/run --seconds $(or $(SECONDS),60)

resume: build
	@WEIGHHOUSE_RESUME_MIB=4096 WEIGHHOUSE_RESUME_ROUNDS=10 WEIGHHOUSE_BIN=$(CURDIR)/build/dev/bin \
	  test/e2e/in-namespace build/venv/bin/python -m pytest -q -p no:cacheprovider test/e2e/test_resume.py

crash: build
	@WEIGHHOUSE_CRASH_CUTS=$(or $(CUTS),20) ctest --preset dev --label-regex crash --verbose

powerloss: build
	@WEIGHHOUSE_POWERLOSS_IMAGES=$(or $(IMAGES),100) WEIGHHOUSE_BIN=$(CURDIR)/build/dev/bin \
	  test/e2e/in-namespace build/venv/bin/python -m pytest -q -p no:cacheprovider test/e2e/test_powerloss.py

soak: build
	@WEIGHHOUSE_SOAK_SECONDS=$(or $(SECONDS),60) WEIGHHOUSE_SOAK_STEPS=$(STEPS) WEIGHHOUSE_SOAK_SEED=$(SEED) \
	  WEIGHHOUSE_BIN=$(CURDIR)/build/dev/bin \
	  test/e2e/in-namespace build/venv/bin/python -m pytest -q -p no:cacheprovider test/e2e/test_soak.py

scale: setup
	@.ci/step 'setup bench' .ci/setup bench
	@cmake --preset bench
	@cmake --build --preset bench --parallel $(JOBS) --target weighhouse weighhouse-cached weighhouse-csi \
	  scale-root scale-acquire scale-publish
	@WEIGHHOUSE_SCALE=full WEIGHHOUSE_BIN=$(CURDIR)/build/release/bin \
	  test/e2e/in-namespace build/venv/bin/python -m pytest -q -p no:cacheprovider test/e2e/test_scale.py \
	  test/e2e/test_claim_scale.py

demo: release
	@MODEL='$(MODEL)' demo/demo

bench: setup
	@.ci/step 'setup bench' .ci/setup bench
	@cmake --preset bench
	@cmake --build --preset bench --parallel $(JOBS) --target weighhouse weighhouse-cached bench-programs
	@build/venv/bin/python -B test/bench/bench.py --plan $(if $(QUICK),quick,full) $(if $(STAGES),--stages $(STAGES))

image:
	@command -v docker >/dev/null || { echo 'make image: docker is not installed'; exit 1; }
	docker build --tag weighhouse:$(VERSION) .

clean:
	rm -rf build
