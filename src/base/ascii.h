// SPDX-License-Identifier: Apache-2.0
// ASCII classes that do not depend on the locale.
#ifndef WEIR_BASE_ASCII_H
#define WEIR_BASE_ASCII_H

#include "base/macros.h"

static inline bool ascii_is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}
static inline bool ascii_is_alpha(unsigned char c)
{
    return (unsigned char)((c | 0x20) - 'a') < 26;
}
static inline bool ascii_is_alnum(unsigned char c)
{
    return ascii_is_digit(c) || ascii_is_alpha(c);
}
static inline unsigned char ascii_lower(unsigned char c)
{
    return (unsigned char)(c - 'A') < 26 ? (unsigned char)(c | 0x20) : c;
}
static inline unsigned char ascii_upper(unsigned char c)
{
    return (unsigned char)(c - 'a') < 26 ? (unsigned char)(c & ~0x20) : c;
}
/// The value of a hexadecimal digit, or -1.
static inline int ascii_hex(unsigned char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
