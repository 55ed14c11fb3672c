// What the supervisor makes of its input: kept fields, repeated ids, and both after a restart.
#include "protocol/limits.hpp"
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace supervisor_intake_test {

using namespace gristmill;
using namespace gristmill::supervisor_test;

namespace {

std::string line(std::uint64_t id) {
  return fmt::format("{{\"id\":\"doc-{}\",\"n\":{}}}\n", id, id);
}

} // namespace

TEST_CASE("the fields of --keep are copied into answers and error lines") {
  Bench bench{
      "{\"id\":\"a\",\"n\":1,\"m\":[2]}\n{\"id\":\"a\",\"n\":3}\nnot json\n{\"id\":\"b\"}\n"};
  bench.spec.shape.keep = {"n", "m"};
  bench.start_fresh();
  for (const auto& call : bench.take_offers()) bench.report(call, OutcomeClass::ok);
  CHECK(bench.line_of(0)["gristmill"]["input"].dump() == R"({"m":[2],"n":1})");
  CHECK(bench.line_of(1)["gristmill"]["input"].dump() == R"({"n":3})");
  CHECK_FALSE(bench.line_of(2)["gristmill"].contains("input"));
  CHECK(bench.line_of(3)["gristmill"]["input"].dump() == "{}");
}

TEST_CASE("kept fields may have as many bytes as the limit and no more") {
  const std::size_t bytes =
      GENERATE(limits::kept_bytes_max - 1, limits::kept_bytes_max, limits::kept_bytes_max + 1);
  const std::string frame = "{\"t\":\"\"}";
  Bench bench{"{\"id\":\"a\",\"t\":\"" + std::string(bytes - frame.size(), 'x') + "\"}\n"};
  bench.spec.shape.keep = {"t"};
  bench.start_fresh();
  CHECK(bench.take_offers().size() == (bytes <= limits::kept_bytes_max ? 1 : 0));
  if (bytes > limits::kept_bytes_max) {
    CHECK(bench.line_of(0)["error"]["message"].get<std::string>().find("--keep") !=
          std::string::npos);
    CHECK_FALSE(bench.line_of(0)["gristmill"].contains("input"));
  }
}

TEST_CASE("after a restart an id that came before is still a repeated one, and nothing is offered "
          "before that is known") {
  // 10,000 lines before the place where reading goes on, and four items that were perhaps called.
  std::string text;
  for (std::uint64_t i = 0; i < 10'000; ++i) text += line(i);
  const std::uint64_t offset = text.size();
  for (const std::uint64_t i : {10'000u, 7u, 10'002u, 10'003u, 10'002u, 10'005u}) text += line(i);
  Bench bench{text};
  supervisor::RecoveredItems recovered;
  recovered.low = {0, offset, 10'000, 10'000};
  for (std::uint64_t i = 0; i < 10'000; ++i) recovered.terminal.insert(i);
  recovered.counts.completed = 10'000;
  recovered.mark = 10'004;
  bench.start(std::move(recovered));
  // Known by name at once: a worker may say that it is calling one.
  bench.hear(bench.supervisor->claimed({claim(10'003, 77)}, bench.now));
  bench.hear(bench.supervisor->grace_over(bench.now));
  bench.want(100);
  std::size_t slices = 0;
  while (bench.supervisor->wake_at() == Time::min()) {
    if (slices < 5) CHECK(bench.offered.empty());
    ++slices;
    bench.tick_at(bench.now);
  }
  CHECK(slices >= 5);
  std::vector<std::uint64_t> offered;
  for (const auto& call : bench.take_offers()) offered.push_back(call.planned.parts[0].id.item);
  std::sort(offered.begin(), offered.end());
  CHECK(offered == std::vector<std::uint64_t>{10'000, 10'002, 10'005});
  CHECK(bench.line_of(10'001)["custom_id"] == "in-0.jsonl:10002");
  CHECK(bench.line_of(10'001)["error"]["message"].get<std::string>().find("line 8's") !=
        std::string::npos);
  CHECK(bench.line_of(10'004)["error"]["message"].get<std::string>().find("line 10003's") !=
        std::string::npos);
}

TEST_CASE("a line without a field of the template is an error line that nobody is asked to call") {
  Bench bench{"{\"id\":\"a\",\"title\":\"t\"}\n{\"id\":\"b\",\"titel\":\"t\"}\n"};
  bench.spec.shape.prompt = "Sum up {{title}}";
  bench.start_fresh();
  CHECK(bench.take_offer().planned.parts[0].id.item == 0);
  const auto bad = bench.line_of(1);
  CHECK(bad["custom_id"] == "b");
  CHECK(bad["gristmill"]["class"] == "bad_line");
  CHECK(bad["gristmill"]["attempts"] == 0);
  CHECK(bad["error"]["message"] == "in-0.jsonl:2: expected the field \"title\", which the template "
                                   "names, got the fields \"id\", \"titel\"");
}

} // namespace supervisor_intake_test
