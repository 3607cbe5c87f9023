# What there is to type. `make help` prints the words after each ##.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench lab clean

LAB := tests/lab/lab

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
	rustfmt --check --edition 2024 --config-path . tests/lab/apps/*.rs launcher/main.rs
	cargo clippy --all-targets -- -D warnings

bench: ## the figures of BENCHMARKS.md
	@$(LAB) setup
	cargo bench --bench rules --bench fleet --bench vault

lab: ## two hosts to play with; see: tests/lab/lab help
	@$(LAB) up 2

clean: ## remove what was built, and the hosts
	cargo clean
	@$(LAB) down || true
