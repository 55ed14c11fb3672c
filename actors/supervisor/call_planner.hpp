// CALL PLANNER: what a part will ask for, worked out before it is offered: its model, the most that
// it may cost, and how its prompt begins; and which parts fit into one call. Invariant: the bounds
// of a call are the sum of its parts' bounds, so that no budget is drawn short.
#pragma once

#include "actors/supervisor/model_plan.hpp"
#include "actors/words/calls.hpp"
#include "actors/words/look_up.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/request/step.hpp"
#include "protocol/openai/template/document_template.hpp"
#include "protocol/openai/tokens/bound.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::bpe {
class Tokenizer;
} // namespace gristmill::bpe

namespace gristmill::supervisor {

struct PlannedAsk {
  std::string model; // as of PlannedCall
  bool has_fallback = false;
  std::uint64_t token_bound = 0, output_bound = 0, prefix = 0; // as of OfferedCall
  std::uint64_t pack = 0;                                      // as of pack_key()
  std::uint64_t pack_tokens = 0; // of its text, as far as a server bounds those of a call
};

// What an answer that is taken from elsewhere does not cost again.
struct Saved {
  protocol::Usage usage;
  Usd cost{};
};

// Why a part can be no call.
struct NoCall {
  OutcomeClass cls = OutcomeClass::bad_line;
  std::string code, message;
  bool is_requests = false; // any part that asks the same ends like it
};

class CallPlanner {
public:
  // `spec` outlives it, and so does `tokenizer`; nullptr = texts of packs have their bytes' tokens.
  CallPlanner(const JobSpec& spec, const std::vector<PoolSpec>& pools,
              const bpe::Tokenizer* tokenizer = nullptr)
      : spec_{spec}, forms_{spec}, items_{tokens_of({})}, reduce_{tokens_of({0, 1, 0})},
        judge_{tokens_of(PartNumber::judge(0))}, models_{spec, pools}, tokenizer_{tokenizer} {}

  tl::expected<PlannedAsk, NoCall> plan(const PartNumber& part, ItemKind kind, std::string_view raw,
                                        bool on_fallback) const;
  // What the part asks first, before any fallback; none = it makes no request.
  AskedRequest request(const PartNumber& part, ItemKind kind, std::string_view raw) const;
  // What the answer took when it was given.
  Saved saved(const PartNumber& part, const protocol::Reply& answer) const;
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

  std::uint64_t pack_tokens(const openai::CallForm& form, ItemKind kind, std::string_view raw,
                            const openai::TokenBound& bound) const;

  const JobSpec& spec_;
  openai::CallForms forms_;
  openai::JobTokens items_, reduce_, judge_; // what their calls use at most
  ModelPlan models_;
  const bpe::Tokenizer* tokenizer_;
};

// How much a call may gather: parts, and tokens that it may be charged. Its texts have at most
// limits::pack_tokens_max besides.
struct DraftBounds {
  std::size_t parts = 1;
  std::uint64_t tokens = std::numeric_limits<std::uint64_t>::max();
};

// A call that gathers parts. A single one may be as large as it is.
class CallDraft {
public:
  CallDraft(CallId call, std::uint32_t stream, std::vector<EndpointId> failed_at,
            DraftBounds bounds)
      : stream_{stream}, bounds_{bounds} {
    offered_.planned.call = call;
    offered_.failed_at = std::move(failed_at);
  }
  // Whether the part may go with those that are in it, in a call of so many parts at most.
  bool takes(const protocol::PlannedPart& part, const PlannedAsk& ask,
             const std::vector<EndpointId>& failed_at, std::size_t company) const {
    return size() < std::min(bounds_.parts, company) && agrees(ask, failed_at) &&
           has_room_for(part, ask);
  }
  // It gathers no more once one that agrees has come and is too large for it.
  void close_before(const protocol::PlannedPart& part, const PlannedAsk& ask,
                    const std::vector<EndpointId>& failed_at) {
    if (agrees(ask, failed_at) && !has_room_for(part, ask)) bounds_.parts = size();
  }
  void add(protocol::PlannedPart part, PlannedAsk ask, std::size_t company);
  bool is_full() const { return size() >= bounds_.parts; }
  const std::string& model() const { return offered_.planned.model; }
  CallId call() const { return offered_.planned.call; }
  std::uint32_t stream() const { return stream_; }
  std::size_t size() const { return offered_.planned.parts.size(); }
  OfferedCall take() && { return std::move(offered_); }

private:
  bool agrees(const PlannedAsk& ask, const std::vector<EndpointId>& failed_at) const {
    return ask.pack != 0 && ask.pack == pack_ && ask.model == offered_.planned.model &&
           failed_at == offered_.failed_at;
  }
  bool has_room_for(const protocol::PlannedPart& part, const PlannedAsk& ask) const {
    return offered_.token_bound + ask.token_bound <= bounds_.tokens &&
           pack_tokens_ + ask.pack_tokens <= limits::pack_tokens_max &&
           bytes_ + part.bytes() <= limits::pack_bytes_max;
  }

  std::uint32_t stream_;
  DraftBounds bounds_;
  std::uint64_t pack_ = 0, pack_tokens_ = 0;
  std::size_t bytes_ = 0;
  OfferedCall offered_;
};

} // namespace gristmill::supervisor
