# Resumable uploads: tus 1.0.0.

use lib 't/lib';
use V2M;
use V2M::Http2;
use V2M::Store;

use Digest::SHA qw(sha1_base64 sha256_base64);
use MIME::Base64 qw(encode_base64);

our @piece = ('Content-Type' => 'application/offset+octet-stream');

# tus(METHOD, PATH, AUTHORIZATION, headers...)
sub tus {
    my ($method, $path, $authorization, @rest) = @_;

    return http($method => $path, 'Tus-Resumable' => '1.0.0',
        defined $authorization ? (Authorization => $authorization) : (), @rest);
}

# Makes an upload; returns its path.
sub create {
    my ($authorization, $length, @rest) = @_;
    my $response = tus(POST => '/tus/', $authorization,
        'Upload-Length' => $length, @rest);

    is($response->code, 201, 'created');
    like($response->header('Location'), qr{^/tus/[0-9a-f]{24}$});

    return $response->header('Location');
}

sub send_piece {
    my ($path, $authorization, $offset, $bytes, @rest) = @_;

    return tus(PATCH => $path, $authorization, @piece,
        'Upload-Offset' => $offset, body => $bytes, @rest);
}

# Sends the beginning of a PATCH of that length; returns the socket.
sub begin_piece {
    my ($path, $authorization, $offset, $length, $bytes, $more) = @_;
    my $socket = connect_gateway();

    $more //= '';

    print {$socket} "PATCH $path HTTP/1.1\r\nHost: localhost\r\n"
        . "Tus-Resumable: 1.0.0\r\nAuthorization: $authorization\r\n"
        . "Content-Type: $piece[1]\r\nUpload-Offset: $offset\r\n"
        . "Content-Length: $length\r\n$more\r\n$bytes";
    $socket->flush;

    return $socket;
}

# Waits until the request that was begun goes on with the upload.
sub wait_held {
    my ($path, $authorization) = @_;
    my ($id) = $path =~ m{([^/]+)$};

    wait_for(sub { store('job', $id)->{tus_owner} }, 'the lease');
    # what the worker began before this is under way then
    offset($path, $authorization);
}

sub offset {
    my ($path, $authorization) = @_;

    return tus(HEAD => $path, $authorization)->header('Upload-Offset');
}

sub is_refused {
    my ($response, $status, $detail) = @_;
    my $problem = decode_json($response->content);

    is($response->code, $status, "status $status");
    is($response->header('Tus-Resumable'), '1.0.0');
    is($problem->{status}, $status);
    like($problem->{detail}, $detail);
}

# What a fixed hash of base64 lacks.
sub padded { return $_[0] . '=' x (-length($_[0]) % 4) }

run_tests();

__DATA__

=== TEST 1: discovery, without a token
--- config
location /any/ {
    client_max_body_size 0;
    v2m_tus;
}
--- scenario
my $response = http(OPTIONS => '/tus/');

is($response->code, 204);
is($response->header('Tus-Resumable'), '1.0.0');
is($response->header('Tus-Version'), '1.0.0');
is($response->header('Tus-Max-Size'), 16 * 2**30);
is($response->header('Tus-Checksum-Algorithm'), 'sha1,sha256,sha512');
is($response->header('Tus-Extension'), 'creation,creation-with-upload,'
    . 'creation-defer-length,expiration,checksum,termination');
is(http2(OPTIONS => '/tus/0123')->code, 204);
is(http(OPTIONS => '/any/')->header('Tus-Max-Size'), undef, 'any size');



=== TEST 2: in pieces of any length, with name and options, through to the job
--- config
v2m_chunk_size 16k;
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();
my $video = random_bytes(100_000);
my $metadata = 'filename ' . encode_base64("d\xc3\xa9j\xc3\xa0/vu.mp4", '')
    . ',filetype dmlkZW8vbXA0,is_confidential,quality OQ==';
my $path = create($authorization, length $video,
    'Upload-Metadata' => $metadata);
my ($id) = $path =~ m{([^/]+)$};
my $offset = 0;

for my $length (1, 16_383, 100, 32_668, 848, 0, 20_000) {
    my $response = send_piece($path, $authorization, $offset,
        substr $video, $offset, $length);

    $offset += $length;
    is($response->code, 204);
    is($response->header('Upload-Offset'), $offset);
    is($response->header('V2M-Job'), undef);
    ok($response->header('Upload-Expires'));

    my $head = tus(HEAD => $path, $authorization);

    is($head->code, 200);
    is($head->header('Upload-Offset'), $offset);
    is($head->header('Upload-Length'), 100_000);
    is($head->header('Upload-Metadata'), $metadata);
    is($head->header('Cache-Control'), 'no-store');
}

is(decode_json(http(GET => "/jobs/$id", Authorization => $authorization)
    ->content)->{state}, 'uploading');

my $last = send_piece($path, $authorization, $offset, substr $video, $offset);

is($last->code, 204);
is($last->header('Upload-Offset'), 100_000);
is($last->header('V2M-Job'), $id);
is_stored($id, $video, owner => $owner, tus => 1, name => 'vu.mp4',
    chunk_size => 16384, options => { quality => 9 });

my $head = tus(HEAD => $path, $authorization);

is($head->header('Upload-Offset'), 100_000);
is($head->header('V2M-Job'), $id, 'told later as well');
is($head->header('Upload-Expires'), undef);
is(send_piece($path, $authorization, 100_000, '')->header('V2M-Job'), $id);
is_refused(send_piece($path, $authorization, 100_000, 'x'), 413, qr/room for 0/);
is_refused(send_piece($path, $authorization, 0, 'x'), 409, qr/offset 100000/);



=== TEST 3: over HTTP/2, and with a method that stands in for another
--- config
v2m_chunk_size 16k;
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();
my $video = random_bytes(50_000);
my @both = (Authorization => $authorization, 'Tus-Resumable' => '1.0.0');
my $path = http2(POST => '/tus/?quality=5', @both, 'Upload-Length' => 50_000)
    ->header('Location');

is(http2(PATCH => $path, @both, @piece, 'Upload-Offset' => 0,
    body => substr $video, 0, 20_000)->code, 204);
is(http2(HEAD => $path, @both)->header('Upload-Offset'), 20_000);
is(http(POST => $path, @both, 'X-HTTP-Method-Override' => 'HEAD')
    ->header('Upload-Offset'), 20_000);

my $last = http(POST => $path, @both, @piece, 'Upload-Offset' => 20_000,
    'X-HTTP-Method-Override' => 'PATCH', body => substr $video, 20_000);

is($last->code, 204);
is_stored($last->header('V2M-Job'), $video, owner => $owner, tus => 1,
    chunk_size => 16384, options => { quality => 5 });



=== TEST 4: created with all the bytes, with some of them, and with none
--- config
v2m_chunk_size 16k;
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();
my $video = random_bytes(40_000);
my $whole = tus(POST => '/tus/', $authorization, @piece,
    'Upload-Length' => 40_000, body => $video);

is($whole->code, 201);
is($whole->header('Upload-Offset'), 40_000);
is($whole->header('Location'), '/tus/' . $whole->header('V2M-Job'));
is_stored($whole->header('V2M-Job'), $video, owner => $owner, tus => 1,
    chunk_size => 16384);

for my $length (0, 20_000) {
    my $some = tus(POST => '/tus/', $authorization, @piece,
        'Upload-Length' => 40_000, body => substr $video, 0, $length);

    is($some->code, 201);
    is($some->header('Upload-Offset'), $length);
    is($some->header('V2M-Job'), undef);

    my $last = send_piece($some->header('Location'), $authorization, $length,
        substr $video, $length);

    is($last->code, 204);
    is_stored($last->header('V2M-Job'), $video, owner => $owner, tus => 1,
        chunk_size => 16384);
}

# what is refused or cut is gone, as nobody was told its address

is_refused(tus(POST => '/tus/', $authorization, @piece,
    'Upload-Length' => 39_999, body => $video), 413, qr/room for 39999 bytes/);
is_refused(tus(POST => '/tus/', $authorization, @piece,
    'Upload-Length' => 40_000, body => $video,
    'Upload-Checksum' => 'sha1 ' . padded(sha1_base64('x'))), 460, qr//);
wait_for(sub { @{ store('jobs_of', $owner) } == 3 }, 'their records to go');

my $socket = connect_gateway();

print {$socket} "POST /tus/ HTTP/1.1\r\nHost: localhost\r\n"
    . "Tus-Resumable: 1.0.0\r\nAuthorization: $authorization\r\n"
    . "Content-Type: $piece[1]\r\nUpload-Length: 40000\r\n"
    . "Content-Length: 40000\r\n\r\n" . substr $video, 0, 20_000;
$socket->flush;

wait_for(sub { @{ store('jobs_of', $owner) } == 4 }, 'its record');
close $socket;
wait_for(sub { @{ store('jobs_of', $owner) } == 3 }, 'its record to go');



=== TEST 5: a length that is told later
--- config
v2m_chunk_size 16k;
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();
my $video = random_bytes(40_000);
my $path = tus(POST => '/tus/', $authorization, 'Upload-Defer-Length' => 1)
    ->header('Location');

is(send_piece($path, $authorization, 0, substr $video, 0, 30_000)->code, 204);

my $head = tus(HEAD => $path, $authorization);

is($head->header('Upload-Defer-Length'), 1);
is($head->header('Upload-Length'), undef);
is_refused(send_piece($path, $authorization, 30_000, '',
    'Upload-Length' => 29_999), 400, qr/more bytes than Upload-Length/);
is(send_piece($path, $authorization, 30_000, substr($video, 30_000, 5000),
    'Upload-Length' => 40_000)->code, 204);
is(tus(HEAD => $path, $authorization)->header('Upload-Length'), 40_000);
is_refused(send_piece($path, $authorization, 35_000, '',
    'Upload-Length' => 40_001), 400, qr/said to be 40000/);

my $last = send_piece($path, $authorization, 35_000, substr $video, 35_000);

is_stored($last->header('V2M-Job'), $video, owner => $owner, tus => 1,
    chunk_size => 16384);

$path = tus(POST => '/tus/', $authorization, 'Upload-Defer-Length' => 1)
    ->header('Location');
is(send_piece($path, $authorization, 0, $video)->code, 204);
$last = send_piece($path, $authorization, 40_000, '',
    'Upload-Length' => 40_000);
is_stored($last->header('V2M-Job'), $video, owner => $owner, tus => 1,
    chunk_size => 16384);



=== TEST 6: checksums
--- config
v2m_chunk_size 16k;
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();
my $video = random_bytes(100_000);
my $path = create($authorization, length $video);
my $first = substr $video, 0, 40_000;
my $rest = substr $video, 40_000;
my @sha256 = ('Upload-Checksum' => 'sha256 ' . padded(sha256_base64($first)));

for my $wrong (substr($video, 1, 40_000), random_bytes(40_000)) {
    is_refused(send_piece($path, $authorization, 0, $wrong, @sha256), 460,
        qr/discarded/);
    is(offset($path, $authorization), 0);
}

is(send_piece($path, $authorization, 0, $first, @sha256)->code, 204);
is_refused(send_piece($path, $authorization, 40_000, 'x' x 60_000,
    'Upload-Checksum' => 'sha1 ' . padded(sha1_base64($rest))), 460, qr//);
is(offset($path, $authorization), 40_000);

# cut: nobody knows whether its bytes are right
my $socket = begin_piece($path, $authorization, 40_000, 60_000,
    substr($rest, 0, 50_000), "Upload-Checksum: $sha256[1]\r\n");

wait_held($path, $authorization);
close $socket;

my $last;

wait_for(sub {
    $last = send_piece($path, $authorization, 40_000, $rest,
        'Upload-Checksum' => 'sha1 ' . padded(sha1_base64($rest)));
    $last->code != 423;
}, 'the lease to be given back');
is($last->code, 204);
is_stored($last->header('V2M-Job'), $video, owner => $owner, tus => 1,
    chunk_size => 16384);

$path = create($authorization, 3);
is_refused(send_piece($path, $authorization, 0, 'abc',
    'Upload-Checksum' => 'md5 kAFQmDzST7DWlj99KOF/cg=='), 400,
    qr/sha1,sha256,sha512/);

for my $malformed ('sha1', 'sha1 *', 'sha1 ' . padded(sha256_base64('abc'))) {
    is_refused(send_piece($path, $authorization, 0, 'abc',
        'Upload-Checksum' => $malformed), 400, qr/base64/);
}

is(offset($path, $authorization), 0);



=== TEST 7: F7, a connection that is cut keeps what came
--- config
v2m_chunk_size 16k;
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();
my $video = random_bytes(200_000);
my $path = create($authorization, length $video);
my $offset = 0;

for my $length (10, 20_000, 100_000) {
    my $end = $offset + $length;

    my $socket = begin_piece($path, $authorization, $offset,
        200_000 - $offset, substr $video, $offset, $length);

    wait_held($path, $authorization);
    close $socket;
    wait_for(sub { offset($path, $authorization) == $end }, "offset $end");
    $offset = $end;
}

my $last = send_piece($path, $authorization, $offset, substr $video, $offset);

is_stored($last->header('V2M-Job'), $video, owner => $owner, tus => 1,
    chunk_size => 16384);
--- error_log
client prematurely closed connection



=== TEST 8: one request at a time, and a silent one gives way
--- config
v2m_chunk_size 16k;
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();
my $video = random_bytes(100_000);
my $path = create($authorization, length $video);
my ($id) = $path =~ m{([^/]+)$};
my $first = begin_piece($path, $authorization, 0, 100_000,
    substr $video, 0, 20_000);

wait_for(sub { offset($path, $authorization) == 16384 }, 'a chunk to be noted');

my $locked = send_piece($path, $authorization, 16384, 'x' x 50_000);

is_refused($locked, 423, qr/another request/);
is($locked->header('Retry-After'), 8);

# it sends nothing for longer than its lease
wait_for(sub {
    send_piece($path, $authorization, 16384, substr $video, 16384, 40_000)->code
        == 204;
}, 'the lease to run out');

print {$first} 'y' x 80_000;
$first->flush;
is(read_response($first)->code, 409, 'it lost the upload');
is(offset($path, $authorization), 56_384);

my $last = send_piece($path, $authorization, 56_384, substr $video, 56_384);

is_stored($id, $video, owner => $owner, tus => 1, chunk_size => 16384);
--- no_error_log
[error]



=== TEST 9: S15, too many bytes: announced, and in chunks
--- config
v2m_chunk_size 16k;
location /small/ {
    client_max_body_size 1000;
    v2m_tus;
}
--- scenario
my ($authorization) = make_owner();
my $path = create($authorization, 50_000);

is_refused(send_piece($path, $authorization, 0, 'x' x 50_001), 413,
    qr/room for 50000 bytes/);
is(offset($path, $authorization), 0);

my $chunked = sprintf "%x\r\n%s\r\n0\r\n\r\n", 60_000, 'x' x 60_000;

is_refused(send_piece($path, $authorization, 0, $chunked,
    'Transfer-Encoding' => 'chunked'), 413, qr/room for 50000 bytes/);
like(offset($path, $authorization), qr/^(?:[0-4]\d*|50000)$/);

is_refused(tus(POST => '/tus/', $authorization,
    'Upload-Length' => 16 * 2**30 + 1), 413, qr/Tus-Max-Size/);
is_refused(tus(POST => '/small/', $authorization, 'Upload-Length' => 1001),
    413, qr/may have 1000 bytes/);

# without a length the limit is that of each location
$path = tus(POST => '/small/', $authorization, 'Upload-Defer-Length' => 1)
    ->header('Location');
is(send_piece($path, $authorization, 0, 'x' x 900)->code, 204);
is_refused(send_piece($path, $authorization, 900, 'x' x 101), 413,
    qr/room for 100 bytes/);
is_refused(send_piece($path, $authorization, 900, 'x',
    'Upload-Length' => 1001), 413, qr/may have 1000 bytes/);
is(tus(HEAD => $path, $authorization)->header('Upload-Defer-Length'), 1);



=== TEST 10: S22, quotas
--- config
v2m_quota_jobs  2;
v2m_quota_bytes 100k;
--- scenario
my ($authorization, $owner) = make_owner();

is_refused(tus(POST => '/tus/', $authorization, 'Upload-Length' => 102_401),
    413, qr/v2m_quota_bytes/);
wait_for(sub { !@{ store('jobs_of', $owner) } }, 'its record to go');

my $path = create($authorization, 50_000);
my $deferred = tus(POST => '/tus/', $authorization, 'Upload-Defer-Length' => 1)
    ->header('Location');

is_refused(tus(POST => '/tus/', $authorization, 'Upload-Length' => 1), 429,
    qr/v2m_quota_jobs/);
is_refused(send_piece($deferred, $authorization, 0, 'x' x 52_401), 413,
    qr/v2m_quota_bytes/);
is(send_piece($deferred, $authorization, 0, 'x' x 52_300)->code, 204);
is_refused(send_piece($deferred, $authorization, 52_300, 'x',
    'Upload-Length' => 52_401), 413, qr/of which 52400 are left/);

my $head = tus(HEAD => $deferred, $authorization);

is($head->header('Upload-Defer-Length'), 1, 'that is not its length');
is($head->header('Upload-Offset'), 52_300);
is(send_piece($deferred, $authorization, 52_300, 'x' x 99,
    'Upload-Length' => 52_400)->code, 204);
is(tus(DELETE => $deferred, $authorization)->code, 204);
is(tus(POST => '/tus/', $authorization, 'Upload-Length' => 52_400)->code, 201,
    'there is room again');



=== TEST 11: termination, also through the job, and under a request
--- config
v2m_chunk_size 16k;
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();

for my $prefix ('/tus/', '/jobs/') {
    my $path = create($authorization, 100_000);
    my ($id) = $path =~ m{([^/]+)$};

    send_piece($path, $authorization, 0, 'x' x 50_000);
    is(scalar @{ store('file', 'videos', $id)->{chunks} }, 3);

    my $socket = begin_piece($path, $authorization, 50_000, 50_000, 'x');

    wait_held($path, $authorization);
    is(tus(DELETE => "$prefix$id", $authorization)->code, 204);
    is(tus(DELETE => "$prefix$id", $authorization)->code, 404);
    is(tus(HEAD => $path, $authorization)->code, 404);
    is(send_piece($path, $authorization, 50_000, 'x')->code, 404);

    print {$socket} 'x' x 30_000;
    $socket->flush;
    is(read_response($socket)->code, 409);
    is_gone($id, 'all of it');
}

my $path = create($authorization, 10);
my $id = send_piece($path, $authorization, 0, 'x' x 10)->header('V2M-Job');

is(tus(DELETE => $path, $authorization)->code, 204, 'a finished one');
is_gone($id, 'the job');
messages();
--- no_error_log
[error]



=== TEST 12: S12, of someone else, unknown, malformed, or not resumable
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();
my ($other) = make_owner();
my $path = create($authorization, 10);
my ($plain) = make_job($owner, 'uploading');

for my $case ([$other, $path], [$authorization, '/tus/' . 'a' x 24],
    [$authorization, '/tus/x'], [$authorization, "/tus/$plain"])
{
    is(tus(HEAD => $case->[1], $case->[0])->code, 404);
    is_refused(send_piece($case->[1], $case->[0], 0, 'x'), 404,
        qr/^there is no such upload$/);
    is_refused(tus(DELETE => $case->[1], $case->[0]), 404,
        qr/^there is no such upload$/);
}

is(offset($path, $authorization), 0, 'it is still there');
is(http(DELETE => "/jobs/$plain", Authorization => $authorization)->code, 409);
store('remove_job', $plain);



=== TEST 13: what is wrong is said before one byte of the body is read
--- scenario
my ($authorization) = make_owner();
my $path = create($authorization, 10);
my ($id) = $path =~ m{([^/]+)$};

is_refused(tus(POST => '/tus/', undef, 'Upload-Length' => 10), 401,
    qr/missing credentials/);
is(tus(HEAD => $path)->code, 401);

for my $case (
    [412, qr/Tus-Resumable/, '', 'Upload-Offset: 0', @piece],
    [412, qr/Tus-Resumable/, 'Tus-Resumable: 0.2.2', 'Upload-Offset: 0', @piece],
    [400, qr/Upload-Offset/, 'Tus-Resumable: 1.0.0', 'X: y', @piece],
    [400, qr/Upload-Offset/, 'Tus-Resumable: 1.0.0', 'Upload-Offset: x', @piece],
    [400, qr/Upload-Offset/, 'Tus-Resumable: 1.0.0', 'Upload-Offset: -1', @piece],
    [409, qr/at offset 0/, 'Tus-Resumable: 1.0.0', 'Upload-Offset: 5', @piece],
    [415, qr/offset\+octet/, 'Tus-Resumable: 1.0.0', 'Upload-Offset: 0',
        'Content-Type', 'video/mp4'],
    [415, qr/compressed/, 'Tus-Resumable: 1.0.0',
        "Upload-Offset: 0\r\nContent-Encoding: gzip", @piece],
) {
    my ($status, $detail, $version, $offset, $type, $value) = @$case;
    my $socket = connect_gateway();

    print {$socket} "PATCH $path HTTP/1.1\r\nHost: localhost\r\n"
        . ($version ? "$version\r\n" : '') . "$offset\r\n$type: $value\r\n"
        . "Authorization: $authorization\r\nExpect: 100-continue\r\n"
        . "Content-Length: 10\r\n\r\n";
    $socket->flush;

    my $response = read_response($socket);

    is_refused($response, $status, $detail);
    is($response->header('Tus-Version'), '1.0.0') if $status == 412;
}



=== TEST 14: what cannot be made
--- scenario
my ($authorization, $owner) = make_owner();

for my $case (
    [400, qr/Upload-Length/],
    [400, qr/Upload-Length/, 'Upload-Length' => 'x'],
    [400, qr/Upload-Length is 0/, 'Upload-Length' => 0],
    [400, qr/Upload-Length/, 'Upload-Length' => 1, 'Upload-Defer-Length' => 1],
    [400, qr/Upload-Length/, 'Upload-Defer-Length' => 2],
    [400, qr/base64/, 'Upload-Length' => 1, 'Upload-Metadata' => 'a *'],
    [400, qr/base64/, 'Upload-Length' => 1, 'Upload-Metadata' => 'a YQ==,'],
    [400, qr/not joined/, 'Upload-Length' => 1, 'Upload-Concat' => 'partial'],
    [422, qr/bitrate/, 'Upload-Length' => 1, 'Upload-Metadata' => 'bitrate MQ=='],
    [415, qr/octet-stream/, 'Upload-Length' => 1, body => 'x'],
) {
    my ($status, $detail, @headers) = @$case;

    is_refused(tus(POST => '/tus/', $authorization, @headers), $status, $detail);
}

is_refused(tus(POST => '/tus/?no=1', $authorization, 'Upload-Length' => 1), 422,
    qr/no/);
is_refused(tus(GET => '/tus/', $authorization), 405, qr//);
is(tus(GET => '/tus/', $authorization)->header('Allow'), 'POST, OPTIONS');
is(tus(POST => '/tus/x', $authorization)->header('Allow'),
    'HEAD, PATCH, DELETE, OPTIONS');
is_deeply(store('jobs_of', $owner), []);



=== TEST 15: what expired is gone, also before the sweep comes
--- config
location /brief/ {
    v2m_tus;
    v2m_tus_expires 1s;
}
--- scenario
my ($authorization) = make_owner();
my $path = tus(POST => '/brief/', $authorization, 'Upload-Length' => 10)
    ->header('Location');

wait_for(sub { tus(HEAD => $path, $authorization)->code == 404 },
    'it to expire');
is(send_piece($path, $authorization, 0, 'x')->code, 404);



=== TEST 16: v2m_tus_expires out of range
--- config
v2m_tus_expires 0;
--- must_die
--- error_log
"v2m_tus_expires" must be from 1s to 366d



=== TEST 17: one that is made again as its answer was lost is the same one
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();
my @key = ('Idempotency-Key' => 'one');
my $path = create($authorization, 10, @key);

is(create($authorization, 10, @key), $path);
isnt(create($authorization, 10, 'Idempotency-Key' => 'two'), $path);
isnt(create((make_owner())[0], 10, @key), $path, 'of someone else');
is(scalar @{ store('jobs_of', $owner) }, 2);

is(http(PUT => '/upload', @key, body => 'video',
    Authorization => $authorization)->code, 409, 'it is no other upload');

is(send_piece($path, $authorization, 0, '0123456789')->code, 204);
is(create($authorization, 10, @key), $path, 'and when it is complete');
is(tus(DELETE => $path, $authorization)->code, 204);
isnt(create($authorization, 10, @key), $path, 'but not when it is gone');
is_refused(tus(POST => '/tus/', $authorization, 'Upload-Length' => 10,
    'Idempotency-Key' => ''), 400, qr/Idempotency-Key/);
messages();
