# Administrators, and what nobody else may do.

use lib 't/lib';
use V2M;
use V2M::Store;

our $boss = bearer(username => 'boss@example.com', admin => JSON::PP::true);

sub get {
    my ($path, $authorization) = @_;

    return http(GET => $path, Authorization => $authorization);
}

# The ids of a list.
sub ids {
    my $response = get(@_);

    is($response->code, 200, $_[0]);
    return map { $_->{id} } @{ decode_json($response->content)->{jobs} };
}

run_tests();

__DATA__

=== TEST 1: S12, someone else's job is 404 in every call, but for administrators
--- scenario
my ($ann, $owner) = make_owner();
my ($eve) = make_owner();
my ($id, $mp3) = make_job($owner, 'ready', mp3 => 'x' x 1000, name => 'a.mp4');

my @calls = ([GET => "/jobs/$id"], [HEAD => "/jobs/$id"],
    [GET => "/download?fid=$id"], [GET => "/download?fid=$mp3"],
    [HEAD => "/download?fid=$id"], [DELETE => "/jobs/$id"]);

for my $user ($eve, bearer(username => 'eve', admin => 'true'),
    bearer(username => 'eve', admin => 1), bearer(username => uc $owner))
{
    for my $call (@calls) {
        my ($method, $path) = @$call;
        my $response = http($method => $path, Authorization => $user);
        my $unknown = http($method => $path =~ s/[0-9a-f]{24}/'0' x 24/er,
            Authorization => $user);

        is($response->code, 404, "$method $path");
        is($response->content, $unknown->content, 'as for an unknown one');
    }
}

my $job = decode_json(get("/jobs/$id", $boss)->content);

is($job->{id}, $id, 'an administrator sees it');
is($job->{username}, $owner, 'and whose it is');
ok(!exists decode_json(get("/jobs/$id", $ann)->content)->{username},
    'which its owner need not be told');

is(get("/download?fid=$_", $boss)->content, 'x' x 1000, 'download')
    for $id, $mp3;
is(http(DELETE => "/jobs/$id", Authorization => $boss)->code, 204, 'delete');
ok(is_gone($id), 'all of it is gone');
is(get("/jobs/$id", $ann)->code, 404, 'for its owner, too');

my @notes = error_log_text()
    =~ /\[notice\].* v2m: administrator boss\@example\.com (\w+) job $id of someone else/g;

is("@notes", 'read downloaded downloaded deleted', 'who did it is logged');



=== TEST 2: their own jobs are no other than anyone's
--- scenario
my ($owner) = (make_owner())[1];
my $boss = bearer(username => $owner, admin => JSON::PP::true);
my ($id) = make_job($owner, 'ready', mp3 => 'x');

is(join(' ', ids('/jobs', $boss)), $id, 'the list is of their own');
is(get("/jobs/$id", $boss)->code, 200, 'one');
is(http(DELETE => "/jobs/$id", Authorization => $boss)->code, 204, 'delete');
unlike(error_log_text(), qr/administrator/, 'nothing to log');



=== TEST 3: lists of one user and of all
--- scenario
my ($ann, $first) = make_owner();
my ($bob, $second) = make_owner();
my ($one) = make_job($first, 'queued');
my ($two) = make_job($second, 'queued');
my ($three) = make_job($first, 'failed', reason => 'x');
my $escaped = $first =~ s/@/%40/r;

is(join(' ', ids("/jobs?user=$_", $boss)), "$three $one", 'of one user')
    for $first, $escaped;
is(join(' ', ids("/jobs?user=$first&limit=1", $boss)), $three, 'a page');
is(join(' ', ids("/jobs?user=$first&after=$three", $boss)), $one, 'the next');
is(join(' ', ids('/jobs?user=nobody', $boss)), '', 'of nobody');
is(join(' ', ids('/jobs', $boss)), '', 'without: their own, none');

my @all = ids('/jobs?all=1&limit=100', $boss);
my %all = map { $_ => 1 } @all;

ok($all{$_}, 'of all') for $one, $two, $three;
is(join(' ', @all), join(' ', sort { $b cmp $a } @all), 'newest first');

my $list = decode_json(get("/jobs?user=$second", $boss)->content);
is($list->{jobs}[0]{username}, $second, 'whose it is');

for my $user ($ann, bearer(username => $first, admin => 'true')) {
    for my $path ("/jobs?user=$second", "/jobs?user=$first", '/jobs?all=1',
        '/jobs?all=', '/jobs?user=')
    {
        my $response = get($path, $user);

        is($response->code, 403, "$path for others");
        like(decode_json($response->content)->{detail}, qr/^only administrators/);
    }
}



=== TEST 4: S13, names that are none
--- scenario
for my $query ('user=', 'user=%00', 'user=a%00b', 'user=%ff', 'user=%c3',
    'user=a&all=1', 'all=2', 'all=', 'all=true')
{
    is(get("/jobs?$query", $boss)->code, 400, $query);
}

for my $name ('%7B%22$gt%22:%22%22%7D', '$gt', '%7B$ne:null%7D', '%27%20OR%201=1',
    '*', '.*', '%25')
{
    is(join(' ', ids("/jobs?user=$name", $boss)), '', "$name is nobody");
}

is(get('/jobs?user[$ne]=x', $boss)->code, 200, 'another parameter');
