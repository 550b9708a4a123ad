# A TCP relay to a server, in a process of its own, that a test can switch off
# and on as if the server went away and came back:
#
#     our $mariadb = V2M::Relay->new($ENV{MYSQL_HOST}, $ENV{MYSQL_PORT});
#     ...  --- env eval: "MYSQL_PORT=" . $main::mariadb->port
#     $mariadb->stop;     connections are cut, new ones refused
#     $mariadb->hang;     connections stay and are taken, but nothing passes
#     $mariadb->start;    as at first
#
# Each call returns when it is done.  The process ends with its creator.

package V2M::Relay;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);


sub new {
    my ($class, $host, $port) = @_;

    socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "socketpair: $!";

    my $listener = listener(0);
    my $self = bless { control => $ours, port => $listener->sockport }, $class;

    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        close $ours;
        $SIG{$_} = 'IGNORE' for qw(PIPE INT);
        eval { relay($theirs, $listener, $host, $port) };
        print STDERR "relay: $@" if $@;
        POSIX::_exit(0);
    }

    close $theirs;
    return $self;
}


sub port { return $_[0]{port} }

sub stop  { return $_[0]->command('s') }
sub hang  { return $_[0]->command('h') }
sub start { return $_[0]->command('g') }


sub command {
    my ($self, $letter) = @_;

    syswrite $self->{control}, $letter;
    sysread($self->{control}, my $answer, 1) or die "the relay ended";
}


sub listener {
    my $port = shift;

    return IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 64,
        ReuseAddr => 1,
    ) // die "listen: $!";
}


sub relay {
    my ($control, $listener, $host, $port) = @_;
    my $local   = $listener->sockport;
    my $hanging = 0;
    my %peer;

    my $drop = sub {
        my $socket = shift;
        my $other  = delete $peer{$socket};

        return unless defined $other;
        delete $peer{$other};
        close $_ for $socket, $other;
    };

    while (1) {
        my @watched = ($control, $listener ? $listener : ());
        push @watched, values %peer unless $hanging;

        for my $socket (IO::Select->new(@watched)->can_read) {
            if ($socket == $control) {
                sysread($control, my $letter, 1) or return;

                if ($letter eq 's') {
                    close $listener if $listener;
                    undef $listener;
                    $drop->($_) for my @all = values %peer;
                } else {
                    $listener //= listener($local);
                }

                $hanging = $letter eq 'h';
                syswrite $control, 'k';
                last;
            }

            if ($listener && $socket == $listener) {
                my $client = $listener->accept or next;
                my $server = IO::Socket::INET->new(
                    PeerAddr => $host, PeerPort => $port);

                if ($server) {
                    $peer{$client} = $server;
                    $peer{$server} = $client;
                }
                next;
            }

            my $other = $peer{$socket} or next;
            my $length = sysread $socket, my $data, 65536;

            if (!$length || !write_all($other, $data)) {
                $drop->($socket);
            }
        }
    }
}


sub write_all {
    my ($socket, $data) = @_;

    while (length $data) {
        my $written = syswrite $socket, $data;
        return 0 unless defined $written;
        substr $data, 0, $written, '';
    }

    return 1;
}


1;
