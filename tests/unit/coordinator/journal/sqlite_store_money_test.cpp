// What the journal keeps of a job's budget of money.
#include "coordinator/journal/sqlite.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"
#include "tests/unit/nano_usd.hpp"

namespace sqlite_store_money_test {

using namespace gristmill;
using namespace gristmill::store_test;

namespace {

journal::MoneyNote note(std::optional<Usd> watermark, std::optional<Usd> assumed) {
  return {JobId{1}, 1, watermark, assumed};
}

} // namespace

TEST_CASE("the last watermark and the last assumption of a job come back", "[money]") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    journal::Group first;
    first.jobs = {new_job(1, "1"), new_job(2, "2")};
    first.money = {note(nano_usd(500), nano_usd(10)), note(nano_usd(700), {})};
    journal.commit_next(first);
    journal::Group second;
    second.money = {note({}, nano_usd(40)), note(nano_usd(300), {})};
    journal::JobNote lost;
    lost.job = JobId{1};
    lost.cost = nano_usd(77);
    second.notes = {lost};
    journal.commit_next(second);
  }
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(journal.job(1).money_watermark == nano_usd(300));
  CHECK(journal.job(1).money_assumed == nano_usd(40));
  CHECK(journal.job(1).counts.cost == nano_usd(77));
  CHECK(journal.job(2).money_watermark == nano_usd(0));
  journal.store->read_job(JobId{1});
  CHECK(journal.heard.content.get_future().get()->money_assumed == nano_usd(40));
}

TEST_CASE("a forgotten job's money is forgotten", "[money]") {
  const TempDirectory temp;
  {
    Opened journal{temp / "state"};
    REQUIRE(journal.store);
    journal::Group first;
    first.jobs = {new_job(1, "1")};
    first.money = {note(nano_usd(500), nano_usd(10))};
    journal.commit_next(first);
    journal::Group second;
    second.forgotten = {JobId{1}};
    journal.commit_next(second);
    journal::Group late; // of a limiter that had not heard of it
    late.money = {note(nano_usd(600), nano_usd(10))};
    journal.commit_next(late);
  }
  Opened journal{temp / "state"};
  REQUIRE(journal.store);
  CHECK(journal.recovered.jobs.empty());
}

} // namespace sqlite_store_money_test
