#include "actors/supervisor/standing.hpp"

#include "actors/supervisor/recorder.hpp"
#include "protocol/limits.hpp"

#include <algorithm>

namespace gristmill::supervisor {

ItemStanding standing_of(const ItemQuestion& question, const PartLedger& ledger, Reader& reader,
                         Time now) {
  ItemStanding standing;
  standing.id = question.id;
  const OpenPart* open = nullptr;
  for (const auto& [part, live] : ledger.live()) {
    if (question.id.empty() ? part.item != question.item : live.id != question.id) continue;
    standing.item = part.item;
    // Of several parts the one that is out says most.
    if (open == nullptr || live.call()) open = &live;
    if (live.call()) break;
  }
  if (question.id.empty()) standing.item = question.item;
  WaitReason& reason = standing.reason;
  if (open != nullptr) {
    standing.id = open->id;
    standing.tries = open->tally.tries;
    standing.call = open->call();
    if (open->is_unknown()) reason.kind = WaitKind::claims;
    if (open->follows()) reason.kind = WaitKind::same_request;
    if (!open->is_ready()) return standing;
    const bool later = open->not_before() > now;
    reason.kind = later ? WaitKind::retry : WaitKind::queued;
    if (later) reason.until = open->not_before();
    return standing;
  }
  if (standing.item) {
    const bool ended = ledger.is_terminal(*standing.item) || ledger.divided(*standing.item);
    reason.kind = ended                                ? WaitKind::recorded
                  : reader.is_in_input(*standing.item) ? WaitKind::not_read
                                                       : WaitKind::none;
    return standing;
  }
  // Ids are remembered for the input that is being read, and only of records.
  const bool all_known =
      !reader.is_catching_up() && !reader.is_at_end() && reader.position().input == 0;
  reason.kind = reader.has_read(question.id)          ? WaitKind::recorded
                : all_known && reader.reads_records() ? WaitKind::not_read
                                                      : WaitKind::not_open;
  return standing;
}

WaitReason why_no_call(const PartLedger& ledger, const Reader& reader, const Outage& outage,
                       std::uint64_t undurable_lines, Time now) {
  WaitReason reason;
  const std::size_t open = ledger.live_count(), waiting = ledger.waiting_count();
  if (!reader.must_wait().empty()) {
    reason.kind = WaitKind::reading;
    reason.because = "its input cannot be opened now and is tried again: " + reader.must_wait();
    reason.until = reader.read_again_at();
  } else if (reader.is_proving() || reader.is_catching_up()) {
    reason.kind = WaitKind::reading;
    reason.because = reader.is_proving()
                         ? "the whole input is read and checked before the first call (--strict)"
                         : "after a restart the input is read again up to where the job had come";
  } else if (const auto since = outage.since(now)) {
    reason.kind = WaitKind::endpoint;
    reason.endpoint = outage.words().endpoint;
    reason.because = outage.what();
    reason.limit = outage.calls();
    reason.since = *since;
  } else if (undurable_lines >= undurable_lines_max) {
    reason.kind = WaitKind::journal;
    reason.limit = undurable_lines;
  } else if (waiting > 0 && waiting == ledger.called_count() && ledger.next_due() > now &&
             (reader.is_at_end() || reader.starved_since() || open >= limits::live_parts_max)) {
    reason.kind = WaitKind::retry;
    reason.limit = waiting;
    reason.until = ledger.next_due();
  } else if (!reader.is_at_end() && open >= limits::live_parts_max) {
    reason.kind = WaitKind::open_items;
    reason.limit = open;
  } else if (const auto starved = reader.starved_since(); starved && open == 0) {
    reason.kind = WaitKind::input;
    reason.since = *starved;
  }
  return reason;
}

double items_left(const JobSpec& spec, const JobCounts& counts, const InputPosition& read) {
  auto total = static_cast<double>(counts.total);
  if (!counts.total_known && read.item > 0) {
    double all = 0, bytes = static_cast<double>(read.offset);
    for (std::size_t n = 0; n < spec.inputs.size(); ++n) {
      all += static_cast<double>(spec.inputs[n].bytes);
      if (n < read.input) bytes += static_cast<double>(spec.inputs[n].bytes);
    }
    if (bytes > 0 && all > bytes)
      total = std::max(total, static_cast<double>(read.item) * all / bytes);
  }
  if (spec.limits.items != 0) total = std::min(total, static_cast<double>(spec.limits.items));
  return std::max(total - static_cast<double>(counts.terminal()), 0.0);
}

} // namespace gristmill::supervisor
