#include "cli/dry_run/forecast.hpp"

#include "protocol/openai/chunk/reduce.hpp"
#include "protocol/openai/request/canonical.hpp"
#include "protocol/openai/request/pack.hpp"
#include "protocol/rules/served.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace gristmill::cli {
namespace {

using openai::TokenRange;

// No model can have this name: a line feed is no part of one.
constexpr std::string_view unnamed = "\n";
constexpr std::string_view other_models = "(others)";
constexpr PartNumber a_chunk{}, a_step{0, 1, 0};

std::uint32_t likely_size(const TokenRange& answer) {
  constexpr double least = 1, most = 1e9;
  return static_cast<std::uint32_t>(std::clamp(std::round(answer.likely), least, most));
}

} // namespace

Forecaster::Forecaster(const JobSpec& spec, std::unique_ptr<intake::ScratchPages> pages,
                       IsKnown is_known, std::shared_ptr<const bpe::Tokenizer> tokenizer)
    : spec_{spec}, forms_{spec}, reader_{spec}, models_{models_of_all(spec)},
      seen_{std::move(pages)}, is_known_{std::move(is_known)}, tokenizer_{std::move(tokenizer)} {
  if (models_.empty()) models_.emplace_back();
  for (std::size_t n = 1; n <= models_.size(); ++n)
    empty_answers_ += fmt::format("{}\"answer.{}\":\"\"", n == 1 ? "" : ",", n);
}

std::string Forecaster::bad(const std::string& source, std::string sentence) {
  ++forecast_.bad;
  if (forecast_.samples.size() < Forecast::samples_max)
    forecast_.samples.push_back({source, sentence});
  return sentence;
}

ModelShare& Forecaster::share_of(const openai::Request& request) {
  std::string_view model = request.model == unnamed ? std::string_view{} : request.model;
  const bool crowded = forecast_.models.size() >= Forecast::models_max;
  if (crowded && !forecast_.models.contains(model)) model = other_models;
  return forecast_.models[std::string{model}];
}

openai::TokenEstimate Forecaster::tokens_of(const openai::Request& request) const {
  return openai::estimate_tokens(request, openai::answer_tokens_default, tokenizer_.get());
}

TokenRange Forecaster::count(const openai::Request& request, const TokenRange& more) {
  auto tokens = tokens_of(request);
  tokens.input += more;
  forecast_.tokens.input += tokens.input;
  forecast_.tokens.output += tokens.output;
  ModelShare& share = share_of(request);
  ++share.calls;
  share.tokens.input += tokens.input;
  share.tokens.output += tokens.output;
  ++forecast_.calls;
  ++forecast_.paths[request.path]; // the allow-list bounds them
  return tokens.output;
}

Result<openai::Request> Forecaster::rendered(const PartNumber& part, ItemKind kind,
                                             std::string_view raw, const std::string& model) const {
  const openai::CallForm& form = forms_.of(part);
  return openai::render(form.spec, form.documents, kind, raw, unnamed, model);
}

std::string Forecaster::item(const intake::Item& item, const std::string& source) {
  ++forecast_.items;
  if (!item.bad.empty()) return bad(source, item.bad);
  const bool is_divided = spec_.shape.chunk_tokens > 0;
  const Divided in = is_divided ? divided(item) : Divided{};
  TokenRange answers;
  for (const std::string& model : models_) {
    const auto answer = is_divided ? in_chunks(in, model) : whole(item, model);
    if (!answer) return bad(source, answer.error().message); // and so at each of them
    answers += *answer;
  }
  forecast_.chunks += in.chunks.size();
  if (spec_.shape.judge_model.empty()) return {};
  if (const auto judge = judged(item, answers); !judge) return bad(source, judge.error().message);
  return {};
}

Result<TokenRange> Forecaster::whole(const intake::Item& item, const std::string& model) {
  const auto request = rendered(a_chunk, item.place.kind, item.raw, model);
  GRISTMILL_TRY(request);
  ++share_of(*request).items;
  return called(*request, item.place.kind, item.raw);
}

// One that could not be remembered is asked again.
bool Forecaster::is_answered(const openai::Request& request) {
  if (!spec_.policy.dedupe && !is_known_) return false;
  const auto key = openai::request_key(request, "item");
  if (!key) return false;
  const bool is_known = is_known_ && request.model != unnamed && is_known_(*key);
  const bool is_repeated = !is_known && seen_.add(key->view(), 1).value_or(0) != 0;
  forecast_.known += is_known;
  forecast_.repeated += is_repeated;
  return is_known || is_repeated;
}

TokenRange Forecaster::called(const openai::Request& request, ItemKind kind, std::string_view raw) {
  if (is_answered(request)) return tokens_of(request).output;
  may_be_packed(a_chunk, kind, raw);
  return count(request);
}

void Forecaster::may_be_packed(const PartNumber& part, ItemKind kind, std::string_view raw) {
  if (spec_.policy.pack > 1 && openai::pack_key(forms_.of(part).spec, kind, raw) != 0)
    ++forecast_.packed;
}

Forecaster::Divided Forecaster::divided(const intake::Item& item) const {
  Divided divided{reader_.read(item.place.kind, item.raw), {}};
  divided.chunks =
      openai::chunks_of(divided.document.text,
                        {spec_.shape.chunk_tokens, spec_.shape.chunk_overlap}, tokenizer_.get());
  return divided;
}

Result<TokenRange> Forecaster::in_chunks(const Divided& item, const std::string& model) {
  const std::string_view text = item.document.text;
  const auto of = static_cast<std::uint32_t>(item.chunks.size());
  TokenRange answer, all;
  for (std::uint32_t n = 0; n < of; ++n) {
    const auto& [begin, end, gap] = item.chunks[n];
    const std::string object =
        openai::chunk_item(spec_, ItemKind::json_object, item.document.fields,
                           text.substr(begin, end - begin), n + 1, of);
    const auto request = rendered(a_chunk, ItemKind::json_object, object, model);
    GRISTMILL_TRY(request);
    if (n == 0) ++share_of(*request).items;
    answer = called(*request, ItemKind::json_object, object);
    all += answer;
  }
  if (!spec_.shape.reduce_prompt.empty()) return reduced(item, model, answer);
  return info(spec_.shape.task).has_labels ? answer : all; // of labels there is one in the end
}

Result<TokenRange> Forecaster::reduced(const Divided& item, const std::string& model,
                                       TokenRange answer) {
  const auto request = rendered(
      a_step, ItemKind::json_object,
      openai::reduce_item(spec_, ItemKind::json_object, item.document.fields, "\"answers\":\"\""),
      model);
  GRISTMILL_TRY(request);
  std::size_t answers = item.chunks.size();
  do {
    const std::vector<std::uint32_t> sizes(answers, likely_size(answer));
    const auto begins = openai::groups_of(sizes, spec_.shape.chunk_tokens);
    TokenRange joined;
    for (std::size_t n = 0; n < begins.size(); ++n) {
      const std::size_t end = n + 1 < begins.size() ? begins[n + 1] : answers;
      joined = count(*request, times(answer, static_cast<double>(end - begins[n])));
    }
    forecast_.reduce_calls += begins.size();
    answer = joined;
    answers = begins.size();
  } while (answers > 1);
  return answer;
}

Result<> Forecaster::judged(const intake::Item& item, const TokenRange& answers) {
  const auto request = rendered(PartNumber::judge(0), ItemKind::json_object,
                                openai::step_item(spec_, item.place.kind, item.raw, empty_answers_),
                                spec_.shape.judge_model);
  GRISTMILL_TRY(request);
  ++share_of(*request).items;
  count(*request, answers);
  return {};
}

std::optional<TokenRange> cost_of(const Forecast& forecast, const Prices& prices) {
  TokenRange usd;
  for (const auto& [model, share] : forecast.models) {
    const auto price = prices.find(model);
    if (price == prices.end()) return std::nullopt;
    const auto add = [&usd](const TokenRange& tokens, double per_million) {
      usd += {tokens.low * per_million / 1e6, tokens.likely * per_million / 1e6,
              tokens.high * per_million / 1e6};
    };
    add(share.tokens.input, price->second.input);
    add(share.tokens.output, price->second.output);
  }
  if (forecast.models.empty()) return std::nullopt;
  return usd;
}

std::uint64_t items_within(const Forecast& forecast, const TokenRange& usd, Usd budget) {
  const std::uint64_t items = forecast.items - forecast.bad;
  const double has = budget.usd();
  if (usd.likely <= has) return items;
  return static_cast<std::uint64_t>(static_cast<double>(items) * has / usd.likely);
}

} // namespace gristmill::cli
