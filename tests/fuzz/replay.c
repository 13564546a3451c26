// SPDX-License-Identifier: Apache-2.0
// Stands in for libFuzzer where only the seeds are run: every file of the folders that are named goes through
// the target, and each of its prefixes does.
#include <dirent.h>
#include <stdio.h>

#include "fuzz.h"

enum { FILE_MAX_BYTES = 1 << 20, PREFIXES_MAX = 2048 };

static void replay(const char *path)
{
    static uint8_t data[FILE_MAX_BYTES];
    FILE *f = fopen(path, "rb");
    CHECK(f);
    size_t n = fread(data, 1, sizeof(data), f);
    fclose(f);
    for (size_t k = 0; k <= n; k += n / PREFIXES_MAX + 1) {
        uint8_t *copy = (uint8_t *)fuzz_exact(data, k);
        LLVMFuzzerTestOneInput(copy, k);
        free(copy);
    }
    LLVMFuzzerTestOneInput(data, n);
}

int main(int argc, char **argv)
{
    unsigned n = 0;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        CHECK(d);
        for (struct dirent *e; (e = readdir(d));) {
            char path[4096];
            if (e->d_name[0] == '.')
                continue;
            snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
            replay(path);
            n++;
        }
        closedir(d);
    }
    printf("%u inputs\n", n);
    return n ? 0 : 1; // no seeds is a mistake
}
