/*
 * What t/analyze tells the analyzers before each source, as they see one at a
 * time: a function that fails returns the code it was given.
 */

#ifndef ANALYZE_H
#define ANALYZE_H

#include "v2m_error.h"

#define v2m_error_set(error, code, ...)                                        \
    ((void) (v2m_error_set) (error, code, __VA_ARGS__), (code))

#endif /* ANALYZE_H */
