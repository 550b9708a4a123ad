# Many uploads at once, some of which are aborted.

use lib 't/lib';
use V2M;
use V2M::Store;

use Digest::SHA qw(sha256_hex);
use POSIX ();

our $size = 1_500_000;

# In a process of its own: an upload that is ended after so many bytes, if that
# is less than all.
sub upload_in_background {
    my ($authorization, $video, $after) = @_;
    my $child = fork // die "fork: $!";

    return $child if $child;

    my $ok = eval {
        my $socket = connect_gateway();

        print {$socket} "PUT /upload/$after HTTP/1.1\r\nHost: localhost\r\n"
            . "Authorization: $authorization\r\nContent-Length: $size\r\n\r\n";

        for (my $sent = 0; $sent < $after; $sent += 50_000) {
            print {$socket} substr $video, $sent,
                $after - $sent < 50_000 ? $after - $sent : 50_000;
            $socket->flush;
        }

        $after < $size || read_response($socket)->code == 201;
    };

    POSIX::_exit($ok ? 0 : 1);
}

run_tests();

__DATA__

=== TEST 1: twenty at once, a third of them aborted
--- config
v2m_chunk_size 16k;
access_log logs/jobs.log v2m;
location = /status { stub_status; }
--- scenario
wait_ready();

my ($authorization, $owner) = make_owner();
my $video = random_bytes($size);
my @after = map { $_ % 3 ? $size : 10_000 + 140_000 * $_ / 2 } 1 .. 20;
my $aborted = grep { $_ < $size } @after;
my @children = map { upload_in_background($authorization, $video, $_) } @after;
my $failed = 0;

for my $child (@children) {
    waitpid $child, 0;
    $failed++ if $? != 0;
}

is($failed, 0, 'every client got what it should');

wait_for(sub { logged_jobs() == @after }, 'all to be over');
wait_for(sub { @{ store('jobs_of', $owner) } == @after - $aborted },
    'the aborted ones to go');

my @good = @{ store('jobs_of', $owner) };
my %good = map { $_ => 1 } @good;

for my $id (@good) {
    my $found = store('file', 'videos', $id);

    is($found->{sha256}, sha256_hex($video), "bytes of $id");
    is($found->{file}{length}[1], $size);
    is_deeply([map { $_->[1] } @{ $found->{chunks} }],
        [chunk_lengths($size, 16384)]);
}

is_gone($_) for grep { !$good{$_} } logged_jobs();
is_deeply([sort map { $_->{message_id} } messages()], [sort @good],
    'one message for each');

like(wait_for(sub {
    my $status = http(GET => '/status')->content;
    $status =~ /Active connections: 1 / && $status;
}, 'the gateway to be idle'), qr/Reading: 0 Writing: 1 Waiting: 0/);



=== TEST 2: on few threads with a short queue some are refused, none is lost
--- main_config
thread_pool v2m_storage threads=1 max_queue=3;
--- config
v2m_chunk_size 16k;
access_log logs/jobs.log v2m;
location = /status { stub_status; }
--- scenario
wait_ready();

my ($authorization, $owner) = make_owner();
my $video = random_bytes($size);
my @children = map { upload_in_background($authorization, $video, $size) }
    1 .. 12;
my $refused = 0;

for my $child (@children) {
    waitpid $child, 0;
    $refused++ if $? != 0;
}

wait_for(sub { logged_jobs() == @children }, 'all to be over');

my @good = grep { store('job', $_)->{state}[1] eq 'queued' }
    @{ store('jobs_of', $owner) };

is(@good + $refused, scalar @children, 'good and refused ones');
is(store('file', 'videos', $_)->{sha256}, sha256_hex($video)) for @good;
is_deeply([sort map { $_->{message_id} } messages()], [sort @good],
    'one message for each good one');

like(wait_for(sub {
    my $status = http(GET => '/status')->content;
    $status =~ /Active connections: 1 / && $status;
}, 'the gateway to be idle'), qr/Reading: 0 Writing: 1 Waiting: 0/);
