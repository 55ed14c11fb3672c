#include "actors/kit/check.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include <filesystem>
#include <fstream>
#include <future>

namespace sqlite_store_test {

using namespace gristmill;
using namespace gristmill::store_test;

TEST_CASE("a new journal creates its directory for its owner only and begins with epoch 1") {
  const TempDirectory temp;
  Opened journal{temp / "deep/er/state"};
  REQUIRE(journal.store);
  CHECK(journal.recovered.epoch == Epoch{1});
  CHECK(journal.recovered.same_boot);
  CHECK(journal.recovered.last_position == 0);
  CHECK(journal.recovered.jobs.empty());
  struct stat info {};
  REQUIRE(::stat((temp / "deep/er/state").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0700);
}

TEST_CASE("what was committed is recovered by the next start") {
  const TempDirectory temp;
  const std::string lines =
      "{\"job\":7,\"item\":2}\n{\"job\":7,\"item\":0}\n{\"job\":7,\"item\":3}\n";
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    Group first = group_of(1, {line(7, 2), line(7, 0, true)});
    first.jobs = {new_job(7, "jobs/7")};
    first.attempts = {{{JobId{7}, 1, 0}, 2, 1},
                      {{JobId{7}, 5, 0}, 1, 0},
                      {{JobId{7}, 2, 0}, 9, 9},
                      {{JobId{7}, 3, 0}, 1, 0}};
    first.notes = {{.job = JobId{7},
                    .attempts = 5,
                    .ambiguous = 1,
                    .late = 2,
                    .prompt_tokens = 30,
                    .completion_tokens = 40,
                    .low = {0, 21, 1, 1}}};
    first.sessions = {{SessionId{11}, "anna", Nonce{~std::uint64_t{0}}, true},
                      {SessionId{12}, "bert", Nonce{2}, true}};
    CHECK(journal.commit(std::move(first)).value() == 1);
    Group second = group_of(4, {line(7, 3)});
    second.attempts = {{{JobId{7}, 1, 0}, 3, 1}};
    second.notes = {{.job = JobId{7}, .attempts = 1, .low = {}}};
    second.sessions = {{SessionId{12}, "bert", Nonce{2}, false}};
    second.jobs = {{.job = JobId{7},
                    .spec = "",
                    .directory = "",
                    .state = JobState::paused,
                    .detail = "the budget is spent",
                    .at = 200}};
    CHECK(journal.commit(std::move(second)).value() == 4);
    CHECK(results_of(*journal.store, 7) == lines);
  }
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(journal.recovered.epoch == Epoch{2});
  CHECK(journal.recovered.last_position == 4);
  REQUIRE(journal.recovered.jobs.size() == 1);
  const RecoveredJob& job = journal.job(7);
  CHECK(job.spec == "{}");
  CHECK(job.directory == "jobs/7");
  CHECK(job.state == JobState::paused);
  CHECK(job.detail == "the budget is spent");
  CHECK(job.created_at == 100);
  CHECK(job.ended_at == 0);
  CHECK(job.terminal.low() == 1);
  CHECK(job.terminal.contains(2));
  CHECK_FALSE(job.terminal.contains(1));
  CHECK(job.terminal.contains(3));
  CHECK_FALSE(job.terminal.contains(4));
  REQUIRE(job.attempts.size() == 2); // items 2 and 3 are terminal
  CHECK(job.attempts[0].part.item == 1);
  CHECK(job.attempts[0].attempts == 3);
  CHECK(job.attempts[0].deaths == 1);
  CHECK(job.attempts[1].part.item == 5);
  CHECK(job.counts.completed == 2);
  CHECK(job.counts.failed == 1);
  CHECK(job.counts.attempts == 6);
  CHECK(job.counts.ambiguous == 1);
  CHECK(job.counts.late == 2);
  CHECK(job.counts.prompt_tokens == 30);
  CHECK(job.counts.completion_tokens == 40);
  CHECK(job.low == InputPosition{0, 21, 1, 1});
  REQUIRE(journal.recovered.sessions.size() == 1);
  CHECK(journal.recovered.sessions[0].session == SessionId{11});
  CHECK(journal.recovered.sessions[0].worker == "anna");
  CHECK(journal.recovered.sessions[0].process == Nonce{~std::uint64_t{0}});
  CHECK(results_of(*journal.store, 7) == lines);
}

TEST_CASE("a group may hold lines of several jobs, each in its own directory") {
  const TempDirectory temp;
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  Group group = group_of(1, {line(1, 0), line(2, 0), line(1, 1)});
  group.jobs = {new_job(1, ""), new_job(2, "jobs/2")};
  REQUIRE(journal.commit(std::move(group)));
  CHECK(content_of(temp / "state/results-000001.jsonl") ==
        "{\"job\":1,\"item\":0}\n{\"job\":1,\"item\":1}\n");
  CHECK(content_of(temp / "state/jobs/2/results-000001.jsonl") == "{\"job\":2,\"item\":0}\n");
  CHECK(journal.store->lines_of(JobId{3}, LineKind::results).error().code == ErrorCode::not_found);
}

TEST_CASE("each life and each full segment begins a new file, and readers learn their lengths") {
  const TempDirectory temp;
  auto options = Opened::options_for(temp / "state");
  options.store_bytes_per_segment = 30;
  {
    Opened journal{options};
    REQUIRE(journal.store);
    Group group = group_of(1, {line(1, 0)}); // 19 bytes
    group.jobs = {new_job(1, "")};
    REQUIRE(journal.commit(std::move(group)));
    REQUIRE(journal.commit(group_of(2, {line(1, 1)})));
    REQUIRE(journal.commit(group_of(3, {line(1, 2)})));
  }
  CHECK(content_of(temp / "state/results.durable") ==
        "{\"segments\":[{\"file\":\"results-000001.jsonl\",\"bytes\":38},"
        "{\"file\":\"results-000002.jsonl\",\"bytes\":19}]}\n");
  Opened journal{options};
  REQUIRE(journal.store);
  REQUIRE(journal.commit(group_of(4, {line(1, 3)})));
  const auto lines = journal.store->lines_of(JobId{1}, LineKind::results);
  REQUIRE(lines);
  CHECK((*lines)->segments() == std::vector<Segment>{{1, 38}, {2, 19}, {3, 19}});
  CHECK((*lines)->place_of(2) == temp / "state/results-000003.jsonl");
}

TEST_CASE("a job that is over gives up its file, and a later line begins another") {
  const TempDirectory temp;
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  Group group = group_of(1, {line(1, 0)});
  group.jobs = {new_job(1, "")};
  group.jobs.push_back({.job = JobId{1},
                        .spec = "",
                        .directory = "",
                        .state = JobState::finished,
                        .detail = "",
                        .at = 300});
  REQUIRE(journal.commit(std::move(group)));
  REQUIRE(journal.commit(group_of(2, {line(1, 1)})));
  CHECK(journal.store->lines_of(JobId{1}, LineKind::results).value()->segments().size() == 2);
  journal.store.reset();
  const Opened again{temp / "state"};
  REQUIRE(again.store);
  CHECK(again.job(1).ended_at == 300);
}

TEST_CASE("groups are announced in the order of their commits, also of those from events") {
  const TempDirectory temp;
  Recovered recovered;
  std::vector<Position> announced;
  std::promise<void> done;
  SqliteStore* raw = nullptr;
  JournalEvents events{.durable =
                           [&](Position upto) {
                             announced.push_back(upto);
                             if (upto == 50) return done.set_value();
                             // Every other group is empty and costs no disk.
                             raw->commit(upto % 2 == 0 ? group_of(upto + 1, {line(1, upto)})
                                                       : group_of(upto + 1, {}));
                           },
                       .failed = [&](Error, Group) { done.set_value(); },
                       .read = {}};
  auto store = SqliteStore::open(Opened::options_for(temp / "state"), events, recovered);
  REQUIRE(store);
  raw = store->get();
  Group first = group_of(1, {});
  first.jobs = {new_job(1, "")};
  raw->commit(std::move(first));
  REQUIRE(done.get_future().wait_for(std::chrono::minutes{1}) == std::future_status::ready);
  REQUIRE(announced.size() == 50);
  for (std::size_t i = 0; i < announced.size(); ++i) CHECK(announced[i] == i + 1);
}

TEST_CASE("nothing is announced before its lines are synced, and one group flies at a time") {
  const TempDirectory temp;
  std::promise<void> entered, released;
  auto options = Opened::options_for(temp / "state");
  options.disk_calls.fdatasync = [&](int fd) {
    entered.set_value();
    released.get_future().wait();
    return ::fdatasync(fd);
  };
  Opened journal{options};
  REQUIRE(journal.store);
  Group group = group_of(1, {line(1, 0)});
  group.jobs = {new_job(1, "")};
  journal.store->commit(std::move(group));
  REQUIRE(entered.get_future().wait_for(std::chrono::minutes{1}) == std::future_status::ready);
  CHECK(journal.heard.waiting() == 0);
  CHECK(journal.store->lines_of(JobId{1}, LineKind::results).value()->segments().empty());
  CHECK_THROWS_AS(journal.store->commit(group_of(2, {})), CheckFailed);
  released.set_value();
  CHECK(journal.heard.next().value() == 1);
  CHECK(journal.store->lines_of(JobId{1}, LineKind::results).value()->segments().size() == 1);
}

TEST_CASE("a state directory is held by one store at a time") {
  const TempDirectory temp;
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  const Opened second{temp / "state"};
  REQUIRE_FALSE(second.store);
  CHECK(second.error.code == ErrorCode::conflict);
  CHECK_THAT(second.error.message,
             Catch::Contains(fmt::format("in use by process {}", ::getpid())));
  journal.store.reset();
  CHECK(Opened{temp / "state"}.store);
}

TEST_CASE("a directory with other files is refused and left as it was") {
  const TempDirectory temp;
  std::filesystem::create_directory(temp / "photos");
  append_to(temp / "photos/cat.jpg", "meow");
  const Opened journal{temp / "photos"};
  REQUIRE_FALSE(journal.store);
  CHECK(journal.error.code == ErrorCode::conflict);
  CHECK_THAT(journal.error.message, Catch::Contains("cat.jpg"));
  CHECK(std::distance(std::filesystem::directory_iterator{temp / "photos"}, {}) == 1);
}

TEST_CASE("what was appended to an open job comes back in its order, until the job is forgotten") {
  const TempDirectory temp;
  const auto note = [](std::uint64_t number, std::string key) {
    return AppendNote{
        JobId{7}, number, std::move(key),
        "hash",   30,     {{"/up/1", "append/a \"b\".jsonl", 10, 20}, {"/up/2", "c"}}};
  };
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    Group first = group_of(1, {});
    first.jobs = {new_job(7, "jobs/7")};
    first.appends = {note(1, "first")};
    REQUIRE(journal.commit(std::move(first)));
    Group second = group_of(2, {});
    second.appends = {note(2, "")};
    REQUIRE(journal.commit(std::move(second)));
  }
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    const RecoveredJob& job = journal.job(7);
    REQUIRE(job.appends.size() == 2);
    CHECK(job.appends[0].key == "first");
    CHECK(job.appends[0].hash == "hash");
    CHECK(job.appends[0].bytes == 30);
    CHECK(job.appends[0].inputs == note(1, "").inputs);
    CHECK(job.appends[1].number == 2);
    CHECK_FALSE(job.is_closed);
    Group third = group_of(3, {});
    third.appends = {{}};
    third.appends[0].job = JobId{7};
    REQUIRE(journal.commit(std::move(third)));
  }
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(journal.job(7).appends.size() == 2);
  CHECK(journal.job(7).is_closed);
  Group last = group_of(4, {});
  last.jobs = {
      {.job = JobId{7}, .spec = "", .directory = "", .state = JobState::finished, .detail = ""}};
  last.forgotten = {JobId{7}};
  REQUIRE(journal.commit(std::move(last)));
}

TEST_CASE("a journal of another version, program or format is refused") {
  const TempDirectory temp;
  REQUIRE(Opened{temp / "state"}.store);
  const auto change = [&](const std::string& sql) {
    auto database = coordinator::Database::open(temp / "state/journal.db");
    REQUIRE(database);
    REQUIRE(database->execute(sql));
  };
  const auto refusal = [&] {
    const Opened journal{temp / "state"};
    REQUIRE_FALSE(journal.store);
    CHECK(journal.error.code == ErrorCode::conflict);
    return journal.error.message;
  };
  const auto bytes = [&] {
    std::ifstream file{temp / "state/journal.db", std::ios::binary};
    return std::string{std::istreambuf_iterator<char>{file}, {}};
  };
  for (const int version : {0, 4, 6, 9}) {
    change(fmt::format("PRAGMA user_version={}", version));
    const std::string before = bytes();
    CHECK_THAT(refusal(), Catch::Contains("expected schema version 5") &&
                              Catch::Contains(fmt::format("version {}:", version)));
    CHECK(bytes() == before);
  }
  change("PRAGMA user_version=4; PRAGMA application_id=12");
  CHECK_THAT(refusal(), Catch::Contains("another program"));
  std::filesystem::resize_file(temp / "state/journal.db", 0);
  append_to(temp / "state/journal.db", std::string(8192, 'x'));
  CHECK_THAT(refusal(), Catch::Contains("no journal"));
}

TEST_CASE("a journal without its tables is a start that died, and begins anew") {
  const TempDirectory temp;
  std::filesystem::create_directory(temp / "state");
  append_to(temp / "state/lock", "1\n");
  CHECK(Opened{temp / "state"}.store);
  std::filesystem::remove_all(temp / "state");
  std::filesystem::create_directory(temp / "state");
  append_to(temp / "state/journal.db", "");
  CHECK(Opened{temp / "state"}.store);
}

TEST_CASE("closing leaves one tidy file and may be done twice") {
  const TempDirectory temp;
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  Group group = group_of(1, {line(1, 0)});
  group.jobs = {new_job(1, "")};
  journal.store->commit(std::move(group));
  journal.store->close(); // with a group in flight
  CHECK(journal.heard.next().value() == 1);
  CHECK(std::filesystem::exists(temp / "state/journal.db"));
  CHECK_FALSE(std::filesystem::exists(temp / "state/journal.db-wal"));
  CHECK_FALSE(std::filesystem::exists(temp / "state/journal.db-shm"));
  journal.store->close();
  CHECK_THROWS_AS(journal.store->commit(group_of(2, {})), CheckFailed);
}

TEST_CASE("a reopened item is not terminal until it has another line") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    Group first = group_of(1, {line(7, 0), line(7, 1, true), line(7, 2, true)});
    first.jobs = {new_job(7, "")};
    first.notes = {{.job = JobId{7}, .attempts = 3, .low = {0, 90, 3, 3}}};
    REQUIRE(journal.commit(std::move(first)));
    Group second = group_of(2, {});
    second.reopened = {{JobId{7}, 1}, {JobId{7}, 2}};
    REQUIRE(journal.commit(std::move(second)));
    REQUIRE(journal.commit(group_of(3, {line(7, 2)})));
    journal.store->read_job(JobId{7});
    const auto read = journal.heard.content.get_future().get();
    REQUIRE(read);
    CHECK(read->counts.failed == 0);
    CHECK(read->counts.completed == 2);
  }
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  const RecoveredJob& job = journal.job(7);
  CHECK(job.terminal.contains(0));
  CHECK_FALSE(job.terminal.contains(1));
  CHECK(job.terminal.contains(2));
  CHECK(job.counts.completed == 2);
  CHECK(job.counts.failed == 0);
  CHECK(job.counts.attempts == 3);
  CHECK(job.low == InputPosition{});
  // What never failed cannot be run again.
  Group wrong = group_of(4, {});
  wrong.reopened = {{JobId{7}, 0}};
  REQUIRE(journal.commit(std::move(wrong)));
  journal.store->read_job(JobId{7});
  const auto read = journal.heard.content.get_future().get();
  REQUIRE_FALSE(read);
  CHECK_THAT(read.error().message, Catch::Contains("had not failed"));
}

TEST_CASE("what failed is remembered by its class") {
  const TempDirectory temp;
  Group group = group_of(1, {line(7, 0), line(7, 1, true), line(7, 2), line(7, 3, true)});
  group.lines[3].cls = OutcomeClass::timeout;
  group.jobs = {new_job(7, "")};
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.commit(std::move(group)));
  }
  Opened journal{temp / "state"};
  const auto& failed = journal.job(7).failed;
  REQUIRE(failed.size() == 2);
  CHECK(failed.at(OutcomeClass::bad_line).contains(1));
  CHECK(failed.at(OutcomeClass::timeout).contains(3));
  CHECK_FALSE(failed.at(OutcomeClass::timeout).contains(1));
}

TEST_CASE("a job that the journal does not know cannot be read") {
  const TempDirectory temp;
  Opened journal{temp / "state"};
  journal.store->read_job(JobId{9});
  const auto read = journal.heard.content.get_future().get();
  REQUIRE_FALSE(read);
  CHECK(read.error().code == ErrorCode::not_found);
}

} // namespace sqlite_store_test
