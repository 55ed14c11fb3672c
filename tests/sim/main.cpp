// gristmill-sim: runs simulated histories. Standard output of `--seed N` is the same each time.
#include "tests/sim/mutants.hpp"
#include "tests/sim/world.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fmt/format.h>
#include <optional>

using namespace gristmill;

namespace {

struct Seeds {
  std::uint64_t first = 1, last = 1;
  std::uint64_t count() const { return last - first + 1; }
};

int run_one(std::uint64_t seed, bool verbose) {
  const sim::Verdict verdict = sim::World{seed, verbose}.run();
  fmt::print(
      "seed {}: {} calls={} events={} virtual={:.1f}s crashes: {} worker {} coordinator {} room, "
      "cuts {}, trace {:016x}\n",
      seed, verdict.violations.empty() ? "ok" : "VIOLATED", verdict.calls, verdict.events,
      verdict.virtual_seconds, verdict.worker_crashes, verdict.coordinator_crashes,
      verdict.room_crashes, verdict.cuts, verdict.trace_hash);
  for (const auto& violation : verdict.violations) fmt::print("  {}\n", violation);
  return verdict.violations.empty() ? 0 : 1;
}

int run_range(Seeds seeds) {
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t red = 0, calls = 0, worker_crashes = 0, coordinator_crashes = 0;
  std::uint64_t room_crashes = 0, cuts = 0;
  for (std::uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
    const sim::Verdict verdict = sim::World{seed, false}.run();
    calls += verdict.calls;
    worker_crashes += verdict.worker_crashes;
    coordinator_crashes += verdict.coordinator_crashes;
    room_crashes += verdict.room_crashes;
    cuts += verdict.cuts;
    // The same seed must give the same history.
    const bool twice = seed % 10 == 0;
    const bool same = !twice || sim::World{seed, false}.run().trace_hash == verdict.trace_hash;
    if (verdict.violations.empty() && same) continue;
    ++red;
    fmt::print("seed {}: {}\n", seed,
               same ? verdict.violations.front() : std::string{"two runs differ"});
    std::fflush(stdout);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  fmt::print("{} seeds, {} red; {} calls, {} worker crashes, {} coordinator crashes, {} room "
             "crashes, {} cuts\n",
             seeds.count(), red, calls, worker_crashes, coordinator_crashes, room_crashes, cuts);
  fmt::print(stderr, "{:.1f} s, {:.0f} seeds/s\n", took.count(),
             static_cast<double>(seeds.count()) / took.count());
  return red == 0 ? 0 : 1;
}

// The first of the histories that sees the mutant that is switched on.
std::optional<std::uint64_t> killer(Seeds seeds, std::string& why) {
  for (std::uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
    const sim::Verdict verdict = sim::World{seed, false}.run();
    if (verdict.violations.empty()) continue;
    why = verdict.violations.front();
    return seed;
  }
  return std::nullopt;
}

// A broken machine that is seen is a red history: exit 1.
int hunt(Seeds seeds) {
  std::string why;
  const auto seed = killer(seeds, why);
  fmt::print("{}\n", seed ? fmt::format("seed {}: {}", *seed, why) : "no history sees it");
  return seed ? 1 : 0;
}

// Exit 1 = somebody survives: the simulator has gone blind to it.
int hunt_all(Seeds seeds) {
  bool survives = false;
  for (const sim::Mutant& mutant : sim::mutants()) {
    sim::choose_mutant(mutant.name);
    std::string why;
    const auto seed = killer(seeds, why);
    survives |= !seed;
    fmt::print("{:<30} {:>6}  {}\n", mutant.name, seed ? std::to_string(*seed) : "-", why);
    std::fflush(stdout);
  }
  return survives ? 1 : 0;
}

// Each mutant at the seed that the table names, else at one of the first.
int check_mutants() {
  constexpr Seeds others{1, 3'000};
  int survivors = 0, moved = 0;
  for (const sim::Mutant& mutant : sim::mutants()) {
    sim::choose_mutant(mutant.name);
    std::string why;
    if (killer({mutant.first_seed, mutant.first_seed}, why)) continue;
    const auto seed = killer(others, why);
    ++(seed ? moved : survivors);
    fmt::print("{}: not killed by seed {}, {}\n", mutant.name, mutant.first_seed,
               seed ? fmt::format("but by {}: correct the table", *seed)
                    : fmt::format("nor by {} others: the simulator does not see it any more",
                                  others.count()));
  }
  fmt::print("{} mutants, {} survive, {} have another first seed\n", sim::mutants().size(),
             survivors, moved);
  return survivors == 0 ? 0 : 1;
}

// Long, and with jobs day and night: nothing may grow with the time.
int soak(std::uint64_t seed, std::uint32_t hours) {
  Random random{seed};
  sim::Swarm swarm = sim::Swarm::soak(hours, random);
  const sim::Verdict verdict = sim::World{{random, std::move(swarm)}, false}.run_soak();
  auto red = verdict.violations;
  for (std::string& growing : verdict.soak.growing()) red.push_back(std::move(growing));
  fmt::print("{}seed {}: {} hours {} calls={} events={} crashes: {} worker {} coordinator {} room, "
             "cuts {}\n",
             verdict.soak.table(), seed, hours, red.empty() ? "ok" : "VIOLATED", verdict.calls,
             verdict.events, verdict.worker_crashes, verdict.coordinator_crashes,
             verdict.room_crashes, verdict.cuts);
  for (const auto& violation : red) fmt::print("  {}\n", violation);
  return red.empty() ? 0 : 1;
}

int list_mutants() {
  for (const sim::Mutant& mutant : sim::mutants()) fmt::print("{}\n", mutant.name);
  return 0;
}

int wrong(std::string_view option, std::string_view expected, std::string_view got) {
  fmt::print(stderr, "gristmill-sim: {}: expected {}, got \"{}\"\n", option, expected, got);
  return 2;
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Runs simulated histories of a cluster: production classes on seeded time, network,\n"
      "disk and crashes.\n\nExample: gristmill-sim --seeds 1..1000"};
  std::uint64_t seed = 0;
  std::string seeds, mutant;
  bool verbose = false;
  std::uint32_t soak_hours = 0;
  auto* one = app.add_option("--seed", seed, "run this history");
  app.add_option("--seeds", seeds, "run the histories A..B and print the red ones")->excludes(one);
  app.add_option("--mutant", mutant,
                 "NAME: break the machine in this way; the first of --seeds that sees it is "
                 "printed. \"list\": those that are known; \"all\": each of them; "
                 "\"check\": each at the seed that is known to see it");
  app.add_option("--soak", soak_hours,
                 "HOURS of virtual time with 100 jobs a day, of --seed: the lists of all rooms and "
                 "the rows of the journal, and whether they grow");
  app.add_flag("-v", verbose, "with --seed: one line per event");
  CLI11_PARSE(app, argc, argv);
  Seeds range{seed, seed};
  unsigned long long first = 0, last = 0;
  if (!seeds.empty()) {
    if (std::sscanf(seeds.c_str(), "%llu..%llu", &first, &last) != 2 || first > last)
      return wrong("--seeds", "A..B with A <= B", seeds);
    range = {first, last};
  }
  if (mutant == "list") return list_mutants();
  if (mutant == "check") return check_mutants();
  if (mutant == "all") return hunt_all(range);
  if (!sim::choose_mutant(mutant))
    return wrong("--mutant", "a name that `--mutant list` prints", mutant);
  if (soak_hours > 0) return soak(seed, soak_hours);
  if (seeds.empty()) return run_one(seed, verbose);
  return mutant.empty() ? run_range(range) : hunt(range);
}
