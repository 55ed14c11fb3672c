#include "actors/supervisor/offers.hpp"

namespace gristmill::supervisor {

tl::expected<AskedPart, NoCall> Offers::plan(const PartId& part, const OpenPart& open,
                                             std::string item) {
  std::string raw = plan_.raw_of(part, std::move(item));
  auto ask = planner_.plan(open.place.kind, raw, open.tally.on_fallback);
  if (!ask) return tl::unexpected{std::move(ask.error())};
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

OfferedCall Offers::second(std::vector<AskedPart> parts, std::vector<EndpointId> failed_at) {
  CallDraft draft = begin(std::move(failed_at));
  for (AskedPart& asked : parts) add(draft, std::move(asked));
  return std::move(draft).take();
}

} // namespace gristmill::supervisor
