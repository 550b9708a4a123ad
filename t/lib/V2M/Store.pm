# The suites' view of MongoDB and RabbitMQ, through store.py.

package V2M::Store;

use strict;
use warnings;

use Cwd qw(abs_path);
use Digest::SHA qw(sha256_hex);
use Exporter qw(import);
use File::Basename qw(dirname);
use IPC::Open2;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use V2M::Client qw(http wait_for);
use V2M::Token qw(bearer unique);

our @EXPORT = qw(chunk_lengths is_gone is_stored logged_jobs make_job make_owner
    messages random_bytes store wait_ready);

# Suites give nginx other addresses; what is asked here never goes astray.
BEGIN {
    $ENV{V2M_TEST_MONGO_URI} //= $ENV{V2M_MONGO_URI};
    $ENV{V2M_TEST_AMQP_URL}  //= $ENV{V2M_AMQP_URL};
}

my $json = JSON::PP->new->utf8->allow_nonref;
my $python = abs_path(dirname(__FILE__) . '/..') . '/store.py';
my ($pid, $in, $out, @owners, @files);


# store(FUNCTION, ARGUMENTS...): calls a function of store.py.
sub store {
    unless (defined $pid) {
        $pid = open2($out, $in, '/usr/bin/python3', $python);
        binmode $_ for $in, $out;
    }

    print {$in} $json->encode([@_]), "\n";
    $in->flush;

    my $line = <$out> // die "store.py ended\n";
    my $answer = $json->decode($line);

    die "$answer->{error}\n" if defined $answer->{error};
    return $answer->{result};
}


# Waits until the gateway would publish at once.
sub wait_ready {
    wait_for(sub { http(GET => '/readyz')->content =~ /"rabbitmq":"ok"/ },
        'the gateway to be ready');
}


# A user that no other test uses: the Authorization header and the name.
sub make_owner {
    my $name = 'test-' . unique() . '@example.com';

    push @owners, $name;
    return wantarray ? (bearer(username => $name), $name) : $name;
}


sub random_bytes {
    my $size = shift;

    open my $file, '<:raw', '/dev/urandom' or die "/dev/urandom: $!";
    read($file, my $bytes, $size) == $size or die "/dev/urandom: $!";
    return $bytes;
}


# make_job(OWNER, STATE, mp3 => BYTES, chunk_size => N, NAME => VALUE...): a
# job as the converter would leave it; returns its id and the MP3's.
sub make_job {
    my ($owner, $state, %fields) = @_;
    my $mp3        = delete $fields{mp3};
    my $chunk_size = delete $fields{chunk_size} // 261120;

    return @{ store('put_job', $owner, $state, \%fields,
        defined $mp3 ? encode_base64($mp3, '') : undef, $chunk_size + 0) };
}


# The lengths of the chunks that a file of this size must have.
sub chunk_lengths {
    my ($size, $chunk_size) = @_;
    my @lengths = ($chunk_size) x int($size / $chunk_size);

    push @lengths, $size % $chunk_size if $size % $chunk_size;
    return @lengths;
}


# is_stored(ID, BYTES, owner => ..., name => ..., chunk_size => N, options =>
# {...}): video, job and message are as they must be after an upload.  Takes
# the messages from the queue.  published => 0: it is not, and there is none.
# tus => 1: it was a resumable upload, of which the record tells more.
sub is_stored {
    my ($id, $bytes, %expected) = @_;
    my $size       = length $bytes;
    my $chunk_size = $expected{chunk_size} // 261120;
    my $published  = $expected{published} // 1;
    my $name       = $expected{name};
    my $found      = store('file', 'videos', $id);
    my $file       = $found->{file};
    my $n          = 0;

    push @files, [videos => $id];

    my $date = $file && delete $file->{uploadDate};

    main::is_deeply($file, {
        _id       => [objectId => $id],
        length    => [int64 => $size],
        chunkSize => [int32 => $chunk_size],
        defined $name ? (filename => [str => $name]) : (),
    }, 'the files document is as the GridFS specification has it');
    main::ok($date && $date->[0] eq 'date' && abs($date->[1] - time()) < 60,
        'its uploadDate is now');
    main::is_deeply($found->{chunks},
        [map { [$n++, $_, '_id,data,files_id,n'] }
            chunk_lengths($size, $chunk_size)],
        'the chunks follow each other and have the right sizes');
    main::is($found->{sha256}, sha256_hex($bytes), 'the bytes are the same');

    # what the broker confirmed is noted after the answer
    my $job = wait_for(sub {
        my $job = store('job', $id);
        $job && ($job->{published}[1] || !$published) && $job;
    }, "the record of job $id");
    my %options = %{ $expected{options} // {} };
    my $trace   = $job->{traceparent} // [];

    main::ok($job->{created}[1] <= $job->{updated}[1], 'updated is after created');
    delete @$job{qw(created updated)};
    delete @$job{grep { /^tus_/ } keys %$job} if $expected{tus};
    main::is_deeply($job, {
        _id       => [objectId => $id],
        version   => [int32 => 1],
        username  => [str => $expected{owner}],
        state     => [str => 'queued'],
        notified  => [str => 'none'],
        published => [bool => $published ? JSON::PP::true : JSON::PP::false],
        size      => [int64 => $size],
        options   => [document =>
            { map { $_ => [int64 => $options{$_}] } keys %options }],
        defined $name ? (name => [str => $name]) : (),
        traceparent => ($trace->[1] // '')
            =~ /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/
            ? [str => $trace->[1]] : 'a traceparent',
    }, "the job's record");

    my @messages = messages();

    main::is(scalar @messages, $published ? 1 : 0, 'number of messages');
    return unless $published && @messages;

    my $body = JSON::PP->new->decode($messages[0]{body});

    main::is_deeply({ %$body{qw(video_fid mp3_fid username traceparent)} },
        { video_fid => $id, mp3_fid => undef, username => $expected{owner},
            traceparent => $trace->[1] }, 'the message');
    main::is($messages[0]{delivery_mode}, 2, 'it is persistent');
    main::is($messages[0]{message_id}, $id, "its id is the job's");
    main::is($messages[0]{content_type}, 'application/json', 'its type');
}


sub messages {
    return @{ store('messages', $ENV{VIDEO_QUEUE}) };
}


# The ids of the requests' jobs, in a block that has in its config
#
#     access_log logs/jobs.log v2m;
sub logged_jobs {
    my $path = main::server_root() . '/logs/jobs.log';

    open my $file, '<', $path or die "$path: $!\n";
    return map { / job=([0-9a-f]{24})$/ ? $1 : () } <$file>;
}


# Nothing of that upload is left, or soon will be.
sub is_gone {
    my ($id, $what) = @_;

    push @files, [videos => $id];

    main::ok(eval {
        wait_for(sub {
            my $found = store('file', 'videos', $id);

            return !store('job', $id) && !$found->{file}
                && !@{ $found->{chunks} };
        }, "the remains of upload $id to go");
    }, $what // 'nothing is left of the upload');
}


END {
    if (defined $pid) {
        local $?;
        eval { store('clean', \@owners, \@files) };
        warn $@ if $@;
        close $in;
        waitpid $pid, 0;
    }
}


1;
