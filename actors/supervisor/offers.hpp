// OFFERS: makes calls of a job's parts: what each part asks for, which parts gather in one call,
// and for how many more calls there is room. Invariant: within an epoch no two calls of a job have
// the same number, however often the job is opened.
#pragma once

#include "actors/supervisor/call_planner.hpp"
#include "actors/supervisor/packing.hpp"
#include "actors/supervisor/parts/call_book.hpp"
#include "actors/supervisor/parts/part_ledger.hpp"
#include "actors/supervisor/parts/part_plan.hpp"
#include "actors/supervisor/reader.hpp"

#include <optional>
#include <string>
#include <vector>

namespace gristmill::supervisor {

// A part as its call will carry it.
struct AskedPart {
  protocol::PlannedPart part;
  PlannedAsk ask;
};

// Calls that begin alike leave next to each other, in the place of the first of them: a server that
// has read a long beginning once is quicker with the next one soon after.
std::vector<OfferedCall> by_prefix(std::vector<OfferedCall> calls);

class Offers {
public:
  // `spec`, `plan` and `tokenizer` outlive it; calls are numbered from `first` on.
  Offers(JobId job, const JobSpec& spec, const std::vector<PoolSpec>& pools, const PartPlan& plan,
         CallId first, const bpe::Tokenizer* tokenizer = nullptr)
      : job_{job}, plan_{plan}, planner_{spec, pools, tokenizer}, packing_{spec}, next_{first} {}

  // Room for so many more calls of a stream, and bytes of them.
  void may_make(std::uint32_t stream, std::uint32_t calls, std::uint64_t bytes);
  // For a part: in a call that gathers, or in another one.
  bool has_room(const PartId& part) const;
  Packing& packing() { return packing_; }
  const Packing& packing() const { return packing_; }
  Streams streams_with_room() const;
  bool has_room() const { return streams_with_room() != 0; }
  // The room for one call is kept for a part until it is given back.
  void keep_room(const PartId& part) { --rooms_.at(StreamId::of(part).model).calls; }
  void give_back_room(const PartId& part) { ++rooms_.at(StreamId::of(part).model).calls; }
  CallId next_call() const { return next_; }
  bool has_fallback(const PartId& part, ItemKind kind, std::string_view raw,
                    bool on_fallback) const {
    return planner_.has_fallback(PartNumber::of(part.part), kind, raw, on_fallback);
  }

  AskedRequest request_of(const PartId& part, const RawPart& raw) const {
    return planner_.request(PartNumber::of(part.part), raw.kind, raw.raw);
  }
  Saved saved(const PartId& part, const protocol::Reply& answer) const {
    return planner_.saved(PartNumber::of(part.part), answer);
  }
  // What the part asks for; `raw`: as of PartPlan, or what a step is to see.
  tl::expected<AskedPart, NoCall> plan(const PartId& part, const OpenPart& open, RawPart raw) const;
  // Calls gather side by side, because items of several kinds may take turns. Whether one of them,
  // or a new one, takes this part; else some have to leave.
  bool takes(const AskedPart& asked, const OpenPart& open) const;
  // It takes it: into which call.
  CallId add(AskedPart asked, const OpenPart& open);
  bool is_gathering() const;
  enum class Which : std::uint8_t { full, all };
  std::optional<OfferedCall> take(Which which); // a call that has gathered, if any
  // A second call of the parts of one that is out, elsewhere if possible; none if a part cannot be
  // asked for again now.
  std::optional<OfferedCall> second(const Call& call, const PartLedger& ledger,
                                    const Reader& reader);

private:
  struct Room {
    std::uint32_t calls = 0;
    std::int64_t bytes = 0; // below 0: the last call was larger than what was left
  };
  static constexpr std::size_t drafts_max = 16;
  std::vector<CallDraft>::const_iterator that_takes(const AskedPart& asked,
                                                    const OpenPart& open) const;
  CallDraft begin(std::uint32_t stream, std::vector<EndpointId> failed_at, DraftBounds bounds);
  void add(CallDraft& draft, AskedPart asked, std::size_t company = ~std::size_t{0});

  JobId job_;
  const PartPlan& plan_;
  CallPlanner planner_;
  Packing packing_;
  std::vector<CallDraft> drafts_; // that gather
  CallId next_;
  std::vector<Room> rooms_; // of each stream that was given some
};

} // namespace gristmill::supervisor
