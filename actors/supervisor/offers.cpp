#include "actors/supervisor/offers.hpp"

#include "actors/kit/mutant.hpp"

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

void Offers::may_make(std::uint32_t stream, std::uint32_t calls, std::uint64_t bytes) {
  if (mutated("room_for_one_model")) stream = 0;
  if (rooms_.size() <= stream) rooms_.resize(stream + 1);
  rooms_[stream].calls += calls;
  rooms_[stream].bytes += static_cast<std::int64_t>(bytes);
}

bool Offers::has_room(const PartId& part) const {
  const std::uint32_t stream = StreamId::of(part).model;
  if (stream >= rooms_.size() || rooms_[stream].bytes <= 0) return false;
  return rooms_[stream].calls > 0 || (draft_ && draft_->stream() == stream);
}

Streams Offers::streams_with_room() const {
  Streams streams = 0;
  for (std::uint32_t stream = 0; stream < rooms_.size(); ++stream)
    if (has_room(PartId{job_, 0, PartNumber{stream, 0, 0}.value()}))
      streams |= Streams{1} << stream;
  return streams;
}

tl::expected<AskedPart, NoCall> Offers::plan(const PartId& part, const OpenPart& open,
                                             RawPart raw) const {
  auto ask = planner_.plan(PartNumber::of(part.part), raw.kind, raw.raw, open.tally.on_fallback);
  GRISTMILL_TRY(ask);
  return AskedPart{{part, raw.kind, std::move(raw.raw)}, std::move(*ask)};
}

bool Offers::takes(const AskedPart& asked, const OpenPart& open, bool by_itself) const {
  return !draft_ || (draft_->stream() == StreamId::of(asked.part.id).model &&
                     draft_->takes(asked.ask, open.failed_at, most(by_itself)));
}

CallDraft Offers::begin(std::uint32_t stream, std::vector<EndpointId> failed_at) {
  CallDraft draft{next_, stream, std::move(failed_at)};
  ++next_.value;
  --rooms_.at(stream).calls;
  rooms_[stream].bytes -= static_cast<std::int64_t>(protocol::PlannedCall{}.bytes());
  return draft;
}

void Offers::add(CallDraft& draft, AskedPart asked) {
  rooms_.at(draft.stream()).bytes -= static_cast<std::int64_t>(asked.part.bytes());
  draft.add(std::move(asked.part), std::move(asked.ask));
}

CallId Offers::add(AskedPart asked, const OpenPart& open) {
  if (!draft_) draft_ = begin(StreamId::of(asked.part.id).model, open.failed_at);
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
    if (PartNumber::of(part.part).level > 0) return std::nullopt;
    const OpenPart& open = ledger.at(part);
    auto raw = plan_.raw_of(part, open.place.kind, ledger.divided(part.item),
                            [&] { return reader.read_if_possible(open.place); });
    auto asked = raw ? plan(part, open, std::move(*raw)) : tl::unexpected{NoCall{}};
    if (!asked) return std::nullopt;
    parts.push_back(std::move(*asked));
  }
  std::vector<EndpointId> slow_at = ledger.at(call.parts.at(0)).failed_at;
  slow_at.push_back(call.endpoint);
  CallDraft draft = begin(StreamId::of(call.parts.at(0)).model, std::move(slow_at));
  for (AskedPart& asked : parts) add(draft, std::move(asked));
  return std::move(draft).take();
}

} // namespace gristmill::supervisor
