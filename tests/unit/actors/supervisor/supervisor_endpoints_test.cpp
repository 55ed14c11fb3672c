// What SUPERVISOR says of its calls for the choice of an endpoint: where an item has failed, and
// which calls begin alike.
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace supervisor_endpoints_test {

using namespace gristmill;
using namespace gristmill::supervisor_test;

namespace {

OfferedCall later(Bench& bench) {
  bench.tick_at(bench.now + 1min);
  return bench.take_offer();
}

std::vector<EndpointId> ids(std::initializer_list<std::uint32_t> values) {
  std::vector<EndpointId> ids;
  for (const std::uint32_t value : values) ids.push_back(EndpointId{value});
  return ids;
}

} // namespace

TEST_CASE("an item's next call names where it has failed, the last four of them", "[supervisor]") {
  JobSpec spec = spec_of();
  spec.policy.retries = 20;
  Bench bench{good_line(0), spec};
  bench.start_fresh();
  OfferedCall call = bench.take_offer();
  CHECK(call.failed_at.empty());
  const auto fail_at = [&](std::uint32_t endpoint, OutcomeClass cls) {
    auto outcome = bench.outcome(call, cls);
    outcome.outcome.endpoint = EndpointId{endpoint};
    bench.report(outcome);
    call = later(bench);
    return call.failed_at;
  };
  CHECK(fail_at(1, OutcomeClass::transient) == ids({1}));
  CHECK(fail_at(2, OutcomeClass::timeout) == ids({1, 2}));
  CHECK(fail_at(3, OutcomeClass::rate) == ids({1, 2})); // which is no failure
  CHECK(fail_at(1, OutcomeClass::overload) == ids({2, 1}));
  CHECK(fail_at(4, OutcomeClass::bad_result) == ids({2, 1, 4}));
  CHECK(fail_at(5, OutcomeClass::transient) == ids({2, 1, 4, 5}));
  CHECK(fail_at(6, OutcomeClass::transient) == ids({1, 4, 5, 6}));
}

TEST_CASE("calls that begin alike are offered next to each other", "[supervisor]") {
  JobSpec spec = spec_of();
  spec.shape.prompt = "{{context}} {{text}}";
  std::string input;
  const auto line = [&](int n, char context) {
    input += fmt::format(R"({{"id":"{}","text":"t","context":"{}"}})", n,
                         std::string(context == '-' ? 10 : 2'000, context)) +
             "\n";
  };
  int n = 0;
  for (const char context : std::string{"ab-ca-bb"}) line(n++, context);
  Bench bench{input, spec};
  bench.start_fresh();
  std::vector<std::uint64_t> items;
  std::set<std::uint64_t> prefixes;
  for (const OfferedCall& call : bench.take_offers()) {
    items.push_back(call.planned.parts[0].id.item);
    prefixes.insert(call.prefix);
  }
  CHECK(items == std::vector<std::uint64_t>{0, 4, 1, 6, 7, 2, 3, 5});
  CHECK(prefixes.size() == 4); // three groups, and none
}

} // namespace supervisor_endpoints_test
