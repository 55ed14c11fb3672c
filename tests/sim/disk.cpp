// The coordinator's disk in the simulator: what it takes, when, and what a crash leaves of it.
#include "tests/sim/disk_windows.hpp"
#include "tests/sim/tree.hpp"
#include "tests/sim/world_parts.hpp"

#include "actors/kit/check.hpp"

#include <charconv>

namespace gristmill::sim {
namespace {

// "in-3" and "out-3" belong to plan 3.
std::size_t number_in(const std::string& name) {
  std::size_t number = 0;
  const auto dash = name.find('-') + 1;
  std::from_chars(name.data() + dash, name.data() + name.size(), number);
  return number;
}

} // namespace

wiring::NodeOptions World::node_options() {
  wiring::NodeOptions options;
  options.random_seed = random_.next();
  options.pools = pools_;
  options.day = sim_day;
  options.flat = options.workers_died = swarm_.one_process;
  options.lines = &store_;
  options.part_plan = &part_plan_;
  options.has_cache = swarm_.cache;
  options.open_source = [this](const JobSpec& spec) -> Result<std::unique_ptr<intake::ByteSource>> {
    const std::size_t plan = number_in(spec.inputs.front().path);
    if (spec.open)
      return std::make_unique<MemorySource>(piece(plan, 0), [this, plan](const std::string& path) {
        return piece(plan, number_in(path)); // "piece-K"
      });
    MemorySource::There there;
    if (grows(plan)) there = [this, plan] { return bytes_there(plan); };
    return std::make_unique<MemorySource>(inputs_.at(plan), std::move(there));
  };
  options.open_tokenizer = [](const JobSpec& spec) -> wiring::NodeOptions::OpenedTokenizer {
    return spec.shape.tokenizer.empty() ? nullptr : sim_tokenizer();
  };
  options.open_merge = [this](JobId job,
                              const JobSpec& spec) -> Result<std::unique_ptr<merger::MergeFiles>> {
    const auto full = [this] { return now_ < disk_full_until_ || luck(swarm_.disk_full / 4); };
    return std::make_unique<MemoryMerge>(store_.lines_of(job, journal::LineKind::results).value(),
                                         results_[spec.output], full);
  };
  return options;
}

void World::commit(journal::Group group) {
  if (!coordinator_) return;
  GRISTMILL_CHECK(!store_.busy(), "a group was handed over while another was being written");
  store_.hand_over(std::move(group));
  Duration takes = swarm_.steady_commit ? swarm_.commit_mean : around(swarm_.commit_mean);
  if (luck(swarm_.slow_commit)) {
    takes += upto(std::chrono::seconds{4});
    // Whoever dials again meanwhile says again what is being written.
    for (std::size_t i = 0; i < workers_.size(); ++i)
      if (luck(10 * swarm_.cut)) after(upto(takes), [this, i] { cut(i); });
  }
  if (luck(swarm_.disk_full)) disk_full_until_ = now_ + upto(std::chrono::seconds{5});
  // A crash just before or just after it is durable, or within it.
  if (luck(swarm_.crash_at_commit))
    after(random_.chance(0.5) ? takes + upto(std::chrono::milliseconds{3}) : upto(takes),
          [this, life = life_] {
            if (coordinator_ && life == life_) crash_coordinator();
          });
  after(takes, [this, life = life_] {
    to_coordinator([this, life] {
      if (coordinator_ && life == life_ && store_.busy()) wrote();
    });
  });
}

void World::wrote() {
  const wiring::Address journal{wiring::Recipient::journal, {}};
  if (now_ < disk_full_until_) {
    trace("the disk is full");
    return post({journal, wiring::StoreFailed{{ErrorCode::disk_full, "the disk is full"},
                                              store_.take_back()}});
  }
  if (luck(swarm_.disk_broken)) {
    trace("the disk fails");
    if (random_.chance(0.5)) make_durable(); // nobody can say
    journal::Group group = store_.busy() ? store_.take_back() : journal::Group{};
    return post(
        {journal, wiring::StoreFailed{{ErrorCode::io, "the disk fails"}, std::move(group)}});
  }
  const journal::Position upto = store_.pending().upto;
  make_durable();
  post({journal, wiring::StoreDurable{upto}});
}

void World::make_durable() {
  const journal::Group& group = store_.pending();
  trace("durable: {} lines, {} notes, {} blocks, {} jobs, {} sessions", group.lines.size(),
        group.attempts.size(), group.blocks.size(), group.jobs.size(), group.sessions.size());
  ledger_.committed(group, store_.epoch());
  store_.make_durable();
}

void World::read_job(JobId job) {
  after(around(swarm_.commit_mean), [this, job, life = life_] {
    to_coordinator([this, job, life] {
      if (life == life_)
        post({{wiring::Recipient::coordinator, {}}, wiring::JobRead{job, store_.read_job(job)}});
    });
  });
}

} // namespace gristmill::sim
