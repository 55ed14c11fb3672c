// Which endpoints of a job's own may have a worker's key.
#include "actors/worker/key_rules.hpp"
#include "tests/unit/actors/worker/worker_harness.hpp"

namespace key_rules_test {

using namespace gristmill;
using namespace gristmill::worker;
using Catch::Contains;

TEST_CASE("a rule is a name and a base URL") {
  const auto rule = key_rule_of("OPENAI_API_KEY=https://api.openai.com/v1/");
  REQUIRE(rule);
  CHECK(rule->key == "OPENAI_API_KEY");
  CHECK(rule->url == "https://api.openai.com/v1");
  CHECK(key_rule_of("/run/key=1=http://h:8000")->key == "/run/key=1");
  for (const char* text : {"", "K", "=https://h", "K=", "K=h", "K=ftp://h", "K=https://",
                           "K=https://u:p@h", "K=https://h?x"}) {
    CAPTURE(text);
    CHECK_FALSE(key_rule_of(text));
  }
  CHECK_THAT(key_rule_of("K=https://user:secret@h").error().message, !Contains("secret"));
}

TEST_CASE("a key goes to the URLs of its rule and below them, and nowhere else") {
  // Whatever the coordinator has proven, a job's endpoint needs a rule.
  const KeyRules rules{{{"K", "https://api.example.com/v1"}, {"/run/key", "http://h:8000"}},
                       GENERATE(true, false)};
  const auto allowed = [&](const char* env, const char* file, const char* url) {
    return rules.why_not({url, env, file, 0, 0, 0}, KeyRules::Of::job).empty();
  };
  CHECK(allowed("K", "", "https://api.example.com/v1"));
  CHECK(allowed("K", "", "https://api.example.com/v1/team"));
  CHECK(allowed("", "/run/key", "http://h:8000/v1"));
  CHECK(allowed("", "", "https://evil.example"));
  for (const char* url :
       {"https://api.example.com", "https://api.example.com/v10",
        "https://api.example.com.evil.net/v1", "http://api.example.com/v1",
        "https://api.example.com:444/v1", "https://api.example.com/v1/../admin",
        "https://api.example.com/v1/%2e%2e/admin", "https://evil.net/https://api.example.com/v1"}) {
    CAPTURE(url);
    CHECK_FALSE(allowed("K", "", url));
  }
  CHECK_FALSE(allowed("K2", "", "https://api.example.com/v1"));
  CHECK_FALSE(allowed("", "K2", "https://api.example.com/v1"));
  CHECK_FALSE(allowed("", "/run/key2", "http://h:8000/v1"));
  const EndpointSpec endpoint{"https://h/v1", "K", "", 0, 0, 0};
  CHECK_FALSE(KeyRules{}.why_not(endpoint, KeyRules::Of::job).empty());
  CHECK(KeyRules::of_the_user().why_not(endpoint, KeyRules::Of::job).empty());
}

TEST_CASE("without keys a coordinator's word is worth no more than a job's") {
  const EndpointSpec endpoint{"https://h/v1", "K", "", 0, 0, 0};
  const KeyRules keyless{{}, false}, ruled{{{"K", "https://h/v1"}}, false}, proven{{}, true};
  CHECK_THAT(keyless.why_not(endpoint, KeyRules::Of::pool),
             Contains("--allow-key K=https://h/v1") && Contains("--access FILE"));
  CHECK(ruled.why_not(endpoint, KeyRules::Of::pool).empty());
  CHECK(proven.why_not(endpoint, KeyRules::Of::pool).empty());
  CHECK(KeyRules::of_the_user().why_not(endpoint, KeyRules::Of::pool).empty());
  CHECK(keyless.why_not(endpoint, KeyRules::Of::worker).empty());
  CHECK(keyless.why_not({"https://h/v1", "", "", 0, 0, 0}, KeyRules::Of::pool).empty());
}

TEST_CASE("a worker makes no call with a key that the job's endpoint may not have") {
  using namespace gristmill::worker_test;
  worker::Options options = plain_options();
  const bool allowed = GENERATE(true, false);
  options.keys = KeyRules{{{"KEY", allowed ? "http://h/v1" : "http://other/v1"}}, true};
  Scene scene{std::move(options)};
  scene.connect();
  const Turn turn = scene.permit(scene.give({1}).only<protocol::Need>().nonce, {1});
  CHECK(turn.effects.starts.size() == (allowed ? 1 : 0));
  if (allowed) return;
  const auto outcome = outcome_of(turn);
  CHECK(outcome.cls == OutcomeClass::config);
  CHECK(outcome.code == "key_not_allowed");
  CHECK_THAT(outcome.message, Contains("--allow-key KEY=http://h/v1"));
}

TEST_CASE("the key of a pool of a coordinator that has proven to be one needs no rule") {
  using namespace gristmill::worker_test;
  worker::Options options = plain_options();
  const bool proven = GENERATE(true, false);
  options.keys = KeyRules{{}, proven};
  Scene scene{std::move(options)};
  scene.connect();
  protocol::JobOpened opened;
  opened.job = JobId{1};
  opened.spec = to_json(scene.spec);
  opened.endpoints.push_back({endpoint, {"http://h/v1", "KEY", "", 0, 0, 0}, "m"});
  scene.tell(std::move(opened));
  protocol::Batch batch;
  batch.calls.push_back({CallId{1}, {{{JobId{1}, 1, 0}, ItemKind::text, "text"}}, {}});
  const auto nonce = scene.tell(std::move(batch)).only<protocol::Need>().nonce;
  const Turn turn = scene.permit(nonce, {1});
  CHECK(turn.effects.starts.size() == (proven ? 1 : 0));
  if (!proven) CHECK(outcome_of(turn).code == "key_not_allowed");
}

} // namespace key_rules_test
