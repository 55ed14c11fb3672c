#include "actors/supervisor/call_planner.hpp"

#include "actors/kit/mutant.hpp"
#include "protocol/openai/reply/usage.hpp"
#include "protocol/openai/request/canonical.hpp"
#include "protocol/openai/request/pack.hpp"
#include "protocol/openai/request/prefix.hpp"
#include "protocol/openai/request/render.hpp"
#include "protocol/openai/tokens/bpe/tokenizer.hpp"
#include "protocol/rules/priced.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>

namespace gristmill::supervisor {
namespace {

constexpr std::string_view unnamed = "\n"; // a request's endpoint names the model

} // namespace

tl::expected<PlannedAsk, NoCall> CallPlanner::plan(const PartNumber& part, ItemKind kind,
                                                   std::string_view raw, bool on_fallback) const {
  const openai::CallForm& form = forms_.of(part);
  if (std::string why = form.documents.why_too_long(kind, raw); !why.empty())
    return tl::unexpected{NoCall{OutcomeClass::too_long, "exceeds_limit", std::move(why), true}};
  PlannedModel model = models_.plan(part, kind, raw, on_fallback);
  const auto bound = tokens(part).bounds(kind, raw, model.max_output_tokens);
  if (spec_.limits.budget && !bound.output_stated && !model.limits_answers)
    return tl::unexpected{
        NoCall{OutcomeClass::bad_line, "unlimited_answer",
               fmt::format("expected a limit on the answer, so that a call's cost has a bound "
                           "under --budget-usd, got none; {}",
                           how_to_limit_answers),
               true}};
  const std::uint64_t pack = spec_.policy.pack > 1 ? openai::pack_key(form.spec, kind, raw) : 0;
  return PlannedAsk{std::move(model.model),
                    model.has_fallback,
                    bound.total(),
                    bound.output,
                    openai::prefix_of(form.spec, form.documents, kind, raw),
                    pack,
                    pack == 0 ? 0 : pack_tokens(form, kind, raw, bound)};
}

std::uint64_t CallPlanner::pack_tokens(const openai::CallForm& form, ItemKind kind,
                                       std::string_view raw,
                                       const openai::TokenBound& bound) const {
  if (tokenizer_ == nullptr) return bound.text;
  const auto request = openai::render(form.spec, form.documents, kind, raw, unnamed, "");
  return request ? tokenizer_->count(openai::input_text(*request)) : bound.text;
}

// Answers to equal requests of another form would be read otherwise.
AskedRequest CallPlanner::request(const PartNumber& part, ItemKind kind,
                                  std::string_view raw) const {
  const std::string_view scope = part.is_judge() ? "judge" : part.is_reduce() ? "reduce" : "item";
  const openai::CallForm& form = forms_.of(part);
  const PartNumber asked =
      mutated("key_without_model") ? PartNumber{0, part.level, part.index} : part;
  const PlannedModel model = models_.plan(asked, kind, raw, false);
  const auto request = openai::render(form.spec, form.documents, kind, raw, unnamed, model.model);
  const auto key = request ? openai::request_key(*request, scope) : Result<RequestKey>{};
  return key ? AskedRequest{*key, request && request->model != unnamed} : AskedRequest{};
}

Saved CallPlanner::saved(const PartNumber& part, const protocol::Reply& answer) const {
  Saved saved{openai::usage_of(json::find(json::root(answer.body), "usage"))};
  saved.cost = cost_of_tokens(models_.price_of(part, answer.model), saved.usage);
  return saved;
}

void CallDraft::add(protocol::PlannedPart part, PlannedAsk ask, std::size_t company) {
  if (size() == 0) {
    offered_.planned.model = std::move(ask.model);
    offered_.prefix = ask.prefix;
    pack_ = ask.pack;
    if (pack_ == 0) bounds_.parts = 1;
  }
  bounds_.parts = std::min(bounds_.parts, company);
  bytes_ += part.bytes();
  pack_tokens_ += ask.pack_tokens;
  if (size() == 0 || !mutated("pack_bounded_by_its_first")) offered_.token_bound += ask.token_bound;
  offered_.output_bound += ask.output_bound;
  offered_.planned.parts.push_back(std::move(part));
}

} // namespace gristmill::supervisor
