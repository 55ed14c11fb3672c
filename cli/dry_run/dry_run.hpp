// DRY RUN: reads the whole input as the job would, item by item, and says what it would come to.
// Nothing is called and nothing is written. Invariant: an item counts as good here exactly if the
// job would call for it, because the same intake and the same rendering decide; memory does not
// grow with the input.
#pragma once

#include "actors/intake/intake.hpp"
#include "cli/inputs.hpp"
#include "protocol/job/usd.hpp"
#include "protocol/openai/request/render.hpp"
#include "protocol/openai/request/step.hpp"
#include "protocol/openai/tokens/estimate.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gristmill::cli {

// What a model's tokens cost, in US$ per million.
struct Price {
  double input = 0, output = 0;
};
using Prices = std::map<std::string, Price, std::less<>>; // by model

struct ModelShare {
  std::uint64_t items = 0;
  openai::TokenEstimate tokens;
};

struct BadLine {
  std::string source, sentence; // FILE:LINE, and why
};

struct Forecast {
  std::uint64_t items = 0, bad = 0, left_out = 0; // left_out: documents without text
  std::uint64_t calls = 0;
  std::vector<BadLine> samples; // the first bad lines
  openai::TokenEstimate tokens;
  // By model; "" are the items that name none. Beyond `models_max` names they share one entry.
  std::map<std::string, ModelShare, std::less<>> models;
  std::map<std::string, std::uint64_t, std::less<>> paths; // items by path below the base URL

  static constexpr std::size_t samples_max = 5, models_max = 32;
};

// Adds up what the items would come to.
class Forecaster {
public:
  explicit Forecaster(const JobSpec& spec);

  // The sentence that makes it a bad line; empty = it would be called for.
  std::string item(const intake::Item& item, const std::string& source);
  void left_out(std::uint64_t documents) { forecast_.left_out = documents; }
  const Forecast& forecast() const { return forecast_; }

private:
  // The request, with so many tokens in it beside its own; its answer.
  openai::TokenRange count(const openai::Request& request, const openai::TokenRange& more = {});
  std::string bad(const std::string& source, std::string sentence);

  const JobSpec& spec_;
  const openai::CallForms forms_;
  ModelNames models_;         // that each item is asked of; "" = the one that it names
  std::string empty_answers_; // as the judge would see them
  Forecast forecast_;
};

// US$; nothing if the price of a model in it is not known.
std::optional<openai::TokenRange> cost_of(const Forecast& forecast, const Prices& prices);

// How many of the items that would be called for a budget pays for, likely; at least one call's
// worth of it stays unused.
std::uint64_t items_within(const Forecast& forecast, const openai::TokenRange& usd, Usd budget);

// Where the job would leave what, and what it would find there.
struct DryRunPlaces {
  std::string output, state;
  bool state_exists = false, anew = false; // anew: what is there would go
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
