// SPDX-License-Identifier: Apache-2.0
// Types by first bytes, from the tables of https://mimesniff.spec.whatwg.org/.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "http/sniff.h"

static const struct {
    struct span bytes;
    const char *type; // NULL: none
} cases[] = {
    {SPAN_INIT("\x89PNG\r\n\x1a\n...."), "image/png"},
    {SPAN_INIT("\x89PNG\r\n\x1a"), NULL},
    {SPAN_INIT("GIF87a"), "image/gif"},
    {SPAN_INIT("GIF88a"), NULL},
    {SPAN_INIT("\xff\xd8\xff\xe0"), "image/jpeg"},
    {SPAN_INIT("RIFF\x12\x34\x56\x78WEBPVP8L"), "image/webp"},
    {SPAN_INIT("RIFF\x12\x34\x56\x78WAVEfmt "), "audio/wave"},
    {SPAN_INIT("RIFF\x12\x34\x56\x78""AVI LIST"), "video/avi"},
    {SPAN_INIT("OggS\0\2"), "application/ogg"},
    {SPAN_INIT("ID3\4"), "audio/mpeg"},
    {SPAN_INIT("\0\0\0\x18""ftypisom\0\0\2\0mp42isom"), "video/mp4"},
    {SPAN_INIT("\0\0\0\x18""ftypM4A \0\0\2\0mp42isom"), "video/mp4"},
    {SPAN_INIT("\0\0\0\x18""ftypavif\0\0\0\0mif1miaf"), "image/avif"},
    {SPAN_INIT("\0\0\0\x17""ftypisom\0\0\2\0"), NULL}, // no multiple of four
    {SPAN_INIT("\0\0\0\x10""ftypqt  \0\0\2\0mp42"), NULL}, // beyond the box
    {SPAN_INIT("\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm"), "video/webm"},
    {SPAN_INIT("\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska"), NULL},
    {SPAN_INIT("\x1a\x45\xdf\xa3\x42\x82"), NULL},
    {SPAN_INIT("  \n<!DOCTYPE HTML>"), "text/html"},
    {SPAN_INIT("<ScRiPt "), "text/html"},
    {SPAN_INIT("<scripting>"), NULL},
    {SPAN_INIT("<p"), NULL}, // what ends the tag is missing
    {SPAN_INIT("<!-- x"), "text/html"},
    {SPAN_INIT("\xef\xbb\xbf<?xml version"), "text/xml"},
    {SPAN_INIT("%PDF-1.7"), "application/pdf"},
    {SPAN_INIT("\x1f\x8b\x08\0"), "application/x-gzip"},
    {SPAN_INIT("PK\3\4"), "application/zip"},
    {SPAN_INIT("wOF2"), "font/woff2"},
    {SPAN_INIT("plain text"), NULL},
    {SPAN_INIT(""), NULL},
    {SPAN_INIT("\xff\xfb\x90\x64"), NULL}, // one frame of MPEG audio says too little
};

static void types(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span got = sniff_type(cases[i].bytes);
        if (!span_eq(got, span_str(cases[i].type)))
            fail_msg("case %zu: %.*s instead of %s", i, SPAN_ARG(got), cases[i].type ? cases[i].type : "none");
    }
}

// Every beginning of every case, at the end of its memory: a read beyond it is one that the sanitizer sees.
static void beginnings(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t n = 0; n <= cases[i].bytes.len; n++) {
            char *copy = (char *)test_malloc(n + 1);
            memcpy(copy + 1, cases[i].bytes.ptr, n);
            (void)sniff_type(span_of(copy + 1, n));
            test_free(copy);
        }
    }
}

static void two_frames_of_audio(void **state)
{
    (void)state;
    char bytes[1000] = {0}; // 128 kbit/s at 44.1 kHz: 417 octets a frame (ISO 11172-3 2.4.3.1)
    memcpy(bytes, "\xff\xfb\x90\x64", 4);
    memcpy(bytes + 417, "\xff\xfb\x90\x64", 4);
    assert_true(span_eq(sniff_type(span_of(bytes, sizeof bytes)), SPAN("audio/mpeg")));
    assert_null(sniff_type(span_of(bytes, 420)).ptr);
}

static void beside_a_declaration(void **state)
{
    (void)state;
    struct span png = SPAN("\x89PNG\r\n\x1a\n"), zip = SPAN("PK\3\4"), html = SPAN("<html>");
    assert_true(span_eq(sniff_beside(png, SPAN("text/html")), SPAN("image/png")));
    assert_null(sniff_beside(zip, SPAN("application/vnd.oasis.opendocument.text")).ptr);
    assert_true(span_eq(sniff_beside(zip, SPAN("application/octet-stream")), SPAN("application/zip")));
    assert_null(sniff_beside(html, SPAN("application/xhtml+xml")).ptr);
    assert_true(span_eq(sniff_beside(html, SPAN("")), SPAN("text/html")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(types), cmocka_unit_test(beginnings), cmocka_unit_test(two_frames_of_audio), cmocka_unit_test(beside_a_declaration)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
