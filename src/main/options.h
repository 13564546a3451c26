// SPDX-License-Identifier: Apache-2.0
// The options of a command: --name VALUE, --name=VALUE, -n VALUE, flags, and operands between them.
#ifndef WEIR_MAIN_OPTIONS_H
#define WEIR_MAIN_OPTIONS_H

#include "base/macros.h"

struct option_spec {
    const char *name;   // without dashes
    char letter;        // '\0': only the long form
    const char **value; // takes a value, borrowed from argv; NULL: a flag
    bool *flag;
};
/// Operands beyond max, unknown options, missing values and repeated ones are refused with a sentence on stderr (false).
/// command is for that sentence. `--` ends the options.
MUST_USE bool options_parse(const char *command, int argc, char **argv, const struct option_spec *specs, unsigned n_specs,
                            const char **operands, unsigned max_operands, unsigned *ret_n_operands);

#endif
