// An answer cache that several stores and processes use at once.
#include "actors/kit/random.hpp"
#include "tests/unit/coordinator/cache/cache_store_harness.hpp"
#include "tests/unit/coordinator/journal/store_faults.hpp"

#include <sys/file.h>

namespace cache_store_sharing_test {

using namespace gristmill;
using namespace gristmill::cache_test;
using Numbers = std::vector<std::uint64_t>;

namespace {

constexpr std::uint64_t many = 1'500;

// Puts many answers of its own, a few at a time, and looks for all that it has put so far.
void put_and_find(CacheStore& store, std::uint64_t first) {
  for (std::uint64_t n = 0; n < many; n += 15) {
    put(store, first + n, first + n + 15);
    if (found(store, first, first + n + 15).size() != n + 15)
      throw std::runtime_error{"an answer that was put is not there"};
  }
  if (store.counts().dropped_busy + store.counts().unasked_busy + store.counts().damaged_files > 0)
    throw std::runtime_error{"something was dropped"};
}

pid_t in_child(const std::function<void()>& work) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child != 0) return child;
  try {
    work();
    ::_exit(0);
  } catch (const std::exception& error) {
    ::perror(error.what());
    ::_exit(1);
  }
}

int exit_code_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Another process in the middle of a transaction, until this goes.
class Holder {
public:
  Holder(const std::string& directory, int how) {
    fd_ = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(fd_ >= 0);
    REQUIRE(::flock(fd_, how) == 0);
  }
  ~Holder() { ::close(fd_); }
  Holder(const Holder&) = delete;

private:
  int fd_ = -1;
};

CacheStore open_hasty(const std::string& directory) {
  auto opened = CacheStore::open(directory, plenty, std::chrono::milliseconds{20});
  REQUIRE(opened);
  return std::move(*opened);
}

// Puts one answer after the other and says so, until it is killed.
[[noreturn]] void put_until_killed(const std::string& directory, std::uint64_t first, int pipe) {
  CacheStore store = open_cache(directory);
  for (std::uint64_t n = first;; ++n) {
    put(store, n, n + 1);
    if (::write(pipe, &n, sizeof n) != sizeof n) ::_exit(3);
  }
}

} // namespace

TEST_CASE("what one store puts the other finds") {
  const CacheDirectoryForTest temp;
  CacheStore one = open_cache(temp.cache()), two = open_cache(temp.cache());
  put(one, 0, 5);
  put(two, 5, 10);
  put(two, 0, 5);
  CHECK(found(one, 0, 12).size() == 10);
  CHECK(found(two, 0, 12).size() == 10);
  CHECK(one.stats()->entries == 10);
  CHECK(one.stats()->bytes == two.stats()->bytes);
}

TEST_CASE("two stores keep one bound") {
  const CacheDirectoryForTest temp;
  CacheStore one = open_cache(temp.cache(), 60'000), two = open_cache(temp.cache(), 60'000);
  for (std::uint64_t n = 0; n < 40; ++n) {
    put(n % 2 == 0 ? one : two, n * 10, n * 10 + 10, start + static_cast<int>(n) * hour);
    REQUIRE(one.stats()->bytes <= 60'000);
  }
  CHECK(found(one, 390, 400).size() == 10);
}

TEST_CASE("two processes write and read one cache at the same time") {
  const CacheDirectoryForTest temp;
  const pid_t child = in_child([&] {
    CacheStore store = open_cache(temp.cache());
    put_and_find(store, many);
  });
  CacheStore store = open_cache(temp.cache());
  CHECK_NOTHROW(put_and_find(store, 0));
  REQUIRE(exit_code_of(child) == 0);
  CHECK(found(store, 0, 2 * many).size() == 2 * many);
  CHECK(store.stats()->entries == 2 * many);
  CHECK(value(temp.file(), "PRAGMA integrity_check") == "ok");
}

TEST_CASE("several processes begin one cache at the same time") {
  for (int cycle = 0; cycle < 10; ++cycle) {
    const CacheDirectoryForTest temp;
    std::vector<pid_t> children;
    for (std::uint64_t n = 0; n < 3; ++n)
      children.push_back(in_child([&] {
        CacheStore store = open_cache(temp.cache());
        put(store, n, n + 1);
        if (!store.take_notices().empty()) throw std::runtime_error{"it said something"};
      }));
    for (const pid_t child : children) CHECK(exit_code_of(child) == 0);
    CacheStore store = open_cache(temp.cache());
    CHECK(found(store, 0, 3).size() == 3);
  }
}

TEST_CASE("several processes find the same damage, and one moves the file aside") {
  for (int cycle = 0; cycle < 20; ++cycle) {
    const CacheDirectoryForTest temp;
    CacheStore store = open_cache(temp.cache());
    put(store, 0, 60);
    int ready[2], go[2];
    REQUIRE((::pipe(ready) == 0 && ::pipe(go) == 0));
    std::vector<pid_t> children;
    for (std::uint64_t n = 0; n < 3; ++n)
      children.push_back(in_child([&] {
        CacheStore own = open_cache(temp.cache());
        ::close(go[1]);
        char word = 0;
        if (::write(ready[1], &word, 1) != 1 || ::read(go[0], &word, 1) != 0) ::_exit(2);
        found(own, 0, 60); // at the same time, as readers may
        put(own, 100 * n, 100 * n + 20);
      }));
    char word = 0;
    for (std::size_t n = 0; n < children.size(); ++n) REQUIRE(::read(ready[0], &word, 1) == 1);
    std::filesystem::resize_file(temp.file(), 8'192);
    for (const int fd : {go[0], go[1], ready[0], ready[1]}) ::close(fd);
    for (const pid_t child : children) CHECK(exit_code_of(child) == 0);
    CHECK(found(store, 0, 300).size() == 60);
    CHECK(std::filesystem::exists(temp.damaged(1)));
    CHECK_FALSE(std::filesystem::exists(temp.damaged(2)));
  }
}

TEST_CASE("a store goes on with the file that another has begun, or that it begins itself") {
  const CacheDirectoryForTest temp;
  CacheStore one = open_cache(temp.cache()), two = open_cache(temp.cache());
  put(one, 0, 60);
  SECTION("after damage") {
    std::filesystem::resize_file(temp.file(), 8'192);
    put(one, 0, 3);
    CHECK(two.counts().damaged_files == 0);
  }
  SECTION("after the file was removed") {
    std::filesystem::remove(temp.file());
    put(one, 0, 3);
  }
  SECTION("after the directory was removed") {
    std::filesystem::remove_all(temp.cache());
    put(one, 0, 3);
  }
  put(two, 3, 6);
  CHECK(found(one, 0, 60) == Numbers{0, 1, 2, 3, 4, 5});
  CHECK(found(two, 0, 60) == Numbers{0, 1, 2, 3, 4, 5});
  CHECK(two.take_notices().empty());
}

TEST_CASE("a file of another program that came meanwhile is an error, and stays as it is") {
  const CacheDirectoryForTest temp;
  CacheStore store = open_cache(temp.cache());
  put(store, 0, 3);
  std::filesystem::remove(temp.file());
  { REQUIRE(coordinator::Database::open(temp.file())->execute("CREATE TABLE diary(day TEXT)")); }
  const std::string before = content_of(temp.file());
  CHECK(store.put({{key(1), answer(1)}}, start).error().code == ErrorCode::conflict);
  CHECK(store.find(std::vector{key(1)}, start).error().code == ErrorCode::conflict);
  CHECK(content_of(temp.file()) == before);
}

TEST_CASE("a cache that others hold is a miss, and keeps nothing") {
  const CacheDirectoryForTest temp;
  CacheStore store = open_hasty(temp.cache());
  put(store, 0, 10);
  {
    const Holder other{temp.cache(), LOCK_EX};
    CHECK(found(store, 0, 10).empty());
    put(store, 10, 15);
    CHECK(store.stats().error().code == ErrorCode::unavailable);
    CHECK(store.prune(0, std::nullopt, start).error().code == ErrorCode::unavailable);
    CHECK(CacheStore::open_to_look(temp.cache(), std::chrono::milliseconds{20}).error().code ==
          ErrorCode::unavailable);
    CacheStore late = open_hasty(temp.cache()); // begins once it can
    CHECK(found(late, 0, 10).empty());
  }
  CHECK(store.counts().unasked_busy == 10);
  CHECK(store.counts().dropped_busy == 5);
  CHECK(found(store, 0, 15).size() == 10);
  CHECK(store.take_notices().empty());
}

TEST_CASE("a process that stands still with the cache in its hand is waited for once") {
  const CacheDirectoryForTest temp;
  auto store = CacheStore::open(temp.cache(), plenty, std::chrono::milliseconds{500});
  put(*store, 0, 10);
  {
    const Holder other{temp.cache(), LOCK_EX};
    const Time begun = boot_now();
    CHECK(found(*store, 0, 1).empty());
    CHECK(boot_now() - begun >= std::chrono::milliseconds{500});
    for (std::uint64_t n = 0; n < 20; ++n) put(*store, n, n + 1);
    CHECK(boot_now() - begun < std::chrono::seconds{5});
  }
  CHECK(found(*store, 0, 10).size() == 10);
}

TEST_CASE("others that read are in nobody's way but a writer's") {
  const CacheDirectoryForTest temp;
  CacheStore store = open_hasty(temp.cache());
  put(store, 0, 10);
  const Holder other{temp.cache(), LOCK_SH};
  CHECK(found(store, 0, 10, start + hour).size() == 10);
  put(store, 10, 15);
  CHECK(store.counts().dropped_busy == 5);
}

TEST_CASE("a program that is none of ours and locks the database is waited for, too") {
  const CacheDirectoryForTest temp;
  CacheStore store = open_hasty(temp.cache());
  put(store, 0, 10);
  int ready[2], end[2];
  REQUIRE((::pipe(ready) == 0 && ::pipe(end) == 0));
  const pid_t child = in_child([&] {
    ::close(end[1]);
    auto database = coordinator::Database::open_shared(temp.file(), std::chrono::seconds{5});
    if (!database->execute("BEGIN EXCLUSIVE")) throw std::runtime_error{"no lock"};
    char word = 0;
    if (::write(ready[1], &word, 1) != 1 || ::read(end[0], &word, 1) != 0) ::_exit(2);
  });
  char word = 0;
  REQUIRE(::read(ready[0], &word, 1) == 1);
  CHECK(found(store, 0, 10).empty());
  put(store, 10, 15);
  CHECK(store.counts().unasked_busy == 10);
  CHECK(store.counts().dropped_busy == 5);
  ::close(end[1]);
  CHECK(exit_code_of(child) == 0);
  CHECK(found(store, 0, 15).size() == 10);
  for (const int fd : {ready[0], ready[1], end[0]}) ::close(fd);
}

TEST_CASE("what was put survives kill -9 at any moment, and the file stays whole") {
  const CacheDirectoryForTest temp;
  Random random{2026};
  std::uint64_t next = 0;
  for (int cycle = 0; cycle < 25; ++cycle) {
    const auto said = store_test::run_and_kill<std::uint64_t>(
        [&](int pipe) { put_until_killed(temp.cache(), next, pipe); }, 1 + random.below(20),
        std::chrono::microseconds{random.below(3'000)});
    REQUIRE(said.killed);
    REQUIRE_FALSE(said.words.empty());
    const std::uint64_t put_to = said.words.back() + 1;
    CacheStore store = open_cache(temp.cache());
    REQUIRE(found(store, 0, put_to).size() == put_to);
    REQUIRE(store.counts().damaged_files == 0);
    next = put_to; // which may have been on its way
  }
  CHECK(value(temp.file(), "PRAGMA integrity_check") == "ok");
}

} // namespace cache_store_sharing_test
