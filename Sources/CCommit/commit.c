// All that a build compiles anew for another commit. scripts/commit tells it, by way of Package.swift.
#include "CCommit.h"

#ifndef CARAT_COMMIT
#define CARAT_COMMIT ""
#endif

const char *carat_commit(void) { return CARAT_COMMIT; }
