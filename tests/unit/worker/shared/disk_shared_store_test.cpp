// The shared directory as a worker has it: words, documents and bodies of answers.
#include "worker/shared/disk_shared_store.hpp"

#include "protocol/rules/by_reference.hpp"
#include "protocol/text/crc32c.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fmt/format.h>
#include <future>
#include <stdlib.h>

namespace disk_shared_store_test {

using namespace gristmill;
using namespace gristmill::worker;
namespace fs = std::filesystem;

namespace {

template <class T> T next(std::promise<T>& promise) {
  auto future = promise.get_future();
  REQUIRE(future.wait_for(std::chrono::minutes{1}) == std::future_status::ready);
  T value = future.get();
  promise = {};
  return value;
}

struct Scene {
  Scene() {
    std::string name = (fs::current_path() / "shared_store_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    fs::create_directory(path / "ours");
    SharedStoreEvents events;
    events.proved = [this](ProvedShared one) { proved.set_value(std::move(one)); };
    events.stored = [this](std::vector<BodyStored> all) { stored.set_value(std::move(all)); };
    events.loaded = [this](std::vector<TextsLoaded> all) { loaded.set_value(std::move(all)); };
    store = std::make_unique<DiskSharedStore>(SharedDirectory::open(path.string()).value(),
                                              std::move(events));
  }
  ~Scene() {
    store.reset();
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  SharedDirectory directory() const { return SharedDirectory::open(path.string()).value(); }

  fs::path path;
  std::promise<ProvedShared> proved;
  std::promise<std::vector<BodyStored>> stored;
  std::promise<std::vector<TextsLoaded>> loaded;
  std::unique_ptr<DiskSharedStore> store;
};

const SessionId session{std::uint64_t{3} << 32 | 7};

} // namespace

TEST_CASE("The coordinator's word is read and the session's own is written", "[shared_store]") {
  Scene scene;
  scene.store->prove({session, "ours"});
  CHECK_FALSE(next(scene.proved).failure.empty()); // there is none
  REQUIRE(scene.directory().write("ours/coordinator", "theirs"));
  scene.store->prove({session, "ours"});
  const ProvedShared proved = next(scene.proved);
  CHECK(proved.failure.empty());
  CHECK(proved.session == session);
  CHECK(proved.words.theirs == "theirs");
  CHECK(scene.directory().read("ours/" + worker_word_file(session)).value() == proved.words.ours);
}

TEST_CASE("A document is what its range says, or an error", "[shared_store]") {
  Scene scene;
  REQUIRE(scene.directory().write("corpus", "first line\nsecond line\n"));
  scene.store->prove({session, "ours"});
  next(scene.proved);
  const protocol::SharedRange good{"corpus", 11, 11, crc32c("second line")};
  protocol::SharedRange wrong = good, behind = good, gone = good, outside = good;
  ++wrong.crc;
  behind.offset = 13;
  gone.file = "other";
  outside.file = "../corpus";
  scene.store->load({{CallId{1}, {good, good}},
                     {CallId{2}, {good, wrong}},
                     {CallId{3}, {behind}},
                     {CallId{4}, {gone}},
                     {CallId{5}, {outside}}});
  const auto loaded = next(scene.loaded);
  REQUIRE(loaded.size() == 5);
  CHECK(loaded[0].texts == std::vector<std::string>{"second line", "second line"});
  CHECK(loaded[0].failure.empty());
  CHECK_THAT(loaded[1].failure, Catch::Contains("at byte 11 of"));
  for (std::size_t n = 2; n < 5; ++n) CHECK_FALSE(loaded[n].failure.empty());
}

TEST_CASE("Bodies go one behind the other into the session's file of the job", "[shared_store]") {
  Scene scene;
  scene.store->prove({session, "ours"});
  next(scene.proved);
  scene.store->store({{AttemptId{1}, JobId{4}, "one"}, {AttemptId{2}, JobId{4}, "three"}});
  auto stored = next(scene.stored);
  scene.store->store({{AttemptId{3}, JobId{4}, "x"}});
  stored.push_back(next(scene.stored).at(0));
  const std::string file = "ours/" + answers_file(JobId{4}, session);
  CHECK(scene.directory().read(file).value() == "onethreex");
  REQUIRE(stored.size() == 3);
  CHECK((stored[1].place.offset == 3 && stored[1].place.bytes == 5));
  CHECK(stored[1].place.crc == crc32c("three"));
  CHECK(stored[2].place.offset == 8);
  // Another session has another file.
  scene.store->prove({SessionId{session.value + 1}, "ours"});
  next(scene.proved);
  scene.store->store({{AttemptId{4}, JobId{4}, "anew"}});
  CHECK(next(scene.stored).at(0).place.offset == 0);
  CHECK(scene.directory().read(file).value() == "onethreex");
}

TEST_CASE("Of more jobs than files may be open each has its own, and it grows", "[shared_store]") {
  Scene scene;
  scene.store->prove({session, "ours"});
  next(scene.proved);
  constexpr std::uint32_t jobs = DiskSharedStore::open_files_max + 2;
  for (std::uint32_t round = 0; round < 2; ++round) {
    std::vector<BodyToStore> bodies;
    for (std::uint32_t n = 1; n <= jobs; ++n)
      bodies.push_back(
          {AttemptId{round * jobs + n}, JobId{n}, fmt::format("{} of job {:2}", round, n)});
    scene.store->store(bodies);
    const auto stored = next(scene.stored);
    REQUIRE(stored.size() == jobs);
    for (std::uint32_t n = 1; n <= jobs; ++n) {
      const BodyStored& one = stored[n - 1];
      CHECK(one.failure == "");
      const SharedFile file =
          scene.directory().open_to_read("ours/" + answers_file(JobId{n}, session)).value();
      CHECK(scene.directory().read_range(file, one.place.offset, one.place.bytes, one.place.crc) ==
            bodies[n - 1].body);
    }
  }
}

TEST_CASE("After a failure nothing more is stored for its session", "[shared_store]") {
  Scene scene;
  scene.store->prove({session, "ours"});
  next(scene.proved);
  fs::create_directories(scene.path / "ours/job-4");
  REQUIRE(scene.directory().write("ours/" + answers_file(JobId{4}, session), "of somebody else"));
  scene.store->store({{AttemptId{1}, JobId{4}, "one"}, {AttemptId{2}, JobId{5}, "two"}});
  for (const BodyStored& one : next(scene.stored)) {
    CHECK_FALSE(one.place);
    CHECK_FALSE(one.failure.empty());
  }
}

} // namespace disk_shared_store_test
