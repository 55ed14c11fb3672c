#include "actors/supervisor/reader.hpp"

#include "actors/kit/mutant.hpp"

#include "protocol/limits.hpp"
#include "protocol/text/crc32c.hpp"

#include <fmt/format.h>

namespace gristmill::supervisor {
namespace {
constexpr auto read_again_after = std::chrono::seconds{1};
} // namespace

Reader::Reader(const JobSpec& spec, intake::ByteSource& source, InputPosition low,
               std::uint64_t mark)
    : spec_{spec}, source_{source}, intake_{spec, source, low}, mark_{mark} {}

// Items that a worker may be calling must be known by name before anybody claims them. Whether
// their ids repeat is seen when reading comes to them.
void Reader::look_ahead(bool begun, Time now, const std::function<void(intake::Item)>& found) {
  if (mutated("no_item_mark")) mark_ = 0;
  const bool at_beginning = position().offset == 0 && !(spec_.open && position().input > 0);
  ids_known_ = at_beginning && !is_below_mark();
  if (spec_.policy.strict && !begun)
    proof_ = std::make_unique<intake::Intake>(spec_, source_, InputPosition{});
  intake::Intake ahead{spec_, source_, position(), intake::Intake::Ids::as_they_are};
  while (ahead.position().item < mark_) {
    auto read = ahead.next();
    if (!read) fail(read.error(), now);
    fed(); // what there is of it is yet to be read
    if (!read || !*read) return;
    if ((*read)->bad.empty()) found(std::move(**read));
  }
}

void Reader::fail(const Error& error, Time now) {
  if (error.code == ErrorCode::not_yet) {
    starved_since_ = now;
    return;
  }
  if (error.code == ErrorCode::unavailable) {
    fails_ = error.message;
    again_at_ = now + read_again_after;
    return;
  }
  const bool disk = error.code == ErrorCode::disk_full; // of the pages that remember ids
  failure_ =
      StateChange{JobState::failed, disk ? JobReason::disk : JobReason::input, error.message};
}

bool Reader::may_try(Time now) {
  if (!fails_.empty() && now < again_at_) return false;
  fails_.clear();
  return true;
}

StateChange Reader::bad_line(const intake::ItemPlace& place, const std::string& bad) const {
  return {JobState::failed, JobReason::bad_input,
          fmt::format("{}: {} (--strict)", source_of(place), bad)};
}

std::optional<StateChange> Reader::lacks(std::uint64_t items) const {
  if (!at_end_ || items <= position().item) return std::nullopt;
  return StateChange{JobState::failed, JobReason::input,
                     fmt::format("expected the input that the job began with, with {} items or "
                                 "more, got {} of them: it has changed; put the old file back and "
                                 "resume, or submit it anew",
                                 items, position().item)};
}

// Nothing is offered, and so nothing paid, for an input that would fail the job in its middle.
bool Reader::prove(bool skips_proof, Time now) {
  if (skips_proof) proof_.reset();
  for (int n = 0; proof_ && n < items_per_slice; ++n) {
    const auto read = proof_->read();
    if (!read) {
      fail(read.error(), now);
      return false;
    }
    if (const auto& item = read->item; item && !item->bad.empty())
      failure_ = bad_line(item->place, item->bad);
    if (read->at_end || failure_) proof_.reset();
  }
  return !proof_ && !failure_;
}

bool Reader::catch_up(Time now) {
  if (!ids_known_) {
    const auto done = intake_.catch_up(items_per_slice);
    if (!done) fail(done.error(), now);
    ids_known_ = done && *done;
  }
  return ids_known_;
}

std::optional<intake::Read> Reader::next(Time now) {
  auto read = intake_.read();
  const bool ends_here = is_cut_ || mutated("no_more_now_is_the_end");
  if (!read && ends_here && read.error().code == ErrorCode::not_yet) read = intake::Read{{}, true};
  if (!read) {
    fail(read.error(), now);
    return std::nullopt;
  }
  at_end_ = read->at_end;
  return std::move(*read);
}

protocol::SharedRange Reader::range_of(const intake::ItemPlace& place, std::string_view raw) const {
  if (!place.is_verbatim || raw.size() != place.bytes ||
      raw.size() < limits::by_reference_bytes_min)
    return {};
  auto shared = source_.shared_place_of(place.input);
  if (shared.file.empty()) return {};
  return {std::move(shared.file), shared.from + place.offset,
          static_cast<std::uint32_t>(raw.size()), crc32c(raw)};
}

Result<std::string> Reader::read_again(const intake::ItemPlace& place, Time now) {
  auto raw = intake_.read_again(place);
  if (!raw && raw.error().code == ErrorCode::unavailable) fail(raw.error(), now);
  return raw;
}

} // namespace gristmill::supervisor
