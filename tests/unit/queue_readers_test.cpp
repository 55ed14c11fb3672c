// How workers that look at one page share the looks.
#include "actors/coordinator/queue_readers.hpp"

#include <catch2/catch.hpp>

using namespace gristmill;
using coordinator::QueueReaders;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("one or two workers look every second, many more rarely, none for ever", "[queue]") {
  QueueReaders readers;
  const Time now = Time{} + std::chrono::hours{1};
  std::vector<std::uint32_t> pauses{0};
  for (std::uint64_t n = 1; n <= 40; ++n) {
    const auto pause = readers.pause(EndpointId{1}, SessionId{n}, now);
    CHECK(pause.endpoint == EndpointId{1});
    pauses.push_back(pause.ms);
  }
  CHECK(pauses[1] == 1'000);
  CHECK(pauses[2] == 1'000);
  CHECK(pauses[3] == 1'500);
  CHECK(pauses[19] == 9'500);
  CHECK(pauses[20] == 10'000);
  CHECK(pauses[40] == 10'000);
  CHECK(readers.pause(EndpointId{1}, SessionId{7}, now).ms == 10'000);
  CHECK(readers.pause(EndpointId{2}, SessionId{7}, now).ms == 1'000);
}

TEST_CASE("who tells no more does not count, and nothing is left of him", "[queue]") {
  QueueReaders readers;
  const Time now = Time{} + std::chrono::hours{1};
  for (std::uint64_t n = 1; n <= 8; ++n) readers.pause(EndpointId{1}, SessionId{n}, now);
  readers.pause(EndpointId{2}, SessionId{1}, now);
  CHECK(readers.pause(EndpointId{1}, SessionId{1}, now + milliseconds{24'999}).ms == 4'000);
  CHECK(readers.pause(EndpointId{1}, SessionId{1}, now + milliseconds{25'999}).ms == 1'000);
  CHECK(readers.size() == 1);
}
