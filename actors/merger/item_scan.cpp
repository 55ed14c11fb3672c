#include "actors/merger/item_scan.hpp"

#include "actors/kit/check.hpp"
#include "actors/merger/line_facts.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <tuple>

namespace gristmill::merger {
namespace {

// Lines nearer than the gap are read together, because a read costs more than the bytes between.
constexpr std::uint64_t run_bytes_max = 256 * 1024, gap_bytes_max = 8 * 1024;
constexpr std::size_t slice_items_max = 32 * 1024;

} // namespace

Result<bool> ItemScan::read_slice() {
  const auto bytes = choose_items();
  GRISTMILL_TRY(bytes);
  if (wanted_.empty()) return false;

  if (lines_.size() < *bytes + line_padding) lines_.resize(*bytes + line_padding);
  order_.resize(wanted_.size());
  std::iota(order_.begin(), order_.end(), 0u);
  std::ranges::sort(order_, {}, [this](std::uint32_t i) {
    return std::tuple{wanted_[i].place.segment, wanted_[i].place.offset};
  });
  for (std::size_t first = 0, end = 0; first < order_.size(); first = end) {
    end = run_from(first);
    GRISTMILL_TRY(read_run(first, end));
  }
  return true;
}

// The next items with lines of slice_bytes together, at least one; returns the bytes of the slice.
Result<std::size_t> ItemScan::choose_items() {
  wanted_.clear();
  next_ = 0;
  std::size_t bytes = 0;
  while (item_ < total_ && wanted_.size() < slice_items_max) {
    const auto place = files_.place_of(item_);
    GRISTMILL_TRY(place);
    GRISTMILL_CHECK(place->bytes > 0, "item {} has lost its place", item_);
    const std::size_t line = std::size_t{place->bytes} + 1;
    if (!wanted_.empty() && bytes + line > slice_bytes_) break;
    wanted_.push_back({*place, bytes});
    bytes += line;
    ++item_;
  }
  return bytes;
}

// The end of the lines that are read together with the first.
std::size_t ItemScan::run_from(std::size_t first) const {
  const LinePlace& head = wanted_[order_[first]].place;
  std::uint64_t run_end = head.offset + head.bytes + 1;
  std::size_t end = first + 1;
  for (; end < order_.size(); ++end) {
    const LinePlace& place = wanted_[order_[end]].place;
    const std::uint64_t line_end = place.offset + place.bytes + 1;
    if (place.segment != head.segment || place.offset > run_end + gap_bytes_max ||
        line_end - head.offset > run_bytes_max)
      break;
    run_end = line_end;
  }
  return end;
}

Result<> ItemScan::read_run(std::size_t first, std::size_t end) {
  const Wanted& head = wanted_[order_[first]];
  const LinePlace& last = wanted_[order_[end - 1]].place;
  const std::uint64_t offset = head.place.offset;
  const std::size_t bytes = last.offset + last.bytes + 1 - offset;
  if (end == first + 1)
    return files_.read(head.place.segment, offset, {lines_.data() + head.at, bytes});

  if (run_.size() < bytes) run_.resize(bytes);
  GRISTMILL_TRY(files_.read(head.place.segment, offset, {run_.data(), bytes}));
  for (std::size_t i = first; i < end; ++i) {
    const Wanted& line = wanted_[order_[i]];
    std::memcpy(lines_.data() + line.at, run_.data() + (line.place.offset - offset),
                std::size_t{line.place.bytes} + 1);
  }
  return {};
}

std::optional<PlacedLine> ItemScan::next_line() {
  if (next_ == wanted_.size()) return std::nullopt;
  const Wanted& line = wanted_[next_++];
  return PlacedLine{{lines_.data() + line.at, line.place.bytes}, line.place};
}

} // namespace gristmill::merger
