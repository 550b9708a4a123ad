# Keys for tokens, made by openssl, and tokens signed with them.

package V2M::Keys;

use strict;
use warnings;

use Exporter qw(import);
use File::Temp qw(tempdir tempfile);
use MIME::Base64 qw(encode_base64url);

our @EXPORT = qw(key_directory new_key public_key sign_rsa write_jwks);


# An empty directory, which goes away with the suite.
sub key_directory {
    return tempdir(CLEANUP => 1);
}


sub openssl {
    my $text = join ' ', @_;

    system("openssl $text 2>/dev/null") == 0 or die "openssl $text failed";
}


# Makes a private key in a file: new_key(FILE, 'rsa' or 'ec').
sub new_key {
    my ($file, $type) = @_;

    openssl($type eq 'rsa' ? "genrsa -out $file 2048"
        : "ecparam -name prime256v1 -genkey -noout -out $file");
    chmod 0600, $file;
}


# The public part of a file, in another file.
sub public_key {
    my ($file, $public) = @_;

    openssl("pkey -in $file -pubout -out $public");
}


# Writes a JWK Set with the public part of an RSA key: write_jwks(FILE,
# kid => NAME, file => KEY).
sub write_jwks {
    my ($path, %key) = @_;
    my ($modulus) = `openssl rsa -in $key{file} -noout -modulus` =~ /=(\w+)/;
    my $n = encode_base64url(pack 'H*', $modulus);

    open my $out, '>', $path or die "$path: $!";
    print {$out} qq({"keys":[{"kty":"RSA","use":"sig","alg":"RS256",)
        . qq("kid":"$key{kid}","n":"$n","e":"AQAB"}]});
    close $out;
}


# A token of these texts, signed by a private RSA key with RS256.
sub sign_rsa {
    my ($file, $header, $payload) = @_;
    my $text = encode_base64url($header) . '.' . encode_base64url($payload);
    my ($out, $input) = tempfile(UNLINK => 1);

    print {$out} $text;
    close $out;

    my $signature = `openssl dgst -sha256 -sign $file $input`;
    return "$text." . encode_base64url($signature);
}


1;
