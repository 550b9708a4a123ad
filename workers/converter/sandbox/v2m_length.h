/*
 * How long a file should be according to its own beginning: RIFF (WAV, AVI),
 * Wave64 and ASF (WMV, WMA) tell, to see that one was cut off.
 */

#ifndef V2M_LENGTH_H
#define V2M_LENGTH_H

#include <stdint.h>

#include "v2m_bytes.h"

/* In bytes; 0: unknown. */
int64_t v2m_length_told(const v2m_byte_source_t *source);

#endif /* V2M_LENGTH_H */
