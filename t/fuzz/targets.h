/* All targets. */

#ifndef FUZZ_TARGETS_H
#define FUZZ_TARGETS_H

#include "boxes.h"
#include "channel.h"
#include "email.h"
#include "filename.h"
#include "form.h"
#include "job.h"
#include "mail.h"
#include "message.h"
#include "mp3.h"
#include "multipart.h"
#include "options.h"
#include "token.h"
#include "transcode.h"

#endif /* FUZZ_TARGETS_H */
