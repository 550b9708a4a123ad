# GET and HEAD /download: what is refused, and what a damaged store gives.

use lib 't/lib';
use V2M;
use V2M::Http2;
use V2M::Store;

sub get {
    my ($path, $authorization, %headers) = @_;

    return http(GET => "/download?fid=$path", Authorization => $authorization,
        %headers);
}

# What arrives until the connection ends: the head, and so many bytes.  Where
# the first read fails already not even the head has left nginx.
sub get_raw {
    my ($id, $authorization, $more) = @_;
    my $socket = connect_gateway();

    print {$socket} "GET /download?fid=$id HTTP/1.1\r\nHost: localhost\r\n"
        . ($more // '') . "Authorization: $authorization\r\n\r\n";
    $socket->flush;

    local $/;
    my ($head, $body) = split /\r\n\r\n/, <$socket> // '', 2;
    return ($head // '', $body // '');
}

# The stream of HTTP/2 is reset, not ended.
sub is_reset {
    my ($id, $authorization) = @_;
    my $h2 = V2M::Http2->new;
    my $stream = $h2->request(GET => "/download?fid=$id",
        Authorization => $authorization, last => 1);

    ok(!eval { $h2->response($stream); 1 }, 'no whole answer');
    is($@, "reset: 2\n", 'but an internal error');
}

run_tests();

__DATA__

=== TEST 1: 404 alike for what is malformed, unknown, someone else's or gone
--- scenario
my ($authorization, $owner) = make_owner();
my ($other_id, $other_fid) = make_job(scalar make_owner(), 'ready', mp3 => 'x');
my ($gone_id, $gone_fid) = make_job($owner, 'ready', mp3 => 'x');
my ($own) = make_job($owner, 'ready', mp3 => 'x');
my %bodies;

store('remove_file', 'mp3s', $gone_fid);

for my $fid ($other_id, $other_fid, $gone_id, $gone_fid, '0' x 24, 'x', '',
    "${own}0", substr($own, 1), "%20$own", '{"$ne":null}')
{
    for my $request (\&http, \&http2) {
        my $response = $request->(GET => "/download?fid=$fid",
            Authorization => $authorization);

        is($response->code, 404, $fid);
        $bodies{$response->content}++;
        is($response->header($_), undef, $_)
            for qw(Content-Disposition ETag Accept-Ranges);
        is($response->header('Content-Type'), 'application/problem+json');
    }

    my $head = http(HEAD => "/download?fid=$fid",
        Authorization => $authorization);
    is($head->code, 404, 'HEAD');
    is($head->content, '');
}

is(scalar keys %bodies, 1, 'the same answer');
is(decode_json((keys %bodies)[0])->{detail}, 'there is no such file');



=== TEST 2: 400 without an id, 401, 405
--- scenario
my ($authorization, $owner) = make_owner();
my ($id) = make_job($owner, 'ready', mp3 => 'x');

for my $path ('/download', '/download?', '/download?id=1') {
    my $response = http(GET => $path, Authorization => $authorization);

    is($response->code, 400, $path);
    like(decode_json($response->content)->{detail}, qr/"fid" is missing/);
}

for my $method (qw(GET HEAD POST)) {
    my $response = http($method => "/download?fid=$id");

    is($response->code, 401, "$method without a token");
    like($response->header('WWW-Authenticate'), qr/^Bearer /);
}

for my $method (qw(POST PUT DELETE PATCH OPTIONS)) {
    my $response = http($method => "/download?fid=$id",
        Authorization => $authorization);

    is($response->code, 405, $method);
    is($response->header('Allow'), 'GET, HEAD');
}



=== TEST 3: 409 before the MP3 is there, and when it never will be
--- scenario
my ($authorization, $owner) = make_owner();
my $reason = "it has no audio track: \x{201c}Ton\x{201d} \"\\\n";

for my $case (
    [uploading => {}, 'the MP3 is not ready, the job is uploading'],
    [queued => {}, 'the MP3 is not ready, the job is queued'],
    [converting => {}, 'the MP3 is not ready, the job is converting'],
    [converting => { progress => 0 }, 'the job is converting, 0 percent are done'],
    [converting => { progress => 42 },
        'the job is converting, 42 percent are done'],
    [failed => { reason => $reason }, "the job failed: $reason"],
    [failed => {}, 'the job failed: no reason is known'],
) {
    my ($state, $fields, $detail) = @$case;
    my ($id) = make_job($owner, $state, %$fields);

    for my $request (\&http, \&http2) {
        my $response = $request->(GET => "/download?fid=$id",
            Authorization => $authorization);
        my $problem = decode_json($response->content);

        is($response->code, 409, $state);
        is($problem->{detail}, $detail);
        is($problem->{title}, 'Conflict');
    }
}

# however long the reason is
my ($id) = make_job($owner, 'failed', reason => "\x{fc}" x 4000);

is(decode_json(get($id, $authorization)->content)->{detail},
    'the job failed: ' . "\x{fc}" x 4000);



=== TEST 4: a chunk is missing, short, or doubled: the connection ends
--- scenario
my ($authorization, $owner) = make_owner();
my $mp3 = random_bytes(1_000_000);

for my $case (['remove_chunk', 30], ['shorten_chunk', 30], ['remove_chunk', 0],
    ['remove_chunk', 49], ['shorten_chunk', 49])
{
    my ($damage, $n) = @$case;
    my ($id, $fid) = make_job($owner, 'ready', mp3 => $mp3,
        chunk_size => 20_000);

    store($damage, 'mp3s', $fid, $n);

    my ($head, $body) = get_raw($id, $authorization);

    like($head, qr{\A(?:HTTP/1.1 200 .*^Content-Length: 1000000\r$|\z)}ms,
        "$damage $n");
    cmp_ok(length $body, '<=', $n * 20_000, 'nothing beyond it');
    ok($body eq substr($mp3, 0, length $body), 'the bytes before it');

    is_reset($id, $authorization);

    my $start = $n * 20_000;

    ($head, $body) = get_raw($id, $authorization, "Range: bytes=$start-\r\n");
    is($body, '', 'nothing of the damaged chunk');

    is(http(HEAD => "/download?fid=$id", Authorization => $authorization)
        ->header('Content-Length'), 1_000_000, 'HEAD');
}
--- error_log
a download ends early: chunk 30 of file



=== TEST 5: a files document that contradicts itself
--- scenario
my ($authorization, $owner) = make_owner();

for my $changes ({ chunkSize => 0 }, { chunkSize => -1 }, { length => -1 },
    { chunkSize => undef }, { length => 1_000_000_000_000, chunkSize => 1 })
{
    my ($id, $fid) = make_job($owner, 'ready', mp3 => 'x' x 1000);

    store('change_file', 'mp3s', $fid, $changes);

    my $response = get($id, $authorization);

    is($response->code, 500);
    is(decode_json($response->content)->{detail}, 'the stored file is damaged');
    is(http(HEAD => "/download?fid=$id", Authorization => $authorization)
        ->code, 500, 'HEAD');
}

# longer than its chunks
my ($id, $fid) = make_job($owner, 'ready', mp3 => 'x' x 1000);
store('change_file', 'mp3s', $fid, { length => 1001 });
my ($head, $body) = get_raw($id, $authorization);
is($body, '');

# shorter
store('change_file', 'mp3s', $fid, { length => 999 });
($head, $body) = get_raw($id, $authorization);
is($body, '');
--- error_log
could not look an MP3 up
