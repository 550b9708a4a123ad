# Users of the stack's MariaDB, and its queues.

package V2M::Users;

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(dirname);
use V2M::Token qw(unique);

our @EXPORT = qw(gateway_sql make_user remove_queues sql sql_command v2m_user);

my @made;


# The account that may write the table: the stack's own, or with a server of
# somebody else's, the one in the environment.
sub administrator {
    my $file = dirname($ENV{JWT_SECRET_FILE}) . '/mysql-admin';

    open my $in, '<', $file
        or return ($ENV{MYSQL_USER} // 'v2m', $ENV{MYSQL_PASSWORD} // '');
    chomp(my $password = <$in>);
    return ('v2m_admin', $password);
}


# The client for a user, to whom MYSQL_PWD belongs.
sub sql_command {
    my $user = shift;

    return ('mariadb', '--protocol=tcp', '-N', '-B', '--unbuffered',
        '-h', $ENV{V2M_TEST_MYSQL_HOST} // $ENV{MYSQL_HOST},
        '-P', $ENV{V2M_TEST_MYSQL_PORT} // $ENV{MYSQL_PORT} // 3306,
        '-u', $user, $ENV{MYSQL_DB} // 'auth');
}


# Runs statements and returns what they print, tab-separated, without names.
sub sql { return sql_as(shift, administrator()) }


# The same with the rights of the gateway.
sub gateway_sql {
    return sql_as(shift, $ENV{MYSQL_USER} // 'v2m', $ENV{MYSQL_PASSWORD} // '');
}


sub sql_as {
    my ($text, $user, $password) = @_;

    local $ENV{MYSQL_PWD} = $password;
    my $pid = open my $out, '-|', sql_command($user), '-e', $text
        or die "mariadb: $!";
    local $/;
    my $result = <$out> // '';
    close $out or die "mariadb failed: $text";
    return $result;
}


# Runs v2m-user; v2m_user(COMMAND, EMAIL [, STANDARD INPUT]).
sub v2m_user {
    my ($command, $email, $input) = @_;
    my $program = ($ENV{V2M_BUILD} // 'build/release') . '/v2m-user';

    local @ENV{qw(MYSQL_USER MYSQL_PASSWORD)} = administrator();
    local $ENV{MYSQL_HOST} = $ENV{V2M_TEST_MYSQL_HOST} // $ENV{MYSQL_HOST};
    local $ENV{MYSQL_PORT} = $ENV{V2M_TEST_MYSQL_PORT} // $ENV{MYSQL_PORT};

    open my $pipe, '|-', $program, $command, $email or die "$program: $!";
    print {$pipe} $input // '';
    close $pipe or die "v2m-user $command failed";
}


# make_user(PASSWORD [, admin => 1, disabled => 1, stored => TEXT]): a new user
# and its e-mail address; stored is put into the column in place of a hash.
sub make_user {
    my ($password, %options) = @_;
    my $email  = $options{email} // 'test-' . unique() . '@example.com';
    my $stored = $options{stored}
        // crypt($password, '$6$rounds=1000$' . substr(unique(), -12));
    my ($admin, $disabled) = map { $_ ? 1 : 0 } @options{qw(admin disabled)};

    my @quoted = map { "X'" . unpack('H*', $_) . "'" } $email, $stored;

    sql("INSERT INTO user (email, password, admin, disabled)"
        . " VALUES ($quoted[0], $quoted[1], $admin, $disabled)");
    push @made, $email;

    return $email;
}


# Deletes the queue of that name and the one for its dead letters.
sub remove_queues {
    my $queue = shift;

    system('/usr/bin/python3', '-c', <<'EOC', $ENV{V2M_AMQP_URL}, $queue) == 0
import sys, pika
connection = pika.BlockingConnection(pika.URLParameters(sys.argv[1]))
for name in (sys.argv[2], sys.argv[2] + ".dead"):
    connection.channel().queue_delete(name)
connection.close()
EOC
        or warn "the queue $queue could not be deleted\n";
}


END {
    if (@made) {
        local $?;
        my $list = join ', ', map { "X'" . unpack('H*', $_) . "'" } @made;
        eval { sql("DELETE FROM user WHERE email IN ($list)") };
        warn $@ if $@;
    }
}


1;
