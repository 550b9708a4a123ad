# Who gets in: v2m_auth, and the endpoints that need a user.

use lib 't/lib';
use V2M;

# Sends text and returns the next response, the connection staying open.
sub ask {
    my ($socket, $text, $method) = @_;

    print {$socket} $text;
    $socket->flush;

    return read_response($socket, $method);
}

# What the server sends first, word for word.
sub first_line {
    my $socket = shift;

    sysread $socket, my $text, 65536;
    return $text =~ /\A(.*?)\r\n/ ? $1 : undef;
}

run_tests();

__DATA__

=== TEST 1: an upload without a token is refused before its body
--- scenario
my $socket = connect_gateway();

my $response = ask($socket, "POST /upload HTTP/1.1\r\nHost: localhost\r\n"
    . "Content-Length: 1000000000\r\n\r\n");

is($response->code, 401, 'status');
is($response->header('WWW-Authenticate'), 'Bearer realm="v2m"', 'challenge');



=== TEST 2: with Expect, the client is not asked for the body
--- scenario
my $expect = "POST /upload HTTP/1.1\r\nHost: localhost\r\n"
    . "Content-Length: 1000000000\r\nExpect: 100-continue\r\n";

for my $header ('', 'Authorization: Bearer ' . token(exp => time() - 999)
    . "\r\n", 'Authorization: ' . basic('ann', 'secret') . "\r\n")
{
    my $socket = connect_gateway();

    print $socket "$expect$header\r\n";
    $socket->flush;
    is(first_line($socket), 'HTTP/1.1 401 Unauthorized', 'refused at once');
}

my $socket = connect_gateway();

print $socket $expect . 'Authorization: ' . bearer() . "\r\n\r\n";
$socket->flush;
is(first_line($socket), 'HTTP/1.1 100 Continue', 'with a token it is asked');



=== TEST 3: neither is it at POST /login
--- scenario
my $socket = connect_gateway();

print $socket "POST /login HTTP/1.1\r\nHost: localhost\r\n"
    . "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n";
$socket->flush;
is(first_line($socket), 'HTTP/1.1 401 Unauthorized', 'refused at once');



=== TEST 4: over HTTP/2 as well
--- user_files eval
">>> video\n" . 'x' x 1000000
--- scenario
my $file = server_root() . '/html/video';
my $out = `nghttp -v -d $file http://127.0.0.1:$ENV{TEST_NGINX_HTTP2_PORT}/upload`;

like($out, qr/:status: 401/, 'status');
like($out, qr/www-authenticate: Bearer realm="v2m"/, 'challenge');
like($out, qr/"detail":"missing credentials"/, 'detail');



=== TEST 5: a small body that was refused does not become the next request
--- scenario
my $socket = connect_gateway();
my $body = "GET /healthz HTTP/1.1\r\nHost: evil\r\n\r\n";
my $length = length $body;

my $response = ask($socket, "POST /upload HTTP/1.1\r\nHost: localhost\r\n"
    . "Content-Length: $length\r\n\r\n$body"
    . "POST /validate HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
    . bearer(username => 'ann') . "\r\n\r\n");

is($response->code, 401, 'the first');
$response = read_response($socket);
is($response->code, 200, 'the second');
is(decode_json($response->content)->{username}, 'ann', 'is the right one');



=== TEST 6: the same with a chunked body
--- scenario
my $socket = connect_gateway();

my $response = ask($socket, "POST /upload HTTP/1.1\r\nHost: localhost\r\n"
    . "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    . "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");

is($response->code, 401, 'the first');
is(read_response($socket)->content, "ok\n", 'the second');



=== TEST 7: S8, nothing of one request is left for the next
--- scenario
my $socket = connect_gateway();
my $head = "POST /validate HTTP/1.1\r\nHost: localhost\r\n";

my $first = ask($socket, $head . 'Authorization: ' . bearer() . "\r\n\r\n");
my $second = ask($socket, "$head\r\n");
my $third = ask($socket, "${head}Authorization: Bearer x.y.z\r\n\r\n");
my $fourth = ask($socket, "$head\r\n");
my $fifth = ask($socket, "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");

is($first->code, 200, 'with a token');
is($second->code, 401, 'without');
is($second->header('WWW-Authenticate'), 'Bearer realm="v2m"', 'none given');
is($third->header('WWW-Authenticate'),
    'Bearer realm="v2m", error="invalid_token"', 'a bad one');
is($fourth->header('WWW-Authenticate'), 'Bearer realm="v2m"', 'none given');
is(decode_json($fourth->content)->{detail}, 'missing credentials', 'detail');
is(decode_json($fifth->content)->{detail}, 'there is nothing at this address',
    'detail of another error');



=== TEST 8: S8, and of one HTTP/2 stream for the other
--- scenario
my $url = "http://127.0.0.1:$ENV{TEST_NGINX_HTTP2_PORT}";
my $token = token(username => 'ann');
my $bad = 0;

# one connection, two kinds of requests at once
my $out = `nghttp -v -m 20 -H 'Authorization: Bearer $token' $url/jobs $url/nothing 2>&1`;

is(scalar(() = $out =~ /:status: 200/g), 20, 'twenty with the token');
is(scalar(() = $out =~ /:status: 404/g), 20, 'twenty that go nowhere');



=== TEST 9: v2m_auth in locations of others
--- config
location /files/ { v2m_auth on; alias html/; }
location /open/ { alias html/; }
location /app/ { v2m_auth on; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    location / { return 200 "app says $request_method $request_uri\n"; }
}
--- user_files
>>> file.txt
hello
--- scenario
my @token = (Authorization => bearer());

is(http(GET => '/open/file.txt')->code, 200, 'a location without it');
is(http(GET => '/files/file.txt')->code, 401, 'a file');
is(http(GET => '/files/nothing')->code, 401, 'a file that is not there');
is(http(GET => '/files/file.txt', @token)->content, "hello\n", 'with a token');
is(http(GET => '/app/x')->code, 401, 'an application');
is(http(GET => '/app/x', @token)->content, "app says GET /app/x\n",
    'with a token');
is(http(POST => '/app/x', body => 'x')->code, 401, 'POST');



=== TEST 10: v2m_auth of a whole server leaves login and health open
--- config
v2m_auth on;
location /files/ { alias html/; }
location /open/ { v2m_auth off; alias html/; }
location = /my-health { v2m_auth on; v2m_health; }
--- user_files
>>> file.txt
hello
--- scenario
is(http(POST => '/login')->header('WWW-Authenticate'),
    'Basic realm="v2m", charset="UTF-8"', 'login asks for Basic');
is(http(GET => '/healthz')->code, 200, 'health');
is(http(GET => '/files/file.txt')->code, 401, 'a file');
is(http(GET => '/files/file.txt', Authorization => bearer())->code, 200,
    'with a token');
is(http(GET => '/open/file.txt')->code, 200, 'opened again');
is(http(GET => '/my-health')->code, 401, 'health that is closed on purpose');



=== TEST 11: v2m_auth alone needs the secret and nothing else
--- bare
--- env
V2M_MONGO_URI
V2M_AMQP_URL
MYSQL_PASSWORD
--- config
location / { v2m_auth on; alias html/; }
--- user_files
>>> file.txt
hello
--- request eval
["GET /file.txt", "GET /file.txt"]
--- more_headers eval
['X: y', 'Authorization: ' . bearer()]
--- error_code eval
[401, 200]
--- response_headers eval
['WWW-Authenticate: Bearer realm="v2m"', 'Content-Length: 6']



=== TEST 12: "if" inside the location does not open it
--- config
location = /if-validate {
    v2m_validate;
    if ($arg_x) { set $y 1; }
}
location = /if-jobs {
    v2m_jobs;
    if ($arg_x) { set $y 1; }
}
location /if-files/ {
    v2m_auth on;
    alias html/;
    if ($arg_x) { set $y 1; }
}
--- scenario
for my $path (qw(/if-validate /if-jobs /if-files/index.html)) {
    is(http(POST => "$path?x=1")->code, 401, "$path?x=1");
    is(http(POST => $path)->code, 401, $path);
}

is(http(POST => '/if-validate?x=1', Authorization => bearer())->code, 200,
    'with a token');



=== TEST 13: neither does limit_except
--- config
location = /lim-validate {
    v2m_validate;
    limit_except GET { allow 127.0.0.1; deny all; }
}
location = /lim-deny {
    v2m_validate;
    limit_except GET { deny all; }
}
--- scenario
is(http(POST => '/lim-validate')->code, 401, 'without a token');
is(http(POST => '/lim-validate', Authorization => bearer())->code, 200, 'with one');
is(http(POST => '/lim-deny', Authorization => bearer())->code, 403, 'denied');



=== TEST 14: nor "satisfy any"
--- config
location /any-jobs {
    satisfy any;
    allow 127.0.0.1;
    deny all;
    v2m_jobs;
}
location /any-files/ {
    satisfy any;
    allow 127.0.0.1;
    deny all;
    v2m_auth on;
    alias html/;
}
location /none-files/ {
    satisfy any;
    deny all;
    v2m_auth on;
    alias html/;
}
--- scenario
is(http(GET => '/any-jobs')->code, 401, 'an endpoint has to know its user');
is(http(GET => '/any-jobs', Authorization => bearer())->code, 200, 'with a token');
is(http(GET => '/any-files/index.html')->code, 200, 'files, by address');
is(http(GET => '/none-files/index.html')->code, 401, 'files, by nothing');
is(http(GET => '/none-files/index.html', Authorization => bearer())->code, 200,
    'files, by token');



=== TEST 15: challenges of two modules
--- config
location = /both {
    satisfy any;
    auth_basic "staff";
    auth_basic_user_file ../html/passwords;
    v2m_auth on;
    alias html/index.html;
}
--- user_files eval
">>> passwords\nann:" . crypt('secret', '$6$rounds=1000$salt') . "\n"
--- scenario
my $response = http(GET => '/both');

is($response->code, 401, 'status');
is(join(' | ', sort $response->header('WWW-Authenticate')),
    'Basic realm="staff" | Bearer realm="v2m"', 'both');
is(http(GET => '/both', Authorization => basic('ann', 'secret'))->code, 200,
    'by password');
is(http(GET => '/both', Authorization => bearer())->code, 200, 'by token');



=== TEST 16: subrequests do not come around it
--- config
location /ssi/ {
    ssi on;
    alias html/;
}
location = /asks {
    auth_request /validate;
    alias html/index.html;
}
--- user_files
>>> page.html
[<!--# include virtual="/jobs" -->]
>>> ready.html
[<!--# include virtual="/readyz" -->]
--- scenario
my $response = http(GET => '/ssi/page.html');

is($response->code, 200, 'the page itself');
unlike($response->content, qr/"jobs"/, 'without what it includes');

$response = http(GET => '/ssi/page.html', Authorization => bearer());
like($response->content, qr/\[\{"jobs":\[\]/, 'included for a user');

like(http(GET => '/ssi/ready.html')->content, qr/\[\{"status":"/,
    'an answer that comes from a thread is included');
isnt(http(GET => '/asks')->code, 200, 'GET /validate is no consent');



=== TEST 17: error_page keeps the challenge and the user
--- config
location = /closed {
    v2m_auth on;
    error_page 401 /sorry.html;
    alias html/index.html;
}
location = /named {
    v2m_auth on;
    error_page 404 = @fallback;
    alias html/nothing.html;
}
location @fallback {
    v2m_problem_details off;
    return 200 "$v2m_user\n";
}
location = /sorry.html {
    v2m_problem_details off;
    alias html/sorry.html;
}
--- user_files
>>> sorry.html
please log in
--- scenario
my $response = http(GET => '/closed');

is($response->code, 401, 'status');
is($response->content, "please log in\n", 'the page');
is($response->header('WWW-Authenticate'), 'Bearer realm="v2m"', 'challenge');
is($response->header('Content-Type'), 'text/html', 'type');

is(http(GET => '/named', Authorization => bearer(username => 'ann'))->content,
    "ann\n", 'the user, after the redirect');
