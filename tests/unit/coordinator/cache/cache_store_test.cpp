// What the answer cache keeps, for how long, and what it says of itself.
#include "tests/unit/coordinator/cache/cache_store_harness.hpp"

#include "protocol/limits.hpp"

#include <algorithm>

namespace cache_store_test {

using namespace gristmill;
using namespace gristmill::cache_test;
using Numbers = std::vector<std::uint64_t>;

namespace {

mode_t mode_of(const std::string& path) {
  struct stat about {};
  REQUIRE(::stat(path.c_str(), &about) == 0);
  return about.st_mode & 07777;
}

// Of one answer; those of one length have the same.
std::uint64_t bytes_of_one() {
  const CacheDirectoryForTest temp;
  CacheStore store = open_cache(temp.cache());
  REQUIRE(store.put({{key(0), answer(0)}}, start));
  return store.stats()->bytes;
}

// The same answer again and again, of which all entries are as large.
void put_same(CacheStore& store, std::uint64_t number, std::int64_t now) {
  REQUIRE(store.put({{key(number), answer(0)}}, now));
}

Numbers there(CacheStore& store, std::uint64_t to, std::int64_t now) {
  Numbers numbers;
  for (std::uint64_t number = 0; number < to; ++number) {
    const std::vector keys{key(number)};
    if ((*store.find(keys, now))[0]) numbers.push_back(number);
  }
  return numbers;
}

} // namespace

TEST_CASE("what was put is found, by this store and by the next, and nothing else is") {
  const CacheDirectoryForTest temp;
  {
    CacheStore store = open_cache(temp.cache());
    CHECK(found(store, 0, 10).empty());
    put(store, 0, 5);
    CHECK(found(store, 0, 10) == Numbers{0, 1, 2, 3, 4});
  }
  CacheStore store = open_cache(temp.cache());
  CHECK(found(store, 0, 10) == Numbers{0, 1, 2, 3, 4});
  CHECK(store.take_notices().empty());
}

TEST_CASE(
    "each key of a question has its place, one that is asked twice too, and no key finds nothing") {
  const CacheDirectoryForTest temp;
  CacheStore store = open_cache(temp.cache());
  REQUIRE(store.put({{RequestKey{}, answer(9)}, {key(1), answer(1)}}, start));
  const std::vector keys{RequestKey{}, key(1), key(2), key(1)};
  const auto answers = store.find(keys, start);
  REQUIRE(answers);
  REQUIRE(answers->size() == 4);
  CHECK_FALSE((*answers)[0]);
  CHECK((*answers)[1] == answer(1));
  CHECK_FALSE((*answers)[2]);
  CHECK((*answers)[3] == answer(1));
  CHECK(store.stats()->entries == 1);
  CHECK(store.find({}, start)->empty());
  REQUIRE(store.put({}, start));
}

TEST_CASE("texts of any bytes come back as they were, and empty ones too") {
  const CacheDirectoryForTest temp;
  CacheStore store = open_cache(temp.cache());
  const KnownAnswer odd{.http_status = 299,
                        .request_id = std::string{"a\0b", 3},
                        .model = "μ'\"\n",
                        .endpoint = "",
                        .body = ""};
  REQUIRE(store.put({{key(1), odd}}, start));
  const std::vector keys{key(1)};
  CHECK((*store.find(keys, start))[0] == odd);
}

TEST_CASE("the first answer of a key stays") {
  const CacheDirectoryForTest temp;
  CacheStore store = open_cache(temp.cache());
  REQUIRE(store.put({{key(1), answer(1)}, {key(1), answer(2)}}, start));
  REQUIRE(store.put({{key(1), answer(3)}}, start));
  const std::vector keys{key(1)};
  CHECK((*store.find(keys, start))[0] == answer(1));
  CHECK(store.stats()->entries == 1);
}

TEST_CASE("a body may be as long as a reply, and a longer one is not kept") {
  const CacheDirectoryForTest temp;
  CacheStore store = open_cache(temp.cache());
  KnownAnswer longest = answer(1, 200'000);
  longest.body.resize(limits::reply_bytes_max, 'x');
  KnownAnswer longer = longest;
  longer.body += 'x';
  REQUIRE(store.put({{key(1), longest}, {key(2), longer}}, start));
  const std::vector keys{key(1), key(2)};
  const auto answers = store.find(keys, start);
  CHECK((*answers)[0] == longest);
  CHECK_FALSE((*answers)[1]);
  CHECK(store.counts().dropped_large == 1);
  CHECK(store.stats()->body_bytes == limits::reply_bytes_max);
}

TEST_CASE("an answer that takes most of the bound is not kept, so that the others may stay") {
  const std::uint64_t one = bytes_of_one();
  const CacheDirectoryForTest temp;
  CacheStore store = open_cache(temp.cache(), one); // nine tenths of it are less
  put_same(store, 0, start);
  CHECK(store.counts().dropped_large == 1);
  CHECK(store.stats()->entries == 0);
}

TEST_CASE(
    "a cache is as large as its bound and no larger, and those go that were used longest ago") {
  const std::uint64_t one = bytes_of_one();
  struct Case {
    std::uint64_t bytes_max;
    Numbers left;
  };
  for (const auto& [bytes_max, left] : {Case{4 * one - 1, {1, 2, 3}}, Case{4 * one, {0, 1, 2, 3}},
                                        Case{4 * one + 1, {0, 1, 2, 3}}}) {
    const CacheDirectoryForTest temp;
    CacheStore store = open_cache(temp.cache(), bytes_max);
    for (std::uint64_t n = 0; n < 4; ++n) put_same(store, n, start + static_cast<int>(n) * hour);
    CAPTURE(bytes_max - 4 * one);
    CHECK(there(store, 4, start) == left);
    CHECK(store.stats()->bytes == left.size() * one);
    // Once it is beyond, a tenth goes at once: of four and one that came, two.
    put_same(store, 4, start + 5 * hour);
    CHECK(store.stats()->bytes <= bytes_max);
    CHECK(there(store, 5, start).back() == 4);
  }
}

TEST_CASE("an answer that was used in a later hour stays longer, by a later store too") {
  const std::uint64_t one = bytes_of_one();
  const bool reopened = GENERATE(false, true);
  const CacheDirectoryForTest temp;
  std::optional<CacheStore> store = open_cache(temp.cache(), 4 * one);
  for (std::uint64_t n = 0; n < 4; ++n) put_same(*store, n, start + static_cast<int>(n));
  const std::vector keys{key(0)};
  REQUIRE((*store->find(keys, start + hour))[0]);
  if (reopened) {
    store.reset();
    store.emplace(open_cache(temp.cache(), 4 * one));
  }
  put_same(*store, 4, start + 2 * hour);
  CHECK(there(*store, 5, start) == Numbers{0, 3, 4});
}

TEST_CASE("a hit is written once an hour and not by the question itself") {
  const CacheDirectoryForTest temp;
  CacheStore store = open_cache(temp.cache());
  put(store, 0, 3);
  const std::string before = content_of(temp.file());
  CHECK(found(store, 0, 3, start + 9 * hour).size() == 3);
  CHECK(content_of(temp.file()) == before);
  put(store, 3, 4, start + 9 * hour);
  CHECK(store.stats()->oldest_use == (start + 9 * hour) / hour * hour);
}

TEST_CASE("many uses are written without a put") {
  const CacheDirectoryForTest temp;
  CacheStore store = open_cache(temp.cache());
  put(store, 0, 5'000);
  CHECK(found(store, 0, 5'000, start + 9 * hour).size() == 5'000);
  const std::string used =
      fmt::format("SELECT count(*) FROM entries WHERE used = {}", (start + 9 * hour) / hour);
  CHECK(value(temp.file(), used) == "4096");
}

TEST_CASE("a cache that is opened with a lower bound shrinks to it, and its file too") {
  const CacheDirectoryForTest temp;
  std::uint64_t bytes = 0;
  {
    CacheStore store = open_cache(temp.cache());
    for (std::uint64_t n = 0; n < 40; ++n)
      put(store, n * 100, n * 100 + 100, start + static_cast<int>(n) * hour);
    bytes = store.stats()->bytes;
  }
  const auto file_before = std::filesystem::file_size(temp.file());
  CacheStore store = open_cache(temp.cache(), bytes / 4);
  CHECK(store.stats()->bytes <= bytes / 40 * 9);
  CHECK(store.stats()->bytes > bytes / 5);
  CHECK(std::filesystem::file_size(temp.file()) < file_before / 3);
  CHECK(found(store, 3'900, 4'000).size() == 100);
  CHECK(found(store, 0, 2'000).empty());
}

TEST_CASE("a cache that turns over does not grow its file") {
  const CacheDirectoryForTest temp;
  CacheStore store = open_cache(temp.cache(), 400'000);
  std::uintmax_t largest = 0;
  for (std::uint64_t n = 0; n < 100; ++n) {
    put(store, n * 50, n * 50 + 50, start + static_cast<int>(n) * hour);
    REQUIRE(store.stats()->bytes <= 400'000);
    largest = std::max(largest, std::filesystem::file_size(temp.file()));
  }
  CHECK(largest < 600'000);
}

TEST_CASE("a sum that is wrong is right after the next start") {
  const CacheDirectoryForTest temp;
  std::uint64_t bytes = 0;
  {
    CacheStore store = open_cache(temp.cache());
    put(store, 0, 10);
    bytes = store.stats()->bytes;
  }
  execute(temp.file(), GENERATE("UPDATE meta SET value = 7", "DELETE FROM meta"));
  CacheStore store = open_cache(temp.cache());
  CHECK(value(temp.file(), "SELECT value FROM meta WHERE key = 'stored_bytes'") ==
        std::to_string(bytes));
}

TEST_CASE("a cache says how large it is, and when it was used") {
  const CacheDirectoryForTest temp;
  CacheStore store = open_cache(temp.cache(), 5'000'000);
  CHECK(store.stats()->entries == 0);
  CHECK(store.stats()->oldest_use == 0);
  put(store, 0, 1, start);
  put(store, 1, 3, start + 5 * hour);
  const CacheStats stats = *store.stats();
  CHECK(stats.entries == 3);
  CHECK(stats.body_bytes == answer(0).body.size() + answer(1).body.size() + answer(2).body.size());
  CHECK(stats.bytes > 3 * 128);
  CHECK(stats.oldest_use == start / hour * hour);
  CHECK(stats.newest_use == (start + 5 * hour) / hour * hour);
  CHECK(stats.bytes_max == 5'000'000);
  CHECK(stats.file_bytes == std::filesystem::file_size(temp.file()));
}

TEST_CASE("pruning removes what was used longest ago, or not for so long, and shrinks the file") {
  const CacheDirectoryForTest temp;
  CacheStore store = open_cache(temp.cache());
  for (std::uint64_t n = 0; n < 20; ++n)
    put(store, n * 100, n * 100 + 100, start + static_cast<int>(n) * hour);
  const CacheStats before = *store.stats();
  SECTION("to a size") {
    const auto pruned = store.prune(before.bytes / 2, std::nullopt, start + 20 * hour);
    REQUIRE(pruned);
    const CacheStats after = *store.stats();
    CHECK(after.bytes <= before.bytes / 2);
    CHECK(after.bytes > before.bytes / 2 - before.bytes / 1'000);
    CHECK(pruned->entries == 2'000 - after.entries);
    CHECK(pruned->bytes == before.bytes - after.bytes);
    CHECK(after.file_bytes < before.file_bytes * 3 / 5);
    CHECK(found(store, 1'900, 2'000).size() == 100);
    CHECK(found(store, 0, 900).empty());
  }
  SECTION("by age") {
    const auto pruned = store.prune(plenty, std::chrono::hours{10}, start + 19 * hour);
    REQUIRE(pruned);
    CHECK(pruned->entries == 900);
    CHECK(found(store, 0, 2'000).size() == 1'100);
  }
  SECTION("nothing") {
    CHECK(store.prune(plenty, std::nullopt, start)->entries == 0);
    CHECK(store.prune(plenty, std::chrono::hours{20}, start + 19 * hour)->entries == 0);
  }
  SECTION("everything") {
    CHECK(store.prune(0, std::nullopt, start)->entries == 2'000);
    CHECK(store.stats()->bytes == 0);
    CHECK(store.stats()->file_bytes <= 8 * 8'192);
    put(store, 0, 1);
    CHECK(found(store, 0, 1).size() == 1);
  }
}

TEST_CASE("directory and file are their owner's alone") {
  const CacheDirectoryForTest temp;
  const mode_t before = ::umask(0);
  CacheStore store = open_cache(temp.path + "/a/b/");
  ::umask(before);
  put(store, 0, 1);
  CHECK(mode_of(temp.path + "/a/b") == 0700);
  CHECK(mode_of(temp.path + "/a/b/answers.db") == 0600);
  CHECK(mode_of(temp.path + "/a/b/answers.db-journal") == 0600);
}

TEST_CASE("a look needs a cache that is there, keeps its bound, and may prune it") {
  const CacheDirectoryForTest temp;
  const auto missing = CacheStore::open_to_look(temp.cache());
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ErrorCode::not_found);
  CHECK_THAT(missing.error().message, Catch::Contains("there is no answers.db in " + temp.cache()));
  CHECK_FALSE(std::filesystem::exists(temp.cache()));
  {
    CacheStore store = open_cache(temp.cache(), 1'000'000);
    put(store, 0, 100);
  }
  {
    auto look = CacheStore::open_to_look(temp.cache());
    REQUIRE(look);
    CHECK(look->stats()->bytes_max == 1'000'000);
    CHECK(look->stats()->entries == 100);
    CHECK(look->prune(0, std::nullopt, start)->entries == 100);
  }
  CHECK(CacheStore::open_to_look(temp.cache())->stats()->entries == 0);
}

} // namespace cache_store_test
