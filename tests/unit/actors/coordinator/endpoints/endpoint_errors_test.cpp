// What is known of an endpoint's failures, and which of them the log is told.
#include "actors/coordinator/endpoints/endpoint_errors.hpp"

#include <catch2/catch.hpp>

namespace endpoint_errors_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;

protocol::Outcome of(OutcomeClass cls, std::string words = "words") {
  protocol::Outcome outcome;
  outcome.cls = cls;
  outcome.code = "code";
  outcome.http_status = 503;
  outcome.message = std::move(words);
  return outcome;
}

} // namespace

TEST_CASE("the first failure of a class is told at once, then one in ten seconds with the others' "
          "number") {
  EndpointErrors errors;
  CHECK(errors.ended(of(OutcomeClass::unavailable), start) == 0u);
  for (int n = 0; n < 30; ++n)
    CHECK_FALSE(errors.ended(of(OutcomeClass::unavailable), start + n * 100ms));
  CHECK(errors.ended(of(OutcomeClass::timeout), start + 3s) == 0u); // another class
  CHECK_FALSE(errors.ended(of(OutcomeClass::unavailable), start + 10s - 1ns));
  CHECK(errors.ended(of(OutcomeClass::unavailable), start + 10s) == 31u);
  CHECK_FALSE(errors.ended(of(OutcomeClass::unavailable), start + 11s));
  CHECK(errors.ended(of(OutcomeClass::unavailable), start + 20s) == 1u);
}

TEST_CASE("an endpoint fails since its first failure without an answer after it") {
  EndpointErrors errors;
  CHECK(errors.failing_since() == never);
  errors.ended(of(OutcomeClass::unavailable), start);
  errors.ended(of(OutcomeClass::unavailable, "later"), start + 5s);
  CHECK(errors.failing_since() == start);
  CHECK(errors.last()->sample == "later");
  CHECK(errors.last_at() == start + 5s);
  errors.ended(of(OutcomeClass::bad_line), start + 6s); // an answer, whatever it says of the item
  CHECK(errors.failing_since() == never);
  CHECK(errors.last()->cls == OutcomeClass::bad_line);
  CHECK(errors.last_failure()->sample == "later"); // an item's fault is none of the endpoint's
  CHECK(errors.last_failure_at() == start + 5s);
  errors.ended(of(OutcomeClass::timeout), start + 7s);
  CHECK(errors.failing_since() == start + 7s);
  errors.ended(of(OutcomeClass::ok), start + 8s);
  CHECK(errors.failing_since() == never);
  CHECK(errors.book().list().size() == 3);
}

TEST_CASE("what nobody is at fault for is no error of the endpoint") {
  EndpointErrors errors;
  for (const OutcomeClass cls :
       {OutcomeClass::ok, OutcomeClass::cancelled, OutcomeClass::unstarted}) {
    CHECK_FALSE(errors.ended(of(cls), start));
    CHECK(errors.failing_since() == never);
  }
  CHECK(errors.book().empty());
}

} // namespace endpoint_errors_test
