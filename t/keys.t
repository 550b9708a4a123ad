# Keys for tokens: a directory of them, the public ones, other issuers.

use lib 't/lib';
use V2M;
use V2M::Keys;

our $keys = $ENV{TEST_NGINX_KEYS} = key_directory();
our $both = $ENV{TEST_NGINX_BOTH_KEYS} = key_directory();
our $store = $ENV{TEST_NGINX_STORE} = key_directory();

new_key("$store/rsa.pem", 'rsa');
new_key("$store/foreign.pem", 'rsa');
new_key("$store/ec.pem", 'ec');
public_key("$store/rsa.pem", "$store/rsa.pub");
write_jwks("$store/jwks.json", kid => 'f', file => "$store/foreign.pem");
system('cp', '-p', "$store/rsa.pem", "$both/first.pem");
system('cp', '-p', "$store/ec.pem", "$both/second.pem");

# What is in the directory of keys: use_keys(NAME => FILE...).
sub use_keys {
    my %files = @_;

    system('find', $keys, '-mindepth', 1, '-delete');

    for my $name (keys %files) {
        system('cp', '-p', "$store/$files{$name}", "$keys/$name");
    }
}

sub login {
    return http(POST => '/login',
        Authorization => basic(shift, 'a password'))->content;
}

sub validate {
    return http(POST => '/validate', Authorization => 'Bearer ' . shift);
}

sub header_of {
    return decode_json(decode_base64url((split /\./, shift)[0]));
}

sub reload {
    my $old = worker();

    kill HUP => master();
    wait_for(sub { !-e "/proc/$old" }, 'the old worker to end');
    wait_for(sub { eval { http(GET => '/healthz')->code == 200 } }, 'the new');
}

sub jwks {
    return decode_json(http(GET => '/.well-known/jwks.json')->content)->{keys};
}

use_keys('first.pem' => 'rsa.pem');

run_tests();

__DATA__

=== TEST 1: rotation by reload logs nobody out
--- http_config
v2m_token_keys $TEST_NGINX_KEYS;
--- scenario
my $user = make_user('a password');
my $first = login($user);

is(header_of($first)->{kid}, 'first', 'signed by the only key');
is(header_of($first)->{alg}, 'RS256', 'with its algorithm');
is(validate($first)->code, 200, 'good');
is(validate(token())->code, 200, 'as are tokens of JWT_SECRET');
is_deeply([map { $_->{kid} } @{ jwks() }], ['first'], 'published');

main::use_keys('first.pem' => 'rsa.pub', 'second.pem' => 'ec.pem');
reload();

my $second = login($user);
is(header_of($second)->{kid}, 'second', 'signed by the new key');
is(header_of($second)->{alg}, 'ES256', 'with its algorithm');
is(validate($second)->code, 200, 'good');
is(validate($first)->code, 200, 'so is what the old one signed');
is_deeply([map { $_->{kid} } @{ jwks() }], ['first', 'second'], 'published');

main::use_keys('second.pem' => 'ec.pem');
reload();

is(validate($second)->code, 200, 'still good');
my $response = validate($first);
is($response->code, 401, 'the old key is gone');
is(decode_json($response->content)->{detail},
    'the token names no key that is known here', 'and the answer says it');
is($response->header('WWW-Authenticate'),
    'Bearer realm="v2m", error="invalid_token"', 'challenge');

# a directory that went wrong changes nothing of what runs
main::use_keys();
kill HUP => master();
wait_for(sub { error_log_text() =~ /has no key/ }, 'the refusal');
is(validate($second)->code, 200, 'the running configuration stays');
main::use_keys('first.pem' => 'rsa.pem');
--- allow_log
has no key



=== TEST 2: the key that signs is named
--- http_config
v2m_token_keys $TEST_NGINX_BOTH_KEYS sign=first;
--- scenario
is(header_of(login(make_user('a password')))->{kid}, 'first', 'it signs');



=== TEST 3: the public keys
--- http_config
v2m_token_keys $TEST_NGINX_BOTH_KEYS sign=first;
--- scenario
my $response = http(GET => '/.well-known/jwks.json');

is($response->code, 200, 'status');
is($response->header('Content-Type'), 'application/jwk-set+json', 'type');
is($response->header('Cache-Control'), 'public, max-age=300', 'to be cached');
unlike($response->content, qr/"(d|p|q|k)":/, 'nothing private');

my ($rsa) = grep { $_->{kty} eq 'RSA' } @{ jwks() };
my ($modulus) = `openssl rsa -pubin -in $main::store/rsa.pub -noout -modulus`
    =~ /Modulus=([0-9A-F]+)/;
is(uc unpack('H*', decode_base64url($rsa->{n})), $modulus, 'the modulus');
is_deeply([@$rsa{qw(kid alg use e)}], ['first', 'RS256', 'sig', 'AQAB'],
    'what it is');

is(http(HEAD => '/.well-known/jwks.json')->code, 200, 'HEAD');
$response = http(POST => '/.well-known/jwks.json');
is($response->code, 405, 'POST');
is($response->header('Allow'), 'GET, HEAD', 'Allow');



=== TEST 4: S2, a secret is never public, and a public key never a secret
--- http_config
v2m_token_keys $TEST_NGINX_BOTH_KEYS sign=first;
--- scenario
open my $file, '<', "$main::store/rsa.pub" or die;
my $pem = do { local $/; <$file> };
my $claims = '{"username":"ann","exp":' . (time() + 60) . '}';

for my $secret ($pem, $pem =~ s/\n\z//r, "$pem\0") {
    is(validate(sign('{"alg":"HS256","kid":"first"}', $claims, $secret))->code,
        401, 'HS256');
    is(validate(sign('{"alg":"RS256","kid":"first"}', $claims, $secret))->code,
        401, 'RS256');
    is(validate(sign('{"alg":"HS256"}', $claims, $secret))->code, 401,
        'without a name');
}



=== TEST 5: without a directory there are no public keys
--- scenario
is_deeply(jwks(), [], 'an empty set');



=== TEST 6: S6, tokens of another issuer
--- http_config
v2m_token_issuer https://id.example.com jwks=$TEST_NGINX_STORE/jwks.json
    aud=v2m aud=other user=email;
--- config
location = /whoami { v2m_auth on; proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/echo; proxy_set_header X-User $v2m_user; }
location = /echo { return 200 "$http_x_user"; }
--- scenario
my %good = (iss => 'https://id.example.com', aud => ['account', 'v2m'],
    email => 'ann@example.com', exp => time() + 60, iat => time());

sub foreign {
    my ($header, %claims) = @_;
    return main::sign_rsa("$main::store/foreign.pem",
        '{"alg":"RS256","typ":"JWT"' . $header . '}',
        JSON::PP::encode_json({ %good, %claims }));
}

my $token = foreign(',"kid":"f"');
is(validate($token)->code, 200, 'a good one');
is(http(GET => '/whoami', Authorization => "Bearer $token")->content,
    'ann@example.com', 'names its user');
is(validate(foreign(',"kid":"f"', aud => 'other'))->code, 200,
    'aud as a text');
is(http(GET => '/jobs', Authorization => "Bearer $token")->code, 200,
    'who has jobs');
is(validate(token())->code, 200, 'our own are as good');

for (['aud', ',"kid":"f"', aud => 'account'],
    ['no aud', ',"kid":"f"', aud => undef],
    ['iss', ',"kid":"f"', iss => 'https://id.example.com/'],
    ['kid', ',"kid":"g"'], ['no kid', ''],
    ['exp', ',"kid":"f"', exp => time() - 100],
    ['no exp', ',"kid":"f"', exp => undef],
    ['absurd exp', ',"kid":"f"', exp => (time() + 60) * 1000],
    ['user', ',"kid":"f"', email => undef, username => 'ann'])
{
    my ($what, $header, %claims) = @$_;

    is(validate(foreign($header, %claims))->code, 401, "another $what");
}

is(validate(token(iss => 'https://id.example.com', aud => 'v2m',
    email => 'ann@example.com'))->code, 401, 'nobody but it signs as it');



=== TEST 7: another issuer alone, and nobody logs in here
--- bare
--- env
JWT_SECRET_FILE
--- http_config
v2m_token_issuer https://id.example.com jwks=$TEST_NGINX_STORE/jwks.json aud=v2m;
--- config
location / { v2m_auth on; alias html/; }
--- user_files
>>> file.txt
hello
--- scenario
my $token = sign_rsa("$main::store/foreign.pem", '{"alg":"RS256","kid":"f"}',
    JSON::PP::encode_json({ iss => 'https://id.example.com', aud => 'v2m',
        sub => 'ann', exp => time() + 60 }));

is(http(GET => '/file.txt')->code, 401, 'without a token');
is(http(GET => '/file.txt', Authorization => "Bearer $token")->code, 200,
    'with one');
is(http(GET => '/file.txt', Authorization => 'Bearer '
    . sign('{"alg":"HS256"}', '{"username":"ann","exp":9999999999}', ''))->code,
    401, 'an empty secret is none');
--- error_code: 401



=== TEST 8: a login needs a key that signs
--- env
JWT_SECRET_FILE
--- http_config
v2m_token_issuer https://id.example.com jwks=$TEST_NGINX_STORE/jwks.json aud=v2m;
--- must_die: 1
--- error_log
v2m: "v2m_login" has no key to sign tokens with



=== TEST 9: S5, a directory with a key that is too short
--- user_files
>>> keys/a.secret
0123456789012345678901234567890
--- http_config
v2m_token_keys ../html/keys;
--- must_die: 1
--- error_log
v2m: v2m_token_keys: the key "a.secret":



=== TEST 10: two keys that can sign
--- http_config
v2m_token_keys $TEST_NGINX_BOTH_KEYS;
--- must_die: 1
--- error_log
v2m: v2m_token_keys: both "first" and "second" can sign: say which one does with "sign="



=== TEST 11: a directory that is not there
--- http_config
v2m_token_keys /nowhere;
--- must_die: 1
--- error_log
v2m: v2m_token_keys: cannot read the directory of keys "/nowhere": No such file or directory



=== TEST 12: v2m_token_keys, another parameter
--- http_config
v2m_token_keys /nowhere signs=x;
--- must_die: 1
--- error_log
invalid parameter "signs=x"



=== TEST 13: v2m_token_keys twice
--- http_config
v2m_token_keys /nowhere;
v2m_token_keys /nowhere;
--- must_die: 1
--- error_log
"v2m_token_keys" directive is duplicate



=== TEST 14: v2m_token_issuer without an audience
--- http_config
v2m_token_issuer https://id.example.com jwks=$TEST_NGINX_STORE/jwks.json;
--- must_die: 1
--- error_log
"v2m_token_issuer" directive needs "jwks=FILE" with the issuer's keys and "aud=NAME"



=== TEST 15: v2m_token_issuer, another parameter
--- http_config
v2m_token_issuer https://id.example.com jwks=$TEST_NGINX_STORE/jwks.json aud=;
--- must_die: 1
--- error_log
invalid parameter "aud="



=== TEST 16: v2m_token_issuer, a file that is no JWK Set
--- http_config
v2m_token_issuer https://id.example.com jwks=$TEST_NGINX_STORE/rsa.pub aud=v2m;
--- must_die: 1
--- error_log
it is no JWK Set: a JSON object with an array "keys"



=== TEST 17: v2m_token_issuer, one twice
--- http_config
v2m_token_issuer https://id.example.com jwks=$TEST_NGINX_STORE/jwks.json aud=v2m;
v2m_token_issuer https://id.example.com jwks=$TEST_NGINX_STORE/jwks.json aud=v2m;
--- must_die: 1
--- error_log
v2m: v2m_token_issuer: the issuer "https://id.example.com" is there twice
