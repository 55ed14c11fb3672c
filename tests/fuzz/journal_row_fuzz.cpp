// Damaged blobs of a journal row. Reading ends by itself, with an error or with entries that are
// written back as themselves.
#include "actors/journal/commit_row.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

using namespace gristmill::journal;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view blob{reinterpret_cast<const char*>(data), size};
  std::vector<ItemEntry> entries;
  ItemsReader reader{blob};
  ItemEntry entry;
  for (;;) {
    const auto more = reader.next(entry);
    if (!more || !*more) break;
    if (entry.item >= items_max) std::abort();
    entries.push_back(entry);
  }
  // An entry has a byte at least: nobody makes many of a few.
  if (entries.size() > size) std::abort();

  ItemsWriter writer;
  for (const ItemEntry& read : entries) writer.add(read);
  ItemsReader again{writer.blob()};
  for (const ItemEntry& read : entries) {
    ItemEntry back;
    const auto more = again.next(back);
    if (!more || !*more || back.item != read.item || back.kind != read.kind) std::abort();
    const bool note = is_note(read.kind);
    if (note &&
        (back.attempts != read.attempts || back.deaths != read.deaths || back.tries != read.tries))
      std::abort();
    if (!note && back.bytes != read.bytes) std::abort();
  }
  const auto end = again.next(entry);
  if (!end || *end) std::abort();
  return 0;
}
