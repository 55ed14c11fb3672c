// PROVIDER: the endpoints that the workers call, with the limits that they are said to have. It
// counts what arrives in every minute and day and what is under way, and draws how each call ends.
// Invariant: its books know arrivals only, nothing of permits.
#pragma once

#include "actors/worker/model_client.hpp"
#include "tests/sim/ledger.hpp"

#include <deque>
#include <map>
#include <string>

namespace gristmill::sim {

// What arrives, as the request says it.
struct Request {
  std::string url, model;
  std::size_t plan = 0;
  std::vector<PartId> parts;    // of no job
  bool sees_all = true;         // of a step: all answers that it joins
  std::uint64_t tokens_max = 0; // of the answer; 0 = it has none
  bool embeds = false;
  bool repairs = false;  // it says what is wrong with the answer before
  bool is_trial = false; // it had more inputs than were answered before
  std::size_t bytes = 0;
};
Request request_of(const worker::HttpCall& call, const Swarm& swarm);
inline constexpr std::string_view judge_model = "judge";

// What it answers to a part: a chat's text, or an embedding.
std::string answer_text(std::size_t plan, const PartId& part);
std::string answer_vector(std::size_t plan, const PartId& part);

struct Fate {
  worker::CallEnded ended;
  Duration latency{};
  std::uint64_t tokens = 0;
  bool fits = true;                             // what it answers
  Ledger::Price price = Ledger::Price::nothing; // of a failure
};

class Provider {
public:
  Provider(const Swarm& swarm, Ledger& ledger, Ledger::Violation violation)
      : swarm_{swarm}, ledger_{ledger}, violation_{std::move(violation)} {}

  // `limits` of an endpoint of this URL, as the cluster was told.
  void limit(const std::string& url, const RateLimits& limits) { limits_[url] = limits; }
  // `age`: of the history.
  Fate fate_of(const Request& request, bool healed, Duration age, Random& random);
  void answered(const Request& request);
  void arrived(const Request& request, std::uint64_t tokens, Time now);
  // From its departure to its end; `exact`: nothing has happened that may hide a call.
  void departs(Request& request, bool exact);
  void over(const Request& request);
  std::uint64_t calls() const { return calls_; }
  std::uint64_t failed_calls() const { return failed_; }

private:
  struct Arrival {
    Time at;
    std::uint64_t tokens;
  };
  struct Window {
    std::string_view name;
    Duration length;
    std::deque<Arrival> arrivals{};
    std::uint64_t tokens = 0;
  };
  struct Account {
    Window minute{"a minute", std::chrono::seconds{60}}, day{"a day", sim_day};
    std::uint64_t in_flight = 0;
    std::uint64_t trials = 0; // … of more inputs than …
    std::size_t answered = 1; // … were answered together
  };
  void count(Window& window, std::uint64_t calls_most, std::uint64_t tokens_most,
             const std::string& name, Arrival now);
  void count(Account& account, const RateLimits& limits, const std::string& name, Arrival now);
  std::string name_of(std::size_t plan) const { return "job of plan " + std::to_string(plan); }

  const Swarm& swarm_;
  Ledger& ledger_;
  Ledger::Violation violation_;
  std::map<std::string, RateLimits> limits_;
  std::map<std::string, Account> accounts_; // by URL, and by job
  std::uint64_t calls_ = 0, failed_ = 0;
};

} // namespace gristmill::sim
