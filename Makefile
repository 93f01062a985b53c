# `make help` lists the targets. All that is built lands in target/.

CARGO ?= cargo
CC ?= cc
PROFILE ?= release
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
BUILT = $(or $(CARGO_TARGET_DIR),target)
OUT = $(BUILT)/$(PROFILE)
LIBRARY = $(OUT)/libmdns_registry.so
SONAME = libmdns_registry.so.$(shell sed -n 's/#define MDNSREG_ABI_VERSION //p' include/mdns_registry.h)
AS_PROFILE = --profile $(PROFILE:debug=dev)
RUSTC = $(CARGO) rustc $(AS_PROFILE) --lib --crate-type
STATIC = --print native-static-libs=$(OUT)/native-static-libs
SHARED = -C link-arg=-Wl,-soname,$(SONAME) -C link-arg=-Wl,-z,nodelete
# One crate type at a time is released: with several, cargo leaves out link-time optimization. For the tests both are
# made at once, with all that abidw reads; and the tool beside the tests, which have other features of its dependencies.
RELEASED = $(filter-out debug,$(PROFILE))
DEBUG = -C debuginfo=2
BESIDE_IT = $(if $(RELEASED),,--tests --examples)

.DEFAULT_GOAL := help
.PHONY: help build library install uninstall demo test lint conformance faults fuzz fuzz-corpus bench bench-python bench-network simulate misuse clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: ## the libraries and the command line tool, in target/release
	@tests/need.sh cargo cc
	$(CARGO) build $(AS_PROFILE) --bin mdns-registry $(BESIDE_IT)
	$(if $(RELEASED),$(RUSTC) staticlib -- $(STATIC))
	@$(MAKE) --no-print-directory library

# The crate itself is an rlib only: a shared library has no hash in its name, and each package that depends on the crate
# would write its own over this one. Rust's runtime and our threads do not survive dlclose: it stays loaded.
library: ## the shared library alone
	$(if $(RELEASED),$(RUSTC) cdylib -- $(SHARED),$(RUSTC) staticlib --crate-type cdylib -- $(STATIC) $(SHARED) $(DEBUG))
	ln -sf $(notdir $(LIBRARY)) $(OUT)/$(SONAME)

# Without cargo, as often under sudo, what `make build` left is installed.
install: $(if $(shell command -v $(CARGO)),build) ## what was built, under PREFIX (/usr/local), for pkg-config and CMake
	packaging/install.sh $(OUT) $(abspath $(PREFIX)) $(abspath $(LIBDIR))

uninstall: ## take that away again
	packaging/install.sh uninstall $(abspath $(PREFIX)) $(abspath $(LIBDIR))

demo: build ## a C program registers, the tool watches: on loopback, in under a minute
	@tests/need.sh ip unshare mount
	$(CC) -std=c99 -Wall -Wextra -Wpedantic -Werror -O2 -Iinclude -o $(OUT)/greeter examples/c/greeter.c \
		-L$(OUT) -lmdns_registry -Wl,-rpath,'$$ORIGIN'
	@tests/lab/sandbox examples/demo.sh $(OUT)

lint: ## format, clippy, documentation and types, every warning an error
	@tests/need.sh cargo cc go python3-venv
	$(CARGO) fmt --all --check
# Clippy sees what the fuzzer runs in tests/fuzz_corpus.rs.
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
# One package at a time: together cargo would build the library with the features of both.
	for package in mdns-registry mdns-registry-python; do \
		$(CARGO) clippy --package $$package --all-targets -- -D warnings && \
		RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' \
			$(CARGO) doc --package $$package --no-deps --document-private-items || exit 1; \
	done
	tests/python/setup.sh
	tests/python/lint.sh
	tests/peers/gomicro/build.sh lint

test: ## lint and all tests; installs what they need where it may
	@tests/need.sh cargo gcc g++ clang valgrind pkg-config cmake readelf nm abidw abidiff python3-venv \
		avahi-daemon avahi-browse dbus-daemon go nft nsenter ip unshare mount
	@$(MAKE) --no-print-directory lint
# What the tests in the sandbox could not fetch or build.
	@$(MAKE) --no-print-directory install PROFILE=debug PREFIX=$(BUILT)/installed DESTDIR=
	@tests/stories/run.sh prepare
	@tests/peers/gomicro/build.sh
	@tests/all.sh

conformance: ## RFC 6762 and 6763 row by row, on both links; writes docs/conformance.md
	@tests/need.sh cargo cc nft ip unshare mount nsenter
	BLESS=1 RUST_TEST_THREADS=12 $(CARGO) test --test conformance

# Those that mostly wait are played twelve at a time, those that want the machine for themselves after them. The soak
# takes SOAK_MINUTES, or 60; of less docs/faults.md does not hold.
faults: ## what a registry must survive, on both links, in an hour; writes docs/faults.md; one alone by SCENARIO=name
	@tests/need.sh cargo cc avahi-daemon avahi-publish dbus-daemon nft nsenter ip unshare mount
	@tests/faults.sh $(SCENARIO)

fuzz: ## each target a minute, or FUZZ_SECONDS; one by TARGET=packets
	@tests/need.sh cargo cc c++ ip unshare mount
	@fuzz/run.sh $(TARGET)

fuzz-corpus: ## keep of what the fuzzer found new what covers more, in fuzz/corpus
	@tests/need.sh cargo cc c++ ip unshare mount
	@fuzz/run.sh corpus

bench: ## benchmarks; writes benches/REPORT.md
	@tests/need.sh cargo cc ip unshare mount
	benches/report.sh

bench-python: ## the same for the Python package; writes bindings/python/benches/REPORT.md
	@tests/need.sh cargo cc ip unshare mount python3-venv
	tests/python/setup.sh optimized
	tests/python/bench.sh

bench-network: ## this library beside its peers, in half an hour; writes benches/NETWORK.md
	benches/network.sh

simulate: ## whole endpoints by the thousand, in virtual time
	@tests/need.sh cargo cc ip unshare mount
	$(CARGO) bench --profile simulate --bench segment

misuse: ## the C programs under sanitizers, then ten million calls at random; CALLS and SEED to choose others
	@tests/need.sh cargo gcc ip unshare mount
	tests/misuse.sh $(or $(CALLS),10000000) $(or $(SEED),1)

clean: ## remove all that was built
	$(CARGO) clean
