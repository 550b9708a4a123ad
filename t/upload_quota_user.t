# Quotas of single users, from the users' table, and v2m_quota_age.

use lib 't/lib';
use V2M;
use V2M::Relay;
use V2M::Store;

our $mysql = V2M::Relay->new($ENV{MYSQL_HOST}, $ENV{MYSQL_PORT});
our $relay = 'MYSQL_HOST=127.0.0.1' . "\n" . 'MYSQL_PORT=' . $mysql->port;

# A user with limits as SQL; the Authorization header and the name.
sub make_limited {
    my ($jobs, $bytes) = @_;
    my ($authorization, $owner) = make_owner();

    make_user('a long password', email => $owner);
    set_limits($owner, $jobs, $bytes);
    return ($authorization, $owner);
}

sub set_limits {
    my ($owner, $jobs, $bytes) = @_;

    sql("UPDATE user SET quota_jobs = $jobs, quota_bytes = $bytes"
        . " WHERE email = '$owner'");
}

sub upload {
    my ($authorization, $bytes) = @_;

    return http(PUT => '/upload', Authorization => $authorization,
        body => $bytes);
}

sub is_refused {
    my ($response, $status, $detail) = @_;

    is($response->code, $status, "status $status");
    like(decode_json($response->content)->{detail}, $detail);
}

run_tests();

__DATA__

=== TEST 1: S22, a user's own limits count in place of the configured ones
--- config
v2m_quota_jobs 1;
v2m_quota_bytes 1000;
--- scenario
wait_ready();
my ($more, $owner) = make_limited(3, 5000);
my ($less, $small) = make_limited('NULL', 100);
my ($any, $free) = make_limited(0, 0);
my ($usual, $other) = make_limited('NULL', 'NULL');

make_job($owner, 'converting');
make_job($owner, 'converting');
is(upload($more, 'v' x 2000)->code, 201, 'more jobs and bytes');
is_refused(upload($more, 'v'), 429, qr/3 of your jobs .* 3 is the limit/);

is_refused(upload($less, 'v' x 101), 413, qr/may take 100 bytes/);
wait_for(sub { !@{ store('jobs_of', $small) } }, 'its record to go');
is(upload($less, 'v' x 100)->code, 201, 'fewer bytes');
is_refused(upload($less, 'v'), 429, qr/1 is the limit \(v2m_quota_jobs\)/);

is(upload($any, 'v' x 2000)->code, 201, 'any number') for 1 .. 3;

is(upload($usual, 'v' x 10)->code, 201, 'the configured ones');
is_refused(upload($usual, 'v'), 429, qr/1 is the limit/);



=== TEST 2: S22, nothing configured, only a user's own limits
--- scenario
wait_ready();
my ($limited, $owner) = make_limited(1, 'NULL');

is(upload($limited, 'video')->code, 201);
is_refused(upload($limited, 'video'), 429, qr/1 is the limit/);
is(upload((make_owner())[0], 'video')->code, 201, 'of another issuer');



=== TEST 3: what is changed does not count before the age has passed
--- http_config
v2m_quota_age 1h;
--- scenario
wait_ready();
my ($authorization, $owner) = make_limited('NULL', 100);

is_refused(upload($authorization, 'v' x 200), 413, qr/may take 100 bytes/);
set_limits($owner, 'NULL', 1000);
is_refused(upload($authorization, 'v' x 200), 413, qr/may take 100 bytes/);



=== TEST 4: and counts when it has
--- http_config
v2m_quota_age 100ms;
--- scenario
wait_ready();
my ($authorization, $owner) = make_limited('NULL', 100);

is_refused(upload($authorization, 'v' x 200), 413, qr/may take 100 bytes/);
set_limits($owner, 'NULL', 1000);
wait_for(sub { upload($authorization, 'v' x 200)->code == 201 },
    'the new limit');
is_refused(upload($authorization, 'v' x 900), 413, qr/may take 1000 bytes/);



=== TEST 5: F17, without the database the last known limits hold, and uploads go on
--- env eval: $main::relay
--- http_config
v2m_quota_age 1h;
--- config
v2m_quota_bytes 1000;
--- allow_log: quotas of users cannot be read
--- scenario
$main::mysql->start;
wait_ready();
my ($known, $owner) = make_limited('NULL', 100);
my ($unknown) = make_limited('NULL', 100);

is_refused(upload($known, 'v' x 101), 413, qr/may take 100 bytes/);
$main::mysql->stop;

# no call of the database: this one is known
is_refused(upload($known, 'v' x 101), 413, qr/may take 100 bytes/);
wait_for(sub { !@{ store('jobs_of', $owner) } }, 'its record to go');
is(upload($known, 'v')->code, 201);
unlike(error_log_text(), qr/quotas of users/, 'nobody asked');

is(upload($unknown, 'v' x 200)->code, 201, 'as it is configured');
is_refused(upload($unknown, 'v' x 1000), 413, qr/may take 1000 bytes/);
my @lines = error_log_text() =~ /quotas of users cannot be read/g;
is(@lines, 1, 'said once');
$main::mysql->start;



=== TEST 6: F17, an old answer is better than none
--- env eval: $main::relay
--- http_config
v2m_quota_age 1ms;
--- scenario
$main::mysql->start;
wait_ready();
my ($authorization, $owner) = make_limited('NULL', 100);

is_refused(upload($authorization, 'v' x 101), 413, qr/may take 100 bytes/);
$main::mysql->stop;
is_refused(upload($authorization, 'v' x 101), 413, qr/may take 100 bytes/)
    for 1 .. 2;
wait_for(sub { !@{ store('jobs_of', $owner) } }, 'their records to go');
is(upload($authorization, 'v')->code, 201);
like(error_log_text(), qr/quotas of users cannot be read/);
$main::mysql->start;



=== TEST 7: off
--- http_config
v2m_quota_age 0;
--- scenario
wait_ready();
my ($authorization) = make_limited(1, 1);

is(upload($authorization, 'video')->code, 201) for 1 .. 2;



=== TEST 8: a wrong value
--- http_config
v2m_quota_age 2d;
--- must_die
--- error_log
"v2m_quota_age" must be from 0 to 1d



=== TEST 9: not for a server
--- config
v2m_quota_age 1m;
--- must_die
--- error_log
"v2m_quota_age" directive is not allowed here
