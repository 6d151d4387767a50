#include "common/secure_sum/merkle.h"
#include "common/base/alloc.h"
#include "common/secure_sum/hash.h"

#include <string.h>

static void
join_nodes(uint8_t out[32], const uint8_t left[32], const uint8_t right[32])
{
    FT_SS_H(out, "node", FT_BYTES(left, 32), FT_BYTES(right, 32));
}

static uint32_t
parents(uint32_t count)
{
    return count / 2 + count % 2;
}

enum ft_status
ft_ss_merkle_build(const uint8_t (*leaves)[32], uint32_t count, struct ft_ss_merkle *out)
{
    size_t total = 1;
    uint8_t(*level)[32];

    *out = (struct ft_ss_merkle){ 0 };
    if (count == 0)
        return FT_ERR_ARGUMENT;
    for (uint32_t n = count; n > 1; n = parents(n))
        total += n;
    out->nodes = ft_calloc(total, sizeof *out->nodes);
    if (out->nodes == NULL)
        return FT_ERR_NOMEM;
    out->leaf_count = count;
    memcpy(out->nodes, leaves, (size_t)count * 32);
    level = out->nodes;
    for (uint32_t n = count; n > 1; n = parents(n)) {
        uint8_t(*above)[32] = level + n;
        for (uint32_t i = 0; i + 1 < n; i += 2)
            join_nodes(above[i / 2], level[i], level[i + 1]);
        if (n % 2 != 0)
            memcpy(above[n / 2], level[n - 1], 32);
        level = above;
    }
    return FT_OK;
}

void
ft_ss_merkle_clear(struct ft_ss_merkle *tree)
{
    ft_free(tree->nodes);
    *tree = (struct ft_ss_merkle){ 0 };
}

void
ft_ss_merkle_root(const struct ft_ss_merkle *tree, uint8_t root[32])
{
    const uint8_t(*level)[32] = (const uint8_t(*)[32])tree->nodes;
    for (uint32_t n = tree->leaf_count; n > 1; n = parents(n))
        level += n;
    memcpy(root, level[0], 32);
}

uint32_t
ft_ss_merkle_path_length(uint32_t rank, uint32_t count)
{
    uint32_t length = 0;
    for (; count > 1; count = parents(count), rank /= 2)
        if ((rank ^ 1) < count)
            length++;
    return length;
}

uint32_t
ft_ss_merkle_path(const struct ft_ss_merkle *tree, uint32_t rank, uint8_t (*path)[32])
{
    const uint8_t(*level)[32] = (const uint8_t(*)[32])tree->nodes;
    uint32_t length = 0;
    for (uint32_t n = tree->leaf_count; n > 1; n = parents(n)) {
        if ((rank ^ 1) < n)
            memcpy(path[length++], level[rank ^ 1], 32);
        level += n;
        rank /= 2;
    }
    return length;
}

bool
ft_ss_merkle_check(const uint8_t root[32], const uint8_t leaf[32], uint32_t rank, uint32_t count,
                   const uint8_t (*path)[32], uint32_t path_length)
{
    uint8_t node[32];
    uint32_t at = 0;

    if (rank >= count || path_length != ft_ss_merkle_path_length(rank, count))
        return false;
    memcpy(node, leaf, 32);
    for (; count > 1; count = parents(count), rank /= 2) {
        if ((rank ^ 1) >= count)
            continue; /* promoted */
        if (rank % 2 == 0)
            join_nodes(node, node, path[at++]);
        else
            join_nodes(node, path[at++], node);
    }
    return memcmp(node, root, 32) == 0; /* public */
}
