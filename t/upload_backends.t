# Uploads while the store or the broker is slow or away.

use lib 't/lib';
use V2M;
use V2M::Http2;
use V2M::Store;

use Errno qw(EAGAIN);
use IO::Select;

our ($mongo_host, $mongo_port) = $ENV{V2M_MONGO_URI} =~ m{//([^:/]+):(\d+)}
    or bail_out("no address in $ENV{V2M_MONGO_URI}");
our ($amqp, $amqp_host, $amqp_port) =
    $ENV{V2M_AMQP_URL} =~ m{^(.*@)([^:/]+):(\d+)}
    or bail_out('no address in V2M_AMQP_URL');

our $mongo  = V2M::Relay->new($mongo_host, $mongo_port);
our $rabbit = V2M::Relay->new($amqp_host, $amqp_port);
our $env    = 'V2M_MONGO_URI=mongodb://127.0.0.1:' . $mongo->port . "/\n"
    . "V2M_AMQP_URL=${amqp}127.0.0.1:" . $rabbit->port . '/';

add_block_preprocessor(sub { $_->start for $mongo, $rabbit });

our $size = 1_000_000;

# Begins an upload: the head of the request and so many bytes.
sub begin_upload {
    my ($authorization, $bytes) = @_;
    my $socket = connect_gateway();

    print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: $authorization\r\nContent-Length: $size\r\n\r\n",
        $bytes;
    $socket->flush;

    return $socket;
}

# Sends more; what is closed on the other side does not matter.
sub send_more {
    my ($socket, $bytes) = @_;

    local $SIG{PIPE} = 'IGNORE';
    print {$socket} $bytes;
    $socket->flush;
}

sub wait_chunks {
    my ($owner, $count) = @_;
    my $id;

    wait_for(sub { ($id) = @{ store('jobs_of', $owner) } }, 'the record');
    wait_for(sub {
        @{ store('file', 'videos', $id)->{chunks} } >= $count;
    }, 'the chunks');

    return $id;
}

sub is_unavailable {
    my ($response, $detail) = @_;

    is($response->code, 503);
    like($response->header('Retry-After') // 'none', qr/^\d+$/, 'Retry-After')
        if $response->protocol;
    like(decode_json($response->content)->{detail}, $detail);
}

run_tests();

__DATA__

=== TEST 1: the store is away from the start
--- env eval: $main::env
--- http_config
v2m_backend_timeout 1s;
--- config
access_log logs/jobs.log v2m;
--- scenario
$mongo->stop;

my ($authorization, $owner) = make_owner();

for my $video ('x', random_bytes(500_000)) {
    is_unavailable(http(PUT => '/upload', Authorization => $authorization,
        body => $video), qr/backend .* away/);
}

my $h2 = V2M::Http2->new;
my $stream = $h2->request(PUT => '/upload', Authorization => $authorization);
$h2->data($stream, random_bytes(500_000), last => 1);
is_unavailable($h2->response($stream), qr/backend .* away/);

$mongo->start;
is_gone($_) for logged_jobs();
is_deeply(store('jobs_of', $owner), []);
--- error_log
could not store a video



=== TEST 2: F5, the store goes away in the middle; F6, it comes back
--- env eval: $main::env
--- http_config
v2m_backend_timeout 1s;
--- config
v2m_chunk_size 16k;
--- scenario
wait_ready();

my ($authorization, $owner) = make_owner();
my $socket = begin_upload($authorization, random_bytes(300_000));
my $id = wait_chunks($owner, 1);

$mongo->stop;
send_more($socket, random_bytes(700_000));

my $response = read_response($socket);

is_unavailable($response, qr/backend .* away/);

# the sweep finds what is left by this
is(store('job', $id)->{state}[1], 'uploading');
is(store('file', 'videos', $id)->{file}, undef);
is_deeply([messages()], []);
store('clean', [], [[videos => $id]]);
store('remove_job', $id);

$mongo->start;

my $video = random_bytes(100_000);

$response = wait_for(sub {
    my $response = http(PUT => '/upload', Authorization => $authorization,
        body => $video);
    $response->code == 201 && $response;
}, 'the store to be found again');
is_stored(decode_json($response->content)->{id}, $video, owner => $owner,
    chunk_size => 16384);



=== TEST 3: the store goes away before the last step
--- env eval: $main::env
--- http_config
v2m_backend_timeout 3s;
--- config
v2m_chunk_size 16k;
--- scenario
wait_ready();

my ($authorization, $owner) = make_owner();
my $socket = begin_upload($authorization, random_bytes($size - 100));
my $id = wait_chunks($owner, int(($size - 100) / 16384));

$mongo->stop;
send_more($socket, random_bytes(100));
is_unavailable(read_response($socket), qr/backend .* away/);
is(store('job', $id)->{state}[1], 'uploading');
is_deeply([messages()], []);
store('clean', [], [[videos => $id]]);
store('remove_job', $id);



=== TEST 4: the store is slower than the client may be: nobody's fault
--- env eval: $main::env
--- config
client_body_timeout 300ms;
v2m_chunk_size 16k;
--- scenario
wait_ready();

my ($authorization, $owner) = make_owner();
my $video = random_bytes($size);

$mongo->hang;

my $socket = begin_upload($authorization, '');
my $child = fork // die "fork: $!";

if ($child == 0) {
    send_more($socket, $video);
    POSIX::_exit(0);
}

# the client's time-out passes, but the client has sent all it may
select undef, undef, undef, 0.9;
$mongo->start;
waitpid $child, 0;

my $response = read_response($socket);

is($response->code, 201);
is_stored(decode_json($response->content)->{id}, $video, owner => $owner,
    chunk_size => 16384);

my $h2 = V2M::Http2->new;

$mongo->hang;

my $stream = $h2->request(PUT => '/upload', Authorization => $authorization);
my $sent = 0;

while (my $taken = $h2->data($stream, substr($video, $sent), wait => 0)) {
    $sent += $taken;
    $h2->read_frame(0.1);
}

cmp_ok($sent, '<', $size, 'the window is shut');
select undef, undef, undef, 0.9;
$mongo->start;
$h2->data($stream, substr($video, $sent), last => 1);
$response = $h2->response($stream);
is($response->code, 201);
is_stored(decode_json($response->content)->{id}, $video, owner => $owner,
    chunk_size => 16384);



=== TEST 5: a store that hangs for too long
--- env eval: $main::env
--- http_config
v2m_backend_timeout 1s;
--- config
v2m_chunk_size 16k;
--- scenario
wait_ready();

my ($authorization, $owner) = make_owner();
my $socket = begin_upload($authorization, random_bytes(300_000));
my $id = wait_chunks($owner, 1);

$mongo->hang;
send_more($socket, random_bytes(700_000));
is_unavailable(read_response($socket), qr/backend .* away/);
$mongo->start;

store('clean', [], [[videos => $id]]);
store('remove_job', $id);



=== TEST 6: back pressure: a slow store slows the client
--- env eval: $main::env
--- config
v2m_chunk_size 16k;
access_log logs/jobs.log v2m;
--- scenario
my ($authorization, $owner) = make_owner();
my $piece = random_bytes(65536);
my $most = 64 * 1024 * 1024;

local $size = 4 * $most;

# HTTP/2: what its windows and the gateway's buffers take
my $h2 = V2M::Http2->new;
my $stream = $h2->request(PUT => '/upload', Authorization => $authorization);

$mongo->hang;

my $sent = 0;
my $taken;

do {
    $taken = $h2->data($stream, $piece, wait => 0);
    $sent += $taken;
    $h2->read_frame(0.2) if $taken == 0 && $h2->readable(0.2);
} while ($taken > 0 || $h2->readable(0.5));

cmp_ok($sent, '<', 1024 * 1024, "HTTP/2 stopped at $sent bytes");
$h2->reset($stream);
undef $h2;

# HTTP/1.1: what the kernel's buffers take as well
my $socket = begin_upload($authorization, '');
my $until = time() + 20;

$socket->blocking(0);

for ($sent = 0; $sent < $most && time() < $until;) {
    my $written = syswrite $socket, $piece;

    if (defined $written) {
        $sent += $written;
    } elsif ($! != EAGAIN || !IO::Select->new($socket)->can_write(0.5)) {
        last;
    }
}

cmp_ok($sent, '<', $most, "HTTP/1.1 stopped at $sent bytes");
close $socket;
$mongo->start;

wait_for(sub { !@{ store('jobs_of', $owner) } && logged_jobs() == 2 },
    'both to be gone');
is_gone($_) for logged_jobs();



=== TEST 7: F1, the broker is away: stored, not published
--- env eval: $main::env
--- http_config
v2m_confirm_timeout 1s;
--- scenario
my ($authorization, $owner) = make_owner();
my $video = random_bytes(300_000);

$rabbit->stop;
wait_for(sub { http(GET => '/readyz')->content !~ /"rabbitmq":"ok"/ },
    'the gateway to see it');

for my $request (\&http, \&http2) {
    my $response = $request->(PUT => '/upload', body => $video,
        Authorization => $authorization);

    is($response->code, 201);
    is_stored(decode_json($response->content)->{id}, $video, owner => $owner,
        published => 0);
}

$rabbit->start;
wait_ready();

my $response = http(PUT => '/upload', body => $video,
    Authorization => $authorization);

is_stored(decode_json($response->content)->{id}, $video, owner => $owner);
--- error_log
is not published yet



=== TEST 8: F2, the broker goes away before it confirms
--- env eval: $main::env
--- http_config
v2m_confirm_timeout 1s;
--- scenario
wait_ready();

my ($authorization, $owner) = make_owner();
my $video = random_bytes(300_000);

$rabbit->hang;

my $response = http(PUT => '/upload', body => $video,
    Authorization => $authorization);

is($response->code, 201);
is_stored(decode_json($response->content)->{id}, $video, owner => $owner,
    published => 0);

# the message had left already, and is no second job
$rabbit->start;

my ($message) = wait_for(sub { (messages())[0] }, 'the message');

is($message->{message_id}, decode_json($response->content)->{id});
--- error_log
did not confirm



=== TEST 9: the storage pool's queue is full
--- env eval: $main::env
--- main_config
thread_pool v2m_storage threads=1 max_queue=1;
--- config
v2m_chunk_size 16k;
access_log logs/jobs.log v2m;
--- scenario
wait_ready();

my ($authorization, $owner) = make_owner();
my $busy = qr/busy, try again/;

# a long upload, of which the first chunks are stored
my $upload = begin_upload($authorization, random_bytes(300_000));
my $id = wait_chunks($owner, 18);

$mongo->hang;

# one in the thread, one in the queue
my @waiting = map {
    my $socket = connect_gateway();
    print {$socket} "GET /jobs HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: $authorization\r\n\r\n";
    $socket->flush;
    $socket;
} 1, 2;

my $response = wait_for(sub {
    my $response = http(GET => '/jobs', Authorization => $authorization);
    $response->code == 503 && $response;
}, 'the queue to be full');

is_unavailable($response, $busy);
is_unavailable(http(PUT => '/upload', Authorization => $authorization,
    body => 'x'), $busy);
is_unavailable(http(PUT => '/upload', Authorization => $authorization,
    body => random_bytes(200_000)), $busy);
is_unavailable(http(GET => "/jobs/$id", Authorization => $authorization), $busy);
is_unavailable(http(DELETE => "/jobs/$id", Authorization => $authorization),
    $busy);
is_unavailable(http(GET => "/download?fid=$id",
    Authorization => $authorization), $busy);

# in the middle of an upload
send_more($upload, random_bytes(700_000));
is_unavailable(read_response($upload), $busy);

$mongo->start;
is(read_response($_)->code, 200) for @waiting;

# what could not be dropped is left to the sweep
store('clean', [], [[videos => $id]]);
store('remove_job', $id);
is_gone($_) for grep { $_ ne $id } logged_jobs();
--- error_log
no room in the thread pool to drop an unfinished upload
