// MUTANTS that the simulator knows: what each one breaks, and the first history that sees it. The
// figures are found by `gristmill-sim --mutant all --seeds 1..20000`; a change of the machine or of
// the swarm moves them. Invariant: a mutant of this table is killed.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace gristmill::sim {

struct Mutant {
  std::string_view name, breaks;
  std::uint64_t first_seed; // that kills it
};

std::span<const Mutant> mutants();
// Switches a mutant on, or all of them off; false: there is no such mutant.
bool choose_mutant(std::string_view name);

} // namespace gristmill::sim
