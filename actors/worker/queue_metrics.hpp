// QUEUE METRICS: how many calls wait and run at an inference server, as its page of metrics says in
// Prometheus's text format. Only the names that the common servers give to these two numbers are
// looked for; a server of several engines has a series for each, and they add up. Invariant: a line
// that is cut, no number or no series of ours changes nothing, so any text is safe to read. Where a
// series has the label of a model, and the model is given, one of another model is none of ours.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::worker {

struct QueueMetrics {
  std::uint64_t waiting = 0;
  std::int64_t running = -1; // -1 = the page does not say
  bool operator==(const QueueMetrics&) const = default;
};

// Nothing: the page does not say how many calls wait.
std::optional<QueueMetrics> queue_metrics(std::string_view page, std::string_view model = {});

std::string names_of_waiting(); // that are looked for, as a list for people

} // namespace gristmill::worker
