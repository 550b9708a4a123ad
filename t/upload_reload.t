# F8: uploads in progress while nginx reloads or its worker is told to quit.

use lib 't/lib';
use V2M;
use V2M::Http2;
use V2M::Store;

our $size = 1_000_000;

sub is_running { return -e "/proc/$_[0]" }

sub begin_upload {
    my ($authorization, $bytes) = @_;
    my $socket = connect_gateway();

    print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: $authorization\r\nContent-Length: $size\r\n\r\n",
        $bytes;
    $socket->flush;

    return $socket;
}

sub wait_record {
    my $owner = shift;

    return wait_for(sub { @{ store('jobs_of', $owner) }[0] }, 'the record');
}

# A new worker has taken over from the old one.
sub wait_successor {
    my $old = shift;

    wait_for(sub {
        grep { $_ != $old } worker_pids();
    }, 'a new worker');
    wait_for(sub {
        eval { http(GET => '/healthz')->content eq "ok\n" };
    }, 'the new worker to answer');
}

run_tests();

__DATA__

=== TEST 1: F8, reload
--- config
v2m_chunk_size 16k;
--- scenario
wait_ready();

my $old = worker();
my ($authorization, $owner) = make_owner();
my $video = random_bytes($size);
my $socket = begin_upload($authorization, substr $video, 0, 300_000);
my $id = wait_record($owner);

my ($authorization2, $owner2) = make_owner();
my $h2 = V2M::Http2->new;
my $stream = $h2->request(PUT => '/upload', Authorization => $authorization2);

$h2->data($stream, substr $video, 0, 300_000);
wait_record($owner2);

# not even begun: its head is there, and nothing else
my ($authorization3, $owner3) = make_owner();
my $third = begin_upload($authorization3, '');

kill HUP => master();
wait_successor($old);
ok(is_running($old), 'the old worker stays');

# what is new goes to the new worker
wait_ready();
my $response = http(PUT => '/upload', Authorization => $authorization,
    body => 'new');
is_stored(decode_json($response->content)->{id}, 'new', owner => $owner,
    chunk_size => 16384);

print {$socket} substr $video, 300_000;
$socket->flush;
$response = read_response($socket);
is($response->code, 201, 'HTTP/1.1');
is(decode_json($response->content)->{id}, $id);
is_stored($id, $video, owner => $owner, chunk_size => 16384);
ok(is_running($old), 'the old worker still stays');

$h2->data($stream, substr($video, 300_000), last => 1);
$response = $h2->response($stream);
is($response->code, 201, 'HTTP/2');
is_stored(decode_json($response->content)->{id}, $video, owner => $owner2,
    chunk_size => 16384);
ok(is_running($old), 'the old worker still stays');

print {$third} $video;
$third->flush;
$response = read_response($third);
is($response->code, 201, 'the one not begun');
is_stored(decode_json($response->content)->{id}, $video, owner => $owner3,
    chunk_size => 16384);

wait_for(sub { !is_running($old) }, 'the old worker to end');
--- error_log
gracefully shutting down



=== TEST 2: a client that goes away from a worker that shuts down
--- config
v2m_chunk_size 16k;
--- scenario
my $old = worker();
my ($authorization, $owner) = make_owner();
my $socket = begin_upload($authorization, random_bytes(300_000));
my $id = wait_record($owner);

kill HUP => master();
wait_successor($old);
ok(is_running($old), 'the old worker stays');
close $socket;
is_gone($id);
wait_for(sub { !is_running($old) }, 'the old worker to end');



=== TEST 3: F8, a worker that is told to quit
--- config
v2m_chunk_size 16k;
--- scenario
wait_ready();

my $old = worker();
my ($authorization, $owner) = make_owner();
my $video = random_bytes($size);
my $socket = begin_upload($authorization, substr $video, 0, 300_000);
my $id = wait_record($owner);

kill QUIT => $old;
wait_for(sub { error_log_text() =~ /gracefully shutting down/ }, 'the quit');

print {$socket} substr $video, 300_000;
$socket->flush;
is(read_response($socket)->code, 201);
is_stored($id, $video, owner => $owner, chunk_size => 16384);
wait_for(sub { !is_running($old) }, 'the old worker to end');
wait_successor($old);



=== TEST 4: worker_shutdown_timeout ends an upload that takes too long
--- main_config
worker_shutdown_timeout 300ms;
--- config
v2m_chunk_size 16k;
--- scenario
my $old = worker();
my ($authorization, $owner) = make_owner();
my $socket = begin_upload($authorization, random_bytes(300_000));
my $id = wait_record($owner);

kill HUP => master();
is_gone($id);
is(read_response($socket), undef, 'no answer');
wait_for(sub { !is_running($old) }, 'the old worker to end');



=== TEST 5: F8, a worker that is killed leaves a record for the sweep
--- config
v2m_chunk_size 16k;
--- scenario
my $old = worker();
my ($authorization, $owner) = make_owner();
my $socket = begin_upload($authorization, random_bytes(300_000));
my $id = wait_record($owner);

kill KILL => $old;
is(read_response($socket), undef, 'no answer');
is(store('job', $id)->{state}[1], 'uploading');
is(store('file', 'videos', $id)->{file}, undef);
store('clean', [], [[videos => $id]]);
store('remove_job', $id);
wait_successor($old);
--- allow_log
exited on signal 9
