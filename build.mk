# How the programs and the nginx module are built; included by the Makefile,
# and complete in itself: make -f build.mk
#   B         where everything is built (build/release)
#   SANITIZE  1: AddressSanitizer and UBSan, in build/sanitize
#   FUZZ      1: for fuzzing, with clang, in build/fuzz; AFL++ takes
#             CC=afl-clang-fast and a B of its own
#   V         1: print the commands

ifeq ($(SANITIZE),1)
B            ?= build/sanitize
VARIANT_FLAGS = -O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer \
                -fno-sanitize-recover=undefined
# points at which the tests of faults end a worker
CPPFLAGS     += -DV2M_TEST_POINTS
else ifeq ($(FUZZ),1)
B            ?= build/fuzz
CC            = clang
VARIANT_FLAGS = -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
                -fno-sanitize-recover=undefined
else
B            ?= build/release
VARIANT_FLAGS = -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
endif

NGINX_SOURCE ?= /usr/share/nginx/src

WARNINGS ?= -Wall -Wextra -Werror
HARDENING = -fstack-protector-strong -fstack-clash-protection $(CF_PROTECTION) \
            -Wformat -Werror=format-security
CF_PROTECTION := $(if $(filter x86_64%,$(shell $(CC) -dumpmachine)),-fcf-protection)
HARDENING_LD = -Wl,-z,relro,-z,now,-z,noexecstack
CPPFLAGS += -Icore -Iauth -Iworkers/common -D_GNU_SOURCE
CFLAGS   += -std=c11 $(WARNINGS) $(HARDENING) -fPIE $(VARIANT_FLAGS) -pthread
LDFLAGS  += -pie $(HARDENING_LD) $(VARIANT_FLAGS) -pthread

MONGO_CFLAGS  := $(shell pkg-config --cflags libmongoc-1.0 2>/dev/null)
CORE_LIBS     := $(shell pkg-config --libs libmongoc-1.0 jansson librabbitmq libcrypto 2>/dev/null)
AUTH_LIBS     := $(shell pkg-config --libs libmariadb libjwt libcrypto jansson 2>/dev/null) -lcrypt
MARIADB_LIBS  := $(shell pkg-config --libs libmariadb 2>/dev/null)
FFMPEG_CFLAGS := $(shell pkg-config --cflags libavformat libavcodec libavfilter libswresample libavutil 2>/dev/null)
FFMPEG_LIBS   := $(shell pkg-config --libs libavformat libavcodec libavfilter libswresample libavutil 2>/dev/null)
HEALTH_LIBS   := $(shell pkg-config --libs libmicrohttpd 2>/dev/null)
LOUDNESS_LIBS := $(shell pkg-config --libs libebur128 2>/dev/null)
CURL_LIBS     := $(shell pkg-config --libs libcurl 2>/dev/null)
CPPFLAGS      += $(MONGO_CFLAGS)

# A line per file instead of its command
ifeq ($(V),1)
line =
else
line = @printf '  %-5s %s\n' '$(1)' '$(2)';
endif

objects = $(patsubst %.c,$(B)/obj/%.o,$(1))

# auth/v2m_user.c is a program, the rest of auth/ is shared
CORE_OBJECTS   := $(call objects,$(wildcard core/*.c))
AUTH_OBJECTS   := $(call objects,$(filter-out auth/v2m_user.c,$(wildcard auth/*.c)))
# the probes are of those that go on, and that others wait for
COMMON_OBJECTS := $(call objects,$(filter-out %/v2m_health.c,$(wildcard workers/common/*.c)))
HEALTH_OBJECTS := $(call objects,workers/common/v2m_health.c)

# The converter's parent and its child for the media are two programs.
CHILD_SOURCES     := $(wildcard workers/converter/sandbox/*.c)
CHANNEL_SOURCES   := workers/converter/v2m_channel.c
CONVERTER_SOURCES := $(wildcard workers/converter/*.c)

# What runs such a child on local files.
LOCAL_SOURCES     := $(wildcard workers/converter/local/*.c) \
                     $(patsubst %,workers/converter/v2m_%.c,channel child cores session) \
                     $(patsubst %,core/v2m_%.c,config error options pause utf8) \
                     workers/common/v2m_log.c

PROGRAMS = $(B)/v2m-user $(B)/v2m-converter $(B)/v2m-transcode $(B)/v2m-convert \
           $(B)/v2m-notifier $(B)/v2m-sweep $(B)/v2m-jobs $(B)/v2m
MODULE   = $(B)/ngx_http_v2m_module.so

.PHONY: programs
programs: $(PROGRAMS) $(MODULE)
	@echo 'build      done: $(B)'

$(B)/obj/%.o: %.c build.mk
	@mkdir -p $(@D)
	$(call line,CC,$<) $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/workers/converter/sandbox/%.o: CPPFLAGS += $(FFMPEG_CFLAGS) -Iworkers/converter
$(B)/obj/workers/converter/%.o: CPPFLAGS += -Iworkers/converter

$(B)/v2m-user: $(call objects,auth/v2m_user.c) $(AUTH_OBJECTS) \
               $(call objects,core/v2m_error.c core/v2m_config.c core/v2m_email.c)
	$(call line,LINK,$@) $(CC) $(LDFLAGS) -o $@ $^ $(AUTH_LIBS)

$(B)/v2m-converter: $(call objects,$(CONVERTER_SOURCES)) $(COMMON_OBJECTS) $(HEALTH_OBJECTS) $(CORE_OBJECTS)
	$(call line,LINK,$@) $(CC) $(LDFLAGS) -o $@ $^ $(CORE_LIBS) $(HEALTH_LIBS)

$(B)/v2m-transcode: $(call objects,$(CHILD_SOURCES) $(CHANNEL_SOURCES)) \
                    $(call objects,core/v2m_error.c core/v2m_options.c core/v2m_utf8.c)
	$(call line,LINK,$@) $(CC) $(LDFLAGS) -o $@ $^ $(FFMPEG_LIBS) $(LOUDNESS_LIBS) -lm -lseccomp

$(B)/v2m-convert: $(call objects,$(LOCAL_SOURCES))
	$(call line,LINK,$@) $(CC) $(LDFLAGS) -o $@ $^

# what it takes of auth/: requests about accounts, in the users' database
ACCOUNT_OBJECTS := $(call objects,$(patsubst %,auth/v2m_%.c,accounts base64url database pkey pool))

$(B)/v2m-notifier: $(call objects,$(wildcard workers/notifier/*.c)) $(ACCOUNT_OBJECTS) \
                   $(COMMON_OBJECTS) $(HEALTH_OBJECTS) $(CORE_OBJECTS)
	$(call line,LINK,$@) $(CC) $(LDFLAGS) -o $@ $^ $(CORE_LIBS) $(HEALTH_LIBS) $(CURL_LIBS) $(MARIADB_LIBS)

$(B)/v2m-sweep: $(call objects,$(wildcard workers/sweep/*.c)) $(COMMON_OBJECTS) $(CORE_OBJECTS)
	$(call line,LINK,$@) $(CC) $(LDFLAGS) -o $@ $^ $(CORE_LIBS)

$(B)/v2m: $(call objects,$(wildcard client/*.c) $(patsubst %,core/v2m_%.c,error filename pause utf8))
	$(call line,LINK,$@) $(CC) $(LDFLAGS) -o $@ $^ $(CURL_LIBS) -ljansson

$(B)/v2m-jobs: $(call objects,$(wildcard workers/jobs/*.c)) $(COMMON_OBJECTS) $(CORE_OBJECTS)
	$(call line,LINK,$@) $(CC) $(LDFLAGS) -o $@ $^ $(CORE_LIBS)

# Unit tests: each t/unit/test_NAME.c is a program of its own that takes what
# it needs of all the code but the programs' main files.  So is each
# drive_NAME.c, by which other tests use a part of the code.
MAINS         := auth/v2m_user.c workers/converter/v2m_converter.c \
                 workers/converter/sandbox/v2m_transcode.c \
                 workers/converter/local/v2m_local.c \
                 workers/notifier/v2m_notifier.c workers/sweep/v2m_sweep.c \
                 workers/jobs/v2m_tool.c
TESTED        := $(call objects,$(filter-out $(MAINS),$(wildcard core/*.c auth/*.c \
                   workers/*/*.c workers/converter/*/*.c)))
UNIT_TESTS    := $(patsubst t/unit/%.c,$(B)/t/unit/%,\
                   $(wildcard t/unit/test_*.c t/unit/drive_*.c))
CMOCKA_LIBS   := $(shell pkg-config --libs cmocka 2>/dev/null)

.PHONY: unit-tests
unit-tests: $(UNIT_TESTS)

$(B)/libtested.a: $(TESTED)
	$(call line,AR,$@) rm -f $@ && $(AR) rcs $@ $^

$(B)/obj/t/unit/%.o: CPPFLAGS += $(FFMPEG_CFLAGS) -Iworkers/converter \
                     -Iworkers/converter/sandbox -Iworkers/notifier -Iworkers/sweep

$(B)/t/unit/%: $(B)/obj/t/unit/%.o $(B)/libtested.a
	@mkdir -p $(@D)
	$(call line,LINK,$@) $(CC) $(LDFLAGS) -o $@ $^ $(CMOCKA_LIBS) $(AUTH_LIBS) $(CORE_LIBS) \
	    $(CURL_LIBS) $(HEALTH_LIBS) $(FFMPEG_LIBS) $(LOUDNESS_LIBS) -lm -lseccomp

# The targets of t/fuzz as programs of libFuzzer's; with FUZZ=1.
FUZZ_TARGETS  := $(filter-out fuzz targets,$(patsubst t/fuzz/%.h,%,$(wildcard t/fuzz/*.h)))

.PHONY: fuzzers
fuzzers: $(patsubst %,$(B)/fuzz-%,$(FUZZ_TARGETS))

$(patsubst %,$(B)/obj/t/fuzz/%.o,$(FUZZ_TARGETS)): $(B)/obj/t/fuzz/%.o: t/fuzz/fuzz.c
	@mkdir -p $(@D)
	$(call line,CC,$< ($*)) $(CC) $(CPPFLAGS) $(FFMPEG_CFLAGS) -Iworkers/converter \
	    -Iworkers/converter/sandbox -Iworkers/notifier -DFUZZ=$* \
	    $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/fuzz-%: $(B)/obj/t/fuzz/%.o $(B)/libtested.a
	$(call line,LINK,$@) $(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(AUTH_LIBS) $(CORE_LIBS) \
	    $(CURL_LIBS) $(HEALTH_LIBS) $(FFMPEG_LIBS) $(LOUDNESS_LIBS) -lm -lseccomp

# What the benchmarks compare the gateway with.
$(B)/bench/gridfs-bucket: $(B)/obj/bench/gridfs_bucket.o
	@mkdir -p $(@D)
	$(call line,LINK,$@) $(CC) $(LDFLAGS) -o $@ $^ $(CORE_LIBS)

.SECONDARY:

# Installing, all of it or by parts, such as "install-converter"; packages and
# images take what they need.  DESTDIR and the usual names of directories
# apply; what an administrator may have changed under /etc is left as it is.
DESTDIR    =
prefix     = /usr/local
bindir     = $(prefix)/bin
datadir    = $(prefix)/share/v2m
mandir     = $(prefix)/share/man
bashdir    = $(prefix)/share/bash-completion/completions
zshdir     = $(prefix)/share/zsh/site-functions
sysconfdir = /etc
libdir     = $(prefix)/lib
unitdir    = $(libdir)/systemd/system
nginxconf  = $(sysconfdir)/nginx
modulesdir = /usr/lib/nginx/modules
webdir     = /usr/share/nginx/v2m-web

INSTALL = install
PARTS   = gateway converter notifier sweep tools client settings

# A unit or configuration file, with the paths of this installation in it.
place   = $(INSTALL) -d "$(DESTDIR)$(dir $(2))" && sed \
          -e 's,/usr/bin/,$(bindir)/,g' -e 's,/etc/v2m,$(sysconfdir)/v2m,g' \
          $(1) > "$(DESTDIR)$(2)" && chmod 644 "$(DESTDIR)$(2)"
program = $(INSTALL) -d "$(DESTDIR)$(bindir)" \
          && $(INSTALL) $(1) "$(DESTDIR)$(bindir)"
manual  = for page in $(1); do \
          folder="$(DESTDIR)$(mandir)/man$${page\#\#*.}" \
          && $(INSTALL) -d "$$folder" \
          && $(INSTALL) -m 644 docs/man/$$page "$$folder" || exit; done
unless_there = test -e "$(DESTDIR)$(1)" || { $(2); }

.PHONY: install $(PARTS:%=install-%)
install: $(PARTS:%=install-%)

# Debian's nginx loads what modules-enabled/ links to.
install-gateway: $(MODULE)
	$(INSTALL) -d "$(DESTDIR)$(modulesdir)" "$(DESTDIR)$(nginxconf)/v2m" \
	    "$(DESTDIR)$(webdir)"
	$(INSTALL) -m 644 web/* "$(DESTDIR)$(webdir)"
	$(INSTALL) -m 644 $(MODULE) "$(DESTDIR)$(modulesdir)/.v2m.new"
	mv "$(DESTDIR)$(modulesdir)/.v2m.new" \
	    "$(DESTDIR)$(modulesdir)/ngx_http_v2m_module.so"
	for file in $(filter-out %/nginx.conf,$(wildcard nginx-conf/*.conf)); do \
	    test -e "$(DESTDIR)$(nginxconf)/v2m/$${file##*/}" \
	    || $(INSTALL) -m 644 $$file "$(DESTDIR)$(nginxconf)/v2m/" || exit; done
	$(call unless_there,$(nginxconf)/modules-available/50-v2m.conf,\
	    $(call place,packaging/nginx-module.conf,$(nginxconf)/modules-available/50-v2m.conf))
	$(call unless_there,$(nginxconf)/sites-available/v2m,\
	    $(call place,packaging/nginx-site.conf,$(nginxconf)/sites-available/v2m))
	$(call place,packaging/nginx.service.conf,$(unitdir)/nginx.service.d/v2m.conf)

install-converter: $(B)/v2m-converter $(B)/v2m-transcode $(B)/v2m-convert
	$(call program,$^)
	$(call place,packaging/v2m-converter.service,$(unitdir)/v2m-converter.service)
	$(call manual,v2m-converter.8 v2m-transcode.8 v2m-convert.1)

install-notifier install-sweep: install-%: $(B)/v2m-%
	$(call program,$^)
	$(call place,packaging/v2m-$*.service,$(unitdir)/v2m-$*.service)
	$(call manual,v2m-$*.8)

install-tools: $(B)/v2m-user $(B)/v2m-jobs
	$(call program,$^ auth/v2m-schema)
	$(INSTALL) -d "$(DESTDIR)$(datadir)/schema"
	$(INSTALL) -m 644 auth/schema/*.sql "$(DESTDIR)$(datadir)/schema"
	$(call manual,v2m-user.8 v2m-jobs.8 v2m-schema.8)

install-client: $(B)/v2m
	$(call program,$^)
	$(call manual,v2m.1)
	$(INSTALL) -d "$(DESTDIR)$(bashdir)" "$(DESTDIR)$(zshdir)"
	$(INSTALL) -m 644 packaging/completion/v2m.bash "$(DESTDIR)$(bashdir)/v2m"
	$(INSTALL) -m 644 packaging/completion/_v2m "$(DESTDIR)$(zshdir)"

install-settings:
	$(call place,packaging/v2m.sysusers,$(libdir)/sysusers.d/v2m.conf)
	$(call place,packaging/v2m.tmpfiles,$(libdir)/tmpfiles.d/v2m.conf)
	$(call unless_there,$(sysconfdir)/v2m/env,\
	    $(call place,packaging/env,$(sysconfdir)/v2m/env))

# The dynamic module is built by nginx's own build system, from the headers
# of the installed nginx (Debian's nginx-dev), in a copy it may write to.
MODULE_SOURCES := config $(wildcard ngx_v2m_module/*.[ch] core/*.[ch] auth/*.[ch])
MODULE_FLAGS    = $(VARIANT_FLAGS) $(HARDENING)
# nginx unloads its modules while it exits, and what their libraries keep until
# the end would look like leaks then.
MODULE_LDFLAGS  = $(VARIANT_FLAGS) $(HARDENING_LD)$(if $(filter 1,$(SANITIZE)),$(comma)-z$(comma)nodelete)
comma          := ,

$(B)/nginx/objs/Makefile: config build.mk | $(NGINX_SOURCE)/configure
	@mkdir -p $(B)
	$(call line,NGINX,$(B)/nginx) rm -rf $(B)/nginx && cp -r $(NGINX_SOURCE) $(B)/nginx \
	    && chmod -R u+w $(B)/nginx
	@cd $(B)/nginx && env -u CFLAGS -u CPPFLAGS -u LDFLAGS \
	    bash -c '. ./conf_flags && ./configure \
	    "$${NGX_CONF_FLAGS[@]}" --with-cc="$(CC)" \
	    --with-cc-opt="$(MODULE_FLAGS)" --with-ld-opt="$(MODULE_LDFLAGS)" \
	    --add-dynamic-module=$(CURDIR)' > $(CURDIR)/$(B)/nginx-configure.log \
	    || { cat $(CURDIR)/$(B)/nginx-configure.log; false; }

$(MODULE): $(B)/nginx/objs/Makefile $(MODULE_SOURCES)
	$(call line,NGINX,$@) $(MAKE) -C $(B)/nginx -s -f objs/Makefile modules
	@cp $(B)/nginx/objs/ngx_http_v2m_module.so $@.new && mv $@.new $@

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
