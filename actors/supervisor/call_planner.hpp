// CALL PLANNER: what a part will ask for, worked out before it is offered: its model, the most that
// it may cost, and how its prompt begins; and which parts fit into one call. Invariant: the bounds
// of a call are the sum of its parts' bounds, so that no budget is drawn short.
#pragma once

#include "actors/supervisor/model_plan.hpp"
#include "actors/words/calls.hpp"
#include "protocol/openai/request/step.hpp"
#include "protocol/openai/template/document_template.hpp"
#include "protocol/openai/tokens/bound.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace gristmill::supervisor {

struct PlannedAsk {
  std::string model; // as of PlannedCall
  bool has_fallback = false;
  std::uint64_t token_bound = 0, output_bound = 0, prefix = 0; // as of OfferedCall
};

// Why a part can be no call.
struct NoCall {
  OutcomeClass cls = OutcomeClass::bad_line;
  std::string code, message;
};

class CallPlanner {
public:
  // `spec` outlives it.
  CallPlanner(const JobSpec& spec, const std::vector<PoolSpec>& pools)
      : spec_{spec}, forms_{spec}, items_{tokens_of({})}, reduce_{tokens_of({0, 1, 0})},
        judge_{tokens_of(PartNumber::judge(0))}, models_{spec, pools} {}

  tl::expected<PlannedAsk, NoCall> plan(const PartNumber& part, ItemKind kind, std::string_view raw,
                                        bool on_fallback) const;
  bool has_fallback(const PartNumber& part, ItemKind kind, std::string_view raw,
                    bool on_fallback) const {
    return models_.plan(part, kind, raw, on_fallback).has_fallback;
  }

private:
  openai::JobTokens tokens_of(const PartNumber& part) const {
    const openai::CallForm& form = forms_.of(part);
    return {form.spec, form.documents};
  }
  const openai::JobTokens& tokens(const PartNumber& part) const {
    if (part.is_judge()) return judge_;
    return part.is_reduce() ? reduce_ : items_;
  }

  const JobSpec& spec_;
  openai::CallForms forms_;
  openai::JobTokens items_, reduce_, judge_; // what their calls use at most
  ModelPlan models_;
};

// A call that gathers parts.
class CallDraft {
public:
  CallDraft(CallId call, std::uint32_t stream, std::vector<EndpointId> failed_at)
      : stream_{stream} {
    offered_.planned.call = call;
    offered_.failed_at = std::move(failed_at);
  }
  // Whether the part may go with those that are in it, of which there are fewer than `most`.
  bool takes(const PlannedAsk& ask, const std::vector<EndpointId>& failed_at,
             std::size_t most) const {
    return offered_.planned.parts.size() < most && ask.model == offered_.planned.model &&
           failed_at == offered_.failed_at;
  }
  void add(protocol::PlannedPart part, PlannedAsk ask);
  CallId call() const { return offered_.planned.call; }
  std::uint32_t stream() const { return stream_; }
  std::size_t size() const { return offered_.planned.parts.size(); }
  OfferedCall take() && { return std::move(offered_); }

private:
  std::uint32_t stream_;
  OfferedCall offered_;
};

} // namespace gristmill::supervisor
