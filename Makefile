# What there is to type. `make help` prints the words after each ##.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench fuzz lab clean

LAB := tests/lab/lab
FUZZ_SECONDS ?= 600
# There is no unsafe code to look for mistakes of memory in, and without a sanitizer twice as much is tried.
FUZZ_BUILD := --sanitizer none --codegen-units 16

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: ## a story from deploy to healed, on a host made for it on this machine
	@tests/lab/demo

test: ## everything: makes the hosts (Debian, root), lints, builds each feature set, runs all tests
	@$(LAB) setup
	@$(MAKE) --no-print-directory lint
	cargo build --no-default-features --features minimal
	@if cargo nextest --version >/dev/null 2>&1; then set -x; cargo nextest run; else set -x; cargo test; fi

lint: ## format and clippy, nothing left to fix
	@cargo fmt --version >/dev/null 2>&1 || { echo "make lint needs rustfmt; type: rustup component add rustfmt"; exit 1; }
	@cargo clippy --version >/dev/null 2>&1 || { echo "make lint needs clippy; type: rustup component add clippy"; exit 1; }
	cargo fmt --check
	rustfmt --check --edition 2024 --config-path . tests/lab/apps/*.rs launcher/main.rs fuzz/src/lib.rs fuzz/targets/*.rs
	cargo clippy --all-targets -- -D warnings

bench: ## the figures of BENCHMARKS.md
	@$(LAB) setup
	cargo bench --bench rules --bench fleet --bench vault

fuzz: ## each fuzz target for FUZZ_SECONDS (600), or only FUZZ_TARGETS; what they find lies in fuzz/artifacts
	@cargo +nightly --version >/dev/null 2>&1 || { echo "make fuzz needs a nightly compiler; type: rustup toolchain install nightly"; exit 1; }
	@cargo fuzz --version >/dev/null 2>&1 || { echo "make fuzz needs cargo-fuzz; type: cargo install cargo-fuzz --locked"; exit 1; }
	@for target in $${FUZZ_TARGETS:-$$(cargo fuzz list)}; do \
		dictionary=fuzz/dictionaries/$$target.dict; \
		mkdir -p fuzz/corpus/$$target; \
		(set -x; cargo +nightly fuzz run $(FUZZ_BUILD) $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -timeout=10 -len_control=10 \
			$$([ ! -f $$dictionary ] || echo -dict=$$dictionary)); \
	done

lab: ## two hosts to play with; see: tests/lab/lab help
	@$(LAB) up 2

clean: ## remove what was built, and the hosts
	cargo clean
	@rm -rf fuzz/target
	@$(LAB) down || true
