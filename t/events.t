# GET /jobs/events and GET /jobs/{id}/events: server-sent events.

use lib 't/lib';
use V2M;
use V2M::Http2;
use V2M::Relay;
use V2M::Store;

use JSON::PP ();
use Time::HiRes qw(time);
use URI;

our $uri   = URI->new($ENV{V2M_MONGO_URI} =~ s/^mongodb:/http:/r);
our $relay = V2M::Relay->new($uri->host, $uri->port);

# A stream: what came of it so far, and the connection that it comes by.
sub follow {
    my ($path, $authorization, @headers) = @_;
    my $socket = connect_gateway();

    print {$socket} join "\r\n", "GET $path HTTP/1.1", 'Host: localhost',
        "Authorization: $authorization", @headers, '', '';
    $socket->flush;
    return { socket => $socket, text => '' };
}

# Reads what there is; false when the server closed the connection.
sub more {
    my $stream = shift;

    return 1 unless IO::Select->new($stream->{socket})->can_read(0);
    return sysread $stream->{socket}, $stream->{text}, 65536,
        length $stream->{text};
}

# The jobs told so far.
sub told {
    my $stream = shift;

    more($stream);
    return map { decode_json($_) } $stream->{text} =~ /^data: (.*)$/mg;
}

# Waits for a job's state; returns the job as it was told.
sub tells {
    my ($stream, $id, $state, $what) = @_;

    return wait_for(sub {
        (grep { $_->{id} eq $id && $_->{state} eq $state } told($stream))[0];
    }, $what // "$state of $id");
}

# Waits for the end of the chunked body, which the client sees as complete.
sub ends {
    my $stream = shift;

    ok(wait_for(sub { more($stream); $stream->{text} =~ /\r\n0\r\n\r\n\z/ },
        'the end of a stream'), 'the stream ended in order');
}

sub last_id {
    my $stream = shift;

    return ($stream->{text} =~ /^id: (\S+)$/mg)[-1];
}

# A change such as the converter makes.
sub change {
    my ($id, %fields) = @_;

    store('update_job', $id, \%fields);
}

run_tests();

__DATA__

=== TEST 1: a job from its beginning to its end, as GET /jobs/{id} shows it
--- http_config
v2m_events_interval 100ms;
--- scenario
my ($authorization, $owner) = make_owner();
my ($id) = make_job($owner, 'queued', name => 'a.mp4');
my $stream = follow("/jobs/$id/events", $authorization);

tells($stream, $id, 'queued');
like($stream->{text}, qr{^Content-Type: text/event-stream\r$}m);
like($stream->{text}, qr{^Cache-Control: no-store\r$}m);
like($stream->{text}, qr{^X-Accel-Buffering: no\r$}m);
like($stream->{text}, qr{^retry: [12]\d\d\d$}m);

change($id, state => 'converting', progress => 41);
is(tells($stream, $id, 'converting')->{progress}, 41);

change($id, state => 'failed', reason => 'no audio');
my $job = tells($stream, $id, 'failed');

is_deeply($job, decode_json(http(GET => "/jobs/$id",
    Authorization => $authorization)->content));
ends($stream);
is(scalar told($stream), 3, 'each state once');

my $again = http(GET => "/jobs/$id/events", Authorization => $authorization,
    'Last-Event-ID' => last_id($stream));
is($again->code, 204, 'nothing is left to tell: stay away');

my $fresh = http(GET => "/jobs/$id/events", Authorization => $authorization);
is($fresh->code, 200);
like($fresh->content, qr/"state":"failed"/);



=== TEST 2: all jobs of the user and of nobody else, without repetition
--- http_config
v2m_events_interval 100ms;
--- scenario
my ($authorization, $owner) = make_owner();
my ($old) = make_job($owner, 'converting');
my ($other) = make_job(scalar make_owner(), 'queued');
my $stream = follow('/jobs/events', $authorization);

tells($stream, $old, 'converting');
my ($new) = make_job($owner, 'queued');
tells($stream, $new, 'queued');
change($other, state => 'ready');
change($new, state => 'ready');
tells($stream, $new, 'ready');

is(scalar told($stream), 3, 'three states');
unlike($stream->{text}, qr/$other/);

# what happens while the client is away
my $last = last_id($stream);
close $stream->{socket};
change($old, state => 'failed', reason => 'x');
my $again = follow('/jobs/events', $authorization, "Last-Event-ID: $last");
tells($again, $old, 'failed');



=== TEST 3: what is no job, another method, no token
--- scenario
my ($authorization) = make_owner();
my ($foreign) = make_job(scalar make_owner(), 'queued');

for my $id ('x', $foreign, '0' x 24) {
    my $response = http(GET => "/jobs/$id/events",
        Authorization => $authorization);
    is($response->code, 404, $id);
    is(decode_json($response->content)->{detail}, 'there is no such job');
}

is(http(GET => '/jobs/events')->code, 401);
is(http(POST => '/jobs/events', Authorization => $authorization)->code, 405);
is(http(HEAD => '/jobs/events', Authorization => $authorization)->code, 200);
is(http(HEAD => '/jobs/events', Authorization => $authorization,
    'Last-Event-ID' => $_)->code, 200, "id $_") for 'x', '-', '1-x', '9' x 40;



=== TEST 4: limits per user and per worker process
--- http_config
v2m_events_max 3;
v2m_events_max_per_user 2;
--- scenario
my ($authorization) = make_owner();
my ($another) = make_owner();
my @streams = map { follow('/jobs/events', $authorization) } 1 .. 2;
my $open = sub { my $s = shift; wait_for(sub { more($s); $s->{text} =~ /retry/ }) };

$open->($_) for @streams;

my $response = http(GET => '/jobs/events', Authorization => $authorization);
is($response->code, 429);
ok($response->header('Retry-After'));

push @streams, follow('/jobs/events', $another);
$open->($streams[2]);
$response = http(GET => '/jobs/events', Authorization => $another);
is($response->code, 503);
ok($response->header('Retry-After'));

# a place becomes free when a client goes away
close $streams[0]{socket};
wait_for(sub { http(HEAD => '/jobs/events',
    Authorization => $authorization)->code == 200 }, 'a place');



=== TEST 5: HTTP/2, several streams of a connection, one of them reset
--- http_config
v2m_events_interval 100ms;
--- scenario
my ($authorization, $owner) = make_owner();
my ($id) = make_job($owner, 'queued');
my $h2 = V2M::Http2->new;
my @streams = map {
    $h2->request(GET => $_, authorization => $authorization, last => 1)
} "/jobs/$id/events", '/jobs/events', '/jobs/events';
my $has = sub {
    my ($stream, $text) = @_;
    wait_for(sub {
        $h2->read_frame(0) while $h2->readable;
        $h2->{streams}{$stream}{body} =~ $text;
    }, "$text on $stream, but: $h2->{streams}{$stream}{body}");
};

$has->($_, qr/"queued"/) for @streams;
$h2->reset($streams[2]);
change($id, state => 'ready');
$has->($_, qr/"ready"/) for @streams[0, 1];
is($h2->response($streams[0])->code, 200, 'its end came');
ok(!$h2->{streams}{$streams[1]}{ended}, 'the other goes on');



=== TEST 6: reload and quit end streams in order
--- http_config
v2m_events_interval 100ms;
--- scenario
my ($authorization, $owner) = make_owner();
my ($id) = make_job($owner, 'queued');
my $stream = follow('/jobs/events', $authorization);
my $old = worker();

tells($stream, $id, 'queued');
kill HUP => master();
ends($stream);
wait_for(sub { !grep { $_ == $old } worker_pids() }, 'the old worker to end');

my $again = follow('/jobs/events', $authorization,
    'Last-Event-ID: ' . last_id($stream));
tells($again, $id, 'queued');



=== TEST 7: a job that is removed, also while nobody changes anything
--- http_config
v2m_events_interval 100ms;
v2m_events_heartbeat 1s;
--- scenario
my ($authorization, $owner) = make_owner();
my ($id) = make_job($owner, 'queued');
my $stream = follow("/jobs/$id/events", $authorization);

tells($stream, $id, 'queued');
is(http(DELETE => "/jobs/$id", Authorization => $authorization)->code, 204);
ends($stream);
like($stream->{text}, qr/^event: gone\ndata: \{"id":"$id"\}$/m);
is(scalar(grep { $_->{state} } told($stream)), 1);



=== TEST 8: the end of the token ends the stream; a heartbeat before it
--- http_config
v2m_events_heartbeat 1s;
--- scenario
my (undef, $owner) = make_owner();
my $authorization = bearer(username => $owner, exp => int(time()) - 57);
my $stream = follow('/jobs/events', $authorization);

ends($stream);
like($stream->{text}, qr/^:$/m, 'a heartbeat');
is(http(HEAD => '/jobs/events', Authorization => $authorization)->code, 401);



=== TEST 9: the store goes away and comes back
--- env eval
"V2M_MONGO_URI=mongodb://127.0.0.1:" . $main::relay->port . "/"
--- http_config
v2m_backend_timeout 1s;
v2m_events_interval 100ms;
--- scenario
my ($authorization, $owner) = make_owner();
my ($id) = make_job($owner, 'queued');
my $stream = follow("/jobs/$id/events", $authorization);

tells($stream, $id, 'queued');
$main::relay->stop;
wait_for(sub { more($stream); $stream->{text} =~ /^:$/m }, 'a comment');
change($id, state => 'ready');
is(http(GET => "/jobs/$id/events", Authorization => $authorization)->code, 503);
$main::relay->start;
tells($stream, $id, 'ready');
ends($stream);



=== TEST 10: the token ends while its client takes nothing: that costs nothing
--- config
send_timeout 4s;
--- scenario
my (undef, $owner) = make_owner();
my $authorization = bearer(username => $owner, exp => int(time()) - 58);
my $h2 = V2M::Http2->new(window => 0);
my $stream = $h2->request(GET => '/jobs/events',
    authorization => $authorization, last => 1);
my $state = $h2->{streams}{$stream};
my $pid = worker();
my $cpu = sub {
    open my $file, '<', "/proc/$pid/stat" or die $!;
    my @fields = split ' ', <$file> =~ s/.*\) //r;
    return $fields[11] + $fields[12];
};
my $end = sub {
    $h2->read_frame(0) while !$h2->{closed} && $h2->readable;
    return $h2->{closed} || defined $state->{reset};
};

wait_for(sub { $end->(); length $state->{headers} }, 'the headers');
is(V2M::Http2::status($state->{headers}), 200);
my $before = $cpu->();
wait_for($end, 'send_timeout');
cmp_ok($cpu->() - $before, '<', 60, 'hundredths of a second of work');



=== TEST 11: the token is revoked meanwhile
--- http_config
v2m_events_interval 100ms;
v2m_events_heartbeat 1s;
--- scenario
my (undef, $owner) = make_owner();
my $authorization = bearer(username => $owner, jti => unique());
my ($id) = make_job($owner, 'queued');
my $stream = follow('/jobs/events', $authorization);

tells($stream, $id, 'queued');
is(http(POST => '/logout', Authorization => $authorization)->code, 204);
change($id, state => 'ready');
ends($stream);
is(scalar told($stream), 1, 'nothing more was told');



=== TEST 12: more than is kept for a client that takes nothing
--- http_config
v2m_events_interval 100ms;
--- scenario
my ($authorization, $owner) = make_owner();
my ($first) = make_job($owner, 'queued');
my $h2 = V2M::Http2->new(window => 0);
my $slow = $h2->request(GET => '/jobs/events', authorization => $authorization,
    last => 1);
my $state = $h2->{streams}{$slow};
my $fast = follow('/jobs/events', $authorization);

tells($fast, $first, 'queued');
wait_for(sub { $h2->read_frame(0) while $h2->readable; $state->{headers} });

for my $count (601, 1201) {
    store('put_jobs', $owner, 'queued', 600);
    wait_for(sub {
        more($fast);
        (() = $fast->{text} =~ /^data: /mg) == $count
            && $fast->{text} =~ /\n\n\r\n\z/;
    }, "$count of them");
}

# what comes after the gap is not told, or the client would go on from there
change($first, state => 'ready');
tells($fast, $first, 'ready');

$h2->open_window($slow, 1 << 20);
is($h2->response($slow)->code, 200, 'it ends');
is(scalar(() = $state->{body} =~ /^data:/mg), 0, 'and tells nothing');



=== TEST 13: who comes back after a long time bothers no other client
--- http_config
v2m_events_interval 100ms;
--- scenario
my ($authorization, $owner) = make_owner();
my ($old) = make_job($owner, 'ready');
store('age_job', $old, 3600);
my $here = follow('/jobs/events', $authorization);

wait_for(sub { more($here); $here->{text} =~ /retry/ }, 'the stream');
tells(follow('/jobs/events', $authorization, 'Last-Event-ID: 0-0'), $old,
    'ready');

my ($new) = make_job($owner, 'queued');
tells($here, $new, 'queued');
is_deeply([map { $_->{id} } told($here)], [$new]);



=== TEST 14: wrong values
--- http_config
v2m_events_interval 10ms;
--- must_die
--- error_log
"v2m_events_interval" must be from 100ms to 1m
