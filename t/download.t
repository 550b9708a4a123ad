# GET and HEAD /download: the whole, parts, conditions, names.

use lib 't/lib';
use V2M;
use V2M::Http2;
use V2M::Store;

sub get {
    my ($path, $authorization, %headers) = @_;

    return http(GET => "/download?fid=$path", Authorization => $authorization,
        %headers);
}

# An answer with all of these bytes or, of so many, those from $start on.
sub is_mp3 {
    my ($response, $bytes, $what, $start, $total) = @_;

    is($response->code, defined $start ? 206 : 200, $what);
    is($response->header('Content-Type'), 'audio/mpeg');
    is($response->header('Content-Length'), length $bytes);
    is($response->header('Content-Range'), defined $start
        ? sprintf('bytes %d-%d/%d', $start, $start + length($bytes) - 1, $total)
        : undef);
    ok($response->content eq $bytes, 'the bytes are the same')
        or diag(length($response->content), ' bytes instead of ', length $bytes);
}

run_tests();

__DATA__

=== TEST 1: the whole, by the job's id and by the MP3's
--- scenario
my ($authorization, $owner) = make_owner();
my $mp3 = random_bytes(700_000);
my ($id, $fid) = make_job($owner, 'ready', mp3 => $mp3, name => 'clip.mp4');

for my $each ($id, $fid, uc $id, "$id&x=y") {
    my $response = get($each, $authorization);

    is_mp3($response, $mp3, $each);
    is($response->header('Content-Disposition'),
        'attachment; filename="clip.mp3"');
    is($response->header('ETag'), qq{"$fid"});
    is($response->header('Accept-Ranges'), 'bytes');
    like($response->header('Last-Modified'), qr/ GMT$/);

    my $head = http(HEAD => "/download?fid=$each",
        Authorization => $authorization);

    is($head->code, 200, 'HEAD');
    is($head->content, '');
    is($head->header($_), $response->header($_), $_)
        for qw(Content-Type Content-Length Content-Disposition ETag
            Last-Modified Accept-Ranges);
}

my $two = http2(GET => "/download?fid=$id", Authorization => $authorization);
is_mp3($two, $mp3, 'HTTP/2');
is(http2(HEAD => "/download?fid=$id", Authorization => $authorization)
    ->header('Content-Length'), 700_000, 'HTTP/2 HEAD');



=== TEST 2: whatever the chunk size and the length
--- scenario
my ($authorization, $owner) = make_owner();

for my $case ([1, 1], [1, 300], [1000, 999], [1000, 1000], [1000, 1001],
    [1024, 300_000], [16384, 1_000_000], [261120, 261120], [261120, 261121],
    [1048576, 5_000_000], [5_000_000, 12_000_000])
{
    my ($chunk_size, $size) = @$case;
    my $mp3 = random_bytes($size);
    my ($id) = make_job($owner, 'ready', mp3 => $mp3,
        chunk_size => $chunk_size);
    my $what = "$size bytes in chunks of $chunk_size";

    is_mp3(get($id, $authorization), $mp3, $what);
    is_mp3(http2(GET => "/download?fid=$id", Authorization => $authorization),
        $mp3, "$what, HTTP/2") if $size > 900_000;

    my $middle = int($size / 2);

    is_mp3(get($id, $authorization, Range => "bytes=$middle-"),
        substr($mp3, $middle), "$what, the end", $middle, $size);
}



=== TEST 3: an empty file
--- scenario
my ($authorization, $owner) = make_owner();
my ($id) = make_job($owner, 'ready', mp3 => '');

is_mp3(get($id, $authorization), '', 'empty');
is_mp3(http2(GET => "/download?fid=$id", Authorization => $authorization), '',
    'empty, HTTP/2');
is(get($id, $authorization, Range => 'bytes=0-')->code, 200, 'no range of it');



=== TEST 4: ranges
--- config
v2m_download_batch 1;
v2m_download_reads 2;
--- scenario
my ($authorization, $owner) = make_owner();
my $size = 100_000;
my $mp3 = random_bytes($size);
my ($id) = make_job($owner, 'ready', mp3 => $mp3, chunk_size => 1000);

for my $case (
    ['0-0', 0, 1], ['0-999', 0, 1000], ['999-999', 999, 1],
    ['1000-1000', 1000, 1], ['999-1000', 999, 2], ['1000-1999', 1000, 1000],
    ['12345-67890', 12_345, 55_546], ['99999-', 99_999, 1],
    ['500-', 500, 99_500], ['0-', 0, 100_000], ['-1', 99_999, 1],
    ['-1001', 98_999, 1001], ['-100000', 0, 100_000], ['-200000', 0, 100_000],
    ['99000-200000', 99_000, 1000], ['5-99999999999999', 5, 99_995],
) {
    my ($range, $start, $length) = @$case;
    my $part = substr $mp3, $start, $length;

    is_mp3(get($id, $authorization, Range => "bytes=$range"), $part, $range,
        $start, $size);
    is_mp3(http2(GET => "/download?fid=$id", Authorization => $authorization,
        Range => "bytes=$range"), $part, "HTTP/2 $range", $start, $size);

    my $head = http(HEAD => "/download?fid=$id",
        Authorization => $authorization, Range => "bytes=$range");

    is($head->code, 206);
    is($head->header('Content-Length'), $length);
}



=== TEST 5: only the chunks that a range needs are read
--- scenario
my ($authorization, $owner) = make_owner();
my $mp3 = random_bytes(100_000);
my ($id, $fid) = make_job($owner, 'ready', mp3 => $mp3, chunk_size => 1000);

store('remove_chunk', 'mp3s', $fid, $_) for 0, 41, 45, 99;
is_mp3(get($id, $authorization, Range => 'bytes=42000-44999'),
    substr($mp3, 42_000, 3000), 'between missing ones', 42_000, 100_000);
is_mp3(get($id, $authorization, Range => 'bytes=1000-1000'),
    substr($mp3, 1000, 1), 'behind a missing one', 1000, 100_000);



=== TEST 6: several ranges, and malformed ones, as nginx answers with a file
--- config
v2m_download_batch 2;
v2m_download_reads 2;

location = /as-a-file {
    alias        html/file;
    default_type audio/mpeg;
    types        { }
}
--- user_files
>>> file
--- scenario
my ($authorization, $owner) = make_owner();
my $size = 100_000;
my $mp3 = random_bytes($size);
my ($id) = make_job($owner, 'ready', mp3 => $mp3, chunk_size => 1000);

open my $file, '>:raw', Test::Nginx::Util::server_root() . '/html/file'
    or die $!;
print $file $mp3;
close $file or die $!;

# the boundary is a number of 20 digits
sub seen {
    my $response = shift;
    my @headers = map { scalar $response->header($_) }
        qw(Content-Type Content-Length Content-Range);

    s/(?<=boundary=)\d{20}/N/ for grep { defined } @headers;
    (my $content = $response->content) =~ s/--\d{20}(--)?\r\n/--N\r\n/g;

    return ($response->code, @headers, $content);
}

for my $range ('0-9,20-29', '0-0,-1', '0-0, 5 - 7 ,-3', '98999-99000,0-0',
    '0-2500,2400-6000,50000-', '-99000,0-0', '0-99999,0-0', '10-,100000-',
    '100000-,7-9,200000-300000', '5-4,1-1,9-8,2-2', '100000-,-0', '0-0,5-x',
    '0-0,', ',0-0', '0-0,5-5,', '-5,-100000', join(',', map { "$_-$_" } 1 .. 16))
{
    my @expected = seen(http(GET => '/as-a-file', Range => "bytes=$range"));
    my @responses = (
        get($id, $authorization, Range => "bytes=$range"),
        http2(GET => "/download?fid=$id", Authorization => $authorization,
            Range => "bytes=$range"));

    for my $response (@responses) {
        my @seen = seen($response);

        # what a refusal says is ours
        if ($seen[0] == 416) {
            is($seen[$_], $expected[$_], $range) for 0, 3;
            next;
        }

        is($seen[$_], $expected[$_], "$range, $_") for 0 .. 3;
        ok($seen[4] eq $expected[4], "$range, the bytes are the same");
    }

    my $head = http(HEAD => "/download?fid=$id", Range => "bytes=$range",
        Authorization => $authorization);

    is($head->code, $expected[0], "HEAD $range");
    is($head->header('Content-Length'), $expected[2])
        if $expected[0] != 416;
}

is((seen(get($id, $authorization, Range => 'bytes=0-9,20-29')))[1],
    'multipart/byteranges; boundary=N', 'it was about several ranges');

for my $range ('bites=0-9', 'bytes=' . join(',', map { "$_-$_" } 1 .. 17)) {
    is_mp3(get($id, $authorization, Range => $range), $mp3, $range);
}



=== TEST 7: several ranges read their chunks alone
--- scenario
my ($authorization, $owner) = make_owner();
my $mp3 = random_bytes(100_000);
my ($id, $fid) = make_job($owner, 'ready', mp3 => $mp3, chunk_size => 1000);

store('remove_chunk', 'mp3s', $fid, $_) for 0, 41, 45, 98;

my $response = get($id, $authorization,
    Range => 'bytes=99000-99001,42500-44999,1000-1000');

is($response->code, 206, 'between missing ones');
is(join('', map { $_->content } $response->parts),
    substr($mp3, 99_000, 2) . substr($mp3, 42_500, 2500)
        . substr($mp3, 1000, 1), 'in the order they were asked for');
is_deeply([map { $_->header('Content-Range') } $response->parts],
    ['bytes 99000-99001/100000', 'bytes 42500-44999/100000',
        'bytes 1000-1000/100000']);

ok(!defined eval { get($id, $authorization,
    Range => 'bytes=99000-99001,44000-45000')->content },
    'one that misses a chunk is cut off');



=== TEST 8: 416
--- scenario
my ($authorization, $owner) = make_owner();
my ($id) = make_job($owner, 'ready', mp3 => 'x' x 10_000, name => 'a.mp4');

for my $range ('bytes=10000-', 'bytes=10000-10001', 'bytes=-0', 'bytes=5-4',
    'bytes=-', 'bytes=x-')
{
    my $response = get($id, $authorization, Range => $range);

    is($response->code, 416, $range);
    is($response->header('Content-Type'), 'application/problem+json');
    is($response->header('Content-Range'), 'bytes */10000');
    is($response->header('Content-Disposition'), undef, 'no MP3');
    is(decode_json($response->content)->{detail},
        'the file has no such range');
}

is(http2(GET => "/download?fid=$id", Authorization => $authorization,
    Range => 'bytes=10000-')->code, 416, 'HTTP/2');



=== TEST 9: conditions
--- scenario
my ($authorization, $owner) = make_owner();
my $mp3 = random_bytes(5000);
my ($id) = make_job($owner, 'ready', mp3 => $mp3, chunk_size => 1000);
my $plain = get($id, $authorization);
my ($etag, $date) = map { $plain->header($_) } qw(ETag Last-Modified);
my $old = 'Mon, 01 Jan 2001 00:00:00 GMT';
my $future = 'Fri, 01 Jan 2100 00:00:00 GMT';

for my $case (
    [304, 'If-None-Match' => $etag],
    [304, 'If-None-Match' => qq{"other", $etag}],
    [304, 'If-None-Match' => '*'],
    [304, 'If-None-Match' => "W/$etag"],
    [200, 'If-None-Match' => '"other"'],
    [304, 'If-Modified-Since' => $date],
    [200, 'If-Modified-Since' => $old],
    [304, 'If-None-Match' => $etag, 'If-Modified-Since' => $date],
    [200, 'If-None-Match' => '"other"', 'If-Modified-Since' => $date],
    [412, 'If-Match' => '"other"'],
    [200, 'If-Match' => $etag],
    [200, 'If-Match' => '*'],
    [412, 'If-Unmodified-Since' => $old],
    [200, 'If-Unmodified-Since' => $future],
    [206, 'Range' => 'bytes=1500-2499', 'If-Range' => $etag],
    [200, 'Range' => 'bytes=1500-2499', 'If-Range' => '"other"'],
    [200, 'Range' => 'bytes=1500-2499', 'If-Range' => "W/$etag"],
    [206, 'Range' => 'bytes=1500-2499', 'If-Range' => $date],
    [200, 'Range' => 'bytes=1500-2499', 'If-Range' => $old],
    [304, 'Range' => 'bytes=1500-2499', 'If-None-Match' => $etag],
    [412, 'Range' => 'bytes=1500-2499', 'If-Match' => '"other"'],
) {
    my ($status, @headers) = @$case;
    my $what = join ' ', $status, @headers;

    for my $request (\&http, \&http2) {
        my $response = $request->(GET => "/download?fid=$id",
            Authorization => $authorization, @headers);

        if ($status == 200) {
            is_mp3($response, $mp3, $what);
        } elsif ($status == 206) {
            is_mp3($response, substr($mp3, 1500, 1000), $what, 1500, 5000);
        } elsif ($status == 304) {
            is($response->code, 304, $what);
            is($response->content, '');
            is($response->header('ETag'), $etag);
        } else {
            is($response->code, 412, $what);
            is(decode_json($response->content)->{title}, 'Precondition Failed');
        }
    }
}



=== TEST 10: names
--- scenario
my ($authorization, $owner) = make_owner();

for my $case (
    ['clip.mp4' => 'filename="clip.mp3"'],
    ['clip' => 'filename="clip.mp3"'],
    ['a.b.c' => 'filename="a.b.mp3"'],
    ['My clip (1).mov' => 'filename="My clip (1).mp3"'],
    [undef, 'filename="audio.mp3"'],
    ['', 'filename="audio.mp3"'],
    ['.mp4', 'filename="audio.mp3"'],
    ["M\x{fc}ller.mp4" => q{filename="M_ller.mp3"; filename*=UTF-8''M%C3%BCller.mp3}],
    ["\x{65e5}\x{672c}.mkv" =>
        q{filename="__.mp3"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.mp3}],
    ["\x{1f600}.mp4" => q{filename="_.mp3"; filename*=UTF-8''%F0%9F%98%80.mp3}],
    ['a"b\\c.mp4' => q{filename="a_b_c.mp3"; filename*=UTF-8''a%22b%5Cc.mp3}],
    ['100%.mp4' => q{filename="100_.mp3"; filename*=UTF-8''100%25.mp3}],
    ["a\r\nSet-Cookie: x=y.mp4" =>
        q{filename="a__Set-Cookie: x=y.mp3"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x%3Dy.mp3}],
    ['x' x 255 . '.mp4' => 'filename="' . 'x' x 255 . '.mp3"'],
    ["\x{fc}" x 120 => 'filename="' . '_' x 120 . q{.mp3"; filename*=UTF-8''}
        . '%C3%BC' x 120 . '.mp3'],
) {
    my ($name, $expected) = @$case;
    my ($id) = make_job($owner, 'ready', mp3 => 'x',
        defined $name ? (name => $name) : ());

    for my $request (\&http, \&http2) {
        my $response = $request->(GET => "/download?fid=$id",
            Authorization => $authorization);

        is($response->header('Content-Disposition'), "attachment; $expected");
        is($response->header('Set-Cookie'), undef);
    }
}



=== TEST 11: keepalive and pipelining
--- scenario
my ($authorization, $owner) = make_owner();
my @mp3s = map { random_bytes($_) } 300_000, 10, 1_000_000;
my @ids = map { (make_job($owner, 'ready', mp3 => $_, chunk_size => 20_000))[0] }
    @mp3s;
my $head = "Host: localhost\r\nAuthorization: $authorization\r\n";
my $socket = connect_gateway();

print {$socket} map("GET /download?fid=$_ HTTP/1.1\r\n$head\r\n", @ids),
    "HEAD /download?fid=$ids[0] HTTP/1.1\r\n$head\r\n",
    "GET /healthz HTTP/1.1\r\n$head\r\n";
$socket->flush;

ok(read_response($socket)->content eq $_) for @mp3s;
is(read_response($socket, 'HEAD')->header('Content-Length'), 300_000);
is(read_response($socket)->content, "ok\n");

# a body that nobody asked for
print {$socket} "GET /download?fid=$ids[0] HTTP/1.1\r\n${head}Content-Length: 5"
    . "\r\n\r\nhelloGET /healthz HTTP/1.1\r\n$head\r\n";
$socket->flush;
ok(read_response($socket)->content eq $mp3s[0]);
is(read_response($socket)->content, "ok\n");



=== TEST 12: several at once on one HTTP/2 connection
--- scenario
my ($authorization, $owner) = make_owner();
my $mp3 = random_bytes(1_000_000);
my ($id) = make_job($owner, 'ready', mp3 => $mp3, chunk_size => 20_000);
my $h2 = V2M::Http2->new;
my @streams = map { $h2->request(GET => "/download?fid=$id",
    Authorization => $authorization, last => 1) } 1 .. 8;

ok($h2->response($_)->content eq $mp3, "stream $_") for @streams;



=== TEST 13: with nginx's limits of speed
--- config
location = /slow {
    limit_rate       2m;
    limit_rate_after 100k;
    v2m_download;
}
--- scenario
my ($authorization, $owner) = make_owner();
my $mp3 = random_bytes(1_000_000);
my ($id) = make_job($owner, 'ready', mp3 => $mp3, chunk_size => 20_000);

for my $request (\&http, \&http2) {
    my $response = $request->(GET => "/slow?fid=$id",
        Authorization => $authorization);

    is_mp3($response, $mp3, 'slowly');
}



=== TEST 14: one read at a time, and many
--- config
location = /one {
    v2m_download_batch 1;
    v2m_download_reads 1;
    v2m_download;
}
location = /many {
    v2m_download_batch 64;
    v2m_download_reads 64;
    v2m_download;
}
--- scenario
my ($authorization, $owner) = make_owner();
my $mp3 = random_bytes(3_000_000);
my ($id) = make_job($owner, 'ready', mp3 => $mp3, chunk_size => 20_000);

for my $path (qw(one many)) {
    is_mp3(http(GET => "/$path?fid=$id", Authorization => $authorization), $mp3,
        $path);
    is_mp3(http(GET => "/$path?fid=$id", Authorization => $authorization,
        Range => 'bytes=100001-2999998'), substr($mp3, 100_001, 2_899_998),
        $path, 100_001, 3_000_000);
}
