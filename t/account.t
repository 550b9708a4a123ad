# POST /register, /password/reset and /password: v2m_register,
# v2m_password_reset, v2m_password.  Here the suite itself does what the
# notifier does between them, but for the mail.

use lib 't/lib';
use V2M;

use Cwd qw(getcwd);
use Digest::SHA qw(sha256_hex);
use Encode ();
use IO::Select;
use IPC::Open2 qw(open2);
use MIME::Base64 qw(encode_base64url);

our $password = 'correct horse battery';
our $json     = 'application/json';
our $form     = 'application/x-www-form-urlencoded';
our $mysql    = V2M::Relay->new($ENV{MYSQL_HOST}, $ENV{MYSQL_PORT});
our $relay    = "MYSQL_HOST=127.0.0.1\nMYSQL_PORT=" . $mysql->port;
our $shipped  = 'include ' . getcwd() . '/nginx-conf/v2m-accounts.conf;';

# As what is shipped, but for the limits, which have blocks of their own.
our $locations = <<'EOC';
location = /register { v2m_register; }
location = /password/reset { v2m_password_reset; v2m_reset_age 10m; }
location = /password { v2m_password; }
EOC

our $refused = 'the link is not valid, or not valid any more: ask for a new one';

add_block_preprocessor(sub {
    my $block = shift;

    $mysql->start;
    $block->set_value(config => $block->config // $locations)
        unless defined $block->must_die || defined $block->bare;
});

our @addresses;

# An address that nobody has.
sub address {
    push @addresses, 'test-' . unique() . '@example.com';
    return $addresses[-1];
}

# post(PATH, FIELDS [, HEADER => VALUE...]): the response.
sub post {
    my ($path, $fields, @headers) = @_;

    return http(POST => $path, 'Content-Type' => $json,
        body => ref $fields ? JSON::PP->new->utf8->encode($fields) : $fields,
        @headers);
}

sub detail { return decode_json($_[0]->content)->{detail} }

# "STATUS DETAIL"
sub problem {
    my $response = shift;

    is($response->header('Content-Type'), 'application/problem+json', 'type');
    return $response->code . ' ' . detail($response);
}

# The requests of an address that were not in vain: purpose, lifetime.
sub requests {
    my $email = shift;

    return gateway_sql('SELECT purpose, lifetime FROM account_request '
        . "WHERE email = '$email' AND expires > UNIX_TIMESTAMP() ORDER BY id");
}

# link(PURPOSE, EMAIL [, SECONDS]): a token as it is mailed.
sub link_of {
    my ($purpose, $email, $seconds) = @_;
    my $token  = substr encode_base64url(pack 'H*',
        sha256_hex(unique() . $email)), 0, 43;
    my $digest = sha256_hex($token);
    $seconds //= 600;

    gateway_sql("INSERT INTO account_request (purpose, email, lifetime, asked, "
        . "expires, due, waiting, digest, token_until) VALUES ('$purpose', "
        . "'$email', 600, UNIX_TIMESTAMP(), UNIX_TIMESTAMP() + 600, 0, NULL, "
        . "'$digest', UNIX_TIMESTAMP() + $seconds)");

    return $token;
}

sub login {
    return http(POST => '/login', Authorization => basic(@_));
}

sub status {
    return http(POST => '/validate', Authorization => 'Bearer ' . shift)->code;
}

# begin(PATH, FIELDS): the connection of a request that is not waited for.
sub begin {
    my ($path, $fields) = @_;
    my $body   = JSON::PP->new->utf8->encode($fields);
    my $socket = connect_gateway();

    print {$socket} "POST $path HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Type: $json\r\nContent-Length: " . length($body)
        . "\r\nConnection: close\r\n\r\n$body";
    $socket->flush;

    return $socket;
}

run_tests();

END {
    local $?;
    gateway_sql("DELETE FROM account_request WHERE email LIKE '%test-%'");
    sql('DELETE FROM user WHERE email IN ('
        . join(', ', map { "'$_'" } @addresses) . ')') if @addresses;
}

__DATA__

=== TEST 1: POST /register and /password/reset, by JSON and by a form
--- scenario
my ($one, $other) = (address(), address());

my $response = post('/register', { email => $one, more => [1] });
is($response->code, 202, 'JSON');
is($response->header('Content-Type'), 'application/json', 'type');
is($response->header('Cache-Control'), 'no-store', 'not to be stored');
like(decode_json($response->content)->{message}, qr/a mail .* on its way/,
    'a message');
is(requests($one), "register\t86400\n", 'asked for');

$response = http(POST => '/password/reset', body => "a=b&email="
    . ($other =~ s/@/%40/r), 'Content-Type' => "$form; charset=utf-8");
is($response->code, 202, 'a form');
is(requests($other), "reset\t600\n", 'asked for');

is(post('/register', { email => $one })->code, 202, 'again');
is(requests($one), "register\t86400\n", 'one mail is enough');



=== TEST 2: S21, what is asked and set gets into no log
--- scenario
my $email = address();
my $token = link_of(register => $email);

post('/register', { email => $email });
is(post('/password', { token => $token, password => $password })->code, 204,
    'set');
unlike(error_log_text() . access_log_text(), qr/\Q$token\E|correct horse/,
    'neither token nor password');
unlike(error_log_text() . access_log_text(), qr/\Q$email\E/, 'nor the address');



=== TEST 3: S11, the same answer for known, unknown and disabled accounts
--- scenario
my %emails = (
    known    => make_user($password),
    disabled => make_user($password, disabled => 1),
    unknown  => address(),
);

for my $path ('/register', '/password/reset') {
    my %answers;

    while (my ($what, $email) = each %emails) {
        my $response = post($path, { email => $email });
        my %headers  = map { $_ => 1 } $response->header_field_names;
        my $answer   = join "\n", $response->code, sort(keys %headers),
            $response->content;
        push @{$answers{$answer}}, $what;
    }

    is(scalar(keys %answers), 1, "$path: nothing tells them apart");
}

is(requests($emails{$_}), "register\t86400\nreset\t600\n", "$_: asked for")
    for sort keys %emails;



=== TEST 4: bodies that are no such form
--- scenario
my $fields = { email => address() };
my $types  = 'send the fields as application/json or as '
    . 'application/x-www-form-urlencoded';
my $object = 'the body must be one JSON object, with each field once';

for my $path ('/register', '/password/reset') {
    my $get = http(GET => $path);
    is($get->code, 405, 'GET');
    is($get->header('Allow'), 'POST', 'Allow');

    is(problem(http(POST => $path, body => 'x')), "415 $types", 'no type');
    is(problem(http(POST => $path, body => 'x', 'Content-Type' => $_)),
        "415 $types", $_) for 'text/plain', 'application/jsonx',
        'multipart/form-data; boundary=x';

    is(problem(post($path, $_)), "400 $object", "JSON: $_") for '', '{', '[]',
        '"a@example.org"', '{"email":"a@b"} {}', "{\"email\":\"a\0\@b\"}",
        '{"email":"a@b","email":"c@d"}', "{\"email\":\"\xff\@b\"}",
        '{"email":"a\u0000@b"}', '[' x 2000;
    is(problem(post($path, $_)), '400 the field "email" must be a string',
        "JSON: $_") for '{"email":null}', '{"email":["a@b"]}', '{"email":1}';
    is(problem(post($path, '{}')), '400 the field "email" is missing', 'none');

    my $send = sub { http(POST => $path, 'Content-Type' => $form, @_) };
    is(problem($send->()), '400 the field "email" is missing', 'no body');
    is(problem($send->(body => 'Email=a@b&e=1&email2')),
        '400 the field "email" is missing', 'others');
    is(problem($send->(body => 'email=a@b&email=c@d')),
        '400 the field "email" is there twice', 'twice');
    is(problem($send->(body => "email=$_")), '400 the field "email" must be '
        . 'text in UTF-8 without zero bytes', $_) for 'a%00@b', '%ff@b';
}



=== TEST 5: S15, bodies that are too large, by their length and without one
--- scenario
for my $path ('/register', '/password/reset', '/password') {
    my $body = '{"email":"' . 'x' x 4100 . '"}';

    is(problem(http(POST => $path, 'Content-Type' => $json,
        'Content-Length' => 60000)),
        '413 the body must not be larger than 4 KiB', 'said so');
    is(problem(post($path, $body)),
        '413 the body must not be larger than 4 KiB', 'by its length');

    is(problem(http(POST => $path, 'Content-Type' => $json,
        'Transfer-Encoding' => 'chunked',
        body => sprintf("%x\r\n%s\r\n0\r\n\r\n", length $body, $body))),
        '413 the body must not be larger than 4 KiB', 'chunked');
}

my $email  = address();
my $chunks = join '', map { "1\r\n$_\r\n" } split //, "{\"email\":\"$email\"}";

is(http(POST => '/register', 'Content-Type' => $json,
    'Transfer-Encoding' => 'chunked', body => "${chunks}0\r\n\r\n")->code, 202,
    'chunked, and small');
is(requests($email), "register\t86400\n", 'asked for');
is(http2(POST => '/register', 'content-type' => $json,
    body => "{\"email\":\"$email\"}")->code, 202, 'HTTP/2');



=== TEST 6: S14, addresses that are none, or would be more in a mail
--- scenario
my $before = gateway_sql('SELECT COUNT(*) FROM account_request');

for my $path ('/register', '/password/reset') {
    for my $email ('', 'nobody', '@', 'a@', "a\@example.org\r\nBcc: b\@c.org",
        "a\@example.org\n", 'a@example.org ', 'a@example.org,b@example.org',
        'Ann <a@example.org>', '"a b"@example.org', "a\@b\x{e4}.org",
        "\x{e4}\@example.org", 'a@[127.0.0.1]', 'a b@example.org',
        'a' x 65 . '@example.org', 'a@' . 'b.' x 130 . 'org', 'x' x 4000,
        "a'; DROP TABLE user; -- \@example.org")
    {
        my $response = post($path, { email => $email });
        is($response->code, 422, substr $email, 0, 40);
    }
}

is(gateway_sql('SELECT COUNT(*) FROM account_request'), $before,
    'none of them was asked for');



=== TEST 7: S9, limits for an account and for an address, of which logins know nothing
--- config
set_real_ip_from 127.0.0.1;
real_ip_header X-Forwarded-For;
v2m_login_limit zone=x:64k pair=2 address=4 account=3 delay=5m;
location = /register { v2m_register; }
location = /password/reset { v2m_password_reset; }
location = /password { v2m_password; }
location = /limited { v2m_login; }
--- scenario
my $user = make_user($password);
my $ask  = sub {
    my ($path, $email, $address) = @_;
    return post($path, { email => $email }, 'X-Forwarded-For' => $address);
};

my $one = address();
is($ask->('/register', $one, '10.1.1.1')->code, 202, 'asked') for 1 .. 3;
my $response = $ask->('/register', $one, '10.1.1.1');
is(problem($response),
    '429 too many requests to register, try again in 300 s', 'a pair');
is($response->header('Retry-After'), 300, 'Retry-After');
is($ask->('/password/reset', $one, '10.1.1.1')->code, 202, 'another call');
is($ask->('/register', uc $one, '10.1.1.2')->code, 202, 'another address');
is($ask->('/register', $one, '10.1.1.3')->code, 429, 'the account is at its end');

is($ask->('/password/reset', address(), '10.1.1.4')->code, 202, 'asked')
    for 1 .. 5;
is(problem($ask->('/password/reset', address(), '10.1.1.4')),
    '429 too many requests to reset a password, try again in 300 s',
    'an address, whatever the account');

my $use = sub {
    return post('/password', { token => $_[0], password => $password },
        'X-Forwarded-For' => '10.1.1.5');
};
is($use->('x' x 43)->code, 403, 'a guess') for 1 .. 4;
is($use->(link_of(reset => $user))->code, 204, 'a good one does not count');
is($use->('x')->code, 403, 'a guess');
is(problem($use->(link_of(reset => $user))),
    '429 too many links that are not valid, try again in 300 s', 'guesses');

is(http(POST => '/limited', Authorization => basic($user, $password),
    'X-Forwarded-For' => "10.1.1.$_")->code, 200, 'a login') for 1, 4, 5;



=== TEST 8: POST /password makes an account, once
--- scenario
my $email = address();
my $token = link_of(register => $email);
my $more  = link_of(register => $email);

is(login($email, $password)->code, 401, 'nobody yet');

my $response = post('/password', { token => $token, password => $password });
is($response->code, 204, 'made');
is($response->content, '', 'nothing to say');
is($response->header('Cache-Control'), 'no-store', 'not to be stored');
is(login($email, $password)->code, 200, 'and good for a login');
is(sql("SELECT admin, disabled, password LIKE '\$y\$%' FROM user "
    . "WHERE email = '$email'"), "0\t0\t1\n", 'an ordinary one');

is(problem(post('/password', { token => $_, password => 'another one' })),
    "403 $refused", 'a link is good once, as are all of the address')
    for $token, $more;
is(login($email, $password)->code, 200, 'nothing changed');
is(requests($email), '', 'nothing is left');



=== TEST 9: POST /password sets a password, and ends what the old one was good for
--- scenario
my $user = make_user($password);
my $old  = login($user, $password)->content;
is(status($old), 200, 'logged in');

my $token = link_of(reset => uc $user);
my $response = http(POST => '/password', 'Content-Type' => $form,
    body => "token=$token&password=%C3%A4nother+one%21");
is($response->code, 204, 'by a form');

my $new = login($user, "\xc3\xa4nother one!");
is($new->code, 200, 'the new one is good');
is(status($new->content), 200, 'and its token, at once');
is(status($old), 401, 'the token of before is not');
is(login($user, $password)->code, 401, 'nor the old password');
is(sql("SELECT COUNT(*) FROM revoked WHERE what = 'user' AND name = '$user'"),
    "1\n", 'as all gateways will know');



=== TEST 10: S9, who logs in by the old password while it is reset
--- main_config
thread_pool v2m_login threads=4 max_queue=64;
--- scenario
my $user  = make_user($password);
my $token = link_of(reset => $user);
my $login = sub {
    my $socket = connect_gateway();

    print {$socket} "POST /login HTTP/1.1\r\nHost: localhost\r\n"
        . 'Authorization: ' . basic($user, $password)
        . "\r\nConnection: close\r\n\r\n";
    $socket->flush;
    return $socket;
};

my @logins = map { $login->() } 1 .. 6;
my $reset  = begin('/password', { token => $token, password => 'another one' });
push @logins, map { $login->() } 1 .. 6;

is(read_response($reset)->code, 204, 'set');

my @tokens = map { $_->content } grep { $_->code == 200 }
    map { read_response($_) } @logins;
ok(@tokens > 0, 'some came in time');
is(join(' ', map { status($_) } @tokens), join(' ', ('401') x @tokens),
    'none of which is good any more');



=== TEST 11: links that are good for nothing
--- scenario
my $user = make_user($password);
my $off  = make_user($password, disabled => 1);
my $gone = make_user($password);
my %token = (
    expired  => link_of(reset => $user, 0),
    disabled => link_of(reset => $off),
    gone     => link_of(reset => $gone),
    'to register with an address that is disabled' => link_of(register => $off),
    unknown  => 'x' x 43,
    short    => 'x',
    empty    => '',
    long     => 'x' x 3000,
    digest   => sha256_hex(link_of(reset => $user)),
    "' OR ''='" => "' OR ''='" . 'x' x 34,
    accents  => "\x{e4}" x 43,
);
sql("DELETE FROM user WHERE email = '$gone'");

for my $what (sort keys %token) {
    is(problem(post('/password',
        { token => $token{$what}, password => 'another one' })),
        "403 $refused", $what);
}

is(login($user, $password)->code, 200, 'nothing changed');
is(sql("SELECT COUNT(*) FROM user WHERE email = '$gone'"), "0\n", 'nor here');



=== TEST 12: an account whose address only looks like that of the link
--- scenario
my $victim = make_user($password, email => "\xc3\xa4" . (my $rest = address()));

for my $purpose ('register', 'reset') {
    is(problem(post('/password', { token => link_of($purpose => "a$rest"),
        password => 'another one' })), "403 $refused", $purpose);
}

is(login($victim, $password)->code, 200, 'it is as it was');



=== TEST 13: a link to register when there is an account by now
--- scenario
my $email = address();
my $token = link_of(register => uc $email);
make_user($password, email => $email);
my $old = login($email, $password)->content;

is(post('/password', { token => $token, password => 'another one' })->code,
    204, 'whoever has the mails has the account');
is(login($email, 'another one')->code, 200, 'the new password');
is(status($old), 401, 'and the token of before is good no longer');



=== TEST 14: passwords that are too short or too long, which cost no link
--- scenario
my $email  = address();
my $token  = link_of(register => $email);
my $length = '422 the password must have 8 characters or more, and at most '
    . '256 bytes';

is(problem(post('/password', { token => $token, password => $_ })), $length,
    length($_) . ' characters') for '', '1234567', "\x{e4}" x 7,
    "\x{1f511}" x 7, 'x' x 257, "\x{e4}" x 129, 'x' x 3500;

is(problem(post('/password', { token => $token })),
    '400 the field "password" is missing', 'none');
is(problem(post('/password', { password => $password })),
    '400 the field "token" is missing', 'no token');
is(http(GET => '/password')->code, 405, 'GET');

is(post('/password', { token => $token, password => "\x{1f511}" x 64 })->code,
    204, 'as long as can be');
is(login($email, "\xf0\x9f\x94\x91" x 64)->code, 200, 'and good');

for my $new ("\x{e4}" x 8, ' ' x 8, ':12345678', "tab\tand\x01more") {
    $email = address();
    $token = link_of(register => $email);
    is(post('/password', { token => $token, password => $new })->code, 204,
        'whatever is in it');
    is(login($email, Encode::encode_utf8($new))->code, 200, 'and good');
}



=== TEST 15: one link, and two of one address, used by many at once
--- main_config
thread_pool v2m_login threads=8 max_queue=64;
--- scenario
for my $purpose ('register', 'reset') {
    for my $links (1, 2) {
        my $email = $purpose eq 'register' ? address() : make_user($password);
        my @tokens = map { link_of($purpose => $email) } 1 .. $links;

        my @sockets = map {
            begin('/password', { token => $tokens[$_ % $links],
                password => "password $_" })
        } 1 .. 8;

        my @codes = map { read_response($_)->code } @sockets;
        is(join(' ', sort @codes), '204' . ' 403' x 7,
            "$purpose, $links: one of them");

        my ($winner) = grep { $codes[$_ - 1] == 204 } 1 .. 8;
        is(login($email, "password $winner")->code, 200, 'whose password it is');
    }
}



=== TEST 16: F17, the users' database is away, and a link good afterwards
--- env eval
$::relay
--- scenario
my $user  = make_user($password);
my $token = link_of(reset => $user);

$mysql->stop;

for my $response (post('/register', { email => address() }),
    post('/password/reset', { email => address() }),
    post('/password', { token => $token, password => 'another one' }))
{
    is(problem($response),
        '503 a backend of the service is away, try again later', 'away');
    ok($response->header('Retry-After'), 'Retry-After');
}

$mysql->start;
is(wait_for(sub {
    my $code = post('/password',
        { token => $token, password => 'another one' })->code;
    $code != 503 && $code;
}, 'the database'), 204, 'and the link is good');
is(login($user, 'another one')->code, 200, 'set');



=== TEST 17: F17, the users' database hangs: who asks keeps nobody else waiting
--- main_config
thread_pool v2m_storage threads=2 max_queue=64;
--- env eval
$::relay
--- config eval
"$::locations location = /status { stub_status; }"
--- scenario
$mysql->hang;

my @sockets = map { begin('/register', { email => address() }) } 1 .. 4;

wait_for(sub {
    http(GET => '/status')->content =~ /Active connections: 5 /;
}, 'all to be taken');

is(http(GET => '/jobs', Authorization => bearer())->code, 200, 'jobs');
my @answered = IO::Select->new(@sockets)->can_read(0);
is(@answered, 0, 'while those wait');

$mysql->start;
is(read_response($_)->code, 202, 'what waited') for @sockets;



=== TEST 18: a table that is locked in the middle: all of it happens, or nothing
--- http_config
v2m_backend_timeout 1s;
--- scenario
my $user  = make_user($password);
my $token = link_of(reset => $user);

local $ENV{MYSQL_PWD} = $ENV{MYSQL_PASSWORD};
my $pid = open2(my $out, my $in, sql_command($ENV{MYSQL_USER}));
print {$in} "BEGIN; DELETE FROM account_request WHERE digest = '"
    . sha256_hex($token) . "'; SELECT 'locked';\n";
$in->flush;
is(<$out>, "locked\n", 'another one is at it');

is(problem(post('/password', { token => $token, password => 'another one' })),
    '503 a backend of the service is away, try again later', 'not now');
is(login($user, $password)->code, 200, 'nothing changed');

close $in;
waitpid $pid, 0;
is(wait_for(sub {
    my $code = post('/password',
        { token => $token, password => 'another one' })->code;
    $code != 503 && $code;
}, 'the lock to go'), 204, 'the link is good');
is(login($user, 'another one')->code, 200, 'set');



=== TEST 19: a full pool
--- main_config
thread_pool v2m_login threads=1 max_queue=1;
--- env
V2M_PASSWORD_COST=5
--- scenario
my $user    = make_user($password);
my @tokens  = map { link_of(reset => $user) } 1 .. 12;
my @sockets = map {
    begin('/password', { token => $_, password => $password })
} @tokens;

my @codes = map { read_response($_)->code } @sockets;
ok((grep { $_ == 503 } @codes), 'some find no room');
is(scalar(grep { $_ == 204 } @codes), 1, 'one of the others was the first');



=== TEST 20: clients that go away, before the body and while it is worked on
--- scenario
my $email = address();
my $user  = make_user($password);
my $token = link_of(reset => $user);

for my $part ('{"email":', '') {
    my $socket = connect_gateway();
    print {$socket} "POST /register HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Type: $json\r\nContent-Length: 50\r\n\r\n$part";
    close $socket;
}

close begin('/password', { token => $token, password => 'another one' });

wait_for(sub { login($user, 'another one')->code == 200 }, 'the new password');
is(http(GET => '/healthz')->code, 200, 'all is well');



=== TEST 21: S16, a body that does not come
--- config
client_body_timeout 200ms;
location = /register { v2m_register; }
--- scenario
for my $part ('', '{"email":') {
    my $socket = connect_gateway();

    print {$socket} "POST /register HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Type: $json\r\nContent-Length: 50\r\n\r\n$part";
    $socket->flush;
    is(read_response($socket), undef, 'the connection is closed');
}



=== TEST 22: the password needs the list of what is revoked
--- bare
--- config
location = /password { v2m_password; }
--- must_die
--- error_log
"v2m_password" needs "v2m_revocation zone=NAME:SIZE" in the http block



=== TEST 23: how long a link is good
--- config
location = /register { v2m_register; v2m_register_age 59s; }
--- must_die
--- error_log
"v2m_register_age" must be from 1m to 30d



=== TEST 24: how long a link is good, at most
--- config
location = /password/reset { v2m_password_reset; v2m_reset_age 31d; }
--- must_die
--- error_log
"v2m_reset_age" must be from 1m to 30d



=== TEST 25: what is shipped
--- config eval
$::shipped
--- scenario
is(post('/register', { email => address() })->code, 202, 'register');



=== TEST 26: nothing of it without the directives
--- config
--- scenario
is(post($_, {})->code, 404, $_) for '/register', '/password/reset', '/password';
