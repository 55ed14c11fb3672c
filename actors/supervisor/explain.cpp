// What SUPERVISOR says to somebody who asks why its job waits, or where an item stands. Open items
// are in memory and found by id; the ids of all others are not kept, so that for them an honest
// answer may be that nobody remembers.
#include "actors/supervisor/supervisor.hpp"

#include "protocol/limits.hpp"

#include <algorithm>

namespace gristmill::supervisor {

WaitReason Supervisor::why_waiting(Time now) const {
  WaitReason reason;
  if (failed_ || cancelling_ || paused_) return reason; // the job's state says it
  const std::size_t open = ledger_.live_count(), waiting = ledger_.waiting_count();
  if (!reading_fails_.empty()) {
    reason.kind = WaitKind::reading;
    reason.because = "its input cannot be opened now and is tried again: " + reading_fails_;
    reason.until = read_again_at_;
  } else if (proof_ || catching_up_) {
    reason.kind = WaitKind::reading;
    reason.because = proof_
                         ? "the whole input is read and checked before the first call (--strict)"
                         : "after a restart the input is read again up to where the job had come";
  } else if (const auto since = outage_.since(now)) {
    reason.kind = WaitKind::endpoint;
    reason.endpoint = outage_.words().endpoint;
    reason.because = outage_.what();
    reason.limit = outage_.calls();
    reason.since = *since;
  } else if (undurable_lines_ >= undurable_lines_max) {
    reason.kind = WaitKind::journal;
    reason.limit = undurable_lines_;
  } else if (open > 0 && waiting == open && ledger_.next_due() > now &&
             (read_all_ || open >= limits::live_parts_max)) {
    reason.kind = WaitKind::retry;
    reason.limit = waiting;
    reason.until = ledger_.next_due();
  } else if (!read_all_ && open >= limits::live_parts_max) {
    reason.kind = WaitKind::open_items;
    reason.limit = open;
  }
  return reason;
}

// While not all is read, the rest is taken to be like what was read, by the bytes of the inputs. Of
// packed ones and of lists of many that says too little, but more with every item.
double Supervisor::items_left() const {
  auto total = static_cast<double>(counts_.total);
  const InputPosition at = intake_.position();
  if (!counts_.total_known && at.item > 0) {
    double all = 0, read = static_cast<double>(at.offset);
    for (std::size_t n = 0; n < spec_.inputs.size(); ++n) {
      all += static_cast<double>(spec_.inputs[n].bytes);
      if (n < at.input) read += static_cast<double>(spec_.inputs[n].bytes);
    }
    if (read > 0 && all > read) total = std::max(total, static_cast<double>(at.item) * all / read);
  }
  if (spec_.limits.items != 0) total = std::min(total, static_cast<double>(spec_.limits.items));
  return std::max(total - static_cast<double>(counts_.terminal()), 0.0);
}

ItemStanding Supervisor::standing(const ItemQuestion& question, Time now) {
  ItemStanding standing;
  standing.id = question.id;
  const LiveItem* live = nullptr;
  if (question.id.empty()) {
    standing.item = question.item;
    live = ledger_.find(question.item);
  } else {
    for (const auto& [item, open] : ledger_.live()) {
      if (open.id != question.id) continue;
      standing.item = item;
      live = &open;
      break;
    }
  }
  WaitReason& reason = standing.reason;
  if (live != nullptr) {
    standing.id = live->id;
    standing.tries = live->tries;
    standing.call = live->state == LiveState::out ? live->call : CallId{};
    if (live->state == LiveState::unknown) reason.kind = WaitKind::claims;
    if (live->state != LiveState::ready) return standing;
    const bool later = live->not_before > now;
    reason.kind = later ? WaitKind::retry : WaitKind::queued;
    if (later) reason.until = live->not_before;
    return standing;
  }
  if (standing.item) {
    const bool beyond = *standing.item >= intake_.position().item && *standing.item >= mark_;
    reason.kind = ledger_.is_terminal(*standing.item) ? WaitKind::recorded
                  : read_all_ && beyond               ? WaitKind::none
                                                      : WaitKind::not_read;
    return standing;
  }
  // Ids are remembered for the input that is being read, and only of records.
  const bool read = intake_.has_read(question.id);
  const bool all_known = !catching_up_ && !read_all_ && intake_.position().input == 0;
  reason.kind = read                                   ? WaitKind::recorded
                : all_known && intake_.reads_records() ? WaitKind::not_read
                                                       : WaitKind::not_open;
  return standing;
}

} // namespace gristmill::supervisor
