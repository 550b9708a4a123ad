# v2m_login_limit: growing delays after failed logins.

use lib 't/lib';
use V2M;

our $password = 'correct horse battery';
our $user     = make_user($password);
our $other    = make_user($password);
our @some     = map { make_user($password) } 1 .. 4;
our $mysql    = V2M::Relay->new($ENV{MYSQL_HOST}, $ENV{MYSQL_PORT});

add_block_preprocessor(sub {
    my $block = shift;

    $mysql->start;

    # who is behind a proxy says so; limits are the block's own
    if (defined $block->limit) {
        (my $limit = $block->limit) =~ s/\n//;
        $block->set_value(config => ($block->config // '')
            . "\nset_real_ip_from 127.0.0.1;\nreal_ip_header X-Forwarded-For;\n"
            . "location = /limited { v2m_login; v2m_login_limit $limit; }\n");
    }
});

# login(EMAIL, PASSWORD [, ADDRESS]): the response
sub login {
    my ($email, $password, $address) = @_;

    return http(POST => '/limited', Authorization => basic($email, $password),
        defined $address ? ('X-Forwarded-For' => $address) : ());
}

# ... its status
sub code { return login(@_)->code }

# ... its status, once no delay is in the way
sub code_in_time {
    my @login = @_;

    return wait_for(sub { my $code = code(@login); $code != 429 && $code },
        'the delay to be over');
}

run_tests();

__DATA__

=== TEST 1: S9, an account from one address, and a success ends it
--- limit
zone=x:64k pair=3 delay=1s
--- scenario
is(code($user, 'guess'), 401, 'a guess') for 1 .. 4;

my $response = login($user, $password);

is($response->code, 429, 'then not even the right password');
is($response->header('Retry-After'), 1, 'Retry-After');
is($response->header('Content-Type'), 'application/problem+json', 'type');
is(decode_json($response->content)->{detail},
    'too many failed logins, try again in 1 s', 'detail');
is(code(uc $user, $password), 429, 'nor by the name in capitals');
is(code("$user ", $password), 429, 'nor with a space behind');
is(code($other, $password), 200, 'another account');
is(code($user, $password, '10.1.1.1'), 200, 'another address');

is(code_in_time($user, $password), 200, 'in time');
is(code($user, 'guess'), 401, 'from the beginning') for 1 .. 4;
is(code($user, 'guess'), 429, 'and as before');



=== TEST 2: S9, the delay grows up to the longest
--- limit
zone=x:64k pair=1 delay=300ms max=1100ms
--- scenario
my @retry;

for (1 .. 5) {
    is(code_in_time($user, 'guess'), 401, 'a guess');
    my $response = login($user, 'guess');
    push @retry, $response->code == 429 ? $response->header('Retry-After') : 0;
}

is("@retry", '0 1 2 2 2', 'none, 0.6 s, 1.1 s, 1.1 s, 1.1 s');



=== TEST 3: S9, an address that tries one account after the other
--- limit
zone=x:64k address=3 delay=5m
--- scenario
is(code($other, $password, '10.1.1.1'), 200, 'one who is known there');
is(code($_, 'guess', '10.1.1.1'), 401, 'a guess') for @some;

is(code($user, $password, '10.1.1.1'), 429, 'the address has to wait');
is(code('nobody@example.com', 'x', '10.1.1.1'), 429, 'for any account');
is(code($other, $password, '10.1.1.1'), 200, 'but for who is known there');
is(code($user, $password, '10.1.1.1'), 429, 'which lets nobody else in');
is(code($user, $password, '10.1.1.2'), 200, 'another address');

like(error_log_text(), qr/\[warn\].* 3 failed logins from this address/, 'log');



=== TEST 4: S9, a success of one's own does not help with the accounts of others
--- limit
zone=x:64k address=3 delay=5m
--- scenario
my @codes = map { (code($_, 'guess'), code($other, $password)) } @some;

is("@codes", join(' ', ('401 200') x 4), 'every other one is a success');
is(code($user, 'guess'), 429, 'the failures count all the same');
is(code($other, $password), 200, 'and the success');



=== TEST 5: S9, an account that is tried from many addresses, whose owner is not locked out
--- limit
zone=x:64k account=3 delay=5m
--- scenario
is(code($user, $password, '192.0.2.1'), 200, 'at home');
is(code($user, 'guess', "10.1.1.$_"), 401, 'a guess') for 1 .. 4;

is(code($user, 'guess', '10.1.1.5'), 429, 'no more');
is(code($user, $password, '192.0.2.1'), 200, 'at home');
is(code($user, 'guess', "10.1.1.$_"), 401, 'which begins anew') for 6 .. 9;
is(code($user, 'guess', '10.1.1.10'), 429, 'no more');
is(code($other, 'guess', '10.1.1.10'), 401, 'another account');



=== TEST 6: S9, addresses are those behind the proxy, of IPv6 the network
--- limit
zone=x:64k pair=1 delay=5m
--- scenario
is(code($user, 'guess', '2001:db8:0:1::1'), 401, 'a guess');
is(code($user, 'guess', '2001:db8:0:1:ffff::2'), 401, 'and from beside it');
is(code($user, 'guess', '2001:db8:0:1::3'), 429, 'no more from that network');
is(code($user, 'guess', '2001:db8:0:2::1'), 401, 'another network');

is(code($user, 'guess', '10.1.1.1'), 401, 'IPv4');
is(code($user, 'guess', '::ffff:10.1.1.1'), 401, 'the same in IPv6');
is(code($user, 'guess', '10.1.1.1'), 429, 'no more');
is(code($user, 'guess', '10.1.1.2'), 401, 'its neighbour');



=== TEST 7: S9, who asks many times at once gets no more answers
--- limit
zone=x:64k pair=4 delay=5m
--- scenario
my $request = "POST /limited HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
    . basic('nobody@example.com', 'guess') . "\r\nConnection: close\r\n\r\n";
my @sockets = map { my $socket = connect_gateway(); print $socket $request;
    $socket->flush; $socket } 1 .. 20;
my @codes = sort map { read_response($_)->code } @sockets;

is("@codes", join(' ', (401) x 5, (429) x 15), 'as one after the other');



=== TEST 8: S9, a reload forgets nothing
--- limit
zone=x:64k pair=1 delay=5m
--- scenario
my $worker = worker();

is(code($user, 'guess'), 401, 'a guess') for 1, 2;
is(code($user, $password), 429, 'no more');

kill HUP => master();
wait_for(sub { !kill 0 => $worker }, 'the old worker to end');

is(code($user, $password), 429, 'nor after the reload');
is(code($other, $password), 200, 'another');



=== TEST 9: a failure of the database is nobody's
--- limit
zone=x:64k pair=1 address=1 account=1 delay=5m
--- env eval
"MYSQL_HOST=127.0.0.1\nMYSQL_PORT=" . $main::mysql->port
--- scenario
$mysql->stop;
is(code($user, $password), 503, 'away') for 1 .. 4;
$mysql->start;
is(code($user, $password), 200, 'back');



=== TEST 10: S9, a full zone forgets those first that delay nobody
--- limit
zone=x:32k pair=2 address=2 delay=5m
--- scenario
is(code($user, 'guess', '192.0.2.1'), 401, 'a guess') for 1 .. 3;
is(code($user, 'guess', '192.0.2.1'), 429, 'no more');

my %codes;

for my $n (0 .. 299) {
    $codes{code($some[$n % 4], 'guess', "10.1." . ($n >> 7) . '.' . ($n & 127))}++;
}

is(join(' ', %codes), '401 300', 'more guesses than the zone has room for');
is(code($user, 'guess', '192.0.2.1'), 429, 'still no more');



=== TEST 11: S9, other spellings of one account cannot clear each other's failures
--- limit
zone=x:64k pair=2 delay=5m
--- scenario
my $spelled = $user =~ s/^test/t\xc3\xa9st/r;

is(code($spelled, $password), 200, 'the database knows it by that name');
is(code($spelled, 'guess'), 401, 'a guess') for 1, 2;
is(code($other =~ s/^test/t\xc3\xa9st/r, $password), 200, 'one of his own');
is(code($spelled, 'guess'), 401, 'a guess');
is(code($spelled, 'guess'), 429, 'no more');



=== TEST 12: not without a header, and not where it is off
--- http_config
v2m_login_limit zone=x:64k pair=1 delay=5m;
--- config
location = /on { v2m_login; }
location = /off { v2m_login; v2m_login_limit off; }
--- scenario
is(http(POST => '/on')->code, 401, 'no header') for 1 .. 4;
is(http(POST => '/on', Authorization => basic($user, 'x' x 300))->code, 401,
    'nothing to be checked') for 1 .. 4;

my @guess = (Authorization => basic($user, 'guess'));

is(http(POST => '/on', @guess)->code, 401, 'a guess') for 1, 2;
is(http(POST => '/on', @guess)->code, 429, 'no more');
is(http(POST => '/off', @guess)->code, 401, 'a guess') for 1 .. 4;



=== TEST 13: without a zone
--- config
location = /x { v2m_login; v2m_login_limit pair=5; }
--- must_die
--- error_log
"v2m_login_limit" directive needs zone=NAME:SIZE



=== TEST 14: a zone without a size
--- config
location = /x { v2m_login; v2m_login_limit zone=x; }
--- must_die
--- error_log
"v2m_login_limit" directive needs zone=NAME:SIZE



=== TEST 15: a zone that is too small
--- config
location = /x { v2m_login; v2m_login_limit zone=x:16k; }
--- must_die
--- error_log
"v2m_login_limit" directive needs a zone of 32k at least



=== TEST 16: a number that is none
--- config
location = /x { v2m_login; v2m_login_limit zone=x:64k pair=0; }
--- must_die
--- error_log
invalid parameter "pair=0" of "v2m_login_limit"



=== TEST 17: a time that is none
--- config
location = /x { v2m_login; v2m_login_limit zone=x:64k delay=soon; }
--- must_die
--- error_log
invalid parameter "delay=soon" of "v2m_login_limit"



=== TEST 18: something else
--- config
location = /x { v2m_login; v2m_login_limit zone=x:64k burst=5; }
--- must_die
--- error_log
invalid parameter "burst=5" of "v2m_login_limit"



=== TEST 19: a longest delay below the first
--- config
location = /x { v2m_login; v2m_login_limit zone=x:64k delay=1m max=1s; }
--- must_die
--- error_log
"v2m_login_limit" directive has a max below its delay



=== TEST 20: twice
--- config
location = /x { v2m_login; v2m_login_limit off; v2m_login_limit zone=x:64k; }
--- must_die
--- error_log
"v2m_login_limit" directive is duplicate
