/*
 * Hexadecimal digits of what is percent-encoded.  Pure functions, any thread.
 */

#ifndef V2M_HEX_H
#define V2M_HEX_H

/* The value of a digit of either case; -1: it is none. */
int v2m_hex_digit(char digit);

#endif /* V2M_HEX_H */
