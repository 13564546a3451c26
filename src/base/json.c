// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

size_t json_depth(struct span text)
{
    bool quoted = false;
    size_t depth = 0, deepest = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '[')) {
            depth++;
            deepest = MAX(deepest, depth);
        } else if (!quoted && (c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return deepest;
}
