# v2m_auth optional, and v2m_require: what else a token must say.

use lib 't/lib';
use V2M;
use V2M::Keys;

our $store = $ENV{TEST_NGINX_STORE} = key_directory();

new_key("$store/foreign.pem", 'rsa');
write_jwks("$store/jwks.json", kid => 'f', file => "$store/foreign.pem");

our $true  = JSON::PP::true;
our $false = JSON::PP::false;

sub get {
    my ($path, %claims) = @_;

    return http(GET => $path, %claims ? (Authorization => bearer(%claims)) : ());
}

# A token of the other issuer.
sub foreign {
    return sign_rsa("$store/foreign.pem", '{"alg":"RS256","kid":"f"}',
        JSON::PP::encode_json({ iss => 'https://id.example.com', aud => 'v2m',
            sub => 'ann', exp => time() + 60, @_ }));
}

# That it was refused as a token that is good and not enough.
sub refused_ok {
    my ($response, $what) = @_;

    is($response->code, 403, "$what: status");
    is($response->header('WWW-Authenticate'),
        'Bearer realm="v2m", error="insufficient_scope"', "$what: challenge");
}

run_tests();

__DATA__

=== TEST 1: v2m_auth optional in front of an application
--- config
location /app/ {
    v2m_auth optional;
    proxy_set_header X-User $v2m_user;
    proxy_set_header X-Tenant $v2m_claim_tenant;
    proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/echo;
}
location /echo { return 200 "[$http_x_user][$http_x_tenant]"; }
--- scenario
is(get('/app/x')->content, '[][]', 'nobody');
is(get('/app/x', username => 'ann', tenant => 'blue')->content, '[ann][blue]',
    'somebody');
is(http(GET => '/app/x', 'X-User' => 'eve', 'X-Tenant' => 'red')->content,
    '[][]', 'who only says so');
is(http(GET => '/app/x', Authorization => basic('ann', 'x'))->content, '[][]',
    "another scheme is the application's");
is(http(POST => '/app/x', body => 'x' x 1000, Authorization => bearer())->code,
    200, 'with a body');

for my $value ('Bearer x.y.z', 'Bearer', 'bearer ', 'BEARER  x',
    bearer(exp => time() - 100), bearer(secret => 'q' x 40))
{
    my $response = http(GET => '/app/x', Authorization => $value);

    is($response->code, 401, 'a token that is none');
    like($response->header('WWW-Authenticate'), qr/^Bearer realm="v2m"/,
        'challenge');
}



=== TEST 2: v2m_auth optional in front of files, and S8 over one connection
--- config
location /files/ {
    v2m_auth optional;
    add_header X-User "[$v2m_user]";
    alias html/;
}
--- user_files
>>> file.txt
hello
--- scenario
my $socket = connect_gateway();

for my $user ('ann', undef, 'bob', undef) {
    print $socket "GET /files/file.txt HTTP/1.1\r\nHost: localhost\r\n"
        . (defined $user
            ? 'Authorization: ' . bearer(username => $user) . "\r\n" : '')
        . "\r\n";
    $socket->flush;

    my $response = read_response($socket);
    is($response->code, 200, 'status');
    is($response->header('X-User'), '[' . ($user // '') . ']', 'user');
}

my $h2 = http2(GET => '/files/file.txt', Authorization => bearer(
    username => 'ann'));
is($h2->header('X-User'), '[ann]', 'over HTTP/2');



=== TEST 3: v2m_auth optional and others who let in
--- config
location /any/ {
    satisfy any;
    deny all;
    v2m_auth optional;
    alias html/;
}
location /all/ {
    deny all;
    v2m_auth optional;
    alias html/;
}
location = /my-jobs { v2m_auth optional; v2m_jobs; }
--- scenario
is(get('/any/index.html')->code, 403, 'being nobody is no consent');
is(get('/any/index.html', username => 'ann')->code, 200, 'a token is');
is(get('/all/index.html', username => 'ann')->code, 403, 'but not alone');
is(get('/my-jobs')->code, 401, 'an endpoint needs its user all the same');



=== TEST 4: v2m_require in front of files and of an application
--- config
location /files/ {
    v2m_auth on;
    v2m_require $v2m_claim_tenant $v2m_claim_staff;
    alias html/;
}
location /app/ {
    v2m_auth on;
    v2m_require $may_write;
    proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/echo;
}
location /echo { return 200 "$request_method"; }
--- http_config
map $v2m_claim_scope $may_write { "~(^| )v2m:write( |$)" 1; }
--- user_files
>>> file.txt
hello
--- scenario
is(get('/files/file.txt', tenant => 'blue', staff => $true)->content,
    "hello\n", 'both hold');

for my $staff ($false, undef, 0, '0', '', 'false', 'null', "yes\nno") {
    refused_ok(get('/files/file.txt', tenant => 'blue', staff => $staff),
        'staff ' . ($staff // 'is missing'));
}

refused_ok(get('/files/file.txt', staff => $true), 'no tenant');
refused_ok(get('/files/nothing', staff => $true), 'a file that is not there');

my $response = get('/files/file.txt');
is($response->code, 401, 'without a token');
is($response->header('WWW-Authenticate'), 'Bearer realm="v2m"', 'challenge');

is(http(POST => '/app/x', body => 'x',
    Authorization => bearer(scope => 'v2m:read v2m:write'))->content, 'POST',
    'a scope');
refused_ok(http(POST => '/app/x', body => 'x', Authorization => bearer(
    scope => $_)), "scope $_")
    for 'v2m:read', 'xv2m:write', 'v2m:write2', "v2m:write\n";

like(error_log_text(),
    qr/\[info\].* the token of somebody\@example\.com was refused by "v2m_require \$may_write"/,
    'the log says by what');



=== TEST 5: v2m_require at an endpoint, before its body
--- config
location /my-upload { v2m_upload; v2m_require $v2m_claim_uploader; }
location = /my-validate { v2m_validate; v2m_require $v2m_claim_uploader; }
--- scenario
for my $version (1, 2) {
    my $ask = $version == 1 ? \&http : \&http2;

    my $response = $ask->(POST => '/my-validate', Authorization => bearer());

    is($response->code, 403, 'status');
    is($response->header('Content-Type'), 'application/problem+json', 'type');
    is_deeply(decode_json($response->content), {
        type => 'about:blank', title => 'Forbidden', status => 403,
        detail => 'the token is valid, but does not give access to this '
            . 'address',
    }, 'the problem');
    is($ask->(POST => '/my-validate', Authorization => bearer(uploader => 1))
        ->code, 200, 'a good one');
}

my $socket = connect_gateway();

print $socket "POST /my-upload HTTP/1.1\r\nHost: localhost\r\n"
    . "Content-Length: 60000\r\nExpect: 100-continue\r\nAuthorization: "
    . bearer() . "\r\n\r\n";
$socket->flush;
sysread $socket, my $text, 65536;
like($text, qr{\AHTTP/1\.1 403 }, 'refused at once');



=== TEST 6: v2m_require with error=401, several, and of a whole server
--- config
v2m_require $v2m_claim_staff;
location /a/ { v2m_auth on; alias html/; }
location /b/ {
    v2m_auth on;
    v2m_require $v2m_claim_x error=401;
    v2m_require $v2m_claim_y error=403;
    alias html/;
}
location /open/ { alias html/; }
--- scenario
refused_ok(get('/a/index.html', username => 'ann'), 'inherited');
is(get('/a/index.html', staff => 1)->code, 200, 'good');
refused_ok(http(POST => '/validate', Authorization => bearer()), 'an endpoint');
is(get('/healthz')->code, 200, 'where there is no user, nothing is required');
is(get('/open/index.html')->code, 200, 'neither in an open location');
is(http(POST => '/login')->code, 401, 'login');

my $response = get('/b/index.html', username => 'ann');
is($response->code, 401, 'the first of two');
is($response->header('WWW-Authenticate'),
    'Bearer realm="v2m", error="invalid_token"', 'challenge');
refused_ok(get('/b/index.html', x => 1), 'the second');
is(get('/b/index.html', x => 1, y => 1)->code, 200, 'the server has no say');



=== TEST 7: limit_except: everyone reads, some write
--- config
location /doc/ {
    alias html/;
    limit_except GET { v2m_auth on; v2m_require $v2m_claim_editor; }
}
--- scenario
is(get('/doc/index.html')->code, 200, 'read');
is(http(POST => '/doc/index.html')->code, 401, 'nobody writes');
refused_ok(http(POST => '/doc/index.html', Authorization => bearer()), 'one');
is(http(POST => '/doc/index.html', Authorization => bearer(editor => 1))->code,
    405, 'an editor is let in, to a file that takes no POST');



=== TEST 8: v2m_require where being nobody is allowed
--- config
location /app/ {
    v2m_auth optional;
    v2m_require $member;
    alias html/;
}
--- http_config
map "$http_x_trial$v2m_claim_member" $member { "" 0; default 1; }
--- scenario
is(get('/app/index.html')->code, 401, 'who is nobody can say who he is');
is(http(GET => '/app/index.html', 'X-Trial' => 1)->code, 200,
    'what is required can hold for nobody');
refused_ok(get('/app/index.html', username => 'ann'), 'somebody else');
is(get('/app/index.html', member => $true)->code, 200, 'a member');



=== TEST 9: subrequests and "satisfy any" do not come around v2m_require
--- config
location /ssi/ { ssi on; alias html/; }
location /my-jobs { v2m_jobs; v2m_require $v2m_claim_staff; }
location /any-jobs {
    satisfy any;
    allow 127.0.0.1;
    deny all;
    v2m_jobs;
    v2m_require $v2m_claim_staff;
}
--- user_files
>>> page.html
[<!--# include virtual="/my-jobs" -->]
--- scenario
unlike(get('/ssi/page.html', username => 'ann')->content, qr/"jobs"/,
    'who may not');
like(get('/ssi/page.html', staff => 1)->content, qr/"jobs"/, 'who may');
refused_ok(get('/any-jobs', username => 'ann'), 'let in by address');
is(get('/any-jobs', staff => 1)->code, 200, 'by address and token');



=== TEST 10: administrators, and another issuer's claim "admin"
--- http_config
v2m_token_issuer https://id.example.com jwks=$TEST_NGINX_STORE/jwks.json aud=v2m;
--- config
location /staff/ { v2m_auth on; v2m_require $v2m_admin; alias html/; }
location = /who { v2m_auth on; add_header X-Admin "[$v2m_admin]"; alias html/index.html; }
--- scenario
my %boss = (username => 'boss', admin => $true);

is(get('/staff/index.html', %boss)->code, 200, 'ours');
is(get('/who', %boss)->header('X-Admin'), '[1]', 'variable');
refused_ok(get('/staff/index.html', admin => $_), 'admin is ' . $_)
    for $false, 'true', 1;

my @token = (Authorization => 'Bearer ' . foreign(admin => $true));

refused_ok(http(GET => '/staff/index.html', @token), 'theirs');
is(http(GET => '/who', @token)->header('X-Admin'), '[]', 'variable');
is(http(GET => '/jobs?all=1', @token)->code, 403, 'nor is it one to the jobs');
is(http(GET => '/jobs', @token)->code, 200, 'where it is a user');



=== TEST 11: an issuer who may say who is administrator
--- http_config
v2m_token_issuer https://id.example.com jwks=$TEST_NGINX_STORE/jwks.json aud=v2m
    admin=v2m_admin;
--- config
location /staff/ { v2m_auth on; v2m_require $v2m_admin; alias html/; }
--- scenario
my @token = (Authorization => 'Bearer ' . foreign(v2m_admin => $true));

is(http(GET => '/staff/index.html', @token)->code, 200, 'its administrator');
is(http(GET => '/jobs?all=1', @token)->code, 200, 'also to the jobs');

for (foreign(admin => $true), foreign(v2m_admin => 'true')) {
    refused_ok(http(GET => '/staff/index.html', Authorization => "Bearer $_"),
        'no administrator');
}

refused_ok(get('/staff/index.html', v2m_admin => $true),
    'in tokens of our own it means nothing');



=== TEST 12: v2m_require without v2m_auth
--- config
location /x/ { v2m_require $v2m_user; alias html/; }
--- must_die: 1
--- error_log
"v2m_require" in location "/x/" needs "v2m_auth"



=== TEST 13: v2m_require of a value that has no variable
--- config
location /x/ { v2m_auth on; v2m_require v2m_claim_admin; }
--- must_die: 1
--- error_log
"v2m_claim_admin" in "v2m_require" has no variable



=== TEST 14: v2m_require with another status
--- config
location /x/ { v2m_auth on; v2m_require $v2m_user error=404; }
--- must_die: 1
--- error_log
"v2m_require" directive can only refuse with "error=401" or "error=403"



=== TEST 15: v2m_require of nothing
--- config
location /x/ { v2m_auth on; v2m_require error=401; }
--- must_die: 1
--- error_log
"v2m_require" directive needs a value to look at
