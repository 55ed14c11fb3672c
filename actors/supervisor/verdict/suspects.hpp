// SUSPECTS: the search for a part whose calls bring their endpoint down. It works by changing which
// parts are out together: a part that was out at failures which others survived goes in small
// portions, then alone. Between two failures of parts that go alone another part must be answered
// (a witness); otherwise an endpoint that is simply away would be blamed on them. Invariant: a part
// goes alone only while nothing else of the job is out.
#pragma once

#include "actors/supervisor/parts/part_ledger.hpp"

#include <optional>
#include <vector>

namespace gristmill::supervisor {

// A part that made its endpoint fail so often while it ran alone is poison.
inline constexpr std::uint8_t alone_failures_max = 3;

class Suspects {
public:
  std::uint64_t answers() const { return answers_; } // of calls, in this life of the job

  // A call of one part left; `nothing_else`: no other call of the job was out.
  void offered(const PartId& part, bool nothing_else) {
    single_.reset();
    if (nothing_else) single_ = part;
  }
  void goes_alone(const PartId& part) { alone_ = part; }
  bool is_alone(const PartId& part) const { return alone_ == part; }
  void is_cleared() { alone_.reset(); }
  void answered(const std::vector<PartId>& parts);
  // An endpoint went down with a call of it, for the first time.
  void lost(const PartId& part) { lost_single_ += single_ == part && alone_ != part; }

  // Where others are lost by themselves too, a balancer with a dead server behind it, a part must
  // fail so often that this would not come by chance.
  std::uint8_t failures_needed() const;
  // The part that goes alone next, if its time has come.
  std::optional<PartId> next_alone(const PartLedger& ledger, bool read_all, Time now) const;
  // One of those that go alone has failed: another has to be answered before it is tried again.
  bool needs_witness(const PartLedger& ledger) const;
  // The last others are kept back: they go one by one.
  bool keeps_witnesses(const PartLedger& ledger) const;
  bool is_alone_out(const PartLedger& ledger) const;

private:
  std::uint64_t answers_ = 0;
  std::optional<PartId> alone_;  // that was offered last to be tried alone
  std::optional<PartId> single_; // that is out, and was while nothing else was
  std::uint32_t answered_single_ = 0, lost_single_ = 0; // such parts, but those that went alone
};

// Nobody else is there to be tried: only those that go alone are left, or a single one.
bool is_last(const PartLedger& ledger, bool read_all);
// So few that they may be all of the kind that times out, or that brings its endpoint down.
bool only_few_are_left(const PartLedger& ledger, bool read_all);

} // namespace gristmill::supervisor
