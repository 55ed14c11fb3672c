#include "actors/journal/commit_row.hpp"
#include "actors/kit/check.hpp"
#include "actors/kit/random.hpp"

#include <catch2/catch.hpp>

namespace commit_row_test {

using namespace gristmill;
using namespace gristmill::journal;

namespace {

Result<std::vector<ItemEntry>> read_all(std::string_view blob) {
  ItemsReader reader{blob};
  std::vector<ItemEntry> entries;
  ItemEntry entry;
  while (true) {
    const auto more = reader.next(entry);
    GRISTMILL_TRY(more);
    if (!*more) return entries;
    entries.push_back(entry);
  }
}

std::string blob_of(const std::vector<ItemEntry>& entries) {
  ItemsWriter writer;
  for (const ItemEntry& entry : entries) writer.add(entry);
  return writer.blob();
}

ItemEntry completed(std::uint64_t item, std::uint64_t bytes) {
  return {.kind = EntryKind::completed, .item = item, .bytes = bytes};
}
ItemEntry failed(std::uint64_t item, std::uint64_t bytes) {
  return {.kind = EntryKind::failed, .item = item, .bytes = bytes, .cls = OutcomeClass::timeout};
}
ItemEntry reopened(std::uint64_t item) {
  return {.kind = EntryKind::reopened, .item = item};
}
ItemEntry sized(ItemEntry entry, std::uint32_t size) {
  entry.size = size;
  return entry;
}
ItemEntry keyed(ItemEntry entry, char byte) {
  entry.key.bytes.fill(byte);
  return entry;
}
ItemEntry of_part(ItemEntry entry, std::uint32_t part) {
  entry.part = part;
  return entry;
}
ItemEntry attempts(std::uint64_t item, std::uint32_t attempts, std::uint32_t deaths) {
  return {.kind = EntryKind::attempts, .item = item, .attempts = attempts, .deaths = deaths};
}

ItemEntry fallback(std::uint64_t item, std::uint32_t attempts, std::uint32_t deaths,
                   std::uint32_t tries) {
  return {.kind = EntryKind::fallback,
          .item = item,
          .attempts = attempts,
          .deaths = deaths,
          .tries = tries};
}

// Of an item or a part of one, with a key or without.
ItemEntry random_answer(Random& random, std::uint64_t item) {
  ItemEntry entry = completed(item, 1 + random.below(2000));
  if (random.chance(0.4)) entry.part = static_cast<std::uint32_t>(random.next());
  if (entry.part && random.chance(0.5)) entry.size = static_cast<std::uint32_t>(random.next());
  if (random.chance(0.5))
    for (char& byte : entry.key.bytes) byte = static_cast<char>(random.next());
  return entry;
}

std::vector<ItemEntry> random_entries(Random& random) {
  std::vector<ItemEntry> entries;
  for (std::uint64_t n = random.below(300); n > 0; --n) {
    const std::uint64_t item = random.next() % (std::uint64_t{1} << (1 + random.below(32)));
    if (random.chance(0.3))
      entries.push_back(attempts(item, static_cast<std::uint32_t>(random.next()),
                                 static_cast<std::uint32_t>(random.below(4))));
    else if (random.chance(0.1))
      entries.push_back(fallback(item, static_cast<std::uint32_t>(random.below(9)), 0,
                                 1 + static_cast<std::uint32_t>(random.below(9))));
    else if (random.chance(0.2))
      entries.push_back(failed(item, 1 + random.next() % (std::uint64_t{1} << random.below(63))));
    else if (random.chance(0.2))
      entries.push_back(reopened(item));
    else
      entries.push_back(random_answer(random, item));
  }
  return entries;
}

} // namespace

TEST_CASE("the bytes of a list of items are those of the grammar") {
  CHECK(blob_of({}) == "");
  // 5 - 0 = 5, zigzag 10, kind 0; 300 = 0b10'0101100
  CHECK(blob_of({completed(5, 300)}) == std::string("\x50\xac\x02", 3));
  // 3 - 5 = -2, zigzag 3, kind 1, class timeout
  CHECK(blob_of({completed(5, 1), failed(3, 2)}) == std::string("\x50\x01\x19\x02\x02", 5));
  // 3 - 0 = 3, zigzag 6, kind 2
  CHECK(blob_of({attempts(3, 4, 1)}) == std::string("\x32\x04\x01", 3));
  // 3 - 0 = 3, zigzag 6, kind 3
  CHECK(blob_of({fallback(3, 0, 1, 6)}) == std::string("\x33\x00\x01\x06", 4));
  // 3 - 0 = 3, zigzag 6, kind 4
  CHECK(blob_of({reopened(3)}) == std::string("\x34", 1));
}

TEST_CASE("what was written to a list of items is read again") {
  Random random{7};
  for (int round = 0; round < 500; ++round) {
    const auto entries = random_entries(random);
    const auto read = read_all(blob_of(entries));
    REQUIRE(read);
    CHECK(*read == entries);
  }
  const std::vector<ItemEntry> extremes{completed(items_max - 1, ~std::uint64_t{0}), failed(0, 1),
                                        attempts(items_max - 1, ~0u, ~0u), completed(0, 1)};
  const auto read = read_all(blob_of(extremes));
  REQUIRE(read);
  CHECK(*read == extremes);
}

TEST_CASE("an item beyond the bound is not written") {
  ItemsWriter writer;
  CHECK_THROWS_AS(writer.add(completed(items_max, 1)), CheckFailed);
}

TEST_CASE("an entry of a part says whose it is; one of a whole item is written as it ever was") {
  CHECK(blob_of({completed(3, 4)}) == std::string("\x30\x04", 2));
  CHECK(blob_of({of_part(completed(3, 4), 0)}) == std::string("\x35\x00\x04", 3));
  CHECK(blob_of({of_part(completed(3, 4), 2)}) == std::string("\x35\x10\x04", 3));
  // 2 * 8 + kind 4: its answer has 300 tokens.
  CHECK(blob_of({sized(of_part(completed(3, 4), 2), 300)}) ==
        std::string("\x35\x14\x04\xac\x02", 5));
  const std::vector<ItemEntry> entries{sized(of_part(completed(1, 9), 1), ~0u),
                                       of_part(completed(1, 9), 0),
                                       of_part(failed(1, 7), ~0u),
                                       completed(0, 3),
                                       of_part(attempts(2, 1, 2), 1u << 20),
                                       of_part(fallback(2, 3, 0, 4), 1),
                                       reopened(1)};
  const auto read = read_all(blob_of(entries));
  REQUIRE(read);
  CHECK(*read == entries);
}

TEST_CASE("what answered a request says which") {
  CHECK(blob_of({keyed(completed(3, 4), 'k')}) ==
        std::string("\x36\x04", 2) + std::string(16, 'k'));
  CHECK(blob_of({keyed(of_part(completed(3, 4), 2), 'k')}) ==
        std::string("\x35\x15\x04\x00", 4) + std::string(16, 'k'));
  const std::vector<ItemEntry> entries{keyed(completed(1, 9), 'a'),
                                       keyed(of_part(completed(2, 9), 0), '\xff'),
                                       completed(3, 9),
                                       keyed(sized(of_part(completed(2, 9), 1), 300), 'b'),
                                       sized(of_part(completed(2, 9), 2), 300),
                                       failed(0, 3)};
  const auto read = read_all(blob_of(entries));
  REQUIRE(read);
  CHECK(*read == entries);
}

TEST_CASE("a malformed list of items is an error that says what is wrong") {
  const std::string head_of_items_max = "\x80\x80\x80\x80\x80\x02"; // zigzag(2^32) * 8
  const std::vector<std::pair<std::string, std::string>> cases{
      {std::string("\x80", 1), "cut"},
      {std::string(10, '\xff'), "64 bits"},
      {std::string(9, '\xff') + "\x02", "64 bits"},
      {std::string("\x57", 1), "kind 7"},
      {std::string("\x56\x04", 2) + std::string(15, 'k'), "key of a request"},
      {std::string("\x56\x04", 2) + std::string(16, '\0'), "key of a request"},
      {std::string("\x55\x0d\x04", 3), "size is cut"},
      {std::string("\x55\x0d\x04\x00", 4) + std::string(15, 'k'), "key of a request"},
      {std::string("\x55", 1), "part's number"},
      {std::string("\x55\x80", 2), "part's number"},
      {std::string("\x55\x80\x80\x80\x80\x80\x01", 7), "part's number"}, // 2^32
      {std::string("\x55\x0c", 2), "line length"},
      {std::string("\x55\x0c\x04", 3), "size is cut"},
      {std::string("\x55\x0c\x04\x00", 4), "size is cut"},
      {std::string("\x55\x0c\x04\x80\x80\x80\x80\x10", 8), "size is cut or out of range"},
      {std::string("\x55\x0e", 2), "part's entry of the unknown kind 6"},
      {std::string("\x55\x08", 2), "line length"},
      {std::string("\x55\x08\x00", 3), "without even a newline"},
      {std::string("\x55\x09\x01\x00", 4), "without its class"},
      {std::string("\x55\x0a\x04", 3), "note that is cut"},
      {std::string("\x51\x01", 2), "without its class"},
      {std::string("\x51\x01\x00", 3), "without its class"},
      {"\x51\x01" + std::string(1, char{outcome_class_count}), "without its class"},
      {std::string("\x33\x00\x00", 3), "note that is cut"},
      {std::string("\x33\x00\x00\x00", 4), "fallback that nothing came before"},
      {std::string("\x50", 1), "line length"},
      {std::string("\x50\x80", 2), "line length"},
      {std::string("\x50\x00", 2), "without even a newline"},
      {std::string("\x08\x01", 2), "out of range"}, // item -1
      {head_of_items_max + "\x01", "out of range"},
      {std::string(9, '\xff') + "\x01", "kind 7"},
      {std::string("\xfc") + std::string(8, '\xff') + "\x01", "out of range"},
      {std::string("\x32\x04", 2), "note that is cut"},
      {std::string("\x32\x80\x80\x80\x80\x10\x00", 7), "attempts out of range"},
  };
  for (const auto& [blob, words] : cases) {
    const auto read = read_all(blob);
    CAPTURE(words);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == ErrorCode::bad_frame);
    CHECK_THAT(read.error().message, Catch::Contains(words));
  }
}

TEST_CASE("no bytes make reading a list of items fail other than by an error") {
  Random random{11};
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = round % 2 == 0 ? blob_of(random_entries(random)) : std::string{};
    if (bytes.empty())
      for (std::uint64_t n = random.below(60); n > 0; --n)
        bytes.push_back(static_cast<char>(random.next()));
    else if (random.chance(0.5))
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    else
      bytes.resize(random.below(bytes.size()));
    const auto read = read_all(bytes);
    if (!read) continue;
    for (const ItemEntry& entry : *read) REQUIRE(entry.item < items_max);
  }
}

TEST_CASE("a group becomes one row for each job, with its lines in their order and its sums") {
  Group group;
  const JobId one{1}, two{2};
  using enum OutcomeClass;
  group.lines = {{two, 9, ok, "nine"}, {one, 4, timeout, "four"}, {two, 8, ok, "eight"}};
  group.attempts = {{{two, 7, 0}, 3, 1}, {{two, 6, 4}, 1, 0, 0, true}};
  group.parts = {{{two, 6, 5}, OutcomeClass::timeout, "12"}};
  group.notes = {{.job = two,
                  .calls = 1,
                  .attempts = 2,
                  .late = 1,
                  .cached = 4,
                  .prompt_tokens = 10,
                  .low = {0, 50, 5, 5}},
                 {.job = two,
                  .calls = 2,
                  .attempts = 3,
                  .ambiguous = 1,
                  .cached = 5,
                  .completion_tokens = 4,
                  .low = {}},
                 {.job = JobId{3}, .attempts = 1, .low = {}}};
  const auto rows = commit_rows(group);
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].job == one);
  CHECK(rows[0].failed == 1);
  CHECK(rows[0].completed == 0);
  CHECK(rows[1].job == two);
  CHECK(rows[1].completed == 2);
  REQUIRE(rows[1].lines.size() == 2);
  CHECK(rows[1].lines[0]->line == "nine");
  CHECK(rows[1].lines[1]->line == "eight");
  CHECK(rows[1].note.calls == 3);
  CHECK(rows[1].note.cached == 9);
  CHECK(rows[1].note.attempts == 5);
  CHECK(rows[1].note.ambiguous == 1);
  CHECK(rows[1].note.late == 1);
  CHECK(rows[1].note.prompt_tokens == 10);
  CHECK(rows[1].note.completion_tokens == 4);
  CHECK(rows[1].note.low == InputPosition{0, 50, 5, 5});
  const auto items = read_all(rows[1].items.blob());
  REQUIRE(items);
  CHECK(*items == std::vector<ItemEntry>{completed(9, 5), completed(8, 6), of_part(failed(6, 3), 5),
                                         attempts(7, 3, 1), of_part(attempts(6, 1, 0), 4)});
  CHECK(rows[1].parts == std::vector<const PartLine*>{&group.parts[0]});
  CHECK(rows[2].lines.empty());
}

} // namespace commit_row_test
