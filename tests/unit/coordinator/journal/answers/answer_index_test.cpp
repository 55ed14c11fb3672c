// Where the lines stand that answered a request, as the rows of a job say it.
#include "coordinator/journal/answer_index.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include <cstring>
#include <sodium.h>

namespace answer_index_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using journal::EntryKind;
using journal::ItemEntry;
using store_test::TempDirectory;

namespace {

const JobId job{1};
constexpr std::uint64_t segments_max = std::uint64_t{1} << 23, offsets_max = std::uint64_t{1} << 40;

RequestKey key_of(std::uint64_t number) {
  RequestKey key;
  key.bytes.fill('k');
  std::memcpy(key.bytes.data(), &number, sizeof number);
  return key;
}

ItemEntry answered(std::uint64_t key, std::uint64_t bytes = 10) {
  return {.kind = EntryKind::completed, .item = key, .bytes = bytes, .key = key_of(key)};
}
ItemEntry of_part(ItemEntry entry, std::uint32_t part = 0) {
  entry.part = part;
  return entry;
}
ItemEntry without_key(std::uint64_t bytes) {
  return {.kind = EntryKind::completed, .item = 900, .bytes = bytes};
}
ItemEntry failed(std::uint64_t bytes) {
  return {.kind = EntryKind::failed, .item = 901, .bytes = bytes, .cls = OutcomeClass::timeout};
}

using Place = std::tuple<LineKind, std::uint64_t, std::uint64_t>; // kind, segment, offset
constexpr LineKind results = LineKind::results, parts = LineKind::parts;

struct Index {
  AnswerIndex index{"/no/such/directory"}; // it needs none for so few

  void add(const std::vector<ItemEntry>& entries, SegmentRange of_results,
           SegmentRange of_parts = {}, JobId of = job) {
    index.add(of, blob_of(entries), of_results, of_parts);
  }
  static std::string blob_of(const std::vector<ItemEntry>& entries) {
    journal::ItemsWriter items;
    for (const ItemEntry& entry : entries) items.add(entry);
    return items.blob();
  }
  std::optional<Place> find(std::uint64_t key, JobId of = job) {
    const auto place = index.find(of, key_of(key));
    return place ? std::optional{Place{place->kind, place->segment, place->offset}} : std::nullopt;
  }
};

} // namespace

TEST_CASE("answers stand one behind the other in the range of their commit") {
  Index index;
  index.add({without_key(7),
             answered(1, 10),
             failed(20),
             answered(2, 30),
             {.kind = EntryKind::reopened, .item = 5},
             {.kind = EntryKind::attempts, .item = 6, .attempts = 2},
             answered(3, 40)},
            {4, 100, 207});
  CHECK(index.find(1) == Place{results, 4, 107});
  CHECK(index.find(2) == Place{results, 4, 137});
  CHECK(index.find(3) == Place{results, 4, 167});
  CHECK_FALSE(index.find(4));
}

TEST_CASE("parts and items of a commit stand each in their own range") {
  Index index;
  index.add(
      {answered(1, 10), of_part(answered(2, 20)), answered(3, 30),
       of_part({.kind = EntryKind::failed, .item = 8, .bytes = 5, .cls = OutcomeClass::timeout}),
       of_part(answered(4, 40), 1), of_part(without_key(50), 2), of_part(answered(5, 60), 3)},
      {7, 0, 40}, {2, 1'000, 1'175});
  CHECK(index.find(1) == Place{results, 7, 0});
  CHECK(index.find(3) == Place{results, 7, 10});
  CHECK(index.find(2) == Place{parts, 2, 1'000});
  CHECK(index.find(4) == Place{parts, 2, 1'025});
  CHECK(index.find(5) == Place{parts, 2, 1'115});
}

TEST_CASE("a part whose answer has a size stands there, too") {
  Index index;
  ItemEntry sized = of_part(answered(1, 10));
  sized.size = 300;
  index.add({sized, of_part(answered(2, 10), 1)}, {}, {1, 0, 20});
  CHECK(index.find(1) == Place{parts, 1, 0});
  CHECK(index.find(2) == Place{parts, 1, 10});
}

TEST_CASE("of equal requests the first counts, in a commit and over commits") {
  Index index;
  index.add({answered(1), answered(2), answered(1)}, {1, 0, 30});
  index.add({answered(2), of_part(answered(1)), answered(3)}, {2, 0, 20}, {5, 0, 10});
  CHECK(index.find(1) == Place{results, 1, 0});
  CHECK(index.find(2) == Place{results, 1, 10});
  CHECK(index.find(3) == Place{results, 2, 10});
}

TEST_CASE("a job knows its own answers only, and none when it is forgotten") {
  Index index;
  index.add({answered(1)}, {1, 0, 10});
  index.add({answered(1)}, {1, 50, 60}, {}, JobId{2});
  CHECK(index.find(1, JobId{2}) == Place{results, 1, 50});
  CHECK_FALSE(index.find(1, JobId{3}));
  index.index.forget(job);
  index.index.forget(JobId{9});
  CHECK_FALSE(index.find(1));
  CHECK(index.find(1, JobId{2}) == Place{results, 1, 50});
  index.add({answered(1)}, {3, 0, 10}); // it is read again
  CHECK(index.find(1) == Place{results, 3, 0});
}

TEST_CASE("a commit of which nobody will look for anything is no job's") {
  Index index;
  index.add({without_key(10), failed(10)}, {1, 0, 20});
  CHECK_FALSE(index.find(1));
  CHECK_FALSE(index.index.find(job, RequestKey{}));
}

TEST_CASE("a blob of keys that is cut is left where it is cut") {
  Index index;
  const std::string blob = Index::blob_of({answered(1), answered(2)});
  index.index.add(job, std::string_view{blob}.substr(0, blob.size() - 1), {1, 0, 20}, {});
  CHECK(index.find(1) == Place{results, 1, 0});
  CHECK_FALSE(index.find(2));
}

TEST_CASE("a place keeps its segment up to a bound; beyond it the answer costs a call") {
  const auto segment = GENERATE(as<std::uint64_t>{}, 1, segments_max - 1, segments_max,
                                segments_max + 1, 0xffff'ffff);
  const bool is_part = GENERATE(false, true);
  CAPTURE(segment, is_part);
  Index index;
  const SegmentRange range{static_cast<std::uint32_t>(segment), 5, 25};
  if (is_part)
    index.add({of_part(answered(1))}, {}, range);
  else
    index.add({answered(1)}, range);
  CHECK(index.find(1) == (segment < segments_max
                              ? std::optional{Place{is_part ? parts : results, segment, 5}}
                              : std::nullopt));
  index.add({answered(1)}, {3, 0, 10}); // the next one that is in bounds counts
  CHECK(index.find(1) == (segment < segments_max ? Place{is_part ? parts : results, segment, 5}
                                                 : Place{results, 3, 0}));
}

TEST_CASE("a place keeps its offset up to a bound; beyond it the answer costs a call") {
  const auto offset =
      GENERATE(as<std::uint64_t>{}, 0, offsets_max - 1, offsets_max, offsets_max + 1, ~0ull - 100);
  const bool is_part = GENERATE(false, true);
  CAPTURE(offset, is_part);
  Index index;
  const SegmentRange range{segments_max - 1, offset, offset + 10};
  if (is_part)
    index.add({of_part(answered(1))}, {}, range);
  else
    index.add({answered(1)}, range);
  CHECK(index.find(1) == (offset < offsets_max ? std::optional{Place{is_part ? parts : results,
                                                                     segments_max - 1, offset}}
                                               : std::nullopt));
}

TEST_CASE("lines of one commit may stand on both sides of the bound") {
  Index index;
  index.add({answered(1), answered(2), answered(3)}, {1, offsets_max - 11, offsets_max + 19});
  CHECK(index.find(1) == Place{results, 1, offsets_max - 11});
  CHECK(index.find(2) == Place{results, 1, offsets_max - 1});
  CHECK_FALSE(index.find(3));
}

TEST_CASE("an answer for which the disk has no room costs a call, and the others are found") {
  // So many keys that one of the buckets of SeenIds (4'096, of 170 in memory) has to go to the
  // disk.
  std::vector<RequestKey> keys;
  for (std::uint64_t number = 0; keys.size() < 171; ++number) {
    constexpr std::array<unsigned char, crypto_shorthash_siphashx24_KEYBYTES> secret{};
    std::array<std::uint64_t, 2> hash{};
    const RequestKey key = key_of(number);
    crypto_shorthash_siphashx24(reinterpret_cast<unsigned char*>(hash.data()),
                                reinterpret_cast<const unsigned char*>(key.bytes.data()),
                                key.bytes.size(), secret.data());
    if (hash[0] % 4'096 == 7) keys.push_back(key);
  }
  const bool has_room = GENERATE(true, false);
  CAPTURE(has_room);
  const TempDirectory temp;
  std::filesystem::create_directory(temp / "state");
  AnswerIndex index{temp / (has_room ? "state" : "nowhere")};
  journal::ItemsWriter items;
  for (std::uint64_t item = 0; item < keys.size(); ++item) {
    ItemEntry entry = answered(item);
    entry.key = keys[item];
    items.add(entry);
  }
  index.add(job, items.blob(), {1, 0, 10 * keys.size()}, {});
  for (std::uint64_t item = 0; item + 1 < keys.size(); ++item) {
    const auto place = index.find(job, keys[item]);
    REQUIRE(place);
    REQUIRE(place->offset == 10 * item);
  }
  CHECK(index.find(job, keys.back()).has_value() == has_room);
}

} // namespace answer_index_test
