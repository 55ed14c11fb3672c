// What SUPERVISOR makes of an input that cannot be read now, or is not the one that it was.
#include "actors/wiring/rooms.hpp"
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace supervisor_reading_test {

using namespace gristmill;
using namespace gristmill::supervisor_test;

namespace {

// A source that has no descriptor left for one read of so many.
struct BusySource : MemorySource {
  std::uint64_t one_of = 0; // 0 = never
  Random random{1};
  bool busy() { return one_of != 0 && random.below(one_of) == 0; }
  Result<std::size_t> read(std::uint32_t input, std::uint64_t offset,
                           std::span<char> into) override {
    if (busy()) return fail(ErrorCode::unavailable, "open in.jsonl: Too many open files");
    return MemorySource::read(input, offset, into);
  }
};

supervisor::RecoveredItems with_results(std::uint64_t items) {
  supervisor::RecoveredItems recovered;
  for (std::uint64_t item = 0; item < items; ++item) recovered.terminal.insert(item);
  recovered.counts.completed = recovered.counts.total = items;
  return recovered;
}

} // namespace

TEST_CASE("a job with results for more items than its input has fails with a sentence") {
  Bench bench{good_lines(41)};
  const std::uint64_t results = GENERATE(40u, 41u, 42u);
  bench.start(with_results(results));
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.want(1'000);
  if (results <= 41) {
    CHECK(bench.failure.empty());
    CHECK(bench.take_offers().size() == 41 - results);
    return;
  }
  CHECK(bench.failure.find("42 items or more, got 41") != std::string::npos);
  CHECK_FALSE(bench.all_terminal);
  CHECK(bench.supervisor->wake_at() == never);
}

TEST_CASE("a job of which more items were known than its input has fails with a sentence") {
  Bench bench{good_lines(41)};
  auto recovered = with_results(10);
  recovered.counts.total = GENERATE(41u, 42u);
  const bool good = recovered.counts.total == 41;
  bench.start(std::move(recovered));
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.want(1'000);
  CHECK(bench.failure.empty() == good);
}

TEST_CASE("a paused or cancelled job whose input cannot be read fails and does not hang") {
  Bench bench{good_lines(2'000)};
  const bool paused = GENERATE(true, false);
  auto recovered = with_results(3);
  recovered.low = {0, good_line(0).size() * 3, 3, 3};
  recovered.mark = 10;
  bench.start(std::move(recovered));
  bench.source.broken = true;
  bench.hear(paused ? bench.supervisor->pause(bench.now) : bench.supervisor->cancel(bench.now));
  bench.hear(bench.supervisor->tick(bench.now));
  CHECK(bench.failure.find("the disk is gone") != std::string::npos);
  CHECK(bench.supervisor->wake_at() == never);
}

TEST_CASE("after a restart an item with a repeated id does not count as normalised") {
  JobSpec spec = spec_of();
  spec.shape.prompt = "{{text}}";
  spec.shape.normalise = true;
  const auto line = [](const char* id) {
    return fmt::format("{{\"id\":\"{}\",\"text\":\"e\u0301\"}}\n", id);
  };
  Bench bench{line("a") + line("a") + line("b"), spec};
  supervisor::RecoveredItems recovered;
  recovered.mark = 3;
  recovered.may_have_called = true;
  bench.start(std::move(recovered));
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.want(10);
  const auto calls = bench.take_offers();
  REQUIRE(calls.size() == 2);
  bench.report(calls[0], OutcomeClass::ok);
  CHECK(bench.last().note.low.item == 2);
  CHECK(bench.last().note.low.before.normalised == 1);
}

TEST_CASE("an input for which there is no descriptor is asked for again, and nothing is missing") {
  const auto kind = GENERATE(as<std::string>{}, "lines", "table", "document", "a second input");
  CAPTURE(kind);
  BusySource source;
  source.read_max = 60; // so that a record lies in several reads
  source.names = {kind == "table" ? "a.csv" : kind == "document" ? "a.txt" : "a.jsonl", "b.jsonl"};
  std::string table = "id,text\n";
  for (int n = 0; n < 60; ++n) table += fmt::format("{},\"text\nof {}\"\n", n, n);
  source.inputs = {kind == "table" ? table : kind == "document" ? "a text" : good_lines(60)};
  if (kind == "a second input") source.inputs.push_back(good_lines(30) + good_lines(5));
  JobSpec spec = spec_of();
  const auto items_of = [&](std::uint64_t fails_one_of) {
    source.one_of = fails_one_of;
    intake::Intake intake{spec, source, {}};
    std::vector<std::string> items;
    for (int tries = 0; tries < 100'000; ++tries) {
      const auto item = intake.next();
      if (!item) {
        REQUIRE(item.error().code == ErrorCode::unavailable);
        continue;
      }
      if (!*item) return items;
      items.push_back(
          fmt::format("{} {} {} {}", (*item)->ordinal, (*item)->id, (*item)->raw, (*item)->bad));
    }
    FAIL("it never came to its end");
    return items;
  };
  const auto all = items_of(0);
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    source.random = Random{seed};
    CHECK(items_of(10) == all);
  }
}

TEST_CASE(
    "SUPERVISOR waits a second for a descriptor and goes on, with new items and with retries") {
  Bench bench{good_lines(3)};
  struct Wrapped : MemorySource {
    bool busy = false;
    Result<std::size_t> read(std::uint32_t input, std::uint64_t offset,
                             std::span<char> into) override {
      if (busy) return fail(ErrorCode::unavailable, "open in.jsonl: Too many open files");
      return MemorySource::read(input, offset, into);
    }
  } source;
  source.inputs = {good_lines(3)};
  bench.supervisor = std::make_unique<supervisor::Supervisor>(
      supervisor::SupervisedJob{JobId{7}, Epoch{3}, bench.spec}, source,
      supervisor::RecoveredItems{});
  bench.hear(bench.supervisor->started(bench.now));
  bench.hear(bench.supervisor->grace_over(bench.now));
  source.busy = true;
  bench.want(2);
  CHECK(bench.failure.empty());
  CHECK(bench.take_offers().empty());
  CHECK(bench.supervisor->wake_at() == bench.now + 1s);
  const WaitReason why = bench.supervisor->why_waiting(bench.now);
  CHECK(why.kind == WaitKind::reading);
  CHECK(why.because.find("Too many open files") != std::string::npos);
  bench.hear(bench.supervisor->tick(bench.now + 999ms));
  CHECK(bench.take_offers().empty());
  source.busy = false;
  bench.now += 1s;
  bench.hear(bench.supervisor->tick(bench.now));
  auto offers = bench.take_offers();
  REQUIRE(offers.size() == 2);
  CHECK_FALSE(bench.supervisor->why_waiting(bench.now));
  // A retry, whose line is read again.
  std::vector<ReportedOutcome> failed{bench.outcome(offers[0], OutcomeClass::transient)};
  bench.hear(bench.supervisor->outcomes(std::move(failed), bench.now, bench.random));
  source.busy = true;
  bench.now += 60s;
  bench.want(2);
  CHECK(bench.take_offers().empty());
  source.busy = false;
  bench.now += 1s;
  bench.hear(bench.supervisor->tick(bench.now));
  offers = bench.take_offers();
  REQUIRE(offers.size() == 2);
  CHECK(bench.failure.empty());
}

TEST_CASE(
    "a job whose input cannot be opened now is opened later, and hears then what it was told") {
  using namespace gristmill::wiring;
  NodeOptions options;
  bool busy = true;
  options.open_source = [&](const JobSpec&) -> Result<std::unique_ptr<intake::ByteSource>> {
    if (busy) return fail(ErrorCode::unavailable, "in.jsonl: Too many open files");
    auto source = std::make_unique<MemorySource>();
    source->inputs = {good_lines(3)};
    return source;
  };
  SupervisorRoom room{JobId{7}, Epoch{3}, options};
  const Time start = time_from_ns(0) + 1h;
  const auto tell = [&](Message message, Time now) {
    Post post;
    room.handle(std::move(message), {now, 1'000}, post);
    return post;
  };
  supervisor::RecoveredItems recovered;
  recovered.counts.completed = 9;
  Post post = tell(OpenJob{spec_of(), recovered}, start);
  CHECK(post.wake_at == start + 1s);
  JobNews news;
  news.room = {{0, 10, 1'000'000}};
  post = tell(std::move(news), start + 500ms);
  CHECK(post.wake_at == start + 1s);
  for (const auto& envelope : post.envelopes) {
    const auto* report = std::get_if<JobReport>(&envelope.message);
    REQUIRE(report != nullptr);
    CHECK_FALSE(report->stop);
    CHECK(report->counts.completed == 9);
  }
  post = tell(Tick{}, start + 1s);
  CHECK(post.wake_at == start + 2s);
  busy = false;
  post = tell(Tick{}, start + 2s);
  std::size_t offered = 0;
  for (const auto& envelope : post.envelopes)
    if (const auto* offer = std::get_if<Offer>(&envelope.message)) offered += offer->calls.size();
  CHECK(offered == 3);
}

TEST_CASE("a result for which there is no descriptor is merged later") {
  using namespace gristmill::wiring;
  NodeOptions options;
  options.open_merge = [](JobId, const JobSpec&) -> Result<std::unique_ptr<merger::MergeFiles>> {
    return fail(ErrorCode::unavailable, "open results-1.jsonl: Too many open files");
  };
  MergerRoom room{JobId{7}, options};
  Post post;
  room.handle(merger::MergeTask{JobId{7}, spec_of(), {}, 0, 0, false},
              {time_from_ns(0) + 1h, 1'000}, post);
  REQUIRE(post.envelopes.size() == 1);
  CHECK(std::get<MergeReport>(post.envelopes[0].message).again);
  CHECK(post.wake_at == time_from_ns(0) + 1h + 5s);
}

} // namespace supervisor_reading_test
