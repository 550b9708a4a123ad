# Tokens that are good no longer: POST /logout, v2m-user, v2m_revocation.

use lib 't/lib';
use V2M;

# One block needs what the one before it left in the database.
no_shuffle();
workers(2);

our $password = 'a long password';
our $kept;

our $mysql = V2M::Relay->new($ENV{MYSQL_HOST}, $ENV{MYSQL_PORT});
our $relay = 'MYSQL_HOST=127.0.0.1' . "\n" . 'MYSQL_PORT=' . $mysql->port;

# As what is shipped, but with a list that is read more often.
our $http = <<'EOC';
v2m_storage_pool v2m_storage;
v2m_login_pool v2m_login;
v2m_revocation zone=revoked:256k interval=200ms;
EOC
our $locations = <<'EOC';
v2m_problem_details on;
location = /login { v2m_login; }
location = /validate { v2m_validate; }
location = /logout { v2m_logout; }
location = /healthz { v2m_health; }
location /files/ { v2m_auth on; alias html/; }
EOC

add_block_preprocessor(sub {
    my $block = shift;

    return if defined $block->must_die;

    $block->set_value(bare => '');
    $block->set_value(http_config => $block->http_config // $http);
    $block->set_value(config => $locations);
});

sub login {
    return http(POST => '/login', Authorization => basic(shift, $password))
        ->content;
}

sub status {
    return http(POST => '/validate', Authorization => 'Bearer ' . shift)->code;
}

sub logout {
    return http(POST => '/logout', Authorization => 'Bearer ' . shift);
}

sub wait_refused {
    my ($token, $what) = @_;

    wait_for(sub { status($token) == 401 }, "the refusal: $what");
    pass("refused: $what");
}

run_tests();

__DATA__

=== TEST 1: POST /logout
--- scenario
my $user = make_user($password);
my ($one, $other) = (login($user), login($user));

is(status($one), 200, 'good, and remembered');
is(http(POST => '/logout')->code, 401, 'without a token');
is(http(GET => '/logout', Authorization => "Bearer $one")->code, 405,
    'another method');

my $response = logout($one);
is($response->code, 204, 'logged out');
is($response->content, '', 'nothing to say');

$response = http(POST => '/validate', Authorization => "Bearer $one");
is($response->code, 401, 'refused from then on');
is($response->header('WWW-Authenticate'),
    'Bearer realm="v2m", error="invalid_token"', 'challenge');
is(decode_json($response->content)->{detail}, 'the token was revoked',
    'and told why');
is(http(GET => '/files/index.html', Authorization => "Bearer $one")->code, 401,
    'in other locations as well');
is(logout($one)->code, 401, 'once is enough');
is(status($other), 200, 'the user has another token');

$kept = $one;



=== TEST 2: it is known after a restart
--- scenario
wait_refused($kept, 'read from the database');



=== TEST 3: and in all worker processes, before and after a reload
--- scenario
wait_for(sub { worker_pids() == 2 }, 'the workers');

my $token = login(make_user($password));
status($token) for 1 .. 20;

is(logout($token)->code, 204, 'logged out');
is(scalar(grep { status($token) != 401 } 1 .. 30), 0, 'everywhere');

my @old = worker_pids();
kill HUP => master();
wait_for(sub { !grep { -e "/proc/$_" } @old }, 'the old workers to end');
wait_for(sub { eval { http(GET => '/healthz')->code == 200 } }, 'the new ones');
is(scalar(grep { status($token) != 401 } 1 .. 10), 0,
    'they know it at once');



=== TEST 4: a token without a jti
--- scenario
my ($one, $other) = map { token(jti => undef, exp => time() + $_) } 100, 200;

is(logout($one)->code, 204, 'logged out');
is(status($one), 401, 'refused');
is(status($other), 200, 'another of the same user');



=== TEST 5: v2m-user logout, passwd, disable and delete
--- scenario
for my $command (qw(logout passwd disable delete)) {
    my ($user, $somebody) = map { make_user($password) } 1, 2;
    my ($token, $else) = (login($user), login($somebody));

    is(status($token), 200, "$command: good before");
    v2m_user($command, $command eq 'logout' ? uc $user : $user,
        "$password\n");
    wait_refused($token, $command);
    is(status($else), 200, "$command: somebody else's");

    my $again = http(POST => '/login', Authorization => basic($user, $password));
    my $may = $command eq 'logout' || $command eq 'passwd';
    is($again->code, $may ? 200 : 401, "$command: a new login");
    is(status($again->content), 200, "$command: its token is good") if $may;
}



=== TEST 6: users of other issuers are in no table
--- scenario
my $token = token(username => 'Somebody of ' . unique());
my ($name) = decode_json(decode_base64url((split /\./, $token)[1]))->{username};

v2m_user('logout', $name);
wait_refused($token, 'by its name');



=== TEST 7: F17, the database goes away: what is known stays in force
--- env eval: $main::relay
--- scenario
my $user = make_user($password);
my ($one, $other) = (login($user), login($user));

is(logout($one)->code, 204, 'logged out');
$main::mysql->stop;

wait_for(sub { error_log_text() =~ /cannot read which tokens were revoked/ },
    'the warning');
is(status($one), 401, 'what was revoked stays so');
is(status($other), 200, 'what is good goes on');
is(logout($other)->code, 503, 'no logout');
is(status($other), 200, 'so it was none');

$main::mysql->start;
wait_for(sub { error_log_text() =~ /which tokens were revoked can be read/ },
    'the end of it');
is(logout($other)->code, 204, 'a logout');
is(scalar(() = error_log_text() =~ /cannot read which/g), 1, 'one warning');



=== TEST 8: F17, the database is away from the start
--- init
--- env
MYSQL_PORT=1
--- scenario
wait_for(sub { error_log_text() =~ /cannot read which tokens were revoked/ },
    'the warning');
is(status(token()), 200, 'valid tokens are good');



=== TEST 9: a zone that is full makes nothing good
--- http_config
v2m_storage_pool v2m_storage;
v2m_login_pool v2m_login;
v2m_revocation zone=revoked:32k interval=200ms;
--- scenario
my $user = make_user($password);
my ($one, $other) = (login($user), login($user));
my $later = time() + 1000;

is(logout($one)->code, 204, 'logged out');
is(status($other), 200, 'not the other');

sql('INSERT INTO revoked (what, name, issued, expires, added) VALUES '
    . join ',', map { "('token', '" . sprintf('%08x' . 'f' x 56, $_)
    . "', 0, $later, UNIX_TIMESTAMP())" } 1 .. 900);

wait_for(sub { error_log_text() =~ /more tokens are revoked than the zone/ },
    'the alarm');
sql("DELETE FROM revoked WHERE name LIKE '%ffffffffffff'");

is(status($one), 401, 'what was revoked stays so');
is(status($other), 401, 'and everybody is logged out');

my $again;
wait_for(sub { status($again = login($user)) == 200 }, 'a new login');
is(logout($again)->code, 204, 'which can be revoked');
is(status($again), 401, 'and is');
--- allow_log
more tokens are revoked than the zone



=== TEST 10: v2m_logout needs the list
--- http_config
--- bare
--- config
location = /logout { v2m_logout; }
--- must_die: 1
--- error_log
"v2m_logout" needs "v2m_revocation zone=NAME:SIZE" in the http block



=== TEST 11: v2m_revocation without a zone
--- bare
--- http_config
v2m_revocation interval=1s;
--- must_die: 1
--- error_log
"v2m_revocation" directive needs "zone=NAME:SIZE"



=== TEST 12: a zone that is too small
--- bare
--- http_config
v2m_revocation zone=x:4k;
--- must_die: 1
--- error_log
the size of the zone "x" must be 32k or more



=== TEST 13: a zone without a size
--- bare
--- http_config
v2m_revocation zone=x;
--- must_die: 1
--- error_log
"v2m_revocation" directive needs "zone=NAME:SIZE"



=== TEST 14: an interval that is none
--- bare
--- http_config
v2m_revocation zone=x:1m interval=2h;
--- must_die: 1
--- error_log
"v2m_revocation" directive must have an interval from 100ms to 1h



=== TEST 15: another parameter
--- bare
--- http_config
v2m_revocation zone=x:1m on;
--- must_die: 1
--- error_log
invalid parameter "on"



=== TEST 16: twice
--- bare
--- http_config
v2m_revocation zone=x:1m;
v2m_revocation zone=y:1m;
--- must_die: 1
--- error_log
"v2m_revocation" directive is duplicate
