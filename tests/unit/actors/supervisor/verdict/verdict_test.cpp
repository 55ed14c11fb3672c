// What the end of an attempt means for its part, from what is told of it and of those before it.
#include "actors/supervisor/verdict/verdict.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace verdict_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace std::chrono_literals;
using Catch::Contains;
using enum OutcomeClass;
using What = Judgement::What;

namespace {

const Time start = time_from_ns(0) + 1h;
constexpr EndpointId here{1}, there{2};

PartId part(std::uint64_t item) {
  return {JobId{7}, item, 0};
}
Case case_of(std::uint64_t item, PartTally tally = {}) {
  Case judged;
  judged.part = part(item);
  judged.tally = std::move(tally);
  judged.described = "doc (in.jsonl:1): it is gone";
  return judged;
}
PartTally consumed(std::uint32_t attempts) {
  PartTally tally;
  tally.consumed = attempts;
  return tally;
}

struct Court {
  JobSpec spec;
  Verdict verdict;
  Time now = start;
  Random random{1};

  explicit Court(std::uint32_t retries = 5, std::uint32_t patience_s = 0)
      : spec{with(retries, patience_s)}, verdict{spec} {}
  static JobSpec with(std::uint32_t retries, std::uint32_t patience_s) {
    JobSpec spec;
    spec.policy.retries = retries;
    spec.policy.patience_s = patience_s;
    return spec;
  }

  // A call that began a second ago.
  ReportedOutcome ended(std::uint64_t item, OutcomeClass cls, EndpointId endpoint = here,
                        std::string code = "connection_lost") const {
    ReportedOutcome reported;
    reported.endpoint = endpoint == here ? "http://here" : "http://there";
    reported.model = "m";
    reported.outcome.endpoint = endpoint;
    reported.outcome.parts = {part(item)};
    reported.outcome.cls = cls;
    reported.outcome.code = std::move(code);
    reported.began = now - 1s;
    reported.alternatives = 1;
    return reported;
  }
  Judgement judge(const Case& judged, const ReportedOutcome& call) {
    return verdict.judge(judged, call, call.outcome, now, random);
  }
  Judgement judge(const Case& judged, OutcomeClass cls) {
    return judge(judged, ended(judged.part.item, cls));
  }
  std::vector<Debts::Debt> answer(std::uint64_t item, EndpointId endpoint = here) {
    return verdict.heard_answer(ended(item, ok, endpoint), now);
  }
  ReportedOutcome refusal(std::uint64_t item, std::uint16_t status = 403) const {
    auto reported = ended(item, config);
    reported.outcome.http_status = status;
    return reported;
  }
};

} // namespace

// ---- the part's own ends
// -------------------------------------------------------------------------

TEST_CASE("an answer ends its part, and so does what would be refused again") {
  const OutcomeClass cls = GENERATE(ok, too_long, bad_line, policy, too_big, cancelled, poison);
  CAPTURE(info(cls).name);
  Court court;
  const Judgement judgement = court.judge(case_of(0, consumed(2)), cls);
  CHECK(judgement.what == What::ends);
  CHECK(judgement.tally.consumed == 2);
  CHECK_FALSE(judgement.stop);
}

TEST_CASE("a failure of its own costs a retry, until there is none left") {
  const std::uint32_t before = GENERATE(0u, 1u, 2u);
  const OutcomeClass cls = GENERATE(transient, bad_result);
  CAPTURE(before, info(cls).name);
  Court court{2};
  const Judgement judgement = court.judge(case_of(0, consumed(before)), cls);
  CHECK(judgement.tally.consumed == before + 1);
  CHECK(judgement.what == (before < 2 ? What::again : What::ends));
  CHECK(court.verdict.may_go_on(judgement.tally) == (before < 2));
  if (before == 2) return;
  CHECK(judgement.noted);
  CHECK(judgement.elsewhere);
  CHECK(judgement.behind_since == never);
  CHECK(judgement.not_before >= court.now + 250ms * (1 << before));
  CHECK(judgement.not_before <= court.now + 500ms * (1 << before));
}

TEST_CASE("a server's word on when to come back is obeyed") {
  Court court;
  auto call = court.ended(0, transient);
  call.outcome.retry_after_ms = 10'000;
  CHECK(court.judge(case_of(0), call).not_before == court.now + 10s);
}

TEST_CASE("an answer of another form than was asked for leaves one try at most") {
  Court court{5};
  const Judgement first = court.judge(case_of(0), malformed);
  CHECK(first.what == What::again);
  CHECK(first.tally.consumed == 5);
  CHECK(court.judge(case_of(0, first.tally), malformed).what == What::ends);
}

TEST_CASE("a part that cannot succeed at its model falls back, once, unless the job is cancelled") {
  const auto [cls, falls] = GENERATE(table<OutcomeClass, bool>({
      {too_long, true},
      {policy, true},
      {transient, true}, // its last retry is used up
      {malformed, true},
      {bad_result, true},
      {bad_line, false},
      {too_big, false},
  }));
  CAPTURE(info(cls).name);
  Court court{0};
  Case judged = case_of(0);
  judged.has_fallback = true;
  const What otherwise = What::ends;
  CHECK(court.judge(judged, cls).what == (falls ? What::falls_back : otherwise));
  judged.cancelling = true;
  CHECK(court.judge(judged, cls).what == otherwise);
  judged.cancelling = false;
  judged.tally.on_fallback = true;
  CHECK(court.judge(judged, cls).what == otherwise);
}

// ---- calls of several parts
// -------------------------------------------------------------------------

TEST_CASE("parts that are refused together part company, unless the job is cancelled") {
  const auto [cls, apart] = GENERATE(table<OutcomeClass, bool>({
      {too_long, true},
      {bad_line, true},
      {malformed, true},
      {transient, false}, // it may pass
      {gateway, false},
      {ok, false},
  }));
  const std::uint64_t parts = GENERATE(1u, 2u);
  const bool cancelling = GENERATE(false, true);
  CAPTURE(info(cls).name, parts, cancelling);
  Court court;
  auto call = court.ended(0, cls);
  if (parts == 2) call.outcome.parts.push_back(part(1));
  Case judged = case_of(0);
  judged.cancelling = cancelling;
  const Judgement judgement = court.judge(judged, call);
  CHECK((judgement.what == What::apart) == (apart && parts == 2 && !cancelling));
  if (judgement.what == What::apart) CHECK(judgement.tally.consumed == 0);
}

TEST_CASE("one of several parts that was not answered in an answer goes by itself, whatever came") {
  Court court;
  auto call = court.ended(0, ok);
  call.outcome.parts.push_back(part(1));
  protocol::Reply reply;
  reply.cls = bad_result;
  CHECK(court.verdict.judge(case_of(0), call, reply, court.now, court.random).what == What::apart);
}

TEST_CASE("a part that fails in company for the second time goes with half of it") {
  const std::uint32_t before = GENERATE(0u, 1u, 2u);
  const std::uint64_t parts = GENERATE(1u, 2u, 5u);
  CAPTURE(before, parts);
  Court court;
  auto call = court.ended(0, transient);
  for (std::uint64_t more = 1; more < parts; ++more) call.outcome.parts.push_back(part(more));
  const Judgement judgement = court.judge(case_of(0, consumed(before)), call);
  CHECK(judgement.what == What::again);
  const bool halved = before >= 1 && parts > 1;
  CHECK(judgement.company == (halved ? (parts + 1) / 2 : 0));
}

// ---- answers that their model may repair

TEST_CASE("an answer that may be repaired is asked for once more at once, and then never") {
  const std::uint32_t retries = GENERATE(0u, 1u, 5u);
  CAPTURE(retries);
  Court court{retries};
  auto call = court.ended(0, bad_result);
  call.outcome.may_be_repaired = true;
  const Judgement first = court.judge(case_of(0), call);
  CHECK(first.tally.consumed == 1);
  CHECK(first.repairs == (retries > 0));
  CHECK(first.what == (retries > 0 ? What::again : What::ends));
  if (retries == 0) return;
  CHECK(first.not_before == court.now);
  CHECK(first.noted);
  const Judgement second = court.judge(case_of(0, first.tally), call);
  CHECK(second.what == What::ends);
  CHECK_FALSE(second.repairs);
  Case falls = case_of(0, first.tally);
  falls.has_fallback = true;
  CHECK(court.judge(falls, call).what == What::falls_back);
}

TEST_CASE("while a repair is on its way other failures are what they always are") {
  Court court{5};
  PartTally tally;
  tally.repaired = true;
  tally.consumed = 1;
  const Judgement judgement = court.judge(case_of(0, tally), court.ended(0, transient));
  CHECK(judgement.what == What::again);
  CHECK_FALSE(judgement.repairs);
  CHECK(judgement.tally.repaired);
}

// ---- after a restart
// -------------------------------------------------------------------------

TEST_CASE("a failure of an earlier life costs a part nothing that has fallen back since") {
  const bool on_fallback = GENERATE(false, true), earlier = GENERATE(false, true);
  const OutcomeClass cls = GENERATE(transient, bad_line, ok);
  CAPTURE(on_fallback, earlier, info(cls).name);
  Court court;
  Case judged = case_of(0, consumed(1));
  judged.tally.on_fallback = on_fallback;
  judged.before_fallback = earlier;
  const Judgement judgement = court.judge(judged, cls);
  if (on_fallback && earlier && cls != ok) {
    CHECK(judgement.what == What::again);
    CHECK(judgement.not_before == court.now);
    CHECK(judgement.tally.consumed == 1);
    CHECK(judgement.noted == (cls == transient));
    CHECK(judgement.elsewhere == (cls == transient));
  } else {
    CHECK(judgement.what == (cls == transient ? What::again : What::ends));
    CHECK(judgement.tally.consumed == (cls == transient ? 2 : 1));
  }
}

// ---- limits and accounts
// -------------------------------------------------------------------------

TEST_CASE("a limit, or a permit that died, costs nothing") {
  const OutcomeClass cls = GENERATE(rate, ramp, unstarted, quota);
  CAPTURE(info(cls).name);
  Court court{0};
  auto call = court.ended(0, cls);
  call.alternatives = 2;
  const Judgement judgement = court.judge(case_of(0), call);
  CHECK(judgement.what == What::again);
  CHECK(judgement.tally.consumed == 0);
  CHECK_FALSE(judgement.noted);
  CHECK_FALSE(judgement.elsewhere);
  CHECK(judgement.behind_since == never);
  CHECK_FALSE(judgement.stop);
}

TEST_CASE("the job pauses when every endpoint's account is used up, and none has answered since") {
  const bool answered = GENERATE(false, true);
  Court court;
  if (answered) court.judge(case_of(0), court.ended(0, ok, there));
  auto first = court.ended(1, quota, here), second = court.ended(2, quota, there);
  first.alternatives = second.alternatives = 3;
  CHECK_FALSE(court.judge(case_of(1), first).stop);
  CHECK_FALSE(court.judge(case_of(2), second).stop); // one of three is left
  if (answered) court.judge(case_of(3), court.ended(3, ok, EndpointId{3}));
  auto third = court.ended(4, quota, EndpointId{4});
  third.alternatives = 3;
  const auto stop = court.judge(case_of(4), third).stop;
  REQUIRE(stop.has_value() == !answered);
  if (stop) CHECK(stop->reason == JobReason::quota);
}

TEST_CASE("of several parts of a call one says that an account is used up") {
  Court court;
  Case judged = case_of(0);
  judged.speaks_for_call = false;
  CHECK_FALSE(court.judge(judged, quota).stop);
  judged.speaks_for_call = true;
  CHECK(court.judge(judged, quota).stop);
}

// ---- an endpoint's faults
// ------------------------------------------------------------------------

TEST_CASE("an endpoint's fault costs nothing; the part waits behind others, and goes elsewhere") {
  const OutcomeClass cls = GENERATE(overload, unreachable, unavailable, gateway);
  CAPTURE(info(cls).name);
  Court court{0};
  auto call = court.ended(0, cls);
  Judgement judgement = court.judge(case_of(0), call);
  CHECK(judgement.what == What::again);
  CHECK(judgement.tally.consumed == 0);
  REQUIRE(judgement.tally.words);
  CHECK(judgement.tally.words->cls == cls);
  CHECK(judgement.behind_since == court.now);
  CHECK(judgement.not_before == court.now + 1s);
  CHECK(judgement.elsewhere);
  CHECK_FALSE(judgement.noted);
  call.outcome.retry_after_ms = 600'000; // of what an endpoint asks for a minute is believed
  CHECK(court.judge(case_of(0), call).not_before == court.now + 60s);
}

TEST_CASE("an outage begins with the call that failed first, and lasts as long as patience does") {
  const Duration over = GENERATE(-1ns, 0ns, 1ns);
  Court court{5, 60};
  CHECK_FALSE(court.judge(case_of(0), unreachable).stop); // it began a second ago
  court.now = start + 59s + over;
  const auto stop = court.judge(case_of(1), unreachable).stop;
  REQUIRE(stop.has_value() == (over >= 0ns));
  if (stop) CHECK(stop->reason == JobReason::endpoint);
  CHECK(court.verdict.outage().calls() == 2);
}

TEST_CASE("an answer ends an outage, and so does who resumes the job, but not to probe") {
  const auto what = GENERATE(as<std::string>{}, "nothing", "answer", "resumed", "probing");
  CAPTURE(what);
  Court court{5, 60};
  court.judge(case_of(0), unreachable);
  if (what == "answer") court.answer(1);
  if (what == "resumed") court.verdict.resumed(false);
  if (what == "probing") court.verdict.resumed(true);
  court.now = start + 1h;
  const bool goes_on = what == "nothing" || what == "probing";
  CHECK(court.verdict.outage().since(court.now).has_value() == goes_on);
}

TEST_CASE("of several parts of a call one says that it failed, and all wait behind others") {
  Court court{5, 60};
  Case judged = case_of(0);
  judged.speaks_for_call = false;
  CHECK(court.judge(judged, unreachable).behind_since == court.now);
  CHECK(court.verdict.outage().calls() == 0);
}

// ---- time-outs
// -----------------------------------------------------------------------------------

TEST_CASE("a time-out costs a retry if another was answered there since its call began") {
  const Duration since = GENERATE(-1ns, 0ns, 1ns);
  const EndpointId at = GENERATE(here, there);
  Court court;
  court.answer(1, at);
  court.now = start + 1s - since;
  const Judgement judgement = court.judge(case_of(0), timeout);
  const bool costs = at == here && since >= 0ns;
  CHECK(judgement.tally.consumed == (costs ? 1 : 0));
  CHECK(judgement.what == What::again);
  CHECK(judgement.noted);
  CHECK(judgement.behind_since == (costs ? never : court.now));
}

TEST_CASE("… or within ten seconds after its end, and then it is owed") {
  const Duration later = GENERATE(10s - 1ns, 10s, 10s + 1ns);
  const auto by = GENERATE(as<std::string>{}, "another", "elsewhere", "itself");
  CAPTURE(later.count(), by);
  Court court;
  court.judge(case_of(0), timeout);
  court.now += later;
  const auto debts = court.answer(by == "itself" ? 0 : 1, by == "elsewhere" ? there : here);
  REQUIRE(debts.size() == (by == "another" && later <= 10s ? 1 : 0));
  if (debts.empty()) return;
  CHECK(debts[0].part == part(0));
  CHECK(debts[0].kind == Debts::Kind::attempt);
  CHECK(court.answer(2).empty()); // paid once
}

TEST_CASE("a time-out of a probe, or that we may have caused, costs nothing") {
  const Doubt doubt = GENERATE(Doubt::none, Doubt::crowded, Doubt::held);
  Court court;
  court.answer(1);
  auto call = court.ended(0, timeout);
  call.doubt = doubt;
  CHECK(court.judge(case_of(0), call).tally.consumed == (doubt == Doubt::none ? 1 : 0));
}

TEST_CASE("the last parts pay for their time-outs, once anything was answered") {
  const bool answered = GENERATE(false, true), few = GENERATE(false, true);
  const Doubt doubt = GENERATE(Doubt::none, Doubt::crowded, Doubt::held);
  CAPTURE(answered, few, doubt);
  Court court;
  if (answered) court.answer(1, there);
  Case judged = case_of(0);
  judged.few_left = few;
  auto call = court.ended(0, timeout);
  call.doubt = doubt;
  const bool pays = answered && few && doubt != Doubt::crowded;
  CHECK(court.judge(judged, call).tally.consumed == (pays ? 1 : 0));
}

// ---- who makes its endpoint fail
// -----------------------------------------------------------------

TEST_CASE("a part out at a fault that another survives is a suspect, if the fault says anything") {
  using Kind = Debts::Kind;
  const auto [cls, doubt, code, kind] =
      GENERATE(table<OutcomeClass, Doubt, std::string, std::optional<Kind>>({
          {unreachable, Doubt::none, "connection_lost", Kind::suspicion},
          {unreachable, Doubt::none, "connect_refused", std::nullopt}, // it was never sent
          {unreachable, Doubt::crowded, "connection_lost", Kind::suspicion},
          {unreachable, Doubt::held, "connection_lost", Kind::slight_suspicion},
          {gateway, Doubt::none, "bad_gateway", Kind::suspicion},
          {gateway, Doubt::crowded, "bad_gateway", std::nullopt}, // it may be full of our calls
          {gateway, Doubt::held, "bad_gateway", Kind::slight_suspicion},
          {unavailable, Doubt::none, "unavailable", Kind::suspicion},
          {unavailable, Doubt::held, "unavailable", std::nullopt},
          {rate, Doubt::none, "rate", std::nullopt},
      }));
  CAPTURE(info(cls).name, doubt, code);
  Court court;
  auto call = court.ended(0, cls, here, code);
  call.doubt = doubt;
  court.judge(case_of(0), call);
  court.now += 1h; // however late
  CHECK(court.answer(1, there).empty());
  const auto debts = court.answer(1);
  REQUIRE(debts.size() == (kind ? 1 : 0));
  if (kind) CHECK(debts[0].kind == *kind);
  CHECK(court.answer(2).empty());
}

TEST_CASE("a part that fails alone three times is poison, each time after another was answered") {
  Court court;
  Case judged = case_of(0);
  judged.lane = Lane::alone;
  for (std::uint8_t failures = 1; failures <= 3; ++failures) {
    court.answer(failures);
    court.verdict.goes_alone(part(0));
    const Judgement judgement = court.judge(judged, gateway);
    CHECK(judgement.tally.alone_failures == failures);
    CHECK(judgement.what == (failures < 3 ? What::again : What::is_poison));
    if (failures < 3) CHECK(judgement.alone_wait == failures + 1u);
    judged.tally = judgement.tally;
  }
  CHECK(judged.tally.consumed == 0);
}

TEST_CASE("what would be poison falls back first, once, unless the job is cancelled") {
  const auto [has_fallback, on_fallback, cancelling, what] =
      GENERATE(table<bool, bool, bool, What>({
          {false, false, false, What::is_poison},
          {true, false, false, What::falls_back},
          {true, true, false, What::is_poison},
          {true, false, true, What::is_poison},
      }));
  CAPTURE(has_fallback, on_fallback, cancelling);
  Court court;
  court.answer(1);
  court.verdict.goes_alone(part(0));
  Case judged = case_of(0);
  judged.lane = Lane::alone;
  judged.tally.alone_failures = 2;
  judged.tally.on_fallback = on_fallback;
  judged.has_fallback = has_fallback;
  judged.cancelling = cancelling;
  const Judgement judgement = court.judge(judged, gateway);
  CHECK(judgement.what == what);
  CHECK(judgement.cleared == (what == What::falls_back));
}

TEST_CASE("what a poisonous part is told names its failures and the last one of them") {
  const Court court;
  auto call = court.ended(0, gateway);
  call.outcome.http_status = 502;
  call.outcome.model = "m";
  const protocol::Reply reply = poison_reply(call, 3);
  CHECK(reply.cls == poison);
  CHECK(reply.model == "m");
  CHECK_THAT(reply.message, Contains("failed 3 times") && Contains("HTTP 502"));
}

TEST_CASE("a failure alone does not count without a witness, of a probe, or beside others") {
  const auto what = GENERATE(as<std::string>{}, "counts", "no witness", "a probe", "never sent",
                             "not alone", "cleared", "a time-out");
  CAPTURE(what);
  Court court;
  Case judged = case_of(0);
  judged.lane = Lane::alone;
  judged.tally.alone_failures = 1;
  judged.tally.alone_after = 2;
  for (int answers = what == "no witness" ? 1 : 2; answers > 0; --answers) court.answer(1, there);
  if (what != "not alone") court.verdict.goes_alone(part(0));
  if (what == "cleared") court.verdict.is_cleared();
  auto call = court.ended(0, what == "a time-out" ? timeout : unreachable, here,
                          what == "never sent" ? "connect_refused" : "connection_lost");
  if (what == "a probe") call.doubt = Doubt::held;
  CHECK(static_cast<int>(court.judge(judged, call).tally.alone_failures) ==
        (what == "counts" ? 2 : 1));
}

TEST_CASE("where others are lost by themselves, too, three failures alone are no proof") {
  const bool lost = GENERATE(false, true);
  Court court;
  for (std::uint64_t item = 10; lost && item < 13; ++item) {
    court.verdict.offered(part(item), true);
    court.judge(case_of(item), gateway);
  }
  court.answer(1);
  court.verdict.goes_alone(part(0));
  Case judged = case_of(0);
  judged.lane = Lane::alone;
  judged.tally.alone_failures = 2;
  CHECK(court.judge(judged, gateway).what == (lost ? What::again : What::is_poison));
}

TEST_CASE("the last part is tried at growing intervals when its endpoint goes down with it") {
  const auto [probes, pause] = GENERATE(table<std::uint32_t, Duration>({
      {0, 1s},
      {1, 2s},
      {5, 32s},
      {6, 60s},
      {18, 60s},
      {19, 60s},
      {20, 60s},
      {1'000, 60s},
  }));
  const bool patient = GENERATE(false, true);
  CAPTURE(probes, patient);
  Court court{5, patient ? 1'000'000u : 0u};
  Case judged = case_of(0);
  judged.tally.probes = probes;
  judged.last = true;
  const Judgement judgement = court.judge(judged, unreachable);
  CHECK(judgement.not_before == court.now + pause);
  CHECK(judgement.tally.probes == probes + 1);
  CHECK(judgement.stop.has_value() == (!patient && probes + 1 >= 20));
}

TEST_CASE("… and so is a suspect among the last few, but nobody with whom no endpoint went down") {
  const auto [last, suspected, few, code, probes] =
      GENERATE(table<bool, bool, bool, std::string, bool>({
          {false, true, true, "connection_lost", true},
          {false, true, false, "connection_lost", false},
          {false, false, true, "connection_lost", false},
          {true, false, false, "connect_refused", false},
      }));
  CAPTURE(last, suspected, few, code);
  Court court;
  Case judged = case_of(0);
  judged.last = last;
  judged.suspected = suspected;
  judged.few_left = few;
  judged.tally.probes = 3;
  const Judgement judgement = court.judge(judged, court.ended(0, unreachable, here, code));
  CHECK(judgement.tally.probes == (probes ? 4 : 3));
  CHECK(judgement.not_before == court.now + (probes ? 8s : 1s));
  CHECK(judgement.tally.losses == (code == "connection_lost" ? 1 : 0));
}

// ---- refusals
// ------------------------------------------------------------------------------------

TEST_CASE("an endpoint that refuses the job costs its part nothing, and pauses the job in time") {
  const Duration over = GENERATE(-1ns, 0ns, 1ns);
  const std::size_t alternatives = GENERATE(1u, 2u);
  Court court{0};
  auto call = court.refusal(0);
  call.alternatives = alternatives;
  Judgement judgement = court.judge(case_of(0), call);
  CHECK(judgement.what == What::again);
  CHECK(judgement.not_before == court.now + 1s);
  CHECK(judgement.tally.consumed == 0);
  CHECK_FALSE(judgement.stop);
  court.now += 20s + over;
  judgement = court.judge(case_of(0), call);
  CHECK(judgement.stop.has_value() == (over >= 0ns && alternatives == 1));
}

TEST_CASE("of several parts of a call one says that it was refused") {
  Court court;
  Case judged = case_of(0);
  judged.speaks_for_call = false;
  court.judge(judged, court.refusal(0));
  court.now += 1h;
  judged.speaks_for_call = true;
  CHECK_FALSE(court.judge(judged, court.refusal(0)).stop); // the first that counts
}

TEST_CASE("a refusal is the part's own where its model was never served while others were") {
  const auto [served, status, own] = GENERATE(table<std::string, std::uint16_t, bool>({
      {"", 404, false}, // the endpoint has taken nothing yet
      {"m", 404, false},
      {"other", 404, true},
      {"other", 401, false}, // a key is never a part's own
      {"other", 0, false},
  }));
  CAPTURE(served, status);
  Court court;
  if (!served.empty()) {
    ReportedOutcome other = court.ended(1, ok);
    other.model = served;
    court.judge(case_of(1), other);
  }
  ReportedOutcome earlier = court.refusal(0, status); // nobody knows which model it was made for
  earlier.model.reset();
  CHECK(court.judge(case_of(0), earlier).what == What::again);
  CHECK(court.judge(case_of(0), court.refusal(0, status)).what == (own ? What::ends : What::again));
}

TEST_CASE("a part refused four times, each time after others were answered, is refused for good") {
  const bool answered = GENERATE(true, false), few = GENERATE(true, false);
  CAPTURE(answered, few);
  Court court;
  court.judge(case_of(1), ok);
  Case judged = case_of(0);
  judged.few_left = few; // nobody else is left to be answered
  for (int refusals = 1; refusals <= 4; ++refusals) {
    if (answered) court.answer(1);
    const Judgement judgement = court.judge(judged, court.refusal(0));
    const bool own = refusals == 4 && (answered || few);
    CHECK(judgement.what == (own ? What::ends : What::again));
    if (!own) CHECK(judgement.not_before == court.now + (few ? 1s * (1 << refusals) : 1s));
    judged.tally = judgement.tally;
  }
}

TEST_CASE("a job that is being cancelled waits for nobody's setup") {
  Court court;
  Case judged = case_of(0);
  judged.cancelling = true;
  CHECK(court.judge(judged, court.refusal(0)).what == What::ends);
}

// ---- the job
// -------------------------------------------------------------------------------------

TEST_CASE("results count against the failures that a job may have, until it is resumed") {
  JobSpec spec;
  spec.policy.max_failures = 2;
  Verdict verdict{spec};
  CHECK_FALSE(verdict.item_ended(ok, "", ""));
  CHECK_FALSE(verdict.item_ended(bad_line, "oops", "doc"));
  const auto stop = verdict.item_ended(bad_line, "oops", "doc");
  REQUIRE(stop);
  CHECK(stop->reason == JobReason::failures);
  verdict.resumed(true); // only to probe
  CHECK(verdict.item_ended(bad_line, "oops", "doc"));
  verdict.resumed(false);
  CHECK_FALSE(verdict.item_ended(bad_line, "oops", "doc"));
}

} // namespace verdict_test
