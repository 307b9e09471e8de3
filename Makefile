# make            build all programs and install them where Ansible finds them
# make target=aarch64-unknown-linux-musl    the modules for hosts of another architecture, see docs/limits.md
# make demo       five local hosts become a cluster; make demo-down removes them (install=yes: and what this machine lacks for it)
# make demo-bootstrap   three machines, given nothing but a boot configuration, become one; make demo-bootstrap-down
# make check      formats, lints, unit and process tests: what to run before every commit
# make test       everything CI runs, two parts side by side; each prints what it says when it has ended
# make soak       100,000 generated elections (make test: 2,000), 20 times the generated inventories, etcd's simulation
#                 and damaged input, of seeds that nobody has tried (make test: always the same)
# make bench      measurements, one table
# make requirements   what Python packages a changed requirements.in needs, with hashes
# make dist       the shipped build, with its size checked, completions, manual pages, and the bundle that machines boot from
#                 (operator=DIRECTORY: with the services.yml, group_vars and roles of your cluster)

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := install
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Generated tests draw the same cases each time; only `make soak` tries its luck.
export PROPTEST_RNG_SEED ?= 1

host := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
musl := $(subst -gnu,-musl,$(host))
# Static programs: smaller with musl, where `rustup target add $(musl)` was done.
target ?= $(if $(wildcard $(shell rustc --print sysroot 2>/dev/null)/lib/rustlib/$(musl)/lib),$(musl),$(host))
# Modules for hosts of another architecture than this machine's lie apart.
arch = $(firstword $(subst -, ,$(target)))
library = $(if $(filter $(arch)-%,$(host)),library,library_arch/$(arch))
profile ?= release
features ?=
built = $(or $(CARGO_TARGET_DIR),target)/$(target)/$(profile)
# Modules are names of two programs: what hosts receive, and what only the control node needs.
names = $(shell sed -n 's/^ *."\([a-z0-9_]*\)", .*/\1/p' src/bin/$1.rs)
host_modules = $(call names,modules)
control_modules = $(call names,minicluster)
# Installs a program, and links it to names in a directory; copies, where links cannot be.
put = install -C $(built)/$1 $2; \
  for it in $4; do [ $2 -ef $3/$$it ] || ln -f $2 $3/$$it 2>/dev/null || install $2 $3/$$it; done
put_host_modules = $(call put,modules,$1/$(firstword $(host_modules)),$1,$(host_modules))
put_minicluster = $(call put,minicluster,$1/minicluster,$2,$(control_modules))
# `make molecule scenarios=bootstrap`: only the machines that are given nothing but a boot configuration.
scenarios ?= default bootstrap
# Suites of tests/faults that share hosts are one process.
shared_faults = $(notdir $(basename $(shell grep -lw 'import.*shared' tests/faults/test_*.py)))
fault_suites = faults-shared $(addprefix faults-,$(filter-out $(shared_faults),$(notdir $(basename $(wildcard tests/faults/test_*.py)))))
# Those that take longest, in the order in which they start: what is short fills the end, when no other part is left.
longest = molecule-bootstrap faults-test_certificates faults-test_check unit faults-shared faults-test_etcd
parts = lint unit $(addprefix molecule-,$(scenarios)) $(fault_suites) plugin
# How many parts run at the same time: each waits now and then.
jobs ?= $(if $(FAULTS_CLUSTER),1,2)
# make's own output of parts is kept together; the first that fails ends it, after those that run already.
beside = +@$(MAKE) --no-print-directory --jobs=$(jobs) --output-sync=target
shell_programs = .ci/run bootstrap/ansible bootstrap/boot bootstrap/bundle bootstrap/lead \
  $(addprefix molecule/node/,cluster demo demo-bootstrap image machines tools) $(addprefix molecule/bootstrap/,handover reboot up)

.PHONY: install requirements build quick images plugin faults demo demo-down demo-bootstrap demo-bootstrap-down test lint unit soak molecule check
.PHONY: bench dist check-tools check-docker

install: build .venv/.installed
	@mkdir -p $(library) inventory roles/discovery/files
	@$(call put_host_modules,$(library))
	@$(if $(filter library,$(library)),$(call put_minicluster,inventory,library))
	@$(if $(filter library,$(library)),install -C $(built)/minicluster-discovery roles/discovery/files/minicluster-discovery.bin)
	@echo "installed for $(target) ($(profile)): minicluster and $(words $(host_modules) $(control_modules)) modules"

build: check-tools
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --workspace --target $(target) --profile $(profile) --bins \
	  $(if $(features),--features $(features))

# An environment that exists is brought up to date. Debian's Python comes first: one that pyenv has built, without
# optimisations, takes a fifth more for every run of Ansible.
.venv/.installed: requirements.txt | check-tools
	@echo "installing Ansible and its tools into .venv (about 1 minute, once)"
	[ -x .venv/bin/pip ] || { /usr/bin/python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	  /usr/bin/python3 -m venv .venv || python3 -m venv .venv; }
	.venv/bin/pip install --quiet --require-hashes --requirement requirements.txt
	touch $@

# Versions stay as they are where requirements.in allows it; remove a line of requirements.txt to have a newer one.
requirements:
	[ -x .cache/pip-tools/bin/pip-compile ] || { python3 -m venv .cache/pip-tools; \
	  .cache/pip-tools/bin/pip install --quiet pip-tools==7.6.2; }
	@$(foreach it,. bootstrap,(cd $(it); PIP_FIND_LINKS= $(CURDIR)/.cache/pip-tools/bin/pip-compile --quiet \
	  --generate-hashes --allow-unsafe --strip-extras --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  requirements.in; sed -i '1i # Made by `make requirements` from requirements.in.' requirements.txt);)

# The same programs, linked quickly: what the demo and the tests run.
quick:
	@$(MAKE) --no-print-directory install profile=quick

demo: check-docker quick
	molecule/node/demo up

demo-down:
	molecule/node/demo down

demo-bootstrap: check-docker quick
	molecule/node/demo-bootstrap up

demo-bootstrap-down:
	molecule/node/demo-bootstrap down

check: quick
	$(beside) lint unit

test: check-docker
	$(beside) quick images
	$(beside) lint $(filter $(parts),$(longest)) $(filter-out lint $(longest),$(parts))

# What hosts and machines start from. Whoever needs one makes it; here, beside the programs.
images: check-docker
	molecule/node/image prepared cloud-init >/dev/null
	molecule/node/image cloud-init >/dev/null

# ansible-lint has an inventory: without one it would not read the playbooks.
lint: quick
	cargo fmt --all --check
	cargo clippy --quiet --workspace --lib --bins -- -D warnings
	cargo clippy --quiet --workspace --all-targets --all-features -- -D warnings -A clippy::unwrap_used -A clippy::expect_used
	yamllint --strict *.yml library molecule roles tests/faults
	MINICLUSTER_HOSTS=molecule/default/hosts MINICLUSTER_SERVICES=molecule/default/services.yml ansible-lint -q --strict
	$(if $(shell command -v cargo-deny),cargo deny --locked --log-level error check licenses sources bans,@echo "cargo-deny is missing: a test checks less")
	$(if $(shell command -v shellcheck),shellcheck -x $(shell_programs) && shellcheck -s sh action_plugins/in_place/*.sh,@echo "shellcheck is missing: skipped")

unit: check-tools .venv/.installed
	@cargo nextest --version >/dev/null 2>&1 || { echo "cargo-nextest is missing: cargo install --locked cargo-nextest" >&2; exit 1; }
	cargo nextest run --workspace --profile $(if $(CI),ci,default) --features fault_points

soak: check-tools .venv/.installed
	seed=$${MINICLUSTER_SEED:-$$(date +%s)}; \
	MINICLUSTER_SEED=$$seed MINICLUSTER_SCHEDULES=100000 \
	  cargo test --profile quick --lib -- --nocapture election::tests::no_schedule; \
	for it in {0..19}; do PROPTEST_RNG_SEED=$$((seed + it)) cargo test --quiet --profile quick --lib -- simulation fuzz; done; \
	for it in {0..19}; do MINICLUSTER_SEED=$$((seed + it)) cargo test --quiet --profile quick --test process inventory::; done

plugin: check-docker quick
	tests/plugin/run

molecule: check-docker quick
	$(beside) $(addprefix molecule-,$(scenarios))

molecule-%: check-docker quick
	MOLECULE_COMMAND_BORDERS=0 molecule test --scenario-name $*

faults: check-docker quick
	$(beside) $(fault_suites)

faults-shared: check-docker quick
	tests/faults/run $(shared_faults)

faults-test_%: check-docker quick
	tests/faults/run test_$*

dist: install
	@mkdir -p dist; $(call put_host_modules,dist); $(call put_minicluster,dist,dist)
	tests/shipped dist $(host_modules) $(control_modules)
	@mkdir -p dist/completions
	dist/minicluster completions bash >dist/completions/minicluster.bash
	dist/minicluster completions zsh >dist/completions/_minicluster
	dist/minicluster completions fish >dist/completions/minicluster.fish
	dist/minicluster man dist/man/man1
	bootstrap/bundle dist/minicluster.tar.gz $(operator)

bench: install
	bench/run

check-tools:
	@molecule/node/tools build $(if $(filter yes,$(install)),--install)

check-docker:
	@molecule/node/tools docker $(if $(filter yes,$(install)),--install)
