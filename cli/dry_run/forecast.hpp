// FORECAST: what a job's items would come to, added up one by one: calls, tokens, money. The calls
// of chunks and of what joins their answers are made as the job would make them, with answers of
// the likely length. Invariant: memory does not grow with the items.
#pragma once

#include "actors/intake/intake.hpp"
#include "actors/intake/seen_ids.hpp"
#include "protocol/job/usd.hpp"
#include "protocol/openai/chunk/chunks.hpp"
#include "protocol/openai/chunk/document.hpp"
#include "protocol/openai/request/render.hpp"
#include "protocol/openai/request/step.hpp"
#include "protocol/openai/tokens/estimate.hpp"
#include "protocol/request_key.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::cli {

// What a model's tokens cost, in US$ per million.
struct Price {
  double input = 0, output = 0;
};
using Prices = std::map<std::string, Price, std::less<>>; // by model

struct ModelShare {
  std::uint64_t items = 0, calls = 0;
  openai::TokenEstimate tokens;
};

struct BadLine {
  std::string source, sentence; // FILE:LINE, and why
};

struct Forecast {
  std::uint64_t items = 0, bad = 0;
  Preprocessed preprocessed{};
  std::uint64_t calls = 0;                    // each text to embed by itself
  std::uint64_t repeated = 0;                 // requests beside them that --dedupe does not call
  std::uint64_t known = 0;                    // … and those that the cache has answers to
  std::uint64_t packed = 0;                   // texts of them that others may go with
  std::uint64_t chunks = 0, reduce_calls = 0; // reduce_calls: those of `calls` that join answers
  std::vector<BadLine> samples;               // the first bad lines
  openai::TokenEstimate tokens;
  // By model; "" are the items that name none. Beyond `models_max` names they share one entry.
  std::map<std::string, ModelShare, std::less<>> models;
  std::map<std::string, std::uint64_t, std::less<>> paths; // calls by path below the base URL

  static constexpr std::size_t samples_max = 5, models_max = 32;
};

// Adds up what the items would come to.
class Forecaster {
public:
  // Whether the cache has an answer to a request that names its model.
  using IsKnown = std::function<bool(const RequestKey&)>;

  // `pages`: for --dedupe; `tokenizer`: that of the job.
  explicit Forecaster(const JobSpec& spec, std::unique_ptr<intake::ScratchPages> pages = nullptr,
                      IsKnown is_known = nullptr,
                      std::shared_ptr<const bpe::Tokenizer> tokenizer = nullptr);

  // The sentence that makes it a bad line; empty = it would be called for.
  std::string item(const intake::Item& item, const std::string& source);
  void read_all(const Preprocessed& preprocessed) { forecast_.preprocessed = preprocessed; }
  const Forecast& forecast() const { return forecast_; }

private:
  // A document in chunks.
  struct Divided {
    openai::Document document;
    openai::Chunks chunks;
  };

  Result<openai::Request> rendered(const PartNumber& part, ItemKind kind, std::string_view raw,
                                   const std::string& model) const;
  Divided divided(const intake::Item& item) const;
  // These count a model's calls of an item; what the judge would see of them.
  Result<openai::TokenRange> whole(const intake::Item& item, const std::string& model);
  Result<openai::TokenRange> in_chunks(const Divided& item, const std::string& model);
  Result<openai::TokenRange> reduced(const Divided& item, const std::string& model,
                                     openai::TokenRange answer);
  Result<> judged(const intake::Item& item, const openai::TokenRange& answers);
  bool is_answered(const openai::Request& request); // by another one, or by the cache
  // A call of an item or a chunk of it.
  openai::TokenRange called(const openai::Request& request, ItemKind kind, std::string_view raw);
  void may_be_packed(const PartNumber& part, ItemKind kind, std::string_view raw);
  openai::TokenEstimate tokens_of(const openai::Request& request) const;
  // The request, with so many tokens in it beside its own; its answer.
  openai::TokenRange count(const openai::Request& request, const openai::TokenRange& more = {});
  ModelShare& share_of(const openai::Request& request);
  std::string bad(const std::string& source, std::string sentence);

  const JobSpec& spec_;
  const openai::CallForms forms_;
  const openai::DocumentReader reader_;
  ModelNames models_;         // that each item is asked of; "" = the one that it names
  std::string empty_answers_; // as the judge would see them
  intake::SeenIds seen_;      // keys of requests
  IsKnown is_known_;          // none = there is no cache
  std::shared_ptr<const bpe::Tokenizer> tokenizer_; // none = texts are estimated
  Forecast forecast_;
};

// US$; nothing if the price of a model in it is not known.
std::optional<openai::TokenRange> cost_of(const Forecast& forecast, const Prices& prices);

// How many of the items that would be called for a budget pays for, likely; at least one call's
// worth of it stays unused.
std::uint64_t items_within(const Forecast& forecast, const openai::TokenRange& usd, Usd budget);

} // namespace gristmill::cli
