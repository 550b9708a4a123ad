# Idempotency-Key: an upload that is repeated gives the job of the first one.

use lib 't/lib';
use V2M;
use V2M::Http2;
use V2M::Store;

our $size = 600_000;

# An upload of the bytes with the key.
sub upload {
    my ($request, $authorization, $key, $bytes, $query) = @_;

    return $request->(PUT => '/upload/clip.mp4' . ($query // ''),
        Authorization => $authorization, 'Idempotency-Key' => $key,
        body => $bytes);
}

# curl 7.88 loses an answer that comes before it sent all.
sub two {
    my ($method, $path, %headers) = @_;
    my $body = delete $headers{body};
    my $h2 = V2M::Http2->new;
    my $stream = $h2->request($method => $path, %headers);

    $h2->data($stream, $body, last => 1);

    return $h2->response($stream);
}

# Begins an upload: the head of the request and so many bytes.
sub begin_upload {
    my ($authorization, $key, $bytes, @more) = @_;
    my $socket = connect_gateway();

    print {$socket} join("\r\n", 'PUT /upload/clip.mp4 HTTP/1.1',
        'Host: localhost', "Authorization: $authorization",
        "Idempotency-Key: $key", "Content-Length: $size", @more, '', ''),
        $bytes;
    $socket->flush;

    return $socket;
}

sub id_of {
    my ($response, $what) = @_;

    is($response->code, 201, $what // 'created');

    my $id = decode_json($response->content)->{id};

    is($response->header('Location'), "/jobs/$id", 'its address')
        if $response->protocol; # V2M::Http2 reads no headers

    return $id;
}

# The blocks are shuffled, and each may leave messages behind.
sub begin {
    wait_ready();
    messages();
    return make_owner();
}

sub jobs_of {
    return @{ store('jobs_of', $_[0]) };
}

run_tests();

__DATA__

=== TEST 1: the same key gives the same job, whatever is sent with it
--- scenario
my ($authorization, $owner) = begin();
my $video = random_bytes($size);
my $id = id_of(upload(\&http, $authorization, 'a-key', $video));

is_stored($id, $video, owner => $owner, name => 'clip.mp4');

for my $request (\&http, \&two) {
    my $again = upload($request, $authorization, '"a-key"', 'something else');

    is(id_of($again, 'again'), $id, 'the same job');
    is(decode_json($again->content)->{size}, $size, 'which is the first');
}

is_deeply([jobs_of($owner)], [$id], 'there is one job');
is_deeply([messages()], [], 'and no second message');



=== TEST 2: another key and another user have jobs of their own
--- scenario
my ($authorization, $owner) = begin();
my ($other, $other_owner) = make_owner();
my %ids;

for my $try ([$authorization, 'key'], [$authorization, 'key2'],
    [$other, 'key'])
{
    $ids{ id_of(upload(\&http, @$try, 'video')) } = 1;
}

is(keys %ids, 3, 'three jobs');
is(scalar jobs_of($owner), 2);
is(scalar jobs_of($other_owner), 1);
is(scalar @{[messages()]}, 3, 'three messages');



=== TEST 3: the answer was lost
--- scenario
my ($authorization, $owner) = begin();
my $video = random_bytes($size);
my $socket = begin_upload($authorization, 'lost', $video);

wait_for(sub { @{[messages()]} }, 'the message');
close $socket;

my ($id) = jobs_of($owner);

is(id_of(upload(\&http, $authorization, 'lost', $video)), $id);
is_deeply([jobs_of($owner)], [$id], 'there is one job');



=== TEST 4: a repeat waits for no "100 Continue" and sends nothing
--- scenario
my ($authorization, $owner) = begin();
my $id = id_of(upload(\&http, $authorization, 'expect', 'video'));
my $socket = begin_upload($authorization, 'expect', '',
    'Expect: 100-continue', 'Connection: close');
my $text = '';

1 while sysread $socket, $text, 65536, length $text;

like($text, qr{\AHTTP/1.1 201 }, 'the first thing is the answer');
like($text, qr{$id}, 'with the job');



=== TEST 5: two at once: one job, the other is told
--- scenario
my ($authorization, $owner) = begin();
my $video = random_bytes($size);
my $first = begin_upload($authorization, 'both', substr $video, 0, 300_000);

wait_for(sub { jobs_of($owner) }, 'the record');

for my $request (\&http, \&two) {
    my $second = upload($request, $authorization, 'both', $video);

    is($second->code, 409, 'under way');
    like(decode_json($second->content)->{detail}, qr/under way/);
}

print {$first} substr $video, 300_000;
$first->flush;

my $id = id_of(read_response($first));

is_stored($id, $video, owner => $owner, name => 'clip.mp4');
is_deeply([jobs_of($owner)], [$id], 'there is one job');



=== TEST 6: many at the same moment: one job
--- scenario
my ($authorization, $owner) = begin();
my $video = random_bytes($size);
my @sockets = map { begin_upload($authorization, 'many', $video) } 1 .. 12;
my (%codes, %ids);

for my $socket (@sockets) {
    my $response = read_response($socket);

    $codes{ $response->code }++;
    $ids{ decode_json($response->content)->{id} } = 1
        if $response->code == 201;
}

is(keys %ids, 1, 'one job') or diag(explain(\%ids));
is(($codes{201} // 0) + ($codes{409} // 0), 12, 'nobody got another answer')
    or diag(explain(\%codes));

my ($id) = keys %ids;

is_stored($id, $video, owner => $owner, name => 'clip.mp4');
wait_for(sub { jobs_of($owner) == 1 }, 'one record');



=== TEST 7: an upload that failed, or whose job was deleted, frees its key
--- scenario
my ($authorization, $owner) = begin();
my $socket = begin_upload($authorization, 'again', 'a few bytes');

wait_for(sub { jobs_of($owner) }, 'the record');
close $socket;
wait_for(sub { !jobs_of($owner) }, 'the record to go');

my $id = id_of(upload(\&http, $authorization, 'again', 'video'));

is(http(DELETE => "/jobs/$id", Authorization => $authorization)->code, 204);

my $second = id_of(upload(\&http, $authorization, 'again', 'video'));

isnt($second, $id, 'a new job');
is(id_of(upload(\&http, $authorization, 'again', 'video')), $second);



=== TEST 8: keys that are none
--- scenario
my ($authorization, $owner) = make_owner();

for my $key ('""', 'k' x 256, "tab\tinside", "caf\xc3\xa9") {
    my $response = upload(\&http, $authorization, $key, 'video');

    is($response->code, 400);
    like(decode_json($response->content)->{detail}, qr/1 to 255 printable/);
}

is_deeply([jobs_of($owner)], [], 'nothing was begun');
id_of(upload(\&http, $authorization, '~' x 255, 'video'), 'the longest');
id_of(upload(\&http, $authorization, '"a key"', 'video'), 'with a space');



=== TEST 9: the options are checked before the key
--- scenario
my ($authorization, $owner) = make_owner();

is(upload(\&http, $authorization, 'key', 'video', '?quality=99')->code, 422);
is_deeply([jobs_of($owner)], []);



=== TEST 10: the store is away
--- env
V2M_MONGO_URI=mongodb://127.0.0.1:1/
--- http_config
v2m_backend_timeout 1s;
--- scenario
my ($authorization, $owner) = make_owner();
my $response = upload(\&http, $authorization, 'key', 'video');

is($response->code, 503);
ok($response->header('Retry-After'), 'try again');
