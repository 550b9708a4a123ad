#include "v2m_base64url.h"

#include <stdint.h>

/* Each letter with its value plus one; what is no letter is 0. */
static const unsigned char v2m_base64url_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,
    ['G'] = 7,  ['H'] = 8,  ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12,
    ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18,
    ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30,
    ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,
    ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
    ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54,
    ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60,
    ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64
};


int
v2m_base64url_check(const char *text, size_t length)
{
    size_t   i;
    unsigned last, unused;

    if (length == 0) {
        return 0;
    }

    for (i = 0; i < length; i++) {
        if (v2m_base64url_values[(unsigned char) text[i]] == 0) {
            return 0;
        }
    }

    last = v2m_base64url_values[(unsigned char) text[length - 1]] - 1u;
    unused = (unsigned) (length % 4 * 6 % 8);

    return unused != 6 && (last & ((1u << unused) - 1)) == 0;
}


size_t
v2m_base64url_decode(const char *text, size_t length, void *out)
{
    int            bits;
    size_t         i;
    uint32_t       group;
    unsigned char *p;

    p = out;
    bits = 0;
    group = 0;

    for (i = 0; i < length; i++) {
        group =
            group << 6 | (v2m_base64url_values[(unsigned char) text[i]] - 1u);
        bits += 6;

        if (bits >= 8) {
            bits -= 8;
            *p++ = (unsigned char) (group >> bits & 0xff);
        }
    }

    return (size_t) (p - (unsigned char *) out);
}


void
v2m_base64url_encode(const void *data, size_t length, char *out)
{
    int                  bits;
    size_t               i;
    uint32_t             group;
    const unsigned char *bytes = data;

    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    bits = 0;
    group = 0;

    for (i = 0; i < length; i++) {
        group = group << 8 | bytes[i];

        for (bits += 8; bits >= 6; bits -= 6) {
            *out++ = letters[group >> (bits - 6) & 63];
        }
    }

    if (bits > 0) {
        *out++ = letters[group << (6 - bits) & 63];
    }

    *out = '\0';
}
