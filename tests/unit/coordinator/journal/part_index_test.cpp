// Where part lines stand that hold, as the rows of a job say it.
#include "coordinator/journal/part_index.hpp"

#include <catch2/catch.hpp>

namespace part_index_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using journal::EntryKind;
using journal::ItemEntry;

namespace {

const JobId job{1};

ItemEntry answered(std::uint64_t item, std::uint32_t part, std::uint64_t bytes) {
  return {.kind = EntryKind::completed, .item = item, .part = part, .bytes = bytes};
}
ItemEntry failed(std::uint64_t item, std::uint32_t part, std::uint64_t bytes) {
  return {.kind = EntryKind::failed,
          .item = item,
          .part = part,
          .bytes = bytes,
          .cls = OutcomeClass::timeout};
}
ItemEntry item_line(std::uint64_t item, EntryKind kind) {
  ItemEntry entry{.kind = kind, .item = item, .bytes = 900};
  if (kind == EntryKind::failed) entry.cls = OutcomeClass::timeout;
  return entry;
}
ItemEntry reopened(std::uint64_t item) {
  return {.kind = EntryKind::reopened, .item = item};
}
ItemEntry note(std::uint64_t item, std::uint32_t part) {
  return {.kind = EntryKind::attempts, .item = item, .part = part, .attempts = 1};
}

struct Index {
  PartIndex index;
  std::uint64_t at = 0;

  void add(const std::vector<ItemEntry>& entries, std::uint32_t segment = 1, JobId of = job) {
    journal::ItemsWriter items;
    SegmentRange range{segment, at, at};
    for (const ItemEntry& entry : entries) {
      items.add(entry);
      if (entry.part && !is_note(entry.kind)) range.to += entry.bytes;
    }
    at = range.to;
    index.add(of, items.blob(), range);
  }
  // Part, segment and offset of each line.
  std::vector<std::array<std::uint64_t, 3>> of(std::uint64_t item, JobId of_job = job) const {
    std::vector<std::array<std::uint64_t, 3>> places;
    for (const auto& [part, place] : index.of(of_job, item))
      places.push_back({part, place.segment, place.offset});
    return places;
  }
};
using Places = std::vector<std::array<std::uint64_t, 3>>;

} // namespace

TEST_CASE(
    "part lines stand one behind the other in the range of their commit, and notes are none") {
  Index index;
  index.add({item_line(9, EntryKind::completed), answered(4, 2, 10), failed(3, 0, 20),
             answered(4, 0, 30), note(4, 1)});
  index.add({answered(4, 1, 40)}, 2);
  CHECK(index.of(4) == Places{{0, 1, 30}, {1, 2, 60}, {2, 1, 0}});
  CHECK(index.of(3) == Places{{0, 1, 10}});
  CHECK(index.of(9).empty());
  const PartPlaces of_three = index.index.of(job, 3);
  CHECK(of_three.at(0).bytes == 20);
  CHECK(of_three.at(0).cls == OutcomeClass::timeout);
  CHECK(index.index.of(job, 4).at(0).cls == OutcomeClass::ok);
}

TEST_CASE("parts of an item that was answered are forgotten, of one that failed they are kept") {
  Index index;
  index.add({answered(0, 0, 10), answered(0, 1, 10), answered(1, 0, 10), failed(1, 1, 10)});
  index.add({item_line(0, EntryKind::completed), item_line(1, EntryKind::failed)}, 0);
  CHECK(index.of(0).empty());
  CHECK(index.of(1) == Places{{0, 1, 20}, {1, 1, 30}});
}

TEST_CASE(
    "of an item that is reopened the answered parts hold, and the next line of a failed one") {
  Index index;
  index.add({answered(1, 0, 10), failed(1, 1, 10), failed(2, 0, 10)});
  index.add({item_line(1, EntryKind::failed)}, 0);
  index.add({reopened(1)}, 0);
  CHECK(index.of(1) == Places{{0, 1, 0}});
  CHECK(index.of(2) == Places{{0, 1, 20}});
  index.add({answered(1, 1, 10)}, 2);
  CHECK(index.of(1) == Places{{0, 1, 0}, {1, 2, 30}});
  CHECK(index.index.of(job, 1).at(1).cls == OutcomeClass::ok);
}

TEST_CASE("reopened in a commit comes before the lines that it has") {
  Index index;
  index.add({failed(1, 0, 10)});
  index.add({reopened(1), answered(1, 0, 10)});
  CHECK(index.of(1) == Places{{0, 1, 10}});
}

TEST_CASE("an item that has no parts, and a job that is not known, have none") {
  Index index;
  index.add({item_line(0, EntryKind::completed), item_line(1, EntryKind::failed)}, 0);
  CHECK(index.of(0).empty());
  index.add({answered(5, 0, 10)});
  CHECK(index.of(5, JobId{2}).empty());
  CHECK(index.of(6).empty());
}

TEST_CASE("a job that is forgotten leaves another's parts") {
  Index index;
  index.add({answered(5, 0, 10)});
  index.add({answered(5, 0, 10)}, 1, JobId{2});
  index.index.forget(job);
  index.index.forget(JobId{7});
  CHECK(index.of(5).empty());
  CHECK(index.of(5, JobId{2}) == Places{{0, 1, 10}});
}

TEST_CASE("a blob that is cut is left where it is cut") {
  PartIndex index;
  journal::ItemsWriter items;
  items.add(answered(1, 0, 10));
  items.add(answered(1, 1, 300));
  index.add(job, items.blob().substr(0, items.blob().size() - 1), {1, 0, 310});
  CHECK(index.of(job, 1).size() == 1);
}

} // namespace part_index_test
