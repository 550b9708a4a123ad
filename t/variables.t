# $v2m_user, $v2m_job, $v2m_claim_NAME; and S21, no secret in any log.

use lib 't/lib';
use V2M;

our $password = 'very-secret-' . unique();
our $user     = make_user($password);

run_tests();

__DATA__

=== TEST 1: the user and the job in the log that is shipped
--- config
access_log logs/v2m.log v2m;
--- scenario
my $id = '0123456789abcdef01234567';

http(POST => '/validate', Authorization => bearer(username => 'ann@example.com'));
http(GET => "/jobs/$id?secret=query", Authorization => bearer(
    username => 'bob@example.com'));
http(GET => '/nothing');

my $log = wait_for(sub {
    my $text = log_text('v2m.log');
    $text =~ /nothing/ && $text;
}, 'the log');
my @lines = split /\n/, $log;

like($lines[0], qr{^127\.0\.0\.1 \S+T\S+ "POST /validate" 200 }, 'a request');
like($lines[0], qr{ in=\d+ out=\d+ time=[\d.]+ trace=[0-9a-f]{32} user="ann\@example\.com" job=-$},
    'a user');
like($lines[1], qr{"GET /jobs/$id" 404 .* user="bob\@example\.com" job=$id$},
    'a job');
like($lines[2], qr{"GET /nothing" 404 .* user="-" job=-$}, 'nobody');
unlike($log, qr/query/, 'no query');



=== TEST 2: variables everywhere
--- config
location = /vars {
    v2m_auth on;
    add_header X-User $v2m_user;
    add_header X-Tenant $v2m_claim_tenant;
    add_header X-Admin $v2m_claim_admin;
    add_header X-Groups $v2m_claim_groups;
    add_header X-Level $v2m_claim_level;
    add_header X-Under-Score $v2m_claim_under_score;
    add_header X-None $v2m_claim_none;
    alias html/index.html;
}
--- scenario
my $response = http(GET => '/vars', Authorization => bearer(
    username => 'ann@example.com', tenant => 'blue', level => 7,
    admin => JSON::PP::true, groups => ['a', 'b'], under_score => 'yes'));

is($response->header('X-User'), 'ann@example.com', 'user');
is($response->header('X-Tenant'), 'blue', 'text');
is($response->header('X-Admin'), 'true', 'boolean');
is($response->header('X-Groups'), '["a","b"]', 'array');
is($response->header('X-Level'), '7', 'number');
is($response->header('X-Under-Score'), 'yes', 'underscore');
is($response->header('X-None'), undef, 'none');



=== TEST 3: S14, a claim cannot break a log line or a header
--- config
access_log logs/v2m.log v2m;
location = /vars {
    v2m_auth on;
    access_log logs/vars.log claims;
    add_header X-Note "[$v2m_claim_note]";
    proxy_set_header X-Note "[$v2m_claim_note]";
    proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/echo;
}
location = /echo { return 200 "$http_x_note $http_x_evil"; }
--- http_config
log_format claims '[$v2m_claim_note]';
--- scenario
http(POST => '/validate', Authorization => bearer(username => qq(ann" job=1)));
http(GET => '/vars', Authorization => bearer(note => q(a"] forged)));

wait_for(sub { log_text('v2m.log') && log_text('vars.log') }, 'the logs');
like(log_text('v2m.log'), qr/ user="ann\\x22 job=1" job=-$/m, 'quote');
is(log_text('vars.log'), '[a\x22] forged]' . "\n", 'quote');

for my $break ("\r\n", "\n", "\r") {
    my $response = http(GET => '/vars',
        Authorization => bearer(note => "a${break}X-Evil: yes"));

    is($response->code, 200, 'the answer');
    is($response->header('X-Note'), '[]', 'a text of two lines is none');
    is($response->header('X-Evil'), undef, 'no other header of the answer');
    is($response->content, '[] ', 'nor of the request that is passed on');
}



=== TEST 4: in a map
--- config
location = /map { v2m_auth on; add_header X-Plan $plan; alias html/index.html; }
--- http_config
map $v2m_user $plan { ~@example\.com$ staff; default guest; }
--- scenario
is(http(GET => '/map', Authorization => bearer(username => "$_->[0]"))
    ->header('X-Plan'), $_->[1], $_->[0])
    for ['ann@example.com', 'staff'], ['bob@example.org', 'guest'];



=== TEST 5: S9, the account that a login is about, for limits
--- bare
--- config
location = /login {
    add_header X-Account "[$v2m_account]" always;
    v2m_login;
}
location = /healthz { v2m_health; }
--- scenario
sub account {
    return http(POST => '/login', @_)->header('X-Account');
}

is(account(Authorization => basic('Ann@Example.COM', 'x')),
    '[ann@example.com]', 'lower case');
is(account(Authorization => basic('ann@example.com  ', 'x')),
    '[ann@example.com]', 'spaces behind');
is(account(Authorization => basic("\xc3\xa4nn\@example.com", 'x')), '[other]',
    'not ASCII');
is(account(Authorization => basic("ann\0", 'x')), '[other]', 'zero');
is(account(Authorization => basic('x' x 300, 'x')), '[other]', 'too long');
is(account(Authorization => 'Basic !'), '[]', 'bad base64');
is(account(), '[]', 'none');



=== TEST 6: S21, no secret in any log
--- config
access_log logs/v2m.log v2m;
--- http_config
--- scenario
my $good = http(POST => '/login', Authorization => basic($user, $password))
    ->content;
my $expired = token(exp => time() - 1000);
my $forged = token(secret => 'q' x 40);

for my $authorization (basic($user, "$password-wrong"), basic($user, ''),
    basic('nobody@example.com', $password), 'Basic !!!!', "Bearer $good",
    "Bearer $expired", "Bearer $forged", "Bearer $good.x", "bearer  $good",
    'Bearer ' . 'A' x 8500)
{
    http($_->[0] => $_->[1], Authorization => $authorization)
        for [POST => '/validate'], [GET => '/jobs'], [POST => '/upload'],
            [POST => '/login'], [GET => '/download?fid=1'], [GET => '/nothing'];
}

http2(POST => '/login', Authorization => basic($user, $password));
http2(GET => '/jobs', Authorization => "Bearer $good");

my $logs = error_log_text() . access_log_text() . log_text('v2m.log');
my @secrets = ($password, "$password-wrong", $good, $expired, $forged,
    jwt_secret(), $ENV{MYSQL_PASSWORD},
    $ENV{V2M_AMQP_URL} =~ m{://[^:]+:([^@]+)@}, map { s/^\S+ //r }
    basic($user, $password), basic($user, "$password-wrong"),
    basic('nobody@example.com', $password));

for my $secret (@secrets) {
    # a part would be too much already
    my $part = length $secret > 40 ? substr $secret, -30 : $secret;
    is(index($logs, $part), -1, 'not in the logs');
}

like($logs, qr/v2m: a token was refused/, 'there was something to log');
like($logs, qr/v2m: a login was refused/, 'there was something to log');



=== TEST 7: a trace: that of the request, or a new one
--- config
location = /trace {
    add_header X-Traceparent $v2m_traceparent;
    add_header X-Trace "$v2m_trace $v2m_trace";
    alias html/index.html;
}
--- scenario
my ($trace, $parent) = ('0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331');
my $given = "00-$trace-$parent-01";

sub traced {
    my $response = http(GET => '/trace', @_);
    my ($id, $same) = split / /, $response->header('X-Trace');

    is($id, $same, 'one for all of the request');
    is((split /-/, $response->header('X-Traceparent'))[1], $id, 'of it');
    return $response->header('X-Traceparent');
}

is(traced(traceparent => $given), $given, 'as it was given');
is(traced(TraceParent => $given), $given, 'in other letters');
is(traced(traceparent => "01-$trace-$parent-01-more"), $given, 'a later version');

my %seen;

for my $bad ([], [traceparent => "00-" . '0' x 32 . "-$parent-01"],
    [traceparent => "ff-$trace-$parent-01"], [traceparent => "$given-more"],
    [traceparent => uc $given], [traceparent => 'none'],
    [traceparent => $given, traceparent => $given])
{
    my $new = traced(@$bad);

    like($new, qr/^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-00$/, 'new');
    unlike($new, qr/$trace/, 'another one');
    ok(!$seen{$new}++, 'never the same');
}
