# HTTP/3, by curl, where both nginx and curl have it.
#
#     BEGIN { require V2M::Http3; V2M::Http3::skip_unless_there() }
#     ...
#     --- http_config eval: V2M::Http3::server()
#     ...
#     my $response = http3(PUT => '/upload', Authorization => ..., body => ...);
#
# The server listens on the UDP port with the number of the gateway's TCP port.

package V2M::Http3;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use HTTP::Response;

our @EXPORT = qw(http3 http3_command);

my $top  = abs_path(dirname(__FILE__) . '/../../..');
my $keys = tempdir(CLEANUP => 1);


# Ends the suite as skipped, with what is missing.
sub skip_unless_there {
    my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
    my $missing
        = `$nginx -V 2>&1` !~ /--with-http_v3_module/ ? 'nginx'
        : `curl --version` !~ /\bHTTP3\b/             ? 'curl'
        :                                               return;

    print "1..0 # SKIP $missing here has no HTTP/3\n";
    exit 0;
}


# The server block, with more directives in it.
sub server {
    my $more = shift // '';
    my $port = $ENV{TEST_NGINX_SERVER_PORT};

    system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
        . " -nodes -days 2 -subj /CN=localhost -keyout $keys/key.pem"
        . " -out $keys/certificate.pem 2>/dev/null") == 0
        or die 'openssl failed';

    return <<"EOC";
server {
    listen 127.0.0.1:$port quic reuseport;
    server_name localhost;
    ssl_certificate $keys/certificate.pem;
    ssl_certificate_key $keys/key.pem;
    include $top/nginx-conf/v2m-locations.conf;
    v2m_chunk_size 16k;
    $more
}
EOC
}


# The words of a command that sends the request: method, path, headers.
sub http3_command {
    my ($method, $path, %headers) = @_;
    my $body = delete $headers{body};

    if (defined $body) {
        open my $file, '>:raw', "$keys/body" or die "$keys/body: $!";
        print {$file} $body;
        close $file;
    }

    return ('curl', '-ski', '--http3-only', '--max-time', 60,
        $method eq 'HEAD' ? '-I' : ('-X', $method),
        map({ ('-H', "$_: $headers{$_}") } sort keys %headers),
        defined $body ? ('--data-binary', "\@$keys/body") : (),
        "https://127.0.0.1:$ENV{TEST_NGINX_SERVER_PORT}$path");
}


# As http() of V2M::Client.
sub http3 {
    open my $curl, '-|:raw', http3_command(@_) or die "curl: $!";
    local $/;
    my $text = <$curl>;
    close $curl;

    $text =~ s/\AHTTP\/3 /HTTP\/3.0 / or die "no answer over HTTP/3: $text\n";

    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my $response = HTTP::Response->parse("$head\r\n\r\n");

    $response->content($body // '');
    return $response;
}

1;
