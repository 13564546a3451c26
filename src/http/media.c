// SPDX-License-Identifier: Apache-2.0
#include "http/media.h"

static const struct {
    struct span ext, type;
} types[] = {
    {SPAN_INIT("html"), SPAN_INIT("text/html; charset=utf-8")},
    {SPAN_INIT("htm"), SPAN_INIT("text/html; charset=utf-8")},
    {SPAN_INIT("css"), SPAN_INIT("text/css; charset=utf-8")},
    {SPAN_INIT("js"), SPAN_INIT("text/javascript; charset=utf-8")},
    {SPAN_INIT("mjs"), SPAN_INIT("text/javascript; charset=utf-8")},
    {SPAN_INIT("json"), SPAN_INIT("application/json")},
    {SPAN_INIT("map"), SPAN_INIT("application/json")},
    {SPAN_INIT("txt"), SPAN_INIT("text/plain; charset=utf-8")},
    {SPAN_INIT("md"), SPAN_INIT("text/markdown; charset=utf-8")},
    {SPAN_INIT("csv"), SPAN_INIT("text/csv; charset=utf-8")},
    {SPAN_INIT("xml"), SPAN_INIT("application/xml")},
    {SPAN_INIT("svg"), SPAN_INIT("image/svg+xml")},
    {SPAN_INIT("png"), SPAN_INIT("image/png")},
    {SPAN_INIT("jpg"), SPAN_INIT("image/jpeg")},
    {SPAN_INIT("jpeg"), SPAN_INIT("image/jpeg")},
    {SPAN_INIT("gif"), SPAN_INIT("image/gif")},
    {SPAN_INIT("webp"), SPAN_INIT("image/webp")},
    {SPAN_INIT("avif"), SPAN_INIT("image/avif")},
    {SPAN_INIT("ico"), SPAN_INIT("image/vnd.microsoft.icon")},
    {SPAN_INIT("woff"), SPAN_INIT("font/woff")},
    {SPAN_INIT("woff2"), SPAN_INIT("font/woff2")},
    {SPAN_INIT("ttf"), SPAN_INIT("font/ttf")},
    {SPAN_INIT("otf"), SPAN_INIT("font/otf")},
    {SPAN_INIT("mp4"), SPAN_INIT("video/mp4")},
    {SPAN_INIT("webm"), SPAN_INIT("video/webm")},
    {SPAN_INIT("mp3"), SPAN_INIT("audio/mpeg")},
    {SPAN_INIT("ogg"), SPAN_INIT("audio/ogg")},
    {SPAN_INIT("wav"), SPAN_INIT("audio/wav")},
    {SPAN_INIT("pdf"), SPAN_INIT("application/pdf")},
    {SPAN_INIT("zip"), SPAN_INIT("application/zip")},
    {SPAN_INIT("gz"), SPAN_INIT("application/gzip")},
    {SPAN_INIT("wasm"), SPAN_INIT("application/wasm")},
};

static const struct span compressible[] = {
    SPAN_INIT("text/*"),
    SPAN_INIT("application/json"),
    SPAN_INIT("application/javascript"),
    SPAN_INIT("application/x-javascript"),
    SPAN_INIT("application/ecmascript"),
    SPAN_INIT("application/xml"),
    SPAN_INIT("application/*+json"),
    SPAN_INIT("application/*+xml"),
    SPAN_INIT("application/wasm"),
    SPAN_INIT("application/graphql"),
    SPAN_INIT("application/x-ndjson"),
    SPAN_INIT("application/vnd.ms-fontobject"),
    SPAN_INIT("image/svg+xml"),
    SPAN_INIT("image/bmp"),
    SPAN_INIT("font/ttf"),
    SPAN_INIT("font/otf"),
};

const struct span *media_compressible(unsigned *ret_n)
{
    *ret_n = ARRAY_LEN(compressible);
    return compressible;
}

struct span media_type_of(struct span file_name)
{
    size_t dot = span_rfind(file_name, '.');
    struct span ext = span_skip(file_name, dot + 1);
    for (size_t i = 0; dot < file_name.len && i < ARRAY_LEN(types); i++)
        if (span_eq_ci(types[i].ext, ext))
            return types[i].type;
    return SPAN("application/octet-stream");
}

struct span media_essence(struct span content_type)
{
    return span_trim(span_cut(&content_type, ';'));
}

struct span media_parameter(struct span content_type, struct span name)
{
    span_cut(&content_type, ';');
    while (content_type.len) {
        struct span value = span_cut(&content_type, ';'), key = span_trim(span_cut(&value, '='));
        value = span_trim(value);
        if (!span_eq_ci(key, name) || !value.ptr)
            continue;
        if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
            value = span_of(value.ptr + 1, value.len - 2);
        return value;
    }
    return SPAN_NONE;
}

bool media_matches(struct span essence, struct span pattern)
{
    size_t star = span_find(pattern, '*');
    if (star == pattern.len)
        return span_eq_ci(essence, pattern);
    struct span before = span_first(pattern, star), after = span_skip(pattern, star + 1);
    return essence.len >= before.len + after.len && span_starts_ci(essence, before) && span_ends_ci(essence, after);
}
