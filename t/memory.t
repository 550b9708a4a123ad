# S23: valgrind finds no error and no leak in nginx's processes, over reloads.

use strict;
use warnings;

use lib 't/lib';

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use Test::More;

use V2M::Client;
use V2M::Token;
use V2M::Users;

my $top    = abs_path('.');
my $build  = $ENV{V2M_BUILD} || 'build/release';
my $module = abs_path("$build/ngx_http_v2m_module.so");
my $nginx  = $ENV{TEST_NGINX_BINARY} || 'nginx';
my $root   = tempdir(CLEANUP => 1);

plan(skip_all => 'a build with AddressSanitizer does not run in valgrind')
    if `ldd $module` =~ /libasan/;

my $port = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport;

$ENV{TEST_NGINX_SERVER_PORT} = $port;
$ENV{VIDEO_QUEUE}            = 'test-' . unique();

my $user = $> == 0 ? 'user root;' : '';

sub slurp {
    open my $in, '<', $_[0] or return '';
    local $/;
    return <$in> // '';
}

mkdir "$root/logs";

# a fast machine logs in more often than one address may
(my $http = slurp("$top/nginx-conf/v2m-http.conf")) =~ s{rate=\d+r/s}{rate=100r/s}
    or die 'the limit of logins per address is not where it was';
open my $shipped, '>', "$root/v2m-http.conf" or die $!;
print {$shipped} $http;
close $shipped;

open my $conf, '>', "$root/nginx.conf" or die $!;
print {$conf} <<"EOC";
load_module $module;
$user
worker_processes 1;
pid              $root/nginx.pid;
error_log        $root/logs/error.log info;
thread_pool v2m_storage threads=4 max_queue=64;
thread_pool v2m_login   threads=1 max_queue=64;
events { worker_connections 64; }
http {
    include $root/v2m-http.conf;
    access_log $root/logs/access.log v2m;
    server {
        listen 127.0.0.1:$port;
        include $top/nginx-conf/v2m-locations.conf;
    }
}
EOC
close $conf;

my $pid = fork() // die "fork: $!";

if ($pid == 0) {
    open STDOUT, '>', "$root/logs/stdout";
    open STDERR, '>&', \*STDOUT;
    exec 'valgrind', '-q', '--log-file=' . "$root/logs/valgrind.%p",
        '--leak-check=full', '--errors-for-leak-kinds=definite',
        '--show-leak-kinds=definite', '--num-callers=30', '--fair-sched=yes', '--keep-debuginfo=yes',
        "--suppressions=$top/t/valgrind.supp", $nginx, '-p', "$root/", '-e',
        "$root/logs/error.log", '-c', "$root/nginx.conf", '-g', 'daemon off;';
}

my $password = 'secret-' . unique();
my $email    = make_user($password);

sub workers { return grep { /\d/ } split /\s+/, `ps -o pid= --ppid $pid` }

# One round of everything; the codes of the answers.
sub round {
    my $login = http(POST => '/login', Authorization => basic($email, $password));
    my @token = (Authorization => 'Bearer ' . $login->content);
    my $upload = http(POST => '/upload', @token, body => 'no video' x 5000,
        'Content-Type' => 'application/octet-stream');
    my $id = $upload->code == 201 ? decode_json($upload->content)->{id} : 'none';

    return join ' ', $login->code, $upload->code, map { $_->code }
        http(POST => '/login', Authorization => basic($email, 'wrong')),
        http(POST => '/validate', @token),
        http(POST => '/validate', Authorization => 'Bearer x.y.z'),
        http(GET => '/jobs', @token),
        http(GET => "/jobs/$id", @token),
        http(GET => "/download?fid=$id", @token),
        http(DELETE => "/jobs/$id", @token),
        http(GET => '/readyz'),
        http(GET => '/nothing');
}

wait_for(sub { eval { http(GET => '/readyz')->content =~ /"ready"/ } },
    'nginx', 120);

my $expected = '200 201 401 200 401 200 200 409 204 200 404';

is(round(), $expected, 'answers');

for my $reload (1 .. 4) {
    my @old = workers();

    kill HUP => $pid;
    wait_for(sub {
        my %now = map { $_ => 1 } workers();
        keys %now && !grep { $now{$_} } @old;
    }, 'a new worker, and the end of the old', 120);
    is(round(), $expected, "answers after reload $reload");
}

kill QUIT => $pid;
waitpid $pid, 0;

is($?, 0, 'nginx ends');

my @logs = glob "$root/logs/valgrind.*";

cmp_ok(scalar @logs, '>=', 6, 'a master and five workers were watched');
is(join('', map { slurp($_) } @logs), '', 'nothing was found');
unlike(slurp("$root/logs/error.log"), qr/\[(?:emerg|alert|crit)\]/,
    'no alarm in error.log');

remove_queues($ENV{VIDEO_QUEUE});
done_testing();
