// SUMMARY: what happened to a job, as the JSON of OUTPUT.summary.json. Counts come from the durable
// ones, everything else from the lines of the result. Invariant: memory does not follow the corpus
// (at most summary_errors_max causes are told apart), and the same task and lines give the same
// text.
#pragma once

#include "actors/kit/latency_histogram.hpp"
#include "actors/merger/merger.hpp"
#include "actors/merger/strategy.hpp"
#include "actors/merger/tally.hpp"

#include <map>
#include <string>

namespace gristmill::merger {

inline constexpr std::size_t summary_errors_max = 64;
inline constexpr std::size_t sample_characters_max = 300;

class Summary {
public:
  void add(const LineFacts& facts);
  std::string json(const MergeTask& task, const FinalFile& file, const Strategy& strategy) const;

private:
  struct Cause {
    std::string cls;  // as --retry-failed takes it
    std::string code; // of the endpoint, or ours
    std::uint64_t http_status = 0;
    auto operator<=>(const Cause&) const = default;
  };
  struct Sample {
    std::uint64_t count = 0;
    std::string custom_id, source, message; // of the first one
  };
  void add_error(const LineFacts& facts);
  nlohmann::ordered_json errors() const;

  std::map<Cause, Sample> errors_;
  LatencyHistogram latency_ms_;
  Tally models_, endpoints_;
  std::uint64_t cached_ = 0, cached_tokens_ = 0;
};

} // namespace gristmill::merger
