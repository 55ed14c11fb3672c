// STREAMS: the calls of a job, by which of its models they ask, each stream with credit, queue and
// hands of its own. So calls that wait for a slow model fill nothing that the calls of a fast one
// need. A judge's calls are a stream, too. A job that names no model for all its items has one
// stream, whatever they ask for. Invariant: all parts of a call are of one stream.
#pragma once

#include "protocol/ids.hpp"
#include "protocol/part_number.hpp"
#include "protocol/rules/served.hpp"

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>

namespace gristmill {

struct StreamId {
  JobId job;
  std::uint32_t model = 0; // as of PartNumber
  static StreamId of(const PartId& part) { return {part.job, PartNumber::of(part.part).model}; }
  auto operator<=>(const StreamId&) const = default;
};

// How many a job has.
inline std::uint32_t streams_of(const JobSpec& spec) {
  const std::size_t models = std::max<std::size_t>(models_of_all(spec).size(), 1);
  return static_cast<std::uint32_t>(models) + (spec.shape.judge_model.empty() ? 0 : 1);
}

// Room for so many more calls of a stream, and bytes of them.
struct StreamRoom {
  std::uint32_t stream = 0; // the model of its StreamId
  std::uint32_t calls = 0;
  std::uint64_t bytes = 0;
  bool operator==(const StreamRoom&) const = default;
};

} // namespace gristmill
