// SUMMARY: what happened to a job, as the JSON of OUTPUT.summary.json. Counts come from the durable
// ones, everything else from the lines of the result. Invariant: memory does not follow the corpus,
// and the same task and lines give the same text.
#pragma once

#include "actors/kit/latency_histogram.hpp"
#include "actors/merger/merger.hpp"
#include "actors/merger/strategy.hpp"
#include "actors/merger/tally.hpp"
#include "actors/words/error_book.hpp"

#include <string>
#include <string_view>

namespace gristmill::merger {

class Summary {
public:
  void add(const LineFacts& facts);
  std::string json(const MergeTask& task, const FinalFile& file, const Strategy& strategy) const;
  // Those of the lines, and what calls `met` that were tried again.
  ErrorList errors(const ErrorList& met) const;

private:
  void add_error(const LineFacts& facts);
  void add_model(std::string_view model, std::string_view endpoint);

  ErrorBook errors_{ErrorBook::Sample::first}; // of the lines
  LatencyHistogram latency_ms_;
  Tally models_, endpoints_;
};

} // namespace gristmill::merger
