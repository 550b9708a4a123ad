# POST /login.

use lib 't/lib';
use V2M;

our $password = 'correct horse battery';
our $user     = make_user($password);
our $boss     = make_user($password, admin => 1);
our $gone     = make_user($password, disabled => 1);
our $plain    = make_user($password, stored => $password);
our $yescrypt = make_user($password, stored => crypt($password, '$y$j9T$saltsalt'));
our $bcrypt   = make_user($password,
    stored => crypt($password, '$2b$04$abcdefghijklmnopqrstuu'));
our $utf8     = make_user('pässwörd');

# What a token says, its signature checked by hand.
sub claims_of {
    my $token = shift;
    my ($header, $payload) = split /\./, $token;

    is(decode_json(decode_base64url($header))->{alg}, 'HS256', 'algorithm');
    is(sign(decode_base64url($header), decode_base64url($payload)), $token,
        'signature');

    return decode_json(decode_base64url($payload));
}

sub login {
    return http(POST => '/login', Authorization => basic(@_));
}

run_tests();

__DATA__

=== TEST 1: the token alone, as text
--- scenario
my $before = time();
my $response = login($user, $password);

is($response->code, 200, 'status');
is($response->header('Content-Type'), 'text/plain', 'type');
is($response->header('Cache-Control'), 'no-store', 'not cached');
like($response->content, qr/\A[\w-]+\.[\w-]+\.[\w-]+\z/, 'nothing but a token');

my $claims = claims_of($response->content);

is($claims->{username}, $user, 'username');
is($claims->{sub}, $user, 'sub');
is($claims->{admin}, JSON::PP::false, 'no administrator');
cmp_ok($claims->{iat}, '>=', $before - 1, 'issued now');
cmp_ok($claims->{iat}, '<=', time() + 1, 'issued now');
is($claims->{exp} - $claims->{iat}, 86400, 'good for 24 hours');
like($claims->{jti}, qr/\A[0-9a-f]{32}\z/, 'an id of its own');

is(http(POST => '/validate', Authorization => 'Bearer ' . $response->content)
    ->code, 200, 'the token is accepted');



=== TEST 2: JSON for those who ask for it, and an administrator
--- scenario
my $response = http(POST => '/login', Authorization => basic($boss, $password),
    Accept => 'text/html, application/json;q=0.9');

is($response->code, 200, 'status');
is($response->header('Content-Type'), 'application/json', 'type');

my $answer = decode_json($response->content);

is(join(' ', sort keys %$answer), 'access_token expires_in token_type', 'names');
is($answer->{token_type}, 'Bearer', 'type of token');
is($answer->{expires_in}, 86400, 'lifetime');
is(claims_of($answer->{access_token})->{admin}, JSON::PP::true, 'administrator');



=== TEST 3: no header
--- request
POST /login
--- error_code: 401
--- response_headers
Content-Type: application/problem+json
WWW-Authenticate: Basic realm="v2m", charset="UTF-8"
--- response_body
{"type":"about:blank","title":"Unauthorized","status":401,"detail":"missing credentials"}



=== TEST 4: a wrong password
--- request
POST /login
--- more_headers eval
'Authorization: ' . basic($main::user, 'wrong')
--- error_code: 401
--- response_headers
Content-Type: application/problem+json
WWW-Authenticate: Basic realm="v2m", charset="UTF-8"
--- response_body
{"type":"about:blank","title":"Unauthorized","status":401,"detail":"invalid credentials"}
--- error_log
v2m: a login was refused



=== TEST 5: whatever is wrong with the credentials, the answer is the same
--- config
location = /again { v2m_login; }
--- scenario
my $long = 'x' x 257;

my %wrong = (
    'unknown user'       => basic('nobody-' . unique() . '@example.com', $password),
    'disabled user'      => basic($gone, $password),
    'plain-text row'     => basic($plain, $password),
    'bad base64'         => 'Basic !!!!',
    'no colon'           => 'Basic ' . MIME::Base64::encode_base64('nocolon', ''),
    'empty credentials'  => 'Basic ',
    'empty user'         => basic('', $password),
    'empty password'     => basic($user, ''),
    'over-long password' => basic($user, $long),
    'over-long user'     => basic('x' x 256, $password),
    'zero in password'   => basic($user, "$password\0more"),
    'zero in user'       => basic("$user\0", $password),
    'prefix of password' => basic($user, substr $password, 0, 8),
    'other case'         => basic($user, uc $password),
    'Bearer'             => bearer(),
    'SQL'                => basic("' OR 1=1 -- ", "' OR '1'='1"),
    'wildcard'           => basic('%', $password),
);

for my $what (sort keys %wrong) {
    my $response = http(POST => '/again', Authorization => $wrong{$what});

    is($response->code, 401, "$what: status");
    is(decode_json($response->content)->{detail}, 'invalid credentials',
        "$what: detail");
}



=== TEST 6: a row with a plain-text password is reported, without the password
--- request
POST /login
--- more_headers eval
'Authorization: ' . basic($main::plain, $main::password)
--- error_code: 401
--- error_log eval
["[warn]", "what is stored as the password of $main::plain is not a hash"]
--- no_error_log eval
$main::password



=== TEST 7: hashes of other methods
--- scenario
is(login($_, $password)->code, 200, 'login') for $yescrypt, $bcrypt;
is(login($utf8, 'pässwörd')->code, 200, 'UTF-8');



=== TEST 8: an old hash is renewed, to the cost that is set
--- http_config
v2m_password_cost 2;
--- scenario
my $email = make_user($password);
my $stored = sub { sql("SELECT password FROM user WHERE email = '$email'") };

like($stored->(), qr/^\$6\$/, 'sha512crypt');
is(login($email, 'wrong')->code, 401, 'a wrong password');
like($stored->(), qr/^\$6\$/, 'does not');
is(login($email, $password)->code, 200, 'the right one');
like($stored->(), qr/^\$y\$j85\$/, 'does');
is(login($email, $password)->code, 200, 'and is right still');



=== TEST 9: another method
--- request
GET /login
--- error_code: 405
--- response_headers
Allow: POST
Content-Type: application/problem+json
--- response_body
{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"this method is not allowed here"}



=== TEST 10: HEAD has no body
--- scenario
my $socket = connect_gateway();

print $socket "HEAD /login HTTP/1.1\r\nHost: localhost\r\n\r\n"
    . "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

my $response = read_response($socket, 'HEAD');

is($response->code, 405, 'status');
is($response->header('Allow'), 'POST', 'Allow');
cmp_ok($response->header('Content-Length'), '>', 0, 'length of what GET gets');
is(read_response($socket)->content, "ok\n", 'the next answer follows');



=== TEST 11: a body is ignored
--- request eval
"POST /login\n" . 'grant_type=password&' x 1000
--- more_headers eval
'Authorization: ' . basic($main::user, $main::password)
--- response_body_like: ^[\w-]+\.[\w-]+\.[\w-]+$



=== TEST 12: a body that is too large is refused
--- request eval
"POST /login\n" . 'x' x 65537
--- more_headers eval
'Authorization: ' . basic($main::user, $main::password)
--- error_code: 413
--- response_body_like: "status":413



=== TEST 13: chunked bodies are ignored as well
--- scenario
my @headers = (Authorization => basic($user, $password),
    'Transfer-Encoding' => 'chunked');

is(http(POST => '/login', @headers, body => "5\r\nhello\r\n0\r\n\r\n")->code,
    200, 'a small one');
is(http(POST => '/login', @headers,
    body => "20000\r\n" . 'x' x 0x20000 . "\r\n0\r\n\r\n")->code, 200,
    'a large one, of which nothing is kept');



=== TEST 14: S10, one address cannot have any number of passwords checked
--- scenario
my @codes = map { login($user, $password)->code } 1 .. 30;

is("@codes[0 .. 20]", join(' ', (200) x 21), 'burst');

my $response = wait_for(sub {
    my $response = login($user, $password);
    $response->code == 429 && $response;
}, 'a 429');

is($response->header('Retry-After'), 5, 'Retry-After');
is(decode_json($response->content)->{detail},
    'too many requests, try again later', 'detail');



=== TEST 15: S9, wrong passwords are slowed down as shipped
--- scenario
my @codes = map { login($user, 'guess')->code } 1 .. 6;

is("@codes", '401 401 401 401 401 401', 'five for nothing, and one');
is(login($user, $password)->code, 429, 'then not even the right one');
is(wait_for(sub {
    my $code = login($user, $password)->code;
    $code != 429 && $code;
}, 'the delay'), 200, 'after the delay it is');



=== TEST 16: over HTTP/2
--- scenario
my $response = http2(POST => '/login', Authorization => basic($user, $password));

is($response->code, 200, 'status');
is(claims_of($response->content)->{username}, $user, 'token');

$response = http2(POST => '/login');

is($response->code, 401, 'no header');
is($response->header('WWW-Authenticate'), 'Basic realm="v2m", charset="UTF-8"',
    'challenge');
is(decode_json($response->content)->{detail}, 'missing credentials', 'detail');



=== TEST 17: the lifetime of tokens can be set
--- http_config
v2m_token_lifetime 10m;
--- scenario
my $response = http(POST => '/login', Authorization => basic($user, $password),
    Accept => 'application/json');
my $answer = decode_json($response->content);

is($answer->{expires_in}, 600, 'told');

my $claims = claims_of($answer->{access_token});

is($claims->{exp} - $claims->{iat}, 600, 'kept');
