// Lines that answer equal requests on a real disk: found by the key of what was asked while their
// job goes on, in this life and in the next one.
#include "protocol/openai/line/result_line.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

namespace sqlite_store_answers_test {

using namespace gristmill;
using namespace gristmill::store_test;

namespace {

RequestKey key_of(char byte) {
  RequestKey key;
  key.bytes.fill(byte);
  return key;
}

std::string line_of(std::uint64_t item, std::optional<std::uint32_t> part = {},
                    std::size_t padding = 0, OutcomeClass cls = OutcomeClass::ok) {
  protocol::Reply reply;
  reply.cls = cls;
  reply.http_status = cls == OutcomeClass::ok ? 200 : 400;
  reply.body = fmt::format(R"({{"words":"{}"}})", std::string(padding, 'x'));
  openai::Provenance about;
  about.item = item;
  about.part = part;
  return openai::result_line(JobId{1}, "x", reply, about);
}

ResultLine answered(std::uint64_t item, char key, std::size_t padding = 0, std::uint32_t job = 1) {
  return {JobId{job}, item, OutcomeClass::ok, line_of(item, {}, padding), key_of(key)};
}
PartLine part_answered(std::uint64_t item, std::uint32_t part, char key) {
  PartLine line{{JobId{1}, item, part}, OutcomeClass::ok, line_of(item, part)};
  line.key = key_of(key);
  return line;
}

Group first_group(std::vector<ResultLine> lines, std::vector<PartLine> parts = {}) {
  Group group = group_of(1, std::move(lines));
  group.jobs = {new_job(1, "")};
  group.parts = std::move(parts);
  return group;
}
Group over(JobState state = JobState::finished) {
  Group group;
  JobChange change{.job = JobId{1}, .spec = "", .directory = "", .reason = {}, .detail = ""};
  change.state = state;
  change.at = 200;
  group.jobs = {std::move(change)};
  return group;
}

// The line, or "" if none answers.
std::string answer(Opened& journal, char key, std::uint32_t job = 1) {
  const auto line = journal.store->answer_to(JobId{job}, key_of(key));
  REQUIRE(line);
  return line->value_or("");
}

} // namespace

TEST_CASE("a line is found by what it answers once it is durable, and after each restart") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    CHECK(answer(journal, 'a').empty()); // there is no such job yet
    Group group = first_group({answered(0, 'a'), answered(1, 'b')});
    group.jobs.push_back(new_job(2, "jobs/2"));
    REQUIRE(journal.commit(std::move(group)));
    REQUIRE(journal.commit(group_of(2, {answered(2, 'c')})));
    CHECK(answer(journal, 'a') == line_of(0));
    CHECK(answer(journal, 'b') == line_of(1));
    CHECK(answer(journal, 'c') == line_of(2));
    CHECK(answer(journal, 'd').empty());
    CHECK(answer(journal, 'a', 2).empty());
  }
  for (int life = 0; life < 2; ++life) {
    CAPTURE(life);
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    CHECK(answer(journal, 'a') == line_of(0));
    CHECK(answer(journal, 'b') == line_of(1));
    CHECK(answer(journal, 'c') == line_of(2));
    CHECK(answer(journal, 'a', 2).empty());
    // A life writes into a segment of its own.
    const char key = life == 0 ? 'd' : 'e';
    const std::uint64_t item = life == 0 ? 3 : 4;
    journal.commit_next(group_of(0, {answered(item, key)}));
    CHECK(answer(journal, key) == line_of(item));
  }
  Opened journal{temp / "state"};
  CHECK(answer(journal, 'd') == line_of(3));
  CHECK(answer(journal, 'e') == line_of(4));
}

TEST_CASE("lines of parts and of items are found in their own files, whatever their segment") {
  const TempDirectory temp;
  auto options = Opened::options_for(temp / "state");
  options.store_bytes_per_segment = line_of(0).size() + 1; // is full with one commit
  const auto check = [](Opened& journal) {
    REQUIRE(journal.store);
    CHECK(answer(journal, 'a') == line_of(0));
    CHECK(answer(journal, 'b') == line_of(5, 0));
    CHECK(answer(journal, 'c') == line_of(5, 1));
    CHECK(answer(journal, 'd') == line_of(1));
    CHECK(answer(journal, 'e') == line_of(6, 3));
    CHECK(answer(journal, 'f') == line_of(2));
  };
  {
    Opened journal{options};
    REQUIRE(journal.commit(
        first_group({answered(0, 'a')}, {part_answered(5, 0, 'b'), part_answered(5, 1, 'c')})));
    Group second = group_of(2, {answered(1, 'd')});
    second.parts = {part_answered(6, 3, 'e')};
    REQUIRE(journal.commit(std::move(second)));
    REQUIRE(journal.commit(group_of(3, {answered(2, 'f')})));
    check(journal);
  }
  CHECK(std::filesystem::exists(temp / "state/results-000003.jsonl"));
  CHECK(std::filesystem::exists(temp / "state/parts-000002.jsonl"));
  Opened journal{options};
  check(journal);
}

TEST_CASE("of two lines that answer the same the first is found, in every life") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.commit(first_group({answered(3, 'a'), answered(1, 'a')})));
    REQUIRE(journal.commit(group_of(2, {answered(0, 'a')})));
    CHECK(answer(journal, 'a') == line_of(3));
  }
  Opened journal{temp / "state"};
  CHECK(answer(journal, 'a') == line_of(3));
  journal.commit_next(group_of(0, {answered(2, 'a')}));
  CHECK(answer(journal, 'a') == line_of(3));
}

TEST_CASE("a line is read to its end, however long it is and whatever stands behind it") {
  constexpr std::size_t guess = 16u << 10;
  const std::size_t bytes =
      GENERATE_COPY(guess - 2, guess - 1, guess, guess + 1, 2 * guess - 1, 2 * guess, 2 * guess + 1,
                    std::size_t{100} << 10, (std::size_t{1} << 20) + 7);
  const bool is_last = GENERATE(false, true);
  CAPTURE(bytes, is_last);
  const std::size_t padding = bytes - line_of(1).size();
  const TempDirectory temp;
  Opened journal{temp / "state"};
  std::vector<ResultLine> lines{answered(0, 'a'), answered(1, 'b', padding)};
  if (!is_last) lines.push_back(answered(2, 'c'));
  REQUIRE(journal.commit(first_group(lines)));
  REQUIRE(lines[1].line.size() == bytes);
  CHECK(answer(journal, 'a') == line_of(0));
  CHECK((answer(journal, 'b') == lines[1].line)); // which is not to be shown
  CHECK(answer(journal, 'c') == (is_last ? "" : line_of(2)));
}

TEST_CASE("a line that failed answers nobody, whatever it was asked") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    ResultLine line = answered(0, 'a');
    line.cls = OutcomeClass::bad_line;
    line.line = line_of(0, {}, 0, OutcomeClass::bad_line);
    PartLine part = part_answered(5, 0, 'b');
    part.cls = OutcomeClass::bad_line;
    part.line = line_of(5, 0, 0, OutcomeClass::bad_line);
    REQUIRE(journal.commit(first_group({line, answered(1, 'c')}, {part})));
    CHECK(answer(journal, 'a').empty());
    CHECK(answer(journal, 'b').empty());
    CHECK(answer(journal, 'c') == line_of(1)); // it stands behind the one that failed
  }
  Opened journal{temp / "state"};
  CHECK(answer(journal, 'a').empty());
  CHECK(answer(journal, 'b').empty());
  CHECK(answer(journal, 'c') == line_of(1));
}

TEST_CASE("a line without a key answers nobody") {
  const TempDirectory temp;
  Opened journal{temp / "state"};
  ResultLine line = answered(0, 'a');
  line.key = {};
  REQUIRE(journal.commit(first_group({line})));
  CHECK_FALSE(journal.store->answer_to(JobId{1}, RequestKey{})->has_value());
}

TEST_CASE("what a job that is over was answered is found again when the job goes on") {
  const auto state = GENERATE(JobState::finished, JobState::cancelled, JobState::failed);
  CAPTURE(state);
  const bool restarts = GENERATE(false, true);
  const TempDirectory temp;
  auto journal = std::make_unique<Opened>(temp / "state");
  REQUIRE(journal->commit(first_group({answered(0, 'a')}, {part_answered(5, 0, 'b')})));
  journal->recovered.last_position = 1;
  journal->commit_next(over(state));
  CHECK(answer(*journal, 'a').empty()); // nobody asks
  if (restarts) {
    journal.reset();
    journal = std::make_unique<Opened>(temp / "state");
    REQUIRE(journal->store);
    CHECK(answer(*journal, 'a').empty());
  }
  journal->store->read_job(JobId{1});
  REQUIRE(journal->heard.content.get_future().get());
  CHECK(answer(*journal, 'a').empty()); // to look at it is not to go on
  // It goes on, and is over again.
  Group again = over(JobState::running);
  again.lines = {answered(1, 'c')};
  journal->commit_next(std::move(again));
  CHECK(answer(*journal, 'a') == line_of(0));
  CHECK(answer(*journal, 'b') == line_of(5, 0));
  CHECK(answer(*journal, 'c') == line_of(1));
  journal->commit_next(over());
  CHECK(answer(*journal, 'a').empty());
}

TEST_CASE("a job that is read while it goes on knows what it knew") {
  const TempDirectory temp;
  Opened journal{temp / "state"};
  REQUIRE(journal.commit(first_group({answered(0, 'a'), answered(1, 'a'), answered(2, 'b')})));
  journal.store->read_job(JobId{1});
  REQUIRE(journal.heard.content.get_future().get());
  CHECK(answer(journal, 'a') == line_of(0));
  CHECK(answer(journal, 'b') == line_of(2));
}

TEST_CASE("a job that is forgotten has no answers, also if it went on before") {
  const bool goes_on = GENERATE(false, true);
  CAPTURE(goes_on);
  const TempDirectory temp;
  Opened journal{temp / "state"};
  Group group = first_group({answered(0, 'a')});
  group.jobs = {new_job(1, "jobs/1"), new_job(2, "jobs/2")};
  group.lines.push_back(answered(0, 'a', 5, 2));
  REQUIRE(journal.commit(std::move(group)));
  journal.recovered.last_position = 1;
  journal.commit_next(over());
  if (goes_on) {
    journal.commit_next(over(JobState::running));
    CHECK(answer(journal, 'a') == line_of(0));
  }
  Group forgotten;
  forgotten.forgotten = {JobId{1}};
  journal.commit_next(std::move(forgotten));
  CHECK(answer(journal, 'a').empty());
  CHECK(answer(journal, 'a', 2) == line_of(0, {}, 5));
}

TEST_CASE("calls, and items that took another's answer, are counted over all lives") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    Group group = first_group({answered(0, 'a')});
    group.notes = {{.job = JobId{1}, .calls = 3, .attempts = 5, .cached = 2, .low = {}},
                   {.job = JobId{1}, .calls = 4, .attempts = 4, .cached = 7, .low = {}}};
    REQUIRE(journal.commit(std::move(group)));
  }
  {
    Opened journal{temp / "state"};
    CHECK(journal.job(1).counts.calls == 7);
    CHECK(journal.job(1).counts.cached == 9);
    Group group;
    group.notes = {{.job = JobId{1}, .calls = 1, .attempts = 1, .cached = 10, .low = {}}};
    journal.commit_next(std::move(group));
  }
  Opened journal{temp / "state"};
  CHECK(journal.job(1).counts.calls == 8);
  CHECK(journal.job(1).counts.attempts == 10);
  CHECK(journal.job(1).counts.cached == 19);
  journal.store->read_job(JobId{1});
  const auto read = journal.heard.content.get_future().get();
  REQUIRE(read);
  CHECK(read->counts.calls == 8);
  CHECK(read->counts.cached == 19);
}

TEST_CASE("a line that is not what was written is an error that names it, and no answer") {
  const TempDirectory temp;
  Opened journal{temp / "state"};
  REQUIRE(journal.commit(first_group({answered(0, 'a'), answered(1, 'b')})));
  const std::string path = temp / "state/results-000001.jsonl", lines = content_of(path);
  const std::size_t one = line_of(0).size() + 1;
  std::string damaged = lines;
  const std::string what = GENERATE(as<std::string>{}, "flipped", "newline", "short", "empty");
  CAPTURE(what);
  if (what == "flipped") damaged[one + lines.substr(one).find("words")] ^= 1;
  if (what == "newline") damaged[one + 20] = '\n';
  if (what == "short") damaged.resize(damaged.size() - 2);
  if (what == "empty") damaged.resize(one);
  std::filesystem::resize_file(path, 0);
  append_to(path, damaged);
  const auto line = journal.store->answer_to(JobId{1}, key_of('b'));
  REQUIRE_FALSE(line);
  CHECK(line.error().code == ErrorCode::io);
  CHECK_THAT(line.error().message,
             Catch::Contains(path) && Catch::Contains(fmt::format("at byte {}", one)));
  CHECK(answer(journal, 'a') == line_of(0)); // another is as good as it was
  std::filesystem::remove(path);
  const auto gone = journal.store->answer_to(JobId{1}, key_of('a'));
  REQUIRE_FALSE(gone);
  CHECK_THAT(gone.error().message, Catch::Contains(path));
}

TEST_CASE("what a full disk took back answers nobody until it is written") {
  const TempDirectory temp;
  bool full = false;
  auto options = Opened::options_for(temp / "state");
  options.disk_calls.pwrite = [&](int fd, const void* data, std::size_t size,
                                  off_t offset) -> ssize_t {
    if (!full) return ::pwrite(fd, data, size, offset);
    errno = ENOSPC;
    return -1;
  };
  Opened journal{options};
  REQUIRE(journal.commit(first_group({answered(0, 'a')})));
  full = true;
  const Group group = group_of(2, {answered(1, 'b'), answered(2, 'a')});
  REQUIRE_FALSE(journal.commit(group));
  CHECK(answer(journal, 'b').empty());
  CHECK(answer(journal, 'a') == line_of(0));
  full = false;
  REQUIRE(journal.commit(group));
  CHECK(answer(journal, 'b') == line_of(1));
}

} // namespace sqlite_store_answers_test
