# `make help` lists the targets. All that is built lands in target/.

CARGO ?= cargo
CC ?= cc
OUT = $(or $(CARGO_TARGET_DIR),target)/release
LIBRARY = $(OUT)/libmdns_registry.so

.DEFAULT_GOAL := help
.PHONY: help build demo test lint bench bench-network clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: ## the shared library and the command line tool, in target/release
	@tests/need.sh cargo cc
	$(CARGO) build --release --bin mdns-registry
# One crate type at a time: with several, cargo leaves out link-time optimization. Last, as the line above writes one
# without it.
	$(CARGO) rustc --release --lib --crate-type cdylib
	ln -sf $(notdir $(LIBRARY)) $(LIBRARY).0

demo: build ## a C program registers, the tool watches: on loopback, in under a minute
	@tests/need.sh ip unshare mount
	$(CC) -std=c99 -Wall -Wextra -Wpedantic -Werror -O2 -Iinclude -o $(OUT)/greeter examples/c/greeter.c \
		-L$(OUT) -lmdns_registry -Wl,-rpath,'$$ORIGIN'
	@tests/lab/sandbox examples/demo.sh $(OUT)

lint: ## format, clippy and documentation, every warning an error
	@tests/need.sh cargo cc
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' $(CARGO) doc --no-deps --document-private-items

test: ## lint and all tests; installs what they need where it may
	@tests/need.sh cargo gcc g++ clang valgrind avahi-daemon avahi-browse dbus-daemon nft nsenter ip unshare mount
	@$(MAKE) --no-print-directory lint
	@tests/all.sh

bench: ## benchmarks; writes benches/REPORT.md
	@tests/need.sh cargo cc ip unshare mount
	benches/report.sh

bench-network: ## this library beside its peers, in half an hour; writes benches/NETWORK.md
	benches/network.sh

clean: ## remove all that was built
	$(CARGO) clean
