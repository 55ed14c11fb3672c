// READER: reads a job's items in order. After a restart it first reads two things again: the items
// that a worker may be calling, which must be known before workers claim them, and the ids before
// the place where reading goes on. A strict job has its whole input read once before its first
// call. Invariant: no item is given out before all that must be read first has been read, so none
// is called whose id turns out to be a duplicate.
#pragma once

#include "actors/intake/intake.hpp"
#include "actors/kit/time.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/job/state.hpp"
#include "protocol/node/messages.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace gristmill::supervisor {

class Reader {
public:
  static constexpr int items_per_slice = 1'024;

  // `spec` and `source` outlive it. `mark`: items from there on have not been called.
  Reader(const JobSpec& spec, intake::ByteSource& source, InputPosition low, std::uint64_t mark);

  // First of all. `begun`: the job has called or ended items, so its input was proved before. Finds
  // the good items below the mark, which may be being called.
  void look_ahead(bool begun, Time now, const std::function<void(intake::Item)>& found);

  // Reads what must be read before the first item, a slice at a time: true when that is done.
  // `skips_proof`: the job is being cancelled, whatever its lines are.
  bool prove(bool skips_proof, Time now);
  bool catch_up(Time now); // … of ids; then the items below the mark come by next()

  // The next record; nothing when it cannot be read now or ever, or is not there yet.
  std::optional<intake::Read> next(Time now);
  // One that cannot be read now makes all others wait, too.
  Result<std::string> read_again(const intake::ItemPlace& place, Time now);
  Result<std::string> read_if_possible(const intake::ItemPlace& place) const {
    return intake_.read_again(place);
  }
  // Where workers that share a directory with us find the same bytes; none = nowhere, or they are
  // so few that they may as well travel.
  protocol::SharedRange range_of(const intake::ItemPlace& place, std::string_view raw) const;
  std::string source_of(const intake::ItemPlace& place) const { return intake_.source_of(place); }
  std::string kept_of(const intake::ItemPlace& place) const { return intake_.kept_of(place); }
  bool has_read(const std::string& id) { return intake_.has_read(id); }
  bool reads_records() const { return intake_.reads_records(); }

  InputPosition position() const { return intake_.position(); }
  bool is_below_mark() const { return position().item < mark_; }
  bool is_at_end() const { return at_end_; }
  bool is_proving() const { return proof_ != nullptr; }
  // What is not there yet was not called either.
  bool is_catching_up() const {
    return !ids_known_ || (is_below_mark() && !at_end_ && !starved_since_);
  }
  // There is no more of the input now, and its end has not come.
  std::optional<Time> starved_since() const { return starved_since_; }
  void fed() { starved_since_.reset(); } // there may be more
  // Where it is then, it ends: nobody wants what is not there yet.
  void cut() {
    is_cut_ = true;
    fed();
  }
  // For want of descriptors nothing is read until then: why; empty = that is not so.
  const std::string& must_wait() const { return fails_; }
  Time read_again_at() const { return again_at_; }
  bool may_try(Time now); // it need not wait any longer
  // The input cannot be read, or is not what a strict job wants: told once, for good.
  std::optional<StateChange> take_failure() { return std::exchange(failure_, std::nullopt); }
  // … of a strict job
  StateChange bad_line(const intake::ItemPlace& place, const std::string& bad) const;
  // All is read, and there are fewer items than that: it is not the input that their results were
  // made from, and the job would wait for ever.
  std::optional<StateChange> lacks(std::uint64_t items) const;
  bool is_in_input(std::uint64_t item) const { // as far as is known
    return item < position().item || item < mark_ || !at_end_;
  }

private:
  void fail(const Error& error, Time now);

  const JobSpec& spec_;
  intake::ByteSource& source_;
  mutable intake::Intake intake_; // reads again what it has read
  std::uint64_t mark_;
  std::unique_ptr<intake::Intake> proof_; // of a strict job, until its input was found good
  bool ids_known_ = true;                 // of the records before the place where reading goes on
  bool at_end_ = false, is_cut_ = false;
  std::optional<Time> starved_since_;
  std::string fails_;
  Time again_at_ = never;
  std::optional<StateChange> failure_;
};

} // namespace gristmill::supervisor
