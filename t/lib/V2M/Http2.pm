# HTTP/2 without TLS, frame by frame, for what no client does on purpose: to
# stop in the middle, to reset a stream, to leave a window shut.
#
#     my $h2 = V2M::Http2->new(window => 1000);       the client's windows
#     my $stream = $h2->request(PUT => '/upload', Authorization => ...);
#     $h2->data($stream, $bytes, last => 1);          obeys the server's windows
#     my $response = $h2->response($stream);          HTTP::Response
#     $h2->reset($stream);
#
# response() dies with "reset: CODE" when the stream ended in another way.

package V2M::Http2;

use strict;
use warnings;

use HTTP::Response;
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time);

use constant {
    DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PING => 6,
    GOAWAY => 7, WINDOW_UPDATE => 8,
    END_STREAM => 1, ACK => 1, END_HEADERS => 4,
    CANCEL => 8,
};


sub new {
    my ($class, %options) = @_;
    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $ENV{TEST_NGINX_HTTP2_PORT},
    ) // die "connect: $!\n";
    my $self = bless {
        socket => $socket, next => 1, input => '', streams => {},
        window => 65535, initial => 65535, manual => exists $options{window},
    }, $class;

    # no table: the server's headers need no state to be read
    my $settings = pack('nN', 1, 0);
    $settings .= pack('nN', 4, $options{window}) if $self->{manual};

    $self->write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    $self->frame(SETTINGS, 0, 0, $settings);

    return $self;
}


sub write {
    my ($self, $bytes) = @_;

    local $SIG{PIPE} = 'IGNORE';

    while (length $bytes) {
        my $written = syswrite $self->{socket}, $bytes;
        die "write: $!\n" unless defined $written;
        substr $bytes, 0, $written, '';
    }
}


sub frame {
    my ($self, $type, $flags, $stream, $payload) = @_;

    $self->write(substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $stream) . $payload);
}


# A literal without indexing, without Huffman's code (RFC 7541 section 6.2.2).
sub literal {
    return join '', "\0", map { integer(7, length $_) . $_ } @_;
}


sub integer {
    my ($bits, $value) = @_;
    my $most = (1 << $bits) - 1;

    return chr $value if $value < $most;

    my $bytes = chr $most;
    for ($value -= $most; $value >= 128; $value >>= 7) {
        $bytes .= chr($value & 127 | 128);
    }
    return $bytes . chr $value;
}


# request(METHOD, PATH, NAME => VALUE...): begins a request and returns its
# stream; with last => 1 it has no body.
sub request {
    my ($self, $method, $path, @pairs) = @_;
    my ($last, @headers);

    while (my ($name, $value) = splice @pairs, 0, 2) {
        if ($name eq 'last') {
            $last = $value;
        } else {
            push @headers, literal(lc $name, $value);
        }
    }

    my $stream = $self->{next};
    $self->{next} += 2;
    $self->{streams}{$stream} = {
        window => $self->{initial}, body => '', headers => '',
    };
    $self->frame(HEADERS, END_HEADERS | ($last ? END_STREAM : 0), $stream,
        join '', literal(':method', $method), literal(':scheme', 'http'),
        literal(':authority', 'localhost'), literal(':path', $path), @headers);

    return $stream;
}


# Sends data as the windows allow, and ends the request with last => 1.  It
# stops when the server answers or resets the stream.  Returns how much went.
sub data {
    my ($self, $stream, $bytes, %options) = @_;
    my $state = $self->{streams}{$stream};
    my $sent  = 0;

    while (length $bytes) {
        $self->read_frame(0) while $self->readable;

        last if $state->{ended} || defined $state->{reset} || $self->{closed};

        my ($room) = sort { $a <=> $b }
            length $bytes, 16384, $state->{window}, $self->{window};

        if ($room <= 0) {
            last unless $options{wait} // 1;
            $self->read_frame(30);
            next;
        }

        my $piece = substr $bytes, 0, $room, '';
        $self->frame(DATA, $options{last} && !length $bytes ? END_STREAM : 0,
            $stream, $piece);
        $_ -= $room for $state->{window}, $self->{window};
        $sent += $room;
    }

    return $sent;
}


sub reset {
    my ($self, $stream, $code) = @_;

    $self->frame(RST_STREAM, 0, $stream, pack 'N', $code // CANCEL);
}


# Opens the client's window of a stream, and that of the connection.
sub open_window {
    my ($self, $stream, $bytes) = @_;

    $self->frame(WINDOW_UPDATE, 0, $_, pack 'N', $bytes) for $stream, 0;
}


sub readable {
    my ($self, $seconds) = @_;

    return length $self->{input} >= 9 && $self->complete
        || IO::Select->new($self->{socket})->can_read($seconds // 0);
}


sub complete {
    my $self = shift;

    return length $self->{input}
        >= 9 + unpack 'N', "\0" . substr $self->{input}, 0, 3;
}


# Reads one frame.  False: the connection was closed, or nothing came in time.
sub read_frame {
    my ($self, $seconds) = @_;
    my $until = time() + $seconds;

    until (length $self->{input} >= 9 && $self->complete) {
        my $left = $until - time();

        return 0 unless IO::Select->new($self->{socket})
            ->can_read($left > 0 ? $left : 0);

        unless (sysread $self->{socket}, $self->{input}, 65536,
            length $self->{input})
        {
            $self->{closed} = 1;
            return 0;
        }
    }

    my $length = unpack 'N', "\0" . substr $self->{input}, 0, 3;
    my ($type, $flags, $id) = unpack 'CCN', substr $self->{input}, 3, 6;
    my $payload = substr $self->{input}, 9, $length;

    substr $self->{input}, 0, 9 + $length, '';
    $self->handle($type, $flags, $id & 0x7fffffff, $payload);

    return 1;
}


sub handle {
    my ($self, $type, $flags, $id, $payload) = @_;
    my $state = $self->{streams}{$id};

    if ($type == SETTINGS && !($flags & ACK)) {
        while ($payload =~ /\G(..)(....)/gs) {
            next unless unpack('n', $1) == 4;
            my $change = unpack('N', $2) - $self->{initial};
            $self->{initial} += $change;
            $_->{window} += $change for values %{ $self->{streams} };
        }
        $self->frame(SETTINGS, ACK, 0, '');

    } elsif ($type == WINDOW_UPDATE) {
        ($id == 0 ? $self : $state)->{window} += unpack 'N', $payload;

    } elsif ($type == RST_STREAM && $state) {
        $state->{reset} = unpack 'N', $payload;

    } elsif ($type == HEADERS && $state) {
        $state->{headers} .= $payload;
        $state->{ended} ||= $flags & END_STREAM;

    } elsif ($type == DATA && $state) {
        $state->{body} .= $payload;
        $state->{ended} ||= $flags & END_STREAM;
        $self->open_window($id, length $payload)
            if length $payload && !$self->{manual};

    } elsif ($type == GOAWAY) {
        $self->{goaway} = unpack 'x4N', $payload;
    }
}


# The whole answer to the request of a stream.
sub response {
    my ($self, $stream) = @_;
    my $state = $self->{streams}{$stream};
    my $until = time() + 30;

    until ($state->{ended}) {
        die "reset: $state->{reset}\n" if defined $state->{reset};
        die "the connection was closed\n" if $self->{closed};
        die "no response in time\n" if time() > $until;
        $self->read_frame(1);
    }

    return HTTP::Response->new(status($state->{headers}), '', [],
        $state->{body});
}


my %static = (8 => 200, 9 => 204, 10 => 206, 11 => 304, 12 => 400, 13 => 404,
    14 => 500);


# The status, which comes first: of the static table, or a literal that nginx
# does not compress.  The other headers are left alone.
sub status {
    my $block = shift;

    # the update of the table's size
    $block =~ s/\A[\x20-\x3f]//;

    return $static{ord($1) & 0x7f} // die "no status\n"
        if $block =~ /\A([\x80-\xff])/;
    return $1 if $block =~ /\A.\x03(\d{3})/s;
    die "no status\n";
}


1;
