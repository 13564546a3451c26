// SPDX-License-Identifier: Apache-2.0
#include "main/cli.h"
#include "tls/memory.h"

int main(int argc, char **argv)
{
    tls_memory_init();
    return cli_main(argc, argv);
}
