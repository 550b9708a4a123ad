# What clients may choose: none of it is a piece of a query, of a header, of a
# line in a log, or of a path.

use lib 't/lib';
use V2M;
use V2M::Store;

our @texts = (
    q({"$ne":null}), q({"$where":"sleep(5000)"}), q($where), q({$regex:.*}),
    q(true), q(*), q(' OR '1'='1), q("; DROP TABLE user; --),
    q('; UPDATE user SET admin=1; -- ), q(\\' OR 1=1 #), q(../../etc/passwd),
    "a\r\nX-Evil: yes", "a\nX-Evil: yes", "a\rX-Evil: yes", "a\0b", "\xff\xfe",
    "\xe2\x80\xa8X-Evil: yes", '"; x="',
);

sub escape {
    return join '', map { sprintf '%%%02X', ord } split //, shift;
}

# No answer has a header that a client brought, and none is ours to be ashamed
# of.
sub answer {
    my @request = @_;
    my $response = http(@request);

    is($response->header('X-Evil'), undef, "$request[0]: no header of a client");
    cmp_ok($response->code, '<', 500, "$request[0] $request[1]");

    return $response;
}

run_tests();

__DATA__

=== TEST 1: S13, names of jobs, files and users
--- config
access_log logs/jobs.log v2m;
--- scenario
my ($authorization, $owner) = make_owner();
my ($victim, $other) = make_owner();
my ($mine) = make_job($owner, 'ready', mp3 => 'x' x 100);
my ($theirs) = make_job($other, 'ready', mp3 => 'y' x 100);
my $boss = bearer(username => 'boss@example.com', admin => JSON::PP::true);
my @as = (Authorization => $authorization);

for my $text (@texts) {
    my $escaped = escape($text);

    for my $path ("/jobs/$escaped", "/jobs/$escaped/events",
        "/download?fid=$escaped", "/download?fid[\$ne]=$escaped",
        "/download?fid=$mine&fid=$escaped", "/jobs/$theirs$escaped")
    {
        my $response = answer(GET => $path, @as);

        unlike($response->content, qr/y{100}|$theirs/, "$path: not another's");
        like($response->code, qr/^(?:400|404)$/, "$path: status")
            unless $path =~ /fid=$mine/;
    }

    answer(DELETE => "/jobs/$escaped", @as);

    for my $query ("limit=$escaped", "after=$escaped", "after[\$gt]=$escaped",
        "limit=1&after=$escaped", "state=$escaped", "user=$escaped",
        "all=$escaped", "user[\$ne]=$escaped")
    {
        unlike(answer(GET => "/jobs?$query", @as)->content, qr/$theirs/,
            "$query: not another's");
    }

    unlike(answer(GET => "/jobs?user=$escaped",
        Authorization => $boss)->content, qr/$theirs|$mine/,
        'of a user who is none');

    # a token's user is a text as well
    next if $text =~ /[^\x20-\x7e]/;
    my $response = answer(GET => '/jobs?limit=100',
        Authorization => bearer(username => $text));

    is($response->code, 200, 'the jobs of a user of that name');
    unlike($response->content, qr/$theirs|$mine/, 'are none of these');
}

is(http(GET => "/jobs/$_->[0]", Authorization => $_->[1])->code, 200,
    'both jobs are there still')
    for [$mine, $authorization], [$theirs, $victim];



=== TEST 2: S13, options, keys and names of an upload
--- config
access_log logs/jobs.log v2m;
--- scenario
my ($victim, $other) = make_owner();
my ($theirs) = make_job($other, 'queued');
my $number = 0;

for my $text (@texts) {
    my ($authorization, $owner) = make_owner();
    my @as = (Authorization => $authorization, body => 'no video');
    my $escaped = escape($text);

    for my $option (qw(bitrate start loudnorm bitrate[$gt] $where))
    {
        my $response = answer(POST => "/upload?$option=$escaped", @as);

        like($response->code, $option =~ /\$/ ? qr/^(?:201|400|422)$/
            : $text eq 'true' && $option eq 'loudnorm' ? qr/^(?:201|422)$/
            : qr/^4(?:00|22)$/, "$option=$text");
    }

    # the key of somebody else is another one
    if ($text !~ /[^\x20-\x7e]/) {
        my @ids = map {
            my $response = answer(POST => '/upload', @as,
                'Idempotency-Key' => $text);

            is($response->code, 201, "key $text");
            decode_json($response->content)->{id};
        } 1, 2;

        is($ids[0], $ids[1], 'the same key, the same job');
        isnt($ids[0], $theirs, 'which is not another one\'s');
    }

    is(scalar(grep { $_->{state} ne 'queued' || $_->{id} eq $theirs }
        @{ decode_json(http(GET => '/jobs', Authorization => $authorization)
            ->content)->{jobs} }), 0, 'only jobs of its own');
}

is(decode_json(http(GET => "/jobs/$theirs", Authorization => $victim)
    ->content)->{state}, 'queued', "the other's is untouched");
messages();



=== TEST 3: S14, file names in headers and logs
--- config
access_log logs/jobs.log v2m;
--- scenario
for my $text (@texts) {
    my ($authorization, $owner) = make_owner();
    my @as = (Authorization => $authorization);
    my $escaped = escape($text);
    my $quoted = $text =~ s/[\r\n\0]/ /gr =~ s/(["\\])/\\$1/gr;

    my @answers = (
        answer(POST => "/upload?name=$escaped", @as, body => 'x'),
        answer(POST => '/upload', @as,
            'Content-Type' => 'multipart/form-data; boundary=b',
            body => "--b\r\nContent-Disposition: form-data; name=\"$quoted\"; "
                . "filename=\"$quoted\"\r\n\r\nx\r\n--b--\r\n"),
        $text =~ /\0|\.\./ ? () : answer(PUT => "/upload/$escaped", @as,
            body => 'x'),
    );

    for my $response (@answers) {
        next unless $response->code == 201;

        my $job = decode_json($response->content);
        unlike($job->{name} // '', qr/[\x00-\x1f\x7f]/, 'no control character');
        unlike($job->{name} // '', qr{/}, 'no path');
        is($response->header('Location'), "/jobs/$job->{id}", 'Location');
    }

    # as the MP3's name, whoever wrote it into the record
    my ($id) = make_job($owner, 'ready', mp3 => 'x',
        $text =~ /[^\x01-\x7e]/ ? () : (name => "$text.mp4"));
    my $response = answer(GET => "/download?fid=$id", @as);

    is($response->code, 200, 'the download');
    my @disposition = $response->header('Content-Disposition');
    is(scalar @disposition, 1, 'one Content-Disposition');
    like($disposition[0], qr/\Aattachment; filename="(?:[^"\\\x00-\x1f]|\\.)*"(?:; filename\*=UTF-8''[\w%.!#\$&+^`|~-]*)?\z/,
        "with one name: $disposition[0]");
}

messages();

for my $line (split /\n/, log_text('jobs.log')) {
    like($line, qr{^127\.0\.0\.1 \S+T\S+ "[A-Z]+ [^\x00-\x1f"]*" \d{3} in=\d+ out=\d+ time=[\d.]+ trace=(?:-|[0-9a-f]{32}) user="[^"]*" job=(?:-|[0-9a-f]{24})$},
        'a line of the log is one of ours');
}

for my $line (split /\n/, error_log_text()) {
    like($line, qr{^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\w+\] },
        'a line of the error log is one of ours');
}



=== TEST 4: S14, user names in logs
--- config
access_log logs/jobs.log v2m;
location = /my-login { v2m_login; }
--- scenario
for my $text (@texts) {
    my $response = answer(POST => '/my-login',
        Authorization => basic($text, 'x'));

    like($response->code, qr/^40[01]$/, 'a login');
    unlike($response->content, qr/X-Evil/, 'the answer does not repeat it');

    $response = answer(POST => '/validate',
        Authorization => bearer(username => $text =~ s/[\x80-\xff]/u/gr));
    is($response->code, $text =~ /[\x00-\x1f]/ ? 401 : 200, 'a token');
}

unlike($_, qr/^X-Evil/m, 'no line of a log is a client\'s')
    for error_log_text(), log_text('jobs.log');

for my $line (split /\n/, error_log_text()) {
    like($line, qr{^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\w+\] [^\x00-\x08\x0b-\x1f]*$},
        'a line of the error log is one of ours');
}



=== TEST 5: S10, a flood of logins
--- main_config
thread_pool v2m_login threads=2 max_queue=4;
--- config
location = /my-login { v2m_login; }
location = /status { stub_status; }
--- scenario
my $password = 'a password';
my $user = make_user($password);
my $worker = worker();

sub send_login {
    my $socket = connect_gateway();

    print {$socket} "POST /my-login HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\nAuthorization: " . basic(@_) . "\r\n\r\n";
    $socket->flush;

    return $socket;
}

# many at once, known and unknown, right and wrong
my @sockets = map { (send_login($user, $password), send_login($user, 'wrong'),
    send_login("nobody$_\@example.com", 'x')) } 1 .. 40;

is(http(POST => '/validate', Authorization => bearer())->code, 200,
    'tokens are checked meanwhile');
is(http(GET => '/jobs', Authorization => bearer())->code, 200,
    'and the store is asked');

my %count;
my $retry = 0;

for my $socket (@sockets) {
    my $response = read_response($socket);

    $count{$response->code}++;
    $retry++ if $response->code == 503 && $response->header('Retry-After');
}

my $told = join ', ', map { "$count{$_} times $_" } sort keys %count;

is(join(' ', sort keys %count), '200 401 503', "each is answered: $told");
is($retry, $count{503}, 'who is refused is told to come again');

wait_for(sub { http(GET => '/status')->content =~ /Active connections: 1 / },
    'all to be over');

my @threads = glob "/proc/$worker/task/*";
cmp_ok(scalar @threads, '<', 32, 'there are as many threads as are configured');

# no hash is made of these
for my $long ('x' x 257, 'x' x 4000) {
    is(http(POST => '/my-login', Authorization => basic($user, $long))->code,
        401, 'a password of ' . length $long);
}

is(http(POST => '/my-login', Authorization => basic($user, $password))->code,
    200, 'afterwards it is as before');
