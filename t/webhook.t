# Webhooks at the gateway: the option of an upload, and the user's secret.

use lib 't/lib';
use V2M;
use V2M::Store;

# What POST /upload says to this webhook: the job, or the problem.
sub upload {
    my ($url, $user) = @_;
    my $value = $url =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger;

    return http(POST => "/upload?webhook=$value", Authorization => $user,
        body => 'video');
}

$ENV{V2M_WEBHOOK_KEY} = 'key-for-webhooks-of-32-bytes-ok!';
delete $ENV{V2M_WEBHOOK_KEY_FILE};
$ENV{V2M_WEBHOOK_HTTP} = '';

run_tests();

__DATA__

=== TEST 1: the option is kept in the job, and its owner sees it
--- scenario
my ($user) = make_owner();
my $url = 'https://example.com:8443/hooks/v2m?key=a&b=c%20d';
my $response = upload($url, $user);

is($response->code, 201);
my $job = decode_json($response->content);
is($job->{webhook}, $url);

is(decode_json(http(GET => "/jobs/$job->{id}", Authorization => $user)
    ->content)->{webhook}, $url, 'in the record');

$response = http(POST => '/upload', Authorization => $user, body => 'video');
ok(!exists decode_json($response->content)->{webhook}, 'none');



=== TEST 2: what is no https URL is refused, and nothing is stored
--- scenario
my ($user) = make_owner();

for my $url ('', 'example.com', 'http://example.com/', 'ftp://example.com/',
    'https://ann:secret@example.com/', 'https://example.com/#x',
    "https://example.com/\r\nX-Evil: 1", 'https://example.com/' . 'x' x 2048)
{
    my $response = upload($url, $user);
    my $problem  = decode_json($response->content);

    is($response->code, 422);
    like($problem->{detail}, qr/^option "webhook" must be a URL that begins with https:\/\/, /);
    unlike($problem->{detail}, qr/secret|Evil/);
}

is(decode_json(http(GET => '/jobs', Authorization => $user)->content)->{next},
    undef);
is_deeply(decode_json(http(GET => '/jobs', Authorization => $user)
    ->content)->{jobs}, []);



=== TEST 3: plain http, where it is allowed
--- env
V2M_WEBHOOK_HTTP=allow
--- scenario
my ($user) = make_owner();

is(upload('http://10.1.2.3/x', $user)->code, 201);
like(decode_json(upload('ftp://10.1.2.3/x', $user)->content)->{detail},
    qr/begins with https:\/\/ or http:\/\//);



=== TEST 4: without a key there are no webhooks
--- env
V2M_WEBHOOK_KEY
--- scenario
my ($user) = make_owner();
my $response = upload('https://example.com/', $user);

is($response->code, 422);
like(decode_json($response->content)->{detail},
    qr/^option "webhook" cannot be used: this service has no webhooks/);

$response = http(GET => '/webhooks/secret', Authorization => $user);
is($response->code, 404);
like(decode_json($response->content)->{detail}, qr/no webhooks/);



=== TEST 5: each user has a secret, which stays the same
--- scenario
my $ann = bearer(username => 'ann@example.com');
my $bob = bearer(username => 'bob@example.com');

sub secret {
    my $response = http(GET => '/webhooks/secret', Authorization => $_[0]);

    is($response->code, 200);
    is($response->header('Content-Type'), 'application/json');
    is($response->header('Cache-Control'), 'no-store');
    return decode_json($response->content)->{secret};
}

# by Python's hmac and base64
is(secret($ann), 'whsec_u5+ma0MO+9x5tPzqGucnn9dw+G0gPVUKlRqS5WT8UEU=');
is(secret($ann), secret($ann));
isnt(secret($ann), secret($bob));

is(http(GET => '/webhooks/secret')->code, 401, 'nobody without a token');
is(http(POST => '/webhooks/secret', Authorization => $ann)->code, 405);
is(http(HEAD => '/webhooks/secret', Authorization => $ann)->code, 200);
unlike(error_log_text() . access_log_text(), qr/whsec_|key-for/, 'S21');



=== TEST 6: the key's file, of which the first key is that of today
--- user_files
>>> key
fedcba9876543210fedcba9876543210
key-for-webhooks-of-32-bytes-ok!
--- http_config
v2m_webhook_key_file ../html/key;
--- scenario
my $response = http(GET => '/webhooks/secret',
    Authorization => bearer(username => 'ann@example.com'));

is(decode_json($response->content)->{secret},
    'whsec_MgxmEiAowuiYVkkeMFT2k392xvJJjN8VBXCnutZ9RG8=');



=== TEST 7: a key that is too short
--- env
V2M_WEBHOOK_KEY=too-short
--- must_die: 1
--- error_log
v2m: V2M_WEBHOOK_KEY must be one key, or up to 4 with spaces or line ends between them, each of 32 bytes or more



=== TEST 8: a word that is none of V2M_WEBHOOK_HTTP
--- env
V2M_WEBHOOK_HTTP=yes
--- must_die: 1
--- error_log
v2m: V2M_WEBHOOK_HTTP must be allow or refuse



=== TEST 9: a key's file that is not there
--- http_config
v2m_webhook_key_file nowhere;
--- must_die: 1
--- error_log
v2m_webhook_key_file
