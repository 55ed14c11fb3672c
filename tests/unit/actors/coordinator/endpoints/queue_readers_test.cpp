// How workers that look at one page share the looks.
#include "actors/coordinator/endpoints/queue_readers.hpp"

#include <catch2/catch.hpp>
#include <queue>

namespace queue_readers_test {

using namespace gristmill;
using coordinator::QueueReaders;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

const Time start = Time{} + std::chrono::hours{1};
const EndpointId page{1};

// So many workers, who all look at the start, for a minute: how many looks, and the longest time
// from one to the next of the last half.
std::pair<int, Duration> looks(int workers) {
  QueueReaders readers;
  std::priority_queue<Time, std::vector<Time>, std::greater<>> due;
  for (int n = 0; n < workers; ++n) due.push(start);
  int count = 0;
  Duration longest{};
  Time before = start;
  for (; due.top() < start + seconds{60}; ++count) {
    const Time now = due.top();
    due.pop();
    if (now > start + seconds{30}) longest = std::max(longest, now - before);
    before = now;
    due.push(now + milliseconds{readers.pause(page, now).ms});
  }
  return {count, longest};
}

} // namespace

TEST_CASE("workers take turns at a page, evenly spread", "[queue]") {
  CHECK(looks(1) == std::pair<int, Duration>{60, seconds{1}});
  for (const int workers : {2, 3, 4, 10, 20}) {
    INFO(workers << " workers");
    const auto [count, longest] = looks(workers);
    CHECK(count <= 120 + workers);
    CHECK(count >= 110);
    CHECK(longest == milliseconds{500});
  }
  CHECK(looks(100).first <= 20 + 600); // each every 10 s, but for the first twenty
}

TEST_CASE("a turn is a second away at least and ten at most, and each page has its own",
          "[queue]") {
  QueueReaders readers;
  CHECK(readers.pause(page, start).ms == 1'000);
  CHECK(readers.pause(EndpointId{2}, start).ms == 1'000);
  CHECK(readers.pause(page, start).ms == 1'500);
  CHECK(readers.pause(page, start + milliseconds{1'000}).ms == 1'000);
  std::uint32_t last = 0;
  for (int n = 0; n < 30; ++n) last = readers.pause(page, start + milliseconds{1'000}).ms;
  CHECK(last == 10'000);
  CHECK(readers.pause(page, start + seconds{60}).ms == 1'000); // they are all gone
  CHECK(readers.size() == 1);
}

} // namespace queue_readers_test
