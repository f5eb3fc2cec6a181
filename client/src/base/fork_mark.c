/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/base/fork_mark.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_BYTES 4096u /* what we use of it; the kernel rounds up */

void zsp_fork_mark_init(struct zsp_fork_mark *self)
{
    self->pid = getpid();
    self->page = NULL;
    unsigned char *page =
        mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return;
    }
    if (madvise(page, PAGE_BYTES, MADV_WIPEONFORK) != 0) { /* Linux before 4.14 */
        (void)munmap(page, PAGE_BYTES);                    /* cannot fail: we just made it */
        return;
    }
    page[0] = 1;
    self->page = page;
}

void zsp_fork_mark_fini(struct zsp_fork_mark *self)
{
    if (self->page) {
        (void)munmap(self->page, PAGE_BYTES); /* cannot fail: it is ours */
    }
    self->page = NULL;
}

bool zsp_fork_mark_same(const struct zsp_fork_mark *self)
{
    return self->page ? self->page[0] == 1 : getpid() == self->pid;
}
