#include "options.hpp"

#include "faults.hpp"
#include "latency.hpp"
#include "prefix_cache.hpp"

#include <CLI/CLI.hpp>

#include <map>
#include <stdexcept>

namespace gristmill::simllm {
namespace {

constexpr auto description =
    "Simulated OpenAI-compatible server for tests, demos and benchmarks. Answers chat, "
    "completion,\n"
    "embedding and responses calls with a checksum of what was asked; GET /stats counts, GET\n"
    "/metrics says how many calls have a slot and how many wait in line, in the words of vLLM, "
    "POST\n"
    "/control changes limits, slots, --inputs-max, latency and faults while it runs.";

constexpr auto fault_help =
    "Hurt some calls; repeatable, the first that matches wins. KIND is status (code=, body-code=,\n"
    "body-type=, retry_after=SECONDS), reset, hang, truncated, malformed, empty, die_after_read,\n"
    "html, overload, quota, context, content_filter, redirect (location=URL), huge (bytes=N),\n"
    "babble, which answers with a checksum where --answer wants a label, or, for embeddings of\n"
    "several inputs, missing_index, doubled_index or backwards, a list in the opposite order, or,\n"
    "for chats, unfit, which answers {\"checksum\":7}, or prose, a sentence that is no JSON.\n"
    "Which calls: rate=0..1, match=TEXT, model=NAME, first=N calls, times=K per text, from=N and\n"
    "to=N by arrival. A repair of an answer that does not fit its JSON schema is the same text.\n"
    "Example: status:code=503,rate=0.05";

// Turns the reader's exception into CLI11's way of saying what is wrong.
template <typename Parse> CLI::Validator readable_by(Parse parse, const std::string& name) {
  return {[parse](const std::string& text) -> std::string {
            try {
              parse(text);
              return {};
            } catch (const std::invalid_argument& refusal) {
              return refusal.what();
            }
          },
          name};
}

void describe_answers(CLI::App& app, Options& options) {
  app.add_option("--model", options.models, "Model listed by GET /v1/models; repeatable")
      ->default_str("sim-small");
  app.add_option("--answer-tokens", options.shape.answer_tokens, "Tokens in each answer")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000}))
      ->capture_default_str();
  app.add_option("--answer", options.answer,
                 "What a chat says: a checksum, one of the labels that its messages name as lines\n"
                 "'- LABEL' below a line 'Labels:', its last message (echo), or the checksum and\n"
                 "the length of that: {\"checksum\":\"<8 hex digits>\",\"length\":<bytes>} (json)")
      ->check(CLI::IsMember({"checksum", "label", "echo", "json"}))
      ->capture_default_str();
  app.add_option(
         "--prefix-cache", options.prefix_cache,
         "PREFIXES:BYTES:FACTOR: a chat whose first message begins with the same BYTES as one\n"
         "that was answered lately is answered FACTOR times sooner, and says so in\n"
         "cached_tokens; the last PREFIXES such beginnings are remembered")
      ->check(readable_by([](const auto& text) { PrefixCacheLaw::parse(text); }, "LAW"));
  app.add_option("--dimensions", options.shape.dimensions, "Numbers in each embedding")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{65536}))
      ->capture_default_str();
  app.add_option("--api-key", options.api_key,
                 "Refuse calls without 'Authorization: Bearer KEY' with status 401");
  app.add_option("--seed", options.seed, "Seed of every draw: latencies and fault rates")
      ->capture_default_str();
}

void describe_behaviour(CLI::App& app, LiveSettings& live, LimitWording& wording) {
  const auto latency = readable_by([](const auto& text) { LatencyLaw::parse(text); }, "LAW");
  const auto fault =
      readable_by([](const auto& text) { Fault::parse(text); }, "KIND[:key=value,..]");
  app.add_option("--latency", live.latency,
                 "Time to answer: 50ms, const:50ms, uniform:10ms:90ms or lognormal:MEDIAN:SIGMA")
      ->check(latency)
      ->capture_default_str();
  app.add_option("--slots", live.slots, "Calls answered at a time, others wait in line; 0: all")
      ->capture_default_str();
  app.add_option("--inputs-max", live.inputs_max,
                 "Inputs of an embeddings call, 422 above, in the words of TEI; 0: no limit")
      ->capture_default_str();
  app.add_option("--rpm", live.requests_per_minute, "Requests per minute, 429 above; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--tpm", live.tokens_per_minute,
                 "Prompt and answer tokens per minute, 429 above; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--input-tpm", live.input_per_minute, "Prompt tokens per minute, by themselves")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--output-tpm", live.output_per_minute, "Answer tokens per minute, by themselves")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  const std::map<std::string, bool> charge{{"usage", false}, {"reserved", true}};
  app.add_option("--charge", live.charge_reserved,
                 "usage: a call costs the tokens of its answer, reserved: max_tokens [usage]")
      ->transform(CLI::CheckedTransformer(charge));
  app.add_option("--burst-seconds", live.burst_s, "Seconds' worth of both limits that can pile up")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--hide-limits", wording.hidden, "Answer without x-ratelimit-* headers");
  const std::map<std::string, bool> after{{"seconds", false}, {"date", true}};
  app.add_option("--retry-after", wording.retry_at,
                 "Retry-After as seconds (with retry-after-ms) or as a date [seconds]")
      ->transform(CLI::CheckedTransformer(after));
  using Resets = LimitWording::Resets;
  const std::map<std::string, Resets> resets{
      {"duration", Resets::durations}, {"rfc3339", Resets::rfc3339}, {"epoch", Resets::epoch}};
  app.add_option("--resets", wording.resets,
                 "x-ratelimit-reset-* as duration, rfc3339 or epoch [duration]")
      ->transform(CLI::CheckedTransformer(resets));
  app.add_option("--fault", live.faults, fault_help)
      ->check(fault)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

Says says_of(std::string_view answer) {
  if (answer == "label") return Says::label;
  if (answer == "echo") return Says::echo;
  return answer == "json" ? Says::json : Says::checksum;
}

} // namespace

void Change::apply_to(LiveSettings& settings) const {
  if (requests_per_minute) settings.requests_per_minute = *requests_per_minute;
  if (tokens_per_minute) settings.tokens_per_minute = *tokens_per_minute;
  if (burst_s) settings.burst_s = *burst_s;
  if (slots) settings.slots = *slots;
  if (inputs_max) settings.inputs_max = *inputs_max;
  if (latency) settings.latency = *latency;
  if (faults) settings.faults = *faults;
}

ParsedOptions parse_options(int argc, char** argv) {
  Options options;
  CLI::App app(description, "gristmill-simllm");
  app.add_option("--listen", options.listen, "HOST:PORT to listen on; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--threads", options.threads, "Event loops, each in a thread of its own")
      ->check(CLI::Range(1u, 64u))
      ->capture_default_str();
  app.add_option("--log", options.log,
                 "Write one JSON line per call to this file, which is made anew");
  app.add_flag("--log-bodies", options.log_bodies, "Write each call's request body there, too");
  describe_answers(app, options);
  describe_behaviour(app, options.live, options.wording);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& stop) {
    return {std::nullopt, app.exit(stop)};
  }
  options.shape.says = says_of(options.answer);
  if (options.models.empty()) options.models = {"sim-small"};
  return {std::move(options), 0};
}

} // namespace gristmill::simllm
