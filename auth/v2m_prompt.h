/*
 * Asks for a new password.
 */

#ifndef V2M_PROMPT_H
#define V2M_PROMPT_H

#include "v2m_error.h"
#include "v2m_password.h"

/*
 * Reads a password from standard input: asked for twice with the echo off
 * when that is a terminal, else one line without its newline.  Wipe it when
 * done.  V2M_INVALID: none, too long, with control characters, or not the same
 * twice.  Not thread-safe: signals that end the program are caught meanwhile,
 * to turn the echo on again first.
 */
int v2m_prompt_password(char         password[V2M_PASSWORD_MAX + 1],
                        v2m_error_t *error);

#endif /* V2M_PROMPT_H */
