# GET /healthz and /readyz, and what happens while a backend is away.

use lib 't/lib';
use V2M;

my ($mongo_host, $mongo_port) = $ENV{V2M_MONGO_URI} =~ m{//([^:/]+):(\d+)};
my ($amqp_host, $amqp_port)   = $ENV{V2M_AMQP_URL} =~ m{@([^:/]+):(\d+)};

# the backends behind switches
our $mongo    = V2M::Relay->new($mongo_host, $mongo_port);
our $rabbitmq = V2M::Relay->new($amqp_host, $amqp_port);
our $mysql    = V2M::Relay->new($ENV{MYSQL_HOST}, $ENV{MYSQL_PORT});

our @relays   = ($mongo, $rabbitmq, $mysql);

# A block with --- down begins without them.
add_block_preprocessor(sub {
    my $block = shift;

    for my $relay (@relays) {
        defined $block->down ? $relay->stop : $relay->start;
    }
});

our $env = join "\n",
    'V2M_MONGO_URI=' . $ENV{V2M_MONGO_URI} =~ s/:$mongo_port/':' . $mongo->port/er,
    'V2M_AMQP_URL=' . $ENV{V2M_AMQP_URL} =~ s/:$amqp_port/':' . $rabbitmq->port/er,
    'MYSQL_HOST=127.0.0.1', 'MYSQL_PORT=' . $mysql->port;

# Waits until /readyz says so, and returns the answer.
sub ready {
    my ($status, $mongodb, $mysql, $rabbitmq) = @_;
    my $expected = qq({"status":"$status","backends":{"mongodb":"$mongodb",)
        . qq("mysql":"$mysql","rabbitmq":"$rabbitmq"}}\n);

    return wait_for(sub {
        my $response = http(GET => '/readyz');
        $response->content eq $expected && $response;
    }, $expected);
}

run_tests();

__DATA__

=== TEST 1: /healthz
--- request
GET /healthz
--- response_body
ok
--- response_headers
Content-Type: text/plain



=== TEST 2: HEAD, other methods, bodies
--- scenario
is(http(HEAD => '/healthz')->header('Content-Length'), 3, 'HEAD');
is(http(POST => '/healthz')->header('Allow'), 'GET, HEAD', 'POST');
is(http(DELETE => '/readyz')->header('Allow'), 'GET, HEAD', 'DELETE');
is(http(GET => '/healthz', body => 'x' x 1000)->content, "ok\n", 'a body');
is(http(HEAD => '/readyz')->code, 200, 'HEAD /readyz');
is(http2(GET => '/healthz')->content, "ok\n", 'HTTP/2');
is(http2(GET => '/readyz')->code, 200, 'HTTP/2');



=== TEST 3: /readyz, everything is there
--- scenario
my $response = ready('ready', 'ok', 'ok', 'ok');

is($response->code, 200, 'status');
is($response->header('Content-Type'), 'application/json', 'type');



=== TEST 4: MongoDB goes and comes back
--- env eval: $main::env
--- http_config
v2m_backend_timeout 1s;
--- scenario
ready('ready', 'ok', 'ok', 'ok');
$mongo->stop;

my $response = ready('unavailable', 'unavailable', 'ok', 'ok');

is($response->code, 503, 'status');
is($response->header('Content-Type'), 'application/json', 'the state is told');
is(http(GET => '/healthz')->code, 200, 'the process is well');

$response = http(GET => '/jobs', Authorization => bearer());
is($response->code, 503, 'a call that needs it');
is($response->header('Retry-After'), 5, 'Retry-After');
is(decode_json($response->content)->{detail},
    'a backend of the service is away, try again later', 'detail');
unlike($response->content, qr/127\.0\.0\.1/, 'no address is told');
is(http(POST => '/validate', Authorization => bearer())->code, 200,
    'a call that does not');

$mongo->start;
is(ready('ready', 'ok', 'ok', 'ok')->code, 200, 'back');
is(http(GET => '/jobs', Authorization => bearer())->code, 200, 'works again');



=== TEST 5: F17, MariaDB goes and comes back
--- env eval: $main::env
--- http_config
v2m_backend_timeout 1s;
--- scenario
my $password = 'secret-' . unique();
my @login = (POST => '/login', Authorization => basic(make_user($password),
    $password));

ready('ready', 'ok', 'ok', 'ok');
my $token = http(@login)->content;
$mysql->stop;

is(ready('degraded', 'ok', 'unavailable', 'ok')->code, 200, 'degraded');

my $response = http(@login);

is($response->code, 503, 'login');
is($response->header('Retry-After'), 5, 'Retry-After');
is($response->header('WWW-Authenticate'), undef, 'no challenge');
is(decode_json($response->content)->{detail},
    'a backend of the service is away, try again later', 'detail');
is(http(GET => '/jobs', Authorization => "Bearer $token")->code, 200,
    'tokens go on working');

$mysql->start;
is(http(@login)->code, 200, 'the next login works');
ready('ready', 'ok', 'ok', 'ok');



=== TEST 6: MariaDB restarts between two logins
--- env eval: $main::env
--- scenario
my $password = 'secret-' . unique();
my @login = (POST => '/login', Authorization => basic(make_user($password),
    $password));

is(http(@login)->code, 200, 'before');
$mysql->stop;
$mysql->start;
is(http(@login)->code, 200, 'after: the connection that broke is not used');



=== TEST 7: MariaDB hangs for long
--- env eval: $main::env
--- http_config
v2m_backend_timeout 20s;
--- scenario
ready('ready', 'ok', 'ok', 'ok');
$mysql->hang;

# none of those who ask waits for the time-out
my $began = time();
my @answers = map { http(GET => '/readyz') } 1 .. 4;

like($answers[-1]->content, qr/"degraded".*"mysql":"unavailable"/, 'degraded');
is($answers[-1]->code, 200, 'status');
cmp_ok(time() - $began, '<', 20, 'before the time-out of the first');
is(http(GET => '/jobs', Authorization => bearer())->code, 200,
    'nobody else waits');
$mysql->start;
ready('ready', 'ok', 'ok', 'ok');



=== TEST 8: all threads are busy
--- main_config
thread_pool v2m_storage threads=1 max_queue=1024;
--- env eval: $main::env
--- http_config
v2m_backend_timeout 4s;
--- scenario
ready('ready', 'ok', 'ok', 'ok');
$mongo->hang;

my $socket = connect_gateway();

print $socket "GET /jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
    . bearer() . "\r\n\r\n";

my $response = http(GET => '/readyz');

like($response->content, qr/^{"status":"ready"/, 'the last answer counts');
is(read_response($socket)->code, 503, 'the thread is free');
is(ready('unavailable', 'unavailable', 'ok', 'ok')->code, 503, 'then it is asked');
$mongo->start;
is(ready('ready', 'ok', 'ok', 'ok')->code, 200, 'back');



=== TEST 9: MariaDB hangs, and logins
--- env eval: $main::env
--- http_config
v2m_backend_timeout 1s;
--- scenario
my @login = (POST => '/login', Authorization => basic('ann@example.com', 'x'));

is(http(@login)->code, 401, 'before');
$mysql->hang;
is(http(@login)->code, 503, 'login');
is(ready('degraded', 'ok', 'unavailable', 'ok')->code, 200, 'degraded');
is(http(GET => '/jobs', Authorization => bearer())->code, 200,
    'nobody else waits');
$mysql->start;
wait_for(sub { http(@login)->code == 401 }, 'logins');



=== TEST 10: RabbitMQ goes and comes back
--- env eval: $main::env
--- scenario
ready('ready', 'ok', 'ok', 'ok');
$rabbitmq->stop;
is(ready('degraded', 'ok', 'ok', 'unavailable')->code, 200, 'degraded');
like(error_log_text(), qr/\[error\].*v2m: RabbitMQ takes no messages/, 'reported');
$rabbitmq->start;
is(ready('ready', 'ok', 'ok', 'ok')->code, 200, 'back');



=== TEST 11: F21, nginx starts before its backends
--- down
--- env eval: $main::env
--- http_config
v2m_backend_timeout 1s;
--- scenario
is(ready('unavailable', ('unavailable') x 3)->code, 503, 'without any');
is(http(GET => '/healthz')->code, 200, 'the process is well');
$_->start for @relays;
is(ready('ready', 'ok', 'ok', 'ok')->code, 200, 'with all');
