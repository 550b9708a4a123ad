# Requests whose end is in doubt: no byte of a body becomes a request of its
# own, and a lie about a length leaves nothing behind.

use lib 't/lib';
use V2M;
use V2M::Http2;
use V2M::Store;

our $smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

# Sends a request and what follows it, and returns the answers' codes until the
# server closes, or has answered that many.
sub exchange {
    my ($text, $most) = @_;
    my $socket = connect_gateway();
    my @codes;

    {
        local $SIG{PIPE} = 'IGNORE';
        print {$socket} $text;
        $socket->flush;
    }

    while (@codes < ($most // 99)) {
        my $response = eval { read_response($socket) } or last;
        push @codes, $response->code;
    }

    return "@codes";
}

# A POST with these header lines and this body, from a user.
sub post {
    my ($path, $headers, $body, $authorization) = @_;

    return "POST $path HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
        . ($authorization // bearer()) . "\r\n$headers\r\n$body";
}

# Nothing that was hidden in a body was taken for a request.
sub nothing_smuggled {
    wait_for(sub { http(GET => '/seen-last')->code == 404
        && access_log_text() =~ /seen-last/ }, 'the log');
    unlike(access_log_text(), qr/smuggled/, 'nothing hidden became a request');
}

# No job of that owner, and nothing of the uploads that were begun.
sub nothing_is_left {
    my $owner = shift;

    wait_for(sub { !@{ store('jobs_of', $owner) } }, 'the jobs to go');
    is_gone($_) for logged_jobs();
}

run_tests();

__DATA__

=== TEST 1: S24, two lengths, or one that is none
--- config
access_log logs/access.log v2m;
--- scenario
my $length = length $smuggled;
my $chunked = "0\r\n\r\n$smuggled";

for my $path ('/upload', '/validate', '/login', '/openapi.yaml') {
    for (
        [400, "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", $chunked],
        [400, "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", $chunked],
        [400, "Content-Length: $length\r\nTransfer-Encoding: CHUNKED\r\n",
            $chunked],
        [400, "Content-Length: 0\r\nX: a\nTransfer-Encoding: chunked\r\n",
            $chunked],
        [400, "Content-Length: 0\r\nContent-Length: $length\r\n", $smuggled],
        [400, "Content-Length: $length\r\nContent-Length: 0\r\n", $smuggled],
        [400, "Content-Length: 0\r\nContent-Length: 0\r\n", $smuggled],
        (map { [400, "Content-Length: $_\r\n", $smuggled] } '', '+0', '-0',
            '0,0', "0, $length", '0x0', '0 0', '1e1', "\x0b0",
            '99999999999999999999', '18446744073709551616', '-1'),
        [400, "Content-Length : 0\r\n", $smuggled],
        [400, " Content-Length: 0\r\n", $smuggled],
        [400, "Content-Length\r\n", $smuggled],
        [400, "Content-Length: 0\0\r\n", $smuggled],
    ) {
        my ($status, $headers, $body) = @$_;
        my $shown = $headers =~ s/[\r\n]+/ /gr;

        is(exchange(post($path, $headers, $body)), $status, "$path: $shown");
    }
}

nothing_smuggled();



=== TEST 2: S24, codings that are not "chunked"
--- config
access_log logs/access.log v2m;
--- scenario
my $chunked = "0\r\n\r\n$smuggled";

for my $path ('/upload', '/validate') {
    for (
        (map { [501, "Transfer-Encoding: $_\r\n"] } 'xchunked', 'chunked1',
            'identity', 'gzip', 'gzip, chunked', 'chunked, identity',
            'chunked, chunked', '"chunked"', "\x0bchunked", "chunked;q=1"),
        [501, "Transfer-Encoding\r\n"],
        [400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"],
        [400, "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"],
        [400, "Transfer-Encoding : chunked\r\n"],
        [400, "Transfer-Encoding: chunked\0\r\n"],
        [400, "X: a\r\n Transfer-Encoding: chunked\r\n"],
    ) {
        my ($status, $headers) = @$_;
        my $shown = $headers =~ s/[\r\n]+/ /gr;

        is(exchange(post($path, $headers, $chunked)), $status,
            "$path: $shown");
    }

    is(exchange(post($path, "Transfer-Encoding: chunked\r\n", $chunked)
        =~ s{HTTP/1.1}{HTTP/1.0}r), 400, "$path: chunked in HTTP/1.0");
}

nothing_smuggled();



=== TEST 3: S24, chunks that are none
--- config
access_log logs/access.log v2m;
access_log logs/jobs.log v2m;
--- scenario
my ($authorization, $owner) = make_owner();

for my $path ('/upload', '/validate') {
    for my $chunks (
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n", "8000000000000000\r\n", "-1\r\n", "+5\r\nhello",
        "0x5\r\nhello\r\n0\r\n\r\n", "\r\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "g\r\n", ";a=b\r\n",
    ) {
        my $shown = $chunks =~ s/[\r\n]+/ /gr;

        is(exchange(post($path, "Transfer-Encoding: chunked\r\n",
            "$chunks$smuggled", $authorization)), 400, "$path: $shown");
    }
}

nothing_smuggled();
nothing_is_left($owner);



=== TEST 4: S24, odd chunks are one body to everyone
--- config
access_log logs/access.log v2m;
--- scenario
my ($authorization, $owner) = make_owner();
my $next = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
my $hex = sprintf '%x', length $smuggled;

for (
    ["$hex\r\n$smuggled\r\n0\r\n\r\n", 1], [uc($hex) . "\r\n$smuggled\r\n0\r\n\r\n", 1],
    ["000000$hex\r\n$smuggled\r\n00\r\n\r\n", 1],
    ["$hex;name=value\r\n$smuggled\r\n0;x\r\n\r\n", 1],
    ["$hex;name=\"a;b\"\r\n$smuggled\r\n0\r\n\r\n", 1],
    ["$hex\r\n$smuggled\r\n0\r\nTrailer: x\r\n\r\n", 1],
    ["$hex\r\n$smuggled\r\n0\r\nContent-Length: 9\r\n\r\n", 1],

    # a lone line feed ends a line for some servers, and not for others: what
    # matters is that the rest is not read in another way
    ["$hex\n$smuggled\r\n0\r\n\r\n", 0], ["$hex\r\n$smuggled\n0\r\n\r\n", 0],
    ["$hex\r\n$smuggled\r\n0\n\n", 0], ["$hex;x\n$smuggled\r\n0\r\n\r\n", 0],
) {
    my ($chunks, $valid) = @$_;
    my $shown = $chunks =~ s/\Q$smuggled\E/.../r =~ s/\r/\\r/gr =~ s/\n/\\n/gr;

    for (['/validate', 200], ['/upload', 201]) {
        my ($path, $good) = @$_;
        my $codes = exchange(post($path, "Transfer-Encoding: chunked\r\n",
            $chunks . $next, $authorization));

        like($codes, $valid ? qr/^$good 200$/ : qr/^(?:$good 200|400)$/,
            "$path: $shown");
    }
}

for my $job (@{ store('jobs_of', $owner) }) {
    my $id = ref $job eq 'HASH' ? $job->{_id}[1] : $job;
    my $found = store('file', 'videos', $id);

    is($found->{file}{length}[1], length $smuggled, 'the length stored');
    is(http(DELETE => "/jobs/$id", Authorization => $authorization)->code, 204,
        'it goes');
}

nothing_smuggled();



=== TEST 5: S24, what follows an upload that was refused
--- config
access_log logs/access.log v2m;
access_log logs/jobs.log v2m;
location /small { client_max_body_size 1k; v2m_upload; }
--- scenario
my ($authorization, $owner) = make_owner();
my $bad = bearer(exp => time() - 100);
my $body = 'x' x 2000 . $smuggled;
my $length = length $body;
my $next = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
my $chunked = sprintf "%x\r\n%s\r\n0\r\n\r\n", $length, $body;

# the whole body came: it is passed over, and the connection may go on
for (['/upload', "Content-Length: $length\r\n", $body],
    ['/upload', "Transfer-Encoding: chunked\r\n", $chunked],
    ['/validate', "Content-Length: $length\r\n", $body],
    ['/validate', "Transfer-Encoding: chunked\r\n", $chunked])
{
    my ($path, $headers, $text) = @$_;

    like(exchange(post($path, $headers, $text . $next, $bad)),
        qr/^401(?: 200)?$/, "$path: $headers");
}

# too large, unusable: nobody knows whether the rest is sent
like(exchange(post('/small', "Content-Length: $length\r\n", $body . $next,
    $authorization)), qr/^413(?: 200)?$/, 'declared');
like(exchange(post('/small', "Transfer-Encoding: chunked\r\n", $chunked . $next,
    $authorization)), qr/^413(?: 200)?$/, 'chunked');
like(exchange(post('/upload?bitrate=7', "Content-Length: $length\r\n",
    $body . $next, $authorization)), qr/^422(?: 200)?$/, 'an option');

# asked to wait for 100 Continue, refused, and sending nevertheless
for my $given ($bad, $authorization) {
    my $path = $given eq $bad ? '/upload' : '/upload?bitrate=7';

    like(exchange(post($path, "Content-Length: $length\r\n"
        . "Expect: 100-continue\r\n", $body . $next, $given)),
        qr/^4(?:01|22)(?: 200)?$/, "Expect: $path");
}

# less than was promised: what comes next belongs to the body
my $socket = connect_gateway();
print {$socket} post('/upload', 'Content-Length: ' . ($length + 1000) . "\r\n",
    $body . $next, $bad);
$socket->flush;
is(read_response($socket)->code, 401, 'a body without an end');
shutdown $socket, 1;
is(read_response($socket), undef, 'and no other answer');

nothing_smuggled();
nothing_is_left($owner);



=== TEST 6: S24, HTTP/2: lengths that lie
--- config
access_log logs/jobs.log v2m;
--- scenario
my ($authorization, $owner) = make_owner();

for (['too long', 5, 'x' x 10], ['too short', 20, 'x' x 10],
    ['none', 5, ''], ['some', 0, 'x'], map { [$_, $_, 'x'] } '+1', '1,1', '-1',
    '0x1', '99999999999999999999')
{
    my ($what, $length, $body) = @$_;

    for my $path ('/upload', '/validate') {
        my $h2 = V2M::Http2->new;
        my $stream = $h2->request(POST => $path,
            Authorization => $authorization, 'Content-Length' => $length,
            last => $body eq '');

        $h2->data($stream, $body, last => 1) if length $body;

        # an endpoint that wants no body may answer before it comes
        my $code = eval { $h2->response($stream)->code } // $@;
        like($code, $path eq '/upload' ? qr/^(?:400|reset: \d+)$/
            : qr/^(?:[24]00|reset: \d+)$/, "$path: $what");
    }
}

nothing_is_left($owner);



=== TEST 7: S24, HTTP/2: headers of HTTP/1.1, and line breaks
--- config
access_log logs/access.log v2m;
location /app { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    access_log logs/access.log;
    location / { return 200 "app"; }
}
--- scenario
my ($authorization, $owner) = make_owner();
my $chunked = "0\r\n\r\n$smuggled";

for (['Transfer-Encoding' => 'chunked'], [Connection => 'close, upgrade'],
    [Upgrade => 'h2c'], ['Keep-Alive' => '1'], ['Proxy-Connection' => 'close'],
    ['X-Evil' => "a\r\nTransfer-Encoding: chunked"], ["X: a\r\nY" => 'b'],
    ["X-Evil" => "a\nContent-Length: 0"], ['X Evil' => 'a'], [Host => "a\r\nb"])
{
    my ($name, $value) = @$_;
    my $shown = "$name: $value" =~ s/[\r\n]+/ /gr;

    for my $path ('/upload', '/app') {
        my $h2 = V2M::Http2->new;
        my $stream = $h2->request(POST => $path,
            Authorization => $authorization, $name => $value);

        $h2->data($stream, $chunked, last => 1);

        my $response = eval { $h2->response($stream) };
        my $code = $response ? $response->code : $@;

        like($code, qr/^(?:20[01]|400|501|reset: \d+|the connection was closed)$/,
            "$path: $shown");

        # the frames say what the body is, and nothing else does
        next unless $response && $response->code == 201;
        my $id = decode_json($response->content)->{id};
        is(decode_json($response->content)->{size}, length $chunked,
            "$path: $shown: size");
        http(DELETE => "/jobs/$id", Authorization => $authorization);
    }
}

for my $path ("/x HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled", "/x\r\n/smuggled",
    "/smuggled\0", "x")
{
    my $h2 = V2M::Http2->new;
    my $stream = $h2->request(GET => $path, last => 1);
    my $code = eval { $h2->response($stream)->code } // $@;

    like($code, qr/^(?:400|reset: \d+|the connection was closed)$/,
        'a path that is none');
}

unlike(access_log_text(), qr/"GET \S*smuggled\S*" [23]/, 'nothing was served');



=== TEST 8: S25, streams that are reset at once, by the thousand
--- config
access_log logs/jobs.log v2m;
location = /status { stub_status; }
--- scenario
my ($authorization, $owner) = make_owner();
my $worker = worker();

sub memory {
    open my $file, '<', "/proc/$worker/status" or die "status: $!";
    local $/;
    return <$file> =~ /^VmRSS:\s+(\d+)/m ? $1 : die;
}

# what nginx and the store keep ready, once
http2(GET => '/jobs', Authorization => $authorization);

my ($resets, $closed, $slowest, $before) = (0, 0, 0, memory());

while ($resets < 3000) {
    my $h2 = V2M::Http2->new;

    eval {
        for my $n (1 .. 1000) {
            my $stream = $n % 10
                ? $h2->request(GET => '/jobs', Authorization => $authorization,
                    last => 1)
                : $h2->request(POST => '/upload',
                    Authorization => $authorization, 'Content-Length' => 1000);

            $h2->reset($stream);
            $resets++;

            if ($n % 250 == 0) {
                my $begun = Time::HiRes::time();

                is(http(GET => '/healthz')->code, 200, 'others are served');
                $slowest = List::Util::max($slowest,
                    Time::HiRes::time() - $begun);
            }
        }
        1;
    } or $closed++;
}

cmp_ok($slowest, '<', 2, 'at once');
is(worker(), $worker, 'by the same process');

wait_for(sub {
    http(GET => '/status')->content
        =~ /Active connections: 1 .*Writing: 1 /s;
}, 'all to be over');
nothing_is_left($owner);

SKIP: {
    skip 'AddressSanitizer keeps what was freed', 1
        if $ENV{TEST_NGINX_LD_PRELOAD};
    cmp_ok(memory() - $before, '<', 32 * 1024, 'memory is bounded');
}
