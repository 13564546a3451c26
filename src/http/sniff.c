// SPDX-License-Identifier: Apache-2.0
#include "http/sniff.h"

#include "base/ascii.h"

// ---- Signatures: bytes, and which bits of them count (NULL: all)

struct signature {
    struct span bytes, mask;
    struct span type;
};

#define EXACT(b, t)      {SPAN_INIT(b), {NULL, 0}, SPAN_INIT(t)}
#define MASKED(b, m, t)  {SPAN_INIT(b), SPAN_INIT(m), SPAN_INIT(t)}
#define RIFF_MASK        "\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff"

static const struct signature signatures[] = {
    EXACT("\x00\x00\x01\x00", "image/x-icon"),
    EXACT("\x00\x00\x02\x00", "image/x-icon"),
    EXACT("BM", "image/bmp"),
    EXACT("GIF87a", "image/gif"),
    EXACT("GIF89a", "image/gif"),
    MASKED("RIFF\x00\x00\x00\x00WEBPVP", RIFF_MASK "\xff\xff", "image/webp"),
    EXACT("\x89PNG\r\n\x1a\n", "image/png"),
    EXACT("\xff\xd8\xff", "image/jpeg"),
    MASKED("FORM\x00\x00\x00\x00""AIFF", RIFF_MASK, "audio/aiff"),
    EXACT("ID3", "audio/mpeg"),
    EXACT("OggS\x00", "application/ogg"),
    EXACT("MThd\x00\x00\x00\x06", "audio/midi"),
    MASKED("RIFF\x00\x00\x00\x00""AVI ", RIFF_MASK, "video/avi"),
    MASKED("RIFF\x00\x00\x00\x00WAVE", RIFF_MASK, "audio/wave"),
    EXACT("%PDF-", "application/pdf"),
    EXACT("%!PS-Adobe-", "application/postscript"),
    EXACT("\x00\x01\x00\x00", "font/ttf"),
    EXACT("OTTO", "font/otf"),
    EXACT("ttcf", "font/collection"),
    EXACT("wOFF", "font/woff"),
    EXACT("wOF2", "font/woff2"),
    EXACT("\x1f\x8b\x08", "application/x-gzip"),
    EXACT("PK\x03\x04", "application/zip"),
    EXACT("Rar \x1a\x07\x00", "application/x-rar-compressed"),
    EXACT("Rar!\x1a\x07", "application/x-rar-compressed"),
};

static bool has_signature(const struct signature *g, struct span s)
{
    if (s.len < g->bytes.len)
        return false;
    for (size_t i = 0; i < g->bytes.len; i++) {
        unsigned char mask = g->mask.ptr ? (unsigned char)g->mask.ptr[i] : 0xff;
        if (((unsigned char)s.ptr[i] & mask) != (unsigned char)g->bytes.ptr[i])
            return false;
    }
    return true;
}

// ---- Containers (6.2.1, 6.2.2)

static uint32_t be32(struct span s, size_t at)
{
    const unsigned char *p = (const unsigned char *)s.ptr + at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

// The brands of a `ftyp` box; where the box goes on beyond what is there, those that are there.
static struct span mp4_type(struct span s)
{
    if (s.len < 12 || !span_eq(span_of(s.ptr + 4, 4), SPAN("ftyp")))
        return SPAN_NONE;
    uint32_t size = be32(s, 0);
    if (size < 12 || size % 4)
        return SPAN_NONE;
    for (size_t i = 8; i + 4 <= s.len && i + 4 <= size; i += 4) {
        struct span brand = span_of(s.ptr + i, 4);
        if (i == 12)
            continue; // the version of the first brand
        if (span_starts(brand, SPAN("avif")) || span_starts(brand, SPAN("avis")))
            return SPAN("image/avif");
        if (span_starts(brand, SPAN("mp4")) || span_starts(brand, SPAN("iso")) || span_starts(brand, SPAN("M4V")))
            return SPAN("video/mp4");
    }
    return SPAN_NONE;
}

// An EBML head whose document type is webm.
static struct span webm_type(struct span s)
{
    if (!span_starts(s, SPAN("\x1a\x45\xdf\xa3")))
        return SPAN_NONE;
    for (size_t i = 4; i + 2 < MIN(s.len, (size_t)38); i++) {
        if (s.ptr[i] != 0x42 || (unsigned char)s.ptr[i + 1] != 0x82)
            continue;
        struct span rest = span_skip(s, i + 2);
        unsigned first = (unsigned char)rest.ptr[0], width = 1; // a number's width: the zeros in front
        while (width < 8 && !(first & (0x80u >> (width - 1))))
            width++;
        rest = span_skip(rest, width);
        while (rest.len && rest.ptr[0] == '\0')
            rest = span_skip(rest, 1);
        if (span_starts(rest, SPAN("webm")))
            return SPAN("video/webm");
    }
    return SPAN_NONE;
}

// A frame of MPEG audio, layer 3, and where it ends the beginning of another (6.2.3).
static bool mp3_frame(struct span s, size_t at, size_t *ret_size)
{
    static const unsigned v1[] = {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320};
    static const unsigned v2[] = {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160};
    static const unsigned rates[] = {44100, 48000, 32000};
    if (s.len < at + 4)
        return false;
    const unsigned char *p = (const unsigned char *)s.ptr + at;
    unsigned version = p[1] >> 3 & 3, layer = p[1] >> 1 & 3, bits = p[2] >> 4, rate = p[2] >> 2 & 3;
    if (p[0] != 0xff || (p[1] & 0xe0) != 0xe0 || version == 1 || layer != 1 || bits == 15 || bits == 0 || rate == 3)
        return false;
    unsigned hz = rates[rate] >> (version == 3 ? 0 : version == 2 ? 1 : 2);
    *ret_size = (version == 3 ? 144u : 72u) * (version == 3 ? v1[bits] : v2[bits]) * 1000u / hz + (p[2] >> 1 & 1);
    return true;
}

static struct span mp3_type(struct span s)
{
    size_t size, next;
    return mp3_frame(s, 0, &size) && mp3_frame(s, size, &next) ? SPAN("audio/mpeg") : SPAN_NONE;
}

// ---- Markup

static struct span markup_type(struct span s)
{
    static const struct span tags[] = {SPAN_INIT("<!doctype html"), SPAN_INIT("<html"), SPAN_INIT("<head"), SPAN_INIT("<script"), SPAN_INIT("<iframe"), SPAN_INIT("<h1"),
                                       SPAN_INIT("<div"),           SPAN_INIT("<font"), SPAN_INIT("<table"), SPAN_INIT("<a"),     SPAN_INIT("<style"),  SPAN_INIT("<title"),
                                       SPAN_INIT("<b"),             SPAN_INIT("<body"), SPAN_INIT("<br"),    SPAN_INIT("<p")};
    if (span_starts(s, SPAN("\xef\xbb\xbf")))
        s = span_skip(s, 3);
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t' || s.ptr[0] == '\n' || s.ptr[0] == '\r' || s.ptr[0] == '\f'))
        s = span_skip(s, 1);
    for (size_t i = 0; i < ARRAY_LEN(tags); i++)
        if (span_starts_ci(s, tags[i]) && s.len > tags[i].len && (s.ptr[tags[i].len] == ' ' || s.ptr[tags[i].len] == '>'))
            return SPAN("text/html");
    if (span_starts(s, SPAN("<!--")))
        return SPAN("text/html");
    return span_starts(s, SPAN("<?xml")) ? SPAN("text/xml") : SPAN_NONE;
}

struct span sniff_type(struct span s)
{
    static struct span (*const readers[])(struct span) = {mp4_type, webm_type, markup_type, mp3_type};
    s = span_first(s, SNIFF_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(signatures); i++)
        if (has_signature(&signatures[i], s))
            return signatures[i].type;
    struct span type = SPAN_NONE;
    for (size_t i = 0; i < ARRAY_LEN(readers) && !type.ptr; i++)
        type = readers[i](s);
    return type;
}

struct span sniff_beside(struct span first_bytes, struct span declared)
{
    static const struct span open[] = {SPAN_INIT(""), SPAN_INIT("unknown/unknown"), SPAN_INIT("application/unknown"), SPAN_INIT("*/*"), SPAN_INIT("application/octet-stream"), SPAN_INIT("binary/octet-stream"), SPAN_INIT("text/plain")};
    struct span type = sniff_type(first_bytes);
    bool counts = span_starts(type, SPAN("image/")) || span_starts(type, SPAN("audio/")) || span_starts(type, SPAN("video/")) || span_eq(type, SPAN("application/ogg"));
    for (size_t i = 0; i < ARRAY_LEN(open); i++)
        counts |= span_eq_ci(open[i], declared);
    return counts ? type : SPAN_NONE;
}
