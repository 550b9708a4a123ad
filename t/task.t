# Work in thread pools: full queues, clients that leave, reload, shutdown.

use lib 't/lib';
use IO::Select;
use V2M;

our $password = 'secret-' . unique();
our $user     = make_user($password);
our $mysql    = V2M::Relay->new($ENV{MYSQL_HOST}, $ENV{MYSQL_PORT});
our $env      = "MYSQL_HOST=127.0.0.1\nMYSQL_PORT=" . $mysql->port;

add_block_preprocessor(sub { $mysql->start });

# While MariaDB hangs, a login stays in its thread for as long as is needed.

# Begins a login and returns its connection.
sub begin_login {
    my ($headers, $body) = @_;
    my $socket = connect_gateway();

    print {$socket} "POST /login HTTP/1.1\r\nHost: localhost\r\n"
        . 'Authorization: ' . basic($user, $password) . "\r\n"
        . ($headers // '') . "\r\n" . ($body // '');
    $socket->flush;

    return $socket;
}

# Connections that nginx holds, but for the one that asks.
sub connections {
    my ($active) = http(GET => '/status')->content =~ /Active connections: (\d+)/;

    return $active - 1;
}

sub ended {
    my $pid = shift;

    wait_for(sub { !kill 0 => $pid }, "process $pid to end");
    return 1;
}

# A request that has to wait: one that comes before the thread has taken the one
# before it is refused, and made again.
sub waiting {
    my $begin = shift;

    return wait_for(sub {
        my $socket = $begin->();
        !IO::Select->new($socket)->can_read(0.2) && $socket;
    }, 'a request that waits');
}

run_tests();

__DATA__

=== TEST 1: S10, the login queue is full
--- main_config
thread_pool v2m_login threads=1 max_queue=1;
--- env eval: $main::env
--- scenario
$mysql->hang;

my @sockets = map { waiting(\&begin_login) } 1, 2;

my $response = wait_for(sub {
    my $response = http(POST => '/login', Authorization => basic($user, 'x'));
    $response->code == 503 && $response;
}, 'a refusal');

is($response->header('Retry-After'), 5, 'Retry-After');
is(decode_json($response->content)->{detail},
    'the service is busy, try again later', 'detail');
is(http(POST => '/validate', Authorization => bearer())->code, 200, 'tokens');
is(http(GET => '/jobs', Authorization => bearer())->code, 200, 'storage');

$mysql->start;
is(read_response($_)->code, 200, 'a login that waited') for @sockets;
is(http(POST => '/login', Authorization => basic($user, $password))->code, 200,
    'the next');



=== TEST 2: the storage queue is full
--- main_config
thread_pool v2m_storage threads=1 max_queue=1;
--- env eval
my ($host, $port) = $ENV{V2M_MONGO_URI} =~ m{//([^:/]+):(\d+)};
$main::mongo = V2M::Relay->new($host, $port);
$ENV{V2M_MONGO_URI} =~ s/:$port/':' . $main::mongo->port/er
    =~ s/^/V2M_MONGO_URI=/r
--- scenario
$mongo->hang;

my $ask = "GET /jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
    . bearer() . "\r\n\r\n";
my @sockets = map { waiting(sub {
    my $socket = connect_gateway();
    print $socket $ask;
    return $socket;
}) } 1, 2;

my $response = wait_for(sub {
    my $response = http(GET => '/jobs', Authorization => bearer());
    $response->code == 503 && $response;
}, 'a refusal');

is($response->header('Retry-After'), 5, 'Retry-After');
is(http(POST => '/login', Authorization => basic($user, $password))->code, 200,
    'logins');
is(http(GET => '/healthz')->code, 200, 'health');

$mongo->start;
is(read_response($_)->code, 200, 'a call that waited') for @sockets;



=== TEST 3: clients leave while their logins are checked
--- env eval: $main::env
--- config
location = /status { stub_status; }
--- scenario
$mysql->hang;

my @sockets = map { begin_login() } 1 .. 3;

wait_for(sub { connections() == 3 }, 'all to be taken');
close $_ for @sockets;

# a reset instead of a close
my $socket = begin_login();
setsockopt $socket, Socket::SOL_SOCKET, Socket::SO_LINGER, pack 'ii', 1, 0;
wait_for(sub { connections() == 4 }, 'this one, too');
close $socket;

$mysql->start;
wait_for(sub { connections() == 0 }, 'nothing to be left');
is(http(POST => '/login', Authorization => basic($user, 'x'))->code, 401,
    'the next');



=== TEST 4: they leave in the middle of a body that is being discarded
--- env eval: $main::env
--- config
location = /status { stub_status; }
--- scenario
$mysql->hang;

my $socket = begin_login("Content-Length: 60000\r\n", 'x' x 1000);

wait_for(sub { connections() == 1 }, 'it to be taken');
close $socket;

is(http(GET => '/healthz')->code, 200, 'noticed');
$mysql->start;
wait_for(sub { connections() == 0 }, 'nothing to be left');



=== TEST 5: they leave over HTTP/2
--- env eval: $main::env
--- config
location = /status { stub_status; }
--- scenario
$mysql->hang;

my $authorization = basic($user, $password);
my @pids = map {
    my $pid = fork() // die;
    if ($pid == 0) {
        exec 'curl', '-s', '--http2-prior-knowledge', '-X', 'POST', '-H',
            "Authorization: $authorization",
            "http://127.0.0.1:$ENV{TEST_NGINX_HTTP2_PORT}/login";
    }
    $pid;
} 1 .. 3;

wait_for(sub { connections() == 3 }, 'all to be taken');
kill KILL => @pids;
waitpid $_, 0 for @pids;

$mysql->start;
wait_for(sub { connections() == 0 }, 'nothing to be left');



=== TEST 6: a small body comes after the answer, and the connection goes on
--- env eval: $main::env
--- scenario
my $socket = begin_login("Content-Length: 10\r\n", '12345');

is(read_response($socket)->code, 200, 'the answer');
print $socket "67890POST /validate HTTP/1.1\r\nHost: localhost\r\n"
    . 'Authorization: ' . bearer() . "\r\n\r\n";
is(read_response($socket)->code, 200, 'the next request');



=== TEST 7: logins one behind the other
--- env eval: $main::env
--- scenario
my $socket = connect_gateway();
my $login = "POST /login HTTP/1.1\r\nHost: localhost\r\nAuthorization: ";

print $socket join '', map { $login . basic(@$_) . "\r\n\r\n" }
    [$user, $password], [$user, 'wrong'], [$user, $password];

is(join(' ', map { read_response($socket)->code } 1 .. 3), '200 401 200',
    'each has its own answer');



=== TEST 8: F8, a reload while a login is checked
--- env eval: $main::env
--- scenario
my $old = worker();

$mysql->hang;
my $socket = begin_login();
is(http(GET => '/healthz')->code, 200, 'it was taken');

kill HUP => master();
wait_for(sub { grep { $_ != $old } worker_pids() }, 'a new worker');
is(http(GET => '/healthz')->code, 200, 'the new worker');

$mysql->start;
is(read_response($socket)->code, 200, 'the old login');
ok(ended($old), 'the old worker ends');
is(http(POST => '/login', Authorization => basic($user, $password))->code, 200,
    'a new login');



=== TEST 9: a worker that is told to quit finishes first
--- env eval: $main::env
--- scenario
my $old = worker();

$mysql->hang;
my $socket = begin_login();
is(http(GET => '/healthz')->code, 200, 'it was taken');

kill QUIT => $old;
$mysql->start;
is(read_response($socket)->code, 200, 'the login');
ok(ended($old), 'the worker ends');
wait_for(sub { worker_pids() }, 'another worker');



=== TEST 10: not even worker_shutdown_timeout frees what a thread uses
--- main_config
worker_shutdown_timeout 1s;
--- env eval: $main::env
--- scenario
my $old = worker();

$mysql->hang;
my $socket = begin_login();
my $other = connect_gateway();

print $other "POST /upload HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
    . bearer() . "\r\nContent-Length: 1000\r\n\r\n12345";
is(http(GET => '/healthz')->code, 200, 'both were taken');

kill HUP => master();
is(read_response($other), undef, 'connections are closed at the time-out');
ok(kill(0 => $old), 'but the worker waits for its thread');
$mysql->start;
ok(ended($old), 'then it ends');
is(read_response($socket), undef, 'without an answer');



=== TEST 11: a worker that is told to end at once
--- env eval: $main::env
--- http_config
v2m_backend_timeout 1s;
--- scenario
my $old = worker();

$mysql->hang;
my $socket = begin_login();
is(http(GET => '/healthz')->code, 200, 'it was taken');
kill TERM => $old;
ok(ended($old), 'it ends');
wait_for(sub { grep { $_ != $old } worker_pids() }, 'another worker');



=== TEST 12: reloads under load
--- env eval: $main::env
--- scenario
my %seen;

for my $round (1 .. 5) {
    my @sockets = map { my $socket = connect_gateway();
        print $socket "GET /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: "
            . "close\r\nAuthorization: " . bearer() . "\r\n\r\n"; $socket } 1 .. 20;

    kill HUP => master();
    $seen{read_response($_)->code}++ for @sockets;
}

is(join(' ', %seen), '200 100', 'every call has its answer');
wait_for(sub { worker_pids() == 1 }, 'all old workers to end');
