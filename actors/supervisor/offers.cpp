#include "actors/supervisor/offers.hpp"

#include "actors/kit/mutant.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace gristmill::supervisor {
namespace {

// Of the two messages that a repair adds, in tokens.
constexpr std::uint64_t repair_overhead = 256;

} // namespace

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
  if (std::ranges::any_of(drafts_, [&](const auto& draft) { return draft.stream() == stream; }))
    return true;
  return rooms_[stream].calls > 0 && !packing_.holds(stream);
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
  AskedPart asked{{part, raw.kind, std::move(raw.raw)}, std::move(*ask)};
  if (open.repair == nullptr || mutated("repair_says_nothing")) return asked;
  asked.part.repair = *open.repair;
  asked.ask.token_bound += asked.part.repair.bytes() + repair_overhead;
  asked.ask.pack = 0;
  return asked;
}

std::vector<CallDraft>::const_iterator Offers::that_takes(const AskedPart& asked,
                                                          const OpenPart& open) const {
  return std::ranges::find_if(drafts_, [&](const CallDraft& draft) {
    return draft.stream() == StreamId::of(asked.part.id).model &&
           draft.takes(asked.part, asked.ask, open.failed_at, open.together());
  });
}

bool Offers::takes(const AskedPart& asked, const OpenPart& open) const {
  const std::uint32_t stream = StreamId::of(asked.part.id).model;
  const bool may_begin =
      drafts_.size() < drafts_max && rooms_.at(stream).calls > 0 && !packing_.holds(stream);
  return may_begin || that_takes(asked, open) != drafts_.end();
}

bool Offers::is_gathering() const {
  return std::ranges::any_of(drafts_, [](const CallDraft& draft) { return !draft.is_full(); });
}

CallDraft Offers::begin(std::uint32_t stream, std::vector<EndpointId> failed_at,
                        DraftBounds bounds) {
  CallDraft draft{next_, stream, std::move(failed_at), bounds};
  ++next_.value;
  --rooms_.at(stream).calls;
  rooms_[stream].bytes -= static_cast<std::int64_t>(protocol::PlannedCall{}.bytes());
  return draft;
}

void Offers::add(CallDraft& draft, AskedPart asked, std::size_t company) {
  rooms_.at(draft.stream()).bytes -= static_cast<std::int64_t>(asked.part.bytes());
  draft.add(std::move(asked.part), std::move(asked.ask), company);
}

CallId Offers::add(AskedPart asked, const OpenPart& open) {
  auto at = drafts_.begin() + (that_takes(asked, open) - drafts_.cbegin());
  if (at == drafts_.end()) {
    for (CallDraft& draft : drafts_) draft.close_before(asked.part, asked.ask, open.failed_at);
    const bool first = std::ranges::none_of(drafts_, [&](const CallDraft& draft) {
      return draft.model() == asked.ask.model && (!draft.is_full() || draft.size() > 1);
    });
    drafts_.push_back(begin(StreamId::of(asked.part.id).model, open.failed_at,
                            packing_.bounds(asked.ask.model, first)));
    at = drafts_.end() - 1;
  }
  add(*at, std::move(asked), open.together());
  return at->call();
}

std::optional<OfferedCall> Offers::take(Which which) {
  const auto at = std::ranges::find_if(
      drafts_, [which](const CallDraft& draft) { return which == Which::all || draft.is_full(); });
  if (at == drafts_.end()) return std::nullopt;
  OfferedCall call = std::move(*at).take();
  drafts_.erase(at);
  packing_.leaves(call);
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
  CallDraft draft = begin(StreamId::of(call.parts.at(0)).model, std::move(slow_at), {});
  for (AskedPart& asked : parts) add(draft, std::move(asked));
  return std::move(draft).take();
}

} // namespace gristmill::supervisor
