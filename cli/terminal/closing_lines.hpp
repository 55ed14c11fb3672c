// CLOSING LINES: what a command that ends says of the errors that its job has met, and the command
// that goes on. Invariant: a command is printed so that a shell takes it as it stands.
#pragma once

#include "actors/wiring/questions.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace gristmill::cli {

inline constexpr std::size_t told_errors_max = 3;
// Without a failure errors are told if so many calls were made again, and more than one in twenty.
inline constexpr std::uint64_t much_retried_least = 10;

// One word of a command line, quoted where a shell needs that.
std::string shell_word(std::string_view word);

// `gristmill run` as it was typed.
class TypedRun {
public:
  explicit TypedRun(std::vector<std::string> words);
  std::string again() const; // goes on with the job
  // Runs failed items again, of these classes; "" = all.
  std::string retrying(const std::string& classes) const;
  std::string anew() const; // forgets the job

private:
  std::string words_; // without what begins anew or retries
};

// The commonest errors, a line each; empty: no item failed, and few calls were made again.
std::string errors_of(const wiring::JobView& job);
// Those of its failed items that may be answered when they are run again, separated by commas; "" =
// all of them, or none: then `mend` says that something must be mended first.
std::string classes_to_retry(const wiring::JobView& job, bool& mend);

// Whether all that failed is wrong in the input itself: with a mended one it would be another job.
bool is_of_input(const wiring::JobView& job);
// What is said then; `next`: that begins anew with the mended one.
std::string closing_lines_of_input(const wiring::JobView& job, const std::string& next);

// The lines that end a command; `next`: that goes on, as the job stands.
std::string closing_lines(const wiring::JobView& job, const std::string& next, bool mend = false);

} // namespace gristmill::cli
