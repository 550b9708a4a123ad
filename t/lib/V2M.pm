# The ground of the Test::Nginx suites: every block of a suite runs an nginx
# of its own with the module, the shipped nginx-conf/, and the backends of a
# local stack.
#
# To run a suite, with a stack that is up (./v2mctl up mongo mariadb rabbitmq):
#
#     . run/env; V2M_BUILD=build/release prove -It/lib t/login.t
#
# With V2M_STATIC=1 the module is inside TEST_NGINX_BINARY, and not loaded.
#
# A suite is
#
#     use lib 't/lib';
#     use V2M;
#     run_tests();
#     __DATA__
#     === TEST 1: what is shown
#     --- request
#     POST /login
#     --- error_code: 401
#
# Sections beside those of Test::Nginx:
#
#   config       more directives for the server that has v2m-locations.conf
#   http_config  more for the http block
#   main_config  more for the main block; a thread_pool here replaces ours
#   bare         nothing of nginx-conf/ is included
#   env          lines NAME=VALUE, or NAME to unset it, for nginx's environment
#   scenario     Perl, in package main, while nginx runs: for whatever takes
#                more than requests.  Without a request, GET /healthz follows.
#   allow_log    a pattern for lines of error.log that are no failure
#
# Every block fails when error.log has an [emerg], [alert] or [crit], or when
# a sanitizer reported something, up to and including nginx's exit.  A block
# that must die has an [emerg] instead.
#
# The gateway listens on $ServerPortForClient, and for HTTP/2 without TLS on
# the next port (V2M::Client has functions for both).  The queue's name is the
# suite's own and goes away with it.

package V2M;

# Ports and a server root of its own, so that suites run side by side
BEGIN {
    $ENV{TEST_NGINX_RANDOMIZE} = 1
        unless $ENV{TEST_NGINX_SERVER_PORT} || $ENV{TEST_NGINX_PORT};
}

use Test::Nginx::Socket -Base;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Spec;
use File::Temp qw(tempdir);
use Test::Nginx::Util;

use V2M::Client;
use V2M::Relay;
use V2M::Token;
use V2M::Users;

# Test::Nginx runs "ps" each time it looks whether a process has ended.
{
    no warnings 'redefine';
    *Test::Nginx::Util::is_defunct = sub ($) {
        my $pid = shift;

        return slurp("/proc/$pid/stat") =~ /\) Z [^)]*$/;
    };
}

our @EXPORT = (@V2M::Client::EXPORT, @V2M::Token::EXPORT, @V2M::Users::EXPORT,
    qw(access_log_text error_log_text log_text master worker worker_pids));

# so that "eval" of a section needs no "main::" for them
for my $name (@V2M::Token::EXPORT) {
    no strict 'refs';
    *{"Test::Base::Filter::$name"} = \&{"V2M::Token::$name"};
}

my $top    = abs_path(dirname(__FILE__) . '/../..');
my $build  = File::Spec->rel2abs($ENV{V2M_BUILD} || 'build/release', $top);
my $module = "$build/ngx_http_v2m_module.so";
my $port   = server_port_for_client();

my %pools = (
    v2m_storage => 'threads=8 max_queue=1024',
    v2m_login   => 'threads=2 max_queue=64',
);

my %saved_environment;
my $sanitizer_logs;

my $load   = $ENV{V2M_STATIC} ? '' : "load_module $module;";

$ENV{V2M_STATIC} || -e $module
    or bail_out("$module is missing: build it first");

for my $name (qw(V2M_MONGO_URI V2M_AMQP_URL MYSQL_HOST JWT_SECRET_FILE)) {
    defined $ENV{$name} or bail_out("$name is not set: source run/env");
}

# Test::Nginx would listen on all addresses.
server_port("127.0.0.1:$port");

$ENV{TEST_NGINX_SERVER_PORT} = $port;
$ENV{TEST_NGINX_HTTP2_PORT}  = $port + 1;
$ENV{TEST_NGINX_STREAM_PORT} = $port + 2;
$ENV{V2M_PASSWORD_COST}      = 1;
$ENV{VIDEO_QUEUE}            = 'test-' . unique();

# Debug logs contain the requests as nginx reads them, secrets and all.
log_level('info');
master_on();
no_root_location();
timeout(20);
plan('no_plan');

# A module built with AddressSanitizer in an nginx that was not
my ($asan) = $load && `ldd $module` =~ /libasan\S+ => (\S+)/;

if (defined $asan) {
    $ENV{TEST_NGINX_LD_PRELOAD} = $asan;
    $sanitizer_logs = tempdir(CLEANUP => 1);
    $ENV{ASAN_OPTIONS}  = "exitcode=99,log_path=$sanitizer_logs/asan";
    $ENV{UBSAN_OPTIONS} = "print_stacktrace=1:log_path=$sanitizer_logs/ubsan";
    $ENV{LSAN_OPTIONS}  = "print_suppressions=0:suppressions=$top/t/lsan.supp";
}

add_block_preprocessor(sub {
    my $block = shift;
    my $bare  = defined $block->bare;
    my $main  = $block->main_config // '';
    my $http  = $block->http_config // '';
    my $more  = $block->config      // '';

    set_environment($block->env // '');

    for my $pool (sort keys %pools) {
        $main = "thread_pool $pool $pools{$pool};\n$main"
            unless $main =~ /\bthread_pool\s+$pool\b/;
    }

    $block->set_value(main_config => "$load\n$main");

    my $shipped_http   = $bare ? '' : "include $top/nginx-conf/v2m-http.conf;";
    my $shipped_server = $bare ? ''
        : "include $top/nginx-conf/v2m-locations.conf;";
    my $http2_port = $port + 1;

    # The server of Test::Nginx's own template is kept out of the way: it sets
    # a client_max_body_size.
    $block->set_value(server_name => 'unused.invalid');
    $block->set_value(config      => '');
    $block->set_value(http_config => <<"EOC");
$shipped_http
$http
server {
    listen 127.0.0.1:$port default_server;
    listen 127.0.0.1:$http2_port default_server http2;
    server_name localhost;
$shipped_server
$more
}
EOC

    if (defined $block->must_die) {
        my $expected = $block->error_log // '';

        # nginx itself frees nothing when it cannot start
        set_environment('LSAN_OPTIONS=detect_leaks=0');

        $block->set_value(suppress_stderr => '');
        $block->set_value(error_log => ref $expected
            ? ['[emerg]', @$expected] : "[emerg]\n$expected");
    }

    if (defined $block->scenario) {
        my $name = quotemeta $block->name;

        $block->set_value(init => "package main; no strict 'vars'; eval {\n"
            . $block->scenario
            . "\n1 } or Test::More::fail(\"$name - died: \$@\");");

        $block->set_value(request => "GET /healthz\n")
            unless defined $block->request || defined $block->raw_request
                || defined $block->pipelined_requests;
    }
});

add_test_cleanup_handler(sub {
    my $block = shift;

    stop_nginx();
    check_error_log_levels($block);
    check_sanitizers($block);
    restore_environment();
});

add_cleanup_handler(sub { remove_queues($ENV{VIDEO_QUEUE}) });


sub set_environment ($) {
    my $text = shift;

    for my $line (grep { /\S/ } split /\n/, $text) {
        my ($name, $value) = $line =~ /^\s*(\w+)(?:=(.*))?$/
            or bail_out("bad line in --- env: $line");

        $saved_environment{$name} = $ENV{$name}
            unless exists $saved_environment{$name};

        if (defined $value) {
            $ENV{$name} = $value;
        } else {
            delete $ENV{$name};
        }
    }
}


sub restore_environment () {
    for my $name (keys %saved_environment) {
        if (defined $saved_environment{$name}) {
            $ENV{$name} = $saved_environment{$name};
        } else {
            delete $ENV{$name};
        }
    }

    %saved_environment = ();
}


sub stop_nginx () {
    return unless -f $PidFile;

    my $pid = get_pid_from_pidfile('') or return;

    kill QUIT => $pid;

    return if eval {
        wait_for(sub { !is_running($pid) }, 'nginx to end');
        1;
    };

    fail("nginx did not end after QUIT");
    kill KILL => $pid;
}


# The text of a file in logs/, as it is now.
sub log_text ($) {
    my $name = shift;

    return slurp(server_root() . "/logs/$name");
}


# The processes of the block's nginx.
sub master { return get_pid_from_pidfile('') }

sub worker_pids {
    my $master = master();
    my @pids   = slurp("/proc/$master/task/$master/children") =~ /(\d+)/g;

    return @pids;
}

# The master may be there before its worker is.
sub worker {
    return wait_for(sub { (worker_pids())[0] }, 'the worker');
}

sub error_log_text () {
    return log_text('error.log');
}


sub access_log_text () {
    return log_text('access.log');
}


sub slurp ($) {
    my $path = shift;

    open my $file, '<', $path or return '';
    local $/;
    return <$file> // '';
}


sub check_error_log_levels ($) {
    my $block   = shift;
    my $levels  = defined $block->must_die ? 'alert|crit' : 'emerg|alert|crit';
    my $allowed = $block->allow_log;
    my @bad     = grep { /\[(?:$levels)\]/ } split /\n/, error_log_text();

    if (defined $allowed) {
        chomp $allowed;
        @bad = grep { !/$allowed/ } @bad;
    }

    is(join("\n", @bad), '', $block->name . ' - no alarm in error.log');
}


sub check_sanitizers ($) {
    my $block = shift;

    return unless defined $sanitizer_logs;

    my $reports = '';

    for my $path (glob "$sanitizer_logs/*") {
        $reports .= slurp($path);
        unlink $path;
    }

    is($reports, '', $block->name . ' - no report of a sanitizer');
}
