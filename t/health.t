# GET /healthz and /readyz.

use lib 't/lib';
use V2M;

run_tests();

__DATA__

=== TEST 1: /healthz
--- request
GET /healthz
--- response_body
ok
--- response_headers
Content-Type: text/plain



=== TEST 2: /readyz, everything is there
--- scenario
my $response = wait_for(sub {
    my $response = http(GET => '/readyz');
    $response->content =~ /"status":"ready"/ && $response;
}, 'readiness');

is($response->code, 200);
is($response->header('Content-Type'), 'application/json');
is($response->content, '{"status":"ready","backends":{"mongodb":"ok",'
    . '"mysql":"ok","rabbitmq":"ok"}}' . "\n");
