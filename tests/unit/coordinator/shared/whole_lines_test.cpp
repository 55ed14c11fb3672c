// Lines whose bodies stand in a shared directory, read by those who know nothing of it.
#include "actors/kit/shared_directory.hpp"
#include "coordinator/shared/shared_answers.hpp"
#include "protocol/openai/line/line_by_reference.hpp"
#include "protocol/text/crc32c.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

namespace whole_lines_test {

using namespace gristmill;
using namespace gristmill::store_test;
using coordinator::SharedAnswers;

namespace {

// A journal of a job with a line of each kind in turn, and what its lines are when they are whole.
struct Scene {
  explicit Scene(std::uint64_t items) {
    std::filesystem::create_directories(temp / "shared/gristmill-1");
    open();
    std::filesystem::create_directories(temp / "shared/gristmill-1/job-1");
    for (std::uint64_t item = 0; item < items; ++item) {
      Group group = group_of(++position, {});
      if (item == 0) group.jobs = {new_job(1, "jobs/1")};
      group.lines = {line_of(item, item % 3 != 0)};
      REQUIRE(journal->commit(std::move(group)));
    }
  }
  void open(bool with_directory = true) {
    journal.reset();
    SqliteStoreOptions options = Opened::options_for(temp / "state");
    if (with_directory)
      options.open_bodies = [this]() -> Result<std::shared_ptr<SharedAnswers>> {
        auto directory = SharedDirectory::open(temp / "shared");
        GRISTMILL_TRY(directory);
        return std::make_shared<SharedAnswers>(std::move(*directory), "gristmill-1");
      };
    journal = std::make_unique<Opened>(std::move(options));
  }
  ResultLine line_of(std::uint64_t item, bool by_reference) {
    protocol::Reply reply;
    reply.cls = OutcomeClass::ok;
    reply.http_status = 200;
    reply.body = fmt::format(R"({{"n":{},"text":"{}"}})", item, std::string(item * 7, 'x'));
    openai::Provenance about;
    about.item = item;
    whole += openai::result_line(JobId{1}, "x", reply, about) + "\n";
    if (by_reference) {
      const std::string text = openai::stored_text(reply);
      reply.stored = {stored, static_cast<std::uint32_t>(text.size()), crc32c(text), "", file};
      reply.body.clear();
      append_to(temp / ("shared/gristmill-1/" + file), text);
      stored += text.size();
    }
    return {JobId{1},
            item,
            OutcomeClass::ok,
            openai::result_line(JobId{1}, "x", reply, about),
            {},
            by_reference ? file : ""};
  }
  Result<std::string> read(std::uint64_t from, std::size_t bytes) {
    auto lines = journal->store->lines_of(JobId{1}, LineKind::results);
    GRISTMILL_TRY(lines);
    std::string text(bytes, '\0');
    GRISTMILL_TRY((*lines)->read(0, from, text));
    return text;
  }

  TempDirectory temp;
  std::string whole;
  const std::string file = "job-1/1-1.answers";
  std::uint64_t stored = 0;
  Position position = 0;
  std::unique_ptr<Opened> journal;
};

} // namespace

TEST_CASE("Any bytes of whole lines are read, in any order, before and after a restart",
          "[by_reference]") {
  Scene scene{40};
  for (int life = 0; life < 2; ++life) {
    const auto lines = scene.journal->store->lines_of(JobId{1}, LineKind::results).value();
    REQUIRE(lines->segments().size() == 1);
    CHECK(lines->segments()[0].bytes == scene.whole.size());
    std::string text(scene.whole.size(), '\0');
    REQUIRE(lines->read(0, 0, text));
    CHECK(text == scene.whole);
    for (std::size_t from = 0; from + 1 < scene.whole.size(); from += 97) {
      std::string some(std::min<std::size_t>(131, scene.whole.size() - from), '\0');
      REQUIRE(lines->read(0, from, some));
      REQUIRE(some == scene.whole.substr(from, some.size()));
      std::string earlier(50, '\0');
      REQUIRE(lines->read(0, from / 2, earlier));
      REQUIRE(earlier == scene.whole.substr(from / 2, 50));
    }
    CHECK(scene.read(scene.whole.size(), 0));
    CHECK(scene.read(scene.whole.size() - 1, 1).value() == "\n");
    CHECK(scene.read(scene.whole.size(), 1).error().code == ErrorCode::internal);
    scene.open();
    REQUIRE(scene.journal->store);
  }
}

TEST_CASE("A body that is gone, cut or changed is an error with file and offset",
          "[by_reference]") {
  Scene scene{8};
  const std::string path = scene.temp / ("shared/gristmill-1/" + scene.file);
  const std::string content = content_of(path);
  std::ofstream{path, std::ios::binary | std::ios::trunc} << content.substr(0, content.size() - 1);
  scene.open();
  CHECK_THAT(scene.read(0, scene.whole.size()).error().message,
             Catch::Contains("1-1.answers") && Catch::Contains("the file was cut"));
  std::string changed = content;
  changed.back() = '!';
  std::ofstream{path, std::ios::binary | std::ios::trunc} << changed;
  scene.open();
  CHECK_THAT(scene.read(0, scene.whole.size()).error().message,
             Catch::Contains("1-1.answers") && Catch::Contains("was changed") &&
                 Catch::Contains("at byte"));
  // The lines before it are what they were.
  CHECK(scene.read(0, 100).value() == scene.whole.substr(0, 100));
  std::filesystem::remove(path);
  scene.open(); // a file that is named is not looked for
  CHECK_THAT(scene.read(0, scene.whole.size()).error().message, Catch::Contains("1-1.answers"));
}

TEST_CASE("Bodies that no row names do not exist after a start, and none do after their job",
          "[by_reference]") {
  Scene scene{4};
  const std::string ours = scene.temp / "shared/gristmill-1/";
  append_to(ours + "job-1/1-2.answers", "nobody has named it");
  std::filesystem::create_directories(ours + "job-9");
  append_to(ours + "job-9/1-1.answers", "of a job that nobody knows");
  scene.open();
  REQUIRE(scene.journal->store);
  CHECK_FALSE(std::filesystem::exists(ours + "job-1/1-2.answers"));
  CHECK_FALSE(std::filesystem::exists(ours + "job-9"));
  CHECK(std::filesystem::exists(ours + scene.file));
  Group forgets = group_of(++scene.position, {});
  forgets.forgotten = {JobId{1}};
  REQUIRE(scene.journal->commit(std::move(forgets)));
  for (int n = 0; n < 6'000 && !std::filesystem::is_empty(ours); ++n)
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  CHECK(std::filesystem::is_empty(ours));
}

TEST_CASE("A journal that names such bodies is not opened without their directory",
          "[by_reference]") {
  Scene scene{4};
  scene.open(false);
  CHECK_FALSE(scene.journal->store);
  CHECK_THAT(scene.journal->error.message, Catch::Contains("--shared"));
}

} // namespace whole_lines_test
