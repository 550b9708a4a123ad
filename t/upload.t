# POST and PUT /upload: each way to send a video, and what is stored of it.

use lib 't/lib';
use V2M;
use V2M::Store;

sub begin {
    wait_ready();
    return make_owner();
}

# A form as browsers send it.
sub form {
    my ($boundary, @parts) = @_;

    return join '', map("--$boundary\r\nContent-Disposition: form-data; $_\r\n",
        @parts), "--$boundary--\r\n";
}

sub upload_form {
    my ($request, $authorization, @parts) = @_;

    return $request->(POST => '/upload', Authorization => $authorization,
        'Content-Type' => 'multipart/form-data; boundary=the-boundary',
        body => form('the-boundary', @parts));
}

# The id in a good answer.
sub id_of {
    my $response = shift;

    is($response->code, 201, 'created');
    is($response->header('Content-Type'), 'application/json', 'its type');

    my $job = decode_json($response->content);

    like($job->{id}, qr/^[0-9a-f]{24}$/, 'its id');
    is($response->header('Location'), "/jobs/$job->{id}", 'its address');
    is($job->{state}, 'queued', 'its state');

    return $job->{id};
}

run_tests();

__DATA__

=== TEST 1: a form with a file
--- scenario
my ($authorization, $owner) = begin();
my $video = random_bytes(300_000);
my $response = upload_form(\&http, $authorization,
    qq{name="file"; filename="clip.mp4"\r\nContent-Type: video/mp4\r\n\r\n$video});

is_stored(id_of($response), $video, owner => $owner, name => 'clip.mp4');

my $job = decode_json($response->content);

is($job->{name}, 'clip.mp4');
is($job->{size}, 300_000);
is_deeply($job->{options}, {});
is($job->{notified}, 'none');
is($job->{progress}, undef);



=== TEST 2: the file may be in any field, between others
--- scenario
my ($authorization, $owner) = begin();
my $video = random_bytes(100);
my $response = upload_form(\&http, $authorization,
    qq{name="title"\r\n\r\nA title},
    qq{name="movie"; filename="C:\\\\Users\\\\me\\\\clip.avi"\r\n\r\n$video},
    qq{name="note"\r\n\r\n});

is_stored(id_of($response), $video, owner => $owner, name => 'clip.avi');



=== TEST 3: of two fields for files one was left empty
--- scenario
my ($authorization, $owner) = begin();
my $empty = qq{name="a"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n};
my $video = random_bytes(100);

for my $parts (
    [$empty, qq{name="b"; filename="b.mp4"\r\n\r\n$video}],
    [qq{name="b"; filename="b.mp4"\r\n\r\n$video}, $empty],
) {
    is_stored(id_of(upload_form(\&http, $authorization, @$parts)), $video,
        owner => $owner, name => 'b.mp4');
}



=== TEST 4: a file without a name
--- scenario
my ($authorization, $owner) = begin();
my $video = random_bytes(100);

is_stored(id_of(upload_form(\&http, $authorization,
    qq{name="a"; filename=""\r\n\r\n$video})), $video, owner => $owner);



=== TEST 5: preamble and epilogue are ignored
--- scenario
my ($authorization, $owner) = begin();
my $video = random_bytes(100);
my $body = "a preamble\r\n" . form('b',
    qq{name="file"; filename="x"\r\n\r\n$video}) . "\r\nan epilogue";

is_stored(id_of(http(POST => '/upload', Authorization => $authorization,
    'Content-Type' => 'multipart/form-data; boundary="b"', body => $body)),
    $video, owner => $owner, name => 'x');



=== TEST 6: the body itself, with and without names
--- scenario
my ($authorization, $owner) = begin();

for my $case (
    ['/upload'                            => undef],
    ['/upload/'                           => undef],
    ['/upload/clip.mp4'                   => 'clip.mp4'],
    ['/upload/dir/M%C3%BCller%20%26.mov'  => "M\x{fc}ller &.mov"],
    ['/upload?name=clip.mp4'              => 'clip.mp4'],
    ['/upload?name=a%2Fb%5Cc.mp4&track=1' => 'c.mp4', track => 1],
    ['/upload/x?name=y'                   => 'y'],
    ['/upload?name='                      => undef],
) {
    my ($path, $name, %options) = @$case;
    my $video = random_bytes(50);

    for my $method (qw(POST PUT)) {
        my $response = http($method => $path, Authorization => $authorization,
            body => $video);

        is_stored(id_of($response), $video, owner => $owner, name => $name,
            options => \%options);
        is(decode_json($response->content)->{name}, $name, "$method $path");
    }
}



=== TEST 7: types that are taken for the video itself
--- scenario
my ($authorization, $owner) = begin();

for my $type ('application/octet-stream', 'video/mp4', 'audio/x-wav',
    'application/x-www-form-urlencoded', 'x', '')
{
    my $video = random_bytes(50);

    is_stored(id_of(http(POST => '/upload', Authorization => $authorization,
        'Content-Type' => $type, body => $video)), $video, owner => $owner);
}



=== TEST 8: sizes around those of chunks, buffers and batches
--- config
v2m_chunk_size 16k;
v2m_upload_batch 2;
v2m_upload_inserts 3;
--- scenario
my ($authorization, $owner) = begin();
my $chunk = 16384;

for my $size (1, $chunk - 1, $chunk, $chunk + 1, 2 * $chunk, 3 * $chunk,
    4 * $chunk + 1, 65536, 65537, 20 * $chunk + 5)
{
    my $video = random_bytes($size);

    for my $upload (
        sub { http(PUT => '/upload', Authorization => $authorization,
            body => $video) },
        sub { upload_form(\&http, $authorization,
            qq{name="f"; filename="n"\r\n\r\n$video}) },
        sub { http2(POST => '/upload', Authorization => $authorization,
            body => $video) },
    ) {
        my $response = $upload->();
        my $name = decode_json($response->content)->{name};

        is_stored(id_of($response), $video, owner => $owner, name => $name,
            chunk_size => $chunk);
    }
}



=== TEST 9: one insert at a time, of one chunk
--- config
v2m_chunk_size 16k;
v2m_upload_batch 1;
v2m_upload_inserts 1;
--- scenario
my ($authorization, $owner) = begin();
my $video = random_bytes(1_000_000);

is_stored(id_of(http(PUT => '/upload', Authorization => $authorization,
    body => $video)), $video, owner => $owner, chunk_size => 16384);



=== TEST 10: data that looks like the boundary, at the border of chunks
--- config
v2m_chunk_size 16k;
v2m_upload_batch 1;
--- scenario
my ($authorization, $owner) = begin();
my $almost = "\r\n--the-boundar";

for my $spill (1 .. length($almost) + 1) {
    my $video = random_bytes(16384 - $spill) . "$almost$almost\r\n--"
        . random_bytes(16384);

    is_stored(id_of(upload_form(\&http, $authorization,
        qq{name="f"; filename="n"\r\n\r\n$video})), $video, owner => $owner,
        name => 'n', chunk_size => 16384);
}



=== TEST 11: chunked transfer coding, without a length
--- scenario
my ($authorization, $owner) = begin();
my $video = random_bytes(600_000);

for my $size (1000, 65536, 600_000) {
    my $body = join '', map { sprintf("%x\r\n%s\r\n", length, $_) }
        unpack "(a$size)*", $video;

    is_stored(id_of(http(PUT => '/upload/a.mp4',
        Authorization => $authorization, 'Transfer-Encoding' => 'chunked',
        body => "${body}0\r\n\r\n")), $video, owner => $owner, name => 'a.mp4');
}



=== TEST 12: a client that sends slowly, in small pieces
--- scenario
my ($authorization, $owner) = begin();
my $video = random_bytes(40);
my $body = form('b', qq{name="file"; filename="x"\r\n\r\n$video});
my $socket = connect_gateway();

$socket->autoflush;
print {$socket} "POST /upload HTTP/1.1\r\nHost: localhost\r\n"
    . "Content-Type: multipart/form-data; boundary=b\r\n"
    . "Authorization: $authorization\r\nContent-Length: " . length($body)
    . "\r\n\r\n";

for my $byte (split //, $body) {
    print {$socket} $byte;
    select undef, undef, undef, 0.001;
}

is_stored(id_of(read_response($socket)), $video, owner => $owner, name => 'x');



=== TEST 13: the options are kept
--- scenario
my ($authorization, $owner) = begin();
my $video = random_bytes(50);
my $response = http(PUT => '/upload/a?bitrate=128&track=2&start=1:05.5&end=70'
    . '&samplerate=44100&channels=1&loudnorm=-16', Authorization => $authorization,
    body => $video);

is_stored(id_of($response), $video, owner => $owner, name => 'a', options => {
    bitrate => 128, track => 2, start_ms => 65_500, end_ms => 70_000,
    samplerate => 44_100, channels => 1, loudness => 160,
});
is_deeply(decode_json($response->content)->{options}, {
    bitrate => 128, track => 2, start => 65.5, end => 70,
    samplerate => 44_100, channels => 1, loudnorm => -16,
});

$response = http(PUT => '/upload?&quality=0&', Authorization => $authorization,
    body => $video);
is_stored(id_of($response), $video, owner => $owner,
    options => { quality => 0 });



=== TEST 14: HTTP/2, with and without a length
--- scenario
my ($authorization, $owner) = begin();
my $video = random_bytes(700_000);

is_stored(id_of(http2(PUT => '/upload/a.mp4', Authorization => $authorization,
    body => $video)), $video, owner => $owner, name => 'a.mp4');
is_stored(id_of(http2(PUT => '/upload', Authorization => $authorization,
    'Transfer-Encoding' => 'chunked', body => $video)), $video,
    owner => $owner);
is_stored(id_of(upload_form(\&http2, $authorization,
    qq{name="f"; filename="n"\r\n\r\n$video})), $video, owner => $owner,
    name => 'n');



=== TEST 15: 100 Continue is sent before the body
--- scenario
my ($authorization, $owner) = begin();
my $video = random_bytes(100_000);
my $socket = connect_gateway();

$socket->autoflush;
print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
    . "Authorization: $authorization\r\nExpect: 100-continue\r\n"
    . "Content-Length: 100000\r\n\r\n";

my $line = <$socket>;

like($line, qr/^HTTP\/1.1 100 /);
$line = <$socket>;
is($line, "\r\n");

print {$socket} $video;
is_stored(id_of(read_response($socket)), $video, owner => $owner);



=== TEST 16: keepalive: one connection for many uploads
--- scenario
my ($authorization, $owner) = begin();
my $socket = connect_gateway();

$socket->autoflush;

for my $size (10, 100_000, 10) {
    my $video = random_bytes($size);

    print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: $authorization\r\nContent-Length: $size\r\n\r\n$video";
    is_stored(id_of(read_response($socket)), $video, owner => $owner);
}

print {$socket} "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
is(read_response($socket)->content, "ok\n");



=== TEST 17: pipelined requests
--- scenario
my ($authorization, $owner) = begin();
my @videos = map { random_bytes($_) } 10, 200_000, 70_000;
my $socket = connect_gateway();
my $head = "Host: localhost\r\nAuthorization: $authorization\r\n";

$socket->autoflush;
print {$socket} map("PUT /upload HTTP/1.1\r\n${head}Content-Length: "
    . length($_) . "\r\n\r\n$_", @videos[0, 1]),
    "PUT /upload HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n",
    sprintf("%x\r\n%s\r\n0\r\n\r\n", length $videos[2], $videos[2]),
    "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

my @ids = map { id_of(read_response($socket)) } @videos;

is(read_response($socket)->content, "ok\n");

is(scalar(messages()), 3);
for my $i (0 .. 2) {
    is(store('file', 'videos', $ids[$i])->{sha256},
        Digest::SHA::sha256_hex($videos[$i]), "video $i");
}



=== TEST 18: HTTP/1.0
--- scenario
my ($authorization, $owner) = begin();
my $socket = connect_gateway();

print {$socket} "POST /upload HTTP/1.0\r\nAuthorization: $authorization\r\n"
    . "Content-Length: 5\r\n\r\nvideo";
$socket->flush;
is_stored(id_of(read_response($socket)), 'video', owner => $owner);



=== TEST 19: names that are dangerous in a header, a path or a log
--- scenario
my ($authorization, $owner) = begin();

for my $case (
    ['a%0d%0aSet-Cookie:x'   => 'aSet-Cookie:x'],
    ['a%00b.mp4'             => 'ab.mp4'],
    ['..%2f..%2fetc%2fpasswd' => 'passwd'],
    ['%ff%fe.mp4'            => "\x{fffd}\x{fffd}.mp4"],
    ['x' x 300               => 'x' x 255],
    ['%22%5c%22%3c%3e.mp4'   => '"<>.mp4'],
) {
    my ($given, $name) = @$case;

    is_stored(id_of(http(PUT => "/upload?name=$given",
        Authorization => $authorization, body => 'x')), 'x', owner => $owner,
        name => $name);
}



=== TEST 20: no temporary file, whatever nginx is told about bodies
--- config
client_body_in_file_only on;
client_body_buffer_size 8k;
--- scenario
my ($authorization, $owner) = begin();

for my $size (10, 300_000) {
    my $video = random_bytes($size);

    is_stored(id_of(http(PUT => '/upload', Authorization => $authorization,
        body => $video)), $video, owner => $owner);
}

my @temporary = grep { -f } glob server_root() . '/client_body_temp/*';

is_deeply(\@temporary, []);



=== TEST 21: other places for the endpoint
--- config
location = /exact {
    v2m_upload;
}
location /api/v1/upload/ {
    v2m_upload;
}
location ~ ^/re/[a-z]+$ {
    v2m_upload;
}
--- scenario
my ($authorization, $owner) = begin();

for my $case (['/exact' => undef], ['/exact?name=a' => 'a'],
    ['/api/v1/upload/' => undef], ['/api/v1/upload/b.mp4' => 'b.mp4'],
    ['/re/c' => undef])
{
    my ($path, $name) = @$case;

    is_stored(id_of(http(PUT => $path, Authorization => $authorization,
        body => 'x')), 'x', owner => $owner, name => $name);
}



=== TEST 22: a traceparent goes into the message; without a good one a new one
--- scenario
my ($authorization, $owner) = begin();
my $trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

for my $try ([$trace, $trace], ["${trace}0", undef], [uc $trace, undef],
    ['none', undef])
{
    my $response = http(PUT => '/upload', Authorization => $authorization,
        traceparent => $try->[0], body => 'video');

    is($response->code, 201);

    my ($message) = messages();

    my $found = decode_json($message->{body})->{traceparent};

    defined $try->[1] ? is($found, $try->[1])
        : like($found, qr/^00-(?!$trace)[0-9a-f]{32}-[0-9a-f]{16}-00$/i);
}
