# Clients that take their time: each is given up after the time-out that is
# configured, and nothing of it stays.  (Slow readers of a download are in
# t/download_slow.t.)

use lib 't/lib';
use V2M;
use V2M::Http2;
use V2M::Store;
use Time::HiRes qw(time);

# No job of that owner is left.
sub has_no_job {
    my $owner = shift;

    ok(eval { wait_for(sub { !@{ store('jobs_of', $owner) } }, 'the jobs') },
        'no job is left');
}

# Waits for the end of a connection to which nothing more is sent; how long
# that took, and what came.
sub wait_end {
    my ($socket, $begun) = @_;
    my $text = '';

    while (sysread $socket, $text, 65536, length $text) { }

    return (time() - $begun, $text);
}

run_tests();

__DATA__

=== TEST 1: S16, headers that never end
--- config
client_header_timeout 500ms;
location = /status { stub_status; }
--- scenario
for my $text ('GET', "GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
    "POST /upload HTTP/1.1\r\nHost: localhost\r\nX: " . 'a' x 5000)
{
    my $socket = connect_gateway();
    my $begun = time();

    print {$socket} $text;
    $socket->flush;

    my ($seconds, $answer) = wait_end($socket, $begun);

    cmp_ok($seconds, '>', 0.4, 'given the time that is configured');
    cmp_ok($seconds, '<', 5, 'and no more');
    unlike($answer, qr{^HTTP/1.1 (?!408)}, 'no answer but 408');
}

# a little at a time does not help
my $socket = connect_gateway();
my $begun = time();

local $SIG{PIPE} = 'IGNORE';
print {$socket} "GET /healthz HTTP/1.1\r\nHost: localhost\r\n";

until (IO::Select->new($socket)->can_read(0.05) || time() - $begun > 10) {
    syswrite $socket, 'X';
}

cmp_ok(time() - $begun, '<', 5, 'byte by byte');
close $socket;
is_idle();



=== TEST 2: S16, a body that stops, over HTTP/1.1 and HTTP/2
--- config
client_body_timeout 500ms;
v2m_chunk_size 16k;
access_log logs/jobs.log v2m;
location = /status { stub_status; }
--- scenario
my ($authorization, $owner) = make_owner();
my @sockets = map {
    my $socket = connect_gateway();

    print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: $authorization\r\nContent-Length: 200000\r\n\r\n"
        . 'x' x 40000;
    $socket->flush;
    $socket;
} 1 .. 20;

my $h2 = V2M::Http2->new;
my @streams = map {
    my $stream = $h2->request(PUT => '/upload',
        Authorization => $authorization, 'Content-Length' => 200000);
    $h2->data($stream, 'x' x 2000);
    $stream;
} 1 .. 20;

is(http(GET => '/healthz')->code, 200, 'others are served meanwhile');
is(read_response($_)->code, 408, 'HTTP/1.1') for @sockets;

for my $stream (@streams) {
    like(eval { $h2->response($stream)->code } // $@, qr/^(?:408|reset: \d+)$/,
        'HTTP/2');
}

close $_ for @sockets;
undef $h2;
is_idle();
has_no_job($owner);
is_gone($_) for logged_jobs();



=== TEST 3: S16, HTTP/2 connections that ask for nothing, or stop in a header
--- config
client_header_timeout 500ms;
keepalive_timeout 500ms;
location = /status { stub_status; }
--- scenario
my $preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . pack('H*', '000000040000000000');

# the head of a HEADERS frame of 100 bytes, and of one without END_HEADERS
for my $text ('', 'PRI * HTT', $preface,
    $preface . pack('H*', '0000640105000000018287'),
    $preface . pack('H*', '000002010100000001') . "\x82\x87")
{
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $ENV{TEST_NGINX_HTTP2_PORT}) // die "connect: $!";
    my $begun = time();

    print {$socket} $text;
    $socket->flush;
    next if $text eq '';

    my ($seconds) = wait_end($socket, $begun);
    cmp_ok($seconds, '<', 5, length($text) . ' bytes');
}

is_idle();



=== TEST 4: S16, answers that nobody reads
--- config
send_timeout 500ms;
keepalive_timeout 500ms;
location = /status { stub_status; }
location /page { alias html/; }
--- user_files eval
">>> large\n" . 'x' x 8_000_000
--- scenario
my ($authorization, $owner) = make_owner();

my @sockets = map {
    my $socket = connect_gateway();

    print {$socket} "GET /page/large HTTP/1.1\r\nHost: localhost\r\n\r\n";
    $socket->flush;
    $socket;
} 1 .. 10;

my $h2 = V2M::Http2->new(window => 1);
$h2->request(GET => '/jobs', Authorization => $authorization, last => 1)
    for 1 .. 20;

is(http(GET => '/healthz')->code, 200, 'others are served meanwhile');
is_idle();
