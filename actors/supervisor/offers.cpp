#include "actors/supervisor/offers.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace gristmill::supervisor {

std::vector<OfferedCall> by_prefix(std::vector<OfferedCall> calls) {
  const auto has_prefix = [](const OfferedCall& call) { return call.prefix != 0; };
  if (std::none_of(calls.begin(), calls.end(), has_prefix)) return calls;
  std::unordered_map<std::uint64_t, std::size_t> first;
  std::vector<std::pair<std::size_t, OfferedCall>> ranked;
  for (std::size_t at = 0; at < calls.size(); ++at) {
    const std::uint64_t prefix = calls[at].prefix;
    ranked.emplace_back(prefix == 0 ? at : first.try_emplace(prefix, at).first->second,
                        std::move(calls[at]));
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (std::size_t at = 0; at < calls.size(); ++at) calls[at] = std::move(ranked[at].second);
  return calls;
}

tl::expected<AskedPart, NoCall> Offers::plan(const PartId& part, const OpenPart& open,
                                             std::string item) const {
  std::string raw = plan_.raw_of(part, std::move(item));
  auto ask = planner_.plan(open.place.kind, raw, open.tally.on_fallback);
  GRISTMILL_TRY(ask);
  return AskedPart{{part, open.place.kind, std::move(raw)}, std::move(*ask)};
}

bool Offers::takes(const AskedPart& asked, const OpenPart& open, bool by_itself) const {
  return !draft_ || draft_->takes(asked.ask, open.failed_at, most(by_itself));
}

CallDraft Offers::begin(std::vector<EndpointId> failed_at) {
  CallDraft draft{next_, std::move(failed_at)};
  ++next_.value;
  --calls_;
  bytes_ -= static_cast<std::int64_t>(protocol::PlannedCall{}.bytes());
  return draft;
}

void Offers::add(CallDraft& draft, AskedPart asked) {
  bytes_ -= static_cast<std::int64_t>(asked.part.bytes());
  draft.add(std::move(asked.part), std::move(asked.ask));
}

CallId Offers::add(AskedPart asked, const OpenPart& open) {
  if (!draft_) draft_ = begin(open.failed_at);
  add(*draft_, std::move(asked));
  return draft_->call();
}

std::optional<OfferedCall> Offers::take() {
  if (!draft_) return std::nullopt;
  OfferedCall call = std::move(*draft_).take();
  draft_.reset();
  return call;
}

std::optional<OfferedCall> Offers::second(const Call& call, const PartLedger& ledger,
                                          const Reader& reader) {
  std::vector<AskedPart> parts;
  for (const PartId& part : call.parts) {
    const OpenPart& open = ledger.at(part);
    auto item = reader.read_if_possible(open.place);
    auto asked = item ? plan(part, open, std::move(*item)) : tl::unexpected{NoCall{}};
    if (!asked) return std::nullopt;
    parts.push_back(std::move(*asked));
  }
  std::vector<EndpointId> slow_at = ledger.at(call.parts.at(0)).failed_at;
  slow_at.push_back(call.endpoint);
  CallDraft draft = begin(std::move(slow_at));
  for (AskedPart& asked : parts) add(draft, std::move(asked));
  return std::move(draft).take();
}

} // namespace gristmill::supervisor
