#include "coordinator/journal/answer_index.hpp"

#include "coordinator/disk/scratch_file.hpp"

#include <memory>

namespace gristmill::coordinator {
namespace {

using journal::EntryKind;

// segment (23 bits) | parts (1 bit) | offset (40 bits); never 0, because segments begin with 1.
constexpr unsigned offset_bits = 40, segment_bits = 23;

std::uint64_t number_of(const AnswerPlace& place) {
  if (place.segment >> segment_bits != 0 || place.offset >> offset_bits != 0) return 0;
  return (std::uint64_t{place.segment} << 1 | (place.kind == LineKind::parts)) << offset_bits |
         place.offset;
}

AnswerPlace place_of(std::uint64_t number) {
  return {(number >> offset_bits & 1) != 0 ? LineKind::parts : LineKind::results,
          static_cast<std::uint32_t>(number >> (offset_bits + 1)),
          number & ((std::uint64_t{1} << offset_bits) - 1)};
}

} // namespace

void AnswerIndex::add(JobId job, std::string_view items, const SegmentRange& results,
                      const SegmentRange& parts) {
  journal::ItemsReader reader{items};
  journal::ItemEntry entry;
  AnswerPlace result{LineKind::results, results.segment, results.from},
      part{LineKind::parts, parts.segment, parts.from};
  const std::lock_guard guard{mutex_};
  for (auto more = reader.next(entry); more && *more; more = reader.next(entry)) {
    if (entry.kind != EntryKind::completed && entry.kind != EntryKind::failed) continue;
    AnswerPlace& place = entry.part ? part : result;
    if (const std::uint64_t number = number_of(place); entry.key && number != 0) {
      const auto of_job =
          jobs_.try_emplace(job, std::make_unique<DiskScratchPages>(scratch_directory_));
      static_cast<void>(of_job.first->second.add(entry.key.view(), number));
    }
    place.offset += entry.bytes;
  }
}

void AnswerIndex::forget(JobId job) {
  const std::lock_guard guard{mutex_};
  jobs_.erase(job);
}

std::optional<AnswerPlace> AnswerIndex::find(JobId job, const RequestKey& key) {
  const std::lock_guard guard{mutex_};
  const auto of_job = jobs_.find(job);
  if (of_job == jobs_.end()) return std::nullopt;
  const auto number = of_job->second.find(key.view());
  return number && *number != 0 ? std::optional{place_of(*number)} : std::nullopt;
}

} // namespace gristmill::coordinator
