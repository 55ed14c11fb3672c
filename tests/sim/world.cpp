#include "tests/sim/tree.hpp"
#include "tests/sim/world_parts.hpp"

#include "actors/kit/check.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace gristmill::sim {
namespace {

constexpr auto patience = std::chrono::seconds{1'500}; // from healing to the last job's end
constexpr auto quiescence = std::chrono::seconds{60};  // from there until nobody holds anything

} // namespace

World::World(std::uint64_t seed, bool verbose)
    : World{[seed] {
              Random random{seed};
              Swarm swarm = Swarm::draw(random);
              return std::pair{random, std::move(swarm)};
            }(),
            verbose} {}

World::World(std::pair<Random, Swarm> begin, bool verbose)
    : random_{begin.first}, swarm_{std::move(begin.second)}, trace_{verbose},
      users_(swarm_.jobs.size()), ledger_{swarm_,
                                          [this](std::string what) { violation(std::move(what)); }},
      provider_{swarm_, ledger_, [this](std::string what) { violation(std::move(what)); }} {
  make_inputs();
  make_endpoints();
  fill_cache();
  for (std::size_t plan = 0; plan < swarm_.jobs.size(); ++plan)
    if (grows(plan)) feed(plan);
}

World::~World() = default;

void World::at(Time time, std::function<void()> what) {
  events_.push({time, next_order_++, std::move(what)});
}

Duration World::around(Duration mean) {
  const double factor = -std::log(1.0 - random_.unit());
  return Duration{static_cast<std::int64_t>(factor * static_cast<double>(mean.count()))};
}

void World::violation(std::string what) {
  trace("VIOLATION {}", what);
  verdict_.violations.push_back(std::move(what));
}

void World::step() {
  // priority_queue gives a const top; the event is moved out just before it is popped.
  Event event = std::move(const_cast<Event&>(events_.top()));
  events_.pop();
  now_ = event.at;
  ++verdict_.events;
  try {
    event.what();
  } catch (const CheckFailed& e) {
    violation(e.what());
  }
}

Verdict World::run() {
  trace("{}", swarm_.text());
  workers_.resize(swarm_.workers);
  start_coordinator();
  for (std::size_t i = 0; i < workers_.size(); ++i) start_worker(i);
  users_act();
  roll_faults();
  if (swarm_.steady_work) watch_work();
  at(begin_ + swarm_.faulty_phase, [this] { heal(); });
  while (!events_.empty() && !done() && verdict_.violations.empty()) {
    if (now_ > begin_ + swarm_.faulty_phase + patience)
      violation(fmt::format("not finished {} s after healing", to_seconds(patience)));
    step();
  }
  if (verdict_.violations.empty()) settle();
  verdict_.calls = provider_.calls();
  verdict_.virtual_seconds = to_seconds(now_ - begin_);
  verdict_.trace_hash = trace_.hash();
  return std::move(verdict_);
}

// Where nothing fails and nothing is scarce a slow disk may delay calls until it has been seen how
// slow it is, and then no more.
void World::watch_work() {
  std::uint64_t items = 0;
  for (const JobPlan& job : swarm_.jobs) items += job.items;
  constexpr auto look_every = std::chrono::milliseconds{20};
  const auto learning = static_cast<std::uint64_t>(6 * swarm_.commit_mean / look_every);
  const std::uint64_t calls = provider_.calls();
  if (calls > items * 8 / 10) {
    if (10 * idle_looks_ > looks_ - std::min(looks_, learning))
      violation(fmt::format("no call was in flight at {} of {} looks, while commits took {} ms",
                            idle_looks_, looks_ - learning, to_ms(swarm_.commit_mean)));
    return;
  }
  const auto idle = [](const auto& worker) { return worker->worker->in_flight() == 0; };
  if (calls > 0 && ++looks_ > learning && std::all_of(workers_.begin(), workers_.end(), idle))
    ++idle_looks_;
  after(look_every, [this] { watch_work(); });
}

bool World::done() const {
  return std::all_of(users_.begin(), users_.end(), [](const User& user) { return user.done; });
}

// After the last job nobody may hold anything for long.
void World::settle() {
  heal();
  const Time begun = now_;
  const auto rests = [this] {
    return coordinator_ && asked_.empty() &&
           std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) {
             return !worker->alive || worker->hangs || worker->outlaw ||
                    (worker->worker->in_flight() == 0 && worker->worker->unrecorded() == 0 &&
                     worker->worker->held() == 0);
           });
  };
  while (!events_.empty() && !rests() && verdict_.violations.empty()) {
    if (now_ > begun + quiescence)
      return violation(asked_.empty() ? "a worker still holds something"
                                      : "a question is not answered");
    step();
  }
  if (verdict_.violations.empty()) check_end();
}

void World::check_end() {
  for (std::size_t plan = 0; plan < users_.size(); ++plan)
    if (const auto job = ledger_.job_of(plan); job && ledger_.is_known(*job)) check_result(plan);
}

// The answers to an item's parts, one after the other, as its line says them and as they must be.
std::string World::answer_of(const nlohmann::json& body, const JobPlan& wish) {
  if (body.is_null()) return {};
  if (!wish.embeds()) {
    const std::string said = body["choices"][0]["message"]["content"];
    return wish.checked ? nlohmann::json::parse(said)["v"].get<std::string>() : said;
  }
  if (wish.parts == 1) return body["data"][0]["embedding"].dump();
  std::string all;
  for (const auto& part : body["data"]) all += part["data"][0]["embedding"].dump();
  return all;
}

std::string World::wanted_of(std::size_t plan, std::uint64_t number) const {
  const JobPlan& wish = swarm_.jobs[plan];
  const std::uint64_t item = wish.twin_of(number);
  const Tree tree = Tree::of(wish, plan, item);
  std::string all;
  for (const std::uint32_t n : tree.tops[0]) {
    if (wish.embeds()) {
      all += answer_vector(plan, {{}, item, n});
    } else {
      all += (all.empty() ? "" : "\n\n") + answer_text(plan, {{}, item, n});
    }
  }
  return all;
}

// Of an item that several models were asked: each one's answer, and the judge's.
void World::check_answers(const nlohmann::json& line, std::size_t plan, std::uint64_t item) {
  const JobPlan& wish = swarm_.jobs[plan];
  const auto check = [&](const nlohmann::json& answer, const std::vector<std::uint32_t>& parts) {
    const std::string text = answer.dump();
    for (const std::uint32_t part : parts) {
      const PartId id{{}, wish.twin_of(item), part};
      const std::string wanted = wish.embeds() ? answer_vector(plan, id) : answer_text(plan, id);
      if (text.find(wanted) == text.npos)
        violation(fmt::format("item {} lacks the answer to its part {}", item, part));
    }
  };
  const nlohmann::json& said = line["gristmill"];
  const Tree tree = Tree::of(wish, plan, item);
  for (std::uint32_t model = 0; wish.models > 1 && model < wish.models; ++model) {
    const nlohmann::json& answer = said["answers"][model];
    if (answer["model"] != (model == 0 ? "m" : fmt::format("m{}", model)))
      violation(fmt::format("item {} has an answer of another model", item));
    check(answer, tree.tops[model]);
  }
  if (wish.judged) check(said["judge"], {PartNumber::judge(wish.models).value()});
}

// The result has each item once, and says of it what the journal's last line of it says.
void World::check_result(std::size_t plan) {
  const JobPlan& wish = swarm_.jobs[plan];
  std::map<std::uint64_t, const journal::ResultLine*> last;
  for (const auto& line : store_.job(*ledger_.job_of(plan))->lines) last[line.item] = &line;
  const std::string& result = results_[fmt::format("out-{}", plan)];
  std::uint64_t count = 0;
  std::size_t from = 0;
  while (from < result.size()) {
    const std::size_t end = result.find('\n', from);
    if (end == std::string::npos) return violation("the result ends in a torn line");
    const std::string text = result.substr(from, end - from);
    from = end + 1;
    const auto line = nlohmann::json::parse(text);
    const std::string id = line["custom_id"].get<std::string>();
    const std::uint64_t item = std::stoull(id.substr(1));
    if (!wish.by_completion && item != count)
      return violation(fmt::format("expected i{}, got {}", count, id));
    const auto known = last.find(item);
    if (known == last.end() || known->second->line != text)
      return violation(
          fmt::format("the result's line of {} is not the journal's, or a second one", id));
    const OutcomeClass cls = known->second->cls;
    last.erase(known);
    ++count;
    if (wish.asks_several() && cls == OutcomeClass::ok) check_answers(line, plan, item);
    if (line["response"].is_null()) continue;
    if (line["response"]["status_code"] == 200 &&
        answer_of(line["response"]["body"], wish) != wanted_of(plan, item))
      return violation(fmt::format("item {} has another item's answer", item));
  }
  const bool all = count == wish.items || (ledger_.may_be_cut(plan) && last.empty());
  if (!all) violation(fmt::format("{} lines for {} items", count, wish.items));
}

} // namespace gristmill::sim
