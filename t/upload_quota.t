# v2m_quota_jobs and v2m_quota_bytes: what one user may take up.

use lib 't/lib';
use V2M;
use V2M::Http2;
use V2M::Store;

sub upload {
    my ($authorization, $bytes) = @_;

    return http(PUT => '/upload', Authorization => $authorization,
        body => $bytes);
}

sub upload_form {
    my ($authorization, $bytes) = @_;

    return http(POST => '/upload', Authorization => $authorization,
        'Content-Type' => 'multipart/form-data; boundary=b',
        body => "--b\r\nContent-Disposition: form-data; name=f; "
            . "filename=clip.mp4\r\n\r\n$bytes\r\n--b--\r\n");
}

sub upload_chunked {
    my ($authorization, $bytes) = @_;

    return http(PUT => '/upload', Authorization => $authorization,
        'Transfer-Encoding' => 'chunked',
        body => sprintf("%x\r\n%s\r\n0\r\n\r\n", length $bytes, $bytes));
}

sub is_refused {
    my ($response, $status, $detail) = @_;
    my $problem = decode_json($response->content);

    is($response->code, $status, "status $status");
    is($problem->{status}, $status);
    like($problem->{detail}, $detail);
}

run_tests();

__DATA__

=== TEST 1: S22, jobs that are not finished
--- config
v2m_quota_jobs 2;
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();

make_job($owner, 'ready', mp3 => 'x');
make_job($owner, 'failed');
make_job($owner, 'converting');

my $second = upload($authorization, 'video');

is($second->code, 201, 'the second one');

my $third = upload($authorization, 'video');

is_refused($third, 429, qr/2 of your jobs .* 2 is the limit \(v2m_quota_jobs\)/);
ok($third->header('Retry-After'), 'with Retry-After');
wait_for(sub { @{ store('jobs_of', $owner) } == 4 }, 'its record to go');

my $id = decode_json($second->content)->{id};

is(http(DELETE => "/jobs/$id", Authorization => $authorization)->code, 204);
is(upload($authorization, 'video')->code, 201, 'there is room again');
is(upload((make_owner())[0], 'video')->code, 201, 'and for others anyway');



=== TEST 2: S22, an upload under way is a job as well
--- config
v2m_quota_jobs 1;
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();
my $socket = connect_gateway();

print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
    . "Authorization: $authorization\r\nContent-Length: 10\r\n\r\nvideo";
$socket->flush;
wait_for(sub { @{ store('jobs_of', $owner) } }, 'the record');

is_refused(upload($authorization, 'video'), 429, qr/v2m_quota_jobs/);

print {$socket} 'video';
$socket->flush;
is(read_response($socket)->code, 201, 'the first one');



=== TEST 3: S22, bytes of videos and MP3s
--- config
v2m_quota_bytes 1000k;
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();

make_job($owner, 'ready', mp3 => 'x' x 24_000);
is(upload($authorization, 'v' x 400_000)->code, 201);

for my $upload (\&upload, \&upload_form, \&upload_chunked) {
    is_refused($upload->($authorization, 'v' x 600_001), 413,
        qr/may take 1024000 bytes \(v2m_quota_bytes\), of which 600000 are left/);
    wait_for(sub { @{ store('jobs_of', $owner) } == 2 }, 'its record to go');
}

is(upload_form($authorization, 'v' x 600_000)->code, 201, 'all that is left');
is_refused(upload($authorization, 'v'), 413, qr/of which 0 are left/);
is_refused(upload_chunked($authorization, 'v'), 413, qr/of which 0 are left/);



=== TEST 4: S22, uploads under way count with what they announced
--- config
v2m_quota_bytes 1000k;
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();
my $socket = connect_gateway();

print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
    . "Authorization: $authorization\r\nContent-Length: 1000000\r\n\r\nvideo";
$socket->flush;
wait_for(sub { @{ store('jobs_of', $owner) } }, 'the record');

is_refused(upload($authorization, 'v' x 30_000), 413, qr/24000 are left/);
close $socket;
wait_for(sub { !@{ store('jobs_of', $owner) } }, 'the record to go');
is(upload($authorization, 'v' x 30_000)->code, 201, 'there is room again');



=== TEST 5: S22, refused before the body, over HTTP/2 as well
--- config
v2m_quota_bytes 1000;
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();
my $socket = connect_gateway();

print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
    . "Authorization: $authorization\r\nExpect: 100-continue\r\n"
    . "Content-Length: 1001\r\n\r\n";
$socket->flush;

my $text = '';

sysread $socket, $text, 65536;
like($text, qr{\AHTTP/1.1 413 }, 'no "100 Continue"');

my $h2 = V2M::Http2->new;
my $stream = $h2->request(PUT => '/upload', Authorization => $authorization,
    'Content-Length' => 1001);

is_refused($h2->response($stream), 413, qr/v2m_quota_bytes/);



=== TEST 6: S22, a repeated key is no new job
--- config
v2m_quota_jobs 1;
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();
my @head = (Authorization => $authorization);
my @ids = map {
    decode_json(http(PUT => '/upload', @head, 'Idempotency-Key' => 'one',
        body => 'video')->content)->{id}
} 1 .. 2;

is($ids[0], $ids[1]);
is_refused(http(PUT => '/upload', @head, 'Idempotency-Key' => 'two',
    body => 'video'), 429, qr/v2m_quota_jobs/);



=== TEST 7: S22, what was refused counts no more, though its client still sends
--- config
v2m_quota_jobs 1;
lingering_timeout 60s;
lingering_time 60s;
--- scenario
wait_ready();
my ($authorization, $owner) = make_owner();
my $socket = connect_gateway();

make_job($owner, 'converting');
print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
    . "Authorization: $authorization\r\nContent-Length: 10\r\n\r\nvid";
$socket->flush;
is_refused(read_response($socket), 429, qr/v2m_quota_jobs/);
wait_for(sub { @{ store('jobs_of', $owner) } == 1 }, 'its record to go');

print {$socket} "eo12345GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
$socket->flush;
is(read_response($socket)->code, 200, 'which may go on');



=== TEST 8: a wrong value
--- config
v2m_quota_bytes much;
--- must_die
--- error_log
"v2m_quota_bytes" directive invalid value



=== TEST 9: a wrong number
--- config
v2m_quota_jobs -1;
--- must_die
--- error_log
invalid number
