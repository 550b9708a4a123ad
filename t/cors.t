# v2m_cors_origin: pages of other origins.

use lib 't/lib';
use V2M;

our $app = 'https://app.example.com';

# A preflight as a browser sends it: without a token.
sub preflight {
    my ($path, $origin, $method, $ask) = @_;

    return ($ask // \&http)->(OPTIONS => $path, Origin => $origin,
        'Access-Control-Request-Method'  => $method,
        'Access-Control-Request-Headers' => 'authorization,content-type');
}

# The names in a list.
sub names {
    return { map { lc($_) => 1 } split /, /, shift // '' };
}

# That an answer lets pages of the origin read it; undef: of none.
sub allows_ok {
    my ($response, $origin, $what) = @_;

    is($response->header('Access-Control-Allow-Origin'), $origin, $what);
    is($response->header('Access-Control-Allow-Credentials'), undef,
        "$what: no credentials");
    is(defined $response->header('Access-Control-Expose-Headers'),
        defined $origin, "$what: headers to read");
}

run_tests();

__DATA__

=== TEST 1: off unless it is turned on
--- scenario
for my $response (preflight('/upload', $app, 'POST'),
    http(GET => '/healthz', Origin => $app))
{
    is(join(' ', grep { /^Access-Control|^Vary/i }
        $response->header_field_names), '', 'no header');
}

is(preflight('/upload', $app, 'POST')->code, 401, 'OPTIONS is no way in');



=== TEST 2: a preflight
--- config
v2m_cors_origin https://other.example.com https://app.example.com;
--- scenario
for my $ask (\&http, \&http2) {
    for my $path ('/upload', '/jobs/0123456789abcdef01234567', '/login',
        '/download', '/nothing')
    {
        my $response = preflight($path, $app, 'DELETE', $ask);

        is($response->code, 204, "$path: status");
        is($response->content, '', "$path: no body");
        is($response->header('Access-Control-Allow-Origin'), $app,
            "$path: origin");
        is($response->header('Vary'), 'Origin', "$path: Vary");
        is($response->header('Access-Control-Max-Age'), 600, "$path: age");
        is($response->header('Access-Control-Allow-Credentials'), undef,
            "$path: no credentials");

        my $methods = names($response->header('Access-Control-Allow-Methods'));
        my $headers = names($response->header('Access-Control-Allow-Headers'));

        ok($methods->{lc $_}, "$path: $_")
            for qw(GET HEAD POST PUT PATCH DELETE);
        ok($headers->{lc $_}, "$path: $_") for qw(Authorization Range
            Content-Type Idempotency-Key Last-Event-ID If-None-Match
            Tus-Resumable Upload-Length Upload-Offset Upload-Metadata
            Upload-Checksum Upload-Concat Upload-Defer-Length);
        ok(!$headers->{'*'}, "$path: none but these");
    }
}



=== TEST 3: another origin gets no header, and OPTIONS no answer
--- config
v2m_cors_origin https://app.example.com http://localhost:3000;
--- scenario
for my $origin ('https://evil.example.com', 'http://app.example.com',
    'https://app.example.com:8443', 'https://app.example.com.evil.org',
    'https://app.example.co', 'https://APP.example.com', 'null', '*', '',
    'https://app.example.com https://evil.example.com', 'http://localhost')
{
    my $response = preflight('/upload', $origin, 'POST');

    is($response->code, 401, "\"$origin\": preflight");
    allows_ok($response, undef, "\"$origin\"");

    $response = http(POST => '/validate', Origin => $origin,
        Authorization => bearer());
    is($response->code, 200, "\"$origin\": it is the browser that refuses");
    allows_ok($response, undef, "\"$origin\"");
    is($response->header('Vary'), 'Origin', "\"$origin\": for caches");
}

allows_ok(http(GET => '/healthz', Origin => 'http://localhost:3000'),
    'http://localhost:3000', 'the second');
allows_ok(http(GET => '/healthz'), undef, 'no origin');
is(http(GET => '/healthz')->header('Vary'), 'Origin', 'for caches');



=== TEST 4: answers, and errors of ours and of nginx
--- config
v2m_cors_origin https://app.example.com;
location = /html { alias html/index.html; }
location = /small { client_max_body_size 10; alias html/index.html; }
location = /gone { proxy_pass http://127.0.0.1:1; }
--- scenario
my @origin = (Origin => $app);

for (
    [200, GET => '/healthz'], [200, GET => '/html'],
    [401, GET => '/jobs'], [401, POST => '/login'],
    [401, GET => '/jobs', Authorization => 'Bearer x.y.z'],
    [404, GET => '/nothing'], [405, PUT => '/validate',
        Authorization => bearer()],
    [404, GET => '/jobs/0123456789abcdef01234567', Authorization => bearer()],
    [413, POST => '/small', body => 'x' x 100], [502, GET => '/gone'],
    [416, GET => '/html', Range => 'bytes=100000-'],
    [422, POST => '/upload?bitrate=1', Authorization => bearer(), body => 'x'],
)
{
    my ($status, @request) = @$_;

    # curl loses an answer that comes before the end of its body
    for my $ask (\&http, grep { "@request" !~ /body/ } \&http2) {
        my $response = $ask->(@request, @origin);
        my $what = "$request[0] $request[1]";

        is($response->code, $status, "$what: status");
        allows_ok($response, $app, $what);

        my $exposed = names($response->header('Access-Control-Expose-Headers'));

        ok($exposed->{lc $_}, "$what: $_") for qw(Location ETag Content-Range
            Retry-After Content-Disposition WWW-Authenticate Upload-Offset
            Tus-Resumable Tus-Version Tus-Extension Tus-Max-Size);
    }
}



=== TEST 5: any origin, and off again
--- config
v2m_cors_origin *;
location = /closed { v2m_cors_origin off; v2m_auth on; alias html/index.html; }
--- scenario
my $response = http(GET => '/healthz', Origin => $app);

is($response->header('Access-Control-Allow-Origin'), '*', 'any');
is($response->header('Access-Control-Allow-Credentials'), undef,
    'never with credentials');
is($response->header('Vary'), undef, 'one answer for all');
is(preflight('/upload', 'https://x.example', 'POST')->code, 204, 'preflight');
is(http(GET => '/healthz')->header('Access-Control-Allow-Origin'), undef,
    'no origin');

is(preflight('/closed', $app, 'GET')->code, 401, 'closed');
is(http(GET => '/closed', Origin => $app)
    ->header('Access-Control-Allow-Origin'), undef, 'closed');



=== TEST 6: an application with headers of its own
--- config
v2m_cors_origin https://app.example.com;
location = /app { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    add_header Access-Control-Allow-Origin https://own.example.com;
    return 200 "hello";
}
--- scenario
is(join(' ', http(GET => '/app', Origin => $app)
    ->header('Access-Control-Allow-Origin')), 'https://own.example.com',
    'its own are left as they are');



=== TEST 7: a preflight lets nothing else in
--- config
v2m_cors_origin https://app.example.com;
--- scenario
my $body = 'x' x 1000;
my $socket = connect_gateway();

# the body of a preflight is no request, and the next request is none
print $socket "OPTIONS /upload HTTP/1.1\r\nHost: localhost\r\nOrigin: $app\r\n"
    . "Access-Control-Request-Method: POST\r\nContent-Length: 1000\r\n\r\n$body"
    . "GET /jobs HTTP/1.1\r\nHost: localhost\r\nOrigin: $app\r\n\r\n";
$socket->flush;
is(read_response($socket)->code, 204, 'the preflight');
is(read_response($socket)->code, 401, 'the next');

is(http(OPTIONS => '/upload', Origin => $app)->code, 401,
    'OPTIONS that is no preflight');
is(http(GET => '/jobs', Origin => $app,
    'Access-Control-Request-Method' => 'GET')->code, 401, 'GET is none');



=== TEST 8: no origin
--- config
v2m_cors_origin https://app.example.com/;
--- must_die: 1
--- error_log
"https://app.example.com/" in "v2m_cors_origin" is no origin: a scheme and a host in lower case



=== TEST 9: nor these
--- config
v2m_cors_origin https://app.example.com null;
--- must_die: 1
--- error_log
"null" in "v2m_cors_origin" is no origin



=== TEST 10: which browsers write in lower case
--- config
v2m_cors_origin https://App.example.com;
--- must_die: 1
--- error_log
"https://App.example.com" in "v2m_cors_origin" is no origin



=== TEST 11: "off" beside an origin
--- config
v2m_cors_origin off https://app.example.com;
--- must_die: 1
--- error_log
"v2m_cors_origin" directive has "off" or "*" beside an origin



=== TEST 12: twice
--- config
v2m_cors_origin https://app.example.com;
v2m_cors_origin https://other.example.com;
--- must_die: 1
--- error_log
"v2m_cors_origin" directive is duplicate
