// What is known of sessions that the journal shows open: whose claims may be true, who is expected.
#include "actors/coordinator/sessions/earlier_sessions.hpp"
#include "actors/kit/defaults.hpp"
#include "protocol/limits.hpp"

#include <catch2/catch.hpp>

namespace earlier_sessions_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;
constexpr Nonce first{1}, second{2}, stranger{3};

std::vector<journal::SessionNote> open_sessions() {
  return {{SessionId{11}, "worker-1", first, true, 5}, {SessionId{12}, "worker-2", second, true}};
}

EarlierSessions two(bool workers_died = false) {
  EarlierSessions earlier{Epoch{3}, open_sessions(), workers_died, start};
  earlier.job_opened(JobId{7}, 10);
  return earlier;
}

protocol::Claim claim_of(std::uint64_t item, Epoch epoch = Epoch{2}) {
  return {CallId{item}, AttemptId::of(epoch, 1, item), {{JobId{7}, item, 0}}, EndpointId{1}};
}

protocol::Hello hello_of(Nonce process, std::string name) {
  protocol::Hello hello;
  hello.process = process;
  hello.name = std::move(name);
  return hello;
}

} // namespace

TEST_CASE("a claim of an earlier life is believed of one process, for items that may be called") {
  EarlierSessions earlier = two();
  CHECK(earlier.may_have_been_given(claim_of(4), first));
  CHECK(earlier.may_have_been_given(claim_of(4), first));
  CHECK_FALSE(earlier.may_have_been_given(claim_of(4), second)); // it is the first one's
  CHECK_FALSE(earlier.may_have_been_given(claim_of(5), stranger));
  CHECK_FALSE(earlier.may_have_been_given(claim_of(10), second)); // at the mark
  CHECK_FALSE(earlier.may_have_been_given(claim_of(5, Epoch{3}), second));
  CHECK(earlier.may_have_been_given(claim_of(9), second));
  earlier.job_closed(JobId{7});
  CHECK_FALSE(earlier.may_have_been_given(claim_of(3), second));
  CHECK_FALSE(two(true).may_have_been_given(claim_of(4), first));
}

TEST_CASE("the grace ends once: when everybody has come, or when it is over") {
  EarlierSessions earlier = two();
  CHECK_FALSE(earlier.end_grace(start));
  SECTION("all have come") {
    CHECK(earlier.greeted_by(hello_of(first, "worker-1"), false).size() == 1);
    CHECK(earlier.greeted_by(hello_of(second, "worker-2"), false).size() == 1);
    const auto over = earlier.end_grace(start);
    REQUIRE(over);
    CHECK(over->all_told);
    CHECK(over->closed.empty());
    CHECK(earlier.untold_calls() == 0);
  }
  SECTION("one has not") {
    CHECK(earlier.greeted_by(hello_of(second, "worker-2"), false).size() == 1);
    CHECK_FALSE(earlier.end_grace(start + defaults::restart_grace - 1ms));
    const auto over = earlier.end_grace(start + defaults::restart_grace);
    REQUIRE(over);
    CHECK_FALSE(over->all_told);
    REQUIRE(over->closed.size() == 1);
    CHECK(over->closed[0].process == first);
    CHECK_FALSE(over->closed[0].open);
    CHECK(earlier.untold_calls() == 5);
  }
  CHECK_FALSE(earlier.in_grace());
  CHECK(earlier.expected() == 0);
  CHECK_FALSE(earlier.end_grace(start + 1h));
}

TEST_CASE(
    "who comes with nothing in hand under a name has taken the place of that name's process") {
  EarlierSessions earlier = two();
  CHECK(earlier.greeted_by(hello_of(stranger, "worker-2"), false).empty());
  CHECK(earlier.greeted_by(hello_of(stranger, "worker-2"), true).size() == 1);
  CHECK(earlier.expected() == 1);
  CHECK(earlier.untold_calls() == limits::worker_calls_max); // of which nobody noted how many
}

TEST_CASE("where the workers died with us there is no grace, and all is told") {
  EarlierSessions earlier = two(true);
  const auto over = earlier.end_grace(start);
  REQUIRE(over);
  CHECK(over->all_told);
  CHECK(over->closed.size() == 2);
}

} // namespace earlier_sessions_test
