# v2m_metrics: what is counted, by all worker processes together.

use lib 't/lib';
use V2M;
use V2M::Http2;
use V2M::Store;

my ($mongo_host, $mongo_port) = $ENV{V2M_MONGO_URI} =~ m{//([^:/]+):(\d+)};
my ($amqp_host, $amqp_port)   = $ENV{V2M_AMQP_URL} =~ m{@([^:/]+):(\d+)};

our $mongo    = V2M::Relay->new($mongo_host, $mongo_port);
our $rabbitmq = V2M::Relay->new($amqp_host, $amqp_port);
our $password = 'secret-' . unique();
our $user     = make_user($password);

our $env = join "\n",
    'V2M_MONGO_URI=' . $ENV{V2M_MONGO_URI} =~ s/:$mongo_port/':' . $mongo->port/er,
    'V2M_AMQP_URL=' . $ENV{V2M_AMQP_URL} =~ s/:$amqp_port/':' . $rabbitmq->port/er;

add_block_preprocessor(sub { $_->start for $mongo, $rabbitmq });

workers(2);

sub is_running { return -e "/proc/$_[0]" }

# metrics(): all values, by name and labels.
sub metrics {
    my $response = http(GET => '/metrics');

    return map { /^([^#].*) (\S+)$/ ? ($1 => $2) : () }
        split /\n/, $response->content;
}

# By how much each value changed that did.
sub changes {
    my ($before) = @_;
    my %now = metrics();
    my %changed = map { $_ => $now{$_} - ($before->{$_} // 0) } keys %now;

    return grep_pairs(sub { $_[1] != 0 }, %changed);
}

sub grep_pairs {
    my ($which, %pairs) = @_;

    return map { $which->($_, $pairs{$_}) ? ($_ => $pairs{$_}) : () }
        keys %pairs;
}

# counted(SCALAR, NAME => NUMBER, ...): in the end exactly that was counted; a
# request is after its answer was sent.  Of what the pattern names nothing else
# was.
sub counted {
    my ($before, $pattern, %expected) = @_;
    my %found;

    eval {
        wait_for(sub {
            %found = grep_pairs(sub { $_[0] =~ $pattern }, changes($before));
            join(' ', map { "$_ $found{$_}" } sort keys %found)
                eq join(' ', map { "$_ $expected{$_}" } sort keys %expected);
        }, 'the counters', 5);
    };
    is_deeply(\%found, \%expected, "counted: $pattern");
}

# A value, once it is that.
sub becomes {
    my ($name, $value) = @_;
    my $found;

    eval {
        wait_for(sub {
            my %now = metrics();
            $found = $now{$name};
            defined $found && $found == $value;
        }, $name, 10);
    };
    is($found, $value, $name);
}

sub begin_upload {
    my ($authorization, $size, $bytes) = @_;
    my $socket = connect_gateway();

    print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: $authorization\r\nContent-Length: $size\r\n\r\n",
        $bytes;
    $socket->flush;

    return $socket;
}

run_tests();

__DATA__

=== TEST 1: the text, as Prometheus' own tool likes it
--- scenario
http(POST => '/login', Authorization => basic($user, $password));
http(GET => '/nothing');

my %values = metrics();
my $response = http(GET => '/metrics');

is($response->code, 200);
is($response->header('Content-Type'),
    'text/plain; version=0.0.4; charset=utf-8');
is(http(HEAD => '/metrics')->code, 200, 'HEAD');
is(http(POST => '/metrics')->header('Allow'), 'GET, HEAD', 'POST');
is(http2(GET => '/metrics')->code, 200, 'HTTP/2');

open my $promtool, '|-', 'promtool check metrics 2>&1' or die $!;
print {$promtool} $response->content;
ok(close $promtool, 'promtool check metrics');

my @names = grep { /\Q$user\E|127\.0\.0\.1|\@/ } keys %values;
is("@names", '', 'no label has a user or an address');

for my $histogram (map { /^(\w+)_count(\{.*\})?$/ ? [$1, $2 // '{}'] : () }
    keys %values)
{
    my ($name, $labels) = @$histogram;
    my $comma = $labels eq '{}' ? '' : ',';
    my $inf = "${name}_bucket" . $labels =~ s/\}$/${comma}le="+Inf"}/r;

    is($values{$inf}, $values{"${name}_count" . ($labels eq '{}' ? '' : $labels)},
        "$name: all are below infinity");
}



=== TEST 2: of all worker processes together
--- config
location = /which { add_header X-Worker $pid; v2m_health; }
--- scenario
my %before = metrics();
my $requests = 0;
my %workers;

until (keys %workers == 2 || $requests > 2000) {
    $workers{http(GET => '/which')->header('X-Worker')}++;
    $requests++;
}

is(scalar keys %workers, 2, 'both answered');
counted(\%before, qr/endpoint="health",code/,
    'v2m_http_requests_total{endpoint="health",code="200"}' => $requests);
becomes('v2m_worker_processes', 2);
becomes('v2m_http_request_duration_seconds_count{endpoint="health"}', $requests);



=== TEST 3: requests by endpoint and status
--- config
location = /teapot { return 418; }
error_page 404 = /healthz;
--- scenario
my %before = metrics();
my $requests = 'v2m_http_requests_total';

http(POST => '/validate', Authorization => bearer());
http(POST => '/validate');
http(POST => '/validate', Authorization => bearer()) for 1, 2;
http(GET => '/validate', Authorization => bearer());
http(GET => '/jobs/0123456789abcdef01234567', Authorization => bearer());
http(GET => '/teapot');

counted(\%before, qr/^$requests(?!.*metrics)/,
    qq($requests\{endpoint="validate",code="200"}) => 3,
    qq($requests\{endpoint="validate",code="401"}) => 1,
    qq($requests\{endpoint="validate",code="405"}) => 1,
    qq($requests\{endpoint="jobs",code="200"}) => 1,
    qq($requests\{endpoint="other",code="other"}) => 1);
counted(\%before, qr/in_progress/);



=== TEST 4: logins
--- scenario
my %before = metrics();

http(POST => '/login', Authorization => basic($user, $password)) for 1 .. 3;
http(POST => '/login', Authorization => basic($user, 'guess')) for 1, 2;
http(POST => '/login', Authorization => basic($user, 'x' x 2000));
http(POST => '/login');

counted(\%before, qr/^v2m_logins/,
    'v2m_logins_total{result="good"}' => 3,
    'v2m_logins_total{result="wrong"}' => 3,
    'v2m_logins_total{result="missing"}' => 1);
counted(\%before, qr/tasks_total.*login/, 'v2m_tasks_total{pool="login"}' => 5);



=== TEST 5: bytes of videos, of a form only the file's
--- scenario
my ($authorization, $owner) = make_owner();

wait_ready();
my %before = metrics();

my $response = http(PUT => '/upload', Authorization => $authorization,
    body => 'v' x 300_001);
is($response->code, 201);
is(http(POST => '/upload', Authorization => $authorization,
    'Content-Type' => 'multipart/form-data; boundary=b',
    body => "--b\r\nContent-Disposition: form-data; name=f; filename=a.mp4\r\n"
        . "\r\n" . 'w' x 70_000 . "\r\n--b--\r\n")->code, 201, 'a form');

counted(\%before, qr/upload_bytes|publishes|upload",code|connects/,
    'v2m_upload_bytes_total' => 370_001,
    'v2m_publishes_total{result="confirmed"}' => 2,
    'v2m_http_requests_total{endpoint="upload",code="201"}' => 2);
becomes('v2m_publishers_connected', 2);
counted(\%before, qr/in_progress|in_flight/);
becomes('v2m_tasks_running{pool="storage"}', 0);



=== TEST 6: bytes of MP3s, of a range those in it, over HTTP/2 as well
--- scenario
my ($authorization, $owner) = make_owner();
my ($id) = make_job($owner, 'ready', mp3 => random_bytes(700_000));
my @get = ("/download?fid=$id", Authorization => $authorization);
my %before = metrics();

http(GET => @get);
counted(\%before, qr/download_bytes/, 'v2m_download_bytes_total' => 700_000);
http(GET => @get, Range => 'bytes=300000-300009');
http(HEAD => @get);
http(GET => '/download?fid=0', Authorization => $authorization);
counted(\%before, qr/download_bytes/, 'v2m_download_bytes_total' => 700_010);
http2(GET => @get);
counted(\%before, qr/download_bytes|download",code/,
    'v2m_download_bytes_total' => 1_400_010,
    'v2m_http_requests_total{endpoint="download",code="200"}' => 3,
    'v2m_http_requests_total{endpoint="download",code="206"}' => 1,
    'v2m_http_requests_total{endpoint="download",code="404"}' => 1);



=== TEST 7: a transfer is told of while it goes on
--- config
v2m_chunk_size 16k;
--- scenario
my ($authorization, $owner) = make_owner();
my %before = metrics();
my $socket = begin_upload($authorization, 300_000, 'v' x 100_000);

counted(\%before, qr/in_progress.*upload|upload_bytes/,
    'v2m_http_requests_in_progress{endpoint="upload"}' => 1,
    'v2m_upload_bytes_total' => 100_000);

my ($id) = make_job($owner, 'ready', mp3 => random_bytes(30_000_000));
my $download = connect_gateway();

print {$download} "GET /download?fid=$id HTTP/1.1\r\nHost: localhost\r\n"
    . "Authorization: $authorization\r\n\r\n";
$download->flush;

becomes('v2m_http_requests_in_progress{endpoint="download"}', 1);
wait_for(sub { my %now = metrics(); $now{v2m_download_bytes_total} > 0 },
    'some bytes');

close $download;
print {$socket} 'v' x 200_000;
$socket->flush;
is(read_response($socket)->code, 201);
counted(\%before, qr/in_progress|upload_bytes/,
    'v2m_upload_bytes_total' => 300_000);



=== TEST 8: refusals, by their reason
--- env eval: $main::env
--- http_config
v2m_backend_timeout 1s;
limit_req_zone $server_name zone=one:32k rate=1r/m;
--- config
location = /rate { limit_req zone=one; v2m_health; }
location = /small { client_max_body_size 10; v2m_upload; }
location = /jobs-1 { v2m_quota_jobs 1; v2m_upload; }
location = /bytes { v2m_quota_bytes 1000; v2m_upload; }
location = /limited { v2m_login; v2m_login_limit zone=x:64k pair=1 delay=5m; }
location = /busy { return 503; }
--- scenario
my ($authorization, $owner) = make_owner();
my @auth = (Authorization => $authorization);

wait_ready();
my %before = metrics();

http(GET => '/rate') for 1, 2;
http(PUT => '/small', @auth, body => 'x' x 11);
http(PUT => '/jobs-1', @auth, body => 'x') for 1, 2;
http(PUT => '/bytes', @auth, body => 'x' x 1001);
http(POST => '/limited', Authorization => basic($user, 'guess')) for 1 .. 4;
http(GET => '/busy');
$mongo->stop;
is(http(GET => '/jobs', @auth)->code, 503);
$mongo->start;

counted(\%before, qr/refusals|limited/,
    'v2m_refusals_total{reason="rate"}' => 1,
    'v2m_refusals_total{reason="size"}' => 1,
    'v2m_refusals_total{reason="quota_jobs"}' => 1,
    'v2m_refusals_total{reason="quota_bytes"}' => 1,
    'v2m_refusals_total{reason="failed_logins"}' => 2,
    'v2m_refusals_total{reason="other"}' => 1,
    'v2m_refusals_total{reason="backend"}' => 1,
    'v2m_logins_total{result="limited"}' => 2);

my %now = metrics();
cmp_ok($now{'v2m_task_errors_total{pool="storage",error="unavailable"}'}, '>=',
    1, 'the task that found no store');



=== TEST 9: pools and their queues
--- main_config
thread_pool v2m_storage threads=1 max_queue=2;
--- env eval: $main::env
--- bare
--- config
location = /jobs { v2m_jobs; }
location = /metrics { v2m_metrics; }
location = /healthz { v2m_health; }
--- http_config
v2m_storage_pool v2m_storage;
v2m_login_pool v2m_login;
v2m_backend_timeout 4s;
--- scenario
is(http(GET => '/jobs', Authorization => bearer())->code, 200);
$mongo->hang;

# of each process one is running, two wait, the rest finds the queue full
my @sockets = map {
    my $socket = connect_gateway();
    print {$socket} "GET /jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
        . bearer() . "\r\n\r\n";
    $socket->flush;
    $socket
} 1 .. 40;

wait_for(sub {
    my %now = metrics();
    my $sum = $now{'v2m_tasks_running{pool="storage"}'}
        + $now{'v2m_tasks_queued{pool="storage"}'}
        + $now{'v2m_task_overflows_total{pool="storage"}'};
    $sum == 40;
}, 'each of them to be running, queued or refused');

my %now = metrics();

like($now{'v2m_tasks_running{pool="storage"}'}, qr/^[12]$/, 'running');
cmp_ok($now{'v2m_tasks_queued{pool="storage"}'}, '>=', 1, 'queued');
cmp_ok($now{'v2m_tasks_queued{pool="storage"}'}, '<=', 4, 'no more than may be');

$mongo->start;
my $refused = grep { read_response($_)->code == 503 } @sockets;

becomes('v2m_tasks_queued{pool="storage"}', 0);
becomes('v2m_tasks_running{pool="storage"}', 0);
%now = metrics();
cmp_ok($now{'v2m_task_wait_seconds_count{pool="storage"}'}, '>=', 4, 'waits');
is($now{'v2m_task_wait_seconds_count{pool="storage"}'},
    $now{'v2m_task_duration_seconds_count{pool="storage"}'}, 'as many runs');



=== TEST 10: F1, the broker goes and comes back
--- env eval: $main::env
--- scenario
my ($authorization, $owner) = make_owner();

becomes('v2m_publishers_connected', 2);
my %before = metrics();
$rabbitmq->stop;
becomes('v2m_publishers_connected', 0);

is(http(PUT => '/upload', Authorization => $authorization, body => 'x')->code,
    201);
counted(\%before, qr/publishes/, 'v2m_publishes_total{result="unsent"}' => 1);

$rabbitmq->start;
becomes('v2m_publishers_connected', 2);
counted(\%before, qr/publishes|connects/,
    'v2m_publishes_total{result="unsent"}' => 1,
    'v2m_publisher_connects_total' => 2);



=== TEST 11: F8, a reload keeps what was counted, and what is going on
--- config
v2m_chunk_size 16k;
--- scenario
my @old = wait_for(sub { my @all = worker_pids(); @all == 2 && @all }, 'workers')
    ? worker_pids() : ();
my ($authorization, $owner) = make_owner();

http(POST => '/validate', Authorization => bearer()) for 1 .. 7;
my $socket = begin_upload($authorization, 200_000, 'v' x 100_000);
becomes('v2m_http_requests_in_progress{endpoint="upload"}', 1);

kill HUP => master();
wait_for(sub { (grep { is_running($_) } @old) == 1 }, 'the idle one to end');
becomes('v2m_worker_processes', 3);
becomes('v2m_http_requests_in_progress{endpoint="upload"}', 1);
becomes('v2m_http_requests_total{endpoint="validate",code="200"}', 7);

http(POST => '/validate', Authorization => bearer());
print {$socket} 'v' x 100_000;
$socket->flush;
is(read_response($socket)->code, 201);

becomes('v2m_http_requests_total{endpoint="validate",code="200"}', 8);
becomes('v2m_http_requests_total{endpoint="upload",code="201"}', 1);
becomes('v2m_http_requests_in_progress{endpoint="upload"}', 0);
becomes('v2m_upload_bytes_total', 200_000);
wait_for(sub { !grep { is_running($_) } @old }, 'the old ones to end');
becomes('v2m_worker_processes', 2);
becomes('v2m_publishers_connected', 2);



=== TEST 12: F8, a worker that is killed takes nothing with it, and leaves nothing
--- config
v2m_chunk_size 16k;
--- scenario
my ($authorization, $owner) = make_owner();

becomes('v2m_worker_processes', 2);
http(POST => '/validate', Authorization => bearer()) for 1 .. 5;

my @sockets = map { begin_upload($authorization, 200_000, 'v' x 100_000) } 1 .. 4;
becomes('v2m_http_requests_in_progress{endpoint="upload"}', 4);
becomes('v2m_upload_bytes_total', 400_000);

my @old = worker_pids();
kill KILL => @old;
is(read_response($_), undef, 'no answer') for @sockets;

wait_for(sub {
    !grep { is_running($_) } @old and eval { http(GET => '/healthz')->code }
}, 'new workers');

becomes('v2m_http_requests_in_progress{endpoint="upload"}', 0);
becomes('v2m_worker_processes', 2);
becomes('v2m_publishers_connected', 2);
becomes('v2m_http_requests_total{endpoint="validate",code="200"}', 5);
becomes('v2m_upload_bytes_total', 400_000);

for my $id (@{ store('jobs_of', $owner) }) {
    store('clean', [], [[videos => $id]]);
    store('remove_job', $id);
}
--- allow_log
exited on signal 9



=== TEST 13: for whoever is inside, and asks by himself
--- config
set_real_ip_from 127.0.0.1;
real_ip_header X-Real-IP;
--- scenario
is(http(GET => '/metrics', 'X-Real-IP' => $_)->code, 200, $_)
    for '10.1.2.3', '172.20.1.1', '192.168.7.7', '::1', 'fd00::1';
is(http(GET => '/metrics', 'X-Real-IP' => $_)->code, 403, $_)
    for '203.0.113.7', '172.32.0.1', '2001:db8::1';

is(http(GET => '/metrics', 'X-Forwarded-For' => '0')->code, 403,
    'through a proxy that adds nothing to what a client says');
my $response = http(GET => '/metrics', 'X-Forwarded-For' => '10.1.2.3');

is($response->code, 403, 'through a proxy');
is($response->header('Content-Type'), 'application/problem+json');



=== TEST 14: jobs and queues, asked for in the background
--- config
location = /own { v2m_metrics interval=100ms; }
--- scenario
my ($authorization, $owner) = make_owner();

wait_ready();
messages();
make_job($owner, $_) for qw(ready failed failed);

my $response = http(PUT => '/upload', Authorization => $authorization, body => 'x');
is($response->code, 201);

my %now;

my $both = sub {
    my $waiting = shift;

    wait_for(sub {
        %now = metrics();
        my $found = $now{'v2m_queue_messages{queue="video"}'} // -1;

        ($waiting ? $found >= $waiting : $found == 0)
            && ($now{'v2m_stored_jobs{state="queued"}'} // 0) > 0;
    }, "what was asked: $waiting messages");
};

$both->(1);
cmp_ok($now{'v2m_stored_jobs{state="failed"}'}, '>=', 2, 'failed');
cmp_ok($now{'v2m_stored_jobs{state="ready"}'}, '>=', 1, 'ready');
cmp_ok($now{'v2m_stored_jobs_queued_seconds'}, '>=', 0, 'queued since');
cmp_ok($now{'v2m_stored_jobs_age_seconds'}, '<', 60, 'age');
cmp_ok($now{'v2m_queue_messages_age_seconds'}, '<', 60, 'age');
is($now{'v2m_queue_messages{queue="video.dead"}'}, 0, 'dead letters');

messages();
$both->(0);



=== TEST 15: no backend is waited for
--- env eval: $main::env
--- http_config
v2m_backend_timeout 4s;
--- config
location = /own { v2m_metrics interval=100ms; }
--- scenario
wait_for(sub { my %now = metrics(); defined $now{'v2m_stored_jobs{state="ready"}'} },
    'numbers');
$_->hang for $mongo, $rabbitmq;

for (1 .. 20) {
    my $began = time();
    my %now = metrics();

    cmp_ok(time() - $began, '<', 3, 'at once') if $_ % 10 == 0;
    ok(defined $now{'v2m_stored_jobs{state="ready"}'}, 'those of before')
        if $_ % 10 == 0;
}

$_->start for $mongo, $rabbitmq;
wait_for(sub {
    my %now = metrics();
    $now{v2m_publishers_connected} == 2 && $now{v2m_stored_jobs_age_seconds} < 1;
}, 'newer ones');



=== TEST 16: an interval that is none
--- config
location = /x { v2m_metrics interval=soon; }
--- must_die
--- error_log
"v2m_metrics" directive takes interval=TIME, from 100ms to 1h



=== TEST 17: a location that has something else to do
--- config
location = /x { v2m_health; v2m_metrics; }
--- must_die
--- error_log
"v2m_metrics" directive conflicts with another content handler of this location
