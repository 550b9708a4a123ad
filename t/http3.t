# HTTP/3: uploads and downloads as over the other protocols.

use lib 't/lib';

BEGIN {
    require V2M::Http3;
    V2M::Http3::skip_unless_there();
}

use V2M;
use V2M::Http3;
use V2M::Store;

sub begin {
    wait_ready();
    return make_owner();
}

run_tests();

__DATA__

=== TEST 1: an upload with a length, as a form, and of no byte
--- http_config eval: V2M::Http3::server()
--- scenario
my ($authorization, $owner) = begin();
my $video = random_bytes(700_000);

for my $request (
    [PUT => '/upload/a.mp4', body => $video],
    [POST => '/upload', body => join('',
        qq{--b\r\nContent-Disposition: form-data; name="file"; },
        qq{filename="a.mp4"\r\n\r\n$video\r\n--b--\r\n}),
        'Content-Type' => 'multipart/form-data; boundary=b'])
{
    my $response = http3(@$request, Authorization => $authorization);

    is($response->code, 201, 'created');
    is_stored(decode_json($response->content)->{id}, $video, owner => $owner,
        name => 'a.mp4', chunk_size => 16_384);
}

is(http3(PUT => '/upload', Authorization => $authorization,
    body => '')->code, 400, 'an empty video');



=== TEST 2: refused before the body, with a problem's document
--- http_config eval: V2M::Http3::server()
--- scenario
my $response = http3(PUT => '/upload', body => random_bytes(500_000));

is($response->code, 401);
like($response->header('WWW-Authenticate'), qr/^Bearer/);
is($response->header('Content-Type'), 'application/problem+json');
is(decode_json($response->content)->{status}, 401);



=== TEST 3: downloads, whole and in parts
--- http_config eval: V2M::Http3::server()
--- scenario
my ($authorization, $owner) = make_owner();
my $mp3 = random_bytes(900_000);
my ($id, $fid) = make_job($owner, 'ready', mp3 => $mp3, name => 'clip.mp4');
my @to = (Authorization => $authorization);

my $whole = http3(GET => "/download?fid=$id", @to);
is($whole->code, 200);
ok($whole->content eq $mp3, 'the bytes are the same');

my $part = http3(GET => "/download?fid=$id", @to, Range => 'bytes=300000-');
is($part->code, 206);
is($part->header('Content-Range'), 'bytes 300000-899999/900000');
ok($part->content eq substr($mp3, 300_000), 'its bytes');

my $head = http3(HEAD => "/download?fid=$id", @to);
is($head->code, 200);
is($head->header('Content-Length'), 900_000);

is(http3(GET => "/download?fid=$id", @to,
    'If-None-Match' => qq{"$fid"})->code, 304);



=== TEST 4: F7, the client is gone in the middle of an upload
--- config
location = /status { stub_status; }
--- http_config eval
V2M::Http3::server('client_body_timeout 1s; keepalive_timeout 1s;')
--- scenario
my ($authorization, $owner) = begin();
my @command = http3_command(PUT => '/upload', Authorization => $authorization);

splice @command, -1, 0, '-T', '-', '-o', '/dev/null';

my $pid = open my $curl, '|-:raw', @command or die "curl: $!";
my ($id, $sent) = (undef, 1_000_000);

print {$curl} random_bytes($sent);
$curl->flush;
wait_for(sub { ($id) = @{ store('jobs_of', $owner) } }, 'the record');
wait_for(sub { @{ store('file', 'videos', $id)->{chunks} } >= 10 }, 'chunks');
kill KILL => $pid;
close $curl;

is_gone($id);
is_idle();
