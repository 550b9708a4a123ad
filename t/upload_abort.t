# Uploads whose client goes away: nothing is left of them.

use lib 't/lib';
use V2M;
use V2M::Http2;
use V2M::Store;

use Socket qw(SOL_SOCKET SO_LINGER);

our $size = 2_000_000;

# Waits until what was sent is stored as far as it fills chunks; returns the
# job's id.
sub wait_stored {
    my ($owner, $sent) = @_;
    my $id;

    wait_for(sub { ($id) = @{ store('jobs_of', $owner) } }, 'the record');
    wait_for(sub { stored($id) == int($sent / 16384) }, 'the chunks');

    return $id;
}

sub stored {
    return scalar @{ store('file', 'videos', $_[0])->{chunks} };
}

run_tests();

__DATA__

=== TEST 1: F7, HTTP/1.1, the connection is closed or reset after 1 %, 50 %, 99 %
--- config
v2m_chunk_size 16k;
location = /status { stub_status; }
--- scenario
for my $percent (1, 50, 99) {
    for my $reset (0, 1) {
        for my $form ('', "--b\r\nContent-Disposition: form-data; name=f;"
            . " filename=a.mp4\r\n\r\n")
        {
            my ($authorization, $owner) = make_owner();
            my $socket = connect_gateway();
            my $sent = $size * $percent / 100;
            my $type = $form eq '' ? 'video/mp4'
                : 'multipart/form-data; boundary=b';

            print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
                . "Authorization: $authorization\r\nContent-Length: $size\r\n"
                . "Content-Type: $type\r\n\r\n$form", random_bytes($sent);
            $socket->flush;

            my $id = wait_stored($owner, $sent);

            setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0
                if $reset;
            close $socket;
            is_gone($id, "$percent %" . ($reset ? ', reset' : ''));
        }
    }
}

is_idle();
is_deeply([messages()], []);
--- error_log
client prematurely closed connection



=== TEST 2: F7, HTTP/2, the stream is reset or the connection closed
--- config
v2m_chunk_size 16k;
location = /status { stub_status; }
--- scenario
for my $percent (1, 50, 99) {
    for my $reset (0, 1) {
        my ($authorization, $owner) = make_owner();
        my $h2 = V2M::Http2->new;
        my $stream = $h2->request(PUT => '/upload',
            Authorization => $authorization, 'Content-Length' => $size);
        my $sent = $size * $percent / 100;

        is($h2->data($stream, random_bytes($sent)), $sent, 'sent');

        my $id = wait_stored($owner, $sent);

        if ($reset) {
            $h2->reset($stream);
        } else {
            undef $h2;
        }

        is_gone($id, "$percent %" . ($reset ? ', reset' : ''));

        next unless $reset;

        # the connection goes on
        $stream = $h2->request(GET => '/healthz', last => 1);
        is($h2->response($stream)->content, "ok\n");
    }
}

is_idle();
is_deeply([messages()], []);



=== TEST 3: without a length, in the middle of a chunk of the coding
--- config
v2m_chunk_size 16k;
location = /status { stub_status; }
--- scenario
my ($authorization, $owner) = make_owner();
my $socket = connect_gateway();

print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
    . "Authorization: $authorization\r\nTransfer-Encoding: chunked\r\n\r\n"
    . "100000\r\n", random_bytes(200_000);
$socket->flush;

my $id = wait_stored($owner, 200_000);

close $socket;
is_gone($id);
is_idle();



=== TEST 4: a body that ends early, politely
--- config
access_log logs/jobs.log v2m;
v2m_chunk_size 16k;
location = /status { stub_status; }
--- scenario
my ($authorization, $owner) = make_owner();
my $socket = connect_gateway();

print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
    . "Authorization: $authorization\r\nContent-Length: $size\r\n\r\n",
    random_bytes(200_000);
$socket->flush;
shutdown $socket, 1;

is(read_response($socket), undef, 'no answer');
is_gone($_) for logged_jobs();
is_deeply(store('jobs_of', $owner), []);

# HTTP/2: less than was declared
my $h2 = V2M::Http2->new;
my $stream = $h2->request(PUT => '/upload', Authorization => $authorization,
    'Content-Length' => $size);

$h2->data($stream, random_bytes(200_000), last => 1);
is($h2->response($stream)->code, 400, 'less than declared');
wait_for(sub { !@{ store('jobs_of', $owner) } }, 'the record to go');
undef $h2;
is_gone($_) for logged_jobs();
is_idle();



=== TEST 5: the client goes while inserts are under way
--- config
v2m_chunk_size 16k;
location = /status { stub_status; }
--- scenario
for my $reset (0, 1) {
    my ($authorization, $owner) = make_owner();
    my $socket = connect_gateway();

    print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: $authorization\r\nContent-Length: $size\r\n\r\n",
        random_bytes($size - 1);
    $socket->flush;

    my ($id) = wait_for(sub { @{ store('jobs_of', $owner) }[0] }, 'the record');

    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0 if $reset;
    close $socket;
    is_gone($id);
}

my ($authorization, $owner) = make_owner();
my $h2 = V2M::Http2->new;
my $stream = $h2->request(PUT => '/upload', Authorization => $authorization,
    'Content-Length' => $size);

$h2->data($stream, random_bytes($size - 1));

my ($id) = wait_for(sub { @{ store('jobs_of', $owner) }[0] }, 'the record');

$h2->reset($stream);
is_gone($id);
undef $h2;
is_idle();



=== TEST 6: the client is gone when the answer comes: the job stays
--- config
location = /status { stub_status; }
--- scenario
wait_ready();

for my $reset (0, 1) {
    my ($authorization, $owner) = make_owner();
    my $socket = connect_gateway();
    my $video = random_bytes(100_000);

    print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: $authorization\r\nContent-Length: 100000\r\n\r\n",
        $video;
    $socket->flush;
    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0 if $reset;
    shutdown $socket, 1 unless $reset;

    my ($id) = eval {
        wait_for(sub { @{ store('jobs_of', $owner) }[0] }, 'the record')
    };
    close $socket;

    wait_for(sub { store('job', $id)->{published}[1] }, 'the job');
    is_stored($id, $video, owner => $owner);
}

is_idle();



=== TEST 7: one bad upload after the other on one HTTP/2 connection
--- config
access_log logs/jobs.log v2m;
v2m_chunk_size 16k;
location = /status { stub_status; }
--- scenario
my ($authorization, $owner) = make_owner();
my $h2 = V2M::Http2->new;
my @streams;

for my $i (0 .. 9) {
    push @streams, $h2->request(PUT => '/upload',
        Authorization => $authorization, 'Content-Length' => $size);
    $h2->data($streams[-1], random_bytes(30_000 * ($i + 1)));
    $h2->reset($streams[$i - 2]) if $i > 2;
}

wait_for(sub { @{ store('jobs_of', $owner) } }, 'the records');
undef $h2;

wait_for(sub { !@{ store('jobs_of', $owner) } }, 'the records to go');
is_idle();

my @ids = logged_jobs();

is(scalar @ids, 10);
is_gone($_) for @ids;



=== TEST 8: the sweep takes an upload for abandoned that still goes on
--- config
v2m_chunk_size 16k;
--- scenario
for my $removed (1, 0) {
    my ($authorization, $owner) = make_owner();
    my $socket = connect_gateway();

    print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: $authorization\r\nContent-Length: $size\r\n\r\n",
        random_bytes(300_000);
    $socket->flush;

    my $id = wait_stored($owner, 300_000);

    # it is marked, then its chunks go, then the record
    store('change_job', $id, { abandoned => JSON::PP::true });
    store('remove_chunks', 'videos', $id);
    store('remove_job', $id) if $removed;

    print {$socket} random_bytes($size - 300_000);
    $socket->flush;

    my $response = read_response($socket);

    is($response->code, 503);
    like(decode_json($response->content)->{detail}, qr/took too long, try again/);
    is_gone($id, 'nor is anything left that came after');
}

is_deeply([messages()], []);
