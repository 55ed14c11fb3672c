// The window on durable lines over real segments: what it gives out, and what it says when a file
// is gone, was cut, or is removed while it is read.
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

namespace line_store_test {

using namespace gristmill;
using namespace gristmill::store_test;

namespace {

constexpr std::uint64_t line_bytes = 19; // of line(1, 0) to line(1, 9), with the newline

// A journal with three segments of a job: two lines, one and one.
struct Written {
  Written() {
    SqliteStoreOptions options = Opened::options_for(temp / "state");
    options.store_bytes_per_segment = line_bytes; // is full with one commit
    journal = std::make_unique<Opened>(std::move(options));
    REQUIRE(journal->store);
    Group group = group_of(1, {line(1, 0), line(1, 1)});
    group.jobs = {new_job(1, "jobs/1")};
    REQUIRE(journal->commit(std::move(group)));
    for (Position n = 2; n < 4; ++n) REQUIRE(journal->commit(group_of(n, {line(1, n)})));
  }
  std::shared_ptr<JobLines> lines() const {
    return journal->store->lines_of(JobId{1}, LineKind::results).value();
  }
  std::string path(int number) const {
    return temp / fmt::format("state/jobs/1/results-{:06}.jsonl", number);
  }

  TempDirectory temp;
  std::unique_ptr<Opened> journal;
};

Result<std::string> text_of(JobLines& lines, std::size_t segment, std::uint64_t from,
                            std::size_t bytes) {
  std::string text(bytes, '\0');
  GRISTMILL_TRY(lines.read(segment, from, text));
  return text;
}

} // namespace

TEST_CASE("of a segment everything durable can be read, and not a byte more") {
  const Written written;
  const auto lines = written.lines();
  REQUIRE(lines->segments() == std::vector<Segment>{{1, 38}, {2, 19}, {3, 19}});
  append_to(written.path(1), "torn"); // is in the file, and nobody has promised it
  const std::string all = line(1, 0).line + "\n" + line(1, 1).line + "\n";
  CHECK(text_of(*lines, 0, 0, 37).value() == all.substr(0, 37));
  CHECK(text_of(*lines, 0, 0, 38).value() == all);
  CHECK(text_of(*lines, 0, 0, 39).error().code == ErrorCode::internal);
  CHECK(text_of(*lines, 0, line_bytes, line_bytes).value() == all.substr(line_bytes));
  CHECK(text_of(*lines, 0, line_bytes, line_bytes + 1).error().code == ErrorCode::internal);
  CHECK(text_of(*lines, 0, 38, 0).value().empty());
  CHECK(text_of(*lines, 0, 39, 0).error().code == ErrorCode::internal);
  CHECK(text_of(*lines, 0, ~std::uint64_t{0}, 2).error().code == ErrorCode::internal);
}

TEST_CASE("lines that were asked for do not grow") {
  const Written written;
  const auto before = written.lines();
  REQUIRE(written.journal->commit(group_of(4, {line(1, 4)})));
  CHECK(before->segments().size() == 3);
  CHECK(written.lines()->segments().size() == 4);
}

TEST_CASE("a segment that is gone or was cut is an error that names it") {
  const Written written;
  std::filesystem::resize_file(written.path(1), line_bytes + 1);
  const auto lines = written.lines();
  CHECK(text_of(*lines, 0, 0, line_bytes + 1));
  const Error cut = text_of(*lines, 0, 0, line_bytes + 2).error();
  CHECK(cut.code == ErrorCode::io);
  CHECK(cut.message == fmt::format("expected 38 bytes in {}, got 20: the disk lost acknowledged "
                                   "data, or somebody changed the file; restore it",
                                   written.path(1)));
  std::filesystem::remove(written.path(2));
  const Error gone = text_of(*lines, 1, 0, 1).error();
  CHECK(gone.code == ErrorCode::io);
  CHECK_THAT(gone.message, Catch::StartsWith("open " + written.path(2)));
  CHECK(text_of(*lines, 2, 0, line_bytes)); // another is as good as it was
}

TEST_CASE("who reads a job's lines keeps what is open when the job is forgotten") {
  const Written written;
  const auto lines = written.lines();
  CHECK(text_of(*lines, 0, 0, 1));
  Group group;
  group.upto = 4;
  group.forgotten = {JobId{1}};
  REQUIRE(written.journal->commit(std::move(group)));
  CHECK(text_of(*lines, 0, 0, 38).value() == line(1, 0).line + "\n" + line(1, 1).line + "\n");
  CHECK(text_of(*lines, 1, 0, 1).error().code == ErrorCode::io);
  CHECK(written.journal->store->lines_of(JobId{1}, LineKind::results).error().code ==
        ErrorCode::not_found);
}

} // namespace line_store_test
