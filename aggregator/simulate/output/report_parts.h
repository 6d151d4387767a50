/* The parts of a run's page, each a section; report.c puts them in order. All read the run alone. */
#ifndef FT_SIMULATE_REPORT_PARTS_H
#define FT_SIMULATE_REPORT_PARTS_H

#include "aggregator/simulate/output/run_files.h"

FT_NODISCARD enum ft_status sim_report_curves(struct ft_buf *out,
                                              const struct sim_run *run); /* metric, loss, rate */
FT_NODISCARD enum ft_status sim_report_baselines(struct ft_buf *out,
                                                 const struct sim_run *run); /* beside the federated */
FT_NODISCARD enum ft_status sim_report_privacy(struct ft_buf *out,
                                               const struct sim_run *run); /* what is claimed, and what not */
FT_NODISCARD enum ft_status sim_report_clients(struct ft_buf *out,
                                               const struct sim_run *run); /* who came, bytes, time */
FT_NODISCARD enum ft_status sim_report_partition(struct ft_buf *out,
                                                 const struct sim_run *run); /* rows and labels */

/* The whole page. */
FT_NODISCARD enum ft_status sim_report_page(struct ft_buf *out, const struct sim_run *run);

/* Rounds to show in a table: `wanted` of them evenly, the first and the last among them; *count of `index`.
 */
#define SIM_TABLE_ROUNDS 40
size_t sim_table_rounds(const struct sim_run *run, bool scored, size_t index[SIM_TABLE_ROUNDS + 1]);

#endif
