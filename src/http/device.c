// SPDX-License-Identifier: Apache-2.0
#include "http/device.h"

#include "base/ascii.h"

enum { AGENT_BYTES = 512 }; // of a User-Agent that are looked at: the words stand within its first few comments

// Lower case. The first row that is found decides. A word with `$` behind it ends there: no letter follows.
static const struct {
    struct span word;
    enum device_class is;
} words[] = {
    {SPAN_INIT("bot$"), DEVICE_BOT},
    {SPAN_INIT("crawler"), DEVICE_BOT},
    {SPAN_INIT("spider"), DEVICE_BOT},
    {SPAN_INIT("slurp"), DEVICE_BOT},
    {SPAN_INIT("mediapartners-"), DEVICE_BOT},
    {SPAN_INIT("facebookexternalhit"), DEVICE_BOT},
    {SPAN_INIT("ipad"), DEVICE_TABLET},
    {SPAN_INIT("tablet;"), DEVICE_TABLET},
    {SPAN_INIT("tablet)"), DEVICE_TABLET},
    {SPAN_INIT("kindle"), DEVICE_TABLET},
    {SPAN_INIT("silk/"), DEVICE_TABLET},
    {SPAN_INIT("playbook"), DEVICE_TABLET},
    {SPAN_INIT("mobi"), DEVICE_MOBILE},
    {SPAN_INIT("iphone"), DEVICE_MOBILE},
    {SPAN_INIT("ipod"), DEVICE_MOBILE},
    {SPAN_INIT("opera mini"), DEVICE_MOBILE},
    {SPAN_INIT("windows phone"), DEVICE_MOBILE},
    {SPAN_INIT("blackberry"), DEVICE_MOBILE},
    {SPAN_INIT("android"), DEVICE_TABLET},
};

static bool ends_word(struct span s, size_t at)
{
    return at >= s.len || !(s.ptr[at] >= 'a' && s.ptr[at] <= 'z');
}

// `Cubot` makes phones.
static bool is_brand(struct span s, size_t at)
{
    return at >= 2 && s.ptr[at - 2] == 'c' && s.ptr[at - 1] == 'u' && (at == 2 || ends_word(s, at - 3));
}

static bool has_word(struct span agent, struct span word)
{
    bool whole = word.ptr[word.len - 1] == '$';
    word.len -= whole;
    for (size_t from = 0; from < agent.len;) {
        size_t at = from + span_find_span(span_skip(agent, from), word);
        if (at >= agent.len)
            return false;
        if (!whole || (ends_word(agent, at + word.len) && !is_brand(agent, at)))
            return true;
        from = at + word.len;
    }
    return false;
}

enum device_class device_of(const struct fields *request)
{
    char lower[AGENT_BYTES];
    struct span agent = span_first(fields_value(request, FIELD_USER_AGENT), AGENT_BYTES);
    for (size_t i = 0; i < agent.len; i++)
        lower[i] = (char)ascii_lower((unsigned char)agent.ptr[i]);
    agent = span_of(lower, agent.len);
    enum device_class is = DEVICE_DESKTOP;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (has_word(agent, words[i].word)) {
            is = words[i].is;
            break;
        }
    }
    const struct field *hint = fields_find(request, SPAN("sec-ch-ua-mobile"));
    return is == DEVICE_DESKTOP && hint && span_eq(hint->value, SPAN("?1")) ? DEVICE_MOBILE : is;
}

struct span device_name(enum device_class c)
{
    static const struct span names[] = {[DEVICE_DESKTOP] = SPAN_INIT("desktop"),
                                        [DEVICE_MOBILE] = SPAN_INIT("mobile"),
                                        [DEVICE_TABLET] = SPAN_INIT("tablet"),
                                        [DEVICE_BOT] = SPAN_INIT("bot")};
    return names[c];
}

bool device_covers(struct span field_name)
{
    return span_eq_ci(field_name, SPAN("user-agent")) || span_eq_ci(field_name, SPAN("sec-ch-ua-mobile"));
}
