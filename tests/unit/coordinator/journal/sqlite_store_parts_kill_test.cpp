// A job whose items have several parts, run by the real supervisor, joiner and store and answered
// by the test, is killed again and again, then retried and killed again:
//
//   supervisor --offers--> the test answers --> append --> store (killed) --> durable
//        ^                                                                      |
//        +---------------- joined <-- joiner <-- all parts are durable ---------+
#include "actors/joiner/joiner.hpp"
#include "coordinator/journal/check.hpp"
#include "protocol/openai/reply/answer_text.hpp"
#include "protocol/text/json_text.hpp"
#include "tests/unit/actors/supervisor/parts/counted_parts.hpp"
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"
#include "tests/unit/coordinator/journal/store_faults.hpp"

#include <map>
#include <set>

namespace sqlite_store_parts_kill_test {

using namespace gristmill;
using namespace gristmill::store_test;

namespace {

constexpr std::uint64_t item_count = 60;
constexpr JobId the_job{1};

// Every fifth item is whole; calls hold up to three parts, also of several items.
class Plan final : public supervisor_test::CountedParts {
public:
  std::uint32_t count_of(std::uint64_t item) const override {
    return static_cast<std::uint32_t>(1 + item % 5);
  }
};
const Plan plan;

enum class Round : std::uint8_t { first = 1, retried = 2 };

// Fails for good, until it is retried.
bool is_doomed(const PartId& part) {
  return (part.item * 7 + part.part) % 23 == 4;
}
std::string text_of(const PartId& part, Round round) {
  return fmt::format("<{}.{} round {}>", part.item, part.part, static_cast<int>(round));
}
std::string body_of(const PartId& part, Round round) {
  return fmt::format(R"({{"choices":[{{"message":{{"content":"{}"}}}}]}})", text_of(part, round));
}

struct Word {
  enum class Kind : std::uint8_t { offered, durable, done } kind = Kind::done;
  std::uint64_t item = 0;
  std::uint32_t part = 0;
};

// One life of the coordinator, in a process of its own: nothing of Catch is used here.
class Life {
public:
  Life(const SqliteStoreOptions& options, Round round, int pipe, std::uint64_t seed)
      : journal_{options}, round_{round}, pipe_{pipe}, random_{seed} {
    if (!journal_.store) ::_exit(10);
  }

  void run() {
    begin();
    for (std::uint64_t idle = 0; !all_terminal_;) {
      const bool may_answer = !offered_.empty(), may_write = !appends_.empty();
      if (may_write && (!may_answer || random_.chance(0.4))) {
        write();
      } else if (joiner_->waiting() > 0 && (!may_answer || random_.chance(0.4))) {
        join();
      } else if (may_answer) {
        answer();
      } else {
        if (++idle > 10'000) ::_exit(11);
        now_ = std::max(now_ + std::chrono::milliseconds{1},
                        std::min(supervisor_->wake_at(), now_ + std::chrono::minutes{1}));
        hear(supervisor_->tick(now_));
      }
    }
    while (!appends_.empty()) write();
    say(Word::Kind::done, 0, 0);
  }

private:
  void begin() {
    if (journal_.recovered.jobs.empty()) {
      Group group;
      group.jobs = {new_job(1, "jobs/1")};
      group.marks = {{the_job, item_count}};
      commit(std::move(group));
      known_ = read();
    } else {
      known_ = journal_.recovered.jobs[0];
    }
    if (round_ == Round::retried) reopen();
    source_.inputs = {supervisor_test::good_lines(item_count)};
    spec_ = supervisor_test::spec_of();
    spec_.policy.retries = 1'000;
    spec_.shape.task = Task::embed;
    supervisor::RecoveredItems items;
    items.terminal = known_.terminal;
    items.parts = {known_.parts, known_.attempts};
    items.counts = known_.counts;
    items.low = known_.low;
    items.mark = known_.mark;
    supervisor_ = std::make_unique<supervisor::Supervisor>(
        supervisor::SupervisedJob{the_job, journal_.recovered.epoch, spec_}, source_,
        std::move(items), &plan);
    joiner_ = std::make_unique<joiner::Joiner>(*journal_.store, 1);
    hear(supervisor_->started(now_));
    hear(supervisor_->pack_sizes({{"m", 3, 0}}, now_));
    hear(supervisor_->grace_over(now_));
    hear(supervisor_->wanted(0, 12, 1u << 30, now_));
  }

  // Once, of all lives: afterwards nothing of it is failed.
  void reopen() {
    Group group;
    for (const auto& [cls, items] : known_.failed)
      items.for_each([&](std::uint64_t item) { group.reopened.push_back({the_job, item}); });
    if (group.reopened.empty()) return;
    commit(std::move(group));
    known_ = read();
  }

  RecoveredJob read() {
    journal_.heard.content = {};
    journal_.store->read_job(the_job);
    auto job = journal_.heard.content.get_future().get();
    if (!job) ::_exit(12);
    return std::move(*job);
  }

  void commit(Group group) {
    group.upto = ++journal_.recovered.last_position;
    if (!journal_.commit(std::move(group))) ::_exit(13);
  }

  void hear(supervisor::Effects effects) {
    if (effects.stop) ::_exit(14);
    for (OfferedCall& call : effects.offers) {
      for (const PartId& part : call.planned.part_ids())
        say(Word::Kind::offered, part.item, part.part);
      offered_.push_back(std::move(call));
    }
    joiner_->join(the_job, std::move(effects.joins));
    if (!effects.append.empty()) appends_.push_back(std::move(effects.append));
    all_terminal_ |= effects.all_terminal;
  }

  // Some appends become one group, as they would while the disk is busy.
  void write() {
    Group group;
    std::vector<supervisor::DurableLines> durable;
    std::vector<Word> words;
    for (std::uint64_t n = 1 + random_.below(4); n > 0 && !appends_.empty(); --n) {
      supervisor::Append& append = appends_.front();
      for (ResultLine& line : append.lines) group.lines.push_back(std::move(line));
      for (PartLine& part : append.parts) {
        words.push_back({Word::Kind::durable, part.part.item, part.part.part});
        group.parts.push_back(std::move(part));
      }
      for (const AttemptNote& note : append.attempts) group.attempts.push_back(note);
      group.notes.push_back(append.note);
      durable.push_back(std::move(append.durable));
      appends_.pop_front();
    }
    commit(std::move(group));
    for (const Word& word : words) say(word.kind, word.item, word.part);
    for (const supervisor::DurableLines& lines : durable) hear(supervisor_->durable(lines, now_));
  }

  void join() {
    joiner::JoinStep step = joiner_->step();
    if (step.failure) ::_exit(15);
    hear(supervisor_->joined(std::move(step.items), "", now_));
  }

  void answer() {
    const auto at = static_cast<std::ptrdiff_t>(random_.below(offered_.size()));
    const OfferedCall call = std::move(offered_[static_cast<std::size_t>(at)]);
    offered_.erase(offered_.begin() + at);
    ReportedOutcome reported;
    reported.session = SessionId{5};
    reported.endpoint = "http://a";
    protocol::Outcome& outcome = reported.outcome;
    outcome.call = call.planned.call;
    outcome.attempt = AttemptId::of(journal_.recovered.epoch, 1, ++attempts_);
    outcome.parts = call.planned.part_ids();
    const bool refused = round_ == Round::first &&
                         std::any_of(outcome.parts.begin(), outcome.parts.end(), is_doomed);
    if (random_.chance(0.1)) {
      outcome.cls = OutcomeClass::transient;
      outcome.http_status = 500;
    } else if (refused) {
      outcome.cls = OutcomeClass::bad_line;
      outcome.http_status = 400;
      outcome.code = "doomed";
    } else {
      outcome.cls = OutcomeClass::ok;
      outcome.http_status = 200;
      outcome.body = body_of(outcome.parts[0], round_);
      if (outcome.parts.size() > 1)
        for (const PartId& part : outcome.parts)
          outcome.answers.push_back({part, OutcomeClass::ok, body_of(part, round_)});
    }
    std::vector<ReportedOutcome> outcomes;
    outcomes.push_back(std::move(reported));
    hear(supervisor_->outcomes(std::move(outcomes), now_, random_));
    hear(supervisor_->wanted(0, 1, 1'000, now_));
  }

  void say(Word::Kind kind, std::uint64_t item, std::uint32_t part) const {
    const Word word{kind, item, part};
    if (::write(pipe_, &word, sizeof word) != sizeof word) ::_exit(16);
  }

  Opened journal_;
  Round round_;
  int pipe_;
  Random random_;
  Time now_ = time_from_ns(0) + std::chrono::hours{1};
  RecoveredJob known_;
  supervisor_test::MemorySource source_;
  JobSpec spec_;
  std::unique_ptr<supervisor::Supervisor> supervisor_;
  std::unique_ptr<joiner::Joiner> joiner_;
  std::deque<supervisor::Append> appends_;
  std::vector<OfferedCall> offered_;
  std::uint64_t attempts_ = 0;
  bool all_terminal_ = false;
};

// What the test knows of a job that is killed: which parts must not be offered any more.
struct Witness {
  TempDirectory temp;
  SqliteStoreOptions options = Opened::options_for(temp / "state");
  Random random{2027};
  Round round = Round::first;
  std::set<std::pair<std::uint64_t, std::uint32_t>> held;

  Witness() { options.store_bytes_per_segment = 6'000; }

  // False: it came to its end, and was not killed.
  bool life(Death death, std::uint64_t words) {
    auto mortal = options;
    const std::uint64_t seed = random.next();
    die_in_call(mortal, death, random.below(1 + words / 3));
    const auto said = run_and_kill<Word>(
        [&](int pipe) {
          Life{mortal, round, pipe, seed}.run();
        },
        words, std::chrono::microseconds{random.below(3'000)});
    for (const Word& word : said.words) {
      CAPTURE(word.item, word.part);
      if (word.kind == Word::Kind::offered) REQUIRE_FALSE(held.contains({word.item, word.part}));
      if (word.kind == Word::Kind::durable) REQUIRE(held.insert({word.item, word.part}).second);
    }
    look(!said.killed);
    return said.killed;
  }

  // The journal is whole, and knows what was told as durable.
  void look(bool done) {
    auto journal = coordinator::JournalCheck::open(temp / "state");
    if (!journal && !done) return; // it was killed before there was one
    REQUIRE(journal);
    const auto found = journal->verify();
    REQUIRE(found);
    REQUIRE(found->faults == std::vector<std::string>{});
    const auto recovered = journal->recovered();
    REQUIRE(recovered);
    if (recovered->jobs.empty()) return;
    const RecoveredJob& job = recovered->jobs.at(0);
    // Before the retry's first life has said so, the failed ones still look as if they had ended.
    const bool retried = round == Round::retried;
    const auto is_over = [&](std::uint64_t item) {
      const auto failed = [item](const auto& of) { return of.second.contains(item); };
      return job.terminal.contains(item) &&
             !(retried && std::any_of(job.failed.begin(), job.failed.end(), failed));
    };
    const auto ended = [&](std::uint64_t item, std::uint32_t part) {
      const auto parts = job.parts.find(item);
      return is_over(item) ||
             (parts != job.parts.end() && (parts->second.answered.contains(part) ||
                                           (!retried && parts->second.failed.contains(part))));
    };
    for (const auto& [item, part] : held) {
      CAPTURE(item, part);
      REQUIRE(ended(item, part));
    }
    for (std::uint64_t item = 0; item < item_count; ++item)
      for (std::uint32_t part = 0; part < plan.count_of(item); ++part)
        if (ended(item, part)) held.insert({item, part});
    if (done) REQUIRE(job.counts.terminal() == item_count);
  }

  // Each after `least` words and some more; the last one comes to its end.
  void kill_some_lives(int kills, std::uint64_t least, std::uint64_t more) {
    const std::size_t before = held.size();
    int killed = 0;
    while (killed < kills && life(Death{killed % 3}, least + random.below(more))) ++killed;
    CAPTURE(killed);
    REQUIRE(4 * killed >= kills);  // how far a life comes is up to the machine
    REQUIRE(held.size() > before); // some of them had come to something
    REQUIRE_FALSE(life(Death::outside, ~std::uint64_t{0}));
  }
};

struct Line {
  std::optional<std::uint32_t> part;
  std::string class_of_failure, code, text; // text: of an answer
};

// Lines of each item, in their order, over all files of a kind.
std::map<std::uint64_t, std::vector<Line>> lines_in(const std::string& directory,
                                                    const std::string& prefix) {
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator{directory})
    if (entry.path().filename().string().starts_with(prefix + "-")) files.insert(entry.path());
  std::map<std::uint64_t, std::vector<Line>> lines;
  for (const std::string& file : files) {
    std::istringstream text{content_of(file)};
    for (std::string line; std::getline(text, line);) {
      const auto read = openai::check_result_line(line);
      REQUIRE(read);
      const auto json = nlohmann::json::parse(line);
      Line found{read->part, json["gristmill"].value("class", ""), "", ""};
      if (json["response"].is_object() && found.class_of_failure.empty())
        found.text = json["response"]["body"]["choices"][0]["message"]["content"];
      if (json["error"].is_object()) found.code = json["error"]["code"];
      lines[read->item].push_back(std::move(found));
    }
  }
  return lines;
}

bool has_doomed(std::uint64_t item) {
  for (std::uint32_t part = 0; part < plan.count_of(item); ++part)
    if (is_doomed({the_job, item, part})) return true;
  return false;
}

// What an item's line holds after the retry: only what had failed was asked for again.
std::string expected_text(std::uint64_t item) {
  std::string text;
  for (std::uint32_t n = 0; n < plan.count_of(item); ++n) {
    const PartId part{the_job, item, n};
    text += text_of(part, is_doomed(part) ? Round::retried : Round::first);
  }
  return text;
}

} // namespace

TEST_CASE(
    "parts that were durable are never called again, and items are joined, whenever it dies") {
  Witness witness;
  const std::string job = witness.temp / "state/jobs/1";

  witness.kill_some_lives(22, 20, 50); // at first a life offers 36 parts
  auto results = lines_in(job, "results"), parts = lines_in(job, "parts");
  REQUIRE(results.size() == item_count);
  std::size_t failed = 0;
  for (std::uint64_t item = 0; item < item_count; ++item) {
    CAPTURE(item);
    REQUIRE(results[item].size() == 1);
    const std::uint32_t count = plan.count_of(item);
    REQUIRE(parts[item].size() == (count == 1 ? 0 : count));
    CHECK(results[item][0].class_of_failure == (has_doomed(item) ? "bad_line" : ""));
    if (!has_doomed(item)) CHECK(results[item][0].text == expected_text(item));
    if (has_doomed(item) && count > 1) CHECK(results[item][0].code == "part_failed");
    failed += has_doomed(item);
  }
  REQUIRE(failed >= 5);

  witness.round = Round::retried;
  std::erase_if(witness.held, [](const auto& part) {
    return is_doomed({the_job, part.first, part.second});
  });
  witness.kill_some_lives(10, 1, 8);
  results = lines_in(job, "results");
  parts = lines_in(job, "parts");
  for (std::uint64_t item = 0; item < item_count; ++item) {
    CAPTURE(item);
    // Lines before the last one are those of the round before it was retried.
    REQUIRE(results[item].size() == (has_doomed(item) ? 2 : 1));
    CHECK(results[item].back().class_of_failure.empty());
    CHECK(results[item].back().text == expected_text(item));
    std::map<std::uint32_t, int> answered, of_all;
    for (const Line& line : parts[item]) {
      REQUIRE(line.part);
      ++of_all[*line.part];
      answered[*line.part] += line.class_of_failure.empty();
    }
    const std::uint32_t count = plan.count_of(item);
    REQUIRE(answered.size() == (count == 1 ? 0 : count));
    for (const auto& [part, lines] : answered) {
      CHECK(lines == 1);
      CHECK(of_all[part] == (is_doomed({the_job, item, part}) ? 2 : 1));
    }
  }
}

} // namespace sqlite_store_parts_kill_test
