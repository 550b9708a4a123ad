# POST /validate: which tokens are good.

use lib 't/lib';
use V2M;

our $long_name = 'x' x 300;

# libjwt reads the payload before it compares signatures
our $no_json = 'not a JSON|signature is wrong';

# The answer to a token, or to a whole Authorization header.
sub validate {
    my $header = shift;

    $header = "Bearer $header" unless $header =~ / /;
    return http(POST => '/validate', Authorization => $header);
}

sub refused {
    my ($what, $token, $detail) = @_;
    my $response = validate($token);

    is($response->code, 401, "$what: status");
    is($response->header('WWW-Authenticate'),
        'Bearer realm="v2m", error="invalid_token"', "$what: challenge");
    like(decode_json($response->content)->{detail}, qr/$detail/,
        "$what: detail");
}

sub accepted {
    my ($what, $token) = @_;

    is(validate($token)->code, 200, "$what: status");
}

run_tests();

__DATA__

=== TEST 1: the claims as they are
--- scenario
my %claims = (username => 'ann@example.com', sub => 'ann', exp => time() + 60,
    iat => time(), admin => JSON::PP::true, jti => 'x', groups => ['a', 'b']);
my $response = validate(token(%claims));

is($response->code, 200, 'status');
is($response->header('Content-Type'), 'application/json', 'type');
is_deeply(decode_json($response->content), \%claims, 'claims');



=== TEST 2: no token
--- request
POST /validate
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer realm="v2m"
Content-Type: application/problem+json
--- response_body
{"type":"about:blank","title":"Unauthorized","status":401,"detail":"missing credentials"}



=== TEST 3: another scheme
--- request
POST /validate
--- more_headers eval
'Authorization: ' . basic('ann@example.com', 'secret')
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer realm="v2m"
--- response_body
{"type":"about:blank","title":"Unauthorized","status":401,"detail":"missing credentials: this address takes a Bearer token from POST /login"}



=== TEST 4: the name of the scheme, and what is around the token
--- scenario
my $token = token();

accepted('lower case', "bearer $token");
accepted('upper case', "BEARER $token");
accepted('several spaces', "Bearer    $token");
accepted('a space behind', "Bearer $token ");
refused('two tokens', "Bearer $token $token", 'malformed');
refused('a comma', "Bearer $token,", 'malformed');

is(validate('Bearer ')->code, 401, 'no token');
is(validate("Token $token")->code, 401, 'another name');
is(validate("Bearer\t$token")->code, 401, 'a tab');



=== TEST 5: times
--- scenario
my $now = time();

accepted('F20, expired within the leeway', token(exp => $now - 30));
refused('expired', token(exp => $now - 61), 'expired');
refused('without exp', token(exp => undef), 'has no exp');
refused('exp as text', token(exp => '' . ($now + 60)), 'exp is not a time');
refused('exp of null', sign('{"alg":"HS256"}',
    '{"username":"ann","exp":null}'), 'exp is not a time');
refused('exp in milliseconds', token(exp => $now * 1000), 'exp is not a time');
refused('exp that overflows', sign('{"alg":"HS256"}',
    '{"username":"ann","exp":1e300}'), 'exp is not a time');
refused('negative exp', token(exp => -1), 'exp is not a time');

accepted('without iat', token(iat => undef));
accepted('F20, iat ahead within the leeway', token(iat => $now + 30));
refused('iat ahead', token(iat => $now + 120), 'issued in the future');
refused('iat as text', token(iat => 'yesterday'), 'iat is not a time');

accepted('nbf now', token(nbf => $now));
refused('nbf ahead', token(nbf => $now + 120), 'not valid yet');



=== TEST 6: S1 S2, the algorithm is ours, not the token's
--- scenario
my $payload = '{"username":"ann@example.com","exp":' . (time() + 60) . '}';
my $none = encode_base64url('{"alg":"none"}') . '.' . encode_base64url($payload);

accepted('HS256', sign('{"alg":"HS256"}', $payload));
refused('none', "$none.", 'malformed|not signed');
refused('none with a signature', sign('{"alg":"none"}', $payload), 'not signed');
refused('None', sign('{"alg":"None"}', $payload), 'not signed');
refused('hs256', sign('{"alg":"hs256"}', $payload), 'not signed');
refused('none at all', sign('{"typ":"JWT"}', $payload), 'not signed');
refused('a number', sign('{"alg":256}', $payload), 'not signed');

for my $algorithm (qw(HS384 HS512 RS256 ES256 PS256 EdDSA)) {
    refused($algorithm, sign(qq({"alg":"$algorithm"}), $payload), 'not signed');
}



=== TEST 7: S3 S4, keys and names of keys in the header
--- scenario
my $payload = '{"username":"ann@example.com","exp":' . (time() + 60) . '}';
my $own = 'k' x 32;
my $jwk = '{"kty":"oct","k":"' . encode_base64url($own) . '"}';

for my $member ('"jwk":' . $jwk, '"jku":"http://127.0.0.1:1/jwks"',
    '"x5u":"http://127.0.0.1:1/x5u"', '"kid":"../../../../dev/null"',
    q("kid":"' UNION SELECT '"))
{
    my $header = qq({"alg":"HS256",$member});

    refused($member, sign($header, $payload, $own), 'signature is wrong');
    accepted("$member, our signature", sign($header, $payload));
}

refused('an empty key', sign('{"alg":"HS256","kid":""}', $payload, ''),
    'signature is wrong');
refused('crit', sign('{"alg":"HS256","crit":["exp"]}', $payload), 'critical');
refused('another type', sign('{"alg":"HS256","typ":"dpop+jwt"}', $payload),
    'no JWT');



=== TEST 8: signatures
--- scenario
my $token = token();
my ($header, $payload, $signature) = split /\./, $token;
my $other = encode_base64url('{"username":"boss@example.com","exp":'
    . (time() + 60) . '}');

refused('another payload', "$header.$other.$signature", 'signature is wrong');
refused('another secret', token(secret => 'z' x 40), 'signature is wrong');
refused('no signature', "$header.$payload.", 'malformed');
refused('two parts', "$header.$payload", 'malformed');
refused('four parts', "$token.x", 'malformed');
refused('cut', substr($token, 0, -4), 'signature is wrong|malformed');
refused('longer', $token . 'AAAA', 'signature is wrong');
refused('bad base64', "$header.!$payload.$signature", 'malformed');
refused('padded', "$header.$payload.$signature=", 'malformed');
refused('base64 of another alphabet', "$header.$payload.++//$signature",
    'malformed');



=== TEST 9: S7, what the parts may contain
--- scenario
my $exp = time() + 60;
my $header = '{"alg":"HS256"}';
my $deep = '[' x 3000 . ']' x 3000;

refused('duplicate claims', sign($header,
    qq({"username":"ann","username":"boss","exp":$exp})), 'distinct names');
refused('duplicate header', sign('{"alg":"none","alg":"HS256"}',
    qq({"username":"ann","exp":$exp})), 'distinct names');
refused('no JSON', sign($header, 'username=ann'), $no_json);
refused('an array', sign($header, '["ann"]'), $no_json);
refused('a text', sign($header, '"ann"'), $no_json);
refused('cut JSON', sign($header, qq({"username":"ann","exp":$exp)), $no_json);
refused('bytes that are no UTF-8', sign($header,
    qq({"username":"\xff\xfe","exp":$exp})), $no_json);
refused('deep JSON', sign($header, qq({"x":$deep,"username":"a","exp":$exp})),
    $no_json);

refused('no user', token(username => undef, sub => undef), 'names no user');
refused('empty user', token(username => ''), 'names no user');
refused('user of another type', token(username => 5), 'names no user');
refused('line break in the user', token(username => "ann\nboss"), 'names no user');
refused('zero in the user', token(username => "ann\0boss"),
    qr/names no user|$no_json/);
refused('another audience', token(aud => 'somewhere'), 'another audience');

accepted('only sub', token(username => undef, sub => 'ann'));
accepted('a long name', token(username => $long_name));



=== TEST 10: S7, tokens of 64 KiB, and as large as nginx takes
--- scenario
is(validate('x' x 65536)->code, 400, '64 KiB');
is(validate(token(padding => 'x' x 7000))->code, 400, 'more than a buffer');
accepted('7 KiB', token(padding => 'x' x 5000));



=== TEST 11: two Authorization headers
--- scenario
is(http(POST => '/validate', Authorization => bearer(),
    authorization => bearer(username => 'boss'))->code, 400, 'status');



=== TEST 12: another method, with a token and without
--- scenario
my $response = http(GET => '/validate', Authorization => bearer());

is($response->code, 405, 'with a token');
is($response->header('Allow'), 'POST', 'Allow');
is(http(GET => '/validate')->code, 401, 'without');



=== TEST 13: a body is ignored
--- request eval
"POST /validate\n" . 'token=x&' x 4000
--- more_headers eval
'Authorization: ' . bearer(username => 'ann@example.com')
--- response_body_like: "username":"ann@example.com"



=== TEST 14: over HTTP/2
--- scenario
my $response = http2(POST => '/validate', Authorization => bearer(
    username => 'ann@example.com'));

is($response->code, 200, 'status');
is(decode_json($response->content)->{username}, 'ann@example.com', 'claims');

$response = http2(POST => '/validate', Authorization => 'Bearer x.y.z');
is($response->code, 401, 'a bad token');
is($response->header('WWW-Authenticate'),
    'Bearer realm="v2m", error="invalid_token"', 'challenge');
is($response->header('Content-Type'), 'application/problem+json', 'type');
