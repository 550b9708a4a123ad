# Requests to the gateway from a scenario.

package V2M::Client;

use strict;
use warnings;

use Exporter qw(import);
use HTTP::Response;
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(connect_gateway decode_json http http2 is_idle read_response
    wait_for);


# Calls the function until it returns something true, which is the result;
# dies when that takes too long.
sub wait_for {
    my ($condition, $what, $seconds) = @_;
    my $until = time() + ($seconds // 20);

    while (1) {
        my $result = $condition->();

        return $result if $result;
        die 'waited too long for ' . ($what // 'a condition') . "\n"
            if time() > $until;
        sleep 0.02;
    }
}


sub decode_json {
    return JSON::PP->new->utf8->decode($_[0]);
}


# connect_gateway([ADDRESS]): a connection, from an address of our choice.
sub connect_gateway {
    return IO::Socket::INET->new(
        PeerAddr  => '127.0.0.1',
        PeerPort  => $ENV{TEST_NGINX_SERVER_PORT},
        LocalAddr => $_[0],
    ) // die "connect: $!\n";
}


# read_response(SOCKET [, METHOD]): the next response of the connection, as an
# HTTP::Response; those of status 1xx are skipped.  undef when the server closed
# the connection instead.  What was read beyond it stays for the next call.
sub read_response {
    my ($socket, $method) = @_;
    my $text  = delete ${*$socket}{v2m_rest} // '';
    my $until = time() + 30;
    my $more  = sub {
        my $left = $until - time();

        $left > 0 && IO::Select->new($socket)->can_read($left)
            or die "no response in time, but: $text\n";
        return sysread $socket, $text, 65536, length $text;
    };

    while (1) {
        until ($text =~ /\r\n\r\n/) {
            $more->() or return undef;
        }

        last unless $text =~ m{\AHTTP/1\.1 1\d\d };
        $text =~ s/\A.*?\r\n\r\n//s;
    }

    $text =~ s/\A(.*?\r\n)\r\n//s;
    my $response = HTTP::Response->parse($1);
    my $length   = $response->header('Content-Length');
    my $coding   = $response->header('Transfer-Encoding') // '';
    my $body     = '';

    if (($method // '') eq 'HEAD' || $response->code =~ /^(?:204|304)$/) {
        # no body

    } elsif ($coding eq 'chunked') {
        while (1) {
            until ($text =~ /\r\n/) {
                $more->() or die "the response was cut\n";
            }

            my ($digits) = $text =~ /\A([0-9a-fA-F]+)\r\n/
                or die "bad chunk: $text\n";
            my $size = hex $digits;

            until (length $text >= length($digits) + $size + 4) {
                $more->() or die "the response was cut\n";
            }

            $body .= substr $text, length($digits) + 2, $size;
            substr $text, 0, length($digits) + $size + 4, '';
            last if $size == 0;
        }

    } elsif (defined $length) {
        until (length $text >= $length) {
            $more->() or die "the response was cut\n";
        }
        $body = substr $text, 0, $length, '';

    } else {
        1 while $more->();
        ($body, $text) = ($text, '');
    }

    $response->content($body);
    ${*$socket}{v2m_rest} = $text if length $text;

    return $response;
}


# http(METHOD, PATH [, NAME => VALUE...]): a request on a connection of its own.
# The pairs are headers; body => "..." is none of them.
sub http {
    my ($method, $path, @pairs) = @_;
    my $socket = connect_gateway();
    my ($headers, $body, $seen_length) = ('', undef, 0);

    while (my ($name, $value) = splice @pairs, 0, 2) {
        if ($name eq 'body') {
            $body = $value;
            next;
        }
        $seen_length ||= $name =~ /^(?:content-length|transfer-encoding)$/i;
        $headers .= "$name: $value\r\n";
    }

    $headers .= 'Content-Length: ' . length($body) . "\r\n"
        if defined $body && !$seen_length;
    $headers .= "Host: localhost\r\n" unless $headers =~ /^host:/im;
    $headers .= "Connection: close\r\n" unless $headers =~ /^connection:/im;

    {
        local $SIG{PIPE} = 'IGNORE';
        print {$socket} "$method $path HTTP/1.1\r\n$headers\r\n", $body // '';
        $socket->flush;
    }

    return read_response($socket, $method);
}


# http2(METHOD, PATH, ...): the same over HTTP/2 without TLS.  The client is
# curl, which takes an answer before the end of its body for an error.
sub http2 {
    my ($method, $path, @pairs) = @_;
    my @arguments = ('curl', '-sS', '-i', '-m', 30, '--noproxy', '*',
        '--http2-prior-knowledge', $method eq 'HEAD' ? '-I' : ('-X', $method));
    my $body;

    while (my ($name, $value) = splice @pairs, 0, 2) {
        if ($name eq 'body') {
            push @arguments, '--data-binary', '@-', '-H', 'Content-Type:';
            $body = $value;
        } else {
            push @arguments, '-H', length $value ? "$name: $value" : "$name;";
        }
    }

    push @arguments, "http://127.0.0.1:$ENV{TEST_NGINX_HTTP2_PORT}$path";

    require File::Temp;
    my $input = File::Temp->new;
    print {$input} $body // '';
    close $input;

    my $pid = open(my $out, '-|') // die "fork: $!";

    if ($pid == 0) {
        open STDIN, '<', $input->filename or die $!;
        exec @arguments or die "curl: $!";
    }

    local $/;
    my $text = <$out> // '';
    close $out;

    $text =~ s/\A(?:HTTP\S+ 1\d\d.*?\r\n\r\n)+//s;
    $text =~ s{\AHTTP/2 (\d+) *\r\n}{HTTP/2.0 $1 -\r\n};

    return HTTP::Response->parse($text);
}


# The server has nothing to do any more but to tell so: with "location =
# /status { stub_status; }".
sub is_idle {
    my $status;

    main::ok(eval {
        wait_for(sub {
            $status = http(GET => '/status')->content;
            $status =~ /Active connections: 1 .*Writing: 1 Waiting: 0/s;
        }, 'the gateway to be idle');
    }, 'nothing goes on any more') or main::diag($status);
}

1;
