// LATENCY HISTOGRAM: percentiles in 30 KB, whatever the number of values. Buckets grow with the
// value, 64 to each power of two, and answer with their middle: exact below 128, within 0.8 %
// above.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gristmill {

class LatencyHistogram {
public:
  void add(std::uint64_t value) {
    ++buckets_[bucket_of(value)];
    ++count_;
    max_ = std::max(max_, value);
  }

  std::uint64_t max() const { return max_; }

  // The value that `percent` of all are not above, by nearest rank; 0 when there is none.
  std::uint64_t percentile(std::uint64_t percent) const {
    const std::uint64_t rank = (count_ * percent + 99) / 100;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size() && count_ > 0; ++i)
      if ((seen += buckets_[i]) >= rank) return std::min(middle_of(i), max_);
    return 0;
  }

private:
  static constexpr std::size_t per_octave = 64, bucket_count = 58 * per_octave + per_octave;

  static std::size_t bucket_of(std::uint64_t value) {
    const auto width = static_cast<std::size_t>(std::bit_width(value));
    const std::size_t shift = width > 7 ? width - 7 : 0;
    return shift * per_octave + (value >> shift);
  }
  static std::uint64_t middle_of(std::size_t bucket) {
    if (bucket < 2 * per_octave) return bucket;
    const std::size_t shift = bucket / per_octave - 1;
    return ((bucket - shift * per_octave) << shift) + (std::uint64_t{1} << shift) / 2;
  }

  std::vector<std::uint64_t> buckets_ = std::vector<std::uint64_t>(bucket_count);
  std::uint64_t count_ = 0, max_ = 0;
};

} // namespace gristmill
