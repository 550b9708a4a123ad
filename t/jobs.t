# GET /jobs, GET and DELETE /jobs/{id}.

use lib 't/lib';
use V2M;
use V2M::Store;

# What a client is shown of a job, but for its times.
sub shown {
    my $job = shift;

    delete @$job{qw(created updated)};
    return $job;
}

sub get {
    my ($path, $authorization, %headers) = @_;

    return http(GET => $path, Authorization => $authorization, %headers);
}

run_tests();

__DATA__

=== TEST 1: a job in each of its states
--- scenario
my ($authorization, $owner) = make_owner();
my $reason = "it has no audio track: \"Ton\" \x{2026}";

for my $case (
    [uploading => {}, {}],
    [queued => { name => 'a.mp4', size => 5, options => { bitrate => 64 } },
        { name => 'a.mp4', size => 5, options => { bitrate => 64 } }],
    [converting => { progress => 42 }, { progress => 42 }],
    [failed => { reason => $reason, notified => 'sent' },
        { reason => $reason, notified => 'sent' }],
) {
    my ($state, $fields, $more) = @$case;
    my ($id) = make_job($owner, $state, %$fields);

    for my $response (get("/jobs/$id", $authorization),
        get('/jobs/' . uc $id, $authorization))
    {
        is($response->code, 200);
        is($response->header('Content-Type'), 'application/json');

        my $job = decode_json($response->content);

        like($job->{$_}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, $_)
            for qw(created updated);
        is_deeply(shown($job), {
            id => $id, state => $state, name => undef, size => 0,
            progress => undef, notified => 'none', options => {}, %$more,
        }, $state);
    }

    my $head = http(HEAD => "/jobs/$id", Authorization => $authorization);

    is($head->code, 200, 'HEAD');
    is($head->header('Content-Length'),
        length get("/jobs/$id", $authorization)->content);
    is($head->content, '');
}



=== TEST 2: a job that is ready
--- scenario
my ($authorization, $owner) = make_owner();
my ($id, $mp3) = make_job($owner, 'ready', mp3 => 'x' x 1000,
    duration_ms => 12_345, name => 'a.mp4', progress => 100);
my $job = decode_json(get("/jobs/$id", $authorization)->content);

is($job->{state}, 'ready');
is($job->{mp3_fid}, $mp3);
is($job->{mp3_size}, 1000);
is($job->{duration}, 12.345);
is($job->{progress}, 100);
is($job->{download}, "/download?fid=$id");



=== TEST 3: 404 alike for what is malformed, unknown and someone else's
--- scenario
my ($authorization, $owner) = make_owner();
my ($id) = make_job(scalar make_owner(), 'queued');
my ($own) = make_job($owner, 'queued');
my %bodies;

for my $path ("/jobs/$id", '/jobs/' . '0' x 24, '/jobs/x', "/jobs/${own}0",
    '/jobs/' . substr($own, 1), "/jobs/$own/",
    '/jobs/{"$gt":""}')
{
    for my $method (qw(GET DELETE)) {
        my $response = http($method => $path, Authorization => $authorization);

        is($response->code, 404, "$method $path");
        $bodies{$response->content}++;
        is($response->header('Content-Type'), 'application/problem+json');
    }
}

is(scalar keys %bodies, 1, 'the same answer');
is(decode_json((keys %bodies)[0])->{detail}, 'there is no such job');
ok(store('job', $id), 'the job is there still');
ok(store('job', $own), 'our own as well');



=== TEST 4: other addresses and methods
--- scenario
my ($authorization, $owner) = make_owner();
my ($id) = make_job($owner, 'queued');

is(get('/jobsite', $authorization)->code, 404);
is(get("/jobs$id", $authorization)->code, 404);

for my $case (['/jobs', 'GET, HEAD', qw(POST PUT DELETE)],
    ["/jobs/$id", 'GET, HEAD, DELETE', qw(POST PUT PATCH)])
{
    my ($path, $allow, @methods) = @$case;

    for my $method (@methods) {
        my $response = http($method => $path, Authorization => $authorization,
            body => 'x' x 60_000);

        is($response->code, 405, "$method $path");
        is($response->header('Allow'), $allow);
    }
}

is(http(GET => $_)->code, 401, "$_ without a token")
    for '/jobs', '/jobs/', "/jobs/$id", '/jobs/x';
is(http(DELETE => "/jobs/$id")->code, 401);
ok(store('job', $id), 'the job is there still');



=== TEST 5: the list, newest first, page by page
--- scenario
my ($authorization, $owner) = make_owner();

is_deeply(decode_json(get('/jobs', $authorization)->content),
    { jobs => [], next => undef }, 'no jobs yet');

my @ids = reverse map { (make_job($owner, 'queued', name => "$_.mp4"))[0] }
    1 .. 23;
make_job(scalar make_owner(), 'queued');

for my $case (
    ['', 20], ['?limit=1', 1], ['?limit=23', 23], ['?limit=100', 100],
    ['?limit=22', 22],
) {
    my ($query, $limit) = @$case;
    my (@found, $pages);
    my $next = '';

    while (1) {
        my $path = "/jobs$query" . ($next ? ($query ? '&' : '?')
            . "after=$next" : '');
        my $page = decode_json(get($path, $authorization)->content);

        $pages++;
        push @found, map { $_->{id} } @{ $page->{jobs} };
        last unless defined $page->{next};
        cmp_ok(scalar @{ $page->{jobs} }, '==', $limit, $path);
        is($page->{next}, $found[-1]);
        $next = $page->{next};
    }

    is_deeply(\@found, \@ids, "all, with \"$query\"");
    is($pages, POSIX::ceil(23 / $limit), 'pages');
}

is(decode_json(get("/jobs/?limit=1&after=\U$ids[0]", $authorization)
    ->content)->{jobs}[0]{name}, '22.mp4');
is(http2(GET => '/jobs?limit=2', Authorization => $authorization)->content,
    get('/jobs?limit=2', $authorization)->content, 'HTTP/2');



=== TEST 6: 400 for a limit or a start that is none
--- scenario
my ($authorization, $owner) = make_owner();

for my $limit ('', 0, 101, -1, 'x', '1x', '1e1', '%31', '99999999999999999999') {
    my $response = get("/jobs?limit=$limit", $authorization);

    is($response->code, 400, "limit $limit");
    like(decode_json($response->content)->{detail}, qr/"limit" .* 1 to 100/);
}

for my $after ('', 'x', '0' x 23, '0' x 25, 'g' x 24) {
    my $response = get("/jobs?after=$after", $authorization);

    is($response->code, 400, "after $after");
    like(decode_json($response->content)->{detail}, qr/"after" .* id/);
}

is(get('/jobs?after=' . '0' x 24, $authorization)->code, 200, 'unknown, but fine');



=== TEST 7: DELETE takes the record and both blobs
--- scenario
my ($authorization, $owner) = make_owner();

for my $state (qw(queued converting ready failed)) {
    my ($id, $mp3) = make_job($owner, $state,
        $state eq 'ready' ? (mp3 => 'x' x 1000, chunk_size => 100) : ());

    store('put_video', $id, 'dmlkZW8=');

    my $response = http(DELETE => "/jobs/$id", Authorization => $authorization);

    is($response->code, 204, $state);
    is($response->content, '');
    is(store('job', $id), undef, 'the record');

    for my $found (store('file', 'videos', $id),
        $mp3 ? store('file', 'mp3s', $mp3) : ())
    {
        is($found->{file}, undef, 'the file');
        is_deeply($found->{chunks}, [], 'the chunks');
    }

    is(http(DELETE => "/jobs/$id", Authorization => $authorization)->code, 404,
        'again');
    is(get("/jobs/$id", $authorization)->code, 404);
}



=== TEST 8: DELETE of what an attempt left behind
--- scenario
my ($authorization, $owner) = make_owner();
my ($other, $attempt) = make_job($owner, 'ready', mp3 => 'x');
my ($id) = make_job($owner, 'converting');

store('remove_job', $other);
store('note_attempt', $id, $attempt);
is(http(DELETE => "/jobs/$id", Authorization => $authorization)->code, 204);
is(store('file', 'mp3s', $attempt)->{file}, undef);



=== TEST 9: DELETE while the upload is under way
--- config
v2m_chunk_size 16k;
--- scenario
wait_ready();

my ($authorization, $owner) = make_owner();
my $video = random_bytes(100_000);
my $socket = connect_gateway();

print {$socket} "PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
    . "Authorization: $authorization\r\nContent-Length: 100000\r\n\r\n",
    substr $video, 0, 50_000;
$socket->flush;

my $id = wait_for(sub { @{ store('jobs_of', $owner) }[0] }, 'the record');
my $response = http(DELETE => "/jobs/$id", Authorization => $authorization);

is($response->code, 409);
like(decode_json($response->content)->{detail}, qr/upload .* under way/);

print {$socket} substr $video, 50_000;
$socket->flush;
is(read_response($socket)->code, 201, 'the upload goes on');
is_stored($id, $video, owner => $owner, chunk_size => 16384);
is(http(DELETE => "/jobs/$id", Authorization => $authorization)->code, 204);
is_gone($id);



=== TEST 10: DELETE of a job that changes all the time
--- scenario
my ($authorization, $owner) = make_owner();
my ($id, $mp3) = make_job($owner, 'ready', mp3 => 'x' x 1000);

store('change_job', $id, { state => 'converting' });

my $child = fork // die "fork: $!";

if ($child == 0) {
    system '/usr/bin/python3', '-c', <<'EOC', $ENV{V2M_TEST_MONGO_URI}, $id;
import sys, time, datetime, bson, pymongo
jobs = pymongo.MongoClient(sys.argv[1])["v2m"]["jobs"]
until = time.time() + 10
while time.time() < until:
    if jobs.update_one({"_id": bson.ObjectId(sys.argv[2])},
                       {"$set": {"updated": datetime.datetime.utcnow()}}
                       ).matched_count == 0:
        break
EOC
    POSIX::_exit(0);
}

wait_for(sub {
    my $before = store('job', $id)->{updated}[1];
    store('job', $id)->{updated}[1] != $before;
}, 'changes');

my $response = wait_for(sub {
    my $response = http(DELETE => "/jobs/$id", Authorization => $authorization);
    $response->code != 503 && $response;
}, 'the deletion');

is($response->code, 204);
waitpid $child, 0;
is(store('job', $id), undef);
is_deeply(store('file', 'mp3s', $mp3)->{chunks}, []);



=== TEST 11: keepalive, pipelined, HTTP/2
--- scenario
my ($authorization, $owner) = make_owner();
my ($id) = make_job($owner, 'queued', name => 'a');
my $head = "Host: localhost\r\nAuthorization: $authorization\r\n";
my $socket = connect_gateway();

print {$socket} "GET /jobs/$id HTTP/1.1\r\n$head\r\n",
    "GET /jobs HTTP/1.1\r\n$head\r\n", "GET /jobs/x HTTP/1.1\r\n$head\r\n",
    "DELETE /jobs/$id HTTP/1.1\r\n$head\r\n", "GET /jobs HTTP/1.1\r\n$head\r\n";
$socket->flush;

is(decode_json(read_response($socket)->content)->{id}, $id);
is(decode_json(read_response($socket)->content)->{jobs}[0]{id}, $id);
is(read_response($socket)->code, 404);
is(read_response($socket, 'DELETE')->code, 204);
is_deeply(decode_json(read_response($socket)->content)->{jobs}, []);

($id) = make_job($owner, 'queued');
is(decode_json(http2(GET => "/jobs/$id", Authorization => $authorization)
    ->content)->{id}, $id);
is(http2(DELETE => "/jobs/$id", Authorization => $authorization)->code, 204);
is(http2(GET => "/jobs/$id", Authorization => $authorization)->code, 404);
