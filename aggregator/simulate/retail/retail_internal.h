#ifndef FT_SIMULATE_RETAIL_INTERNAL_H
#define FT_SIMULATE_RETAIL_INTERNAL_H

#include "aggregator/simulate/partition/draw.h"
#include "aggregator/simulate/retail/retail.h"

#include <stddef.h>

#define SEGMENTS    FT_RETAIL_SEGMENTS
#define DEPARTMENTS FT_RETAIL_DEPARTMENTS
#define CATEGORIES  4  /* of a department */
#define PRODUCTS    40 /* of a category; one in three is a private brand */
#define SLOT_WEEKS  2  /* of a promotion */
#define SLOTS_MAX   ((FT_RETAIL_WEEKS_MAX + SLOT_WEEKS - 1) / SLOT_WEEKS)

/* What is planted, the same in every world. */
struct retail_segment {
    const char *name;
    double share;         /* of customers */
    double visits, lines; /* times the mean; brought to mean one over the segments */
    double churn;         /* times the hazard */
    double elasticity;    /* of a promotion's depth: weight of the department times exp(elasticity x depth) */
    double private_brand; /* times the department's share of private brands */
    double coupon;        /* chance of a coupon on a line with a card */
    double weekend;       /* share of visits on Saturday and Sunday */
    double taste[DEPARTMENTS];
};
extern const struct retail_segment retail_segments[SEGMENTS];

struct retail_department {
    const char *name;
    const char *categories[CATEGORIES];
    double share;         /* of lines */
    double price;         /* median, dollars */
    double private_brand; /* share */
    double season;        /* amplitude */
    double peak;          /* week of the year */
};
extern const struct retail_department retail_departments[DEPARTMENTS];

struct retail_product {
    char text[96]; /* ",id,department,category,brand," */
    uint32_t text_size;
    uint32_t cents;
};

/* Products of one department and brand, drawn by popularity: Walker's alias method. */
struct retail_shelf {
    uint32_t count;
    uint32_t first;  /* of world->products */
    float *accept;   /* (count) */
    uint32_t *alias; /* (count) */
};

struct retail_region {
    double taste[DEPARTMENTS];
    double price;                          /* level */
    uint8_t depth[SLOTS_MAX][DEPARTMENTS]; /* percent off; 0: no promotion */
};

struct retail_store {
    uint32_t region;
    uint32_t customers, first; /* at home here: customers first .. first + customers - 1 */
    double mix[SEGMENTS];
};

enum retail_decision { RETAIL_GIVEN, RETAIL_REFUSED, RETAIL_WITHDRAWN, RETAIL_UNASKED };

struct retail_customer {
    uint32_t second; /* shop; UINT32_MAX: none */
    float rate;      /* visits a week */
    uint16_t leaves; /* comes in weeks 0 .. leaves - 1 */
    uint8_t segment, card, decision;
};

struct retail_world {
    const struct ft_retail_settings *s;
    struct retail_product *products;
    struct retail_shelf shelves[DEPARTMENTS][2]; /* national, private */
    struct retail_region *regions;
    struct retail_store *stores;
    uint32_t *by_region, *region_first; /* stores in regions' order; (regions + 1) */
    struct retail_customer *customers;
    uint32_t *guests, *guest_first; /* customers whose second shop it is; (stores + 1) */
    uint64_t id_factor, id_offset;  /* a customer's number is a permutation */
    double seg_visits[SEGMENTS], seg_lines[SEGMENTS];
};

FT_NODISCARD enum ft_status retail_world_open(const struct ft_retail_settings *s, struct retail_world *w,
                                              struct ft_error *err);
void retail_world_close(struct retail_world *w);
uint32_t retail_customer_id(const struct retail_world *w, uint32_t customer);
double retail_season(const struct ft_retail_settings *s, uint32_t week); /* visits of week 0 .. */

/* store.c: one shop's file. */
struct retail_counts {
    uint64_t rows, baskets, rows_with_card, promoted_rows, bytes;
    double baskets_expected;
};
FT_NODISCARD enum ft_status retail_store_write(const struct retail_world *w, uint32_t store, const char *dir,
                                               struct retail_counts *counts, struct ft_error *err);
FT_NODISCARD enum ft_status retail_consent_write(const struct retail_world *w, uint32_t store,
                                                 const char *dir, struct ft_error *err);
/* truth.c */
FT_NODISCARD enum ft_status retail_truth_write(const struct retail_world *w,
                                               const struct ft_retail_totals *totals, const char *dir,
                                               struct ft_error *err);
FT_NODISCARD enum ft_status retail_customers_write(const struct retail_world *w, const char *dir,
                                                   struct ft_error *err);

extern const char retail_task_yaml[]; /* deploy/tasks/cj_return.yaml, put in by the build */

#endif
