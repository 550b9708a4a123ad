# What a person types; how things are built is in build.mk.

.DEFAULT_GOAL := build

include build.mk

# All cores, unless make was told a number.
JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

# PACKAGES=no leaves the installing of packages to you.
ifeq ($(PACKAGES),no)
need = @:
else
need = @stack/packages.sh --quiet
endif

.PHONY: help packages build demo test analyze fuzz soak bench up down status logs clean

help:
	@echo 'make demo    install what is missing, build, start the local stack, and take'
	@echo '             a video through it; VIDEO=file.mp4 for one of your own'
	@echo 'make test    install what is missing, build, and run every test;'
	@echo '             PHASES="unit e2e" for some of them, see t/run --help'
	@echo
	@echo 'make analyze build with clang; static analysis by gcc, clang-tidy, cppcheck'
	@echo 'make fuzz    feed the parsers what nobody would send; MINUTES=10 for each of'
	@echo '             them, TARGET="multipart token" for some'
	@echo
	@echo 'make soak    upload and convert while servers and programs fail at random,'
	@echo '             then account for every upload; MINUTES=10, SEED=N to repeat'
	@echo
	@echo 'make bench   measure it beside its rivals; ROWS="1 5" for some rows only'
	@echo
	@echo 'make up      start the local stack on 127.0.0.1, under run/'
	@echo 'make down    stop it'
	@echo 'make status  what of it runs, and where'
	@echo 'make logs    the end of its logs; ./v2mctl help tells more'
	@echo
	@echo 'make build   the programs and the nginx module, into build/release'
	@echo '             (SANITIZE=1: with sanitizers, into build/sanitize)'
	@echo 'make install build, and install under /usr/local and /etc; prefix=/usr,'
	@echo '             DESTDIR=DIR; docs/deployment.md has packages and images, too'
	@echo 'make packages  only install what is missing to build and to run'
	@echo 'make clean   remove build/'
	@echo
	@echo 'PACKAGES=no keeps every one of them from installing packages.'

packages:
	@stack/packages.sh run

# The packages first: build.mk asks pkg-config while it is read.
build:
	$(need) run
	+@$(MAKE) --no-print-directory -f build.mk $(JOBS) programs

demo:
	+@MAKE='$(MAKE)' stack/demo.sh

test:
	$(need) run test
	@t/run $(PHASES)

analyze:
	$(need) run test analyze
	@t/run clang analyze

fuzz:
	$(need) run fuzz
	+@$(MAKE) --no-print-directory -f build.mk $(JOBS) FUZZ=1 fuzzers
	@t/fuzz/run build/fuzz $(or $(MINUTES),10) $(TARGET)

soak:
	$(need) run test
	+@$(MAKE) --no-print-directory -f build.mk $(JOBS) programs
	@t/faults/soak.py $(or $(MINUTES),10) $(SEED)

bench:
	$(need) run bench
	+@$(MAKE) --no-print-directory -f build.mk $(JOBS) programs \
	    build/release/bench/gridfs-bucket
	@bench/run $(ROWS)

up: build
	@./v2mctl up

down logs:
	@./v2mctl $@

# 3 says that something is stopped, which is no error of make's
status:
	@./v2mctl status || test $$? = 3

clean:
	rm -rf build

# The embedded MongoDB-wire server.
build/v2m-mongo: $(wildcard docker/mongo/*.go docker/mongo/go.*)
	@stack/build-mongo.sh $@
