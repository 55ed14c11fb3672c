// Whose call goes next.
#include "actors/coordinator/dispatch/fair_queue.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <string>

namespace fair_queue_test {

using namespace gristmill;
using namespace gristmill::coordinator;

namespace {

const FairQueue::Reaches all = [](const StreamId&, const std::string&) { return true; };

void push(FairQueue& queue, std::uint32_t job, std::uint64_t first, std::uint64_t last,
          const std::string& model = "", std::uint32_t stream = 0) {
  for (std::uint64_t call = first; call <= last; ++call) {
    OfferedCall offered;
    offered.planned.call = CallId{call};
    offered.planned.parts = {
        {{JobId{job}, call, PartNumber{stream}.value()}, ItemKind::batch_line, "x"}};
    offered.planned.model = model;
    queue.push(std::move(offered));
  }
}

FairQueue opened(std::uint32_t jobs) {
  FairQueue queue;
  for (std::uint32_t job = 1; job <= jobs; ++job) queue.open(JobId{job});
  return queue;
}

// The jobs of the next calls, as digits.
std::string turns(FairQueue& queue, int calls) {
  std::string jobs;
  for (int i = 0; i < calls; ++i) {
    const OfferedCall* front = queue.front(all);
    const auto call = queue.pop(all);
    if (!call) break;
    CHECK(front != nullptr);
    jobs += std::to_string(call->planned.job().value);
  }
  return jobs;
}

} // namespace

TEST_CASE("an empty queue gives nothing") {
  FairQueue queue = opened(1);
  CHECK(queue.empty());
  CHECK(queue.front(all) == nullptr);
  CHECK_FALSE(queue.pop(all));
}

TEST_CASE("calls of one job leave in the order in which they came") {
  FairQueue queue = opened(1);
  push(queue, 1, 1, 100);
  for (std::uint64_t call = 1; call <= 100; ++call) {
    CHECK(queue.front(all)->planned.call == CallId{call});
    CHECK(queue.pop(all)->planned.call == CallId{call});
  }
}

TEST_CASE("jobs that have calls take turns") {
  FairQueue queue = opened(3);
  push(queue, 1, 1, 10);
  push(queue, 3, 1, 10);
  CHECK(turns(queue, 6) == "131313");
  push(queue, 2, 1, 10);
  CHECK(turns(queue, 1) == "2");
  for (int i = 0; i < 5; ++i) {
    const std::string round = turns(queue, 3);
    CHECK(round.find('1') != std::string::npos);
    CHECK(round.find('2') != std::string::npos);
    CHECK(round.find('3') != std::string::npos);
  }
}

TEST_CASE("a job that was idle neither starves the others nor is starved") {
  FairQueue queue = opened(2);
  push(queue, 1, 1, 2'000);
  turns(queue, 1'000);
  push(queue, 2, 1, 100); // has been served nothing so far
  const std::string next = turns(queue, 20);
  CHECK(std::count(next.begin(), next.end(), '1') >= 9);
  CHECK(std::count(next.begin(), next.end(), '2') >= 9);
}

TEST_CASE("a queue counts its calls and bytes, job by job") {
  FairQueue queue = opened(2);
  push(queue, 1, 1, 3);
  push(queue, 2, 4, 4);
  CHECK(queue.size() == 4);
  CHECK(queue.size(JobId{1}) == 3);
  CHECK(queue.bytes({JobId{1}}) == 3 * queue.front(all)->bytes());
  CHECK(queue.size(JobId{9}) == 0);
  queue.remove(JobId{1}, CallId{2});
  queue.remove(JobId{1}, CallId{2});
  queue.remove(JobId{9}, CallId{1});
  CHECK(queue.size(JobId{1}) == 2);
  CHECK(queue.pop(all)->planned.call == CallId{1});
  CHECK(queue.close(JobId{1}).size() == 1);
  CHECK(queue.close(JobId{1}).empty());
  CHECK(queue.size() == 1);
  CHECK(queue.bytes({JobId{1}}) == 0);
}

TEST_CASE("a closed job takes no more calls") {
  FairQueue queue = opened(1);
  push(queue, 2, 1, 1);
  CHECK(queue.empty());
}

TEST_CASE("opening a job again changes nothing") {
  FairQueue queue = opened(1);
  push(queue, 1, 1, 2);
  queue.open(JobId{1});
  CHECK(queue.size() == 2);
}

TEST_CASE("only calls of models that are reached leave, in the order in which they came") {
  FairQueue queue = opened(2);
  push(queue, 1, 1, 2, "a");
  push(queue, 1, 3, 3, "b");
  push(queue, 1, 4, 4, "a");
  push(queue, 2, 5, 6, "b");
  const FairQueue::Reaches only_b = [](const StreamId&, const std::string& model) {
    return model == "b";
  };
  const auto next = [&](const FairQueue::Reaches& reaches) {
    const auto call = queue.pop(reaches);
    return call ? call->planned.call.value : 0;
  };
  CHECK(next(only_b) == 3);
  CHECK(next(only_b) == 5);
  CHECK(next(all) == 1);
  CHECK(next(only_b) == 6);
  CHECK(queue.front(only_b) == nullptr);
  CHECK(next(only_b) == 0);
  CHECK(next(all) == 2);
  CHECK(next(all) == 4);
  CHECK(queue.empty());
}

TEST_CASE("a stream that is refused leaves the turns of its job to the others, even of one model") {
  FairQueue queue = opened(1);
  push(queue, 1, 1, 2, "a", 0);
  push(queue, 1, 3, 3, "a", 2);
  push(queue, 1, 4, 4, "b", 0);
  const FairQueue::Reaches not_first = [](const StreamId& id, const std::string&) {
    return id.model > 0;
  };
  CHECK(queue.models(JobId{1}) == std::set<std::string>{"a", "b"});
  CHECK(queue.front(not_first)->planned.call == CallId{3});
  CHECK(queue.pop(not_first)->planned.call == CallId{3});
  CHECK_FALSE(queue.pop(not_first));
  push(queue, 1, 5, 5, "a", 2);
  for (const std::uint64_t call : {1, 2, 4, 5}) CHECK(queue.pop(all)->planned.call == CallId{call});
}

TEST_CASE("a queue counts its calls and bytes, stream by stream") {
  FairQueue queue = opened(2);
  push(queue, 1, 1, 3, "a", 0);
  push(queue, 1, 4, 5, "b", 1);
  push(queue, 2, 6, 6, "b", 1);
  const StreamId first{JobId{1}, 0}, second{JobId{1}, 1};
  CHECK(queue.size(JobId{1}) == 5);
  CHECK(queue.size(first) == 3);
  CHECK(queue.size(second) == 2);
  CHECK(queue.bytes(second) == 2 * queue.front(all)->bytes());
  CHECK(queue.size(StreamId{JobId{1}, 2}) == 0);
  CHECK(queue.bytes(StreamId{JobId{9}, 0}) == 0);
  queue.remove(JobId{1}, CallId{5});
  CHECK(queue.size(second) == 1);
  CHECK(queue.size(first) == 3);
  CHECK(queue.jobs_with_calls() == 2);
  queue.remove(JobId{1}, CallId{4});
  CHECK(queue.bytes(second) == 0);
  CHECK(queue.close(JobId{1}).size() == 3);
  CHECK(queue.size(first) == 0);
  CHECK(queue.jobs_with_calls() == 1);
}

} // namespace fair_queue_test
