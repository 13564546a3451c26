// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/list.h"

struct item {
    int value;
    struct list node;
};

static void check_order(const struct list *head, const int *want, size_t n)
{
    size_t i = 0;
    LIST_FOREACH (it, head) {
        assert_true(i < n);
        assert_int_equal(container_of(it, struct item, node)->value, want[i]);
        i++;
    }
    assert_int_equal(i, n);
    // The same backwards: both links of every node agree.
    for (const struct list *it = head->prev; it != head; it = it->prev) {
        assert_true(i > 0);
        assert_ptr_equal(it->next->prev, it);
        assert_int_equal(container_of(it, struct item, node)->value, want[--i]);
    }
    assert_int_equal(i, 0);
}

static void order(void **state)
{
    (void)state;
    struct list head;
    list_init(&head);
    assert_true(list_empty(&head));
    struct item a = {.value = 1}, b = {.value = 2}, c = {.value = 3};
    list_push_back(&head, &b.node);
    list_push_back(&head, &c.node);
    list_push_front(&head, &a.node);
    check_order(&head, (const int[]){1, 2, 3}, 3);
    list_remove(&b.node);
    check_order(&head, (const int[]){1, 3}, 2);
    list_remove(&b.node); // a second time does nothing
    check_order(&head, (const int[]){1, 3}, 2);
    list_remove(&a.node);
    list_remove(&c.node);
    assert_true(list_empty(&head));
}

static void removing_while_walking(void **state)
{
    (void)state;
    struct list head;
    list_init(&head);
    struct item v[5];
    for (int i = 0; i < 5; i++) {
        v[i].value = i;
        list_push_back(&head, &v[i].node);
    }
    LIST_FOREACH (it, &head)
        if (container_of(it, struct item, node)->value % 2 == 0)
            list_remove(it);
    check_order(&head, (const int[]){1, 3}, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(order), cmocka_unit_test(removing_while_walking)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
