// MUTANTS: named faults of the protocol, to prove that the simulator would see them. A hook stands
// beside the rule that it breaks: `if (mutated("name")) …`. Hooks that can be switched on are in
// the machine that is compiled once more for the simulator; everywhere else `mutated` is a constant
// and the hook is nothing. Invariant: a release contains no mutant.
#pragma once

#include <string_view>

namespace gristmill {

#ifdef GRISTMILL_MUTANTS
inline namespace mutants {
// The simulator's machine also checks what would cost a release too much.
inline constexpr bool in_simulator = true;
extern std::string_view chosen_mutant; // empty = none
inline bool mutated(std::string_view name) {
  return chosen_mutant == name;
}
} // namespace mutants
#else
inline constexpr bool in_simulator = false;
constexpr bool mutated(std::string_view) {
  return false;
}
#endif

} // namespace gristmill
