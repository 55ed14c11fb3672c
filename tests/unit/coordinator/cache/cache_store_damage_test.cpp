// A damaged answer cache costs calls, and never gives a wrong answer; what is not a cache of ours
// is left alone; a full disk costs answers.
#include "tests/unit/coordinator/cache/cache_store_harness.hpp"
#include "tests/unit/coordinator/journal/store_faults.hpp"

namespace cache_store_damage_test {

using namespace gristmill;
using namespace gristmill::cache_test;
using Numbers = std::vector<std::uint64_t>;

namespace {

constexpr std::uint64_t kept = 60; // answers in a cache that is to be damaged

void write_cache(const CacheDirectoryForTest& temp) {
  CacheStore store = open_cache(temp.cache());
  put(store, 0, kept);
}

void flip(std::string& bytes, std::size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
}

// A bit of the packed body of this answer.
std::size_t place_of_body(const CacheDirectoryForTest& temp, const std::string& content,
                          std::uint64_t number) {
  const std::string packed =
      value(temp.file(), fmt::format("SELECT packed FROM entries WHERE id = {}", number + 1));
  const std::size_t at = content.find(packed);
  REQUIRE(at != content.npos);
  return at + packed.size() / 2;
}

// An empty cache has begun, and works.
void check_begun_anew(CacheStore& store) {
  CHECK(found(store, 0, kept).empty());
  put(store, 0, 3);
  CHECK(found(store, 0, kept) == Numbers{0, 1, 2});
  CHECK(store.stats()->entries == 3);
}

void check_moved_aside(const CacheDirectoryForTest& temp, CacheStore& store,
                       const std::string& content) {
  CHECK(content_of(temp.damaged(1)) == content);
  CHECK(store.counts().damaged_files == 1);
  const auto notices = store.take_notices();
  REQUIRE(notices.size() == 1);
  CHECK_THAT(notices[0], Catch::Contains(temp.file() + " is damaged") &&
                             Catch::Contains("kept as " + temp.damaged(1)));
  CHECK(store.take_notices().empty());
}

void check_refused(const CacheDirectoryForTest& temp, const std::string& words) {
  const std::string before = content_of(temp.file());
  for (const bool look : {false, true}) {
    const auto refused =
        look ? CacheStore::open_to_look(temp.cache()) : CacheStore::open(temp.cache(), plenty);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::conflict);
    CHECK_THAT(refused.error().message,
               Catch::Contains(words) && Catch::Contains(temp.file()) && Catch::Contains("choose"));
  }
  CHECK(content_of(temp.file()) == before);
  CHECK_FALSE(std::filesystem::exists(temp.file() + "-journal"));
}

} // namespace

TEST_CASE("an entry with a flipped bit is a miss, goes away, and may be put again") {
  const CacheDirectoryForTest temp;
  write_cache(temp);
  std::string content = content_of(temp.file());
  flip(content, place_of_body(temp, content, 7));
  flip(content, place_of_body(temp, content, 8));
  write_file(temp.file(), content);
  CacheStore store = open_cache(temp.cache());
  // Put before anybody has looked.
  put(store, 8, 9);
  CHECK(store.counts().damaged_entries == 1);
  CHECK(found(store, 7, 9) == Numbers{8});
  CHECK(store.counts().damaged_entries == 2);
  CHECK(store.stats()->entries == kept - 1);
  put(store, 7, 8);
  CHECK(found(store, 0, kept).size() == kept);
  CHECK(store.counts().damaged_files == 0);
}

TEST_CASE("an entry that belongs to another key is a miss") {
  const CacheDirectoryForTest temp;
  write_cache(temp);
  execute(temp.file(), "UPDATE entries SET key = x'99999999999999999999999999999999' WHERE id = 3;"
                       "UPDATE entries SET model = 'another' WHERE id = 4;"
                       "UPDATE entries SET http_status = 500 WHERE id = 5;"
                       "UPDATE entries SET request_id = '', endpoint = request_id WHERE id = 6;"
                       "UPDATE entries SET size = size + 1 WHERE id = 7;"
                       "UPDATE entries SET size = 1 << 40 WHERE id = 8;"
                       "UPDATE entries SET checksum = checksum + 1 WHERE id = 9;"
                       "UPDATE entries SET packed = x'' WHERE id = 10;");
  CacheStore store = open_cache(temp.cache());
  RequestKey other;
  other.bytes.fill('\x99');
  CHECK_FALSE((*store.find(std::vector{other}, start))[0]);
  CHECK(found(store, 2, 11) == Numbers{10});
  CHECK(store.stats()->entries == kept - 8);
}

TEST_CASE("wherever a bit is flipped, no answer is wrong, and the cache goes on") {
  const CacheDirectoryForTest temp;
  write_cache(temp);
  const std::string whole = content_of(temp.file());
  std::uint64_t hits = 0, entries = 0, files = 0, refused = 0;
  for (std::size_t at = 0; at < whole.size(); at += at < 200 ? 1 : 211) {
    std::filesystem::remove_all(temp.cache());
    std::filesystem::create_directory(temp.cache());
    std::string content = whole;
    flip(content, at);
    write_file(temp.file(), content);
    CAPTURE(at);
    auto store = CacheStore::open(temp.cache(), plenty);
    if (!store) {
      REQUIRE(store.error().code == ErrorCode::conflict);
      REQUIRE(at < 100); // its marks
      ++refused;
      continue;
    }
    hits += found(*store, 0, kept).size(); // each is compared with what was put
    put(*store, 0, kept + 1);
    // In an index that is out of order some are missed.
    REQUIRE(found(*store, 0, kept + 1).size() > kept / 2);
    REQUIRE(store->prune(0, std::nullopt, start));
    put(*store, 0, 1);
    // One that its index does not name stays.
    REQUIRE(found(*store, 0, kept).size() <= 2);
    REQUIRE(found(*store, 0, 1).size() == 1);
    entries += store->counts().damaged_entries;
    files += store->counts().damaged_files;
  }
  CHECK(hits > 1'000);
  CHECK(entries > 10);
  CHECK(files > 10);
  CHECK(refused >= 8);
}

TEST_CASE("a file that is cut, or no database, is moved aside, and an empty cache begins") {
  const CacheDirectoryForTest temp;
  write_cache(temp);
  std::string content = content_of(temp.file());
  REQUIRE(content.size() > 4 * 8'192);
  SECTION("to half a page") {
    content.resize(4'096);
  }
  SECTION("to less than a head") {
    content.resize(50);
  }
  SECTION("to one page") {
    content.resize(8'192);
  }
  SECTION("to some pages") {
    content.resize(3 * 8'192);
  }
  SECTION("garbage") {
    content = std::string(20'000, 'g');
  }
  SECTION("zeros") {
    content.assign(content.size(), '\0');
  }
  write_file(temp.file(), content);
  {
    const auto look = CacheStore::open_to_look(temp.cache());
    REQUIRE_FALSE(look);
    CHECK(look.error().code == ErrorCode::io);
    CHECK_THAT(look.error().message, Catch::Contains("is damaged"));
    CHECK(content_of(temp.file()) == content);
  }
  CacheStore store = open_cache(temp.cache());
  check_begun_anew(store);
  check_moved_aside(temp, store, content);
}

TEST_CASE("a file without its last byte has the answers of its other pages") {
  const CacheDirectoryForTest temp;
  write_cache(temp);
  std::filesystem::resize_file(temp.file(), std::filesystem::file_size(temp.file()) - 1);
  CacheStore store = open_cache(temp.cache());
  CHECK(found(store, 0, kept).size() > kept / 2);
  put(store, 0, kept);
  CHECK(found(store, 0, kept).size() == kept);
}

TEST_CASE("an empty file is an empty cache") {
  const CacheDirectoryForTest temp;
  const std::string content = GENERATE("", "S"); // SQLite takes one byte for none
  std::filesystem::create_directory(temp.cache());
  write_file(temp.file(), content);
  CHECK(CacheStore::open_to_look(temp.cache()).error().code == ErrorCode::not_found);
  CHECK(content_of(temp.file()) == content);
  CacheStore store = open_cache(temp.cache());
  CHECK(store.take_notices().empty());
  check_begun_anew(store);
}

TEST_CASE("a file that is damaged while it is open is moved aside by the next call") {
  const CacheDirectoryForTest temp;
  CacheStore store = open_cache(temp.cache());
  put(store, 0, kept);
  std::string content = content_of(temp.file());
  content =
      GENERATE_COPY(content.substr(0, 2 * 8'192), std::string{}, std::string(content.size(), 'g'));
  write_file(temp.file(), content);
  SECTION("found by a question") {
    CHECK(found(store, 0, kept).empty());
    check_moved_aside(temp, store, content);
    check_begun_anew(store);
  }
  SECTION("found by a put, which is kept") {
    put(store, 0, 1);
    CHECK(found(store, 0, kept) == Numbers{0});
    check_moved_aside(temp, store, content);
  }
  SECTION("found by a look at its size") {
    CHECK(store.stats()->entries == 0);
    check_moved_aside(temp, store, content);
    check_begun_anew(store);
  }
  SECTION("found by pruning") {
    CHECK(store.prune(1'000, std::nullopt, start)->entries == 0);
    check_moved_aside(temp, store, content);
    check_begun_anew(store);
  }
}

TEST_CASE("a cache without one of its tables is damaged") {
  const CacheDirectoryForTest temp;
  write_cache(temp);
  execute(temp.file(), GENERATE("DROP TABLE entries", "DROP TABLE meta",
                                "DROP INDEX entries_by_use", "DROP TRIGGER entry_added"));
  const std::string content = content_of(temp.file());
  CacheStore store = open_cache(temp.cache());
  check_moved_aside(temp, store, content);
  check_begun_anew(store);
}

TEST_CASE("a cache that is damaged again and again keeps the first files and the last") {
  const CacheDirectoryForTest temp;
  for (int n = 1; n <= 5; ++n) {
    std::filesystem::create_directory(temp.cache());
    write_file(temp.file(), fmt::format("no database, number {}", n));
    CacheStore store = open_cache(temp.cache());
    put(store, 0, 1);
  }
  CHECK_THAT(content_of(temp.damaged(1)), Catch::EndsWith("number 1"));
  CHECK_THAT(content_of(temp.damaged(2)), Catch::EndsWith("number 2"));
  CHECK_THAT(content_of(temp.damaged(3)), Catch::EndsWith("number 5"));
  CHECK_FALSE(std::filesystem::exists(temp.damaged(4)));
}

TEST_CASE("the journal of a damaged file goes with it") {
  const CacheDirectoryForTest temp;
  std::filesystem::create_directory(temp.cache());
  write_file(temp.file(), std::string(9'000, 'g'));
  write_file(temp.file() + "-journal", "not empty");
  CacheStore store = open_cache(temp.cache());
  check_begun_anew(store);
  CHECK(std::filesystem::exists(temp.damaged(1)));
  CHECK(content_of(temp.file() + "-journal").empty());
}

TEST_CASE("another program's database is refused and stays as it is") {
  const CacheDirectoryForTest temp;
  std::filesystem::create_directory(temp.cache());
  const auto database = coordinator::Database::open(temp.file());
  SECTION("one without a mark") {
    execute(temp.file(), "CREATE TABLE diary(day TEXT)");
  }
  SECTION("one with a mark") {
    execute(temp.file(), "PRAGMA application_id=7; CREATE TABLE diary(day TEXT)");
  }
  SECTION("one with a mark and nothing else") {
    execute(temp.file(), "PRAGMA application_id=7");
  }
  SECTION("one with nothing but a view") {
    execute(temp.file(), "CREATE VIEW today AS SELECT date()");
  }
  check_refused(temp, "database of another program");
}

TEST_CASE("a cache of another version is refused and stays as it is") {
  const CacheDirectoryForTest temp;
  write_cache(temp);
  execute(temp.file(), "PRAGMA user_version=2");
  std::filesystem::remove(temp.file() + "-journal");
  check_refused(temp, "expected version 1 of an answer cache");
}

TEST_CASE("what stands in the place of the file and is none is refused") {
  const CacheDirectoryForTest temp;
  std::filesystem::create_directory(temp.cache());
  write_file(temp.path + "/elsewhere", "");
  std::filesystem::create_symlink(temp.path + "/elsewhere", temp.file());
  check_refused(temp, "it is no regular file");
  CHECK(content_of(temp.path + "/elsewhere").empty());
}

TEST_CASE("a directory into which others may write is refused") {
  const CacheDirectoryForTest temp;
  std::filesystem::create_directory(temp.cache());
  std::filesystem::permissions(temp.cache(), std::filesystem::perms{0777});
  const auto refused = CacheStore::open(temp.cache(), plenty);
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().message, Catch::Contains("expected a cache directory") &&
                                          Catch::Contains("choose another with --cache"));
  CHECK_FALSE(std::filesystem::exists(temp.file()));
}

TEST_CASE("a full disk costs what was to be kept, is said once, and passes") {
  const CacheDirectoryForTest temp;
  const store_test::DatabaseDisk disk;
  CacheStore store = open_cache(temp.cache());
  put(store, 0, 10);
  store_test::database_disk_full = true;
  put(store, 10, 20);
  put(store, 20, 25);
  CHECK(store.counts().dropped_full == 15);
  CHECK(found(store, 0, 25).size() == 10);
  const auto notices = store.take_notices();
  REQUIRE(notices.size() == 1);
  CHECK_THAT(notices[0], Catch::Contains(temp.file()) && Catch::Contains("free some space"));
  store_test::database_disk_full = false;
  put(store, 20, 25);
  CHECK(found(store, 0, 25).size() == 15);
  CHECK(store.counts().dropped_full == 15);
}

TEST_CASE("a cache that finds the disk full at its start begins once there is space") {
  const CacheDirectoryForTest temp;
  const store_test::DatabaseDisk disk;
  store_test::database_disk_full = true;
  CacheStore store = open_cache(temp.cache());
  put(store, 0, 10);
  CHECK(found(store, 0, 10).empty());
  store_test::database_disk_full = false;
  put(store, 0, 10);
  CHECK(found(store, 0, 10).size() == 10);
}

} // namespace cache_store_damage_test
