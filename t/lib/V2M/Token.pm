# Tokens with whatever header and claims a test wants, signed by hand.

package V2M::Token;

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use Exporter qw(import);
use JSON::PP ();
use MIME::Base64 qw(decode_base64url encode_base64 encode_base64url);
use Time::HiRes ();

our @EXPORT = qw(basic bearer decode_base64url encode_base64url jwt_secret sign token unique);

my $json    = JSON::PP->new->canonical->utf8;
my $counter = 0;


# A word that no other test uses.
sub unique {
    return sprintf '%x-%x-%x', $$, int(Time::HiRes::time() * 1000), $counter++;
}


# The stack's secret, as the gateway reads it.
my $secret_file = $ENV{JWT_SECRET_FILE};

sub jwt_secret {
    open my $file, '<', $secret_file or die "$secret_file: $!";
    local $/;
    my $secret = <$file>;
    $secret =~ s/\n\z//;
    return $secret;
}


# sign(HEADER, PAYLOAD [, SECRET]): a token of these texts, whatever they are.
sub sign {
    my ($header, $payload, $secret) = @_;
    my $input = encode_base64url($header) . '.' . encode_base64url($payload);

    return $input . '.'
        . encode_base64url(hmac_sha256($input, $secret // jwt_secret()));
}


# token(NAME => VALUE...): a good token of the stack but for the claims given;
# undef leaves one out.  header => {...} and secret => "..." are no claims.
# Numbers must be numbers: exp => time() + 60.
sub token {
    my %claims = (
        username => 'somebody@example.com',
        iat      => time(),
        exp      => time() + 3600,
        admin    => JSON::PP::false,
        jti      => unique(),
        @_,
    );
    my $header = delete $claims{header} // { alg => 'HS256', typ => 'JWT' };
    my $secret = delete $claims{secret};

    $claims{sub} = $claims{username} unless exists $claims{sub};

    for my $name (keys %claims) {
        delete $claims{$name} unless defined $claims{$name};
    }

    return sign($json->encode($header), $json->encode(\%claims), $secret);
}


# Values of the Authorization header.
sub bearer {
    return 'Bearer ' . token(@_);
}


sub basic {
    my ($user, $password) = @_;

    return 'Basic ' . encode_base64("$user:$password", '');
}


1;
