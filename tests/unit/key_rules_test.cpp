// Which endpoints of a job's own may have a worker's key.
#include "actors/worker/key_rules.hpp"
#include "tests/unit/worker_harness.hpp"

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
  const KeyRules rules{{{"K", "https://api.example.com/v1"}, {"/run/key", "http://h:8000"}}};
  const auto allowed = [&](const char* env, const char* file, const char* url) {
    return rules.why_not({url, env, file, 0, 0, 0}).empty();
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
  CHECK_FALSE(KeyRules{}.why_not({"https://h/v1", "K", "", 0, 0, 0}).empty());
  CHECK(KeyRules::of_the_user().why_not({"https://h/v1", "K", "", 0, 0, 0}).empty());
}

TEST_CASE("a worker makes no call with a key that the job's endpoint may not have") {
  using namespace gristmill::worker_test;
  worker::Options options = plain_options();
  const bool allowed = GENERATE(true, false);
  options.keys = KeyRules{{{"KEY", allowed ? "http://h/v1" : "http://other/v1"}}};
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

TEST_CASE("the key of a pool of the coordinator needs no rule") {
  using namespace gristmill::worker_test;
  worker::Options options = plain_options();
  options.keys = KeyRules{};
  Scene scene{std::move(options)};
  scene.connect();
  protocol::JobOpened opened;
  opened.job = JobId{1};
  opened.spec = to_json(scene.spec);
  opened.endpoints.push_back({endpoint, {"http://h/v1", "KEY", "", 0, 0, 0}, "m"});
  scene.tell(std::move(opened));
  protocol::Batch batch;
  batch.calls.push_back({CallId{1}, {{JobId{1}, 1, 0}}, ItemKind::text, "text"});
  const auto nonce = scene.tell(std::move(batch)).only<protocol::Need>().nonce;
  CHECK(scene.permit(nonce, {1}).effects.starts.size() == 1);
}
