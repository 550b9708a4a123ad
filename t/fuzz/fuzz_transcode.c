/* The transcoder under libFuzzer; README.md tells how to run it. */

#include "transcode.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);


int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    return fuzz_transcode(bytes, length);
}
