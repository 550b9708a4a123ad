# Downloads whose client is slow or goes away, whose store is slow or away, and
# those in progress while nginx reloads.

use lib 't/lib';
use V2M;
use V2M::Http2;
use V2M::Store;

use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF);

our ($mongo_host, $mongo_port) = $ENV{V2M_MONGO_URI} =~ m{//([^:/]+):(\d+)}
    or bail_out("no address in $ENV{V2M_MONGO_URI}");
our $mongo = V2M::Relay->new($mongo_host, $mongo_port);
our $env   = 'V2M_MONGO_URI=mongodb://127.0.0.1:' . $mongo->port . '/';

add_block_preprocessor(sub { $mongo->start });

# More than the kernel takes for a client that does not read.
our $size = 10_000_000;

sub is_running { return -e "/proc/$_[0]" }

# Begins a download with a small window, and reads the head.
sub begin_download {
    my ($id, $authorization, $path) = @_;
    my $socket = connect_gateway();

    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, pack 'I', 65536;
    $path //= '/download';
    print {$socket} "GET $path?fid=$id HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: $authorization\r\nConnection: close\r\n\r\n";
    $socket->flush;

    my $head = '';

    while ($head !~ /\r\n\r\n\z/) {
        sysread $socket, $head, 1, length $head or die "closed: $head\n";
    }

    return $socket;
}

sub read_rest {
    my $socket = shift;
    my $bytes = '';

    1 while sysread $socket, $bytes, 1 << 20, length $bytes;

    return $bytes;
}

# No more is written: what is in flight has come to rest.
sub wait_stuck {
    my $worker = worker();
    my $before = -1;

    wait_for(sub {
        my ($now) = slurp_file("/proc/$worker/io") =~ /^wchar: (\d+)/m;
        my $same = $now == $before;
        $before = $now;
        select undef, undef, undef, 0.3;
        $same;
    }, 'the download to be stuck');
}

sub slurp_file {
    open my $file, '<', $_[0] or die "$_[0]: $!";
    local $/;
    return <$file>;
}

run_tests();

__DATA__

=== TEST 1: S16, a client that reads slowly gets all, and little is read ahead
--- config
location = /status { stub_status; }
--- scenario
my ($authorization, $owner) = make_owner();
my $mp3 = random_bytes($size);
my ($id) = make_job($owner, 'ready', mp3 => $mp3);
my $socket = begin_download($id, $authorization);

wait_stuck();

my $worker = worker();
my ($before) = slurp_file("/proc/$worker/status") =~ /^VmRSS:\s+(\d+)/m;

ok(read_rest($socket) eq $mp3, 'the whole');

my ($after) = slurp_file("/proc/$worker/status") =~ /^VmRSS:\s+(\d+)/m;

SKIP: {
    skip 'AddressSanitizer keeps what was freed', 1
        if $ENV{TEST_NGINX_LD_PRELOAD};
    cmp_ok(abs($after - $before), '<', 8 * 1024, 'memory stays');
}

is_idle();



=== TEST 2: S16, a client that does not read at all
--- config
send_timeout 500ms;
location = /status { stub_status; }
--- scenario
my ($authorization, $owner) = make_owner();
my ($id) = make_job($owner, 'ready', mp3 => random_bytes($size));
my $socket = begin_download($id, $authorization);

my $h2 = V2M::Http2->new(window => 1000);
my $stream = $h2->request(GET => "/download?fid=$id",
    Authorization => $authorization, last => 1);

wait_for(sub { (() = error_log_text() =~ /client timed out/g) == 2 },
    'both to be given up');
cmp_ok(length read_rest($socket), '<', $size, 'HTTP/1.1');
eval { $h2->response($stream) };
like($@, qr/^reset: /, 'HTTP/2');
undef $h2;
is_idle();
--- error_log
client timed out



=== TEST 3: the client goes away while it is sent something
--- config
location = /status { stub_status; }
--- scenario
my ($authorization, $owner) = make_owner();
my ($id) = make_job($owner, 'ready', mp3 => random_bytes($size));

for my $reset (0, 1) {
    my $socket = begin_download($id, $authorization);

    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0 if $reset;
    close $socket;
}

# when all the buffers are full
for my $reset (0, 1) {
    my $socket = begin_download($id, $authorization);

    wait_stuck();
    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0 if $reset;
    close $socket;
}

is_idle();



=== TEST 4: HTTP/2 streams that are reset, their window open or shut
--- config
location = /status { stub_status; }
--- scenario
my ($authorization, $owner) = make_owner();
my $mp3 = random_bytes($size);
my ($id) = make_job($owner, 'ready', mp3 => $mp3);

for my $window (0, 1000, 10_000_000) {
    my $h2 = V2M::Http2->new(window => $window);
    my @streams = map { $h2->request(GET => "/download?fid=$id",
        Authorization => $authorization, last => 1) } 1 .. 3;

    wait_for(sub {
        $h2->read_frame(1);
        !grep { $h2->{streams}{$_}{headers} eq '' } @streams;
    }, 'the headers');

    $h2->reset($_) for @streams;

    # the server is done with them: only the connection is left
    wait_for(sub {
        http(GET => '/status')->content =~ /Writing: 1 Waiting: 1/;
    }, 'the streams to end');

    my $next = $h2->request(GET => '/healthz', last => 1);

    $h2->open_window($next, 100);
    is($h2->response($next)->content, "ok\n", 'the connection goes on');
}

# a connection that ends
my $h2 = V2M::Http2->new(window => 1000);
$h2->request(GET => "/download?fid=$id", Authorization => $authorization,
    last => 1) for 1 .. 3;
$h2->read_frame(5) for 1 .. 8;
undef $h2;
is_idle();



=== TEST 5: HTTP/2, a window that opens bit by bit
--- scenario
my ($authorization, $owner) = make_owner();
my $mp3 = random_bytes(300_000);
my ($id) = make_job($owner, 'ready', mp3 => $mp3, chunk_size => 16384);
my $h2 = V2M::Http2->new(window => 1);
my $stream = $h2->request(GET => "/download?fid=$id",
    Authorization => $authorization, last => 1);

for (my $got = 0; $got < length $mp3;) {
    $h2->open_window($stream, 10_000);
    wait_for(sub {
        $h2->read_frame(1);
        length $h2->{streams}{$stream}{body} > $got;
    }, 'more');
    $got = length $h2->{streams}{$stream}{body};
}

ok($h2->response($stream)->content eq $mp3);



=== TEST 6: the store goes away in the middle; it comes back
--- env eval: $main::env
--- http_config
v2m_backend_timeout 1s;
--- config
location = /status { stub_status; }
--- scenario
my ($authorization, $owner) = make_owner();
my $mp3 = random_bytes($size);
my ($id) = make_job($owner, 'ready', mp3 => $mp3);

for my $way (qw(stop hang)) {
    my $socket = begin_download($id, $authorization);

    wait_stuck();
    $mongo->$way;

    my $got = read_rest($socket);

    cmp_ok(length $got, '<', $size, "$way: the connection ends");
    ok($got eq substr($mp3, 0, length $got), 'what came is right');

    # not even the look-up
    my $response = http(GET => "/download?fid=$id",
        Authorization => $authorization);

    is($response->code, 503);
    is($response->header('Retry-After'), 5);
    like(decode_json($response->content)->{detail}, qr/backend .* away/);

    $mongo->start;

    $response = wait_for(sub {
        my $response = http(GET => "/download?fid=$id",
            Authorization => $authorization, Range => 'bytes=9000000-');
        $response->code == 206 && $response;
    }, 'the store to be found again');
    ok($response->content eq substr($mp3, 9_000_000), 'resumed');
}

is_idle();
--- error_log
a download ends early



=== TEST 7: a store that is slower than the client's time-out
--- env eval: $main::env
--- config
send_timeout 300ms;
--- scenario
my ($authorization, $owner) = make_owner();
my $mp3 = random_bytes($size);
my ($id) = make_job($owner, 'ready', mp3 => $mp3);
my $socket = begin_download($id, $authorization);

$mongo->hang;

my $child = fork // die "fork: $!";

if ($child == 0) {
    # longer than the client's time-out, while the client waits for more
    select undef, undef, undef, 0.9;
    $mongo->start;
    POSIX::_exit(0);
}

ok(read_rest($socket) eq $mp3, 'the whole');
waitpid $child, 0;



=== TEST 8: the client goes away while the store is asked
--- env eval: $main::env
--- config
location = /status { stub_status; }
--- scenario
my ($authorization, $owner) = make_owner();
my ($id) = make_job($owner, 'ready', mp3 => random_bytes($size));
my $socket = begin_download($id, $authorization);

$mongo->hang;

my $h2 = V2M::Http2->new;
my $stream = $h2->request(GET => "/download?fid=$id",
    Authorization => $authorization, last => 1);

# a request that has to wait as well is there when this one is
wait_for(sub { http(GET => '/status')->content =~ /Writing: [34]/ },
    'both to be under way');
close $socket;
$h2->reset($stream);
undef $h2;
$mongo->start;
is_idle();



=== TEST 9: F8, reload and quit in the middle
--- scenario
my ($authorization, $owner) = make_owner();
my $mp3 = random_bytes($size);
my ($id) = make_job($owner, 'ready', mp3 => $mp3);

for my $how (qw(HUP QUIT)) {
    my $old = worker();
    my $socket = begin_download($id, $authorization);
    my $h2 = V2M::Http2->new(window => 1000);
    my $stream = $h2->request(GET => "/download?fid=$id",
        Authorization => $authorization, last => 1);

    wait_for(sub { $h2->read_frame(1);
        $h2->{streams}{$stream}{body} ne '' }, 'data');

    kill $how => ($how eq 'HUP' ? master() : $old);
    wait_for(sub {
        grep { $_ != $old } worker_pids()
            or $how eq 'QUIT'
            && error_log_text() =~ /\] $old#\d+: gracefully shutting down/;
    }, 'the new worker');
    ok(is_running($old), 'the old worker stays');

    ok(read_rest($socket) eq $mp3, 'HTTP/1.1');
    ok(is_running($old), 'the old worker still stays');

    $h2->open_window($stream, $size);
    ok($h2->response($stream)->content eq $mp3, 'HTTP/2');
    undef $h2;
    wait_for(sub { !is_running($old) }, 'the old worker to end');
    wait_for(sub {
        eval { http(GET => '/healthz')->content eq "ok\n" };
    }, 'the new worker to answer');
}
