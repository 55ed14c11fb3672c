// DRY RUN: reads the whole input as the job would, item by item, and says what it would come to.
// Nothing is called and nothing is written. Invariant: an item counts as good here exactly if the
// job would call for it, because the same intake and the same rendering decide; memory does not
// grow with the input.
#pragma once

#include "cli/dry_run/forecast.hpp"
#include "cli/inputs.hpp"

#include <optional>
#include <string>
#include <vector>

namespace gristmill::cli {

// Where the job would leave what, and what it would find there.
struct DryRunPlaces {
  std::string output, state;
  bool state_exists = false, anew = false; // anew: what is there would go
  std::string cache = {};                  // of answers; empty = none
};

std::string to_text(const Forecast& forecast, const JobSpec& spec, const DryRunPlaces& places,
                    const Prices& prices);
std::string to_json(const Forecast& forecast, const JobSpec& spec, const DryRunPlaces& places,
                    const Prices& prices);

// Reads the job's input up to its first bad line, if it has one.
Result<std::optional<BadLine>> first_bad_line(const JobSpec& spec);

// Reads the job's whole input. Why not one item of it would be called for: the first one's fault;
// empty if one would be, or if there is none. An error: it cannot be read to its end.
Result<std::string> why_nothing_runs(const JobSpec& spec);

// Returns the exit code. `spec` has everything but its inputs.
int dry_run(JobSpec spec, const std::vector<std::string>& inputs, const DryRunPlaces& places,
            const Prices& prices, bool json);

} // namespace gristmill::cli
