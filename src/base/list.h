// SPDX-License-Identifier: Apache-2.0
// An intrusive doubly linked list with a head that is a node itself.
#ifndef WEIR_BASE_LIST_H
#define WEIR_BASE_LIST_H

#include "base/macros.h"

struct list {
    struct list *prev, *next;
};

#define LIST_FOREACH(it, head)                                                                               \
    for (struct list * (it) = (head)->next, *it##_next = (it)->next; (it) != (head);                         \
         (it) = it##_next, it##_next = (it)->next)

static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}
static inline void list_push_front(struct list *head, struct list *n)
{
    n->next = head->next;
    n->prev = head;
    head->next->prev = n;
    head->next = n;
}
static inline void list_push_back(struct list *head, struct list *n)
{
    list_push_front(head->prev, n);
}
/// Takes n out and leaves it linked to itself, so that removing it again does nothing.
static inline void list_remove(struct list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

#endif
