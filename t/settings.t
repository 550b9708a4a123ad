# Directives and settings: what is wrong is refused with its name.

use lib 't/lib';
use V2M;

run_tests();

__DATA__

=== TEST 1: the defaults
--- request
GET /healthz



=== TEST 2: every directive
--- bare
--- env
V2M_MONGO_URI
V2M_AMQP_URL
MYSQL_PASSWORD
JWT_SECRET_FILE
--- user_files eval
">>> mongo\n$ENV{V2M_MONGO_URI}\n>>> amqp\n$ENV{V2M_AMQP_URL}\n"
    . ">>> mysql\n$ENV{MYSQL_PASSWORD}\n>>> jwt\n" . jwt_secret() . "\n"
--- http_config
v2m_storage_pool v2m_storage;
v2m_login_pool v2m_login;
v2m_mongo_uri_file ../html/mongo;
v2m_amqp_url_file ../html/amqp;
v2m_mysql_password_file ../html/mysql;
v2m_jwt_secret_file ../html/jwt;
v2m_backend_timeout 3s;
v2m_confirm_timeout 500ms;
v2m_attempts 3;
v2m_token_lifetime 1h;
v2m_auth off;
v2m_problem_details on;
v2m_chunk_size 64k;
v2m_upload_batch 1;
v2m_upload_inserts 64;
v2m_download_batch 1;
v2m_download_reads 64;
--- config
location = /healthz { v2m_health; }
location = /readyz { v2m_ready; }
location = /validate { v2m_validate; }
--- scenario
wait_for(sub { http(GET => '/readyz')->content =~ /"ready"/ }, 'readiness');
is(http(POST => '/validate', Authorization => bearer())->code, 200,
    'the secret of the file');



=== TEST 3: an endpoint beside another
--- config
location = /x { v2m_login; v2m_validate; }
--- must_die: 1
--- error_log
"v2m_validate" directive conflicts with another content handler of this location



=== TEST 4: an endpoint twice
--- config
location = /x { v2m_login; v2m_login; }
--- must_die: 1
--- error_log
"v2m_login" directive is duplicate



=== TEST 5: an endpoint behind a proxy_pass
--- config
location = /x { proxy_pass http://127.0.0.1:1; v2m_jobs; }
--- must_die: 1
--- error_log
"v2m_jobs" directive conflicts with another content handler of this location



=== TEST 6: a proxy_pass behind an endpoint
--- config
location = /x { v2m_jobs; proxy_pass http://127.0.0.1:1; }
--- must_die: 1
--- error_log
the v2m endpoint in location "/x" conflicts with another content handler of this location



=== TEST 7: an endpoint with an argument
--- config
location = /x { v2m_login on; }
--- must_die: 1
--- error_log
invalid number of arguments in "v2m_login" directive



=== TEST 8: an endpoint outside a location
--- config
v2m_login;
--- must_die: 1
--- error_log
"v2m_login" directive is not allowed here



=== TEST 9: v2m_auth
--- config
v2m_auth maybe;
--- must_die: 1
--- error_log
invalid value "maybe"



=== TEST 10: v2m_problem_details
--- config
location = /x { v2m_problem_details 1; }
--- must_die: 1
--- error_log
invalid value "1" in "v2m_problem_details" directive, it must be "on" or "off"



=== TEST 11: v2m_chunk_size, too small
--- config
v2m_chunk_size 16383;
--- must_die: 1
--- error_log
"v2m_chunk_size" must be from 16k to 8m in



=== TEST 12: v2m_chunk_size, too large
--- config
v2m_chunk_size 9m;
--- must_die: 1
--- error_log
"v2m_chunk_size" must be from 16k to 8m in



=== TEST 13: v2m_chunk_size, no size
--- config
v2m_chunk_size large;
--- must_die: 1
--- error_log
"v2m_chunk_size" directive invalid value



=== TEST 14: v2m_upload_batch
--- config
v2m_upload_batch 0;
--- must_die: 1
--- error_log
"v2m_upload_batch" must be from 1 to 64 in



=== TEST 15: v2m_upload_inserts
--- config
v2m_upload_inserts 65;
--- must_die: 1
--- error_log
"v2m_upload_inserts" must be from 1 to 64 in



=== TEST 16: v2m_download_batch
--- config
v2m_download_batch 65;
--- must_die: 1
--- error_log
"v2m_download_batch" must be from 1 to 64 in



=== TEST 17: v2m_download_reads
--- config
v2m_download_reads 0;
--- must_die: 1
--- error_log
"v2m_download_reads" must be from 1 to 64 in



=== TEST 18: a negative number
--- config
v2m_download_reads -1;
--- must_die: 1
--- error_log
"v2m_download_reads" directive invalid number



=== TEST 19: v2m_storage_pool, unknown
--- bare
--- http_config
v2m_storage_pool nowhere;
--- config
location = /x { v2m_ready; }
--- must_die: 1
--- error_log
unknown thread pool "nowhere" in



=== TEST 20: v2m_login_pool, unknown
--- bare
--- http_config
v2m_login_pool nowhere;
--- config
location = /x { v2m_login; }
--- must_die: 1
--- error_log
unknown thread pool "nowhere" in



=== TEST 21: v2m_login_pool, twice
--- http_config
v2m_login_pool v2m_login;
--- must_die: 1
--- error_log
"v2m_login_pool" directive is duplicate



=== TEST 22: v2m_storage_pool in a server
--- config
v2m_storage_pool v2m_storage;
--- must_die: 1
--- error_log
"v2m_storage_pool" directive is not allowed here



=== TEST 23: v2m_backend_timeout, too short
--- http_config
v2m_backend_timeout 999ms;
--- must_die: 1
--- error_log
"v2m_backend_timeout" must be from 1s to 5m in



=== TEST 24: v2m_backend_timeout, no time
--- http_config
v2m_backend_timeout soon;
--- must_die: 1
--- error_log
"v2m_backend_timeout" directive invalid value



=== TEST 25: v2m_confirm_timeout
--- http_config
v2m_confirm_timeout 0;
--- must_die: 1
--- error_log
"v2m_confirm_timeout" must be from 100ms to 1m in



=== TEST 26: v2m_attempts
--- http_config
v2m_attempts 0;
--- must_die: 1
--- error_log
"v2m_attempts" must be from 1 to 1000 in



=== TEST 27: v2m_password_cost
--- http_config
v2m_password_cost 12;
--- must_die: 1
--- error_log
"v2m_password_cost" must be from 1 to 11 in



=== TEST 28: v2m_password_cost, none
--- http_config
v2m_password_cost 0;
--- must_die: 1
--- error_log
"v2m_password_cost" must be from 1 to 11 in



=== TEST 29: V2M_PASSWORD_COST
--- env
V2M_PASSWORD_COST=high
--- must_die: 1
--- error_log
v2m: V2M_PASSWORD_COST



=== TEST 30: v2m_token_lifetime, none
--- http_config
v2m_token_lifetime 0;
--- must_die: 1
--- error_log
"v2m_token_lifetime" must be from 1s to 366d in



=== TEST 31: v2m_token_lifetime, too long
--- http_config
v2m_token_lifetime 367d;
--- must_die: 1
--- error_log
"v2m_token_lifetime" must be from 1s to 366d in



=== TEST 32: v2m_jwt_secret_file that is not there
--- http_config
v2m_jwt_secret_file /nowhere/secret;
--- must_die: 1
--- error_log
v2m: cannot open "/nowhere/secret" given by v2m_jwt_secret_file: No such file or directory



=== TEST 33: a file that is a directory
--- http_config
v2m_mongo_uri_file /tmp;
--- must_die: 1
--- error_log
v2m: "/tmp" given by v2m_mongo_uri_file is unreadable or longer than 64 KiB



=== TEST 34: an empty file
--- user_files
>>> empty
--- http_config
v2m_amqp_url_file ../html/empty;
--- must_die: 1
--- error_log
v2m: the AMQP URL is unusable: 



=== TEST 35: S5, a secret that is too short
--- user_files
>>> secret
0123456789012345678901234567890
--- http_config
v2m_jwt_secret_file ../html/secret;
--- must_die: 1
--- error_log
v2m: JWT_SECRET: the secret for tokens has 31 bytes, it needs at least 32



=== TEST 36: S5, the same from the environment
--- env
JWT_SECRET_FILE
JWT_SECRET=short
--- must_die: 1
--- error_log
v2m: JWT_SECRET: the secret for tokens has 5 bytes, it needs at least 32
--- no_error_log
short



=== TEST 37: no secret at all
--- env
JWT_SECRET_FILE
--- must_die: 1
--- error_log
v2m: JWT_SECRET is not set: give it in nginx's environment, or a file with it as JWT_SECRET_FILE or in the directive "v2m_jwt_secret_file"



=== TEST 38: an empty variable counts as not set
--- env
JWT_SECRET_FILE=
--- must_die: 1
--- error_log
v2m: JWT_SECRET is not set



=== TEST 39: both the value and the file
--- env
JWT_SECRET=01234567890123456789012345678901
--- must_die: 1
--- error_log
v2m: both JWT_SECRET and JWT_SECRET_FILE are set, unset one of them



=== TEST 40: the secret as a value
--- env
JWT_SECRET_FILE
JWT_SECRET=01234567890123456789012345678901
--- request
POST /validate
--- more_headers eval
'Authorization: ' . bearer(secret => '01234567890123456789012345678901')



=== TEST 41: a directive wins over the environment
--- user_files
>>> secret
abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz
--- http_config
v2m_jwt_secret_file ../html/secret;
--- request
POST /validate
--- more_headers eval
'Authorization: ' . bearer(secret => 'abcdefghijklmnopqrstuvwxyz' x 2)



=== TEST 42: no MongoDB
--- env
V2M_MONGO_URI
--- must_die: 1
--- error_log
v2m: V2M_MONGO_URI is not set



=== TEST 43: a MongoDB URI that is none
--- env
V2M_MONGO_URI=http://127.0.0.1/
--- must_die: 1
--- error_log
v2m: the MongoDB URI is unusable: 



=== TEST 44: no RabbitMQ
--- env
V2M_AMQP_URL
--- must_die: 1
--- error_log
v2m: V2M_AMQP_URL is not set



=== TEST 45: a URL of RabbitMQ that is none
--- env
V2M_AMQP_URL=http://127.0.0.1/
--- must_die: 1
--- error_log
v2m: the AMQP URL is unusable: 



=== TEST 46: no password for MySQL
--- env
MYSQL_PASSWORD
--- must_die: 1
--- error_log
v2m: MYSQL_PASSWORD is not set



=== TEST 47: MYSQL_PORT
--- env
MYSQL_PORT=70000
--- must_die: 1
--- error_log
v2m: MYSQL_PORT is "70000", but must be a whole number from 1 to 65535



=== TEST 48: MYSQL_PORT, no number
--- env
MYSQL_PORT=3306x
--- must_die: 1
--- error_log
v2m: MYSQL_PORT is "3306x", but must be a whole number from 1 to 65535



=== TEST 49: a secret in a URI does not get into the log
--- env
V2M_MONGO_URI=mongodb://v2m:very-secret@127.0.0.1:99999/?x=
V2M_AMQP_URL=amqp://v2m:very-secret@127.0.0.1:99999/
--- must_die: 1
--- error_log
v2m: 
--- no_error_log
very-secret
