/* One target under libFuzzer, or AFL++ by its libFuzzer driver: FUZZ is its
 * name. */

#include "targets.h"

#define FUZZ_NAME(name)   FUZZ_JOINED(name)
#define FUZZ_JOINED(name) fuzz_##name

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);


int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    return FUZZ_NAME(FUZZ)(bytes, length);
}
