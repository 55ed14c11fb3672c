// METRICS TEXT: how jobs, workers and endpoints stand, in the text format of Prometheus. Nothing is
// counted here: each scrape says what the rooms say to status, workers and pools.
// Invariant: what a series means never changes, and a job's series end only after_end_s after it,
// or when shown_ended_max jobs have ended after it.
#pragma once

#include "actors/wiring/questions.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace gristmill::coordinator {

struct ClusterView {
  std::vector<wiring::JobView> jobs;
  std::vector<WorkerView> workers;
  std::vector<PoolView> pools;
};

// A job that is over is shown for so long, so that its last figures are seen.
inline constexpr std::int64_t after_end_s = 15 * 60;
inline constexpr std::size_t shown_ended_max = 100;

inline constexpr const char* metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

std::string metrics_of(const ClusterView& cluster, std::int64_t unix_seconds);

} // namespace gristmill::coordinator
