// gristmill-sim: runs simulated histories. Standard output of `--seed N` is the same each time.
#include "tests/sim/world.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fmt/format.h>

using namespace gristmill;

namespace {

int run_one(std::uint64_t seed, bool verbose) {
  const sim::Verdict verdict = sim::World{seed, verbose}.run();
  fmt::print("seed {}: {} calls={} events={} virtual={:.1f}s crashes: {} worker {} coordinator, "
             "cuts {}, trace {:016x}\n",
             seed, verdict.violations.empty() ? "ok" : "VIOLATED", verdict.calls, verdict.events,
             verdict.virtual_seconds, verdict.worker_crashes, verdict.coordinator_crashes,
             verdict.cuts, verdict.trace_hash);
  for (const auto& violation : verdict.violations) fmt::print("  {}\n", violation);
  return verdict.violations.empty() ? 0 : 1;
}

int run_range(std::uint64_t first, std::uint64_t last) {
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t red = 0, calls = 0, worker_crashes = 0, coordinator_crashes = 0, cuts = 0;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    const sim::Verdict verdict = sim::World{seed, false}.run();
    calls += verdict.calls;
    worker_crashes += verdict.worker_crashes;
    coordinator_crashes += verdict.coordinator_crashes;
    cuts += verdict.cuts;
    // The same seed must give the same history.
    const bool twice = seed % 10 == 0;
    const bool same = !twice || sim::World{seed, false}.run().trace_hash == verdict.trace_hash;
    if (verdict.violations.empty() && same) continue;
    ++red;
    fmt::print("seed {}: {}\n", seed,
               same ? verdict.violations.front() : std::string{"two runs differ"});
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  fmt::print("{} seeds, {} red; {} calls, {} worker crashes, {} coordinator crashes, {} cuts\n",
             last - first + 1, red, calls, worker_crashes, coordinator_crashes, cuts);
  fmt::print(stderr, "{:.1f} s, {:.0f} seeds/s\n", took.count(),
             static_cast<double>(last - first + 1) / took.count());
  return red == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Runs simulated histories of a cluster: production classes on seeded time, network,\n"
      "disk and crashes.\n\nExample: gristmill-sim --seeds 1..1000"};
  std::uint64_t seed = 0;
  std::string seeds;
  bool verbose = false;
  auto* one = app.add_option("--seed", seed, "run this history");
  app.add_option("--seeds", seeds, "run the histories A..B and print the red ones")->excludes(one);
  app.add_flag("-v", verbose, "with --seed: one line per event");
  CLI11_PARSE(app, argc, argv);
  if (seeds.empty()) return run_one(seed, verbose);
  unsigned long long first = 0, last = 0;
  if (std::sscanf(seeds.c_str(), "%llu..%llu", &first, &last) != 2 || first > last) {
    fmt::print(stderr, "gristmill-sim: --seeds: expected A..B with A <= B, got \"{}\"\n", seeds);
    return 2;
  }
  return run_range(first, last);
}
