#include "tests/sim/provider.hpp"

#include "tests/sim/tree.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

namespace gristmill::sim {
namespace {

constexpr std::string_view server_error =
    R"({"error":{"message":"oops","type":"server_error","param":null,"code":null}})";
constexpr std::string_view loading =
    R"({"error":{"message":"Loading model","type":"unavailable_error","code":503}})";
constexpr std::string_view rate_limit =
    R"({"error":{"message":"slow","type":"requests","code":"rate_limit_exceeded"}})";
constexpr std::string_view too_many =
    R"({"error":"batch size 64 > maximum allowed batch size 32","error_type":"Validation"})";
constexpr std::string_view bad_request =
    R"({"error":{"message":"no","type":"invalid_request_error","code":"invalid_value"}})";
constexpr std::string_view too_long =
    R"({"error":{"message":"long","type":"invalid_request_error","code":"context_length_exceeded"}})";
constexpr std::string_view no_key =
    R"({"error":{"message":"key","type":"invalid_request_error","code":"invalid_api_key"}})";

std::uint64_t number_after(std::string_view text, std::string_view mark) {
  std::uint64_t number = 0;
  const auto at = text.find(mark);
  if (at != text.npos) {
    text.remove_prefix(at + mark.size());
    std::from_chars(text.data(), text.data() + text.size(), number);
  }
  return number;
}

std::string text_after(std::string_view text, std::string_view mark) {
  const auto at = text.find(mark);
  if (at == text.npos) return {};
  text.remove_prefix(at + mark.size());
  return std::string{text.substr(0, text.find('"'))};
}

} // namespace

std::string answer_text(std::size_t plan, const PartId& part) {
  return fmt::format("sim {} {} {};", plan, part.item, part.part);
}

std::string answer_vector(std::size_t plan, const PartId& part) {
  return fmt::format("[{},{},{}]", plan, part.item, part.part);
}

// "m2" is the third model of its job.
std::uint32_t model_number(std::string_view model) {
  return static_cast<std::uint32_t>(number_after(model, "m"));
}

// All answers that stand in it, as parts.
std::vector<PartId> answers_in(std::string_view body, std::size_t plan) {
  std::vector<PartId> parts;
  const std::string mark = fmt::format("sim {} ", plan);
  for (auto at = body.find(mark); at != body.npos; at = body.find(mark)) {
    body.remove_prefix(at + mark.size());
    const std::uint64_t item = number_after(body, "");
    parts.push_back({{}, item, static_cast<std::uint32_t>(number_after(body, " "))});
  }
  return parts;
}

// Of one that joins answers: whose they are says which it is.
void read_step(Request& request, std::string_view body, const JobPlan& job) {
  const std::vector<PartId> seen = answers_in(body, request.plan);
  const std::uint64_t item = seen.empty() ? 0 : seen.front().item;
  std::vector<std::uint32_t> numbers;
  for (const PartId& part : seen)
    if (part.item == item) numbers.push_back(part.part);
  const Tree tree = Tree::of(job, request.plan, item);
  const auto step =
      std::ranges::find_if(tree.steps, [&](const auto& known) { return known.second == numbers; });
  const std::uint32_t number = step == tree.steps.end() ? 0 : step->first;
  request.sees_all = number != 0 && numbers.size() == seen.size() &&
                     PartNumber::of(number).is_judge() == (request.model == judge_model);
  request.parts = {{{}, item, number}};
}

Request request_of(const worker::HttpCall& call, const Swarm& swarm) {
  std::string_view body = call.body;
  Request request;
  request.embeds = call.url.ends_with("/embeddings");
  request.url = call.url.substr(0, call.url.find(request.embeds ? "/embeddings" : "/chat"));
  request.model = text_after(body, "\"model\":\"");
  request.plan = number_after(body, "text ");
  request.tokens_max = number_after(body, "\"max_tokens\":");
  request.bytes = body.size();
  const JobPlan& job = swarm.jobs.at(request.plan);
  if (const auto at = body.find(R"(,{"role":"assistant")"); at != body.npos) {
    request.repairs = body.find(R"({\"v\":7})") != body.npos;
    body = body.substr(0, at);
  }
  if (request.model == judge_model || body.find("reduce: ") != body.npos) {
    read_step(request, body, job);
    return request;
  }
  for (auto at = body.find("item "); at != body.npos; at = body.find("item ")) {
    body.remove_prefix(at);
    const auto index = static_cast<std::uint32_t>(number_after(body, "part "));
    request.parts.push_back(
        {{},
         number_after(body, "item "),
         PartNumber{job.models > 1 ? model_number(request.model) : 0, 0, index}.value()});
    body.remove_prefix(1);
  }
  return request;
}

// What it answers to the parts of a plan; one answer tells each of them apart.
std::string answer_to(const Request& request, const std::string& text, const std::string& usage) {
  if (!request.embeds)
    return fmt::format(R"({{"id":"x","object":"chat.completion","created":1,"model":"{}",)"
                       R"("choices":[{{"index":0,"message":{{"role":"assistant",)"
                       R"("content":"{}"}},"finish_reason":"stop"}}]{}}})",
                       request.model, text, usage);
  std::string data;
  for (std::size_t n = 0; n < request.parts.size(); ++n)
    data += fmt::format(R"({}{{"object":"embedding","index":{},"embedding":{}}})",
                        n == 0 ? "" : ",", n, answer_vector(request.plan, request.parts[n]));
  return fmt::format(R"({{"object":"list","data":[{}],"model":"{}"{}}})", data, request.model,
                     usage);
}

Fate Provider::fate_of(const Request& request, bool healed, Duration age, Random& random) {
  Fate fate;
  worker::CallEnded& ended = fate.ended;
  const double factor = -std::log(1.0 - random.unit());
  fate.latency =
      Duration{static_cast<std::int64_t>(factor * static_cast<double>(swarm_.call_mean.count()))};
  ended.end = worker::CallEnd::answered;
  const auto refuse = [&](std::uint16_t status, std::string_view body) {
    ended.http_status = status;
    ended.body = body;
    return fate;
  };
  const double luck = healed ? 1 : random.unit();
  const std::uint64_t used =
      1 + request.bytes / 8 + (request.tokens_max == 0 ? 0 : random.below(request.tokens_max));
  double bound = swarm_.server_error;
  // A server that comes late: nobody listens, then its model is being loaded.
  if (!healed && age < swarm_.late) {
    fate.latency = std::chrono::milliseconds{1};
    if (2 * age > swarm_.late) {
      fate.price = Ledger::Price::suspicion;
      return refuse(503, loading);
    }
    ended.end = worker::CallEnd::failed;
    ended.code = "connect_refused";
    return fate;
  }
  fate.price = Ledger::Price::retry;
  if (luck < bound) return refuse(500, server_error);
  fate.price = Ledger::Price::suspicion;
  if (luck < (bound += swarm_.unavailable)) {
    if (random.chance(0.3)) ended.headers = {{"retry-after", "2"}};
    return random.chance(0.5) ? refuse(503, loading) : refuse(502, "bad gateway");
  }
  fate.price = Ledger::Price::nothing;
  if (luck < (bound += swarm_.rate_refusal)) {
    ended.headers = {{"retry-after", "1"}};
    return refuse(429, rate_limit);
  }
  if (luck < (bound += swarm_.unauthorized)) return refuse(401, no_key);
  if (luck < (bound += swarm_.reset)) {
    fate.price = Ledger::Price::suspicion;
    ended.end = worker::CallEnd::failed;
    ended.code = "connection_lost";
    return fate;
  }
  fate.tokens = used;
  fate.price = Ledger::Price::retry;
  if (luck < (bound += swarm_.hang)) {
    ended.end = worker::CallEnd::timed_out;
    ended.code = "timeout";
    return fate;
  }
  if (request.embeds && swarm_.inputs_max != 0 && request.parts.size() > swarm_.inputs_max) {
    fate.price = Ledger::Price::nothing;
    fate.tokens = 0;
    return refuse(422, too_many);
  }
  const JobPlan& job = swarm_.jobs[request.plan];
  const bool is_first = !ledger_.is_mended(request.plan) && request.model != "n";
  const PartId& one = request.parts.at(0);
  fate.fits = !is_first || !job.checked || !ledger_.is_unruly(request.plan, one) ||
              (request.repairs && !ledger_.is_hopeless(request.plan, one));
  if (is_first) {
    const auto any = [&](auto is_so) {
      return std::any_of(request.parts.begin(), request.parts.end(), is_so);
    };
    if (any([&](const PartId& part) { return ledger_.is_bad(request.plan, part); }))
      return refuse(400, bad_request);
    if (any([&](const PartId& part) { return ledger_.is_too_long(request.plan, part); }))
      return refuse(400, too_long);
  }
  fate.price = fate.fits ? Ledger::Price::nothing : Ledger::Price::retry;
  const std::string usage =
      random.chance(swarm_.no_usage)
          ? std::string{}
          : fmt::format(
                R"(,"usage":{{"prompt_tokens":1,"completion_tokens":{},"total_tokens":{}}})",
                used - 1, used);
  const std::string said = request.embeds ? "" : answer_text(request.plan, one);
  const std::string text = !job.checked ? said
                           : fate.fits  ? fmt::format(R"({{\"v\":\"{}\"}})", said)
                                        : R"({\"v\":7})";
  return refuse(200, answer_to(request, text, usage));
}

void Provider::arrived(const Request& request, std::uint64_t tokens, Time now) {
  ++calls_;
  const Arrival arrival{now, tokens};
  if (const auto limits = limits_.find(request.url); limits != limits_.end())
    count(accounts_[request.url], limits->second, request.url, arrival);
  const std::string job = name_of(request.plan);
  count(accounts_[job], swarm_.jobs[request.plan].limits, job, arrival);
}

void Provider::count(Window& window, std::uint64_t calls_most, std::uint64_t tokens_most,
                     const std::string& name, Arrival arrival) {
  auto& arrivals = window.arrivals;
  arrivals.push_back(arrival);
  window.tokens += arrival.tokens;
  while (arrival.at - arrivals.front().at >= window.length) {
    window.tokens -= arrivals.front().tokens;
    arrivals.pop_front();
  }
  if (calls_most != 0 && arrivals.size() > calls_most)
    violation_(fmt::format("{}: {} calls within {}, {} allowed, the first {} ms ago", name,
                           arrivals.size(), window.name, calls_most,
                           to_ms(arrival.at - arrivals.front().at)));
  if (tokens_most != 0 && window.tokens > tokens_most)
    violation_(fmt::format("{}: {} tokens within {}, {} allowed", name, window.tokens, window.name,
                           tokens_most));
}

void Provider::count(Account& account, const RateLimits& limits, const std::string& name,
                     Arrival arrival) {
  if (!limits.windows()) return;
  // What is learned may err, and is made good by the calls that follow.
  const std::uint64_t slack = limits.strict_tokens ? 1 : 2;
  count(account.minute, limits.requests_per_minute, slack * limits.tokens_per_minute, name,
        arrival);
  count(account.day, limits.requests_per_day, slack * limits.tokens_per_day, name, arrival);
}

// What no call had before may be tried by one call at a time.
void Provider::departs(Request& request, bool exact) {
  Account& account = accounts_[request.url];
  request.is_trial = request.embeds && request.parts.size() > account.answered;
  if (request.is_trial && ++account.trials > 1 && exact)
    violation_(fmt::format("{}: {} calls of more than {} inputs are tried at a time", request.url,
                           account.trials, account.answered));
  const auto check = [&](const std::string& name, std::uint64_t most) {
    const std::uint64_t now = ++accounts_[name].in_flight;
    if (exact && most != 0 && now > most)
      violation_(fmt::format("{}: {} calls in flight, {} allowed", name, now, most));
  };
  const auto limits = limits_.find(request.url);
  check(request.url, limits == limits_.end() ? 0 : limits->second.max_in_flight);
  check(name_of(request.plan), swarm_.jobs[request.plan].limits.max_in_flight);
}

void Provider::answered(const Request& request) {
  std::size_t& most = accounts_[request.url].answered;
  most = std::max(most, request.parts.size());
}

void Provider::over(const Request& request) {
  --accounts_[request.url].in_flight;
  accounts_[request.url].trials -= request.is_trial;
  --accounts_[name_of(request.plan)].in_flight;
}

} // namespace gristmill::sim
