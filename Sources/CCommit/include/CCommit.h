#pragma once

/// The commit that the program was built from, with "-dirty" where files were changed; "" if the build was not told.
const char *carat_commit(void);
