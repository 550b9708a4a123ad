# POST and PUT /upload: what is refused, with which answer, and that nothing is
# left of it.

use lib 't/lib';
use V2M;
use V2M::Http2;
use V2M::Store;

# curl 7.88 loses an answer that comes before it sent all, which nginx follows
# with a reset of the stream, as it may.
sub two {
    my ($method, $path, %headers) = @_;
    my $body = delete $headers{body} // '';
    my $h2 = V2M::Http2->new;
    my $stream = $h2->request($method => $path, %headers, last => $body eq '');

    $h2->data($stream, $body, last => 1) if length $body;

    return $h2->response($stream);
}

sub form {
    my ($boundary, @parts) = @_;

    return join '', map("--$boundary\r\nContent-Disposition: form-data; $_\r\n",
        @parts), "--$boundary--\r\n";
}

# An error of this status whose detail matches.
sub is_problem {
    my ($response, $status, $detail, $what) = @_;
    my $problem = decode_json($response->content);

    is($response->code, $status, $what // "status $status");
    is($response->header('Content-Type') // 'HTTP/2',
        $response->protocol ? 'application/problem+json' : 'HTTP/2');
    is($problem->{status}, $status);
    like($problem->{detail}, $detail);
}

# No job of that owner, no message, and nothing of the uploads that were begun.
sub nothing_is_left {
    my $owner = shift;

    wait_for(sub { !@{ store('jobs_of', $owner) } }, 'the jobs to go');
    is_gone($_) for logged_jobs();
    is_deeply([messages()], []);
}

run_tests();

__DATA__

=== TEST 1: 400, no file at all
--- config
access_log logs/jobs.log v2m;
--- scenario
my ($authorization, $owner) = make_owner();
my @head = (Authorization => $authorization);
my $none = qr/there is no file/;

for my $request (\&http, \&two) {
    is_problem($request->(POST => '/upload', @head), 400, $none, 'no body');
    is_problem($request->(POST => '/upload', @head, body => ''), 400, $none);
    is_problem($request->(PUT => '/upload/a.mp4', @head, body => ''), 400, $none);
}

is_problem(http(PUT => '/upload', @head, 'Transfer-Encoding' => 'chunked',
    body => "0\r\n\r\n"), 400, $none);
nothing_is_left($owner);



=== TEST 2: S17, 400, a form without a file, or with several
--- config
access_log logs/jobs.log v2m;
v2m_chunk_size 16k;
--- scenario
my ($authorization, $owner) = make_owner();
my @head = (Authorization => $authorization,
    'Content-Type' => 'multipart/form-data; boundary=b');
my $file  = qq{name="f"; filename="a.mp4"\r\n\r\n} . random_bytes(100_000);
my $empty = qq{name="f"; filename=""\r\n\r\n};
my $field = qq{name="f"\r\n\r\ntext};

for my $request (\&http, \&two) {
    for my $parts ([], [$field], [$empty], [$empty, $field, $empty]) {
        is_problem($request->(POST => '/upload', @head,
            body => form('b', @$parts)), 400, qr/one file .* none/);
    }

    for my $parts ([$file, $file], [$field, $file, $empty, $file],
        [$file, qq{name="g"; filename="small"\r\n\r\n}],
        [$file, qq{name="g"; filename=""\r\n\r\nx}])
    {
        is_problem($request->(POST => '/upload', @head,
            body => form('b', @$parts)), 400, qr/one file .* several/);
    }
}

nothing_is_left($owner);



=== TEST 3: 400, a malformed form
--- config
access_log logs/jobs.log v2m;
v2m_chunk_size 16k;
--- scenario
my ($authorization, $owner) = make_owner();
my $data = random_bytes(100_000);
my $good = form('b', qq{name="f"; filename="a.mp4"\r\n\r\n$data});

for my $case (
    ['--b', qr/closing boundary/],
    ['no boundary at all', qr/closing boundary/],
    [substr($good, 0, -6), qr/closing boundary/],
    [substr($good, 0, 90_000), qr/closing boundary/],
    ["--b\r\n\r\n$data\r\n--b--\r\n", qr/Content-Disposition/],
    ["--b\r\nContent-Disposition: form-data; name=x; filename=y\r\n\r\n$data"
        . "\r\n--bogus\r\n", qr/boundary/],
    ["--b\r\nX: " . 'x' x 9000 . "\r\n\r\n$data\r\n--b--\r\n", qr/longer than/],
    ["--b\r\nContent-Disposition: form-data; name=x; filename=y\r\n"
        . "Content-Transfer-Encoding: base64\r\n\r\n$data\r\n--b--\r\n",
        qr/Content-Transfer-Encoding/],
) {
    my ($body, $detail) = @$case;

    for my $request (\&http, \&two) {
        is_problem($request->(POST => '/upload', Authorization => $authorization,
            'Content-Type' => 'multipart/form-data; boundary=b',
            body => $body), 400, $detail);
    }
}

for my $type ('multipart/form-data', 'multipart/form-data; boundary=',
    'multipart/form-data; boundary="a@b"', 'multipart/form-data; boundary='
    . 'x' x 71)
{
    is_problem(http(POST => '/upload', Authorization => $authorization,
        'Content-Type' => $type, body => $good), 400, qr/boundary/);
}

nothing_is_left($owner);



=== TEST 4: S15, 400, malformed chunks
--- config
access_log logs/jobs.log v2m;
--- scenario
my ($authorization, $owner) = make_owner();
my $chunk = "20000\r\n" . random_bytes(0x20000) . "\r\n";

for my $bad ("xyz\r\n", "fffffffffffffffff\r\n", "-1\r\nx") {
    is_problem(http(PUT => '/upload', Authorization => $authorization,
        'Transfer-Encoding' => 'chunked', body => "$chunk$chunk$chunk$bad"),
        400, qr/./);
}

nothing_is_left($owner);



=== TEST 5: 401 comes before the body, and without a 100 Continue
--- scenario
for my $authorization ('', "Authorization: Bearer nonsense\r\n",
    'Authorization: ' . bearer(exp => time() - 3600) . "\r\n")
{
    for my $expect ('', "Expect: 100-continue\r\n") {
        my $socket = connect_gateway();

        print {$socket} "PUT /upload/a HTTP/1.1\r\nHost: localhost\r\n"
            . "${authorization}Content-Length: 100000\r\n$expect\r\n";
        $socket->flush;

        is(my $line = <$socket>, "HTTP/1.1 401 Unauthorized\r\n");
    }
}

is(two(PUT => '/upload/a', body => 'x')->code, 401);



=== TEST 6: 404, what only begins like the endpoint
--- config
access_log logs/jobs.log v2m;
--- scenario
my ($authorization, $owner) = make_owner();

for my $path ('/uploads', '/uploads/a.mp4', '/upload.mp4') {
    is_problem(http(PUT => $path, Authorization => $authorization,
        body => 'x'), 404, qr/./);
}

nothing_is_left($owner);



=== TEST 7: 405 says what is allowed
--- config
access_log logs/jobs.log v2m;
--- scenario
my ($authorization, $owner) = make_owner();

for my $method (qw(GET HEAD DELETE PATCH OPTIONS)) {
    my $response = http($method => '/upload', Authorization => $authorization);

    is($response->code, 405, $method);
    is($response->header('Allow'), 'POST, PUT');
}

nothing_is_left($owner);



=== TEST 8: 408, the client sends nothing more
--- config
access_log logs/jobs.log v2m;
client_body_timeout 400ms;
v2m_chunk_size 16k;
--- scenario
my ($authorization, $owner) = make_owner();

for my $sent (0, 10, 100_000) {
    my $socket = connect_gateway();

    print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: $authorization\r\nContent-Length: 200000\r\n\r\n"
        . random_bytes($sent);
    $socket->flush;

    my $response = read_response($socket);

    is_problem($response, 408, qr/too long to arrive/);
    is($response->header('Connection'), 'close');
}

nothing_is_left($owner);



=== TEST 9: S15, 413, declared: before the body
--- config
access_log logs/jobs.log v2m;
location /small {
    client_max_body_size 100k;
    v2m_upload;
}
--- scenario
my ($authorization, $owner) = make_owner();
my $socket = connect_gateway();

print {$socket} "PUT /small HTTP/1.1\r\nHost: localhost\r\n"
    . "Authorization: $authorization\r\nContent-Length: 102401\r\n"
    . "Expect: 100-continue\r\n\r\n";
$socket->flush;
is(my $line = <$socket>, "HTTP/1.1 413 Request Entity Too Large\r\n");

is_problem(two(PUT => '/small', Authorization => $authorization,
    body => random_bytes(102401)), 413, qr/larger/);
nothing_is_left($owner);



=== TEST 10: S15, 413, without a length: while it arrives
--- config
access_log logs/jobs.log v2m;
v2m_chunk_size 16k;
location /small {
    client_max_body_size 100k;
    v2m_upload;
}
--- scenario
my ($authorization, $owner) = make_owner();
my $piece = random_bytes(0x4000);
my $chunk = sprintf "%x\r\n%s\r\n", length $piece, $piece;

is_problem(http(PUT => '/small', Authorization => $authorization,
    'Transfer-Encoding' => 'chunked', body => $chunk x 7 . "0\r\n\r\n"),
    413, qr/larger/);
is_problem(http(PUT => '/small', Authorization => $authorization,
    'Transfer-Encoding' => 'chunked', body => "7fffffff\r\n" . $piece),
    413, qr/larger/);

is_problem(two(PUT => '/small', Authorization => $authorization,
    body => $piece x 7), 413, qr/larger/, 'HTTP/2');

nothing_is_left($owner);



=== TEST 11: 415, types and codings that are no video
--- config
access_log logs/jobs.log v2m;
--- scenario
my ($authorization, $owner) = make_owner();

for my $type ('text/plain', 'text/html; charset=utf-8', 'TEXT/xml',
    'application/json', 'multipart/mixed; boundary=b', 'multipart/related')
{
    is_problem(http(POST => '/upload', Authorization => $authorization,
        'Content-Type' => $type, body => 'x'), 415, qr/multipart/, $type);
}

for my $coding (qw(gzip br deflate)) {
    is_problem(http(POST => '/upload', Authorization => $authorization,
        'Content-Encoding' => $coding, body => 'x'), 415, qr/Content-Encoding/);
}

nothing_is_left($owner);

wait_ready();
my $response = http(POST => '/upload', Authorization => $authorization,
    'Content-Encoding' => 'Identity', body => 'x');
is($response->code, 201);
is_stored(decode_json($response->content)->{id}, 'x', owner => $owner);



=== TEST 12: 422, the option and what it takes are named, before the body
--- config
access_log logs/jobs.log v2m;
--- scenario
my ($authorization, $owner) = make_owner();

for my $case (
    ['bitrate=129'            => qr/"bitrate" must be one of 32, .*320; not "129"/],
    ['bitrate='               => qr/"bitrate"/],
    ['bitrate'                => qr/"bitrate"/],
    ['quality=10'             => qr/"quality" must be a whole number from 0 to 9/],
    ['quality=-1'             => qr/"quality"/],
    ['track=0'                => qr/"track" must be .* from 1 to/],
    ['start=1:60'             => qr/"start" must be a time/],
    ['end=x'                  => qr/"end" must be a time/],
    ['start=10&end=10'        => qr/"end" must be after "start"/],
    ['samplerate=1'           => qr/"samplerate" must be one of .*44100/],
    ['channels=3'             => qr/"channels" must be one of 1, 2/],
    ['loudnorm=-40'           => qr/"loudnorm" must be .* from -31 to -8 LUFS/],
    ['loudnorm'               => qr/"loudnorm" must be "on"/],
    ['bitrate=128&quality=2'  => qr/exclude each other/],
    ['volume=11'              => qr/there is no option "volume"/],
    ['bitrate=%31%32%39%0d%0aX' => qr/not "129\?\?X"/],
    ['%22%0d=1'               => qr/there is no option "[^"\r]*"$/],
) {
    my ($query, $detail) = @$case;
    my $socket = connect_gateway();

    print {$socket} "PUT /upload/a.mp4?$query HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: $authorization\r\nContent-Length: 100000\r\n"
        . "Expect: 100-continue\r\n\r\n";
    $socket->flush;

    my $head = '';
    $head .= <$socket> until $head =~ /\r\n\r\n\z/;
    unlike($head, qr/ 100 /, "$query: no 100 Continue");
    like($head, qr{\AHTTP/1.1 422 });

    my ($length) = $head =~ /^Content-Length: (\d+)/m;
    read($socket, my $body, $length);
    my $problem = decode_json($body);
    like($problem->{detail}, $detail);
    is($problem->{title}, 'Unprocessable Content');
}

nothing_is_left($owner);



=== TEST 13: a connection goes on after a refusal, when the body was read
--- scenario
my ($authorization, $owner) = make_owner();
my $socket = connect_gateway();
my $head = "Host: localhost\r\nAuthorization: $authorization\r\n";

print {$socket} "PUT /upload?volume=1 HTTP/1.1\r\n${head}Content-Length: 70000\r\n"
    . "\r\n" . random_bytes(70_000)
    . "PUT /upload HTTP/1.1\r\n${head}Content-Type: text/html\r\n"
    . "Content-Length: 5\r\n\r\nhello"
    . "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
$socket->flush;
is(read_response($socket)->code, 422);
is(read_response($socket)->code, 415);
is(read_response($socket)->content, "ok\n");



=== TEST 14: an error_page of the operator's takes over in the middle of a body
--- config
access_log logs/jobs.log v2m;
v2m_chunk_size 16k;
location /small {
    client_max_body_size 100k;
    error_page 413 = @large;
    v2m_upload;
}
location @large {
    add_header X-Large yes always;
    limit_rate 10k;
    return 413 "too large, says the operator, who takes a moment to say it";
}
--- scenario
my ($authorization, $owner) = make_owner();
my $piece = random_bytes(0x4000);
my $chunk = sprintf "%x\r\n%s\r\n", length $piece, $piece;
my $response = http(PUT => '/small', Authorization => $authorization,
    'Transfer-Encoding' => 'chunked', body => $chunk x 30 . "0\r\n\r\n");

is($response->code, 413);
is($response->header('X-Large'), 'yes');
nothing_is_left($owner);
