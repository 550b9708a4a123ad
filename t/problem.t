# Errors as problem details (RFC 9457).

use lib 't/lib';
use V2M;

# Checks an answer to be the problem of that status.
sub problem {
    my ($what, $response, $status, $title, $detail) = @_;

    is($response->code, $status, "$what: status");
    is($response->header('Content-Type'), 'application/problem+json',
        "$what: type");
    is_deeply(decode_json($response->content), {
        type => 'about:blank', title => $title, status => $status,
        detail => $detail,
    }, "$what: body");
    is($response->header('Content-Length'), length $response->content,
        "$what: length");
}

# Sends these bytes and reads the answer.
sub raw {
    my $socket = connect_gateway();

    print {$socket} @_;
    $socket->flush;
    return read_response($socket);
}

run_tests();

__DATA__

=== TEST 1: errors that nginx finds by itself
--- scenario
problem('nothing there', http(GET => '/nothing'), 404, 'Not Found',
    'there is nothing at this address');
problem('too large', raw("POST /jobs HTTP/1.1\r\nHost: localhost\r\n"
    . "Content-Length: 65537\r\n\r\n"), 413, 'Content Too Large',
    'the body is larger than this service takes');
problem('long address', raw('GET /' . 'x' x 9000 . " HTTP/1.1\r\n"
    . "Host: localhost\r\n\r\n"), 414, 'URI Too Long', 'the address is too long');
problem('no Host', raw("GET / HTTP/1.1\r\n\r\n"), 400, 'Bad Request',
    'the request is malformed');
problem('large header', raw("GET / HTTP/1.1\r\nHost: localhost\r\nX: "
    . 'x' x 9000 . "\r\n\r\n"), 400, 'Bad Request', 'the request is malformed');
problem('lying length', raw("POST /jobs HTTP/1.1\r\nHost: localhost\r\n"
    . "Content-Length: 5x\r\n\r\n"), 400, 'Bad Request',
    'the request is malformed');
problem('two lengths', raw("POST /jobs HTTP/1.1\r\nHost: localhost\r\n"
    . "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), 400,
    'Bad Request', 'the request is malformed');
problem('unknown coding', raw("POST /jobs HTTP/1.1\r\nHost: localhost\r\n"
    . "Transfer-Encoding: gzip\r\n\r\n"), 501, 'Not Implemented',
    'this method or coding is not implemented');

my $trace = http(TRACE => '/jobs');

problem('TRACE', $trace, 405, 'Method Not Allowed',
    'this method is not allowed here');
is($trace->header('Allow'), 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
    'Allow, without a location');



=== TEST 2: a file's 405 names the methods of files
--- config
location = /page { alias html/index.html; }
--- scenario
my $response = http(POST => '/page');

problem('POST to a file', $response, 405, 'Method Not Allowed',
    'this method is not allowed here');
is($response->header('Allow'), 'GET, HEAD', 'Allow');



=== TEST 3: errors of other modules
--- config
location = /denied { deny all; }
location = /forbidden { return 403; }
location = /teapot { return 418; }
location = /bad-gateway { proxy_pass http://127.0.0.1:1; }
--- scenario
problem('deny', http(GET => '/denied'), 403, 'Forbidden', 'this is not allowed');
problem('return', http(GET => '/forbidden'), 403, 'Forbidden',
    'this is not allowed');
problem('a status without a name', http(GET => '/teapot'), 418, 'Error',
    'the request could not be served');
problem('a backend that is away', http(GET => '/bad-gateway'), 502,
    'Bad Gateway', 'a backend answered wrongly');



=== TEST 4: 429 and 503 tell when to come again
--- config
location = /slow { limit_req zone=test; alias html/index.html; }
location = /busy { return 503; }
--- http_config
limit_req_zone $server_name zone=test:1m rate=1r/m;
--- scenario
is(http(GET => '/slow')->code, 200, 'the first');

my $response = http(GET => '/slow');

problem('the second', $response, 429, 'Too Many Requests',
    'too many requests, try again later');
is($response->header('Retry-After'), 5, 'Retry-After');

$response = http(GET => '/busy');
problem('busy', $response, 503, 'Service Unavailable',
    'the service is busy, try again later');
is($response->header('Retry-After'), 5, 'Retry-After');



=== TEST 5: HEAD has the same header and no body
--- scenario
my $socket = connect_gateway();

print $socket "HEAD /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
    . "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n";

my $head = read_response($socket, 'HEAD');
my $get = read_response($socket);

problem('GET', $get, 404, 'Not Found', 'there is nothing at this address');
is($head->header('Content-Length'), $get->header('Content-Length'), 'length');



=== TEST 6: what an application answers is its own
--- config
location /app/ { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
location /caught/ {
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/app/;
    proxy_intercept_errors on;
    error_page 404 = /nothing;
}
location = /text { return 409 "in my own words\n"; }
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    default_type application/x-app;
    location = /app/missing { return 404 "the application's page\n"; }
    location = /app/closed {
        add_header WWW-Authenticate "Custom" always;
        return 401 "the application's login\n";
    }
    location = /app/busy { return 503 "the application is busy\n"; }
}
--- scenario
my $response = http(GET => '/app/missing');

is($response->code, 404, 'status');
is($response->content, "the application's page\n", 'page');
is($response->header('Content-Type'), 'application/x-app', 'type');

$response = http(GET => '/app/closed');
is($response->content, "the application's login\n", 'login');
is(join(' | ', $response->header('WWW-Authenticate')), 'Custom', 'challenge');
is(http(GET => '/app/busy')->header('Retry-After'), undef, 'Retry-After');

is(http(GET => '/text')->content, "in my own words\n", 'text of "return"');
problem('intercepted', http(GET => '/caught/missing'), 404, 'Not Found',
    'there is nothing at this address');



=== TEST 7: pages for errors, where problem details are off
--- config
error_page 404 /my404.html;
location = /my404.html { v2m_problem_details off; alias html/my404.html; }
--- user_files
>>> my404.html
my own page
--- request
GET /nothing
--- error_code: 404
--- response_headers
Content-Type: text/html
--- response_body
my own page



=== TEST 8: turned off, the headers stay
--- config
location = /plain-validate { v2m_problem_details off; v2m_validate; }
location = /plain-file { v2m_problem_details off; alias html/nothing; }
--- scenario
my $response = http(POST => '/plain-validate');

is($response->code, 401, 'status');
is($response->header('Content-Type'), 'text/html', "nginx's page");
is($response->header('WWW-Authenticate'), 'Bearer realm="v2m"', 'challenge');

$response = http(GET => '/plain-validate', Authorization => bearer());
is($response->header('Allow'), 'POST', 'Allow');

$response = http(GET => '/plain-file');
is($response->header('Content-Type'), 'text/html', "nginx's page");



=== TEST 9: by default they are on where an endpoint is, and nowhere else
--- bare
--- config
location = /validate { v2m_validate; }
location = /healthz { v2m_health; }
location / { root html; }
location /on/ { v2m_problem_details on; root html; }
--- scenario
problem('endpoint', http(POST => '/validate'), 401, 'Unauthorized',
    'missing credentials');
is(http(GET => '/nothing')->header('Content-Type'), 'text/html', 'elsewhere');
problem('turned on', http(GET => '/on/nothing'), 404, 'Not Found',
    'there is nothing at this address');



=== TEST 10: without any endpoint, and without a backend
--- bare
--- env
V2M_MONGO_URI
JWT_SECRET_FILE
--- config
v2m_problem_details on;
location / { root html; }
--- request
GET /nothing
--- error_code: 404
--- response_headers
Content-Type: application/problem+json



=== TEST 11: over HTTP/2
--- scenario
problem('nothing there', http2(GET => '/nothing'), 404, 'Not Found',
    'there is nothing at this address');
is(http2(HEAD => '/nothing')->code, 404, 'HEAD');



=== TEST 12: compressed where other answers are
--- config
gzip on;
gzip_min_length 1;
gzip_types application/problem+json;
--- request
GET /nothing
--- more_headers
Accept-Encoding: gzip
--- error_code: 404
--- response_headers
Content-Encoding: gzip
Content-Type: application/problem+json



=== TEST 13: HTTP/1.0 and errors that close the connection
--- scenario
my $response = raw("GET /nothing HTTP/1.0\r\n\r\n");

problem('HTTP/1.0', $response, 404, 'Not Found',
    'there is nothing at this address');
is($response->header('Connection'), 'close', 'closed');
