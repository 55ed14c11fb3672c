#include "coordinator/journal/part_index.hpp"

namespace gristmill::coordinator {

using journal::EntryKind;

void PartIndex::add(JobId job, std::string_view items, const SegmentRange& parts) {
  const auto known = jobs_.find(job);
  if (known == jobs_.end() && parts.segment == 0) return; // its items have one part
  std::map<std::uint64_t, PartPlaces>& of_job = jobs_[job];
  journal::ItemsReader reader{items};
  journal::ItemEntry entry;
  std::uint64_t at = parts.from;
  for (auto more = reader.next(entry); more && *more; more = reader.next(entry)) {
    if (is_note(entry.kind)) continue;
    if (entry.kind == EntryKind::reopened) {
      if (const auto item = of_job.find(entry.item); item != of_job.end())
        std::erase_if(item->second,
                      [](const auto& part) { return part.second.cls != OutcomeClass::ok; });
    } else if (entry.part) {
      of_job[entry.item][*entry.part] = {entry.cls, parts.segment, at, entry.bytes};
      at += entry.bytes;
    } else if (entry.kind == EntryKind::completed) {
      of_job.erase(entry.item);
    }
  }
}

PartPlaces PartIndex::of(JobId job, std::uint64_t item, std::uint32_t first,
                         std::uint32_t last) const {
  const auto known = jobs_.find(job);
  if (known == jobs_.end()) return {};
  const auto places = known->second.find(item);
  if (places == known->second.end()) return {};
  return {places->second.lower_bound(first), places->second.lower_bound(last)};
}

} // namespace gristmill::coordinator
