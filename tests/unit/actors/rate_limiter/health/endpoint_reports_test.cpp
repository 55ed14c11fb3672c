// What an endpoint is heard to say by the ends of its calls, and what of it outlives its account.
#include "actors/rate_limiter/health/endpoint_reports.hpp"

#include <catch2/catch.hpp>

namespace endpoint_reports_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;

struct Bench {
  AccountDirectory accounts{defaults::day_window};
  AccountDirectory::Ref account = accounts.open("endpoint", {}, start);
  EndpointReports reports;
  Time now = start;

  Bench() {
    static_cast<void>(account->refuses(1, now));
    static_cast<void>(account->reserve(1, now));
    account->durable(1);
  }
  EndpointReports::Said end(const Ended& ended, Duration took = 1s) {
    const Charge charge = account->draw(1, now);
    now += took;
    const auto said = reports.ended(*account, charge, ended, now);
    account->settle(charge, 1, now);
    if (said.refused) EndpointReports::refused(*account, charge, ended, now);
    return said;
  }
};

Ended ended(OutcomeClass cls, std::uint16_t status, Ended::How how = Ended::How::answered) {
  Ended ended;
  ended.how = how;
  ended.cls = cls;
  ended.http_status = status;
  ended.latency = 1s;
  return ended;
}

} // namespace

TEST_CASE("what a worker finds out by itself, and a lost call, are nothing that an endpoint says") {
  Bench bench;
  CHECK(bench.end(ended(OutcomeClass::bad_line, 400)).news == EndpointNews::answered);
  CHECK(bench.end(ended(OutcomeClass::bad_line, 0)).news == EndpointNews::none);
  CHECK(bench.end(ended(OutcomeClass::ok, 200, Ended::How::lost)).news == EndpointNews::none);
}

TEST_CASE(
    "an endpoint that asks us to wait is parked for as long as it says, ten minutes at most") {
  const auto [told_ms, parked] =
      GENERATE(table<std::int64_t, Duration>({{-1, 1s}, {2'500, 2'500ms}, {3'600'000, 600s}}));
  Bench bench;
  Ended end = ended(OutcomeClass::rate, 429);
  end.attempt = AttemptId::of(Epoch{1}, 1, 1);
  end.retry_after_ms = told_ms;
  CHECK(bench.end(end).refused);
  const auto reason = bench.account->refuses(1, bench.now);
  REQUIRE(reason);
  CHECK(reason->kind == WaitKind::cooldown);
  CHECK(reason->until == bench.now + parked);
  CHECK(reason->attempt == end.attempt);
}

TEST_CASE("a failure after a while is no refusal") {
  Bench bench;
  CHECK_FALSE(bench.end(ended(OutcomeClass::unavailable, 503)).refused);
  CHECK_FALSE(bench.end(ended(OutcomeClass::ok, 200)).refused);
}

TEST_CASE("those without credit are asked at once whenever somebody may have paid") {
  Bench bench;
  bench.end(ended(OutcomeClass::quota, 402));
  const auto& quota = bench.account->health().quota();
  for (int n = 0; n < 2; ++n) {
    CHECK(quota.refuses(bench.now));
    bench.reports.credit_may_be_back(bench.accounts);
    CHECK_FALSE(quota.refuses(bench.now));
    bench.end(ended(OutcomeClass::quota, 402));
  }
  bench.reports.credit_may_be_back(bench.accounts);
  bench.end(ended(OutcomeClass::ok, 200));
  CHECK_FALSE(quota.is_closed());
}

TEST_CASE("how many calls a server takes up is begun with again, unless it is gone for good") {
  Bench bench;
  bench.reports.recovered({{"endpoint", 12, false}});
  bench.reports.opened(*bench.account, start);
  CHECK(bench.account->slots() == 12);
  CHECK(bench.reports.notes().empty());
  bench.reports.gone(*bench.account);
  const auto notes = bench.reports.notes();
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].calls == 0);
  CHECK(bench.reports.size() == 0);
}

} // namespace endpoint_reports_test
