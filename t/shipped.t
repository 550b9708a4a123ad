# nginx-conf/ as a whole: nginx.conf, tls.conf and what they include are put
# where they say, but under a directory of the test, and serve a request.

use strict;
use warnings;

use lib 't/lib';

use File::Temp qw(tempdir);
use IO::Socket::INET;
use Test::More;

use V2M::Client qw(wait_for);

my $build  = $ENV{V2M_BUILD} || 'build/release';
my $nginx  = $ENV{TEST_NGINX_BINARY} || 'nginx';
my $root   = tempdir(CLEANUP => 1);
my ($http, $https) = map { free_port() } 1, 2;

chomp(my $module = `realpath $build/ngx_http_v2m_module.so`);

# A port that was free a moment ago.
sub free_port {
    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport;
}

sub slurp {
    open my $in, '<', $_[0] or return '';
    local $/;
    return <$in> // '';
}

mkdir "$root/$_" for qw(etc etc/v2m etc/tls run log temp);

my $made = `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \\
    -nodes -days 1 -subj /CN=v2m.example.com -keyout $root/etc/tls/privkey.pem \\
    -out $root/etc/tls/fullchain.pem 2>&1`;

$? == 0 or BAIL_OUT($made);

for my $path (glob 'nginx-conf/*.conf') {
    my ($name) = $path =~ m{([^/]+)$};
    my $text = slurp($path);

    $text =~ s{/etc/nginx/mime\.types}{/etc/nginx/mime-types};
    $text =~ s{/etc/nginx/(?=v2m/|tls/)}{$root/etc/}g;
    $text =~ s{/etc/nginx/mime-types}{/etc/nginx/mime.types};
    $text =~ s{modules/ngx_http_v2m_module\.so}{$module};
    $text =~ s{/run/nginx\.pid}{$root/run/nginx.pid};
    $text =~ s{/var/log/nginx/}{$root/log/}g;
    $text =~ s{\blisten(\s+)80;}{listen${1}127.0.0.1:$http;};
    $text =~ s{\blisten(\s+)443 }{listen${1}127.0.0.1:$https };

    # who is not root cannot become someone else
    $text =~ s{^user .*}{}m if $> != 0;

    open my $out, '>', $name eq 'nginx.conf' ? "$root/etc/$name"
        : "$root/etc/v2m/$name" or die $!;
    print {$out} $text;
    close $out;
}

chmod 0755, $root;

my $preload = `ldd $module` =~ /libasan\S+ => (\S+)/ ? "LD_PRELOAD=$1" : '';
my $command = "$preload $nginx -p $root/ -e $root/log/error.log"
    . " -c $root/etc/nginx.conf";

my $output = `env LSAN_OPTIONS=detect_leaks=0 $command -t 2>&1`;

is($?, 0, 'nginx -t') or BAIL_OUT($output);
unlike($output, qr/\[(?:emerg|alert|crit|error)\]/, 'without a complaint');

# the balancer's, which has none of our module
open my $balancer, '>', "$root/etc/balancer.conf" or die $!;
print {$balancer} <<"EOC";
pid $root/run/balancer.pid;
events { }
http {
    access_log $root/log/balancer.log;
    include $root/etc/v2m/v2m-balancer.conf;
}
EOC
close $balancer;

$output = `$nginx -p $root/ -e $root/log/error.log -c $root/etc/balancer.conf -t 2>&1`;
is($?, 0, 'nginx -t of the balancer') or diag($output);

# nginx leaks as it becomes a daemon: what t/lsan.supp tells of
my $options = "LSAN_OPTIONS=print_suppressions=0:suppressions=t/lsan.supp";

is(system("env $options $command"), 0, 'it starts');

my $curl = "curl -sk --noproxy '*' --connect-to v2m.example.com:80:127.0.0.1:$http"
    . " --connect-to v2m.example.com:443:127.0.0.1:$https";

like(`$curl -i http://v2m.example.com/x`,
    qr{^HTTP/1\.1 301.*^Location: https://v2m\.example\.com/x\r}ms,
    'people come over to TLS');

my @headers = (
    qr{^strict-transport-security: max-age=63072000\r}m,
    qr{^x-content-type-options: nosniff\r}m,
    qr{^referrer-policy: no-referrer\r}m,
    qr{^permissions-policy: .*\bcamera=\(\).*\r}m,
    qr{^content-security-policy: default-src 'none'; .*frame-ancestors 'none'\r}m,
    qr{^server: nginx\r}m,
);

# What browsers hold a page to comes with every answer, and once.
sub answer_ok {
    my ($status, $path, @options) = @_;
    my $answer = `$curl -i @options https://v2m.example.com$path`;

    like($answer, qr{^HTTP/2 $status}, "$path: $status over TLS and HTTP/2");
    is(scalar(() = $answer =~ /$_/g), 1, "$path: $_") for @headers;

    return $answer;
}

like(answer_ok(200, '/healthz'), qr{^ok$}m, 'health');
answer_ok(404, '/nothing/at/all');
answer_ok(405, '/healthz', '-X DELETE');
answer_ok(413, '/validate', '-d', 'x' x 70000);
like(answer_ok(401, '/jobs'), qr{^content-type: application/problem\+json\r}m,
    'an error');
like(answer_ok(401, '/upload', '-X POST'),
    qr{^www-authenticate: Bearer realm="v2m"\r}m, 'its challenge');

like(`$curl -i http://v2m.example.com:443/healthz --connect-to ::127.0.0.1:$https`,
    qr{^HTTP/1\.1 400 .*^Strict-Transport-Security: max-age=}ms,
    'who forgets TLS');

# The client would take anything, so that it is the server that refuses.
sub handshake {
    return scalar `openssl s_client -connect 127.0.0.1:$https \\
        -servername v2m.example.com @_ </dev/null 2>&1`;
}

like(handshake($_, '-cipher ALL:\@SECLEVEL=0'),
    qr/SSL alert number 70/, "$_: protocol version")
    for '-tls1', '-tls1_1';
like(handshake("-tls1_2 -cipher $_:\@SECLEVEL=0"), qr/SSL alert number 40/,
    "$_: no common cipher")
    for qw(AES128-SHA AES256-GCM-SHA384 ECDHE-ECDSA-AES128-SHA NULL);
like(handshake('-tls1_2'),
    qr/Protocol\s*: TLSv1\.2.*Cipher\s*: ECDHE-ECDSA-(AES|CHACHA20)/s,
    'TLS 1.2');
like(handshake('-tls1_3'), qr/^New, TLSv1\.3, Cipher is TLS_/m, 'TLS 1.3');

like(wait_for(sub { slurp("$root/log/v2m.log") }, 'the log'),
    qr{"GET /jobs" 401 .* user="-" job=-$}m, 'the log');

my $pid = slurp("$root/run/nginx.pid") + 0;

kill QUIT => $pid;
wait_for(sub { !kill 0 => $pid }, 'nginx to end');
unlike(slurp("$root/log/error.log"), qr/\[(?:emerg|alert|crit)\]/,
    'no alarm in error.log');

done_testing();
